"""Servers that run: covet, an earlier covet, the do-nothing responder and the peers, all started alike."""
import contextlib
import http.client
import importlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from harness import procfs
from harness.peer import PEERS, ROOT, Missing, Peer, Place, version_of

START_SECONDS_MAX = 40  # A Python environment reads thousands of files at its first start.
END_SECONDS_MAX = 8
EVERYTHING = frozenset({"hello", "json", "params", "echo", "close"})


class Covet(Peer):
    title = "covet"
    serves = EVERYTHING
    kind = "covet"

    def __init__(self, program, name="covet"):
        self.program, self.name = str(program), name
        if name != "covet":
            self.kind, self.title, self.note = name, "covet, earlier", "an earlier build, given with --base"

    def installed(self):
        if not os.access(self.program, os.X_OK):
            raise Missing(f"{self.program} is not there (make)")
        return version_of([self.program, "--version"], r"covet (\S+)")

    def command(self, place):
        # Without its profiler, which would slow everybody's system calls; an earlier build has none.
        profile = ["--profile", "off"] if self.has_profile() else []
        return [self.program, "--cores", ",".join(map(str, place.cores)),
                "--listen", f"127.0.0.1:{place.port}", *profile, "--log-level", "warn"]

    def has_profile(self):
        done = subprocess.run([self.program, "--help"], capture_output=True, text=True, timeout=20)
        return "--profile" in done.stdout


class Limit(Peer):
    """perf/limit with what stands for a scenario, and with the choices of one variant."""

    title = "do-nothing responder"
    serves = EVERYTHING
    kind = "limit"

    def __init__(self, program, name, arguments, note=""):
        self.program, self.name, self.arguments, self.note = str(program), name, list(arguments), note

    def installed(self):
        if not os.access(self.program, os.X_OK):
            raise Missing(f"{self.program} is not there (make)")
        return ""

    def command(self, place):
        # It pins its workers to neighbouring cores; to others it is pinned as a whole.
        neighbours = place.cores == tuple(range(place.cores[0], place.cores[0] + place.workers))
        core = ["--core", str(place.cores[0])] if neighbours else []
        return [self.program, "--port", str(place.port), "--workers", str(place.workers), *core,
                *self.arguments]


def find_peers(folder=PEERS):
    """One of each subclass of Peer that the files of perf/peers/ define, by name."""
    found = []
    for path in sorted(folder.glob("*.py")):
        module = importlib.import_module(f"peers.{path.stem}")
        found += [value() for value in vars(module).values()
                  if isinstance(value, type) and issubclass(value, Peer)
                  and value.__module__ == module.__name__]
    return sorted(found, key=lambda peer: peer.name)


def split_installed(peers):
    """({name: version} of those that are here, [{"name", "reason"}] of those that are not)."""
    versions, skipped = {}, []
    for peer in peers:
        try:
            versions[peer.name] = peer.installed()
        except Missing as missing:
            skipped.append({"name": peer.name, "reason": str(missing)})
    return versions, skipped


