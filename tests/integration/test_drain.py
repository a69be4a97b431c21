"""TERM and INT: nothing that had arrived is lost, and the end comes in time."""

import signal
import threading
import time

from harness import limit_s, measured, procfs, slow
from harness.client import get_bytes, post_bytes
from harness.load import Load
from harness.server import Server


def test_term_under_load_loses_no_request(env):
    for cores in ("0", "0-1"):
        server = Server(env, cores=cores)
        with server:
            with Load(server.address, threads=8) as load:
                time.sleep(0.3)
                server.stop()
            assert not load.errors, f"{len(load.errors)} of {load.done}: {load.errors[:3]}"
            assert load.announced == 8, f"{load.announced} of 8 were told Connection: close"


@slow
@limit_s(240)
def test_term_under_load_fifty_times(env):
    for turn in range(50):
        server = Server(env, cores="0-1")
        with server:
            with Load(server.address, threads=6, pause_s=0.001) as load:
                time.sleep(0.3)
                server.stop()
            assert not load.errors, f"turn {turn}: {load.errors[:3]}"


def test_pipeline_that_had_arrived_is_answered(env):
    server = Server(env)
    with server, server.client(timeout_s=10) as client:
        client.get("/")
        client.send(get_bytes("/api/json") * 500)
        server.signal(signal.SIGTERM)
        answers = 0
        while answers < 500:
            response = client.read()
            assert response.status == 200, response
            answers += 1
            if response.says_close:
                break
        # With the whole pipeline received before the signal, all of it is owed an answer.
        assert answers == 500, f"{answers} of 500 answered"
        server.stop()


def test_idle_server_with_open_connections_ends_soon(env):
    server = Server(env)
    with server:
        clients = [server.client() for _ in range(50)]
        for client in clients[:40]:
            assert client.get("/").status == 200
        took_s = server.stop()
        measured(took_s <= 3.0 * env.slack, f"{took_s:.2f} s")
        for client in clients:
            assert client.rest() == b""
            client.close()


def test_server_without_connections_ends_at_once(env):
    server = Server(env)
    with server:
        took_s = server.stop()
        measured(took_s <= 1.5 * env.slack, f"{took_s:.2f} s")


def test_idle_connection_gets_its_last_request_answered(env):
    server = Server(env)
    with server, server.client() as client:
        client.get("/")
        server.signal(signal.SIGTERM)
        time.sleep(0.6)
        response = client.get("/api/json")
        assert response.status == 200 and response.says_close, response.fields
        assert client.rest() == b""


def test_body_that_is_coming_in_is_finished(env):
    server = Server(env)
    body = b"b" * 200000
    with server, server.client() as client:
        data = post_bytes("/echo", body)
        client.send(data[:100000])
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        time.sleep(0.5)
        assert procfs.is_alive(server.pid), "ended with a request half received"
        client.send(data[100000:])
        response = client.read()
        assert response.body == body and response.says_close, response
        assert client.rest() == b""
        server.stop()


def test_answer_that_is_going_out_is_finished(env):
    server = Server(env)
    body = b"c" * 1000000
    with server, server.client(timeout_s=15, receive_buffer=4096) as client:
        client.send(get_bytes("/"))
        assert client.read().status == 200
        sender = threading.Thread(
            target=client.try_send, args=(post_bytes("/echo", body),), daemon=True
        )
        sender.start()
        sender.join(5)
        time.sleep(0.3)
        server.signal(signal.SIGTERM)
        time.sleep(0.3)
        assert client.read(timeout_s=15).body == body
        server.stop()


def test_second_signal_ends_at_once(env):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Server(env)
        with server, server.client() as client:
            client.send(post_bytes("/echo", b"d" * 1000)[:-500])
            time.sleep(0.2)
            server.signal(number)
            time.sleep(0.4)
            assert procfs.is_alive(server.pid), "the half received request was dropped"
            started = time.monotonic()
            server.signal(number)
            server.process.wait(20)
            took_s = time.monotonic() - started
            measured(took_s < 1.0 * env.slack, f"{took_s:.2f} s after the second signal")
            assert server.process.returncode >= 0, f"killed by signal {-server.process.returncode}"
            server.stopped = True


def test_drain_limit_is_an_option(env):
    server = Server(env, "--drain", "1")
    with server, server.client() as client:
        client.send(post_bytes("/echo", b"e" * 1000)[:-500])
        time.sleep(0.2)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        server.process.wait(20)
        took_s = time.monotonic() - started
        measured(0.7 <= took_s <= 2.5 * env.slack, f"{took_s:.2f} s with --drain 1")
        assert server.process.returncode >= 0
        server.stopped = True


def test_interrupt_drains_like_term(env):
    server = Server(env)
    with server, server.client() as client:
        client.get("/")
        server.signal(signal.SIGINT)
        assert client.rest() == b""
        assert server.process.wait(20 * env.slack) == 0
        server.stopped = True
        server.check_log()


def test_new_connections_are_refused_or_served_while_draining(env):
    """Whoever connects during the drain knows at once; nobody hangs and is reset at the end."""
    server = Server(env)
    with server, server.client() as client:
        client.send(post_bytes("/echo", b"f" * 1000)[:-500])
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        time.sleep(0.5)
        try:
            with server.client(timeout_s=2) as late:
                late.send(get_bytes("/"))
                response = late.read()
                assert response.status in (200, 503) and response.says_close, response
        except ConnectionRefusedError:
            pass
        client.send(b"f" * 500)
        assert client.read().status == 200
        server.stop()
