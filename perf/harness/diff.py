"""Two reports side by side: what of covet differs beyond the noise of both.

Absolute figures of different minutes, let alone machines, say little. So covet is judged by its figures in
multiples of the limit, taken inside each round, and by its memory, which no neighbour changes. The change of
a figure has an interval too, by resampling the rounds of both reports; a change counts when that interval
leaves out 1, and when it is LEAST or more, because an interval of a few equal values is narrower than the
truth. The interval is a wide one, 99.9 %: with 95 % one of a report's twenty figures would be "worse" in
every second comparison of covet with itself. Of fewer than ROUNDS_MIN rounds nothing is said.
"""
import random
import statistics
from typing import NamedTuple, Optional

from . import stats
from .figures import NONE, figure, interval, quantity, significant, step_of
from .markup import element
from .parts import document, table
from .reading import by_kind, generator_bound, rounds_of, titles_of, value_of

LEAST = 0.02
ROUNDS_MIN = 5
DRAWS = 2000
OUTSIDE = 1  # Draws beyond either end of the interval of a change: one in two thousand.
BESIDE_LIMIT = ("cpu_ns", "requests_per_s", "p99_us")
SHOWN = ("cpu_ns", "requests_per_s")
ABOUT_MACHINE = ("cpu", "cores", "kernel", "hypervisor", "memory_bytes", "governor", "congestion",
                 "clocksource", "mitigations")


class Value(NamedTuple):
    median: float
    low: float
    high: float


class Row(NamedTuple):
    what: str
    unit: str                        # As in figures.STEPS.
    base: Optional[Value]
    new: Optional[Value]
    change: Optional[Value] = None   # new / base.
    verdict: str = ""                # "worse", "better", "same", "too few rounds", or "": not judged.


def value(server, name):
    """A figure with its interval; one that was counted once is its own. None where there is no figure."""
    median, low, high = value_of(server, name) if server else (None, None, None)
    if median is None:
        return None
    return Value(median, median if low is None else low, median if high is None else high)


def interval_of(values):
    return Value(**stats.interval(values)) if values else None


def multiples_of_limit(scenario, name):
    """covet's figure in multiples of the limit's, one for each round; none where the rate is that of the
    generator."""
    covet, limit = by_kind(scenario, "covet"), by_kind(scenario, "limit")
    if not covet or not limit:
        return []
    if name == "requests_per_s" and (generator_bound(covet) or generator_bound(limit)):
        return []
    both = [(row[covet["name"]], row[limit["name"]]) for row in rounds_of(scenario)
            if covet["name"] in row and limit["name"] in row]
    return [own[name] / floor[name] for own, floor in stats.calm(both)
            if own.get(name) is not None and floor.get(name)]


def memory(scenario):
    covet = by_kind(scenario, "covet") or {}
    return [run["memory_kib"] for run in covet.get("rounds") or [] if run.get("memory_kib")]


def change_of(base, new):
    """new / base of the medians of two samples, with its interval."""
    draw = random.Random(1)

    def drawn_median(values):
        return statistics.median(draw.choices(values, k=len(values)))

    drawn = sorted(drawn_median(new) / drawn_median(base) for _ in range(DRAWS))
    return Value(statistics.median(new) / statistics.median(base), drawn[OUTSIDE], drawn[-1 - OUTSIDE])


def judged(what, name, unit, base, new):
    """The row of one figure, given its samples."""
    ends = interval_of(base), interval_of(new)
    if not base or not new:
        return Row(what, unit, *ends)
    change = change_of(base, new)
    if min(len(base), len(new)) < ROUNDS_MIN:
        return Row(what, unit, *ends, change, "too few rounds")
    if change.low <= 1 <= change.high or abs(change.median - 1) < LEAST:
        return Row(what, unit, *ends, change, "same")
    return Row(what, unit, *ends, change,
               "worse" if (change.median > 1) == figure(name).less_is_better else "better")


def covet_rows(base, new):
    """What covet is judged by in one scenario."""
    for name in BESIDE_LIMIT:
        samples = [multiples_of_limit(scenario, name) for scenario in (base, new)]
        if any(samples):
            yield judged(f"{figure(name).short}, × limit", name, "", *samples)
    samples = [memory(scenario) for scenario in (base, new)]
    if any(samples):
        yield judged("peak memory", "memory_kib", "kib", *samples)
    servers = [by_kind(scenario, "covet") or {} for scenario in (base, new)]
    errors = [server.get("errors") or 0 for server in servers]
    if any(errors):
        verdict = "same" if all(errors) else "worse" if errors[1] else "better"
        yield Row("errors", "", *(Value(count, count, count) for count in errors), None, verdict)
    if servers[0].get("rounds") and not servers[1].get("rounds"):
        yield Row("is no longer measured", "", None, None, None, "worse")


