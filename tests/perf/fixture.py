"""A report as the harness writes it, with every shape a page must bear. Run it to get the JSON.

Servers that were skipped, figures that are missing, errors, a generator that was full, a server a
hundred times slower, a scenario with one server, names and commands full of markup.
"""
import json
import random
import sys

# name, kind, CPU in units of the limit, memory in KiB, what its answer does otherwise
SERVERS = [
    ("limit", "limit", 1.0, 9_800, ""),
    ("covet", "covet", 1.03, 12_400, ""),
    ("nginx", "peer", 1.84, 6_900, ""),
    ("h2o", "peer", 1.71, 15_300, "serves a file; sends ETag and Accept-Ranges"),
    ("lighttpd", "peer", 2.3, 7_100, ""),
    ("haproxy", "peer", 1.66, 21_000, "no body on its own: http-request return"),
    ("node http", "peer", 7.9, 62_000, ""),
    ("uvicorn <bare ASGI>", "peer", 12.4, 31_000, "Python 3.11 & uvloop"),
    ("FastAPI on Granian (one worker)", "peer", 40.0, 71_000, ""),
    ("FastAPI on uvicorn[standard]", "peer", 61.0, 66_000, ""),
    ("uWebSockets, epoll back end", "peer", 1.62, 5_200, ""),
]
TITLES = {"limit": "the limit", "haproxy": "HAProxy"}
FIELDS = ["content-length", "content-type", "date"]
# name, title, limit's CPU in ns, connections, covet against limit, pipelined, limit takes part
SCENARIOS = [
    ("hello", "Hello, one request at a time", 5_640, 64, 1.03, 1),
    ("json", "A small JSON object", 5_700, 64, 1.05, 1),
    ("pipelined", "Pipelined, 16 at a time", 402, 64, 1.09, 16),
    ("churn", "A connection per request", 17_300, 64, 1.08, 1),
    ("idle", "10,000 idle connections beside 64 busy ones", 6_200, 64, 1.02, 1),
]
GOALS = {
    ("hello", "limit"): ("cpu_ns", 1.05), ("hello", "nginx"): ("cpu_ns", 0.6),
    ("hello", "FastAPI on uvicorn[standard]"): ("requests_per_s", 10),
    ("json", "FastAPI on uvicorn[standard]"): ("requests_per_s", 10),
    ("pipelined", "limit"): ("requests_per_s", 0.9),
}
NO_FIGURES = ("round", "errors", "others", "generator_full")
LESS = ("cpu_ns", "p50_us", "p99_us", "enters", "switches", "memory_kib")


