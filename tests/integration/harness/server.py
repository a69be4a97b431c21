"""One covet under test: started on a free port, waited for, stopped, and judged by what it logged.

`with Server(env) as server:` fails the test unless the server comes up, ends with status 0 within
the drain limit after TERM, and logs nothing that looks like a crash or a sanitizer report.
"""

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

from harness import Skip, names, procfs
from harness.client import Client, get_bytes

LAUNCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.py")
PR_SET_CHILD_SUBREAPER = 36


def run(env, *arguments, timeout_s=20.0, how=None, fds=(), environment=None):
    """Runs covet to its end; gives (exit status, stdout, stderr, seconds)."""
    started = time.monotonic()
    command = [env.covet, *arguments]
    if how:
        command = [sys.executable, LAUNCH, json.dumps(how)] + command
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=timeout_s * env.slack,
            pass_fds=fds,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        raise AssertionError(f"{arguments} still runs after {timeout_s} s; stderr: {late.stderr!r}")
    return (
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
        time.monotonic() - started,
    )


class Server:
    """port or listen: where; cores None leaves --cores out; how: see launch.py; stdout, stderr: where
    they go instead (nothing is read there); other options as given."""

    def __init__(
        self,
        env,
        *options,
        listen=None,
        cores="0",
        how=None,
        fds=(),
        environment=None,
        address=None,
        may_crash=False,
        stop_limit_s=8.0,
        exits=(0,),
        stdout=None,
        stderr=None,
    ):
        self.env, self.how, self.fds, self.environment = env, how, fds, environment or {}
        self.may_crash, self.stop_limit_s, self.exits = may_crash, stop_limit_s, exits
        self.stdout, self.stderr = stdout, stderr
        self.process, self.stopped, self.successors = None, False, []
        self.log_path = env.path(f"log.{id(self)}")
        self.port = None
        if listen is None:
            self.port = env.free_port()
            listen = [f"127.0.0.1:{self.port}"]
        self.address = address or listen_address(listen[0])
        self.options = [word for item in listen for word in ("--listen", item)]
        self.options += ["--cores", cores] if cores is not None else []
        self.options += list(options)
        # On a busy machine work waits by no fault of the server's, and is shed: only when asked for.
        if names.LAG_MAX not in options:
            self.options += [names.LAG_MAX, "0"]
        # A profiler costs a start-up's worth of CPU and slows everybody's system calls: only when asked for.
        if "--profile" not in options:
            self.options += ["--profile", "off"]

    def __enter__(self):
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, error, _):
        if error is not None:
            self.kill()
            if not isinstance(error, Skip):
                error.log_tail = self.log()[-1500:]
            return
        if not self.stopped:
            self.stop()

    def start(self):
        # Processes that a hand-over leaves without a parent come to us, so that none is missed.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        command = [self.env.covet, *self.options]
        if self.how:
            command = [sys.executable, LAUNCH, json.dumps(self.how)] + command
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log if self.stdout is None else self.stdout,
                stderr=log if self.stderr is None else self.stderr,
                env={**os.environ, **self.environment},
                pass_fds=self.fds,
            )

    def wait_ready(self, limit_s=20.0):
        deadline = time.monotonic() + limit_s * self.env.slack
        while time.monotonic() < deadline:
            assert (
                self.process.poll() is None
            ), f"ended with {self.process.returncode} at start: {self.log()[-800:]}"
            try:
                with Client(self.address, 1.0) as client:
                    client.send(get_bytes("/healthz", "Connection: close"))
                    client.read_final()
                    client.rest()
                    # The first answer may come before the supervisor knows that the server is up.
                    if self.stderr is not None or re.search(names.STARTED, self.log()):
                        return
            except Exception:
                time.sleep(0.02)
        raise AssertionError(f"does not answer after {limit_s} s: {self.log()[-800:]}")

    @property
    def pid(self):
        """The supervisor."""
        return self.process.pid

    @property
    def server_pid(self):
        """The supervisor's child that serves: the one with a worker thread."""
        return next((pid for pid in procfs.children(self.pid) if has_workers(pid)), None)

    @property
    def admin_path(self):
        """Of the socket that is there unless --admin says otherwise; asking it is no request served."""
        return re.search(r" run=(\S+)", self.log())[1] + "/admin"

    def worker_tasks(self):
        pid = self.server_pid
        return [
            task
            for task in procfs.tasks(pid)
            if re.match(names.WORKER_THREAD, procfs.name(pid, task))
        ]

    def log(self):
        return procfs.read(self.log_path)

    def signal(self, number):
        os.kill(self.pid, number)

    def client(self, **options):
        return Client(self.address, **options)

    def touch_buffers(self, connections=1):
        """Receives into every receive buffer of the workers these connections reach: the kernel lends
        them in turn, and their pages are counted once they were used."""
        for _ in range(connections):
            with self.client() as client:
                for _ in range(names.RECEIVE_BUFFERS):
                    client.get("/healthz")

    def family(self):
        """Every supervisor of this covet: after a hand-over also the new one, a child of the
        old."""
        found, waiting = [], procfs.children(os.getpid())
        while waiting:
            pid = waiting.pop()
            words = procfs.read(f"/proc/{pid}/cmdline").split("\0")
            if words[0] == self.env.covet and not has_workers(pid) and is_of_our_user(pid):
                found.append(pid)
            waiting += procfs.children(pid)
        return found

    def tell_to_stop(self, told):
        """Supervisors still alive, each of them with a TERM by now. `told` remembers who got it: a
        hand-over's new supervisor changes its parent when the old one ends, and one look at the
        tree of processes can miss it in that moment."""
        alive = [pid for pid in self.family() if procfs.is_alive(pid)]
        for pid in set(alive) - told:
            with contextlib.suppress(ProcessLookupError):  # Ended by itself just now.
                os.kill(pid, signal.SIGTERM)
        told.update(alive)
        return alive

    def stop(self):
        """TERM, then status 0 in time and a log without a crash. Gives the seconds it took."""
        self.stopped = True
        started = time.monotonic()
        told = set()
        if not self.tell_to_stop(told):
            self.process.send_signal(signal.SIGTERM)
        limit_s = self.stop_limit_s * self.env.slack
        try:
            status = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {limit_s} s after TERM: {self.log()[-800:]}")
        took_s = time.monotonic() - started
        if not procfs.wait_for(lambda: not self.tell_to_stop(told), 3.0):
            self.kill()
            raise AssertionError("processes left behind after the stop")
        assert status in self.exits, f"exit status {status} after TERM: {self.log()[-800:]}"
        self.check_log()
        return took_s

    def check_log(self):
        bad = [line for line in self.log().splitlines() if re.search(names.FATAL_LOG, line, re.I)]
        if self.may_crash:
            caused = f"{names.CRASH_LINE}|{names.CRASH_OF_SANITIZED}|{names.MEMORY_ERROR}"
            bad = [line for line in bad if not re.search(caused, line)]
        assert not bad, f"log: {bad[:3]}"

    def kill(self):
        """Ends everything of this covet at once; nothing is checked."""
        self.stopped = True
        if self.process is None:
            return
        mine = self.family() + [self.pid]
        for pid in [child for parent in mine for child in procfs.children(parent)] + mine:
            if procfs.is_alive(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.wait(5)


def is_of_our_user(pid):
    """A server whose workers have ended, and what LeakSanitizer looks through it with, is not, where it
    has given up root."""
    return procfs.status(pid).get("Uid", "-1").split()[0] == str(os.getuid())


def has_workers(pid):
    return any(re.match(names.WORKER_THREAD, procfs.name(pid, task)) for task in procfs.tasks(pid))


def listen_address(listen):
    """The client's address for a --listen value."""
    if listen.startswith("unix:"):
        return listen[5:]
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port))


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False
