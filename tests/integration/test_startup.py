"""What the process is allowed to do once it serves, and what it says when it may not start."""

import errno
import os
import pwd
import re

from harness import Skip, measured, names, needs_root, procfs
from harness.client import get_once
from harness.server import Server, run

NOBODY = 65534


def server_tasks(server):
    pid = server.server_pid
    assert pid, "no server process with workers"
    return [(task, procfs.status(pid, task)) for task in procfs.tasks(pid)]


@needs_root
def test_every_server_thread_is_unprivileged(env):
    env.needs_own_threads_only()
    with Server(env, cores="0-1") as server:
        tasks = server_tasks(server)
        assert len(tasks) >= 3, "two workers and the main thread"
        for task, status in tasks:
            where = f"{task} ({status.get('Name')})"
            for field in ("Uid", "Gid"):
                assert "0" not in status[field].split(), f"{where}: {field} {status[field]}"
            for field in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                assert int(status[field], 16) == 0, f"{where}: {field} {status[field]}"
            assert status["NoNewPrivs"] == "1", f"{where}: NoNewPrivs {status['NoNewPrivs']}"
            assert status["Groups"].split() in (
                [],
                [status["Gid"].split()[0]],
            ), f"{where}: {status['Groups']}"


def test_no_thread_can_gain_privileges(env):
    env.needs_own_threads_only()
    with Server(env) as server:
        for task, status in server_tasks(server):
            assert status["NoNewPrivs"] == "1", task
            assert int(status["CapEff"], 16) == 0, task


@needs_root
def test_server_belongs_to_sudos_user(env):
    user = pwd.getpwnam("daemon").pw_uid
    with Server(env, environment={"SUDO_UID": str(user)}) as server:
        for task, status in server_tasks(server):
            assert set(status["Uid"].split()) == {str(user)}, (task, status["Uid"])


@needs_root
def test_user_option_beats_sudos_user(env):
    with Server(env, "--user", "nobody", environment={"SUDO_UID": "1"}) as server:
        for task, status in server_tasks(server):
            assert set(status["Uid"].split()) == {str(NOBODY)}, (task, status["Uid"])


@needs_root
def test_server_is_not_dumpable(env):
    """The files of an undumpable process in /proc belong to root, whatever its user."""
    with Server(env) as server:
        assert os.stat(f"/proc/{server.server_pid}/environ").st_uid == 0


def test_workers_are_named_and_pinned(env):
    with Server(env, cores="0") as server:
        pid, (task,) = server.server_pid, server.worker_tasks()
        assert procfs.name(pid, task) == "covet-w0"
        assert os.sched_getaffinity(task) == {0}


def test_supervisor_has_no_ring_and_no_threads(env):
    with Server(env) as server:
        assert len(procfs.tasks(server.pid)) == 1
        links = [
            os.readlink(f"/proc/{server.pid}/fd/{fd}")
            for fd in os.listdir(f"/proc/{server.pid}/fd")
        ]
        assert not [link for link in links if "io_uring" in link], links


def test_first_log_line_says_what_runs(env):
    with Server(env) as server:
        first = server.log().splitlines()[0]
        assert re.search(r"\w+=\S", first), f"not key=value: {first}"
        assert str(server.port) in first, first


def refused_ring(env, number):
    port = env.free_port()
    status, _, err, seconds = run(
        env, "--listen", f"127.0.0.1:{port}", how={"deny_io_uring": number}
    )
    assert status == names.EXIT_NO_RING, (status, err[-400:])
    measured(seconds < 3.0 * env.slack, f"{seconds:.2f} s")
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, f"{len(lines)} lines: {err}"
    assert re.search("seccomp|io_uring_disabled|kernel", lines[0]), lines[0]
    return lines[0]


def test_io_uring_forbidden_by_seccomp(env):
    line = refused_ring(env, errno.EPERM)
    assert "seccomp" in line or "io_uring_disabled" in line, line


def test_io_uring_missing(env):
    refused_ring(env, errno.ENOSYS)


def test_check_reports_a_forbidden_ring(env):
    status, out, err, _ = run(env, "--check", how={"deny_io_uring": errno.EPERM})
    assert status in (0, names.EXIT_NO_RING), (status, err)
    assert "no" in (out + err).split(), out + err


@needs_root
def test_sixteen_workers_dropped_to_nobody_with_little_locked_memory(env):
    with Server(env, "--workers", "16", cores="0-1", how={"memlock": 8 << 20}) as server:
        assert len(server.worker_tasks()) == 16
        for _ in range(100):
            assert get_once(server.address).status == 200


def test_many_workers_started_without_privileges(env):
    """As nobody from the start when root runs this, else as the user it is. Rings then count
    against the memory limit, and share it."""
    how, environment = {"memlock": 8 << 20}, {}
    if env.is_root:
        how["uid"] = NOBODY
        if not reachable_by_others(env.covet):
            raise Skip(f"nobody cannot reach {env.covet}")
        environment["XDG_RUNTIME_DIR"] = env.path("runtime")
        os.mkdir(env.path("runtime"), 0o700)
        os.chown(env.path("runtime"), NOBODY, NOBODY)
    with Server(env, "--workers", "16", cores="0-1", how=how, environment=environment) as server:
        assert len(server.worker_tasks()) == 16
        for _ in range(50):
            assert get_once(server.address).status == 200


def reachable_by_others(path):
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


@needs_root
def test_counter_pages_are_readable_and_removed(env):
    """/run/covet/PID/stats is there while it runs, readable by all, and gone afterwards."""
    server = Server(env)
    with server:
        path = f"/run/covet/{server.pid}/stats"
        assert os.path.exists(path), path
        assert os.stat(path).st_mode & 0o777 == 0o644, oct(os.stat(path).st_mode)
        with open(path, "rb") as file:
            assert file.read(8) == b"covetats"
        server.stop()
        assert not os.path.exists(os.path.dirname(path)), "left behind after the stop"
