"""More than a server can carry: its levels of connections, its cap of memory, work that waits."""

import threading
import time

from harness import limit_s, measured, metrics, modules, names, procfs
from harness.client import Client, Ended, Silence, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

CONNECTIONS = 100


class Watched(Server):
    """Its figures come from the admin address, so that looking at it is no load."""

    def __init__(self, env, *options):
        self.watched = ("127.0.0.1", env.free_port())
        super().__init__(env, *options, "--admin", "{}:{}".format(*self.watched))

    def figure(self, name, **labels):
        return metrics.total(metrics.scrape(self.watched), name, **labels)


IDLE_MIN_S = 2.0  # The least that a connection must be idle to make room for others.


def open_some(server, count):
    """Connections that have had an answer, none of them idle for long."""
    clients, began_s = [], time.monotonic()
    for _ in range(count):
        client = server.client()
        client.request(get_bytes("/"))
        clients.append(client)
    took_s = time.monotonic() - began_s
    measured(took_s < 0.75 * IDLE_MIN_S, f"{count} connections in {took_s:.1f} s")
    return clients


def is_at(server, percent):
    return server.figure(names.OVERLOAD_PERCENT, of="connections") == percent


def test_idle_connections_make_room_at_85_percent(env):
    with Watched(env, names.CONNECTIONS_MAX, str(CONNECTIONS), names.IDLE_TIMEOUT, "60") as server:
        clients = open_some(server, 85)
        assert procfs.wait_for(lambda: "of=connections level=85" in server.log(), 2)
        assert procfs.wait_for(lambda: is_at(server, 0), 6 * env.slack), "nobody idle was closed"
        assert server.figure(names.CONNECTIONS_CLOSED, reason="overload_idle") >= 1
        for client in clients:
            client.close()
        assert "event=overload " in server.log()
        assert procfs.wait_for(lambda: "event=overload_over" in server.log(), 5)


def test_answers_end_connections_at_92_percent(env):
    with Watched(env, names.CONNECTIONS_MAX, str(CONNECTIONS)) as server:
        clients = open_some(server, 92)
        assert procfs.wait_for(lambda: is_at(server, 92), 2)
        response = clients[85].request(get_bytes("/"))
        assert response.status == 200 and response.says_close
        assert get_once(server.address).status == 200, "connections are still accepted"
        for client in clients:
            client.close()
        assert procfs.wait_for(lambda: is_at(server, 0), 5)
        with server.client() as client:
            assert not client.request(get_bytes("/")).says_close


def test_requests_are_refused_at_95_percent_and_those_begun_are_not(env):
    with Watched(env, names.CONNECTIONS_MAX, str(CONNECTIONS), names.RETRY_AFTER, "7") as server:
        body = b"x" * 5000
        begun = server.client()
        begun.send(post_bytes("/echo", body)[:-2500])
        clients = open_some(server, 93)
        clients.append(server.client())
        assert procfs.wait_for(lambda: is_at(server, 95), 2)
        response = clients[85].request(get_bytes("/"))
        assert response.status == 503 and response.says_close
        assert response.get("Retry-After") == "7"
        waiting = server.client()
        waiting.send(get_bytes("/"))
        begun.send(post_bytes("/echo", body)[-2500:])
        response = begun.read_final()
        assert response.status == 200 and response.body == body
        for client in clients:
            client.close()
        assert waiting.read(timeout_s=5).status == 200, "who waited is served when there is room"
        assert server.figure(names.REQUESTS_REFUSED, reason="limit") >= 1
        waiting.close()
        begun.close()


def test_memory_cap_fails_allocations_and_not_the_server(env):
    """Bodies that would hold more than the cap are refused; the server then serves as before."""
    with Watched(env, names.MEMORY_MAX, "16m", names.BODY_MAX, "8m", names.BODY_TIMEOUT, "60") as server:
        clients, refused = [], 0
        for _ in range(12):
            client = server.client()
            client.try_send(post_bytes("/echo", b"x" * 4_000_000)[:-1])
            clients.append(client)
        time.sleep(0.3)
        for client in clients:
            try:
                refused += client.read(timeout_s=0.2).status == 503
            except (Ended, Silence, OSError):
                pass
        held = server.figure(names.MEMORY_BYTES)
        assert held <= 16 << 20, f"{held:.0f} bytes held"
        for client in clients:
            client.close()
        assert procfs.wait_for(lambda: server.figure(names.MEMORY_LIVE) < 1 << 20, 5)
        assert get_once(server.address).status == 200


class Crowd(Load):
    """Threads that ask for /burn/ as soon as they have an answer, each over its own connections."""

    def __init__(self, server, threads, path):
        super().__init__(server.address, threads, target=path)
        self.seen = {}

    def note(self, what):
        with self.lock:
            self.begun.add(threading.get_ident())
            self.seen[what] = self.seen.get(what, 0) + 1

    def run(self):
        while not self.stopping.is_set():
            try:
                with Client(self.address) as client:
                    while not self.stopping.is_set():
                        response = client.request(get_bytes(self.target))
                        self.note((response.status, response.get("Retry-After")))
            except (Ended, OSError):
                self.note("ended")


@limit_s(60)
def test_requests_are_shed_while_work_waits_too_long(env):
    """40 clients of 10 ms each: without shedding each would wait for 0.4 s."""
    module = modules.build(env, "burn")
    with Watched(env, "--module", module, names.LAG_MAX, "0.02", names.RETRY_AFTER, "3") as server:
        with Crowd(server, 40, "/burn/10000") as crowd:
            assert procfs.wait_for(lambda: server.figure(names.SHEDDING) == 1, 10 * env.slack)
            procfs.wait_for(lambda: crowd.seen.get((503, "3"), 0) >= 20 and crowd.seen[200, None] >= 20, 5)
        assert set(crowd.seen) <= {(200, None), (503, "3"), "ended"}, crowd.seen
        assert crowd.seen[(200, None)] >= 20 and crowd.seen[(503, "3")] >= 20, crowd.seen
        assert procfs.wait_for(lambda: server.figure(names.SHEDDING) == 0, 3 * env.slack), "still shedding"
        for _ in range(20):
            assert get_once(server.address, "/burn/100").status == 200
        assert server.figure(names.REQUESTS_REFUSED, reason="lag") >= 20
        assert "event=overload worker=0 of=lag" in server.log(), server.log()


def test_slow_handlers_alone_are_no_overload(env):
    module = modules.build(env, "burn")
    with Watched(env, "--module", module, names.LAG_MAX, "0.05") as server:
        with server.client() as client:
            for _ in range(5):
                assert client.request(get_bytes("/burn/200000")).status == 200
        assert server.figure(names.SHEDDING) == 0
        assert "event=overload" not in server.log()
