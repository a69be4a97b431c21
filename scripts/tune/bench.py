"""covet-tune bench: does a setting do anything here?

A round has a setting off, on, on, off, the next one on, off, off, on: a drift of the machine, and an
advantage of whoever comes second, fall on both. Each of these runs starts a covet of its own (many settings
are read when a socket is made), loads it over loopback and ends it. A ratio is taken inside a round; told are
the median of the rounds and an interval that holds the true median with 99 %, whatever the noise looks like:
ranks of the ordered ratios, from the binomial distribution. It takes eight rounds to say anything. The first
step changes nothing: what it shows is what the method makes of nothing.
"""
import json
import math
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tune import table

HERE = Path(__file__).resolve().parent
STEP_S = 30.0
START_S_MAX = 5.0
LOADED_S_MAX = 0.75  # Of one run.
RUNS = 80  # Into so many a step's time is cut, of which starting and stopping take their part.
ROUNDS = ((False, True, True, False), (True, False, False, True))  # Whether it is on.
ERROR = 0.01
CONTROL = "(control: nothing is changed)"

# What a profile is about, as options of covet-load. {url} ends in a slash.
LOADS = {
    None: ("64 connections, small answers", "-c 64 {url}"),
    "latency": ("16 connections, 5,000 requests a second at fixed times", "-c 16 --rate 5000 {url}"),
    "throughput": ("16 connections, 64 KiB each way", "-c 16 --upload 64k {url}echo"),
    "many-connections": ("64 connections, a new one for each request", "-c 64 --reconnect 1 {url}"),
}
# Name, what less of it is called, what more.
FIGURES = {"cpu_ns": ("CPU per request", "less", "more"),
           "requests_per_s": ("requests/s", "fewer", "more"),
           "p99_us": ("p99", "shorter", "longer")}


def program(name, folder):
    """In `folder` where one is given; else that of the source tree, or that installed beside covet-tune."""
    known = [HERE.parent.parent / "build/release", Path(sys.argv[0]).resolve().parent]
    folders = [folder] if folder else known
    for path in (Path(folder) / name for folder in folders):
        if path.is_file():
            return str(path)
    raise RuntimeError(f"bench needs {name}: make, or --programs DIR")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server, log):
    deadline = time.monotonic() + START_S_MAX
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    log.seek(0)
    raise RuntimeError(f"covet did not come up: {log.read().decode(errors='replace').strip()}")


def interval(ratios):
    """{"median", "low", "high"}: None for the bounds where there are too few ratios for any."""
    ordered, count, below, rank = sorted(ratios), len(ratios), 0.0, 0
    while rank < count // 2 and 2 * (below + math.comb(count, rank) / 2 ** count) <= ERROR:
        below += math.comb(count, rank) / 2 ** count
        rank += 1
    low, high = (ordered[rank - 1], ordered[-rank]) if rank else (None, None)
    return {"median": statistics.median(ordered), "low": low, "high": high}


def differences(figures):
    """In words, the figures whose interval leaves 1 out."""
    for name, (title, less, more) in FIGURES.items():
        ratio = figures.get(name)
        if ratio and ratio["low"] is not None and not ratio["low"] <= 1 <= ratio["high"]:
            yield f"{title} {abs(ratio['median'] - 1):.1%} {less if ratio['median'] < 1 else more}"


def verdict(figures):
    first = next(iter(figures.values()), None)
    if first is None:
        return "nothing was answered"
    if first["low"] is None:
        return "too few rounds: give it more time (--for)"
    # Nothing seen means little where little could have been seen.
    reach = max(1 - first["low"], first["high"] - 1)
    return ", ".join(differences(figures)) or f"shows nothing here; {reach:.0%} would have been seen"


class Refused(Exception):
    """A setting that cannot be made here."""


