"""Logs that cannot be written: a reader that has stopped or left, a disk that is full, limits on files."""

import fcntl
import os
import re
import signal
import subprocess
import time

from harness import faults, limit_s, measured, metrics, names, needs_root, procfs
from harness.client import get_bytes, get_once
from harness.load import Load
from harness.server import Server

LINE = re.compile(r'^127\.0\.0\.1 \S+ \S+ \[[^]]+\] "GET /\S* HTTP/1\.1" 200 \d+ .*\n$')


def full_pipe():
    """Both ends of a pipe into which nothing more goes."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
    for size in (65536, 4096, 1):
        try:
            while True:
                os.write(writer, bytes(size))
        except BlockingIOError:
            pass
    fcntl.fcntl(writer, fcntl.F_SETFL, 0)
    return reader, writer


def drain(reader):
    os.set_blocking(reader, False)
    data = b""
    try:
        while part := os.read(reader, 65536):
            data += part
    except BlockingIOError:
        pass
    return data.decode("latin-1")


def another_server(server, first, seconds):
    return procfs.wait_for(lambda: server.server_pid not in (None, first), seconds, 0.005)


def live_and_die(env, server):
    """Serving, reloading, crashing, all of which have something to say."""
    with Load(server.address, threads=2, pause_s=0.001) as load:
        for _ in range(3):
            server.signal(signal.SIGHUP)
            time.sleep(0.1)
    assert not load.errors, load.errors[:3]
    measured(load.done > 50, f"{load.done} answers")
    first = server.server_pid
    # A sanitizer's own report would wait for the reader.
    number = signal.SIGKILL if env.is_sanitized else signal.SIGSEGV
    faults.send_to_thread(first, server.worker_tasks()[0], number)
    began_s = time.monotonic()
    assert another_server(server, first, 5 * env.slack), "not restarted"
    took_s = time.monotonic() - began_s
    measured(took_s < 1.5 * env.slack, f"restarted after {took_s:.1f} s")
    for _ in range(20):
        assert get_once(server.address).status == 200


def test_nobody_waits_for_a_reader_of_the_log_that_has_stopped(env):
    """Standard error is a full pipe from the first line to the last; lost lines are counted."""
    reader, writer = full_pipe()
    options = {"stderr": writer, "may_crash": True}
    with Server(env, "--log-level", "debug", **options) as server:
        live_and_die(env, server)
        drain(reader)  # Now there is room.
        server.signal(signal.SIGHUP)
        text = ""

        def reads_on():
            nonlocal text
            text += drain(reader)
            return names.RELOADED in text

        assert procfs.wait_for(reads_on, 3), text
        lost = [int(lines) for lines in re.findall(names.LOG_LOST, text)]
        assert sum(lost) >= 8, text
        took_s = server.stop()
        measured(took_s < 3 * env.slack, f"{took_s:.1f} s for the stop")


def test_a_reader_of_the_log_that_has_left_changes_nothing(env):
    reader, writer = os.pipe()
    os.close(reader)
    with Server(env, stderr=writer, may_crash=True) as server:
        live_and_die(env, server)


def test_a_reader_of_the_access_log_that_has_left_changes_nothing(env):
    """--access-log - to a pipe that nobody has open any more: lines are counted as dropped."""
    reader, writer = os.pipe()
    with Server(env, "--access-log", "-", stdout=writer) as server:
        os.close(writer)
        assert get_once(server.address).status == 200
        os.close(reader)
        for _ in range(50):
            assert get_once(server.address).status == 200
        assert procfs.wait_for(
            lambda: metrics.total(metrics.scrape(server.address), names.LOG_LINES_DROPPED) >= 50, 3
        ), "not counted"
        assert re.search(names.ACCESS_LOG_FAILED, server.log()), server.log()


def whole_lines(path, word):
    """How many lines hold the word. Every line of the file is whole, but for those a full disk has torn."""
    found = 0
    for line in procfs.read(path).splitlines(True):
        if LINE.match(line):
            found += word in line
        else:
            assert not re.search(r"\n.", line) and line.count("GET") <= 1, f"two lines in one: {line!r}"
    return found


@needs_root
@limit_s(60)
def test_a_full_disk_costs_lines_and_nothing_else(env):
    """1 MiB for the access log: one line tells, lost lines are counted, it goes on when there is room."""
    faults.own_mounts()
    disk = env.path("disk")
    faults.mount_tmpfs(disk, "size=1m")
    log, filler = f"{disk}/access.log", f"{disk}/filler"
    with Server(env, "--access-log", log, cores="0-1") as server:
        faults.fill(filler, room=64 << 10)
        with Load(server.address, threads=4, target="/api/users/counted") as load:
            assert procfs.wait_for(lambda: re.search(names.ACCESS_LOG_FAILED, server.log()), 5), "not told"
            time.sleep(0.3)
            os.unlink(filler)
            time.sleep(0.5)
        assert not load.errors, load.errors[:3]

        def accounted():
            dropped = metrics.total(metrics.scrape(server.address), names.LOG_LINES_DROPPED)
            return whole_lines(log, "users/counted") + dropped, dropped

        # Lines of /metrics and /healthz may be among those dropped.
        assert procfs.wait_for(lambda: accounted()[0] >= load.done, 3), f"{accounted()} of {load.done}"
        total, dropped = accounted()
        assert dropped > 0 and total <= load.done + 50, f"{total:.0f} accounted for, {load.done} requests"
        reports = re.findall(names.ACCESS_LOG_FAILED, server.log())
        assert len(reports) == 1, f"{len(reports)} lines tell it"
        get_once(server.address, "/api/users/afterwards")
        assert procfs.wait_for(lambda: "users/afterwards" in procfs.read(log), 3), "does not go on"
        # A rotation while it is full: the log is opened anew, and written once there is room.
        faults.fill(filler)
        os.rename(log, log + ".1")
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: os.path.exists(log), 3), server.log()
        assert get_once(server.address, "/api/users/nowhere").status == 200
        time.sleep(0.1)
        os.unlink(filler)
        get_once(server.address, "/api/users/anew")
        assert procfs.wait_for(lambda: "users/anew" in procfs.read(log), 3), "the new log is not written"
    reports = re.findall(names.ACCESS_LOG_FAILED, server.log())
    assert len(reports) == 2 and sum(map(int, reports)) >= dropped, f"{reports}, {dropped:.0f} dropped"


@needs_root
def test_a_file_that_may_not_grow_costs_lines_and_nothing_else(env):
    log = env.path("access.log")
    options = {"how": {"fsize": 4096}, "stderr": subprocess.DEVNULL}
    with Server(env, "--access-log", log, **options) as server, server.client() as client:
        for _ in range(300):
            assert client.get("/").status == 200
        assert procfs.wait_for(
            lambda: metrics.total(metrics.scrape(server.address), names.LOG_LINES_DROPPED) > 200, 3
        ), "not counted"
        assert os.path.getsize(log) == 4096


def test_lines_of_two_workers_stay_apart_in_a_slow_pipe(env):
    """The reader takes a few bytes at a time, so that the pipe is full in the middle of lines."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    received = b""
    with Server(env, "--access-log", "-", cores="0-1", stdout=writer) as server:
        os.close(writer)
        clients = [server.client(timeout_s=20) for _ in range(16)]
        for client in clients:
            client.send(get_bytes("/api/users/" + "x" * 700) * 20)
        os.set_blocking(reader, False)
        deadline = time.monotonic() + 20
        while received.count(b"users/x") < 320 and time.monotonic() < deadline:
            try:
                received += os.read(reader, 777)
            except BlockingIOError:
                time.sleep(0.001)
        for client in clients:
            for _ in range(20):
                assert client.read().status == 200
            client.close()
    lines = [line for line in received.decode().splitlines(True)[:-1] if "users/x" in line]
    bad = [line for line in lines if not LINE.match(line) or line.count("users/x") != 1]
    assert len(lines) >= 319 and not bad, f"{len(lines)} lines; torn: {bad[:2]}"
