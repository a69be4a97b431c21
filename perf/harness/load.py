"""The load: covet-load for what is measured, and others beside it where generators are compared."""
import contextlib
import json
import re
import socket
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from harness import procfs
from harness.peer import Missing, program, version_of
from harness.servers import Failure, begin, end

WRK_SCRIPT = Path(__file__).resolve().parents[1] / "wrk" / "pipeline.lua"
GENERATOR_FULL = 3  # covet-load's exit status.
LOST_S = 20


def last_line(text):
    return (text.strip().splitlines() or ["it said nothing"])[-1]


@dataclass
class Outcome:
    requests: int
    requests_per_s: float
    latency_us: dict  # Of p50 and so on, as far as the generator tells.
    errors: int
    error_text: str | None
    generator_full: bool
    seconds: float


class CovetLoad:
    name = "covet-load"

    def __init__(self, path, bodies):
        """`bodies` is a folder for what is sent."""
        self.path, self.bodies = str(path), bodies

    def version(self):
        if not Path(self.path).is_file():
            raise Missing(f"{self.path} is not there (make)")
        return version_of([self.path, "--version"], r"(\d\S*)")

    def body_file(self, load):
        path = self.bodies / str(load.body_bytes)
        if not path.exists():
            path.write_bytes(load.body)
        return path

    def command(self, load, port, seconds, cores):
        """For `load` as a scenario describes it."""
        command = [self.path, "--json", "--quiet", "-t", str(len(cores)),
                   "--cores", ",".join(map(str, cores)), "-c", str(load.connections)]
        # A run of a number of requests ends by time only where the server loses some.
        command += ["-n", str(load.requests), "-d", str(LOST_S)] if load.requests else ["-d", f"{seconds:g}"]
        if load.depth > 1:
            command += ["-p", str(load.depth)]
        if load.reconnect:
            command += ["--reconnect", str(load.reconnect)]
        if load.body_bytes:
            command += ["-X", "POST", "--body", f"@{self.body_file(load)}"]
        return [*command, *load.arguments, f"http://127.0.0.1:{port}{load.path}"]

    def read(self, text, complaint, status):
        if status not in (0, GENERATOR_FULL):
            raise Failure(f"covet-load ended with {status}: {last_line(complaint)}")
        try:
            found = json.loads(text)
        except ValueError:
            raise Failure(f"covet-load printed no JSON: {text[:200]!r}") from None
        kinds = {kind: count for kind, count in found["errors_by_kind"].items() if count}
        return Outcome(found["requests"], found["requests_per_s"],
                       {name: found["latency_us"][name] for name in
                        ("p50", "p75", "p90", "p99", "p99_9", "p99_99", "max")},
                       found["errors"], ", ".join(f"{kind} {count}" for kind, count in kinds.items()) or None,
                       found["generator_is_bottleneck"] or status == GENERATOR_FULL, found["seconds"])


class Wrk:
    name = "wrk"

    def version(self):
        return version_of([program("wrk"), "-v"], r"wrk (\S+)")

    def command(self, load, port, seconds, cores):
        script = ["-s", str(WRK_SCRIPT)] if load.depth > 1 else []
        depth = ["--", str(load.depth)] if load.depth > 1 else []
        return [program("wrk"), "-t", str(len(cores)), "-c", str(load.connections),
                "-d", f"{max(1, round(seconds))}s", "--latency", *script,
                f"http://127.0.0.1:{port}{load.path}", *depth]

    def read(self, text, complaint, status):
        counted = re.search(r"(\d+) requests in ([0-9.]+)s", text)
        rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
        if status != 0 or not counted or not rate:
            raise Failure(f"wrk ended with {status}: {last_line(complaint + text)}")
        bad = re.search(r"(?:Socket errors|Non-2xx)[^\n]*", text)
        return Outcome(int(counted.group(1)), float(rate.group(1)),
                       {f"p{percent}": wrk_us(text, percent) for percent in (50, 75, 90, 99)},
                       sum(map(int, re.findall(r"\d+", bad.group()))) if bad else 0,
                       bad.group() if bad else None, False, float(counted.group(2)))


