#!/usr/bin/env python3
"""Bundles per second through two nodes, Longhaul's couriers beside dtnd.

    DTND=path LONGHAUL=path tests/interop/dtnbench.py [--rounds N] [--sizes 1024,102400,1048576]

Two daemons of one kind run on loopback over TCPCL version 4. N bundles are pushed into the first
one; the clock runs until the second has delivered all. dtnd is pushed over HTTP by four threads,
with its sled store and with its memory store; couriers are pushed by `longhaul bundle send` and
make every bundle durable before it is acknowledged, in both nodes. Systems take turns within each
round, so that what else runs on the machine meets all of them. Beside them stands what the disk
alone does: the bytes that two durable nodes write, in synced pieces of 8 MiB. Without dtnd (crate dtn7 0.21.0)
the script says SKIP for it and measures couriers alone.
"""
import argparse
import os
import shutil
import statistics
import sys
import threading
import time

import peers

# Bundles of one run, by size: enough for about two seconds, as far as that is known.
COUNTS = {
    "dtnd sled": {1024: 1000, 102400: 60, 1048576: 30},
    "dtnd mem": {1024: 5000, 102400: 100, 1048576: 60},
    "courier": {1024: 20000, 102400: 1500, 1048576: 150},
}


def count_of(system, size):
    counts = COUNTS[system]
    nearest = min(counts, key=lambda known: abs(known - size))
    return max(10, counts[nearest] * nearest // max(size, nearest))


def bundles(count, size):
    payload = peers.payload_block(os.urandom(size))
    return [peers.bundle("dtn://node2/in", "dtn://source/out", n, payload) for n in range(count)]


def push_http(node, data, threads=4):
    def work(own):
        for one in own:
            status, _ = node.get("/push", "POST", one)
            if status != 200:
                raise RuntimeError(f"push: HTTP {status}")
    running = [threading.Thread(target=work, args=(data[n::threads],)) for n in range(threads)]
    [thread.start() for thread in running]
    [thread.join() for thread in running]


def start(system, folder):
    if system == "courier":
        second = peers.Courier("node2", folder + "/2", deliver="count")
        peer = f"127.0.0.1:{second.port}=dtn://node2/"
        first = peers.Courier("node1", folder + "/1", [peer], deliver="count")
        peers.wait(lambda: first.status().get("links"), 20, "the couriers meet")
        return first, second
    store = system.split()[1]
    second = peers.Dtnd("node2", folder + "/2", 3402, 4602, store=store)
    first = peers.Dtnd("node1", folder + "/1", 3401, 4601, ["tcp://127.0.0.1:4602/node2"], store)
    time.sleep(3)
    return first, second


def run(system, size, folder):
    """One run: seconds, bundles, CPU seconds of both nodes, peak memory in MiB."""
    data = bundles(count_of(system, size), size)
    memory = peers.folder("/dev/shm" if os.path.isdir("/dev/shm") else None)
    files = peers.write(memory, data) if system == "courier" else None
    first, second = start(system, folder)
    try:
        before = first.cpu_s() + second.cpu_s()
        base = second.delivered()
        began = time.time()
        if system == "courier":
            sent = peers.send(first.port, files)
            if sent.returncode != 0:
                raise RuntimeError(sent.stderr)
        else:
            push_http(first, data)
        peers.wait(lambda: second.delivered() - base >= len(data), 300, "all bundles", 0.02)
        seconds = time.time() - began
        cpu_s = first.cpu_s() + second.cpu_s() - before
        return seconds, len(data), cpu_s, max(first.peak_mib(), second.peak_mib())
    finally:
        first.stop()
        second.stop()
        shutil.rmtree(memory)


def disk(size, folder):
    """MB/s of bundles if nothing but writing them twice took time."""
    total = 2 * count_of("courier", size) * size
    piece = os.urandom(min(8 << 20, total))
    began = time.time()
    with open(folder + "/disk", "wb", buffering=0) as file:
        for _ in range(max(1, total // len(piece))):
            file.write(piece)
            os.fdatasync(file.fileno())
    return total / 2 / (time.time() - began) / 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", default="1024,102400,1048576")
    parser.add_argument("--place", help="folder for the data directories; default: of the system")
    parser.add_argument("--systems", default="dtnd sled,dtnd mem,courier")
    parser.add_argument("--both", action="store_true", help="measure nothing without dtnd")
    options = parser.parse_args()
    systems = options.systems.split(",")
    if not os.path.exists(peers.LONGHAUL):
        print(f"SKIP: {peers.LONGHAUL} is not there; cargo build --release --locked, or set LONGHAUL")
        return 0
    if not peers.DTND:
        print("SKIP: dtnd is not installed; cargo install dtn7 --version 0.21.0 --locked, or set DTND")
        if options.both:
            return 0
        systems = ["courier"]
    print(f"load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores")
    for size in map(int, options.sizes.split(",")):
        rates, costs, bare = {}, {}, []
        for _ in range(options.rounds):
            folder = peers.folder(options.place)
            bare.append(disk(size, folder))
            shutil.rmtree(folder)
            for system in systems:
                folder = peers.folder(options.place)
                seconds, count, cpu_s, peak = run(system, size, folder)
                rates.setdefault(system, []).append(count / seconds)
                costs.setdefault(system, []).append(cpu_s * 1e9 / (count * size))
                print(f"{size:8} B  {system:9}  {count:6} bundles in {seconds:7.2f} s"
                      f"  {count / seconds:9.1f}/s  {count * size / seconds / 1e6:7.1f} MB/s"
                      f"  CPU {cpu_s:6.2f} s  peak {peak} MiB", flush=True)
                shutil.rmtree(folder)
        print(f"MEDIAN {size:8} B  disk alone {statistics.median(bare):9.1f} MB/s")
        for system in systems:
            rate, cost = statistics.median(rates[system]), statistics.median(costs[system])
            ratios = "".join(
                f", {statistics.median(rates['courier']) / statistics.median(rates[other]):.1f}x {other}"
                for other in systems if system == "courier" and other != "courier")
            print(f"MEDIAN {size:8} B  {system:9}  {rate:9.1f}/s  {cost:7.1f} ns CPU per byte{ratios}")
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
