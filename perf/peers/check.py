#!/usr/bin/env python3
"""Whether each peer that is installed answers as covet does: perf/peers/check.py [NAME...]

Starts one after another (covet itself first, where it is built), asks every path it serves, sends sixteen
requests at once, holds many connections open, and ends it. The last line counts.
"""
import argparse
import json
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness import procfs, servers  # noqa: E402
from harness.peer import ROOT, Missing  # noqa: E402

BODY = bytes(range(256)) * 256  # 64 KiB, every byte.
COMMENTS = {"id": "7", "post": "42", "comments": []}

# What is served: (request, Content-Type, body or what it says as JSON).
ASKED = {
    "hello": [("GET / HTTP/1.1", b"", "text/plain", b"Hello, World!")],
    "json": [("GET /api/json HTTP/1.1", b"", "application/json", {"message": "Hello, World!"})],
    "params": [("GET /api/users/7/posts/42/comments HTTP/1.1", b"", "application/json", COMMENTS)],
    "echo": [("POST /echo HTTP/1.1", body, "application/octet-stream", body)
             for body in (b"x", BODY[:1024], BODY)],
}
DEPTH = 16
END_SECONDS_MAX = 20


class Wrong(Exception):
    """What is not as it should be."""


def request(line, body=b"", field=""):
    if body:
        field += f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n"
    return f"{line}\r\nHost: localhost\r\n{field}\r\n".encode() + body


class Client:
    """One connection."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.stream = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        """(status, {field: value}, body) of the next answer, by its own framing."""
        start = self.stream.readline().decode()
        if not start:
            raise Wrong("it closed the connection")
        fields = {}
        while line := self.stream.readline().decode().strip():
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if fields.get("transfer-encoding", "").lower() == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.stream.read(int(fields["content-length"]))
        return int(start.split()[1]), fields, body

    def chunk(self):
        data = self.stream.read(int(self.stream.readline(), 16))
        self.stream.readline()
        return data


def expect(answer, kind, right):
    """Compares one answer; returns its fields."""
    status, fields, body = answer
    if status != 200:
        raise Wrong(f"status {status}")
    if fields.get("content-type", "").partition(";")[0] != kind:
        raise Wrong(f"Content-Type {fields.get('content-type')}, not {kind}")
    said = json.loads(body) if isinstance(right, dict) else body
    if said != right:
        raise Wrong(f"body {body[:60]!r} ({len(body)} bytes)")
    return fields


def check_served(port, feature):
    """Every request of a feature twice over one connection; returns the fields of the last answer."""
    with Client(port) as client:
        for line, body, kind, right in ASKED[feature] * 2:
            client.send(request(line, body))
            fields = expect(client.answer(), kind, right)
    return fields


def check_close(port):
    with Client(port) as client:
        client.send(request("GET / HTTP/1.1", field="Connection: close\r\n"))
        expect(client.answer(), "text/plain", b"Hello, World!")
        if client.stream.read(1):
            raise Wrong("bytes after the last answer")


def check_pipelined(port):
    """Sixteen requests in one segment, twice."""
    with Client(port) as client:
        for _ in range(2):
            client.send(request("GET / HTTP/1.1") * DEPTH)
            for _ in range(DEPTH):
                expect(client.answer(), "text/plain", b"Hello, World!")


def check_many(port, count):
    """So many connections at once, none of them refused; each is answered only when all are there."""
    clients = []
    try:
        for _ in range(count):
            clients.append(Client(port))
        for client in clients:
            client.send(request("GET / HTTP/1.1"))
        for client in clients:
            expect(client.answer(), "text/plain", b"Hello, World!")
    finally:
        for client in clients:
            client.__exit__()


def check_end(server, port):
    """It ends on SIGTERM, at the latest when its clients leave, and leaves no process behind."""
    pids = procfs.process_tree(server.process.pid)
    with Client(port) as client:
        client.send(request("GET / HTTP/1.1"))
        client.answer()
        server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    try:
        server.process.wait(END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise Wrong(f"is there {END_SECONDS_MAX} s after SIGTERM") from None
    while left := [pid for pid in pids if Path(f"/proc/{pid}/exe").exists()]:
        if time.monotonic() - began > END_SECONDS_MAX:
            raise Wrong(f"left processes behind: {left}")
        time.sleep(0.05)


def check_peer(peer, version, connections, cores):
    """[(what was checked, None or what is wrong)], and the fields of its Hello, World!"""
    found, fields = [], {}

    def note(what, check, *arguments):
        try:
            result = check(*arguments)
            found.append((what, None))
            return result
        except (Wrong, OSError, ValueError, KeyError) as wrong:
            found.append((what, f"{type(wrong).__name__} {wrong}"))
            return None

    with servers.running([peer], {peer.name: version}, cores, connections) as (ready, failed):
        if not ready:
            return [("start", failed[peer.name])], fields
        port = ready[0].port
        for feature in sorted(set(ASKED) & set(peer.serves)):
            shown = note(feature, check_served, port, feature)
            if feature == "hello" and shown:
                fields = shown
        if "close" in peer.serves:
            note("close", check_close, port)
        note("pipelined", check_pipelined, port)
        note(f"{connections} connections", check_many, port, connections)
        note("end", check_end, ready[0], port)
    return found, fields


def chosen(names):
    """covet, then the peers, in the order of their names."""
    everyone = [servers.Covet(ROOT / "build" / "release" / "covet"), *servers.find_peers()]
    return [peer for peer in everyone if not names or peer.name in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--connections", type=int, default=500, help="as many at once (500)")
    parser.add_argument("--cores", type=int, default=1, help="of servers, from the first (1)")
    parser.add_argument("--versions", action="store_true", help="only tell what is installed")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    passed = failed = 0
    for peer in chosen(options.names):
        try:
            version = peer.installed()
        except Missing as missing:
            print(f"{peer.name}: SKIPPED: {missing}")
            continue
        if options.versions:
            print(f"{peer.name} {version}")
            continue
        found, fields = check_peer(peer, version, options.connections, range(options.cores))
        wrong = [f"{what}: {reason}" for what, reason in found if reason]
        print(f"{peer.name} {version}: {'; '.join(wrong) or 'ok'} ({', '.join(what for what, _ in found)})")
        print("   ", ", ".join(f"{name}: {value}" for name, value in fields.items()), flush=True)
        failed += len(wrong)
        passed += len(found) - len(wrong)
    if options.versions:
        return 0
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
