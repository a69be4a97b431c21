"""The covet that is soaked: its configuration, its processes, its log, what it says on its admin address.

It outlives hand-overs: `pid` is the supervisor in charge, `server_pid` the process that serves for it.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from connection import Ended, WireError
from harness import metrics, names, procfs
from harness.client import Client, Silence
from harness.server import PR_SET_CHILD_SUBREAPER, has_workers
from rude import HEADER_TIMEOUT_S, WRITE_TIMEOUT_S
from truth import IDLE_TIMEOUT_S

ROOT = Path(__file__).resolve().parent.parent.parent
DRAIN_S = 15
STARTED = r"event=start\b"
STEP_S = 0.02
# What is freed goes back to the kernel at once, so that memory is what somebody holds.
GIVE_BACK = "glibc.malloc.mmap_threshold=262144:glibc.malloc.trim_threshold=131072"
ASK_LIMIT_S = 10.0
PROFILER_END_S = 3.0


class Trouble(Exception):
    """The server did not do what it was told in time."""


class Covet:
    """program: the covet; directory: everything it reads and writes; profile: the level, or "off"."""

    def __init__(self, program, directory, port, slack):
        self.program, self.directory, self.slack = os.path.abspath(program), directory, slack
        self.is_sanitized = "asan" in self.program or "tsan" in self.program
        self.settings = {
            "listen": [f"127.0.0.1:{port}", f"unix:{directory}/socket"],
            "workers": 2,
            "module": f"{directory}/application.so",
            "admin": f"unix:{directory}/admin",
            "access-log": f"{directory}/access",
            "header-timeout": HEADER_TIMEOUT_S,
            "idle-timeout": IDLE_TIMEOUT_S,
            "write-timeout": WRITE_TIMEOUT_S,
            "drain": DRAIN_S,
            "profile": "off",
            "lag-max": 0,  # On a busy machine work waits by no fault of the server's, and would be shed.
        }
        self.addresses = [("127.0.0.1", port), f"{directory}/socket"]
        self.admin, self.access_log = f"{directory}/admin", f"{directory}/access"
        self.pin_dir = f"/sys/fs/bpf/covet-soak-{os.getpid()}"
        self.log_path, self.log_offset, self.log_lines = f"{directory}/log", 0, []
        self.process, self.pid, self.server_pid, self.pids = None, None, None, []

    # What it reads.
    def build(self):
        """Both versions of the application, beside each other."""
        source = ROOT / "tests/soak/application.c"
        flags = ["-fsanitize=address"] if "asan" in self.program else []
        flags += ["-fsanitize=thread"] if "tsan" in self.program else []
        for version in ("1", "2"):
            library = f"{self.directory}/application{version}.so"
            command = ["gcc", "-shared", "-fPIC", "-O2", "-Wall", *flags, f"-I{ROOT}/include"]
            command += [f"-DSOAK_VERSION={version}", "-o", library, str(source)]
            subprocess.run(command, check=True)
        self.install("1")

    def install(self, version):
        """Makes this version the module on disk, at once."""
        new = f"{self.directory}/new.so"
        shutil.copyfile(f"{self.directory}/application{version}.so", new)
        os.replace(new, f"{self.directory}/application.so")

    def configure(self, **changes):
        self.settings.update({key.replace("_", "-"): value for key, value in changes.items()})
        lines = []
        for key, value in self.settings.items():
            lines += [f"{key} = {one}\n" for one in (value if isinstance(value, list) else [value])]
        self.write_config("".join(lines))

    def write_config(self, text):
        new = f"{self.directory}/config.new"
        Path(new).write_text(text)
        os.replace(new, f"{self.directory}/config")

    # What it says.
    def read_log(self):
        """All lines so far."""
        with open(self.log_path, errors="replace") as file:
            file.seek(self.log_offset)
            text = file.read()
        whole, _, _ = text.rpartition("\n")
        if whole:
            self.log_lines += whole.split("\n")
            self.log_offset += len(whole.encode()) + 1
        return self.log_lines

    async def wait(self, condition, limit_s, what):
        """The true value of condition(), which is asked again and again."""
        deadline = time.monotonic() + limit_s * self.slack
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise Trouble(f"{what}: not within {limit_s * self.slack:g} s")
            await asyncio.sleep(STEP_S)
        return value

    async def wait_line(self, pattern, since, limit_s):
        """The first line of the log behind number `since` with this pattern."""

        def found():
            return next((line for line in self.read_log()[since:] if re.search(pattern, line)), None)

        return await self.wait(found, limit_s, f"no line {pattern!r}")

    def ask(self, method, target):
        """The admin address: status and text. Blocks for as long as it takes."""
        return self.ask_at(self.admin, method, target)

    def ask_at(self, address, method, target):
        try:
            with Client(address, timeout_s=ASK_LIMIT_S * self.slack) as client:
                client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                response = client.read_final()
        except (OSError, Ended, Silence, WireError) as error:
            raise Trouble(f"{method} {target} at {address}: {type(error).__name__}: {error}") from None
        return response.status, response.body.decode()

    async def samples(self):
        """/metrics, parsed."""
        status, text = await asyncio.to_thread(self.ask, "GET", "/metrics")
        if status != 200:
            raise Trouble(f"/metrics answers {status}")
        return metrics.parse(text)

    # Its processes.
    async def start(self):
        """Processes that a hand-over leaves without a parent come to this one."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.configure()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "--config", f"{self.directory}/config"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "COVET_PIN_DIR": self.pin_dir, "GLIBC_TUNABLES": GIVE_BACK},
            )
        self.take_charge(self.process.pid)
        await self.wait_line(STARTED, 0, 10)
        self.find_server()

    def take_charge(self, pid):
        self.pid = pid
        self.pids.append(pid)

    def find_server(self):
        self.server_pid = next((pid for pid in procfs.children(self.pid) if has_workers(pid)), None)
        return self.server_pid

    def tell(self, number):
        os.kill(self.pid, number)

    async def reload(self):
        """HUP, until every worker serves what was read."""
        since = len(self.read_log())
        self.tell(signal.SIGHUP)
        await self.wait_line(names.RELOADED, since, 10)

    async def hand_over(self):
        """USR2, until the new process serves alone; gives the seconds the old one stayed."""
        since, old = len(self.read_log()), self.pid
        started = time.monotonic()
        self.tell(signal.SIGUSR2)
        line = await self.wait_line(r"event=(handed_over|upgrade_failed)", since, 30)
        if "handed_over" not in line:
            raise Trouble(line)
        self.take_charge(int(re.search(r"pid=(\d+)", line)[1]))
        await self.wait(lambda: self.is_over(old), DRAIN_S + 5, "the old server does not end")
        self.find_server()
        return time.monotonic() - started

    def is_over(self, pid):
        """Whether this supervisor has ended, as it should."""
        if pid == self.process.pid:
            status = self.process.poll()
        else:
            done, status = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(status) if done else None
        if status not in (None, 0):
            raise Trouble(f"supervisor {pid} ended with {status}")
        return status == 0

    async def crash(self):
        """SIGSEGV for the server; gives the seconds until another one serves."""
        since, old, killed = len(self.read_log()), self.server_pid, time.monotonic()
        os.kill(old, signal.SIGSEGV)
        await self.wait_line(r"event=server_died", since, 10)
        await self.wait(lambda: self.find_server() not in (None, old), 10, "no other server")
        await self.wait(self.is_serving, 10, "the next server does not answer")
        return time.monotonic() - killed

    def is_serving(self):
        try:
            return self.ask_at(self.addresses[0], "GET", "/pending")[0] == 200
        except Trouble:
            return False

    async def stop(self):
        """TERM; gives the seconds it took."""
        started = time.monotonic()
        self.tell(signal.SIGTERM)
        await self.wait(lambda: self.is_over(self.pid), DRAIN_S + 5, "does not end after TERM")
        return time.monotonic() - started

    def kill(self):
        """Ends whatever is left of it."""
        for pid in self.family():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def family(self):
        """Every process of it that is alive."""
        found, waiting = [], list(self.pids)
        while waiting:
            pid = waiting.pop()
            words = procfs.read(f"/proc/{pid}/cmdline").split("\0")
            if words[0] == self.program or words[0].endswith("covet-prof"):
                found.append(pid)
            waiting += procfs.children(pid)
        return [pid for pid in found if procfs.is_alive(pid)]

    def leftovers(self):
        """What should be gone after the end, and is not. The profiler ends a moment later than covet."""
        paths = [*(f"/run/covet/{pid}" for pid in self.pids), self.admin, self.addresses[1], self.pin_dir]

        def left():
            found = [path for path in paths if os.path.exists(path)]
            return found + [f"process {pid}" for pid in self.family()]

        procfs.wait_for(lambda: not left(), PROFILER_END_S * self.slack)
        return left()
