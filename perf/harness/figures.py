"""The figures of a report: what they are called, which way is better, and how they are written."""
from math import floor, log10
from typing import NamedTuple

NONE = "–"  # What stands where nothing was measured.


class Figure(NamedTuple):
    title: str
    short: str        # Head of a column.
    unit: str         # "ns", "us", "kib", or "" for a plain number.
    less_is_better: bool


FIGURES = {
    "cpu_ns": Figure("server CPU per request", "CPU / request", "ns", True),
    "requests_per_s": Figure("requests per second", "requests / s", "", False),
    "p50_us": Figure("median latency", "p50", "us", True),
    "p99_us": Figure("99th percentile of latency", "p99", "us", True),
    "p90_us": Figure("90th percentile of latency", "p90", "us", True),
    "p99_9_us": Figure("99.9th percentile of latency", "p99.9", "us", True),
    "p99_99_us": Figure("99.99th percentile of latency", "p99.99", "us", True),
    "max_us": Figure("longest latency", "max", "us", True),
    "enters": Figure("io_uring_enter per request", "enters / request", "", True),
    "syscalls": Figure("system calls per request", "syscalls / request", "", True),
    "switches": Figure("context switches per request", "switches / request", "", True),
    "memory_kib": Figure("peak memory", "peak memory", "kib", True),
}
# Each unit's steps: name and size in the unit the report is written in.
STEPS = {
    "": [("", 1)],
    "ns": [("ns", 1), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)],
    "us": [("µs", 1), ("ms", 1e3), ("s", 1e6)],
    "kib": [("KiB", 1), ("MiB", 1024), ("GiB", 1024 ** 2)],
}


def figure(name):
    """The description of a figure; one that is not known speaks for itself."""
    title = name.replace("_", " ")
    return FIGURES.get(name) or Figure(title, title, "", True)


def significant(value, digits=3):
    """`value` with `digits` significant digits and thousands separators."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    places = digits - 1 - floor(log10(abs(value)))
    value = round(value, places)
    places = digits - 1 - floor(log10(abs(value)))  # 9.996 has become 10.0.
    return f"{value:,.{max(places, 0)}f}"


def step_of(unit, value):
    """The largest step of `unit` that leaves `value` at 1 or above: (name, size)."""
    fitting = [step for step in STEPS[unit] if abs(value) >= step[1]]
    return fitting[-1] if fitting else STEPS[unit][0]


def quantity(value, unit, step=None):
    """A value with its unit, in `step` or in the step that fits it."""
    if value is None:
        return NONE
    name, size = step or step_of(unit, value)
    return f"{significant(value / size)} {name}".rstrip()


def round_quantity(value, unit, step=None):
    """The same for a value that is round already, as those of an axis are: without zeros behind it."""
    name, size = step or step_of(unit, value)
    return f"{value / size:,.10g} {name}".rstrip()


def times(value, digits=3):
    """A ratio."""
    return NONE if value is None else f"{significant(value, digits)} ×"


def at_most(ratio):
    """Whether a ratio's goal is reached from below; a ratio that does not say goes by its figure."""
    kind = ratio.get("goal_kind")
    return kind == "at_most" if kind else figure(ratio["figure"]).less_is_better


def goal_times(ratio):
    """A ratio's goal, as it was set."""
    return f"{'≤' if at_most(ratio) else '≥'} {ratio['goal']:g} ×"


def measured_times(ratio):
    """A measured ratio, with as many digits as it takes to see on which side of its goal it is."""
    median, goal, digits = ratio.get("median"), ratio.get("goal"), 3
    if median is not None and goal is not None:
        while digits < 6 and median != goal and significant(median, digits) == significant(goal, digits):
            digits += 1
    return times(median, digits)


def interval(low, high, size=1):
    """From low to high; nothing where both are the same or there is none."""
    if low is None or high is None:
        return ""
    ends = significant(low / size), significant(high / size)
    return "" if ends[0] == ends[1] else "–".join(ends)
