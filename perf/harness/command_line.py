"""perf/compare: what it is told, the order of what it does, and what it leaves behind."""
import argparse
import datetime
import json
import os
import platform
import resource
import shlex
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from harness import counts, generators, load, machine, scenarios, smoke, terminal
from harness.peer import ROOT, Missing
from harness.rounds import Measurement, Settings
from harness.servers import Covet, Failure, Limit, find_peers, split_installed

RELEASE = ROOT / "build" / "release"
FORMAT = 1
SMOKE_MINUTES = 1.2
GENERATORS = "generators"  # The part of that name, among the scenarios.
GENERATORS_WEIGHT = 0.7


def cores(text):
    """(0, 1, 2, 7) of "0-2,7"."""
    found = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found += range(int(first), int(last if dash else first) + 1)
    return tuple(found)


def read_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        prog="perf/compare", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="covet, the do-nothing responder and its peers, in turns under the same load.",
        epilog="A scenario is a file of perf/scenarios, a peer one of perf/peers. docs/PERFORMANCE.md tells\n"
               "how to read the figures, docs/notes/0012-comparison.md why they are taken so.")
    what = parser.add_argument_group("what")
    what.add_argument("--scenario", action="append", metavar="NAME|FILE", default=[],
                      help='only this one (repeatable); "generators" compares load generators')
    what.add_argument("--only", metavar="NAMES", help="only these servers, comma separated")
    what.add_argument("--base", metavar="COVET", help="also an earlier build of covet")
    what.add_argument("--variant", action="append", default=[], metavar="ARGS",
                      help="also the do-nothing responder with these arguments (repeatable)")
    what.add_argument("--list", action="store_true", help="list scenarios and servers, and end")
    how = parser.add_argument_group("how long and how exact")
    how.add_argument("--minutes", type=float, default=12, help="for all of it (12)")
    how.add_argument("--width", type=float, default=0.05, metavar="SHARE",
                     help="a scenario ends when the 95 %% intervals of covet's ratios to limit and "
                          "nginx, from end to end, are no wider than this share of their medians (0.05)")
    how.add_argument("--rounds", type=int, default=120, help="at most (120)")
    how.add_argument("--seconds", type=float, default=0.3, help="of one run (0.3)")
    how.add_argument("--smoke", action="store_true",
                     help="few and short runs: whether all works and figures are possible")
    where = parser.add_argument_group("where")
    where.add_argument("--server-cores", type=cores, metavar="LIST",
                       help="default: the first of two cores; of more, one half")
    where.add_argument("--load-cores", type=cores, metavar="LIST", help="default: the other cores")
    where.add_argument("--priority", action="store_true", help="servers and load at nice -20 (needs root)")
    where.add_argument("--calm", type=float, default=0, metavar="SECONDS",
                       help="before each run wait up to so long for the cores to be idle")
    files = parser.add_argument_group("files")
    files.add_argument("--output", type=Path, metavar="FOLDER",
                       help="write report.json and report.html there")
    files.add_argument("--covet", type=Path, default=RELEASE / "covet")
    files.add_argument("--limit", type=Path, default=RELEASE / "limit")
    files.add_argument("--load", type=Path, default=RELEASE / "covet-load")
    return parser.parse_args(arguments)


def wanted_scenarios(options):
    """The scenarios asked for, and whether generators are compared too."""
    named = [name for name in options.scenario if name != GENERATORS]
    if options.smoke and not options.scenario:
        return [each for each in scenarios.read_all() if each.smoke], False
    if not options.scenario:
        return scenarios.read_all(), True
    paths = [Path(name) if name.endswith(".toml") else scenarios.SCENARIOS / f"{name}.toml" for name in named]
    return [scenarios.read(path) for path in paths], GENERATORS in options.scenario


def wanted_servers(options):
    """covet, the limit (which stands for all its variants), peers, and an earlier covet."""
    servers = [Covet(options.covet), Limit(options.limit, "limit", []), *find_peers()]
    if options.only:
        named = options.only.split(",")
        if unknown := set(named) - {server.name for server in servers}:
            sys.exit(f"compare: no server is named {', '.join(sorted(unknown))} (--list)")
        servers = [server for server in servers if server.name in named]
    return servers + ([Covet(options.base, "base")] if options.base else [])


def settings_of(options, perf):
    server_cores, load_cores = machine.default_cores()
    settings = Settings(server_cores=options.server_cores or server_cores,
                        load_cores=options.load_cores or load_cores,
                        limit=str(options.limit), variants=tuple(options.variant), seconds=options.seconds,
                        rounds_max=options.rounds, rounds_min=min(8, options.rounds), width_max=options.width,
                        priority=options.priority, calm_seconds=options.calm, perf=perf)
    if options.smoke:
        settings = replace(settings, seconds=0.2, count_seconds=0.2, warm_up=False, choice_rounds=1,
                           choice_seconds=0.1, rounds_min=1, rounds_max=2, variants=())
    return settings


