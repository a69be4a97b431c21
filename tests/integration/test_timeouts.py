"""Slow clients: each timeout closes what it should, when it should, and nothing else."""

import threading
import time

from harness import limit_s, measured, metrics, names, procfs, slow
from harness.client import Ended, Reset, Silence, get_bytes, post_bytes
from harness.server import Server


def closed_after(client, started, limit):
    """Seconds until the server closed, and all bytes it sent before."""
    data = client.rest(limit)
    return time.monotonic() - started, data


def assert_between(seconds, low, high, env):
    measured(low <= seconds <= high * env.slack, f"closed after {seconds:.2f} s, wanted {low} to {high}")


def test_half_a_head_is_answered_408(env):
    with Server(env, names.HEADER_TIMEOUT, "1") as server, server.client() as client:
        started = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        seconds, data = closed_after(client, started, 5)
        assert data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert b"connection: close" in data.lower()
        assert_between(seconds, 0.8, 2.2, env)


def test_dripping_head_gets_no_more_time(env):
    with Server(env, names.HEADER_TIMEOUT, "1.5") as server, server.client() as client:
        started = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        while client.is_silent(0.1) and time.monotonic() < started + 6:
            client.try_send(b"x")
        seconds, data = closed_after(client, started, 5)
        assert data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert_between(seconds, 1.2, 2.8, env)


def test_dripping_empty_lines_get_no_more_time(env):
    with (
        Server(env, names.HEADER_TIMEOUT, "1", names.IDLE_TIMEOUT, "1") as server,
        server.client() as client,
    ):
        started = time.monotonic()
        while client.is_silent(0.1) and time.monotonic() < started + 6:
            client.try_send(b"\r\n")
        seconds, data = closed_after(client, started, 5)
        assert not data or data.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 ")), data[:60]
        measured(seconds <= 3.5 * env.slack, f"closed after {seconds:.2f} s")


def test_silent_connection_is_closed_without_an_answer(env):
    with (
        Server(env, names.HEADER_TIMEOUT, "1", names.IDLE_TIMEOUT, "1") as server,
        server.client() as client,
    ):
        seconds, data = closed_after(client, time.monotonic(), 5)
        assert not data or data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert_between(seconds, 0.7, 2.5, env)


def test_idle_connection_is_closed_quietly(env):
    with Server(env, names.IDLE_TIMEOUT, "1") as server, server.client() as client:
        client.get("/")
        seconds, data = closed_after(client, time.monotonic(), 5)
        assert data == b"", data[:60]
        assert_between(seconds, 0.7, 2.5, env)


def test_requests_renew_the_idle_time(env):
    with Server(env, names.IDLE_TIMEOUT, "1.5") as server, server.client() as client:
        for _ in range(6):
            assert client.get("/").status == 200
            time.sleep(0.5)


def test_second_head_has_its_own_timeout(env):
    with (
        Server(env, names.HEADER_TIMEOUT, "1", names.IDLE_TIMEOUT, "20") as server,
        server.client() as client,
    ):
        client.get("/")
        time.sleep(1.5)
        started = time.monotonic()
        client.send(b"GET /")
        seconds, data = closed_after(client, started, 6)
        assert data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert_between(seconds, 0.7, 2.5, env)


def test_stalled_body_is_answered_408(env):
    with (
        Server(env, names.BODY_TIMEOUT, "1", names.BODY_RATE_MIN, "0") as server,
        server.client() as client,
    ):
        started = time.monotonic()
        client.send(post_bytes("/echo", b"x" * 1000)[:-500])
        seconds, data = closed_after(client, started, 8)
        assert not data or data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert_between(seconds, 0.7, 3.5, env)


def test_stalled_chunked_body_is_answered_408(env):
    with (
        Server(env, names.BODY_TIMEOUT, "1", names.BODY_RATE_MIN, "0") as server,
        server.client() as client,
    ):
        started = time.monotonic()
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
        seconds, data = closed_after(client, started, 8)
        assert not data or data.startswith(b"HTTP/1.1 408 "), data[:60]
        assert_between(seconds, 0.7, 3.5, env)


