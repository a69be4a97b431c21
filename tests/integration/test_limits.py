"""Limits as options, descriptors running out, connections ended in every state."""

import random
import resource
import select
import time

from harness import Skip, limit_s, measured, metrics, names, procfs
from harness.client import Client, Ended, get_bytes, get_once, post_bytes
from harness.server import Server


def test_body_limit_is_an_option(env):
    with Server(env, names.BODY_MAX, "1000") as server:
        with server.client() as client:
            assert client.request(post_bytes("/echo", b"x" * 1000)).status == 200
        with server.client() as client:
            client.try_send(post_bytes("/echo", b"x" * 1001))
            assert client.read_final().status == 413


def test_header_limits_are_options(env):
    with Server(
        env, names.HEADER_MAX, "2048", names.FIELDS_MAX, "10", names.TARGET_MAX, "100"
    ) as server:
        cases = (
            (get_bytes("/", *(["X: y"] * 9)), 200),
            (get_bytes("/", *(["X: y"] * 10)), 431),
            (get_bytes("/", "X: " + "y" * 1500), 200),
            (get_bytes("/", "X: " + "y" * 2100), 431),
            (get_bytes("/" + "a" * 99), 404),
            (get_bytes("/" + "a" * 100), 414),
        )
        for data, status in cases:
            with server.client() as client:
                got = client.request(data).status
                assert got == status, f"{data[:40]!r}: {got}, wanted {status}"


def test_connection_limit_holds_and_frees(env):
    """Over the limit a client waits, or is told 503 or to close; no more than the limit stay
    open."""
    with Server(env, names.CONNECTIONS_MAX, "10", names.IDLE_TIMEOUT, "30") as server:
        clients = [server.client() for _ in range(30)]
        for client in clients:
            client.try_send(get_bytes("/"))
        time.sleep(0.8)
        served = kept = 0
        for client in clients:
            if client.is_silent(0):
                continue
            try:
                response = client.read()
            except Ended:
                continue
            served += response.status == 200
            kept += not response.says_close and client.is_silent(0)
        assert served >= 1 and kept <= 10, f"{served} served, {kept} kept open, the limit is 10"
        for client in clients:
            client.close()
        assert procfs.wait_for(lambda: try_get(server), 5), "not served again after the others left"


def try_get(server):
    try:
        return get_once(server.address, timeout_s=2).status == 200
    except (Ended, OSError):
        return False


def test_connections_per_address_are_limited_by_option(env):
    with Server(env, names.CONNECTIONS_PER_ADDRESS_MAX, "5") as server:
        clients, served = [server.client() for _ in range(20)], 0
        for client in clients:
            client.try_send(get_bytes("/"))
            try:
                served += client.read(timeout_s=1).status == 200
            except Exception:
                pass
        assert 1 <= served <= 5, f"{served} of one address served, the limit is 5"
        for client in clients:
            client.close()
        assert procfs.wait_for(lambda: try_get(server), 5), "not served again after the others left"


@limit_s(60)
def test_running_out_of_descriptors_refuses_nobody(env):
    """400 clients on 256 descriptors: those that wait are served when others leave, without
    spinning."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 1024:
        raise Skip(f"needs 1024 descriptors itself, may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with Server(env, names.IDLE_TIMEOUT, "60", how={"nofile": 256}) as server:
        waiting = {}
        for _ in range(400):
            client = Client(server.address, 10)
            client.send(get_bytes("/"))
            waiting[client.socket.fileno()] = client
        answered = []
        collect(waiting, answered, 2.0)
        server_pid = server.server_pid
        before_s = procfs.cpu_s(server_pid)
        collect(waiting, answered, 2.0)
        share = (procfs.cpu_s(server_pid) - before_s) / 2.0
        measured(share < 0.20 * env.slack, f"{share:.0%} of a core while clients wait")
        deadline = time.monotonic() + 25
        while waiting and time.monotonic() < deadline:
            for client in answered:
                client.close()
            answered.clear()
            collect(waiting, answered, 0.5)
        assert not waiting, f"{len(waiting)} clients never answered"
        for client in answered:
            client.close()


def collect(waiting, answered, seconds):
    """Reads what has come; an answered client moves on. An end without an answer fails the test."""
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        for number in select.select(list(waiting), [], [], min(left, 0.2))[0]:
            client = waiting.pop(number)
            response = client.read()
            assert response.status in (200, 503), response
            answered.append(client)


STATES = {
    "nothing sent": b"",
    "half a request line": b"GET /api",
    "half a head": b"GET / HTTP/1.1\r\nHost: a\r\nX-Na",
    "a head without its body": post_bytes("/echo", b"x" * 5000)[:-5000],
    "half a body": post_bytes("/echo", b"x" * 5000)[:-2500],
    "half a large body": post_bytes("/echo", b"x" * 500000)[:-250000],
    "half a chunk line": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5",
    "half a chunk": b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
    "an unread answer": get_bytes("/"),
    "a large unread answer": post_bytes("/echo", b"x" * 900000),
    "a refused request": b"BAD / \r\n\r\n",
    "a pipeline": get_bytes("/metrics") * 60,
    "waiting for 100": post_bytes("/echo", b"x" * 5, "Expect: 100-continue")[:-5],
}


@limit_s(60)
def test_resets_and_ends_in_every_state_leave_nothing_behind(env):
    dice = random.Random(6)
    with Server(env) as server:
        get_once(server.address)
        base = settled(server)
        descriptors = procfs.descriptors(server.server_pid)
        for data in STATES.values():
            for turn in range(30):
                client = server.client(receive_buffer=4096 if turn % 2 else None)
                client.socket.settimeout(0.3)
                try:
                    client.socket.sendall(data)
                except OSError:
                    pass
                if turn % 3 == 0:
                    time.sleep(dice.random() * 0.01)
                client.reset() if turn % 5 else client.close()
        assert procfs.wait_for(
            lambda: settled(server) == base, 15 * env.slack, 0.3
        ), f"(open, buffers) {settled(server)}, was {base}"
        assert procfs.wait_for(
            lambda: procfs.descriptors(server.server_pid) <= descriptors, 5
        ), "descriptors"
        assert get_once(server.address).status == 200


def settled(server):
    samples = metrics.scrape(server.address)
    return (
        metrics.total(samples, names.CONNECTIONS_OPEN),
        metrics.total(samples, names.BUFFERS_IN_USE),
    )


def test_memory_stays_flat_over_connections(env):
    """3,000 connections with a request each, after as many to touch every record: no growth."""
    with Server(env) as server:
        for _ in range(3000):
            get_once(server.address, "/api/json")
        before_kib = procfs.private_kib(server.server_pid)
        for _ in range(3000):
            get_once(server.address, "/api/json")
        grown_kib = procfs.private_kib(server.server_pid) - before_kib
        assert grown_kib < 1024 * env.slack, f"{grown_kib} KiB more after 3,000 connections"
