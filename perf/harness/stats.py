"""Figures out of rounds: medians, their intervals, ratios inside a round, and when enough is measured.

A ratio is taken inside a round, where both servers had the machine at about the same time, and then the
median of the rounds' ratios; the machine may drift from round to round. Intervals are those of the median
by bootstrap: no shape of the noise is assumed. docs/notes/0012 has the measurements behind that.
"""
import random
import statistics

DISTURBED = 0.05  # Share of the cores in use that other work took during a run.
CALM_MIN = 3  # Disturbed rounds are left out as long as so many others are there.
DRAWS = 1000

# What a run measures, in the order of tables. Of all but requests_per_s less is better.
FIGURES = ("requests_per_s", "cpu_ns", "switches", "memory_kib", "p50_us", "p75_us", "p90_us", "p99_us",
           "p99_9_us", "p99_99_us", "max_us")
PERCENTILES = ("p50", "p75", "p90", "p99", "p99_9", "p99_99", "max")


def interval(values):
    """{"median", "low", "high"}: 95 % of the medians of samples drawn from `values` lie between."""
    draw = random.Random(1)  # The same values give the same interval.
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(DRAWS))
    return {"median": statistics.median(values), "low": medians[DRAWS // 40],
            "high": medians[DRAWS - 1 - DRAWS // 40]}


def calm(rows):
    """Those of `rows` (each a tuple of runs) in which nothing was disturbed; all where too few are left."""
    quiet = [row for row in rows if all(run["others"] < DISTURBED for run in row)]
    return quiet if len(quiet) >= CALM_MIN else rows


def runs_of(rounds, name):
    return [row[0] for row in calm([(each[name],) for each in rounds if name in each])]


def figure_of(runs, figure):
    """The interval of one figure, None where no run has it."""
    values = [run[figure] for run in runs if run.get(figure) is not None]
    return interval(values) if values else None


def ratio(rounds, of, to, figure):
    """The ratio of two servers' figures with its interval; None where no round has both.
    A round is {server: run}; a run is {figure: value, "others": share}."""
    pairs = [(each[of], each[to]) for each in rounds if of in each and to in each]
    values = [a[figure] / b[figure] for a, b in calm(pairs) if a.get(figure) is not None and b.get(figure)]
    if not values:
        return None
    return {"of": of, "to": to, "figure": figure, **interval(values), "rounds": len(values)}


def width(ratio):
    """How wide an interval is, as a share of its median: 0.05 is 2.5 % to either side."""
    return (ratio["high"] - ratio["low"]) / ratio["median"] if ratio["median"] else float("inf")


def enough(ratios, width_max, rounds_min):
    """Whether every ratio rests on enough rounds and its interval is narrow enough.

    A narrow interval from a few rounds is often luck, and looking after each round finds the luck; the least
    number of rounds keeps that small."""
    return bool(ratios) and all(r["rounds"] >= rounds_min and width(r) <= width_max for r in ratios)


def judged(ratio, goal):
    """`ratio` with its goal: met when the median is on the right side of it. `goal` may be None."""
    if goal is None:
        return {**ratio, "goal": None, "goal_kind": None, "met": None}
    met = ratio["median"] <= goal.value if goal.kind == "at_most" else ratio["median"] >= goal.value
    return {**ratio, "goal": goal.value, "goal_kind": goal.kind, "met": met}