@slow
@limit_s(60)
def test_body_slower_than_the_rate_is_dropped(env):
    """16 KiB/s over 10 s windows after 10 s of grace: 1 KiB/s is gone by 25 s, 40 KiB/s stays."""
    with Server(env) as server, server.client() as crawling, server.client(timeout_s=30) as steady:
        body = b"x" * 1000000
        crawling.send(post_bytes("/echo", body)[: -len(body)])
        steady.send(post_bytes("/echo", body)[: -len(body)])
        started, sent = time.monotonic(), 0
        gone_s = None
        while sent < len(body):
            steady.send(body[sent : sent + 4000])
            sent += 4000
            if gone_s is None:
                if not crawling.try_send(b"y" * 100) or not crawling.is_silent(0):
                    gone_s = time.monotonic() - started
            time.sleep(0.1)
        assert gone_s is not None, "the slow upload has not ended"
        measured(9 <= gone_s <= 25 * env.slack, f"the slow upload ended after {gone_s:.1f} s")
        assert steady.read().body == body


@limit_s(40)
def test_client_that_stops_reading_is_dropped(env):
    """The queue to it is bounded, and the write timeout ends it; a reading client is not
    disturbed."""
    with Server(env, names.WRITE_TIMEOUT, "2", names.IDLE_TIMEOUT, "60") as server:
        before_kib = procfs.private_kib(server.server_pid)
        clients = [server.client(receive_buffer=4096) for _ in range(20)]
        wall = get_bytes("/metrics") * 4000
        for client in clients:
            client.socket.settimeout(0.2)
            try:
                client.socket.sendall(wall)
            except OSError:
                pass
        grown_kib = procfs.private_kib(server.server_pid) - before_kib
        assert grown_kib < 24576 * env.slack, f"{grown_kib} KiB for 20 clients that do not read"

        def dropped():
            samples = metrics.scrape(server.admin_path)
            return metrics.total(samples, names.CONNECTIONS_CLOSED, reason="write_timeout")

        assert procfs.wait_for(lambda: dropped() == 20, 5 * env.slack), f"{dropped()} of 20 dropped"
        with server.client() as other:
            assert other.get("/").status == 200
        for client in clients:
            try:
                client.rest(10.0)
            except Reset:
                pass
            except Silence:
                raise AssertionError("still open after the write timeout")
            client.close()


def test_slow_but_steady_reader_is_kept(env):
    body = b"q" * 600000
    with (
        Server(env, names.WRITE_TIMEOUT, "1") as server,
        server.client(timeout_s=25, receive_buffer=4096) as client,
    ):
        threading.Thread(
            target=client.try_send, args=(post_bytes("/echo", body),), daemon=True
        ).start()
        started, got = time.monotonic(), b""
        while len(got) < len(body):
            data = client.socket.recv(32768)
            assert data, f"closed after {len(got)} bytes"
            got += data
            if time.monotonic() - started < 4:
                time.sleep(0.05)
        assert got.startswith(b"HTTP/1.1 200 ")


def test_lingering_close_ends_by_itself(env):
    """A refused client that goes on sending is drained for a bounded time only."""
    with Server(env, names.LINGER_TIMEOUT, "1") as server, server.client() as client:
        client.send(b"BAD\r\n\r\n")
        assert client.read().status == 400
        started = time.monotonic()
        while time.monotonic() < started + 8 and client.try_send(b"x" * 100):
            time.sleep(0.05)
        measured(time.monotonic() - started < 5 * env.slack, "still drained after 5 s")


def test_half_sent_heads_do_not_disturb_others(env):
    with Server(env, names.HEADER_TIMEOUT, "2") as server:
        stalled = [server.client() for _ in range(300)]
        for client in stalled:
            client.send(b"GET / HTTP/1.1\r\nHost")
        with server.client() as client:
            for _ in range(200):
                assert client.get("/").status == 200
        started = time.monotonic()
        for client in stalled:
            try:
                assert client.read(timeout_s=20).status == 408
            except Ended as error:
                raise AssertionError(f"no 408: {error}")
            client.close()
        measured(time.monotonic() - started < 5 * env.slack, "the last is gone after 5 s")