class Bench:
    """Runs and rounds of one command (command_line.Run)."""

    def __init__(self, command):
        options, machine = command.options, command.machine
        self.changes = command.changes
        self.seconds = options.seconds or STEP_S
        self.loaded_s = min(self.seconds / RUNS, LOADED_S_MAX)
        self.covet, self.load = (program(name, options.programs) for name in ("covet", "covet-load"))
        self.title, self.load_options = LOADS[options.profile]
        self.server_core, self.load_core = machine.cores[0], max(machine.others or machine.cores)

    def measure(self):
        """One server, loaded for a moment: its figures."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/"
        # No profiler: starting and stopping it is no part of what is compared.
        serve = [self.covet, "--cores", str(self.server_core), "--admin", "off", "--profile", "off",
                 "--listen", url[7:-1]]
        load = [self.load, "--json", "--quiet", "--cores", str(self.load_core), "-d", f"{self.loaded_s:.3f}",
                *self.load_options.format(url=url).split()]
        with tempfile.TemporaryFile() as log, subprocess.Popen(serve, stdout=log, stderr=log) as server:
            try:
                wait_for(port, server, log)
                done = subprocess.run(load, capture_output=True, text=True, timeout=self.loaded_s + 20)
            finally:
                server.terminate()
        if not done.stdout:
            raise RuntimeError(done.stderr.strip())
        report = json.loads(done.stdout)
        busy_s = (report["server_cpu_share"] or 0) * report["seconds"]
        return {"requests_per_s": report["requests_per_s"], "p99_us": report["latency_us"]["p99"] or 0,
                "cpu_ns": busy_s * 1e9 / max(report["requests"], 1)}

    def measure_with(self, row):
        try:
            for outcome in self.changes.apply([row]):
                if outcome.state == "failed":
                    raise Refused(f"cannot be set: {outcome.note}")
            return self.measure()
        finally:
            for outcome in self.changes.revert():
                if outcome.state in ("failed", "left"):
                    print(f"covet-tune: {outcome.path}: {outcome.note}", file=sys.stderr)

    def step(self, row):
        """{"step", "rounds", "figures", "verdict", "ratios"} of one row; None: the control."""
        ratios, rounds, deadline = {name: [] for name in FIGURES}, 0, time.monotonic() + self.seconds
        try:
            while time.monotonic() < deadline:
                measured = {False: [], True: []}
                for is_on in ROUNDS[rounds % 2]:
                    measured[is_on].append(self.measure_with(row) if is_on and row else self.measure())
                rounds += 1
                for name, values in ratios.items():
                    off, on = (sum(run[name] for run in measured[is_on]) for is_on in (False, True))
                    if off and on:
                        values.append(on / off)
            figures = {name: interval(values) for name, values in ratios.items() if values}
            words = verdict(figures)
        except Refused as why:
            figures, words = {}, str(why)
        return {"step": row.path if row else CONTROL, "rounds": rounds, "figures": figures, "verdict": words,
                "ratios": ratios}


def print_step(result):
    print(result["step"])
    for name, (title, *_) in FIGURES.items():
        if ratio := result["figures"].get(name):
            low, high = ratio["low"], ratio["high"]
            print(f"    {title:<16} {ratio['median']:.3f}" + (f"  {low:.3f} to {high:.3f}" if low else ""))
    print(f"    {result['rounds']} rounds: {result['verdict']}", flush=True)


def run(command):
    """The verb: gives the exit code."""
    bench, is_json = Bench(command), command.options.json
    rows = [row for row in table.select(command.selection()) if row.is_file and row.kind != "advice"]
    # An end that is asked for politely still takes back what is on at that moment.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with command.journal.locked():
        if command.journal.entries:
            raise RuntimeError("settings are applied: covet-tune revert first, so that off is off")
        plans = {row: [outcome.state for outcome in command.changes.plan([row])] for row in rows}
        steps = [None] + [row for row in rows if "change" in plans[row]]
        if not is_json:
            print(f"{bench.title}; server on core {bench.server_core}, load on core {bench.load_core}.\n"
                  f"{len(steps)} steps of {bench.seconds:g} s; {len(rows) + 1 - len(steps)} settings are as "
                  "wanted or absent: covet-tune verify. Ratios on / off, with 99 % intervals:", flush=True)
        results = []
        for row in steps:
            results.append(bench.step(row))
            if not is_json:
                print_step(results[-1])
    if any(differences(results[0]["figures"])):
        command.say("the control differs from itself: too much else goes on here to believe small changes")
    if is_json:
        print(json.dumps({"verb": "bench", "load": bench.title, "results": results}))
    else:
        print("Loopback has no NIC, no distance and no full tables: what is for those cannot show here.")
    return 0