def begin_report(options, versions, skipped, settings):
    commit, dirty = machine.commit()
    shown = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    return {"format": FORMAT, "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "commit": commit, "dirty": dirty, "machine": machine.describe(), "versions": versions,
            "skipped": skipped, "command": shlex.join(sys.argv),
            "options": {**shown, "server_cores": settings.server_cores, "load_cores": settings.load_cores},
            "scenarios": [], "generators": None, "failures": []}


def progress(prefix):
    """Prints on one line of a terminal, which the next one replaces; to anything else, whole lines."""
    def say(line):
        if sys.stderr.isatty():
            print(f"\r\033[K{prefix}: {line}"[:160], end="", file=sys.stderr, flush=True)
        elif not line.startswith("round"):
            print(f"{prefix}: {line}", file=sys.stderr, flush=True)
    return say


def measure(options, report, parts, generator, servers, versions, settings):
    """Every part in its share of the time; what one saves is the others'."""
    ends = time.monotonic() + 60 * (SMOKE_MINUTES if options.smoke else options.minutes)
    weights = [part.weight if part != GENERATORS else GENERATORS_WEIGHT for part in parts]
    for index, part in enumerate(parts):
        share = (ends - time.monotonic()) * weights[index] / sum(weights[index:])
        deadline = time.monotonic() + share
        name = part if part == GENERATORS else part.name
        try:
            if part == GENERATORS:
                report["generators"] = generators.compare(settings, generator, deadline, progress(name))
                terminal.show_generators(report["generators"])
            else:
                measurement = Measurement(settings, part, generator[0], progress(name))
                report["scenarios"].append(measurement.measure(servers, versions, deadline))
                terminal.show_scenario(report["scenarios"][-1])
        except (Failure, OSError) as failure:
            report["failures"].append(f"{name}: {failure}")
            print(f"\n{name}: FAILED: {failure}")
        sys.stdout.flush()


def write(report, folder):
    from harness.report import page  # Only who writes a page needs it.
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "report.html").write_text(page(report))
    print(f"\n{folder / 'report.html'}\n{folder / 'report.json'}")


def list_all(chosen, versions, skipped):
    for scenario in chosen:
        print(f"{scenario.name:12} {scenario.title}: {scenario.why}")
    for name, version in versions.items():
        print(f"{name:12} {version}")
    for skipped_one in skipped:
        print(f"{skipped_one['name']:12} SKIPPED: {skipped_one['reason']}")


def compare(options, chosen, with_generators, bodies):
    """All of it; returns the report, or None where only a list was asked for."""
    began = time.monotonic()
    servers = wanted_servers(options)
    versions, skipped = split_installed(servers)
    generator = [load.CovetLoad(options.load, bodies), load.Wrk(), load.H2load()]
    generator_versions, generators_skipped = load.available(generator)
    if options.list:
        return list_all(chosen, {**versions, **generator_versions}, skipped + generators_skipped)
    if generator[0].name not in generator_versions:
        sys.exit(f"compare: {generators_skipped[0]['reason']}")
    perf = None
    try:
        perf = counts.perf_program()
    except Missing as missing:
        skipped.append({"name": "system calls", "reason": f"{missing}; covet and limit count their own"})
    if with_generators:
        skipped += generators_skipped
    settings = settings_of(options, perf)
    shown = {name: version for name, version in versions.items() if version}
    shown |= {**generator_versions, "python": platform.python_version()}
    report = begin_report(options, shown, skipped, settings)
    terminal.show_begin(report)
    measure(options, report, chosen + [GENERATORS] * with_generators,
            [each for each in generator if each.name in generator_versions],
            [server for server in servers if server.name in versions], versions, settings)
    report["seconds_total"] = round(time.monotonic() - began, 1)
    print(f"\n{report['seconds_total']:.0f} s in all")
    return report


def main():
    options = read_arguments()
    if options.priority and os.geteuid() != 0:
        sys.exit("compare: --priority needs root")
    try:
        chosen, with_generators = wanted_scenarios(options)
    except scenarios.Mistake as mistake:
        sys.exit(f"compare: {mistake}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Servers are ended on the way out.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # Servers and load inherit it.
    with tempfile.TemporaryDirectory(prefix="covet-compare-") as bodies:
        report = compare(options, chosen, with_generators, Path(bodies))
    if report is None:
        return 0
    if options.output:
        write(report, options.output)
    if options.smoke:
        return 0 if smoke.show(smoke.checks(report, chosen)) else 1
    return 1 if report["failures"] else 0
