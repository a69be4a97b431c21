"""Bodies read into structs and answered from them, by the example module."""

import json
import os

from harness import Skip, limit_s
from harness.client import chunked_bytes, post_bytes
from harness.server import Server

TYPE = "Content-Type: application/json"
ITEM = {"name": "lamp", "price": 9.5, "quantity": 2}


def serve(env):
    path = os.path.join(env.module_dir or "", "json.so")
    if not env.module_dir or not os.path.exists(path):
        raise Skip("no json.so in --module-dir")
    return Server(env, "--module", path)


def post(client, body, *fields):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    client.send(post_bytes("/items", body, *(fields or (TYPE,))))
    return client.read()


def refused(client, body, status, *fields):
    response = post(client, body, *fields)
    assert response.status == status, response
    assert response.get("Content-Type") == "application/json", response
    error = json.loads(response.body)["error"]
    assert error["message"], response
    return error


def test_item_is_read_and_answered(env):
    item = dict(ITEM, tags=["a", "b\n\u00e9\U0001f600"], size={"width": 3, "height": 4})
    with serve(env) as server, server.client() as client:
        for body in (
            json.dumps(item),
            json.dumps(item, ensure_ascii=False, indent=3),
            json.dumps(dict(reversed(item.items()), unknown=[{}]), separators=(",", ":")),
        ):
            response = post(client, body.encode())
            assert response.status == 200, response
            assert response.get("Content-Type") == "application/json", response
            assert json.loads(response.body) == dict(item, total=19.0), response


def test_chunked_body_is_read_as_a_whole(env):
    body = json.dumps(ITEM).encode()
    with serve(env) as server, server.client() as client:
        client.send(chunked_bytes("/items", [body[:9], body[9:10], body[10:]], TYPE))
        response = client.read()
        assert response.status == 200 and json.loads(response.body)["total"] == 19.0, response


def test_what_is_no_json_is_a_400_with_its_place(env):
    with serve(env) as server, server.client() as client:
        error = refused(client, b'{"name":"lamp",\n "price":01}', 400)
        assert (error["offset"], error["line"], error["column"]) == (25, 2, 10), error
        assert error["path"] == "price", error
        error = refused(client, b"", 400)
        assert error["offset"] == 0, error
        for body in (b"{", b"[" * 100000, b'{"name":"\xff"}', b"\xef\xbb\xbf{}", b"{}{}", b'{"a":\0}'):
            error = refused(client, body, 400)
            assert 0 <= error["offset"] <= len(body), error
        error = refused(client, b'{"x":' + b"[" * 63 + b"[" + b"]" * 64 + b"}", 400)
        assert "64" in error["message"], error


def test_what_does_not_fit_is_a_422_with_its_path(env):
    with serve(env) as server, server.client() as client:
        cases = [
            (dict(ITEM, price="9.5"), "price"),
            (dict(ITEM, quantity=-1), "quantity"),
            (dict(ITEM, quantity=1.5), "quantity"),
            (dict(ITEM, quantity=2**32), "quantity"),
            (dict(ITEM, tags=["a", 7]), "tags[1]"),
            (dict(ITEM, size={"width": 1}), "size.height"),
            (dict(ITEM, name=None), "name"),
            ({"name": "lamp"}, "price"),
        ]
        for body, path in cases:
            error = refused(client, body, 422)
            assert error["path"] == path, error
        assert "path" not in refused(client, [ITEM], 422)
        body = b'{"name":"lamp","price":1,"quantity":1,"quantity":2}'
        assert refused(client, body, 422)["path"] == "quantity"
        assert post(client, ITEM).status == 200


def test_other_types_are_a_415(env):
    with serve(env) as server, server.client() as client:
        for fields in (("Content-Type: text/plain",), ("X-None: 1",)):
            refused(client, ITEM, 415, *fields)
        assert post(client, ITEM, "Content-Type: application/x.item+json; a=b").status == 200


@limit_s(60)
def test_large_bodies_are_read_and_bounded(env):
    with serve(env) as server, server.client() as client:
        count = 60000
        item = dict(ITEM, tags=["\u00e9%06d" % number for number in range(count)])
        body = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()[:-1]
        body += b" " * (2**20 - 1 - len(body)) + b"}"
        assert len(body) == 2**20
        response = post(client, body)
        assert response.status == 200, response
        assert json.loads(response.body)["tags"] == item["tags"]
        # 16 bytes of a span for every three of the body, over and over: more than is allowed.
        tags = b'"",' * ((2**20 - 100) // 3)
        body = b'{"name":"","price":1,"quantity":1,"tags":[' + tags[:-1] + b"]}"
        refused(client, body, 413)
        assert post(client, ITEM).status == 200
