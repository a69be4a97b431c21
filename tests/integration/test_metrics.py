"""The numbers: /metrics on the demo, and the admin socket."""

import os

from harness import metrics, names, procfs
from harness.client import Client, get_bytes, get_once, post_bytes
from harness.server import Server


def counts(server):
    samples = metrics.scrape(server.address)
    classes = {name: metrics.by_class(samples, name) for name in ("2xx", "4xx")}
    return classes, metrics.total(samples, names.REQUESTS), samples


def test_answers_are_counted_exactly(env):
    with Server(env) as server, server.client() as client:
        before, requests_before, _ = counts(server)
        for _ in range(100):
            client.get("/")
        for _ in range(7):
            client.get("/nothing")
        client.send(get_bytes("/api/json") * 30)
        for _ in range(30):
            client.read()
        after, requests_after, _ = counts(server)
        # One of the two scrapes lies between the readings, whenever an answer counts itself.
        assert after["2xx"] - before["2xx"] == 131, (before, after)
        assert after["4xx"] - before["4xx"] == 7, (before, after)
        assert requests_after - requests_before == 138, (requests_before, requests_after)


def test_refused_requests_are_counted_by_class_and_kind(env):
    with Server(env) as server:
        before, _, samples = counts(server)
        errors_before = metrics.total(samples, names.PARSE_ERRORS)
        for data in (
            b"BAD\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        ):
            with server.client() as client:
                client.send(data)
                assert client.read().status == 400
        after, _, samples = counts(server)
        assert after["4xx"] - before["4xx"] == 3, (before, after)
        assert metrics.total(samples, names.PARSE_ERRORS) - errors_before == 3


def test_connections_are_counted(env):
    with Server(env) as server:
        _, _, samples = counts(server)
        accepted = metrics.total(samples, names.CONNECTIONS_ACCEPTED)
        base = metrics.total(samples, names.CONNECTIONS_OPEN)
        clients = [server.client() for _ in range(25)]
        for client in clients:
            client.get("/")
        _, _, samples = counts(server)
        assert metrics.total(samples, names.CONNECTIONS_OPEN) == base + 25
        assert metrics.total(samples, names.CONNECTIONS_ACCEPTED) == accepted + 26
        for client in clients:
            client.close()

        def back():
            return metrics.total(metrics.scrape(server.address), names.CONNECTIONS_OPEN) == base

        assert procfs.wait_for(back, 3 * env.slack), "connections still counted as open"


def test_bytes_are_counted(env):
    with Server(env) as server, server.client() as client:
        _, _, samples = counts(server)
        received = metrics.total(samples, names.BYTES_RECEIVED)
        sent = metrics.total(samples, names.BYTES_SENT)
        data = post_bytes("/echo", b"x" * 100000)
        for _ in range(3):
            client.request(data)

        def risen(name, before):
            return metrics.total(metrics.scrape(server.address), name) - before

        # An answer that was read counts when the kernel has reported its last piece.
        assert procfs.wait_for(lambda: risen(names.BYTES_SENT, sent) >= 300000, 2)
        _, _, samples = counts(server)
        assert 0 <= metrics.total(samples, names.BYTES_RECEIVED) - received - 3 * len(data) < 1000
        assert 300000 <= metrics.total(samples, names.BYTES_SENT) - sent < 330000 + 20000


def test_counters_never_fall(env):
    with Server(env, cores="0-1") as server:
        last = {}
        for _ in range(5):
            for name, labels, value in metrics.scrape(server.address):
                key = (name, tuple(sorted(labels.items())))
                if name.endswith(("_total", "_count", "_bucket")):
                    assert value >= last.get(key, 0), f"{key}: {last.get(key)} then {value}"
                    last[key] = value
            get_once(server.address)


def test_histogram_is_consistent(env):
    with Server(env) as server, server.client() as client:
        for _ in range(50):
            client.get("/")
        samples = metrics.scrape(server.address)
        families = {
            name[:-7] for name, labels, _ in samples if name.endswith("_bucket") and "le" in labels
        }
        assert families, "no histogram"
        for family in families:
            series = {}
            for name, labels, value in samples:
                if name == family + "_bucket":
                    rest = tuple(sorted((key, text) for key, text in labels.items() if key != "le"))
                    series.setdefault(rest, []).append((float(labels["le"]), value))
            for rest, buckets in series.items():
                values = [value for _, value in sorted(buckets)]
                assert values == sorted(values), f"{family}{rest} is not cumulative"
                assert sorted(buckets)[-1][0] == float("inf"), "no +Inf bucket"
                assert values[-1] == metrics.total(samples, family + "_count", **dict(rest))


def test_admin_socket_answers(env):
    path = env.path("admin")
    with Server(env, "--admin", f"unix:{path}"):
        health = get_once(path, "/healthz")
        assert health.status == 200 and health.body.strip() == b"ok", health
        text = get_once(path, "/metrics").body.decode()
        assert metrics.total(metrics.parse(text), names.REQUESTS) >= 1
        routes = get_once(path, "/routes")
        assert routes.status == 200 and b"/echo" in routes.body and b"POST" in routes.body, routes
        assert get_once(path, "/nothing").status == 404
    assert not os.path.exists(path), "the admin socket is left behind"


def test_admin_socket_survives_bad_requests(env):
    path = env.path("admin")
    with Server(env, "--admin", f"unix:{path}") as server:
        for data in (
            b"\x16\x03\x01\x00\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"x" * 100000,
        ):
            with Client(path) as client:
                client.try_send(data)
                try:
                    client.read(timeout_s=2)
                except Exception:
                    pass
        idle = [Client(path) for _ in range(20)]
        assert get_once(server.address).status == 200
        for client in idle:
            client.close()
        assert get_once(path, "/healthz").status == 200


def test_admin_on_tcp(env):
    port = env.free_port()
    with Server(env, "--admin", f"127.0.0.1:{port}"):
        assert get_once(("127.0.0.1", port), "/healthz").status == 200


def test_admin_can_be_off(env):
    with Server(env, "--admin", "off") as server:
        assert get_once(server.address).status == 200
        assert not os.path.exists(f"/run/covet/{server.pid}/admin")


def test_admin_paths_are_not_public(env):
    with Server(env) as server:
        assert get_once(server.address, "/routes").status == 404


def test_admin_default_place(env):
    base = (
        "/run/covet"
        if env.is_root
        else os.path.join(os.environ.get("XDG_RUNTIME_DIR", "/nowhere"), "covet")
    )
    server = Server(env)
    with server:
        path = f"{base}/{server.pid}/admin"
        if env.is_root or os.path.isdir(os.path.dirname(base)):
            assert get_once(path, "/healthz").status == 200
