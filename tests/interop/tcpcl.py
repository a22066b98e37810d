#!/usr/bin/env python3
"""Bundles both ways between a courier and DTN nodes of other makes, over TCPCL version 4.

    DTND=path HARDY_PEER=path LONGHAUL=path tests/interop/tcpcl.py [kills] [dtnd] [hardy]

First between two couriers, of which one is killed (SIGKILL) while it takes bundles. Other peers: dtnd of the crate dtn7 0.21.0 (`cargo install dtn7 --version 0.21.0 --locked`), and hardy-peer, a
program of this folder over the crates hardy-tcpclv4 and hardy-bpa. What is not installed is
skipped with a line that says so; without arguments all three run. Each direction is tried with either side opening the connection,
and each payload is compared. Exit code 0: all that ran passed.
"""
import os
import random
import shutil
import sys
import time

import peers

SIZES = [0, 1, 1000, 60_000, 70_000, 1_000_000]
# dtnd 0.21 announces a transfer MRU of 64,000 bytes: nothing longer may be sent to it.
DTND_BYTES_MAX = 63_000
HARDY_PEER = os.environ.get("HARDY_PEER") or shutil.which("hardy-peer")


def payloads(bytes_max=1 << 30):
    return [os.urandom(size) for size in SIZES if size <= bytes_max]


def bundles(destination, source, data):
    blocks = [peers.payload_block(one) for one in data]
    return [peers.bundle(destination, source, n, one) for n, one in enumerate(blocks)]


def expect_files(courier, expected, what):
    """Waits for the payloads in the courier's folder, in any order."""
    def arrived():
        found = sorted(peers.payload_of(one) for one in courier.delivered_files())
        return found == sorted(expected)
    peers.wait(arrived, 30, what)
    print(f"ok: {what}: {len(expected)} bundles")


def dtnd_takes(dtnd, courier, folder, what):
    data = payloads(DTND_BYTES_MAX)
    files = peers.write(folder, bundles("dtn://other/in", "dtn://source/out", data))
    sent = peers.send(courier.port, files)
    if sent.returncode != 0:
        raise RuntimeError(sent.stderr)
    found = []

    def arrived():
        status, body = dtnd.get("/endpoint?in")
        if status == 200 and body.startswith(b"\x9f"):
            found.append(peers.payload_of(body))
        return len(found) >= len(data)
    peers.wait(arrived, 30, what)
    if sorted(found) != sorted(data):
        raise AssertionError(f"{what}: payloads differ")
    print(f"ok: {what}: {len(data)} bundles")


def dtnd_gives(dtnd, courier, what):
    data = payloads()
    for one in bundles("dtn://ours/in", "dtn://other/out", data):
        status, answer = dtnd.get("/push", "POST", one)
        if status != 200:
            raise RuntimeError(f"push: HTTP {status} {answer}")
    expect_files(courier, data, what)


def with_dtnd(folder):
    if not peers.DTND:
        print("SKIP: dtnd is not installed; cargo install dtn7 --version 0.21.0 --locked, or set DTND")
        return
    # dtnd opens the connection, once it has a bundle.
    courier = peers.Courier("ours", folder + "/c1", allow=["127.0.0.1=dtn://other/"])
    dtnd = peers.Dtnd("other", folder + "/d1", 3411, 4611, [f"tcp://127.0.0.1:{courier.port}/ours"])
    try:
        dtnd_gives(dtnd, courier, "dtnd connects and gives")
        dtnd_takes(dtnd, courier, folder + "/i1", "dtnd connects and takes")
    finally:
        explain(courier, dtnd)
    # The courier opens it.
    dtnd = peers.Dtnd("other", folder + "/d2", 3412, 4612)
    courier = peers.Courier("ours", folder + "/c2", ["127.0.0.1:4612=dtn://other/"])
    try:
        peers.wait(lambda: courier.status().get("links"), 20, "the courier connects")
        dtnd_takes(dtnd, courier, folder + "/i2", "the courier connects and gives")
        dtnd_gives(dtnd, courier, "the courier connects and takes")
    finally:
        explain(courier, dtnd)


class Hardy(peers.Process):
    """A hardy-peer; what it takes are files in its folder."""

    def __init__(self, folder, port, connect=None, give=()):
        command = [HARDY_PEER, "dtn://hardy/", f"127.0.0.1:{port}", folder + "/out"]
        if connect:
            command += ["--connect", f"127.0.0.1:{connect}"]
        for file in give:
            command += ["--send", "dtn://ours/in", file]
        super().__init__("hardy", command, folder, {"RUST_LOG": os.environ.get("HARDY_LOG", "warn")})
        self.port = port
        peers.wait(lambda: "ready" in self.text("stdout"), 20, "hardy is ready")

    def payloads(self):
        folder = os.path.join(self.folder, "out")
        found = []
        for name in os.listdir(folder):
            if name.endswith(".payload"):
                with open(os.path.join(folder, name), "rb") as file:
                    found.append(file.read())
        return found