def free_port():
    """Below the ephemeral range, always five digits, so that a request is as long for every server."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def begin(command, cores, priority=False, **options):
    """Starts a pinned process in a session of its own. Where the kernel shares a core out by session
    first (autogroup), nice alone would not put it ahead of anyone."""
    process = subprocess.Popen(["taskset", "-c", ",".join(map(str, cores)), *command],
                               start_new_session=True, **options)
    if priority:
        os.setpriority(os.PRIO_PROCESS, process.pid, -20)
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text("-20")
    return process


def end(process):
    """Ends a process and all below it, by their ids."""
    tree = procfs.process_tree(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS_MAX)
    for pid in tree:
        # Only what is still of this session: an id may have been given away meanwhile.
        with contextlib.suppress(OSError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.wait()


class Failure(Exception):
    """Why a server takes no part, or no further part, in a scenario."""


class Server:
    """One running server. `pids` are its processes once it is ready."""

    def __init__(self, peer, version, cores, connections_max, priority=False):
        self.peer, self.version = peer, version
        self.name, self.kind = peer.name, getattr(peer, "kind", "peer")
        self.directory = Path(tempfile.mkdtemp(prefix="covet-compare-"))
        self.directory.chmod(0o755)
        self.place = Place(self.directory, free_port(), tuple(cores), connections_max)
        self.port = self.place.port
        self.printed = ""
        self.stopped = False
        self.process = None
        self.pids = set()
        self.start(priority)

    def start(self, priority):
        self.peer.prepare(self.place)
        self.command = [str(part) for part in self.peer.command(self.place)]
        with open(self.directory / "stdout", "wb") as out, open(self.directory / "stderr", "wb") as err:
            self.process = begin(self.command, self.place.cores, priority, stdout=out, stderr=err,
                                 stdin=subprocess.DEVNULL, cwd=self.directory,
                                 env={**os.environ, **self.peer.environment(self.place)})

    def quoted(self):
        """Its command line as a report has it: what is another in every run goes by a name."""
        text = " ".join(self.command).replace(str(self.port), "PORT")
        return text.replace(str(self.directory), "DIRECTORY").replace(f"{ROOT}/", "")

    def said(self):
        """The last line it wrote, for a message."""
        lines = ((self.directory / "stderr").read_text(errors="replace")
                 + (self.directory / "stdout").read_text(errors="replace")).strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def wait_ready(self, deadline):
        """Until it accepts. Raises Failure."""
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"ended at its start with {self.process.returncode}{self.said()}")
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self.pids = procfs.process_tree(self.process.pid)
                return
            time.sleep(0.02)
        raise Failure(f"did not accept within {START_SECONDS_MAX} s{self.said()}")

    def stop(self):
        if self.stopped:
            return
        self.stopped = True
        end(self.process)
        self.printed = (self.directory / "stdout").read_text(errors="replace")
        shutil.rmtree(self.directory, ignore_errors=True)

    def metric(self, name):
        """The sum of a counter that covet itself keeps; None for others."""
        if self.kind not in ("covet", "base"):
            return None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return metric_sum(answer.read().decode(), name)

    def printed_counts(self):
        """What the do-nothing responder printed at its end; {} for others."""
        lines = self.printed.strip().splitlines()
        return json.loads(lines[-1]) if self.kind == "limit" and lines and lines[-1][:1] == "{" else {}


def metric_sum(text, name):
    values = re.findall(rf"^{name}(?:\{{[^}}]*\}})?\s+([0-9.eE+]+)", text, re.MULTILINE)
    return sum(map(float, values)) if values else None


@contextlib.contextmanager
def running(peers, versions, cores, connections_max, priority=False):
    """All of `peers`, started side by side: (servers that are ready, {name: why it failed}). All have
    ended when the block is left."""
    servers, ready, failed = [], [], {}
    try:
        for peer in peers:
            try:
                servers.append(Server(peer, versions[peer.name], cores, connections_max, priority))
            except (Missing, OSError, ValueError) as error:
                failed[peer.name] = str(error)
        deadline = time.monotonic() + START_SECONDS_MAX
        for server in servers:
            try:
                server.wait_ready(deadline)
                ready.append(server)
            except Failure as failure:
                failed[server.name] = str(failure)
        yield ready, failed
    finally:
        for server in servers:  # All are told before the first is waited for.
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGTERM)
        for server in servers:
            server.stop()


def ask(port, request, seconds=5):
    """Sends `request` as it is: (status, body, {field: value})."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request)
        answer = http.client.HTTPResponse(connection, method=request.split(b" ", 1)[0].decode())
        answer.begin()
        return answer.status, answer.read(), dict(answer.getheaders())


def check(server, scenario, request):
    """Asks `server` with the generator's own bytes; returns the bytes of its answer's body and fields.
    Raises Failure when the answer is not the scenario's."""
    try:
        status, body, fields = ask(server.port, request)
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"does not answer: {type(error).__name__} {error}") from None
    right = scenario.load.body if scenario.answer is None else scenario.answer.encode()
    if status != 200:
        raise Failure(f"answers {status}")
    if server.kind == "limit":
        same = len(body) == len(right)  # It says always the same, as long as the right answer.
    elif scenario.answer_is_json:
        try:
            same = json.loads(body) == json.loads(right)
        except ValueError:
            same = False
    else:
        same = body == right
    if not same:
        raise Failure(f"answers {body[:60]!r} ({len(body)} bytes), not {right[:60]!r} ({len(right)} bytes)")
    return len(body), sorted(fields)
