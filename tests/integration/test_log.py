"""The access log: complete lines, one per request, to a file that can be rotated."""

import os
import re
import signal
import time

from harness import metrics, names, procfs
from harness.client import get_bytes, get_once
from harness.load import Load
from harness.server import Server


def lines_with(path, word):
    return [line for line in procfs.read(path).splitlines(True) if word in line]


def test_every_request_has_one_whole_line(env):
    path = env.path("access.log")
    with Server(env, "--access-log", path, cores="0-1") as server:
        for connection in range(5):
            with server.client() as client:
                for number in range(100):
                    client.get(f"/api/users/n{connection}x{number}n")
        assert procfs.wait_for(
            lambda: len(lines_with(path, "/api/users/n")) >= 500, 3
        ), f"{len(lines_with(path, '/api/users/n'))} lines of 500"
        lines = lines_with(path, "/api/users/n")
        assert len(lines) == 500
        for line in lines:
            assert line.endswith("\n") and "GET" in line and re.search(r"\b200\b", line), line
        assert len({re.search(r"n\d+x\d+n", line)[0] for line in lines}) == 500
        assert "127.0.0.1" in lines[0], f"no peer address: {lines[0]}"


def test_lines_tell_the_status(env):
    path = env.path("access.log")
    with Server(env, "--access-log", path) as server, server.client() as client:
        client.get("/missing-page")
        client.request(get_bytes("/echo?wrong-method"))
        assert procfs.wait_for(lambda: lines_with(path, "missing-page"), 3)
        assert re.search(r"\b404\b", lines_with(path, "missing-page")[0])
        assert procfs.wait_for(lambda: re.search(r"\b405\b", procfs.read(path)), 3)


def test_log_cannot_be_forged(env):
    """Whatever a target holds, it makes one line, without control characters."""
    path = env.path("access.log")
    with Server(env, "--access-log", path) as server:
        assert procfs.wait_for(lambda: lines_with(path, ""), 3), "no line of the fixture's own"
        time.sleep(0.2 * env.slack)
        before = len(lines_with(path, ""))  # On a busy machine the fixture asks more than once.
        for target in ("/%0a127.0.0.1", '/"quoted"', "/\x80\xff", "/a=b\\", "/%1b[31m"):
            with server.client() as client:
                client.send(get_bytes(target))
                client.read()
        # A refused request's line may leave the target out.
        expected = before + 5
        assert procfs.wait_for(lambda: len(lines_with(path, "")) >= expected, 3), procfs.read(path)
        assert len(lines_with(path, "")) == expected and procfs.read(path).endswith("\n")
        text = procfs.read(path)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), repr(text)


def test_hup_reopens_the_log(env):
    path = env.path("access.log")
    with Server(env, "--access-log", path) as server:
        get_once(server.address, "/api/users/before")
        assert procfs.wait_for(lambda: lines_with(path, "before"), 3)
        os.rename(path, path + ".1")
        get_once(server.address, "/api/users/between")
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: os.path.exists(path), 3 * env.slack), "no new file after HUP"
        time.sleep(0.3)
        get_once(server.address, "/api/users/after")
        assert procfs.wait_for(lambda: lines_with(path, "after"), 3)
        assert lines_with(path + ".1", "between") or lines_with(path, "between")
        assert not lines_with(path + ".1", "users/after")


def test_nothing_is_lost_over_a_rotation(env):
    path = env.path("access.log")
    with Server(env, "--access-log", path) as server:
        with Load(server.address, threads=2, target="/api/users/counted", pause_s=0.002) as load:
            for turn in range(3):
                time.sleep(0.3)
                os.rename(path, f"{path}.{turn}")
                server.signal(signal.SIGHUP)
            time.sleep(0.3)
        assert not load.errors, load.errors[:3]

        def written():
            return sum(
                len(lines_with(one, "counted"))
                for one in [path] + [f"{path}.{turn}" for turn in range(3)]
            )

        assert procfs.wait_for(
            lambda: written() == load.done, 3
        ), f"{written()} lines of {load.done}"


def test_log_to_standard_output(env):
    with Server(env, "--access-log", "-") as server:
        get_once(server.address, "/api/users/onstdout")
        assert procfs.wait_for(lambda: "onstdout" in server.log(), 3), server.log()


def test_lines_are_written_before_the_end(env):
    path = env.path("access.log")
    server = Server(env, "--access-log", path)
    with server:
        with server.client() as client:
            for _ in range(200):
                client.get("/api/users/last")
        server.stop()
        assert len(lines_with(path, "users/last")) == 200, len(lines_with(path, "users/last"))


def test_full_disk_does_not_stop_the_server(env):
    """/dev/full refuses every write: lines are dropped and counted, requests go on."""
    with Server(env, "--access-log", "/dev/full") as server:
        with server.client() as client:
            for _ in range(500):
                assert client.get("/").status == 200
        assert metrics.total(metrics.scrape(server.address), names.LOG_LINES_DROPPED) >= 0


def test_dropped_lines_are_counted(env):
    """Written plus dropped is what was asked for, however fast it was asked."""
    path = env.path("access.log")
    with Server(env, "--access-log", path) as server, server.client(timeout_s=20) as client:
        for _ in range(20):
            client.send(get_bytes("/api/users/burst") * 200)
            for _ in range(200):
                client.read()
        dropped = metrics.total(metrics.scrape(server.address), names.LOG_LINES_DROPPED)
        assert procfs.wait_for(
            lambda: len(lines_with(path, "burst")) + dropped >= 4000, 3
        ), f"{len(lines_with(path, 'burst'))} written, {dropped:.0f} dropped, 4000 asked for"
