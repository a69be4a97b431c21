"""Clients that hold on to the server without need of it: unfinished heads, answers nobody reads, bodies
that hardly come, more clients than descriptors.
"""

import resource
import time
from collections import Counter

from figure import Figure, all_of, application, at_most, goal
from harness import names, procfs
from harness.server import Server
from horde import Horde, Manner
from overload import LAG_MAX_S, burn, burning_application, p99_ms, run_load

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "
SPARE_DESCRIPTORS = 1000
SLABS_BYTES = 4 << 20
RECEIVE_BUFFER = 4096
OUTPUT_BYTES_MAX = 256 << 10  # covet's default, which is COVET_HIGH_WATER_BYTES too.
STREAM_PIECE_BYTES = 16 << 10  # Of application.c.


def late_s(short, seconds):
    """By how much something may be late: a short run is no measurement, and the machine has other work."""
    return seconds + 2.0 if short else seconds


def affordable(wanted):
    """As many connections as server and clients may have descriptors for."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS)


def memory(name, server_kib, count, limit_bytes):
    """Judged by what many connections need: memory comes in slabs of 2 MiB, and a few serve any crowd."""
    each = server_kib * 1024 / count
    return Figure(name, "of the server for each of them", f"{each:.0f} bytes", f"<= {limit_bytes}, and slabs",
                  server_kib * 1024 <= count * limit_bytes + SLABS_BYTES, numbers={"bytes": each})


def longest_s(outcomes):
    assert not any(one.refused for one in outcomes), "connections refused"
    return max(one.lived_s if one.lived_s >= 0 else float("inf") for one in outcomes)


@goal("slowloris", "heads that come byte by byte")
def slowloris(env, short):
    count = affordable(1000 if short else 8000)
    timeout_s, share_min = (4.0, 0.5) if short else (10.0, 0.95)
    manner = Manner(HALF_HEAD, b"x", every_s=timeout_s / 2, addresses=8)
    piece_s, rate_s = timeout_s / 10, timeout_s / 5

    def best_of(times):
        """The best of short runs that keep the server busy: others on the machine make them worse, never
        better."""
        reports = [burn(server, piece_s, 64)[0] for _ in range(times)]
        return max(reports, key=lambda report: report["served"]["requests_per_s"])

    def share(beside, alone):
        return beside["served"]["requests_per_s"] / alone["served"]["requests_per_s"]

    with Server(env, *burning_application(env), names.HEADER_TIMEOUT, str(timeout_s),
                names.LAG_MAX, LAG_MAX_S) as server:
        alone, paced_alone = best_of(4), run_load(server, "/nonce/1", rate_s, 16, 2000)
        server.touch_buffers()
        before_kib = procfs.private_kib(server.server_pid)
        with Horde(server.address, count, manner, timeout_s + 20) as horde:
            horde.wait_open(timeout_s)
            used_kib = procfs.private_kib(server.server_pid) - before_kib
            beside, paced = best_of(4), run_load(server, "/nonce/1", rate_s, 16, 2000)
            outcomes = horde.outcomes()
    closed, opened = share(beside, alone), share(paced, paced_alone)
    errors = Counter(beside["errors_by_kind"]) + Counter(paced["errors_by_kind"])
    del errors["status"]  # A 503 is no goodput, and that is counted.
    yield at_most("slowloris-gone", f"of {count} half heads that drip on, the last is gone after",
                  longest_s(outcomes), timeout_s + late_s(short, 1.0), "s")
    yield Figure("slowloris-goodput", "of everybody else's requests, beside that without them",
                 f"{closed:.1%} of a full load, {opened:.1%} of 2,000/s, {errors.total()} errors",
                 f">= {share_min:.0%}, no error", min(closed, opened) >= share_min and not errors,
                 [f"{number} {kind}" for kind, number in errors.items()],
                 {"full": closed, "paced": opened, "errors": errors, "p99_ms": p99_ms(paced, "served"),
                  "p99_ms_without": p99_ms(paced_alone, "served")}, is_measured=not errors)
    yield memory("slowloris-memory", used_kib, count, 2048)


def wait_still(server):
    """Waits until the server has put all it can into its queues and the kernel's; gives that moment."""
    while True:
        before_s, began_s = procfs.cpu_s(server.server_pid), time.monotonic()
        time.sleep(0.2)
        if procfs.cpu_s(server.server_pid) == before_s:
            return began_s


def slow_readers(env, short, path, limit_bytes):
    """(figure of the time, figure of the memory) of clients that ask for 100 MiB and take none of it."""
    count, timeout_s = (affordable(300), 2.0) if short else (affordable(2000), 30.0)
    manner = Manner(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), reads=False,
                    receive_buffer=RECEIVE_BUFFER, addresses=8)
    with Server(env, "--module", application(env), names.WRITE_TIMEOUT, str(timeout_s)) as server:
        server.touch_buffers()
        before_kib = procfs.private_kib(server.server_pid)
        with Horde(server.address, count, manner, timeout_s + 20) as horde:
            horde.wait_open(20)
            still_s = wait_still(server)
            used_kib = procfs.private_kib(server.server_pid) - before_kib
            outcomes = horde.outcomes()
    longest_s(outcomes)
    gone_s = max(one.opened_s + one.lived_s for one in outcomes) - still_s
    name = "slow-read" + path.replace("/", "-")
    yield at_most(f"{name}-gone", f"{count} clients that read nothing of 100 MiB are gone"
                  " after", gone_s, timeout_s + late_s(short, 1.0), "s")
    yield memory(f"{name}-memory", used_kib, count, limit_bytes)


