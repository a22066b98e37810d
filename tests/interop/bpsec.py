#!/usr/bin/env python3
"""Checks the integrity block of a bundle independently of Longhaul.

    tests/interop/bpsec.py tests/vectors/bundle_bib.hex

Reads the bundle with a CBOR reader of its own, puts together the Sig_structure as
draft-ietf-dtn-bpsec-cose-16 section 3.5.1 and RFC 9052 section 4.4 say, and verifies the Ed25519
signature with the package `cryptography`. Where that is missing it says SKIP and exits 0.
"""
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("SKIP: the Python package cryptography is not installed; pip install cryptography")
    sys.exit(0)

BREAK = object()


def read(data, at):
    """One CBOR item and the place behind it."""
    head, at = data[at], at + 1
    major, short = head >> 5, head & 31
    if head == 0xFF:
        return BREAK, at
    if short < 24:
        value = short
    elif short < 28:
        size = 1 << (short - 24)
        value, at = int.from_bytes(data[at:at + size], "big"), at + size
    else:
        value = None
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        text = data[at:at + value]
        return (text if major == 2 else text.decode()), at + value
    if major == 4:
        items = []
        while value is None or len(items) < value:
            item, at = read(data, at)
            if item is BREAK:
                break
            items.append(item)
        return items, at
    if major == 5:
        pairs = {}
        for _ in range(value):
            key, at = read(data, at)
            pairs[key], at = read(data, at)
        return pairs, at
    return {20: False, 21: True, 22: None}[short], at


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    size = next(size for size in (1, 2, 4, 8) if value < 1 << 8 * size)
    return bytes([major << 5 | 24 + size.bit_length() - 1]) + value.to_bytes(size, "big")


def write(item):
    if item is None:
        return b"\xf6"
    if isinstance(item, int):
        return head(0, item) if item >= 0 else head(1, -1 - item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(write, item))
    order = sorted(item, key=lambda key: (key < 0, abs(key)))
    return head(5, len(item)) + b"".join(write(key) + write(item[key]) for key in order)


def main():
    lines = open(sys.argv[1]).read().splitlines()
    bundle = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
    blocks, end = read(bundle, 0)
    assert end == len(bundle), "bytes follow the bundle"
    primary, canonical = blocks[0], {block[1]: block for block in blocks[1:]}
    checked = 0
    for block in (block for block in canonical.values() if block[0] == 11):
        data, at, items = block[4], 0, []
        while at < len(data):
            item, at = read(data, at)
            items.append(item)
        targets, context, flags, source = items[:4]
        assert context == 3, "not a COSE block"
        parameters = dict(map(tuple, items[4])) if flags & 1 else {}
        results = items[-1]
        scope = parameters.get(5, {0: 1, -1: 1, -2: 1})
        for target, [[result, value]] in zip(targets, results):
            assert result == 18, "not a COSE_Sign1"
            (protected, unprotected, payload, signature), _ = read(value, 0)
            assert payload is None and read(protected, 0)[0] == {1: -19}, "not Ed25519, detached"
            aad = write(source) + write(scope)
            for key in sorted(scope, key=lambda key: (key < 0, abs(key))):
                number = {-1: target, -2: block[1]}.get(key, key)
                if number == 0:
                    aad += write(primary)
                    continue
                if scope[key] & 1:
                    aad += b"".join(map(write, canonical[number][:3]))
                if scope[key] & 2:
                    aad += write(canonical[number][4])
            aad += write(parameters.get(3, b""))
            content = write(primary) if target == 0 else canonical[target][4]
            structure = write(["Signature1", protected, aad, content])
            key = Ed25519PublicKey.from_public_bytes(unprotected[4])
            key.verify(signature, structure)
            try:
                key.verify(signature, structure + b"\0")
                sys.exit("a signature held over other bytes")
            except InvalidSignature:
                checked += 1
    assert checked, "no integrity block"
    print(f"{checked} signatures hold")


main()
