"""The closing table: each figure, its limit, and whether it holds."""

import json
import re

import gauges
from rude import BEHAVIOURS
from users import EXCHANGES

RESTART_LIMIT_S = 1.0
SLOPE_LIMIT_KIB = 1024  # An hour.
SLOPE_MINUTES_MIN = 10  # Below that a slope is noise: what grew is judged instead.
GROWTH_LIMIT_KIB = 2 * gauges.SLAB_KIB
TAIL_FACTOR, TAIL_MARGIN_MS = 3.0, 20.0
HAND_OVER_LIMIT_S = 15.0
STOP_LIMIT_S = 5.0
KERNEL_THREADS_MAX = 4  # Two a worker: a send that waited when its peer ended may have started one.
FATAL = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error|ThreadSanitizer|event=assertion")


FAILURES = {
    "wrong answer": "wrong answers",
    "reset": "resets nothing explains",
    "cut": "ends nothing explains",
    "refused": "connections refused",
    "time-out": "time-outs",
    "operation": "operations that failed",
    "log": "rests: access log against answers",
    "counters": "rests: counters against answers",
    "left open": "rests: something left open",
}


class Figure:
    """ok None: could not be judged; `limit` then says why."""

    def __init__(self, name, value, limit, ok):
        self.name, self.value, self.limit, self.ok = name, value, limit, ok


def verdict(soak):
    parts = (of_clients, of_log, of_server, of_memory, of_tail, of_end)
    return [figure for part in parts for figure in part(soak)]


def of_clients(soak):
    world = soak.world
    yield Figure("exchanges", sum(world.done.values()), "each kind at least once", not never_done(world))
    for kind, name in FAILURES.items():
        yield Figure(name, world.failure_count[kind], "0", world.failure_count[kind] == 0)
    for reason, count in sorted(world.explained.items()):
        yield Figure(f"explained: {reason}", count, "", True)
    yield Figure("errors of covet-load", soak.load.errors, "0", soak.load.errors == 0)


def never_done(world):
    kinds = [kind for kind, _ in EXCHANGES] + list(BEHAVIOURS)
    return [kind.__name__ for kind in kinds if not world.done[kind.__name__]]


def of_log(soak):
    """Lines of errors are those the chaos caused, one each, and no other."""
    lines = soak.covet.read_log()
    errors = [line for line in lines if "level=error" in line or FATAL.search(line)]
    expected = soak.operations.errors_expected
    left = [line for line in errors if not re.search(rf"event=({'|'.join(expected)})\b", line)]
    counts = {kind: sum(f"event={kind} " in line for line in errors) for kind in expected}
    if soak.covet.is_sanitized:  # The sanitizer takes the last words of a crash and writes its own.
        left = [line for line in left if not re.search("AddressSanitizer.*(SEGV|DEADLYSIGNAL)", line)]
        counts["crash"] = expected["crash"]
    text = f"{len(left)}" + (f": {left[0][:200]}" if left else "")
    yield Figure("error lines nobody caused", text, "0", not left)
    yield Figure("error lines of chaos", counts, expected, counts == expected)


def machine_s(soak):
    """How long this machine lets a server wait that does nothing: the worst p99 of all runs."""
    return max((run["latency_us"]["p99"] or 0 for run in soak.load.bare_runs), default=0) / 1e6


def of_server(soak):
    operations = soak.operations
    limits = (("hand_over", "hand-overs", HAND_OVER_LIMIT_S), ("crash", "restarts", RESTART_LIMIT_S))
    for operation, name, limit in limits:
        took = operations.took_s[operation]
        if took:
            limit_s = limit * soak.covet.slack + 3 * machine_s(soak)
            text = f"{len(took)}, longest {max(took):.2f} s"
            yield Figure(name, text, f"{limit_s:.2f} s", max(took) <= limit_s)
    reloads = sum("event=reloaded" in line for line in soak.covet.read_log())
    yield Figure("reloads", reloads, "", True)
    threads = max((rest.kernel_threads for rest in soak.rests), default=0)
    yield Figure("io-wq threads at rests", threads, KERNEL_THREADS_MAX, threads <= KERNEL_THREADS_MAX)
    if not operations.can_profile:
        yield Figure("profiler", "skipped", operations.why_not, None)
    yield Figure("answers found in the access log", soak.lines_checked - soak.lines_lost, "", True)


