"""What the profiler counts, against a program that does what it is told, and against covet."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

from harness import Skip, limit_s, measured, names, needs_root, procfs, profile
from harness.client import get_once
from harness.server import Server

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.join(HERE, "profile/target.c")
INCLUDE = os.path.join(HERE, "../../include")
NEVER_CALLED = ("read", "write", "sendto", "recvfrom")


class Target:
    """profile/target.c: one thread, covet-w0, that obeys."""

    def __init__(self, env, backlog=16):
        program = env.path("target")
        build = ["cc", "-O2", "-D_GNU_SOURCE", f"-I{INCLUDE}", SOURCE, "-o", program, "-luring", "-pthread"]
        if not shutil.which("cc") or subprocess.run(build, capture_output=True).returncode:
            raise Skip("target.c cannot be built here")
        self.environment = {"XDG_RUNTIME_DIR": env.directory}
        self.process = subprocess.Popen([program, str(backlog)], stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE, env={**os.environ, **self.environment})
        self.pid = self.process.pid
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        assert said == "ok\n", (command, said)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)


class Profiler:
    """covet-prof attached to a process, with a directory of its own."""

    def __init__(self, env, target, level=2):
        self.directory = profile.pin_dir(env, "counts")
        command = [profile.program(env), "attach", "-p", str(target.pid), "--level", str(level),
                   "--pin-dir", self.directory]
        environment = {**os.environ, **getattr(target, "environment", {})}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stderr.readline()
        assert f"on level={level}" in line, line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.process.stderr.close()

    def row(self, name, **key):
        """One value of a map; None where it has no such key."""
        return next((value for found, value in profile.rows(self.directory, name) if found == key), None)

    def calls(self, syscall, field="count", worker=0):
        row = self.row("syscall_stats", worker=worker, syscall=f"SYS_{syscall}")
        return row and row[field]

    def operation(self, opcode, *fields, worker=0):
        row = self.row("uring_stats", worker=worker, opcode=f"IORING_OP_{opcode}")
        return row and tuple(row[field] for field in fields)

    def worker(self, index=0):
        return next(value for key, value in profile.rows(self.directory, "worker_stats") if key == index)

    def net(self, port):
        rows = profile.rows(self.directory, "net_stats")
        return {key["event"]: value for key, value in rows if key["port"] == port}

    def listeners(self, port):
        """(queue, max, drops) of each listening socket."""
        with open(f"{self.directory}/listeners", encoding="ascii") as file:
            rows = [tuple(int(word) for word in line.split()) for line in file.readlines()[1:]]
        return [row[1:] for row in rows if row[0] == port]


def check_all_counts(target, profiler):
    """A bit of everything, exactly."""
    target.tell("calls 1000")
    assert profiler.calls("getppid") == 1000
    assert profiler.calls("getppid", "errors") == 0
    target.tell("nops 50 2")
    assert profiler.operation("NOP", "submitted", "completed", "punted", "errors") == (50, 50, 25, 0)
    target.tell("invalid")
    row = profiler.operation("NOP", "submitted", "completed", "punted", "errors", "last_error")
    assert row == (51, 51, 25, 1, -22), row
    target.tell("sqpoll 30")
    assert profiler.operation("NOP", "submitted", "completed") == (81, 81)
    target.tell("poll 7")
    row = profiler.operation("POLL_ADD", "submitted", "completed", "multishot_cqes")
    assert row == (1, 7, 7), row
    assert profiler.calls("write") >= 7


@needs_root
@limit_s(60)
def test_known_calls_and_operations_are_counted_exactly(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        for name in ("io_uring_enter", *NEVER_CALLED):
            assert profiler.calls(name) == 0, name
        check_all_counts(target, profiler)


@needs_root
@limit_s(60)
def test_level_3_times_what_it_counts(env):
    with Target(env) as target, Profiler(env, target, level=3) as profiler:
        check_all_counts(target, profiler)
        # Of two requests under way that meet in one place of the table the older is not timed.
        timed = profiler.row("uring_latency", worker=0, opcode="IORING_OP_NOP")
        assert 70 <= sum(timed.values()) <= 80, timed
        timed = profiler.row("syscall_latency", worker=0, syscall="SYS_getppid")
        assert sum(timed.values()) == 1000, timed
        assert profiler.operation("NOP", "avg_ns")[0] > 0


@needs_root
@limit_s(60)
def test_level_1_counts_rings_without_calls(env):
    with Target(env) as target, Profiler(env, target, level=1) as profiler:
        target.tell("nops 50 2")
        assert profiler.operation("NOP", "submitted", "completed", "punted") == (50, 50, 25)
        target.tell("serve 20")
        target.tell("sleep 1")
        assert profiler.worker()["requests"] == 20
        assert "syscall_stats" not in profile.maps(profiler.directory)


@needs_root
@limit_s(60)
def test_requests_are_the_servers_own_number(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        for _ in range(10):
            target.tell("serve 100")
        worker = profiler.worker()
        # The tenth call of io_uring_enter is that which told of the last requests.
        assert worker["requests"] == 1000 and worker["io_uring_enters"] == 9, worker
        assert worker["syscalls_per_1000_requests"] == worker["syscalls"], worker
        assert worker["name"] == "covet-w0", worker


@needs_root
@limit_s(60)
def test_a_thread_is_a_worker_from_its_name_on(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        target.tell("worker covet-w7 12")
        assert profiler.calls("getppid", worker=7) == 12
        # Another thread of a name that is taken is some other thread, and so is one with no such name.
        target.tell("worker covet-w0 5")
        target.tell("worker covet-web 6")
        assert profiler.calls("getppid") is None
        row = profiler.row("other_syscall_stats", role="COVET_OTHER", syscall="SYS_getppid")
        assert row["count"] == 11, row


@needs_root
@limit_s(60)
def test_the_time_of_a_call_is_split(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        target.tell("sleep 120")
        awake = profiler.calls("clock_nanosleep", "busy_ns")
        asleep = profiler.calls("clock_nanosleep", "blocked_ns")
        # A machine that stands still between call and sleep makes it busy.
        measured(asleep >= 100_000_000 > 20_000_000 * env.slack > awake > 0, (awake, asleep))
        sched = next(value for key, value in profile.rows(profiler.directory, "sched_stats") if key == 0)
        assert sched["voluntary_switches"] >= 1 and sched["waiting_ns"] >= 100_000_000, sched


@needs_root
@limit_s(60)
def test_tcp_events_are_told_by_port(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        client = target.connect()
        target.tell("accept 1")
        client.close()
        with target.connect() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        target.tell("accept 1")
        expected = {"TCP_ACCEPTED": 2, "TCP_RESET_RECEIVED": 1, "TCP_CLOSED": 2}
        assert procfs.wait_for(lambda: profiler.net(target.port) == expected, 3), profiler.net(target.port)


@needs_root
@limit_s(60)
def test_a_full_accept_queue_shows_in_listeners(env):
    with Target(env, backlog=0) as target, Profiler(env, target) as profiler:
        assert profiler.listeners(target.port) == [(0, 0, 0)]
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", target.port))
        assert procfs.wait_for(lambda: profiler.listeners(target.port)[0][2] >= 3, 2)
        assert profiler.listeners(target.port)[0][:2] == (1, 0)
        for client in clients:
            client.close()


@needs_root
@limit_s(60)
def test_the_noise_of_others_changes_nothing(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        target.tell("calls 10")
        names = ("syscall_stats", "uring_stats", "net_stats", "drop_reasons")
        before = {name: profile.rows(profiler.directory, name) for name in names}
        with Target(env) as noise:
            noise.tell("calls 1000")
            noise.tell("nops 50 2")
            with noise.connect():
                noise.tell("accept 1")
            noise.tell("worker covet-w0 100")
        assert {name: profile.rows(profiler.directory, name) for name in names} == before


@needs_root
@limit_s(90)
def test_the_same_in_a_pid_namespace(env):
    """This file once more, as the first process of a namespace."""
    if not shutil.which("unshare"):
        raise Skip("no unshare")
    command = ["unshare", "-pf", "--mount-proc", sys.executable, os.path.join(HERE, "run.py"), "--covet",
               env.covet, "-k", "known_calls_and_operations"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_root
@limit_s(60)
def test_covets_requests_receives_and_sends_are_exact(env):
    with Server(env, "--workers", "1") as server:
        with Profiler(env, server) as profiler:
            for _ in range(200):
                assert get_once(server.address).status == 200
            assert procfs.wait_for(lambda: profiler.worker()["requests"] == 200, 2), profiler.worker()
            received, more = profiler.operation("RECV", "completed", "multishot_cqes")
            # One completion for the request, one for the end.
            assert (received, more) == (400, 200), (received, more)
            assert profiler.operation("SEND", "submitted") == (200,)
            for name in NEVER_CALLED:
                assert profiler.calls(name) == 0, name
            worker = profiler.worker()
            assert worker["syscalls"] == worker["io_uring_enters"], worker


@needs_root
@limit_s(60)
def test_one_time_out_stands_for_all_waits(env):
    """A lone client's worker sleeps before each request, and wakes for the client's idle time-out at last."""
    with Server(env, "--workers", "1", names.IDLE_TIMEOUT, "1") as server:
        with Profiler(env, server) as profiler, server.client() as client:
            for _ in range(200):
                assert client.get("/").status == 200
            assert client.rest(timeout_s=8) == b""
            counts = [profiler.operation(name, "submitted") or (0,) for name in ("TIMEOUT", "TIMEOUT_REMOVE")]
            assert 1 <= sum(count for count, in counts) < 20, counts


@needs_root
@limit_s(60)
def test_a_killed_profiler_leaves_maps_and_no_programs(env):
    with Target(env) as target, Profiler(env, target) as profiler:
        numbers = profile.programs(profiler.process.pid)
        assert len(numbers) > 15, numbers
        target.tell("calls 5")
        profiler.process.send_signal(signal.SIGKILL)
        profiler.process.wait(20)
        assert procfs.wait_for(lambda: profile.are_gone(numbers), 3), "attached still"
        names = profile.maps(profiler.directory)
        assert procfs.wait_for(lambda: "listeners" not in profile.maps(profiler.directory), 3), names
        target.tell("calls 5")
        assert profiler.calls("getppid") == 5
        with Profiler(env, target) as second:
            target.tell("calls 3")
            assert second.calls("getppid") == 3
    assert not os.path.exists(profiler.directory)
