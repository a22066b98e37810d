#!/usr/bin/env python3
"""Decodes our golden bundles with pyD3TN, the bundle library of µD3TN (PyPI: pyD3TN).

    tests/interop/pyd3tn.py tests/vectors/bundle.hex tests/vectors/bundle_bib.hex

Compares each field that pyD3TN knows with what stands in the vector, computes each CRC with
pyD3TN and lets it write the bundle again, which must give the same bytes. Exits with 1 and says
what differs where something does. Where pyD3TN is missing it says SKIP and exits 0.

Tried with pyD3TN 0.15.2. It has no names for block types beyond RFC 9171's own and refuses
bundles that have others; here it takes them under their number.
"""
import os
import sys

# This file has the name of the package: it must not import itself.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path) != HERE]

try:
    from pyd3tn.bundle7 import BlockType, Bundle, CRCType
except ImportError:
    print("SKIP: the Python package pyD3TN is not installed; pip install pyD3TN")
    sys.exit(0)

PEER = "rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa"
CREATED = 840_000_000_000  # ms since the year 2000

# Type, number, flags and data of each block, the payload last; of hashes and signatures, which mean
# nothing to pyD3TN, their length.
EXPECTED = {
    "bundle.hex": (
        {
            "version": 7,
            "bundle_proc_flags": 4,
            "destination": "dtn://federation/updates",
            "source": f"dtn://{PEER}/updates",
            "report_to": "dtn:none",
            "creation_time": (CREATED, 7),
            "lifetime": 600_000_000,
            "fragment_offset": None,
            "total_payload_length": None,
        },
        [
            (192, 2, 0, b"header"),
            (193, 3, 0, 71),
            (11, 6, 0, 184),
            (10, 4, 0, bytes([0x82, 0x18, 64, 0])),
            (7, 5, 0, bytes([0])),
            (1, 1, 0, b"payload"),
        ],
    ),
    "bundle_bib.hex": (
        {
            "version": 7,
            "bundle_proc_flags": 0,
            "destination": "ipn:7.1",
            "source": f"dtn://{PEER}/",
            "report_to": "dtn:none",
            "creation_time": (CREATED, 3),
            "lifetime": 3_600_000,
            "fragment_offset": None,
            "total_payload_length": None,
        },
        [
            (11, 3, 0, 415),
            (10, 2, 0, bytes([0x82, 0x18, 30, 3])),
            (193, 9, 1, b"the root of what is carried"),
            (1, 1, 0, b"the payload"),
        ],
    ),
}


def unnamed(cls, value):
    member = int.__new__(cls, value)
    member._name_, member._value_ = f"TYPE_{value}", value
    return member


BlockType._missing_ = classmethod(unnamed)


def read(path):
    lines = open(path).read().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def plain(value):
    """A field of pyD3TN as plain Python."""
    if isinstance(value, tuple) and hasattr(value, "schema"):
        return str(value)
    return tuple(value) if isinstance(value, tuple) else value


def short(data):
    return len(data) if len(data) > 40 else bytes(data)


def differences(path):
    """Yields what differs in one file."""
    data = read(path)
    primary, blocks = EXPECTED[os.path.basename(path)]
    bundle = Bundle.parse(data)
    for field, wanted in primary.items():
        found = plain(getattr(bundle.primary_block, field))
        if found != wanted:
            yield f"primary block: {field} is {found!r}, expected {wanted!r}"
    found = [
        (int(it.block_type), it.block_number, int(it.block_proc_flags), short(it.data))
        for it in [*bundle.blocks, bundle.payload_block]
    ]
    if found != blocks:
        yield f"blocks are {found}, expected {blocks}"
    for block in bundle:
        if block.crc_type != CRCType.CRC32:
            yield f"block {block.block_number}: {block.crc_type!r} is not CRC-32C"
        elif block.calculate_crc() != block.crc_provided:
            yield f"block {block.block_number}: the CRC does not match"
    if bytes(bundle) != data:
        yield "written again, the bundle has other bytes"


def main():
    paths = sys.argv[1:]
    if not paths or not {os.path.basename(path) for path in paths} <= set(EXPECTED):
        sys.exit(f"usage: pyd3tn.py FILE…, each one of {', '.join(EXPECTED)}")
    wrong = 0
    for path in paths:
        found = list(differences(path))
        wrong += len(found)
        for difference in found:
            print(f"{path}: {difference}", file=sys.stderr)
        if not found:
            print(f"{path}: pyD3TN reads every field as expected and writes the same bytes")
    sys.exit(1 if wrong else 0)


main()