@goal("slow-read-large", "answers that nobody reads, from memory that is there anyway")
def slow_read_of_memory(env, short):
    yield from slow_readers(env, short, "/large", 64 << 10)


@goal("slow-read-stream", "answers that nobody reads, made on the way")
def slow_read_of_a_stream(env, short):
    yield from slow_readers(env, short, "/stream", OUTPUT_BYTES_MAX + STREAM_PIECE_BYTES)


@goal("slow-upload", "bodies that hardly come")
def slow_upload(env, short):
    window_s, steady_s, count = (1.0, 4.0, 50) if short else (10.0, 50.0, 200)
    # 16 is the least; a tenth of a second without the clients is much of a short window.
    steady_kib = 40 if short else 20
    limit_s, every_s = 2 * window_s, 0.1

    def uploader(bytes_per_s, seconds):
        piece = b"x" * int(bytes_per_s * every_s)
        drips = int(seconds / every_s)
        head = f"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(piece) * drips}\r\n\r\n"
        return Manner(head.encode(), piece, every_s, drips, addresses=8)

    with Server(env, "--module", application(env), names.BODY_TIMEOUT, str(window_s)) as server:
        with Horde(server.address, count, uploader(12 << 10, 3 * limit_s), limit_s + 20) as slow, \
                Horde(server.address, count, uploader(steady_kib << 10, steady_s), steady_s + 5) as steady:
            dropped, kept = slow.outcomes(), steady.outcomes()
    through = sum(one.status == 200 for one in kept)
    cut_off = sum(one.status == 408 for one in dropped)
    yield at_most("slow-upload-gone", f"of {count} bodies at 12 KiB/s, {cut_off} got 408 and the last is gone"
                  " after", longest_s(dropped), limit_s + late_s(short, 0.5), "s")
    yield all_of("slow-upload-steady", f"of {count} bodies at {steady_kib} KiB/s for {steady_s:g} s,"
                 " answered", through, count)


@goal("starved", "more clients than descriptors")
def starved(env, short):
    count, look_s = 1000, 1.0 if short else 5.0
    manner = Manner(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", addresses=4)
    with Server(env, "--module", application(env), names.IDLE_TIMEOUT, "60", how={"nofile": 256}) as server:
        with Horde(server.address, count, manner, look_s + 20) as horde:
            horde.wait_open(10)
            time.sleep(1.0)
            before_s, began_s = procfs.cpu_s(server.server_pid), time.monotonic()
            time.sleep(look_s)
            busy = (procfs.cpu_s(server.server_pid) - before_s) / (time.monotonic() - began_s)
            # All of them leave, those in the listener's queue too.
            left_s = time.monotonic()
            outcomes = horde.leave()
        with server.client(timeout_s=10.0) as client:
            assert client.get("/healthz").status == 200
            again_s = time.monotonic() - left_s
    served = sum(one.status == 200 for one in outcomes)
    lost = sum(one.refused or (one.lived_s >= 0 and not one.status) for one in outcomes)
    yield at_most("starved-cpu", f"{count} clients on 256 descriptors, {served} answered: CPU while others"
                  " wait", busy * 100, 20 if short else 5, "%")
    yield all_of("starved-lost", "of them, refused or cut without an answer", lost, 0)
    yield at_most("starved-again", "accepts again after", again_s * 1000, late_s(short, 1.0) * 1000, "ms")


@goal("idle", "connections that say nothing")
def idle(env, short):
    count = affordable(1000 if short else 10000)
    manner = Manner(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", addresses=8)
    with Server(env, "--module", application(env), names.IDLE_TIMEOUT, "60") as server:
        server.touch_buffers()
        before_kib = procfs.private_kib(server.server_pid)
        began_s = time.monotonic()
        with Horde(server.address, count, manner, 40) as horde:
            horde.wait_open(20)
            open_s = time.monotonic() - began_s
            time.sleep(1.0)
            before_s = procfs.cpu_s(server.server_pid)
            time.sleep(1.0 if short else 3.0)
            busy = (procfs.cpu_s(server.server_pid) - before_s) / (1.0 if short else 3.0)
            used_kib = procfs.private_kib(server.server_pid) - before_kib
            outcomes = horde.leave()
    answered = sum(one.status == 200 for one in outcomes)
    yield all_of("idle-answered", f"of {count} connections opened in {open_s:.2f} s, answered and kept",
                 answered, count)
    yield memory("idle-memory", used_kib, count, 256)
    yield at_most("idle-cpu", "of the server while they are idle", busy * 100, 5 if short else 1, "%")