def wrk_us(text, percent):
    value, unit = re.search(rf"^\s+{percent}%\s+([0-9.]+)(us|ms|s)$", text, re.M).groups()
    return float(value) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


class H2load:
    name = "h2load"

    def version(self):
        return version_of([program("h2load"), "--version"], r"nghttp2/(\S+)")

    def command(self, load, port, seconds, cores):
        return [program("h2load"), "--h1", "-t", str(len(cores)), "-c", str(load.connections),
                "-m", str(load.depth), "-D", f"{max(1, round(seconds))}",
                f"http://127.0.0.1:{port}{load.path}"]

    def read(self, text, complaint, status):
        rate = re.search(r"finished in [0-9.]+m?s, ([0-9.]+) req/s", text)
        counted = re.search(r"(\d+) succeeded, (\d+) failed", text)
        if status != 0 or not counted or not rate:
            raise Failure(f"h2load ended with {status}: {last_line(complaint + text)}")
        failed = int(counted.group(2))
        return Outcome(int(counted.group(1)), float(rate.group(1)), {}, failed,
                       counted.group() if failed else None, False, 0)


def run(generator, load, port, seconds, cores, priority=False, around=()):
    """One run of the load against a port. `around` is put in front of the command line (a program that
    counts while the load runs). Raises Failure."""
    command = generator.command(load, port, seconds, cores)
    process = begin([*around, *command], cores, priority, text=True, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    with process:
        try:
            text, complaint = process.communicate(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            raise Failure(f"{generator.name} did not end by itself") from None
        finally:
            if process.poll() is None:
                end(process)
    return generator.read(text, complaint, process.returncode)


def capture(generator, load, cores):
    """The very bytes of one request, as the generator sends it, with {port} in the place of the port."""
    load = replace(load, connections=1, depth=1, requests=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        process = begin(generator.command(load, port, 1, cores), cores, stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            while True:  # Some generators first try whether there is a server, and say nothing.
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(5)
                    if connection.recv(1, socket.MSG_PEEK):
                        return read_request(connection).replace(f":{port}".encode(), b":{port}", 1)
        except OSError as error:
            raise Failure(f"{generator.name} sends no request: {error}") from None
        finally:
            end(process)


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head_bytes = data.index(b"\r\n\r\n") + 4
    length = re.search(rb"^content-length:\s*(\d+)", data[:head_bytes], re.I | re.M)
    total = head_bytes + (int(length.group(1)) if length else 0)
    while len(data) < total:
        data += receive(connection)
    return data[:total]


def receive(connection):
    data = connection.recv(65536)
    if not data:
        raise OSError("the connection ended within a request")
    return data


@contextlib.contextmanager
def idle_connections(server, request, count):
    """Holds `count` connections open that have had one answer each, and lets the server settle."""
    with contextlib.ExitStack() as held:
        try:
            open_idle(held, server.port, request, count)
        except OSError as error:
            raise Failure(f"does not hold {count} idle connections: {error}") from None
        if count:
            settle(server)
        yield


def open_idle(held, port, request, count):
    for first in range(0, count, 100):
        some = [held.enter_context(socket.create_connection(("127.0.0.1", port), 10))
                for _ in range(min(100, count - first))]
        for connection in some:
            connection.sendall(request)
        for connection in some:
            receive(connection)


def settle(server, seconds_max=3):
    """Waits until the server has no more than a twentieth of a core to do."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        before = procfs.usage(server.pids)
        time.sleep(0.1)
        if procfs.usage(server.pids).since(before).cpu_ns < 0.05 * 0.1e9:
            return


def available(generators):
    """({name: version}, [{"name", "reason"}]) of load generators."""
    versions, skipped = {}, []
    for generator in generators:
        try:
            versions[generator.name] = generator.version()
        except Missing as missing:
            skipped.append({"name": generator.name, "reason": str(missing)})
    return versions, skipped
