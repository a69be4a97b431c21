"""Large bodies to another machine: sent from where they lie, whole, and let go of in the end. A
virtual Ethernet copies on its way, so the kernel says so and a connection gives up trying."""

import random
import threading
import time

from harness import limit_s, measured, metrics, needs_root
from harness.client import post_bytes
from harness.network import Machines
from harness.procfs import wait_for
from harness.server import Server

OPTIONS = ("--zero-copy-min", "64k")
BODY_BYTES = 900_000


def counted(server, name):
    return metrics.total(metrics.scrape(server.address), f"covet_{name}")


def body(seed, size=BODY_BYTES):
    return random.Random(seed).randbytes(size)


def connections(server):
    return int(counted(server, "connections_open"))


def check_all_closed(server):
    """The one that asks is open."""
    assert wait_for(lambda: connections(server) == 1, 5.0), connections(server)


@needs_root
def test_a_body_is_sent_without_a_copy_until_the_kernel_copies(env):
    machines = Machines()
    with Server(env, *OPTIONS, listen=machines.listen(env)) as server:
        with machines.client(server) as client:
            for seed in range(4):
                client.send(post_bytes("/echo", body(seed)))
                assert client.read().body == body(seed)
                sends = counted(server, "zero_copy_sends_total")
                assert wait_for(lambda: counted(server, "zero_copy_copied_total") == sends, 2.0), "no report"
            # Pieces of the first answer that went out before the first report came.
            assert 1 <= sends <= 4, sends
            client.send(post_bytes("/echo", body(9)))
            assert client.read().body == body(9)
            assert counted(server, "zero_copy_sends_total") == sends
        check_all_closed(server)


@needs_root
def test_every_size_around_the_limit_arrives_whole(env):
    machines = Machines()
    with Server(env, *OPTIONS, listen=machines.listen(env)) as server:
        for size in (65535, 65536, 65537, 262143, 262144, 262145, 327679, 327680, 524288, 1000000):
            with machines.client(server) as client:
                client.send(post_bytes("/echo", body(size, size)))
                assert client.read().body == body(size, size), size
        check_all_closed(server)


@needs_root
def test_memory_from_the_system_is_sent_too(env):
    machines = Machines()
    options = (*OPTIONS, "--body-max", "8m")
    with Server(env, *options, listen=machines.listen(env)) as server:
        with machines.client(server, timeout_s=20) as client:
            client.send(post_bytes("/echo", body(1, 6_000_000)))
            assert client.read(timeout_s=20).body == body(1, 6_000_000)
        assert counted(server, "zero_copy_sends_total") >= 1
        check_all_closed(server)


@needs_root
@limit_s(60)
def test_a_client_that_reads_slowly_gets_every_byte(env):
    machines = Machines()
    with Server(env, *OPTIONS, listen=machines.listen(env)) as server:
        with machines.client(server, timeout_s=30, receive_buffer=8192) as client:
            client.send(post_bytes("/echo", body(1)))
            got = b""
            while len(got) < BODY_BYTES:
                data = client.socket.recv(30000)
                assert data
                got += data
                time.sleep(0.02)
            head, _, rest = got.partition(b"\r\n\r\n")
            while len(rest) < BODY_BYTES:
                rest += client.socket.recv(65536)
            assert rest == body(1)
            # The next request of the same connection, with bytes of the last one just acknowledged.
            client.send(post_bytes("/echo", body(2, 70000)))
            assert client.read(timeout_s=20).body == body(2, 70000)
        check_all_closed(server)


@needs_root
def test_clients_that_reset_in_the_middle_leave_nothing(env):
    machines = Machines()
    dice = random.Random(5)
    with Server(env, *OPTIONS, listen=machines.listen(env)) as server:
        for _ in range(40):
            client = machines.client(server, receive_buffer=dice.choice((4096, 65536, 1 << 20)))
            client.send(post_bytes("/echo", body(1)))
            for _ in range(dice.randrange(4)):
                client.socket.recv(20000)
            client.reset()
        check_all_closed(server)
        assert counted(server, "zero_copy_sends_total") > 0


@needs_root
@limit_s(60)
def test_a_hundred_at_once_get_their_own_bodies(env):
    machines = Machines()
    wrong = []

    def run(seed, client):
        with client:
            for turn in range(3):
                sent = body(seed * 10 + turn, 100_000 + seed * 1000)
                client.send(post_bytes("/echo", sent))
                if client.read(timeout_s=40).body != sent:
                    wrong.append((seed, turn))

    with Server(env, *OPTIONS, cores="0", listen=machines.listen(env)) as server:
        clients = [machines.client(server, timeout_s=40) for _ in range(100)]
        threads = [threading.Thread(target=run, args=each) for each in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong, wrong
        assert counted(server, "zero_copy_sends_total") >= 100
        check_all_closed(server)


@needs_root
def test_a_client_that_never_reads_is_cut(env):
    """All its answer fits the socket's buffer, so only the missing acknowledgement tells."""
    machines = Machines()
    options = (*OPTIONS, "--write-timeout", "1")
    with Server(env, *options, listen=machines.listen(env)) as server:
        with machines.client(server, receive_buffer=4096) as client:
            client.send(post_bytes("/echo", body(1, 70000)))
            started = time.monotonic()
            assert wait_for(
                lambda: counted(server, "zero_copy_sends_total") >= 1, 2.0
            ), "nothing was sent without a copy"
            assert wait_for(lambda: connections(server) == 1, 6.0), connections(server)
            assert time.monotonic() - started >= 0.9
        closed = metrics.total(
            metrics.scrape(server.address), "covet_connections_closed_total", reason="write_timeout"
        )
        assert closed == 1, closed


@needs_root
def test_a_stop_waits_for_no_acknowledgement(env):
    machines = Machines()
    options = (*OPTIONS, "--drain", "1")
    with Server(env, *options, listen=machines.listen(env)) as server:
        with machines.client(server, receive_buffer=4096) as client:
            client.send(post_bytes("/echo", body(1, 70000)))
            assert wait_for(lambda: counted(server, "zero_copy_sends_total") >= 1, 2.0)
            took_s = server.stop()
            measured(took_s < 4 * env.slack, f"{took_s:.1f} s")


def test_nothing_goes_over_loopback_without_a_copy(env):
    with Server(env, *OPTIONS) as server, server.client() as client:
        client.send(post_bytes("/echo", body(1)))
        assert client.read().body == body(1)
        assert counted(server, "zero_copy_sends_total") == 0