def server_rows(base, new):
    """Every server's own figures, which are shown and not judged."""
    there = [{server["name"]: server for server in scenario["servers"]} for scenario in (base, new)]
    for name in dict.fromkeys([*there[0], *there[1]]):
        for figure_name in SHOWN:
            values = [value(servers.get(name), figure_name) for servers in there]
            if any(values):
                median = values[1].median / values[0].median if all(values) and values[0].median else None
                yield name, Row(figure(figure_name).short, figure(figure_name).unit, *values,
                                Value(median, None, None) if median else None)


class Difference:
    """What two reports say of the same scenarios."""

    def __init__(self, base, new):
        self.base, self.new = base, new
        self.titles = {**titles_of(base), **titles_of(new)}
        before = {scenario["name"]: scenario for scenario in base["scenarios"]}
        after = {scenario["name"]: scenario for scenario in new["scenarios"]}
        self.only_in = [[s["title"] for s in before.values() if s["name"] not in after],
                        [s["title"] for s in after.values() if s["name"] not in before]]
        self.scenarios = [(after[name]["title"], list(covet_rows(before[name], after[name])),
                           list(server_rows(before[name], after[name]))) for name in before if name in after]

    def count(self, verdict):
        return sum(row.verdict == verdict for _, rows, _ in self.scenarios for row in rows)

    @property
    def worse(self):
        return self.count("worse") > 0

    def machine(self):
        """What differs between the machines: (what, base's, new's)."""
        machines = [report.get("machine") or {} for report in (self.base, self.new)]
        for key in ABOUT_MACHINE:
            before, after = (machine.get(key) for machine in machines)
            if isinstance(before, dict) and isinstance(after, dict):
                for name in sorted(before.keys() | after.keys()):
                    if before.get(name) != after.get(name):
                        yield name, before.get(name), after.get(name)
            elif before != after:
                yield key.replace("_", " "), before, after

    def told(self):
        """What there is to say before the tables."""
        for word, report in (("base", self.base), ("new", self.new)):
            changed = " with changes" if report.get("dirty") else ""
            yield f"{word}: {report.get('date')}, commit {(report.get('commit') or '')[:12] or NONE}{changed}"
        for what, before, after in self.machine():
            yield f"the machines differ: {what}: {before or NONE}; {after or NONE}"
        for word, titles in zip(("base", "new"), self.only_in):
            for title in titles:
                yield f"only in {word}: {title}"

    def closing(self):
        counts = self.count("worse"), self.count("better")
        judged = sum(bool(row.verdict) for _, rows, _ in self.scenarios for row in rows)
        worse, better = (count or "none" for count in counts)
        verb = "is" if worse == 1 else "are"
        return f"Of {judged} judged figures of covet {worse} {verb} worse, {better} better."


def cells(row):
    """A row's texts: base, new, new / base, verdict."""
    known = [found.median for found in (row.base, row.new) if found]
    step = step_of(row.unit, min(known, default=0))

    def spelled(found, unit, step):
        if found is None:
            return NONE
        ends = interval(found.low, found.high, step[1])
        return quantity(found.median, unit, step) + (f" ({ends})" if ends else "")

    return (spelled(row.base, row.unit, step), spelled(row.new, row.unit, step),
            spelled(row.change, "", ("", 1)), row.verdict)


def text(difference):
    """For a terminal."""
    lines = list(difference.told())
    for title, judged, shown in difference.scenarios:
        rows = [("covet", row.what, *cells(row)) for row in judged]
        rows += [(difference.titles[name], row.what, *cells(row)) for name, row in shown]
        lines += ["", title, *aligned([("", "", "base", "new", "new / base", ""), *rows])]
    return "\n".join([*lines, "", difference.closing()])


def aligned(rows):
    """Columns: names to the left, values to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        left = "  ".join(part.ljust(width) for part, width in zip(row[:2], widths))
        right = "  ".join(part.rjust(width) for part, width in zip(row[2:5], widths[2:]))
        yield f"  {left}  {right}  {row[5].upper() if row[5] == 'worse' else row[5]}".rstrip()


def page(difference):
    """The same as a page."""
    states = {"worse": "missed", "better": "met"}
    body = [element("h1", "covet: two performance reports"),
            element("p", difference.closing(), class_="verdict"),
            element("ul", [element("li", line) for line in difference.told()], class_="notes")]
    for title, judged, shown in difference.scenarios:
        rows = []
        named = [("covet", row) for row in judged] + [(difference.titles[name], row) for name, row in shown]
        for name, row in named:
            *numbers, verdict = cells(row)
            rows.append(("covet" if row in judged else "", [
                element("th", name), element("td", row.what, class_="words"),
                [element("td", number) for number in numbers],
                element("td", verdict or NONE, class_=f"words {states.get(verdict, 'soft')}")]))
        head = [element("th", ""), element("th", "figure", class_="words"), element("th", "base"),
                element("th", "new"), element("th", "new / base"), element("th", "", class_="words")]
        body += [element("h2", title), table(head, rows)]
    return document("covet: two performance reports", body)
