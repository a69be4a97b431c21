"""Deaths: of a worker's thread, of the server, of the supervisor, at the worst moments; and suspensions."""

import contextlib
import os
import re
import shutil
import signal
import threading
import time

from harness import Skip, faults, limit_s, measured, names, needs_root, procfs
from harness.client import Client, Ended, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

RESTART_LIMIT_S = 1.0
CRASHER = """
#include <covet.h>
#include <signal.h>
#include <unistd.h>
COVET_MODULE;
static void answer(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "VERSION");
}
int covet_module_init(struct covet_app *app) {
    if (CRASHES)
        raise(SIGSEGV);
    return covet_route(app, COVET_GET, "/healthz", answer, NULL);
}
"""


def has_logged(server, pattern, count):
    return procfs.wait_for(lambda: len(re.findall(pattern, server.log())) == count, 5, 0.002)


def answering(env, name, before="0"):
    code = CRASHER.replace("CRASHES", before).replace("VERSION", name)
    return faults.module(env, name, code)


class Persistent(threading.Thread):
    """A client that connects every few milliseconds and sends again what a crash has cut, as clients do.
    `refused`: connects that failed; `cut`: answers that did not come; `gap_s`: the longest wait for one."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.refused, self.cut, self.done, self.gap_s = address, [], 0, 0, 0.0
        self.ending = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(15)

    def run(self):
        while not self.ending.is_set():
            began = time.monotonic()
            while not self.attempt() and not self.ending.is_set():
                self.cut += 1
            self.gap_s = max(self.gap_s, time.monotonic() - began)
            self.done += 1
            time.sleep(0.003)

    def attempt(self):
        try:
            client = Client(self.address, 10)
        except OSError as error:
            self.refused.append(repr(error))
            time.sleep(0.01)
            return False
        with client:
            try:
                client.send(get_bytes("/", "Connection: close"))
                return client.read().status == 200
            except (Ended, OSError):
                return False


def deaths(env, kill, signal_name, cores="0-1"):
    """Kills under that client; gives the crash line, if there is one."""
    with Server(env, cores=cores, may_crash=True) as server:
        first = server.server_pid
        with Persistent(server.address) as client:
            time.sleep(0.2)
            kill(server)
            began = time.monotonic()
            another = procfs.wait_for(lambda: server.server_pid not in (None, first), 5, 0.002)
            took_ms = (time.monotonic() - began) * 1000
            assert another, f"no new server: {server.log()}"
            time.sleep(0.3)
        measured(took_ms < RESTART_LIMIT_S * 1000 * env.slack, f"restarted after {took_ms:.0f} ms")
        assert not client.refused, client.refused[:3]
        assert client.cut <= 2, f"{client.cut} answers cut by one death"
        measured(client.gap_s < RESTART_LIMIT_S * env.slack, f"longest wait {client.gap_s * 1000:.0f} ms")
        assert f"signal={signal_name} restart_in_ms=0" in server.log(), server.log()
        print(f"{signal_name}: new server {took_ms:.0f} ms after, longest wait {client.gap_s * 1000:.0f} ms")
        return next((line for line in server.log().splitlines() if re.search(names.CRASH_LINE, line)), "")


def worker_signal(number):
    return lambda server: faults.send_to_thread(server.server_pid, server.worker_tasks()[0], number)


def test_a_killed_server_is_back_within_a_second(env):
    deaths(env, lambda server: os.kill(server.server_pid, signal.SIGKILL), "SIGKILL")


def test_a_worker_that_faults_has_last_words_and_is_replaced(env):
    if env.is_sanitized:
        raise Skip("the sanitizer has the last words")
    for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        line = deaths(env, worker_signal(number), number.name)
        assert f"signal={number.name}" in line and "thread=covet-w" in line, line
        assert re.search(names.BACKTRACE, line), line


def test_connections_in_the_queue_of_a_dead_server_are_served_by_the_next(env):
    """They connect and send while the server is stopped, and it never runs again."""
    with Server(env, may_crash=True) as server:
        faults.suspend(server.server_pid)
        clients = [server.client(timeout_s=10) for _ in range(30)]
        for client in clients:
            client.send(post_bytes("/echo", b"queued"))
        os.kill(server.server_pid, signal.SIGKILL)
        for client in clients:
            assert client.read().body == b"queued"
            client.close()


def test_a_crash_loop_waits_longer_each_time(env):
    """0, 100, 200, ... ms, and the supervisor sleeps in between."""
    with Server(env, may_crash=True) as server:
        busy_ns = faults.cpu_ns(server.pid)
        began = time.monotonic()
        for turn in range(1, 6):
            assert procfs.wait_for(lambda: server.server_pid, 5, 0.005), server.log()
            os.kill(server.server_pid, signal.SIGKILL)
            assert has_logged(server, names.SERVER_DIED, turn), server.log()
        waits = [int(ms) for ms in re.findall(names.SERVER_DIED, server.log())]
        assert waits == [0, 100, 200, 400, 800], waits
        busy = (faults.cpu_ns(server.pid) - busy_ns) / 1e9 / (time.monotonic() - began)
        measured(busy < 0.10 * env.slack, f"the supervisor takes {busy:.1%} of a core")
        assert get_once(server.address).status == 200


def test_a_reload_that_crashes_the_server_keeps_the_old_generation(env):
    module = answering(env, "old")
    with Server(env, "--module", module, may_crash=True) as server:
        first = server.server_pid
        bad = answering(env, "bad", "1")
        os.replace(bad, module)
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: server.server_pid not in (None, first), 3 * env.slack), server.log()
        for _ in range(5):
            assert get_once(server.address, "/healthz").body == b"old"
        assert names.RELOAD_FAILED in server.log()
        # And a good one is taken again.
        good = answering(env, "new")
        os.replace(good, module)
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: get_once(server.address, "/healthz").body == b"new", 3), server.log()


def test_a_crash_while_draining_ends_it_all(env):
    path = env.path("covet.sock")
    with Server(env, listen=[f"unix:{path}"], may_crash=True) as server, server.client() as client:
        client.send(post_bytes("/echo", b"x" * 100)[:-50])
        time.sleep(0.1)
        server.signal(signal.SIGTERM)
        assert procfs.wait_for(lambda: "event=drain " in server.log(), 3)
        os.kill(server.server_pid, signal.SIGKILL)
        assert server.process.wait(12 * env.slack) == 0
        server.stopped = True
        assert not os.path.exists(path) and not os.path.exists(f"/run/covet/{server.pid}")


def own_program(env):
    """A copy of covet that a test may replace."""
    path = env.path("covet")
    shutil.copy(env.covet, path)
    env.covet = path
    return path


@limit_s(60)
def test_a_hand_over_to_a_broken_binary_changes_nothing(env):
    """One that ends, one that is no program, one that is cut short, one that is not there, one killed."""
    whole = open(env.covet, "rb").read()
    path = own_program(env)
    broken = (b"#!/bin/sh\nexit 1\n", b"\x7fELF nonsense", whole[: len(whole) // 30], b"", None,
              b"#!/bin/sh\nkill -9 $$\n")
    with Server(env, may_crash=True) as server, Load(server.address, threads=2, pause_s=0.002) as load:
        first = server.server_pid
        for content in broken:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if content is not None:
                with open(path, "wb") as file:
                    file.write(content)
                os.chmod(path, 0o755)
            failures = server.log().count(names.UPGRADE_FAILED)
            server.signal(signal.SIGUSR2)
            assert procfs.wait_for(
                lambda: server.log().count(names.UPGRADE_FAILED) > failures, 5
            ), f"{(content or b'')[:20]}: {server.log()}"
            assert get_once(server.address).status == 200
        assert server.server_pid == first
        load.stop()
        assert not load.errors, load.errors[:3]


@limit_s(60)
def test_a_crash_while_a_hand_over_is_under_way(env):
    """The new binary hangs at its start; the old server dies meanwhile and comes back; then both end."""
    path = own_program(env)
    with Server(env, may_crash=True) as server:
        first = server.server_pid
        os.unlink(path)
        with open(path, "w") as file:
            file.write("#!/bin/sh\nexec sleep 60\n")
        os.chmod(path, 0o755)
        server.signal(signal.SIGUSR2)
        assert procfs.wait_for(lambda: "event=upgrade " in server.log(), 3)
        hanging = int(re.search(r"event=upgrade .*pid=(\d+)", server.log())[1])
        os.kill(first, signal.SIGKILL)
        assert procfs.wait_for(lambda: server.server_pid not in (None, first), 3 * env.slack), server.log()
        assert get_once(server.address).status == 200
        server.stop()
        assert procfs.wait_for(lambda: not procfs.is_alive(hanging), 2), "the hanging one is left"


@limit_s(60)
def test_a_hand_over_outlives_the_old_supervisor(env):
    """Killed while the new one starts: its own server dies with it, the new one serves, nobody is refused."""
    with Server(env, may_crash=True) as server, Persistent(server.address) as client:
        old = server.pid
        for _ in range(2):
            server_pids = procfs.children(old)
            os.kill(old, signal.SIGUSR2)
            started = procfs.wait_for(lambda: set(procfs.children(old)) - set(server_pids), 3, 0.0005)
            assert started, server.log()
            os.kill(old, signal.SIGKILL)
            (fresh,) = started
            assert has_logged(server, rf"event=start .* run=\S*/{fresh} ", 1), server.log()
            # Until then it may take a request along.
            assert procfs.wait_for(lambda: not any(map(procfs.is_alive, server_pids)), 3 * env.slack)
            old = fresh
        assert get_once(server.address).status == 200
        client.ending.set()
        client.join(5)
        assert not client.refused, client.refused[:3]
        server.exits = (-signal.SIGKILL,)


def test_signals_while_there_is_no_server(env):
    """In the back-off after crashes HUP brings new modules, and TERM ends it at once."""
    module, new = answering(env, "old"), answering(env, "new")
    with Server(env, "--module", module, may_crash=True) as server:
        for turn in range(1, 5):
            assert has_logged(server, r"event=(re)?start ", turn), server.log()
            os.kill(server.server_pid, signal.SIGKILL)
            assert has_logged(server, names.SERVER_DIED, turn), server.log()
            if turn == 3:  # 200 ms without a server.
                os.replace(new, module)
                server.signal(signal.SIGHUP)
        began = time.monotonic()
        server.signal(signal.SIGTERM)  # 400 ms without one.
        assert server.process.wait(20) == 0
        took_ms = (time.monotonic() - began) * 1000
        server.stopped = True
        measured(took_ms < 300 * env.slack, f"{took_ms:.0f} ms")
        # One that comes late finds a server, which may then die of the next kill in mid-reload.
        log = server.log()
        measured(log.count(names.RELOADED) == 1 and names.RELOAD_FAILED not in log, log)


def test_a_reload_asked_of_a_server_that_dies_at_its_start_is_not_forgotten(env):
    """Its module takes 300 ms to start. In that time HUP comes, and the server is killed."""
    module, new = answering(env, "old", "usleep(300000) != 0"), answering(env, "new")
    with Server(env, "--module", module, may_crash=True) as server:
        first = server.server_pid
        os.kill(first, signal.SIGKILL)
        starting = procfs.wait_for(lambda: set(procfs.children(server.pid)) - {first}, 3, 0.002)
        os.replace(new, module)
        server.signal(signal.SIGHUP)
        time.sleep(0.05)
        os.kill(starting.pop(), signal.SIGKILL)
        assert procfs.wait_for(lambda: names.RELOADED in server.log(), 3 * env.slack), server.log()
        with server.client(timeout_s=8) as client:
            assert client.get("/healthz").body == b"new"


def test_what_a_killed_supervisor_leaves_is_taken_over(env):
    """Its server ends at once; socket file and run directory stay and do not stop the next covet."""
    path = env.path("covet.sock")
    with Server(env, listen=[f"unix:{path}"]) as server, Persistent(path):
        pid = server.server_pid
        began = time.monotonic()
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait(20)
        server.stopped = True
        assert procfs.wait_for(lambda: not procfs.is_alive(pid), 3 * env.slack, 0.002), "the server lives on"
        took_ms = (time.monotonic() - began) * 1000
        assert os.path.exists(path), "nobody was there to remove it"
        with Server(env, listen=[f"unix:{path}"]) as next_one:
            assert get_once(path).status == 200
            assert not os.path.exists(f"/run/covet/{server.pid}"), "the run directory was not cleared"
            assert procfs.is_alive(next_one.pid)
        print(f"a killed supervisor's server ends {took_ms:.0f} ms after")


def core_limit(server):
    line = re.search(r"Max core file size\s+(\S+)\s+(\S+)", procfs.read(f"/proc/{server.server_pid}/limits"))
    return line.groups()


@needs_root
def test_core_dumps_are_an_option(env):
    """--core raises the soft limit to the hard one and makes the process dumpable; without it, neither."""
    os.chdir(env.directory)
    os.chmod(env.directory, 0o777)  # Where the kernel writes a core as the server's user.
    pattern = procfs.read("/proc/sys/kernel/core_pattern").strip()
    for option, wanted in (((), False), (("--core",), True)):
        with Server(env, *option, may_crash=True, how={"core_soft": 0}) as server:
            pid = server.server_pid
            soft, hard = core_limit(server)
            assert (soft == hard) == wanted and hard == "unlimited", (option, soft, hard)
            assert (os.stat(f"/proc/{pid}/environ").st_uid != 0) == wanted, option
            os.kill(pid, signal.SIGABRT)
            assert procfs.wait_for(lambda: server.server_pid not in (None, pid), 10 * env.slack)
            cores = [name for name in os.listdir(env.directory) if name.startswith("core")]
            if not pattern.startswith(("|", "/")) and not env.is_sanitized:
                assert bool(cores) == wanted, f"{option}: {cores}"


# Suspended, and in another time.

@limit_s(60)
def test_a_suspended_server_answers_what_waited_for_it(env):
    """Stopped for 3 s under load, with time-outs of 2 s: what came meanwhile is answered, not timed out."""
    options = (names.IDLE_TIMEOUT, "2", names.HEADER_TIMEOUT, "2", names.BODY_TIMEOUT, "2")
    with Server(env, *options, cores="0-1") as server:
        opened_s = time.monotonic()
        idle, half, body = ([server.client(timeout_s=10) for _ in range(60)] for _ in range(3))
        for client in idle:
            assert client.get("/").status == 200
        request, posted = get_bytes("/api/json"), post_bytes("/echo", b"x" * 5000)
        for client in half:
            client.send(request[:20])
        for client in body:
            client.send(posted[:-2500])
        with Load(server.address, threads=2) as kept, Load(server.address, threads=1, keep=False) as single:
            time.sleep(0.2)
            faults.suspend(server.server_pid)
            took_s = time.monotonic() - opened_s
            measured(took_s < 1.5, f"suspended {took_s:.1f} s after the first of clients that have 2 s")
            for client in idle:
                client.send(request)
            for client in half:
                client.send(request[20:])
            for client in body:
                client.send(posted[-2500:])
            time.sleep(3.0)
            os.kill(server.server_pid, signal.SIGCONT)
            for kind, clients in (("idle", idle), ("half a head", half), ("half a body", body)):
                for client in clients:
                    assert client.read_final().status == 200, kind
            time.sleep(0.3)
        for load in (kept, single):
            assert not load.errors and load.done > 20, load.errors[:3]
        for client in idle + half + body:
            client.close()


def test_a_suspended_client_gets_its_whole_answer(env):
    """It reads nothing for 1.5 s in the middle of 900 KB, other clients go on meanwhile."""
    with Server(env) as server, server.client(receive_buffer=8192, timeout_s=10) as client:
        body = os.urandom(900000)
        sender = threading.Thread(target=client.send, args=(post_bytes("/echo", body),), daemon=True)
        sender.start()
        sender.join(5)
        client.socket.settimeout(5)
        client.buffer += client.socket.recv(1000)
        with Load(server.address, threads=2) as load:
            time.sleep(1.5)
        assert not load.errors, load.errors[:3]
        measured(load.done > 100, f"{load.done} answers for others meanwhile")
        assert client.read().body == body


@limit_s(60)
def test_a_clock_that_is_set_moves_no_timer(env):
    """The time of day jumps a day ahead and two back: Date follows, no connection is timed out or kept."""
    clock = faults.Clock(env)
    with Server(env, names.IDLE_TIMEOUT, "2", environment=clock.environment) as server:
        with server.client() as client:
            for offset_s in (0, 86400, -2 * 86400, 0):
                clock.set(offset_s)
                assert procfs.wait_for(
                    lambda: abs(faults.date_s(client.get("/")) - time.time() - offset_s) < 3, 3, 0.2
                ), f"Date does not follow to {offset_s} s"
            clock.set(-86400)
            began = time.monotonic()
            assert client.rest(timeout_s=8) == b""
            took_s = time.monotonic() - began
            measured(1.5 < took_s < 4 * env.slack, f"idle for {took_s:.1f} s, the limit is 2 s")
