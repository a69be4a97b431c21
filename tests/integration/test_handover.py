"""HUP, USR2, a crash of the server, the death of the supervisor."""

import contextlib
import os
import re
import signal
import socket
import time

from harness import limit_s, measured, modules, names, procfs, slow
from harness.client import Client, Ended, get_once, post_bytes
from harness.load import Load
from harness.server import Server, has_workers


DONE = {signal.SIGHUP: names.RELOADED, signal.SIGUSR2: names.HANDED_OVER}


def count_lines(server, pattern):
    return len(re.findall(pattern, server.log()))


def signal_under_load(env, number, times, pause_s, cores="0-1"):
    with Server(env, cores=cores, stop_limit_s=15) as server:
        with Load(server.address, threads=4, keep=False, pause_s=0.001) as load:
            time.sleep(0.2)
            for turn in range(1, times + 1):
                target = [pid for pid in server.family() if procfs.is_alive(pid)]
                # The newest process is the supervisor in charge, be it the same one or a successor.
                os.kill(max(target, key=started_at), number)
                assert procfs.wait_for(lambda: count_lines(server, DONE[number]) == turn, 10), server.log()
                time.sleep(pause_s)
        assert not load.errors, f"{len(load.errors)} of {load.done} requests: {load.errors[:3]}"
        assert load.done > 50, load.done
        if server.process.poll() is not None:
            # A successor took over and the first process has gone: that end must be a clean one.
            assert server.process.returncode == 0, server.process.returncode


def started_at(pid):
    return int(procfs.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19])


@limit_s(60)
def test_hup_five_times_resets_nobody(env):
    signal_under_load(env, signal.SIGHUP, 5, 0.3)


@limit_s(90)
def test_usr2_five_times_resets_nobody(env):
    signal_under_load(env, signal.SIGUSR2, 5, 0.5)


@slow
@limit_s(240)
def test_hup_and_usr2_twenty_times_reset_nobody(env):
    signal_under_load(env, signal.SIGHUP, 20, 0.2)
    signal_under_load(env, signal.SIGUSR2, 20, 0.5)


@limit_s(60)
def test_hup_keeps_open_connections(env):
    with Server(env) as server, server.client() as client:
        assert client.get("/").status == 200
        for turn in range(1, 4):
            server.signal(signal.SIGHUP)
            assert procfs.wait_for(lambda: count_lines(server, names.RELOADED) == turn, 5), server.log()
            response = client.get("/")
            assert response.status == 200 and not response.says_close, response.fields


@limit_s(60)
def test_usr2_finishes_the_old_servers_requests(env):
    with Server(env, stop_limit_s=15) as server, server.client() as client:
        body = b"g" * 1000
        data = post_bytes("/echo", body)
        client.send(data[:-500])
        time.sleep(0.2)
        server.signal(signal.SIGUSR2)
        assert procfs.wait_for(lambda: count_lines(server, names.HANDED_OVER), 5 * env.slack), server.log()
        client.send(data[-500:])
        assert client.read().body == body
        assert get_once(server.address).status == 200


def test_usr2_is_served_by_another_process(env):
    with Server(env, stop_limit_s=15) as server:
        before = serving_pids(server)
        server.signal(signal.SIGUSR2)

        def replaced():
            now = serving_pids(server)
            return now and not before & now

        assert procfs.wait_for(replaced, 8 * env.slack), f"{before}, now {serving_pids(server)}"
        assert get_once(server.address).status == 200


@limit_s(60)
def test_successor_that_is_stopped_before_it_is_ready_leaves_the_old_one_serving(env):
    """It has the old one's sockets, and must neither make them deaf nor take over."""
    module, flag = modules.build(env, "sluggish"), env.path("slow")
    environment = {"SLUGGISH": flag}
    with Server(env, "--module", module, environment=environment, stop_limit_s=15) as server:
        before = serving_pids(server)
        with open(flag, "w", encoding="ascii"):
            pass
        server.signal(signal.SIGUSR2)
        assert procfs.wait_for(lambda: successors(server), 5 * env.slack), "no successor"
        time.sleep(0.3)
        os.kill(successors(server)[0], signal.SIGTERM)
        for _ in range(5):
            began_s = time.monotonic()
            assert get_once(server.address, timeout_s=10).status in (200, 404)
            took_s = time.monotonic() - began_s
            measured(took_s < 0.9 * env.slack, f"an answer after {took_s:.2f} s")
            time.sleep(0.1)
        os.unlink(flag)
        assert procfs.wait_for(lambda: not successors(server), 5 * env.slack)
        assert get_once(server.address).status in (200, 404)
        assert server.process.poll() is None and serving_pids(server) == before
        assert "event=upgrade_failed" in server.log()


