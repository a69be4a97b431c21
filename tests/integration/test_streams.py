"""Long connections, deep pipelines, bodies in every cutting."""

import os
import random
import socket
import threading
import time

from harness import limit_s, measured, modules, names
from harness.client import chunked_bytes, get_bytes, post_bytes
from harness.server import Server


def send_in_background(client, data, sizes=None):
    """Sends without reading at the same time; sizes: lengths of the pieces, endlessly drawn."""

    def send():
        at = 0
        while at < len(data):
            size = sizes() if sizes else len(data)
            if not client.try_send(data[at : at + size]):
                return
            at += size

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_thousand_requests_on_one_connection(env):
    with Server(env) as server, server.client() as client:
        for number in range(1000):
            response = client.get(f"/api/users/{number}")
            assert response.status == 200 and str(number).encode() in response.body, response


def numbered(count):
    return b"".join(get_bytes(f"/api/users/n{number}n") for number in range(count))


def read_numbered(client, count):
    for number in range(count):
        response = client.read(timeout_s=20)
        assert response.status == 200 and b"n%dn" % number in response.body, (number, response)


def test_thousand_pipelined_in_one_send(env):
    with Server(env) as server, server.client() as client:
        send_in_background(client, numbered(1000))
        read_numbered(client, 1000)
        assert client.is_silent(0.1)
        assert client.get("/healthz").status == 200


def test_thousand_pipelined_in_random_pieces(env):
    dice = random.Random(2)
    with Server(env) as server, server.client() as client:
        send_in_background(client, numbered(1000), lambda: dice.choice((1, 7, 40, 300, 1460, 9000)))
        read_numbered(client, 1000)


@limit_s(60)
def test_pipeline_of_a_client_that_reads_late(env):
    """20,000 requests are sent while nothing is read: the server must stop receiving, then serve
    all."""
    with Server(env) as server, server.client(timeout_s=30, receive_buffer=8192) as client:
        sender = send_in_background(client, numbered(20000))
        time.sleep(1.0)
        read_numbered(client, 20000)
        sender.join(5)