def spread(values):
    """Median, lowest and highest of what was measured."""
    values = sorted(value for value in values if value is not None)
    if not values:
        return None
    return {"median": values[len(values) // 2], "low": values[0], "high": values[-1]}


def one_round(draw, number, noise, kind, cpu_ns, connections, memory_kib):
    cpu = cpu_ns * draw.uniform(1 - noise, 1 + noise)
    rate = 0.97e9 / cpu
    p50 = connections / rate * 1e6
    return {
        "round": number, "requests_per_s": rate, "cpu_ns": cpu, "switches": 0.02 + (kind == "peer") * 0.4,
        "enters": 0.097 * draw.uniform(0.9, 1.1) if kind != "peer" else None,
        "memory_kib": memory_kib, "p50_us": p50, "p99_us": p50 * draw.uniform(1.5, 2.2),
        "errors": 0, "others": draw.uniform(0, 0.055), "generator_full": False,
    }


def server(draw, noise, row, scenario, rounds):
    name, kind, factor, memory_kib, note = row
    scenario_name, _, limit_ns, connections, covet, depth = scenario
    factor = covet if kind == "covet" else factor if depth == 1 or kind == "limit" else factor * 6
    measured = [one_round(draw, number, noise, kind, limit_ns * factor, connections * depth, memory_kib)
                for number in range(rounds)]
    p50 = spread(r["p50_us"] for r in measured)["median"]
    tail = dict(zip(("p50", "p75", "p90", "p99", "p99_9", "p99_99", "max"),
                    (p50 * k for k in (1, 1.1, 1.25, 1.8, 3.1, 7.5 + len(name) / 4, 40))))
    out = {
        "name": name, "kind": kind, "title": TITLES.get(name, name), "version": "1.2.3", "note": note,
        "answer": {"body_bytes": 13, "fields": FIELDS + ["Server", "Connection"] * (name == "nginx")},
        "command": f"build/{name} --listen '127.0.0.1:{{port}}' --say \"<hello> & {scenario_name}\"",
        "rounds": measured, "latency_us": tail, "errors": 0, "error_text": None,
        "figures": {key: value for key in measured[0] if key not in NO_FIGURES
                    if (value := spread(r[key] for r in measured))},
    }
    out["figures"]["syscalls"] = {"median": 0.1 if kind != "peer" else 2.02}
    return out


def ratio(top, bottom, figure, goal=None):
    values = sorted(a[figure] / b[figure] for a, b in zip(top["rounds"], bottom["rounds"]))
    middle = values[len(values) // 2]
    met = None if goal is None else middle <= goal if figure in LESS else middle >= goal
    return {"of": top["name"], "to": bottom["name"], "figure": figure, "median": middle,
            "low": values[0], "high": values[-1], "rounds": len(values), "goal": goal, "met": met,
            "goal_kind": None if goal is None else "at_most" if figure in LESS else "at_least"}


def add_ratios(entry):
    covet = next((s for s in entry["servers"] if s["kind"] == "covet"), None)
    for other in entry["servers"]:
        if covet and other is not covet and covet["rounds"] and other["rounds"]:
            goal_figure, goal = GOALS.get((entry["name"], other["name"]), (None, None))
            if entry["name"] == "churn" and other["kind"] == "peer":
                goal_figure, goal = "cpu_ns", 1.0
            for figure in ("cpu_ns", "requests_per_s"):
                entry["ratios"].append(ratio(covet, other, figure, goal if figure == goal_figure else None))


def report(seed=1, noise=0.03, rounds=8, covet_factor=1.0):
    """A report; `covet_factor` above 1 plants a regression in covet's CPU per request."""
    draw = random.Random(seed)
    scenarios = []
    for name, title, limit_ns, connections, covet, depth in SCENARIOS:
        shape = (name, title, limit_ns, connections, covet * covet_factor, depth)
        entry = {
            "name": name, "title": title, "why": f"Why {name} matters, in a sentence.",
            "load_command": f"covet-load -t 1 -c {connections} -p {depth} -d 2 http://127.0.0.1:<port>/",
            "servers": [server(draw, noise, row, shape, rounds) for row in SERVERS],
            "ratios": [], "rounds": rounds + 2, "rounds_used": rounds, "idle": 10_000 * (name == "idle"),
            "left_out": [], "limit_variants": [], "rounds_disturbed": 2,
        }
        scenarios.append(entry)
    hello, json_, pipelined, churn, idle = scenarios
    # Two servers so near the limit that the generator was full.
    for entry in hello["servers"][:2]:
        for r in entry["rounds"]:
            r["generator_full"] = True
    churn["servers"][3].update(errors=1_204, error_text="connect: refused & reset <12 times>")
    churn["left_out"].append({"name": "apache", "reason": "does not serve: <close> & echo"})
    hello["limit_variants"] = [
        {"variant": variant, "figure": "cpu_ns", "median": median, "chosen": chosen}
        for variant, median, chosen in (("plain descriptors, counts bytes", 5_640.0, True),
                                        ("direct descriptors, counts bytes", 5_710.0, False))]
    broken = idle["servers"][6]
    broken.update(rounds=[], figures={}, latency_us={}, errors=0, error_text="did not start: needs <uvloop>")
    json_["servers"][4]["figures"]["cpu_ns"] = None
    json_["servers"][4]["latency_us"] = {"p50": 700.0, "p75": None, "p99": 1500.0}
    for entry in scenarios:
        add_ratios(entry)
    alone = {
        "name": "websocket", "title": "WebSocket echo", "why": "One server alone has something to say too.",
        "load_command": "covet-load --ws -c 64 ws://127.0.0.1:PORT/echo",
        "servers": [server(draw, noise, SERVERS[1], SCENARIOS[0], rounds)],
        "ratios": [], "rounds": rounds, "rounds_used": rounds,
    }
    return {
        "format": 1, "date": "2026-03-14T15:09:26+00:00", "dirty": True,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "machine": {
            "cpu": "AMD EPYC (Zen 3) <virtual>", "cores": 2, "kernel": "6.18.0 #1 SMP PREEMPT_DYNAMIC",
            "hypervisor": "KVM", "memory_bytes": 25_233_000_000, "governor": None, "congestion": "cubic",
            "clocksource": "tsc",
            "mitigations": {"meltdown": "Not affected", "spectre_v2": "Mitigation: Retpolines & IBPB",
                            "spec_store_bypass": "Vulnerable"},
        },
        "versions": {"covet": "0.4.0", "nginx": "1.22.1", "gcc": "12.2.0", "python": "3.11.7"},
        "skipped": [{"name": "Caddy", "reason": "not installed: <caddy> & not packaged"}],
        "options": {"seconds": 1.5, "rounds": 12, "server_cores": [0], "load_cores": [1], "priority": True},
        "seconds_total": 702.4, "failures": ["burst: covet-load: no port is <left>"],
        "command": "perf/compare --output build/perf", "scenarios": [*scenarios, alone],
        "generators": {
            "p1": [{"name": "covet-load", "requests_per_s": {"median": 131e3, "low": 128e3, "high": 135e3}},
                   {"name": "wrk", "requests_per_s": {"median": 48e3, "low": 47e3, "high": 50e3}},
                   {"name": "h2load", "requests_per_s": {"median": 41e3, "low": 40e3, "high": 41.5e3}}],
            "p16": [{"name": "covet-load", "requests_per_s": {"median": 2.02e6, "low": 1.9e6, "high": 2.1e6}},
                    {"name": "wrk", "requests_per_s": {"median": 664e3, "low": 651e3, "high": 680e3}},
                    {"name": "h2load", "requests_per_s": None}],
            "ratios": [{"of": "covet-load", "to": "wrk", "figure": "requests_per_s", "depth": 1,
                        "median": 2.73, "low": 2.6, "high": 2.9, "rounds": 5, "goal": 2, "met": True}],
        },
    }


if __name__ == "__main__":
    json.dump(report(), sys.stdout, indent=1)
