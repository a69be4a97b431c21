"""Clients that hold on to the server without need of it: unfinished heads, answers nobody reads, bodies
that hardly come, more clients than descriptors.
"""

import resource
import time

from figure import Figure, application, goal
from harness import names, procfs
from harness.server import Server
from horde import Horde, Manner
from overload import burn, p99_ms, run_load

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "
SPARE_DESCRIPTORS = 1000
RECEIVE_BUFFER = 4096


def affordable(wanted):
    """As many connections as server and clients may have descriptors for."""
    return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS)


def longest_s(outcomes):
    assert not any(one.refused for one in outcomes), "connections refused"
    return max(one.lived_s if one.lived_s >= 0 else float("inf") for one in outcomes)


@goal("slowloris", "heads that come byte by byte")
def slowloris(env, short):
    count, timeout_s = (affordable(1000), 2.0) if short else (affordable(8000), 10.0)
    limit_s = timeout_s + 1.0
    manner = Manner(HALF_HEAD, b"x", every_s=timeout_s / 2, addresses=8)
    piece_s, rate_s = timeout_s / 10, timeout_s / 5

    def best_of(times):
        """The best of short runs that keep the server busy: others on the machine make them worse, never
        better."""
        reports = [burn(server, piece_s, 64)[0] for _ in range(times)]
        return max(one["requests_per_s"] for one in reports), sum(one["errors"] for one in reports)

    with Server(env, "--module", application(env), names.HEADER_TIMEOUT, str(timeout_s)) as server:
        server.touch_buffers()
        alone, paced_alone = best_of(4), run_load(server, "/nonce/1", rate_s, 16, 2000)
        before_kib = procfs.private_kib(server.server_pid)
        with Horde(server.address, count, manner, timeout_s + 20) as horde:
            horde.wait_open(timeout_s)
            each_bytes = (procfs.private_kib(server.server_pid) - before_kib) * 1024 / count
            beside, paced = best_of(4), run_load(server, "/nonce/1", rate_s, 16, 2000)
            outcomes = horde.outcomes()
    closed = beside[0] / alone[0]
    opened = paced["requests_per_s"] / paced_alone["requests_per_s"]
    share = min(closed, opened)
    gone_s = longest_s(outcomes)
    errors = beside[1] + paced["errors"]
    yield Figure("slowloris-gone", f"{count} half heads, a byte every {manner.every_s:g} s: the last is gone after",
                 f"{gone_s:.2f} s", f"<= {limit_s:g} s", gone_s <= limit_s, [], {"s": gone_s})
    yield Figure("slowloris-goodput", "of everybody else's requests, beside that without them",
                 f"{closed:.1%} of a full load, {opened:.1%} of 2,000/s, {errors} errors; p99 of these "
                 f"{p99_ms(paced, 'served'):.2f} ms, without {p99_ms(paced_alone, 'served'):.2f} ms",
                 ">= 95 %, no error", share >= (0.8 if short else 0.95) and not errors, [],
                 {"full": closed, "paced": opened, "errors": errors})
    yield Figure("slowloris-memory", "of the server for each of them", f"{each_bytes:.0f} bytes",
                 "<= 2048", each_bytes <= 2048, [], {"bytes": each_bytes})
