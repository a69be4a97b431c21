"""Addresses: IPv6, unix sockets, several at once, handed over by a service manager."""

import os
import socket
import stat

from harness import Skip
from harness.client import Client, get_once
from harness.server import Server, has_ipv6, run


def test_ipv6_loopback(env):
    if not has_ipv6():
        raise Skip("no IPv6 loopback")
    port = env.free_port()
    with Server(env, listen=[f"[::1]:{port}"]) as server:
        assert get_once(("::1", port)).status == 200
        assert server.address == ("::1", port)


def test_unix_socket_is_served_and_removed(env):
    path = env.path("socket")
    server = Server(env, listen=[f"unix:{path}"])
    with server:
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        with Client(path) as client:
            for _ in range(10):
                assert client.get("/").body == b"Hello, World!"
        server.stop()
        assert not os.path.exists(path), "the socket file is left behind"


def test_stale_unix_socket_is_replaced(env):
    path = env.path("socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with Server(env, listen=[f"unix:{path}"]):
        assert get_once(path).status == 200


def test_live_unix_socket_is_not_taken_over(env):
    path = env.path("socket")
    with Server(env, listen=[f"unix:{path}"]):
        status, _, err, _ = run(env, "--listen", f"unix:{path}")
        assert status == 69, (status, err)
        assert get_once(path).status == 200


def test_other_files_are_not_removed_for_a_socket(env):
    path = env.path("file")
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    status, _, _, _ = run(env, "--listen", f"unix:{path}")
    assert status != 0
    with open(path, encoding="ascii") as file:
        assert file.read() == "precious"


def test_unix_socket_with_several_workers(env):
    path = env.path("socket")
    with Server(env, "--workers", "2", listen=[f"unix:{path}"], cores="0-1"):
        for _ in range(50):
            assert get_once(path).status == 200


def test_several_addresses(env):
    ports, path = [env.free_port(), env.free_port()], env.path("socket")
    listen = [f"127.0.0.1:{port}" for port in ports] + [f"unix:{path}"]
    with Server(env, listen=listen, cores="0-1"):
        for address in [("127.0.0.1", port) for port in ports] + [path]:
            for _ in range(5):
                assert get_once(address).status == 200, address


def test_any_address(env):
    port = env.free_port()
    with Server(env, listen=[f"0.0.0.0:{port}"]):
        assert get_once(("127.0.0.1", port)).status == 200
        assert get_once(("127.0.0.2", port)).status == 200


def test_inherited_listener_is_served(env):
    with socket.socket() as listener:
        port = env.free_port()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
        server = Server(
            env,
            how={"listen_fd": listener.fileno()},
            fds=(listener.fileno(),),
            address=("127.0.0.1", port),
        )
        # The inherited descriptor takes the place of --listen.
        server.options = server.options[2:]
        with server:
            for _ in range(10):
                assert get_once(("127.0.0.1", port)).status == 200
        # It is not ours alone: after the stop the socket still listens for the next one.
        with socket.create_connection(("127.0.0.1", port), 2):
            pass


def test_readiness_is_notified(env):
    path = env.path("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(path)
        os.chmod(path, 0o666)
        notified.settimeout(5)
        server = Server(env, environment={"NOTIFY_SOCKET": path})
        with server:
            words = notified.recv(4096).decode().split("\n")
            assert "READY=1" in words, words
            server.stop()
            notified.settimeout(2)
            try:
                later = notified.recv(4096).decode().split("\n")
                assert "STOPPING=1" in later, later
            except socket.timeout:
                pass


def test_readiness_is_notified_in_the_abstract_namespace(env):
    name = f"covet-it-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind("\0" + name)
        notified.settimeout(5)
        with Server(env, environment={"NOTIFY_SOCKET": "@" + name}):
            assert "READY=1" in notified.recv(4096).decode().split("\n")


def test_load_is_spread_over_the_workers(env):
    """64 connections to two workers: both hold some (the kernel hashes them; all on one: 2 in
    2^64)."""
    from harness import metrics, names

    with Server(env, cores="0-1") as server:
        clients = [server.client() for _ in range(64)]
        for client in clients:
            assert client.get("/").status == 200
        samples = [
            value
            for name, _, value in metrics.scrape(server.address)
            if name == names.CONNECTIONS_OPEN
        ]
        assert len(samples) == 2 and min(samples) >= 5, samples
        for client in clients:
            client.close()