def successors(server):
    """Supervisors with a server of their own that the first one has started."""
    return [pid for pid in procfs.children(server.pid) if procfs.children(pid)]


def serving_pids(server):
    supervisors = server.family()
    return {child for pid in supervisors for child in procfs.children(pid) if has_workers(child)}


@limit_s(60)
def test_crashed_server_is_restarted_with_its_listeners(env):
    with Server(env, may_crash=True) as server:
        first = server.server_pid
        assert first, "no server process with workers"
        os.kill(first, signal.SIGSEGV)

        # In the gap connections wait in the listener's queue and are never refused. The dying
        # process may still answer or cut what it had accepted.
        def another():
            with contextlib.suppress(Ended):
                assert get_once(server.address, timeout_s=8).status == 200
            return server.server_pid not in (None, first)

        began_s = time.monotonic()
        assert procfs.wait_for(another, 5.0 * env.slack), "no new server"
        took_s = time.monotonic() - began_s
        measured(took_s < 1.0 * env.slack, f"a new server after {took_s:.2f} s")
        assert get_once(server.address).status == 200
        assert server.process.poll() is None, "the supervisor ended"
        lines = [line for line in server.log().splitlines() if re.search(names.CRASH_LINE, line)]
        assert lines, f"no last words: {server.log()[-600:]}"
        assert re.search(names.BACKTRACE, lines[0], re.I), f"no backtrace: {lines[0]}"


@limit_s(60)
def test_killed_server_is_restarted(env):
    with Server(env, may_crash=True) as server:
        first = server.server_pid
        os.kill(first, signal.SIGKILL)
        assert procfs.wait_for(lambda: server.server_pid not in (None, first), 2.0 * env.slack)
        with Client(server.address, 8) as client:
            assert client.get("/healthz").status == 200


@limit_s(60)
def test_crash_under_load_refuses_no_connection(env):
    with Server(env, cores="0-1", may_crash=True) as server:
        with Load(server.address, threads=2, keep=False, pause_s=0.002) as load:
            time.sleep(0.3)
            os.kill(server.server_pid, signal.SIGSEGV)
            time.sleep(2.5 * env.slack)
        # What the dead process had accepted is lost; a refusal would mean the listeners were
        # closed.
        refused = [error for error in load.errors if "Refused" in error]
        assert not refused, refused[:3]
        assert len(load.errors) <= 4, load.errors


@limit_s(60)
def test_crash_loop_backs_off(env):
    with Server(env, may_crash=True, exits=(0, 70, 71)) as server:
        seen = []
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            pid = server.server_pid
            if pid and pid not in seen:
                seen.append(pid)
                os.kill(pid, signal.SIGSEGV)
            time.sleep(0.02)
        assert server.process.poll() is None, "the supervisor gave up within 6 s"
        assert 2 <= len(seen) <= 40, f"{len(seen)} restarts in 6 s"
        assert procfs.wait_for(lambda: server.server_pid, 20), "no server after the crashes"
        server.wait_ready(20)


def test_death_of_the_supervisor_ends_the_server(env):
    server = Server(env)
    with server:
        pid = server.server_pid
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait(20)
        server.stopped = True
        assert procfs.wait_for(
            lambda: not procfs.is_alive(pid), 3 * env.slack
        ), "the server lives on"

        # A dead ring lets go of its listener a moment later, in the kernel's own time.
        def is_free():
            with socket.socket() as probe:
                return probe.connect_ex(server.address) != 0

        assert procfs.wait_for(is_free, 3), "somebody still listens"
        with Server(env, listen=[f"127.0.0.1:{server.port}"]):
            pass
