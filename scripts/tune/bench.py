"""covet-tune bench: does a setting do anything here?

Each setting is off and on in turns, in an order that changes from round to round, so that a drift of the machine falls
on both. A half starts a covet of its own (many settings are read when a socket is made), loads it over loopback and
ends it. A ratio is taken inside a round; told are the median of the rounds and an interval that holds the true median
with 99 %, whatever the noise looks like: ranks of the ordered ratios, from the binomial distribution. It takes eight
rounds to say anything. The first step changes nothing: what it shows is what the method shows of nothing.
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

HERE = Path(__file__).resolve().parent
STEP_S = 30.0
HALF_S_MAX = 0.75
HALVES = 40  # Into so many a step's time is cut, less what starting and stopping takes of it.
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
FIGURES = {"cpu_ns": ("CPU per request", "less", "more"), "requests_per_s": ("requests/s", "fewer", "more"),
           "p99_us": ("p99", "shorter", "longer")}


def program(name, folder):
    """In `folder` where one is given; else the one built in the source tree, or installed beside covet-tune."""
    folders = [folder] if folder else [HERE.parent.parent / "build/release", Path(sys.argv[0]).resolve().parent]
    for path in (Path(folder) / name for folder in folders):
        if path.is_file():
            return str(path)
    raise RuntimeError(f"bench needs {name}: make, or --programs DIR")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server):
    deadline = time.monotonic() + 5
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise RuntimeError("covet did not come up")


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
    if all(ratio["low"] is None for ratio in figures.values()):
        return "too few rounds: give it more time (--for)"
    return ", ".join(differences(figures)) or "shows nothing here"


class Bench:
    def __init__(self, run):
        self.run, self.seconds = run, run.options.seconds or STEP_S
        self.covet, self.load = (program(name, run.options.programs) for name in ("covet", "covet-load"))
        self.title, self.load_options = LOADS[run.options.profile]
        machine = run.machine
        self.server_core = machine.cores[0]
        self.load_core = max(machine.others or machine.cores)

    def half(self):
        """One server, loaded for a moment: its figures."""
        port = free_port()
        with tempfile.TemporaryFile() as log:
            server = subprocess.Popen([self.covet, "--cores", str(self.server_core), "--admin", "off",
                                       "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log)
            try:
                wait_for(port, server)
                options = self.load_options.format(url=f"http://127.0.0.1:{port}/").split()
                half_s = min(self.seconds / HALVES, HALF_S_MAX)
                done = subprocess.run([self.load, "--json", "--quiet", "--cores", str(self.load_core),
                                       "--duration", f"{half_s:.3f}", *options],
                                      capture_output=True, text=True, timeout=half_s + 20)
            finally:
                server.terminate()
                server.wait(40)
        if not done.stdout:
            raise RuntimeError(f"covet-load: {done.stderr.strip()}")
        report = json.loads(done.stdout)
        share, requests = report["server_cpu_share"], report["requests"]
        return {"requests_per_s": report["requests_per_s"], "p99_us": report["latency_us"]["p99"],
                "cpu_ns": share and requests and share * report["seconds"] * 1e9 / requests}

    def half_with(self, row):
        changes = self.run.changes
        try:
            failed = [outcome for outcome in changes.apply([row]) if outcome.state == "failed"] if row else []
            if failed:
                raise OSError(f"cannot be set: {failed[0].note}")
            return self.half()
        finally:
            for outcome in changes.revert():
                if outcome.state in ("failed", "left"):
                    print(f"covet-tune: {outcome.path}: {outcome.note}", file=sys.stderr)

    def step(self, row):
        """{"step", "rounds", "figures", "verdict"} of one row; None: the control."""
        result = {"step": row.path if row else CONTROL, "rounds": 0, "figures": {}}
        ratios, deadline = {name: [] for name in FIGURES}, time.monotonic() + self.seconds
        try:
            while time.monotonic() < deadline:
                halves = {}
                for is_on in (False, True) if result["rounds"] % 2 == 0 else (True, False):
                    halves[is_on] = self.half_with(row) if is_on else self.half()
                result["rounds"] += 1
                for name, values in ratios.items():
                    if halves[False][name] and halves[True][name]:
                        values.append(halves[True][name] / halves[False][name])
        except OSError as error:
            return {**result, "verdict": str(error)}
        result["figures"] = {name: interval(values) for name, values in ratios.items() if values}
        return {**result, "verdict": verdict(result["figures"])}


def figure_text(ratio):
    if ratio is None:
        return "-"
    bounds = f" ({ratio['low']:.2f} to {ratio['high']:.2f})" if ratio["low"] is not None else ""
    return f"{ratio['median']:.3f}{bounds}"


def show(result):
    columns = "".join(f"{figure_text(result['figures'].get(name)):<24}" for name in FIGURES)
    print(f"{result['step']}\n    {columns}{result['rounds']} rounds   {result['verdict']}", flush=True)


def run(command):
    """The verb: gives the exit code."""
    bench, is_json = Bench(command), command.options.json
    rows = [row for row in command.rows(command.selection()) if row.is_file and row.kind != "advice"]
    # An end that is asked for politely still takes back what is on at that moment.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    with command.journal.locked():
        if command.journal.entries:
            raise RuntimeError("settings are applied: covet-tune revert first, so that off is off")
        states = {row: {outcome.state for outcome in command.changes.plan([row])} for row in rows}
        steps = [None] + [row for row in rows if "change" in states[row]]
        if not is_json:
            print(f"{bench.title}; server on core {bench.server_core}, load on core {bench.load_core}; "
                  f"{len(steps)} steps of {bench.seconds:g} s\non / off, and 99 % interval: "
                  + ", ".join(title for title, *_ in FIGURES.values()))
            for row in rows:
                if row not in steps:
                    print(f"{row.path}\n    {'absent' if states[row] == {'absent'} else 'as wanted already'}")
        results = []
        for row in steps:
            results.append(bench.step(row))
            if not is_json:
                show(results[-1])
    if any(differences(results[0]["figures"])):
        print("covet-tune: the control differs from itself: too much else goes on here to believe small changes",
              file=sys.stderr)
    if is_json:
        print(json.dumps({"verb": "bench", "load": bench.title, "results": results}))
    else:
        print("Loopback has no NIC, no distance and no full tables: what is for those cannot show here.")
    return 0
