"""The do-nothing responder of the benchmarks: right answers, exact counts. What is measured against
it is worth no more than it is."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from harness import measured
from harness.client import Client, get_bytes, post_bytes
from harness.limit import Limit

HELLO = b"Hello, World!"
# How connections are held; every test of answers passes each.
WAYS = (
    ("--touch",),
    ("--notouch", "auto"),
    ("--direct",),
    ("--recv-single",),
    ("--send-counted",),
    ("--send-cqe",),
    ("--workers", "3"),
)


def converse(address, requests, pieces=0):
    """Sends `requests` on one connection, in pieces of so many bytes if that is not 0, and reads as
    many answers. Returns their bodies."""
    with Client(address) as client:
        data = b"".join(requests)
        if pieces:
            for at in range(0, len(data), pieces):
                client.send(data[at : at + pieces])
                time.sleep(0.001)
        else:
            client.send(data)
        return [client.read().body for _ in requests]


def test_answers_are_what_was_asked_for_and_counts_are_exact(env):
    text = '{"id":"42"}'
    for way in WAYS:
        with Limit(env, *way, "--type", "application/json", "--body", text) as limit:
            with ThreadPoolExecutor(8) as pool:
                work = [get_bytes("/")] * 50
                every = list(pool.map(lambda _: converse(limit.address, work), range(8)))
            assert all(body == text.encode() for bodies in every for body in bodies), way
            with Client(limit.address) as client:
                assert client.get("/").get("content-type") == "application/json"
        counts = limit.counts
        assert counts["requests"] == 401, f"{way}: {counts}"
        assert counts["accepted"] == 10, f"{way}: {counts}"  # With the first look at the port.
        assert counts["closed"] <= 10 and counts["refused"] == counts["stalls"] == 0, counts
        assert counts["bytes_received"] == 401 * len(work[0]), f"{way}: {counts}"
        answer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Type: application/json\r\n"
        answer += "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n" + text
        assert counts["bytes_sent"] == 401 * len(answer), f"{way}: {counts}"


def test_requests_end_where_their_length_says(env):
    """Bodies of every kind, and bytes that come three at a time."""
    cases = (
        ("a blank line in a body", [post_bytes("/", b"a\r\n\r\nb" * 9)] * 20, 0),
        ("pieces", [post_bytes("/", b"x" * 40), get_bytes("/a"), post_bytes("/", b"")] * 2, 3),
        ("longer than a buffer", [post_bytes("/", b"y" * 5000)] * 10, 0),
        ("of two kinds", [post_bytes("/", b"z" * 1024), get_bytes("/a")] * 50, 0),
    )
    for name, requests, pieces in cases:
        with Limit(env) as limit:
            assert converse(limit.address, requests, pieces) == [HELLO] * len(requests), name
        assert limit.counts["requests"] == len(requests), f"{name}: {limit.counts}"


def test_bytes_may_be_counted_instead(env):
    request = post_bytes("/echo", b"\r\n\r\n" * 256)
    for bytes_each in ("auto", str(len(request))):
        for pieces in (0, 7):
            with Limit(env, "--notouch", bytes_each) as limit:
                work = [request] * (3 if pieces else 100)
                assert converse(limit.address, work, pieces) == [HELLO] * len(work)
            assert limit.counts["requests"] == len(work), f"{bytes_each}: {limit.counts}"


def test_long_answers_reach_a_reader_that_is_late(env):
    body = b"Hello, World!" * 5042
    request = post_bytes("/echo", body[:65536])
    sizes = ("--size", "65536", "--buffer-bytes", "65536", "--buffers", "64")
    for way in WAYS:
        with Limit(env, *way, *sizes) as limit:
            with Client(limit.address, timeout_s=10, receive_buffer=4096) as client:
                for _ in range(4):
                    client.send(request)
                time.sleep(0.1)
                for _ in range(4):
                    assert client.read().body == body[:65536], way
        assert limit.counts["requests"] == 4, f"{way}: {limit.counts}"


def test_connections_end_after_one_answer_however_asked(env):
    ways = [("--close",)]
    ways += [("--close-by", how) for how in ("cancel-data", "cancel-fd", "shutdown", "peer")]
    ways += [("--close-by", "close", "--recv-single"), ("--close", "--direct"), ("--defer-accept",)]
    for way in ways:
        with Limit(env, *way) as limit:
            for _ in range(20):
                with Client(limit.address) as client:
                    answer = client.get("/")
                    assert answer.says_close == (way != ("--defer-accept",)), way
                    if answer.says_close and "peer" not in way:
                        assert client.rest() == b"", way
            time.sleep(0.1)
        counts = limit.counts
        assert counts["requests"] == 20, f"{way}: {counts}"
        measured(counts["closed"] == counts["accepted"], f"{way}: {counts}")


def test_a_stall_is_a_pause_and_no_more(env):
    """Two pauses; nobody is lost, and everybody else is answered at once."""
    stall = ("--stall-ms", "400", "--stall-every", "0.8", "--stall-count", "2")
    with Limit(env, *stall) as limit, Client(limit.address) as client:
        waits = []
        end = time.monotonic() + 2.4
        while time.monotonic() < end:
            began = time.monotonic()
            client.get("/")
            waits.append(time.monotonic() - began)
        measured(sum(wait > 0.35 for wait in waits) == 2, sorted(waits)[-4:])
    assert limit.counts["stalls"] == 2 and limit.counts["requests"] == len(waits), limit.counts


def test_a_full_table_makes_clients_wait(env):
    """Plain descriptors leave who finds no room in the queue; each is answered in the end."""
    with Limit(env, "--fds", "24") as limit:
        clients = [Client(limit.address, timeout_s=10) for _ in range(40)]
        for client in clients:
            client.send(get_bytes("/"))
        for client in clients:
            assert client.read().body == HELLO
            client.close()
    assert limit.counts["requests"] == 40 and limit.counts["refused"] >= 1, limit.counts


def test_what_it_does_not_understand_ends_it(env):
    cases = ("--nonsense", "--port", "--port=x", "--size -1", "--close-by magic", "--buffers 100",
             "--notouch 0", "--seconds 1x")
    for case in cases:
        done = subprocess.run([Limit(env).program, *case.split()], capture_output=True, timeout=60)
        assert done.returncode == 64 and done.stderr.startswith(b"limit: "), f"{case}: {done}"
    helped = subprocess.run([Limit(env).program, "--help"], capture_output=True, timeout=60)
    assert helped.returncode == 0 and b"--notouch" in helped.stdout, helped
