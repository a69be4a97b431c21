"""Two reports side by side: what of covet differs beyond the intervals.

Absolute figures of different minutes, let alone machines, say little. So covet is judged by its figures in
multiples of the limit of the same run, and by its memory, which no neighbour changes. Two values differ when
their 95 % intervals have nothing in common, which noise alone brings about once in some two hundred, and when
the change is LEAST or more, because the interval of a few equal values is narrower than the truth.
"""
from typing import NamedTuple, Optional

from . import stats
from .figures import NONE, figure, interval, quantity, significant, step_of
from .markup import element
from .parts import document, table
from .reading import by_kind, generator_bound, rounds_of, titles_of, value_of

LEAST = 0.02
BESIDE_LIMIT = ("cpu_ns", "requests_per_s", "p99_us")
SHOWN = ("cpu_ns", "requests_per_s")
ABOUT_MACHINE = ("cpu", "cores", "kernel", "hypervisor", "memory_bytes", "governor", "congestion", "clocksource",
                 "mitigations")


class Value(NamedTuple):
    median: float
    low: float
    high: float


class Row(NamedTuple):
    what: str
    unit: str               # As in figures.STEPS.
    base: Optional[Value]
    new: Optional[Value]
    verdict: str            # "worse", "better", "same", or "" where nothing is judged.

    @property
    def change(self):
        return self.new.median / self.base.median if self.base and self.new and self.base.median else None


def value(server, name):
    """A figure with its interval; one that was counted once is its own. None where there is no figure."""
    median, low, high = value_of(server, name) if server else (None, None, None)
    if median is None:
        return None
    return Value(median, median if low is None else low, median if high is None else high)


def beside_limit(scenario, name):
    """covet's figure in multiples of the limit's, taken inside the rounds. None where one is missing or
    the rate is the generator's."""
    covet, limit = by_kind(scenario, "covet"), by_kind(scenario, "limit")
    if not covet or not limit or name == "requests_per_s" and (generator_bound(covet) or generator_bound(limit)):
        return None
    ratio = stats.ratio(rounds_of(scenario), covet["name"], limit["name"], name)
    return Value(ratio["median"], ratio["low"], ratio["high"]) if ratio else None


def judge(name, base, new):
    if not base or not new or not base.median:
        return ""
    apart = new.low > base.high or new.high < base.low
    if not apart or abs(new.median / base.median - 1) < LEAST:
        return "same"
    return "worse" if (new.median > base.median) == figure(name).less_is_better else "better"


def covet_rows(base, new):
    """What covet is judged by in one scenario."""
    for name in BESIDE_LIMIT:
        values = beside_limit(base, name), beside_limit(new, name)
        if any(values):
            yield Row(f"{figure(name).short}, × limit", "", *values, judge(name, *values))
    own = [by_kind(scenario, "covet") for scenario in (base, new)]
    memory = [value(server, "memory_kib") for server in own]
    if any(memory):
        yield Row("peak memory", "kib", *memory, judge("memory_kib", *memory))
    errors = [(server or {}).get("errors") or 0 for server in own]
    if any(errors):
        verdict = "worse" if errors[1] > errors[0] == 0 else "better" if errors[0] > errors[1] == 0 else "same"
        yield Row("errors", "", *(Value(count, count, count) for count in errors), verdict)
    if own[0] and own[0].get("rounds") and not (own[1] and own[1].get("rounds")):
        yield Row("was measured", "", Value(1, 1, 1), Value(0, 0, 0), "worse")


def server_rows(base, new):
    """Every server's own figures, which are shown and not judged."""
    there = [{server["name"]: server for server in scenario["servers"]} for scenario in (base, new)]
    for name in dict.fromkeys([*there[0], *there[1]]):
        for figure_name in SHOWN:
            values = [value(servers.get(name), figure_name) for servers in there]
            if any(values):
                yield name, Row(figure(figure_name).short, figure(figure_name).unit, *values, "")


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
        return f"Of {judged} judged figures of covet {worse} {'is' if worse == 1 else 'are'} worse, {better} better."


def cells(row):
    """A row's texts: base, new, new / base, verdict."""
    known = [found for found in (row.base, row.new) if found]
    step = step_of(row.unit, min(found.median for found in known))

    def spelled(found):
        if found is None:
            return NONE
        ends = interval(found.low, found.high, step[1])
        return quantity(found.median, row.unit, step) + (f" ({ends})" if ends else "")

    return spelled(row.base), spelled(row.new), significant(row.change), row.verdict


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
        for name, row in [("covet", row) for row in judged] + [(difference.titles[name], r) for name, r in shown]:
            *numbers, verdict = cells(row)
            rows.append(("covet" if row in judged else "", [
                element("th", name), element("td", row.what, class_="words"),
                [element("td", number) for number in numbers],
                element("td", verdict or NONE, class_=f"words {states.get(verdict, 'soft')}")]))
        head = [element("th", ""), element("th", "figure", class_="words"), element("th", "base"),
                element("th", "new"), element("th", "new / base"), element("th", "", class_="words")]
        body += [element("h2", title), table(head, rows)]
    return document("covet: two performance reports", body)
