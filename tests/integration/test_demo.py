"""What the built-in demo application answers."""

import email.utils
import json
import time

from harness import measured, metrics
from harness.client import get_bytes, post_bytes
from harness.server import Server


def test_demo_says_hello(env):
    with Server(env) as server, server.client() as client:
        response = client.get("/")
        assert (response.status, response.body) == (200, b"Hello, World!"), response
        assert response.get("Content-Type").startswith("text/plain"), response.fields


def test_demo_gives_json(env):
    with Server(env) as server, server.client() as client:
        response = client.get("/api/json")
        assert json.loads(response.body) == {"message": "Hello, World!"}, response
        assert response.get("Content-Type").startswith("application/json"), response.fields


def test_demo_gives_path_parameters_as_json(env):
    with Server(env) as server, server.client() as client:
        one = json.loads(client.get("/api/users/42").body)
        assert str(one["id"]) == "42", one
        two = json.loads(client.get("/api/users/7/posts/99/comments").body)
        assert (str(two["id"]), str(two["post"])) == ("7", "99"), two


def test_demo_escapes_parameters_in_json(env):
    with Server(env) as server, server.client() as client:
        for raw, decoded in (
            ("%22%5C", '"\\'),
            ("a%0Ab", "a\nb"),
            ("caf%C3%A9", "café"),
            ("%01", "\x01"),
        ):
            response = client.get(f"/api/users/{raw}")
            if response.status == 400:
                client = server.client()
                continue
            value = json.loads(response.body)["id"]
            assert value in (decoded, raw), f"{raw}: {value!r}"


def test_demo_parameters_never_break_the_json(env):
    with Server(env) as server:
        for raw in ("%FF", "%80abc", "%ED%A0%80", "%C0%AF", "%F5%80%80%80"):
            with server.client() as client:
                response = client.get(f"/api/users/{raw}")
                assert response.status in (200, 400, 404), response
                if response.status == 200:
                    json.loads(response.body.decode("utf-8"))


def test_demo_parameters_match_one_segment(env):
    with Server(env) as server, server.client() as client:
        for path in (
            "/api/users/",
            "/api/users/1/",
            "/api/users/1/2",
            "/api/users",
            "/api/users/1/posts",
            "/api/users/1/posts/2",
            "/api/users/1/posts/2/comments/3",
            "/API/json",
            "/api/json/",
        ):
            assert client.get(path).status in (404, 301, 308), path


def test_demo_echoes_every_byte(env):
    body = bytes(range(256)) * 16
    with Server(env) as server, server.client() as client:
        response = client.request(post_bytes("/echo", body, "Content-Type: application/x-any; a=b"))
        assert response.body == body
        assert response.get("Content-Type") == "application/x-any; a=b", response.fields


def test_demo_echoes_without_a_type(env):
    with Server(env) as server, server.client() as client:
        response = client.request(post_bytes("/echo", b"x"))
        assert (response.status, response.body) == (200, b"x")


def test_echo_takes_a_body_of_exactly_the_limit(env):
    body = b"0123456789abcdef" * 65536
    with Server(env) as server, server.client(timeout_s=10) as client:
        assert client.request(post_bytes("/echo", body)).body == body
        assert client.get("/healthz").status == 200


def test_too_long_a_body_is_refused_and_the_answer_arrives(env):
    """The client sends all of it before it reads: the answer must not be lost to a reset."""
    body = b"x" * (1048576 + 1)
    with Server(env) as server, server.client(timeout_s=5) as client:
        client.try_send(post_bytes("/echo", body))
        assert client.read_final().status == 413


def test_head_of_every_get_route_has_no_body(env):
    with Server(env) as server, server.client() as client:
        for path in ("/", "/api/json", "/healthz", "/metrics", "/api/users/1"):
            response = client.request(get_bytes(path).replace(b"GET", b"HEAD", 1), head=True)
            assert response.status == 200, (path, response)
            assert client.get("/healthz").body == b"ok"


def test_healthz_says_ok(env):
    with Server(env) as server, server.client() as client:
        response = client.get("/healthz")
        assert (response.status, response.body.strip()) == (200, b"ok"), response


def test_metrics_are_open_metrics_text(env):
    with Server(env) as server, server.client() as client:
        response = client.get("/metrics")
        assert response.get("Content-Type").startswith(
            "application/openmetrics-text"
        ), response.fields
        assert len(metrics.parse(response.body.decode())) > 20


def test_query_does_not_change_the_route(env):
    with Server(env) as server, server.client() as client:
        assert client.get("/?a=b").body == b"Hello, World!"
        assert client.get("/api/json?x").status == 200


def test_date_moves_on(env):
    with Server(env) as server, server.client() as client:
        first = client.get("/").get("Date")
        time.sleep(2.1)
        second = client.get("/").get("Date")
        assert first != second, f"Date stands still at {first}"
        age_s = time.time() - email.utils.parsedate_to_datetime(second).timestamp()
        measured(-1.5 <= age_s <= 2.5, f"Date is {age_s} s off")
