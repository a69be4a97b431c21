"""covet-load beside other load generators, each in turn against the do-nothing responder."""
import time

from harness import load, stats
from harness.rounds import FASTEST_LIMIT, turned
from harness.scenarios import Goal, Load
from harness.servers import Failure, Limit, running

DEPTHS = (1, 16)
GOAL = Goal("the best of the others", "requests_per_s", "at_least", 2.0)


def compare(settings, generators, deadline, say=lambda line: None, rounds_max=12):
    """The "generators" part of the report. `generators` are the installed ones, covet-load first."""
    found = {f"p{depth}": [] for depth in DEPTHS}
    found["ratios"] = []
    # As fast as it gets: each generator repeats one request, whose length a connection's first one shows.
    responder = Limit(settings.limit, "limit", ["--buffers", "256", *FASTEST_LIMIT])
    with running([responder], {"limit": ""}, settings.server_cores, Load().connections,
                 settings.priority) as (servers, failed):
        if not servers:
            raise Failure(f"the do-nothing responder: {failed['limit']}")
        for index, depth in enumerate(DEPTHS):
            share = (deadline - time.monotonic()) / (len(DEPTHS) - index)
            rounds, wanted = measure(settings, generators, servers[0], depth, time.monotonic() + share,
                                     rounds_max, say)
            found[f"p{depth}"] = [entry(settings, generator, rounds, depth) for generator in wanted]
            found["ratios"] += ratios(rounds, [generator.name for generator in wanted], depth)
    return found


def measure(settings, generators, server, depth, deadline, rounds_max, say):
    wanted, rounds = list(generators), []
    seconds = max(1.0, settings.seconds)  # Others take whole seconds only.
    while wanted and len(rounds) < rounds_max and (not rounds or time.monotonic() + took < deadline):
        began = time.monotonic()
        rounds.append({})
        for generator in turned(wanted, len(rounds)):
            try:
                outcome = load.run(generator, Load(depth=depth), server.port, seconds, settings.load_cores,
                                   settings.priority)
                rounds[-1][generator.name] = {"requests_per_s": outcome.requests_per_s,
                                              "errors": outcome.errors, "others": 0}
            except Failure as failure:
                say(f"left out at depth {depth}: {failure}")
                wanted = [other for other in wanted if other is not generator]
        took = time.monotonic() - began
    return rounds, wanted


def entry(settings, generator, rounds, depth):
    command = generator.command(Load(depth=depth), "PORT", settings.seconds, settings.load_cores)
    runs = stats.runs_of(rounds, generator.name)
    return {"name": generator.name, "command": " ".join(command),
            "requests_per_s": stats.figure_of(runs, "requests_per_s"),
            "errors": sum(run["errors"] for run in runs)}


def ratios(rounds, names, depth):
    """covet-load's to whichever other is best at this depth, judged."""
    others = [name for name in names if name != "covet-load"]
    if not others or "covet-load" not in names:
        return []
    runs = {name: stats.runs_of(rounds, name) for name in others}
    best = max(others, key=lambda name: stats.figure_of(runs[name], "requests_per_s")["median"])
    ratio = stats.ratio(rounds, "covet-load", best, "requests_per_s")
    return [{**stats.judged(ratio, GOAL), "depth": depth}] if ratio else []