def test_pipelined_echoes_keep_their_order(env):
    dice = random.Random(3)
    bodies = [dice.randbytes(dice.choice((0, 1, 100, 5000, 60000))) for _ in range(100)]
    data = b"".join(
        (
            post_bytes("/echo", body)
            if dice.random() < 0.5
            else chunked_bytes("/echo", [body[: len(body) // 2], body[len(body) // 2 :]])
        )
        for body in bodies
    )
    with Server(env) as server, server.client(timeout_s=20) as client:
        send_in_background(client, data, lambda: dice.randrange(1, 20000))
        for number, body in enumerate(bodies):
            assert client.read(timeout_s=20).body == body, number


@limit_s(60)
def test_chunked_bodies_of_every_size_come_back(env):
    dice = random.Random(4)
    sizes = [0, 1, 2, 15, 16, 17, 1000, 4095, 4096, 4097, 65535, 65536, 65537, 300000, 900 * 1024]
    with Server(env) as server, server.client(timeout_s=20) as client:
        for size in sizes:
            body, chunks, at = dice.randbytes(size), [], 0
            while at < size:
                step = dice.choice((1, 2, 17, 1000)) if size <= 5000 else dice.randrange(200, 60000)
                chunks.append(body[at : at + step])
                at += step
            send_in_background(
                client, chunked_bytes("/echo", chunks), lambda: dice.randrange(1, 30000)
            )
            response = client.read(timeout_s=20)
            assert response.status == 200 and response.body == body, (size, response.status)


def test_chunked_body_byte_by_byte(env):
    data = chunked_bytes("/echo", [b"abc", b"d" * 30, b"\r\n0\r\n\r\n"], "Content-Type: a/b")
    with Server(env) as server, server.client() as client:
        for index in range(len(data)):
            client.send(data[index : index + 1])
            if index % 16 == 0:
                time.sleep(0.001)
        assert client.read().body == b"abc" + b"d" * 30 + b"\r\n0\r\n\r\n"


def test_body_sent_with_pauses(env):
    with Server(env) as server, server.client() as client:
        data = post_bytes("/echo", b"0123456789" * 3)
        for at in range(0, len(data), 20):
            client.send(data[at : at + 20])
            time.sleep(0.05)
        assert client.read().body == b"0123456789" * 3


def test_head_sent_with_a_pause(env):
    with Server(env) as server, server.client() as client:
        client.send(b"GET / HT")
        time.sleep(0.5)
        client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert client.read().status == 200


def test_half_closed_client_is_answered(env):
    with Server(env) as server, server.client() as client:
        client.send(get_bytes("/"))
        client.shutdown()
        assert client.read().body == b"Hello, World!"
        assert client.rest() == b""


def test_pipelined_requests_before_a_half_close_are_all_answered(env):
    with Server(env) as server, server.client() as client:
        client.send(numbered(50))
        client.shutdown()
        read_numbered(client, 50)
        assert client.rest() == b""


def test_large_echo_to_a_half_closed_client(env):
    body = b"z" * 900000
    with Server(env) as server, server.client(timeout_s=10) as client:
        client.send(post_bytes("/echo", body))
        client.shutdown()
        assert client.read().body == body
        assert client.rest() == b""


def test_large_echo_to_a_client_with_a_small_window(env):
    body = random.Random(5).randbytes(1000000)
    with Server(env) as server, server.client(timeout_s=20, receive_buffer=4096) as client:
        send_in_background(client, post_bytes("/echo", body))
        assert client.read(timeout_s=20).body == body


def test_many_clients_are_served_side_by_side(env):
    """64 connections, each with its own numbers: no answer reaches another's client."""
    with Server(env) as server:
        clients = [server.client() for _ in range(64)]
        for turn in range(20):
            for index, client in enumerate(clients):
                client.send(post_bytes("/echo", b"%d-%d" % (index, turn)))
            for index, client in enumerate(clients):
                assert client.read().body == b"%d-%d" % (index, turn)
        for client in clients:
            client.close()


def test_urgent_byte_does_no_harm(env):
    with Server(env) as server, server.client() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.socket.send(b"!", socket.MSG_OOB)
        client.send(b"Host: a\r\n\r\n")
        assert client.read().status in (200, 400)


@limit_s(60)
def test_half_closed_clients_that_read_nothing_delay_no_other(env):
    """A send may not wait in the kernel for a peer that has ended: few threads there do that."""
    module = os.path.join(env.module_dir, "streaming.so")
    with Server(env, "--module", module, names.WRITE_TIMEOUT, "10") as server:
        others = [server.client(receive_buffer=4096) for _ in range(10)]
        for client in others:
            client.send(get_bytes("/lines/50000000"))
            client.shutdown()
        time.sleep(0.3)
        started = time.monotonic()
        count = 1000000 // env.slack
        with server.client() as client:
            client.send(get_bytes(f"/lines/{count}"))
            client.shutdown()
            time.sleep(0.5)  # So that its answer has to wait for room.
            assert b"line %d\n" % count in client.rest(timeout_s=30 * env.slack)[-100:]
        took_s = time.monotonic() - started
        for client in others:
            client.close()
        measured(took_s < 5.0 * env.slack, f"{took_s:.1f} s")


@limit_s(60)
def test_half_closed_client_reads_on_beside_many_that_read_nothing(env):
    """The kernel does not find every send it is asked to give up: the first cancel is not the last."""
    module = modules.build(env, "large")
    with Server(env, "--module", module, names.WRITE_TIMEOUT, "20") as server:
        clients = [server.client(receive_buffer=4096) for _ in range(40)]
        for client in clients:
            client.send(get_bytes("/large/30000000"))
        time.sleep(0.5)
        for client in clients:
            client.shutdown()
        time.sleep(0.5)
        started = time.monotonic()
        assert len(clients[20].rest(timeout_s=30 * env.slack)) > 30_000_000
        took_s = time.monotonic() - started
        for client in clients:
            client.close()
        measured(took_s < 5.0 * env.slack, f"{took_s:.1f} s")