def hardy_takes(hardy, courier, folder, what):
    data = payloads()
    files = peers.write(folder, bundles("dtn://hardy/in", "dtn://source/out", data))
    sent = peers.send(courier.port, files)
    if sent.returncode != 0:
        raise RuntimeError(sent.stderr)
    peers.wait(lambda: sorted(hardy.payloads()) == sorted(data), 30, what)
    print(f"ok: {what}: {len(data)} bundles")


def with_hardy(folder):
    if not HARDY_PEER:
        print("SKIP: hardy-peer is not installed; cargo install --path tests/interop/hardy-peer, "
              "or set HARDY_PEER")
        return
    data = payloads()
    give = peers.write(folder + "/give", data)
    # hardy opens the connection.
    courier = peers.Courier("ours", folder + "/c3", allow=["127.0.0.1=dtn://hardy/"])
    hardy = Hardy(folder + "/h1", 4621, courier.port, give)
    try:
        expect_files(courier, data, "hardy connects and gives")
        hardy_takes(hardy, courier, folder + "/i3", "hardy connects and takes")
    finally:
        explain(courier, hardy)
    # The courier opens it.
    hardy = Hardy(folder + "/h2", 4622, None, give)
    courier = peers.Courier("ours", folder + "/c4", ["127.0.0.1:4622=dtn://hardy/"])
    try:
        expect_files(courier, data, "the courier connects and takes from hardy")
        hardy_takes(hardy, courier, folder + "/i4", "the courier connects and gives to hardy")
    finally:
        explain(courier, hardy)


def with_kills(folder, kills=6, bundles_each=300):
    """Nothing that was acknowledged is lost, and nothing is delivered twice."""
    last = peers.Courier("last", folder + "/k2", deliver="count")
    peer = f"127.0.0.1:{last.port}=dtn://last/"
    data = bundles("dtn://last/in", "dtn://source/out",
                   [os.urandom(2000) for _ in range(kills * bundles_each)])
    files = peers.write(folder + "/kill", data)
    acknowledged = 0
    for kill in range(kills):
        first = peers.Courier("first", folder + "/k1", [peer], deliver="count")
        own = files[kill * bundles_each:(kill + 1) * bundles_each]
        # Half of them come while it is killed, the other half is acknowledged before.
        sent = peers.send(first.port, own[::2])
        if sent.returncode != 0:
            raise RuntimeError(sent.stderr)
        acknowledged += len(own[::2])
        under_way = peers.send_beside(first.port, own[1::2])
        time.sleep(random.uniform(0, 0.1))
        first.process.kill()
        first.process.wait()
        under_way.wait()
    first = peers.Courier("first", folder + "/k1", [peer], deliver="count")
    try:
        peers.wait(lambda: last.delivered() >= acknowledged, 30, "all that was acknowledged")
        sent = peers.send(first.port, files)
        if sent.returncode != 0:
            raise RuntimeError(sent.stderr)
        peers.wait(lambda: last.delivered() >= len(files), 30, "all bundles")
        time.sleep(0.5)
        if last.delivered() != len(files):
            raise AssertionError(f"{last.delivered()} of {len(files)} bundles delivered")
        print(f"ok: {kills} kills: {len(files)} bundles, each delivered once")
    finally:
        explain(first, last)


def explain(*processes):
    """Stops processes; shows what they said if something went wrong."""
    failed = sys.exc_info()[0] is not None
    for process in processes:
        process.stop()
        if failed:
            print(f"--- {process.name}, the end of what it said", file=sys.stderr)
            text = process.text("stdout")[-500:] + process.text("stderr")[-3000:]
            print(text, file=sys.stderr)


PARTS = {"kills": with_kills, "dtnd": with_dtnd, "hardy": with_hardy}


def main():
    parts = sys.argv[1:] or list(PARTS)
    if not set(parts) <= set(PARTS):
        sys.exit(f"usage: tcpcl.py [{'] ['.join(PARTS)}]")
    if not os.path.exists(peers.LONGHAUL):
        print(f"SKIP: {peers.LONGHAUL} is not there; cargo build --release --locked, or set LONGHAUL")
        return 0
    folder = peers.folder()
    began = time.time()
    for part in parts:
        PARTS[part](folder)
    shutil.rmtree(folder)
    print(f"done in {time.time() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