def of_memory(soak):
    """Of the last server process, from its second rest on since it was warmed."""
    rests = [rest for rest in soak.rests if rest.is_warm and rest.server_pid == soak.covet.server_pid][1:]
    points = [(rest.at_s, rest.private_kib) for rest in rests]
    if soak.covet.is_sanitized:
        yield Figure("memory", "skipped", "a sanitizer keeps what is freed", None)
        return
    if len(points) < 2:
        yield Figure("memory", f"{len(points)} rests", "2, of the last server once it is warm", False)
        return
    minutes = (points[-1][0] - points[0][0]) / 60
    text = f"{points[0][1]} to {points[-1][1]} KiB in {minutes:.1f} min"
    if minutes >= SLOPE_MINUTES_MIN:
        slope = gauges.slope_per_hour(points)
        text += f", {slope:+.0f} KiB/h"
        yield Figure("memory", text, f"{SLOPE_LIMIT_KIB} KiB/h", slope <= SLOPE_LIMIT_KIB)
    else:
        grown = points[-1][1] - points[0][1]
        limit = f"{GROWTH_LIMIT_KIB} KiB: a slab of each worker"
        yield Figure("memory", text, limit, grown <= GROWTH_LIMIT_KIB)


def of_tail(soak):
    """Medians of the runs in the first and the last quarter; what a server that does nothing shows in the
    last one is the machine's."""
    load = soak.load
    quarter = max(len(load.runs) // 4, 1)
    if len(load.runs) < 2:
        yield Figure("tail", f"{len(load.runs)} runs", "2", False)
        return
    first, last = load.tail_ms(load.runs[:quarter]), load.tail_ms(load.runs[-quarter:])
    bare = load.tail_ms(load.bare_runs[-quarter:])
    limit = TAIL_FACTOR * max(first, bare) + TAIL_MARGIN_MS
    name = load.percentile.replace("_", ".")
    yield Figure(f"{name}, first quarter", f"{first:.1f} ms", "", True)
    yield Figure(f"{name}, last quarter of the do-nothing responder", f"{bare:.1f} ms", "", True)
    yield Figure(f"{name}, last quarter", f"{last:.1f} ms", f"{limit:.1f} ms", last <= limit)


def of_end(soak):
    limit_s = STOP_LIMIT_S * soak.covet.slack + 3 * machine_s(soak)
    took = soak.stop_s
    yield Figure("end after TERM", "never" if took is None else f"{took:.2f} s", f"{limit_s:.2f} s",
                 took is not None and took <= limit_s)
    left = soak.covet.leftovers()
    yield Figure("left behind", ", ".join(left) or "nothing", "nothing", not left)


def as_text(figures):
    rows = [("figure", "value", "limit", "")]
    for figure in figures:
        mark = {True: "ok", False: "FAILED", None: "skipped"}[figure.ok]
        rows.append((figure.name, plain(figure.value), plain(figure.limit), mark))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ("  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[3]]) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def plain(value):
    if isinstance(value, dict):
        return " ".join(f"{key}={count}" for key, count in value.items())
    return str(value)


def as_json(soak, figures):
    return json.dumps(
        {
            "seed": soak.world.seed,
            "minutes": soak.minutes,
            "figures": [vars(figure) for figure in figures],
            "exchanges": dict(soak.world.done),
            "operations": soak.operations.counts,
            "failures": [
                {"kind": one.kind, "who": one.who, "what": one.what, "text": one.text,
                 "at_s": round(soak.truth.seconds(one.moment), 3)}
                for one in soak.world.failures
            ],
            "rests": [{**vars(rest), "at_s": round(rest.at_s, 1)} for rest in soak.rests],
            "latency_us": [run["latency_us"] for run in soak.load.runs],
            "bare_latency_us": [run["latency_us"] for run in soak.load.bare_runs],
        }
    )
