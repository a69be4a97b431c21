"""Twice the load a server can bear, from clients that do not wait for each other (open loop).

Each request uses up BURN_US of the server's core; the generator has another core. What is asked of the
server is asked with connections enough for every client to have one: with fewer, requests would wait in
the generator, where no server can refuse them.

What can be served is bounded by what a refusal costs. With t for a request and r for a refusal, of twice
the peak 1/t the share (t - 2r) / (t - r) of it is left, and r is at least about what the do-nothing
responder takes for an answer.
"""

import contextlib
import json
import os
import subprocess
import threading
import time

from figure import Figure, application, at_most, goal
from harness import faults, measured, modules, names
from harness.client import Client, Ended, Silence, get_bytes
from harness.limit import Limit
from harness.server import Server

BURN_US = 50
CONNECTIONS = 2048
LAG_MAX_S = "0.05"  # covet's default, which the harness leaves away.
PROBE_EVERY_S = 0.01
SLOW = 5  # Times what was usual before.
NEARLY = 0.95  # Of what a bound leaves.
GENERATOR_FULL = 3  # covet-load's exit status.


def load(build, url, seconds, connections, rate=0, warmup_s=0):
    """What covet-load on core 1 reports."""
    command = [os.path.join(build, "covet-load"), "--json", "--cores", "1", "-c", str(connections),
               "-d", f"{seconds:g}", "--warmup", f"{warmup_s:g}"]
    command += ["--rate", f"{rate:.0f}"] if rate else []
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=seconds + 30)
    assert done.returncode in (0, GENERATOR_FULL), done.stderr
    report = json.loads(done.stdout)
    assert not report["status"]["4xx"], f"{url} is no path of this server: {report['status']}"
    return report


def burning_application(env):
    """Options for a server that burn() can load."""
    return ["--module", application(env), "--module", modules.build(env, "burn")]


def run_load(server, path, *how, **more):
    url = f"http://127.0.0.1:{server.port}{path}"
    return load(os.path.dirname(server.env.covet), url, *how, **more)


def burn(server, seconds, connections, rate=0, warmup_s=0):
    """The report of requests that burn, and the moment the last of them was due."""
    report = run_load(server, f"/burn/{BURN_US}", seconds, connections, rate, warmup_s)
    return report, time.monotonic() - max(report["seconds"] - seconds, 0)


def responder_s(env, seconds):
    """What the do-nothing responder takes of its core for an answer, fully loaded by as many connections."""
    with Limit(env, "--core", "0") as limit:
        before_ns = faults.cpu_ns(limit.process.pid)
        answers = load(os.path.dirname(env.covet), limit.url, seconds, CONNECTIONS)["requests"]
        return (faults.cpu_ns(limit.process.pid) - before_ns) / answers / 1e9


class Probe:
    """A client that asks a hundred times a second, and notes (when, latency in seconds, status or 0)."""

    def __init__(self, address):
        self.address, self.seen, self.stopping = address, [], threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(10)

    def run(self):
        while not self.stopping.is_set():
            began_s, status = time.monotonic(), 0
            with contextlib.suppress(OSError, Ended, Silence), Client(self.address) as client:
                while not self.stopping.is_set():
                    began_s, status = time.monotonic(), 0
                    response = client.request(get_bytes("/nonce/probe"))
                    status = response.status
                    if response.says_close:
                        break
                    self.seen.append((began_s, time.monotonic() - began_s, status))
                    time.sleep(PROBE_EVERY_S)
            self.seen.append((began_s, time.monotonic() - began_s, status))
            time.sleep(PROBE_EVERY_S)


def usual_s(seen, from_s, to_s):
    """The latency that nine in ten had in that time."""
    times = sorted(latency for when, latency, _ in seen if from_s <= when < to_s)
    measured(times, "no request under the usual load")
    return times[len(times) * 9 // 10]


def recovered_after_s(seen, ended_s, slow_s):
    """How long behind `ended_s` the last ten requests in a row began that were not all as usual."""
    behind = [(when, latency > slow_s or status != 200) for when, latency, status in seen if when >= ended_s]
    measured(len(behind) > 20, f"only {len(behind)} requests behind the end")
    last_bad = 0.0
    for (when, _), window in zip(behind, (behind[i:i + 10] for i in range(len(behind)))):
        # One late request of ten may be the machine's; more are the server's.
        if sum(is_bad for _, is_bad in window) > 1:
            last_bad = when - ended_s
    return last_bad


def p99_ms(report, kind):
    value = report[kind]["latency_us"]["p99"]
    return value / 1000 if value is not None else 0.0


@goal("overload", "twice the saturating load")
def overload(env, short):
    # What is admitted before the overload is noticed is one request in 300 of a minute, but in 20 of 3 s.
    seconds, quiet_s, warmup_s = (4, 2, 1) if short else (60, 5, 0)
    share_min, times_max, recovery_s = (0.25, 20, 5) if short else (0.9, 5, 1)
    refusal_s = responder_s(env, 1 if short else 3)
    with Server(env, *burning_application(env), names.LAG_MAX, LAG_MAX_S) as server, \
            Probe(server.address) as probe:
        peak = burn(server, quiet_s, 64)[0]["served"]["requests_per_s"]
        began_s = time.monotonic()
        busy, busy_end_s = burn(server, quiet_s, CONNECTIONS, 0.8 * peak)
        twice, ended_s = burn(server, seconds, CONNECTIONS, 2 * peak, warmup_s)
        time.sleep(1.5)
    served, shed = twice["served"]["requests_per_s"], twice["shed"]["requests_per_s"]
    share, bound = served / peak, (1 - 2 * refusal_s * peak) / (1 - refusal_s * peak)
    p99_busy_ms, p99_twice_ms = p99_ms(busy, "served"), p99_ms(twice, "served")
    measured(p99_busy_ms > 0, "nothing was served at 80 % load")
    slow_s = SLOW * usual_s(probe.seen, began_s, busy_end_s)
    recovered_s = recovered_after_s(probe.seen, ended_s, slow_s)
    numbers = {"peak_per_s": peak, "served_per_s": served, "shed_per_s": shed, "bound": bound,
               "p99_busy_ms": p99_busy_ms, "p99_ms": p99_twice_ms, "p99_shed_ms": p99_ms(twice, "shed"),
               "recovered_s": recovered_s, "late": twice["late"], "errors": twice["errors_by_kind"]}
    value, wanted, enough = f"{share:.1%} ({shed:.0f}/s shed)", f">= {share_min:.0%}", share_min
    if bound * NEARLY < share_min:
        value += f", {share / bound:.1%} of what refusals as cheap as the responder's answers leave"
        wanted, enough = f"{wanted} or {NEARLY:.0%} of the {bound:.1%} left", bound * NEARLY
    yield Figure("overload-goodput", f"{seconds} s of twice {peak:.0f}/s, share of the peak served",
                 value, wanted, share >= enough, [], numbers, is_measured=True)
    yield Figure("overload-latency", "p99 of what is served, over that at 80 % load",
                 f"{p99_twice_ms:.2f} ms, {p99_twice_ms / p99_busy_ms:.1f} x {p99_busy_ms:.2f} ms",
                 f"<= {times_max} x", p99_twice_ms <= times_max * p99_busy_ms, is_measured=True)
    yield at_most("overload-recovery", "as usual again after", recovered_s, recovery_s, "s")
