"""What the interoperability scripts share: bundles, and daemons to exchange them with.

Bundles are written here, independently of Longhaul. Programs are found by environment variables:
LONGHAUL (default: target/release/longhaul) and DTND (default: dtnd in the PATH).
"""
import http.client
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LONGHAUL = os.environ.get("LONGHAUL") or os.path.join(
    os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "longhaul")
DTND = os.environ.get("DTND") or shutil.which("dtnd")
DTN_EPOCH_S = 946_684_800

# CRC-32C (Castagnoli), least bit first.
CRC = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def head(major, value):
    """The head of a CBOR item (RFC 8949), as short as can be."""
    if value < 24:
        return bytes([major << 5 | value])
    for code, form in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
        if value < 1 << 8 * struct.calcsize(form):
            return bytes([major << 5 | code]) + struct.pack(form, value)
    raise ValueError(value)


def number(value):
    return head(0, value)


def endpoint(text):
    name = text.removeprefix("dtn:").encode()
    return head(4, 2) + number(1) + head(3, len(name)) + name


def block(*items):
    """An array with a CRC-32C behind its items."""
    body = head(4, len(items) + 1) + b"".join(items) + b"\x44"
    return body + struct.pack(">I", crc32c(body + bytes(4)))


def payload_block(payload):
    return block(number(1), number(1), number(0), number(2), head(2, len(payload)) + payload)


def bundle(destination, source, sequence, payload, created_ms=None):
    """A bundle around a block of `payload_block`, whose CRC many bundles can share."""
    if created_ms is None:
        created_ms = int((time.time() - DTN_EPOCH_S) * 1000)
    nobody = head(4, 2) + number(1) + number(0)
    stamp = head(4, 2) + number(created_ms) + number(sequence)
    primary = block(number(7), number(4), number(2), endpoint(destination), endpoint(source),
                    nobody, stamp, number(3_600_000))
    return b"\x9f" + primary + payload + b"\xff"


def payload_of(data):
    """The payload of a bundle whose last block is a definite one, read without the other blocks."""
    at = data.rindex(b"\x86\x01\x01") if b"\x86\x01\x01" in data else data.rindex(b"\x85\x01\x01")
    at += 3
    at += {0: 1, 24: 2, 25: 3}.get(data[at] & 31, 1)  # flags
    at += 1  # CRC type
    short, at = data[at] & 31, at + 1
    if short < 24:
        return data[at:at + short]
    size = 1 << short - 24
    length = int.from_bytes(data[at:at + size], "big")
    return data[at + size:at + size + length]


class Process:
    """A daemon with a folder of its own."""

    def __init__(self, name, command, folder, env=None):
        os.makedirs(folder, exist_ok=True)
        self.name, self.folder = name, folder
        self.out = open(os.path.join(folder, "stdout"), "wb")
        self.err = open(os.path.join(folder, "stderr"), "wb")
        self.process = subprocess.Popen(command, stdout=self.out, stderr=self.err,
                                        env=dict(os.environ, **(env or {})))

    def text(self, stream):
        with open(os.path.join(self.folder, stream), "rb") as file:
            return file.read().decode(errors="replace")

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024

    def is_alive(self):
        return self.process.poll() is None

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.out.close()
        self.err.close()


class Courier(Process):
    """A `longhaul courier`."""

    def __init__(self, name, folder, peers=(), deliver="files", port=0, allow=()):
        command = [LONGHAUL, "courier", "--json", "--node-id", f"dtn://{name}/", "--dir",
                   os.path.join(folder, "data"), "--listen", f"tcpcl:127.0.0.1:{port}",
                   "--deliver", deliver]
        for peer in peers:
            command += ["--peer", peer]
        # Nothing proves who connects: the operator has to say whom to believe.
        for who in allow:
            command += ["--allow", who]
        super().__init__(name, command, folder)
        self.read, self.last = 0, {}
        self.port = wait(lambda: self.found_port(), 20, f"{name} listens")

    def found_port(self):
        found = re.search(r'"address":"127.0.0.1:(\d+)"', self.text("stdout"))
        return int(found.group(1)) if found else None

    def status(self):
        """The newest report; what was read before is not read again."""
        with open(os.path.join(self.folder, "stdout"), "rb") as file:
            file.seek(self.read)
            news = file.read()
        lines = news[:news.rfind(b"\n") + 1]
        self.read += len(lines)
        for line in lines.splitlines():
            report = json.loads(line)
            if report["event"] == "status":
                self.last = report
        return self.last

    def delivered(self):
        return self.status().get("delivered", 0)

    def delivered_files(self):
        folder = os.path.join(self.folder, "data", "delivered")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        found = []
        for name in sorted(name for name in names if name.endswith(".bundle")):
            with open(os.path.join(folder, name), "rb") as file:
                found.append(file.read())
        return found


class Dtnd(Process):
    """A dtnd of the crate dtn7."""

    def __init__(self, name, folder, web, port, peers=(), store="mem"):
        os.makedirs(folder, exist_ok=True)
        command = [DTND, "-n", name, "-w", str(web), "-C", f"tcp:bind=127.0.0.1:port={port}",
                   "-r", "epidemic", "-i", "0", "-j", "2s", "-p", "0", "-e", "in",
                   "-W", folder, "-D", store, "--unsafe-httpd"]
        for peer in peers:
            command += ["-s", peer]
        super().__init__(name, command, folder, {"RUST_LOG": os.environ.get("DTND_LOG", "error")})
        self.web, self.port = web, port
        wait(self.info, 20, f"{name} answers")

    def get(self, path, method="GET", body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.web, timeout=60)
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def info(self):
        try:
            return json.loads(self.get("/status/info")[1])
        except (OSError, ValueError, http.client.HTTPException):
            return None

    def delivered(self):
        info = self.info() or {}
        return info.get("stats", info).get("delivered", 0)


def sender(port, files):
    return [LONGHAUL, "bundle", "send", "--json", "--to", f"127.0.0.1:{port}",
            "--node-id", "dtn://sender/", *files]


def send(port, files):
    """`longhaul bundle send`; gives what it says."""
    return subprocess.run(sender(port, files), capture_output=True, text=True)


def send_beside(port, files):
    """`longhaul bundle send` that runs on, and may fail."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(sender(port, files), stdout=quiet, stderr=quiet)


def write(folder, bundles):
    """Writes bundles as files; gives their names."""
    os.makedirs(folder, exist_ok=True)
    files = []
    for index, data in enumerate(bundles):
        files.append(os.path.join(folder, f"{index}.bundle"))
        with open(files[-1], "wb") as file:
            file.write(data)
    return files


def wait(check, seconds, what, pause=0.05):
    end = time.time() + seconds
    while time.time() < end:
        found = check()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {seconds} s")


def folder(place=None):
    return tempfile.mkdtemp(prefix="longhaul-interop-", dir=place)
