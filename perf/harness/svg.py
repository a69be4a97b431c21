"""The drawings of the report: bars, latency distributions, and one ratio against its goal.

Every drawing is WIDTH wide, which is a column of the page and about the width of a phone, so its text
is never scaled to a size nobody reads. Colours are classes, which the style sheet fills for light, dark
and print; what a colour says is also said by a word, a dash or a place.
"""
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Optional

from .figures import quantity, round_quantity, step_of
from .markup import element

WIDTH = 370
ROW_HEIGHT = 33
AXIS_HEIGHT = 24
# Bars end at this multiple of covet and the limit when others go beyond twice as far: a drawing that
# held a server fifty times slower would show all the rest as one line.
BREAK_AT = 5
CHARACTERS_MAX = 36
LABEL_HEIGHT = 13.5
TAIL = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}


@dataclass
class Bar:
    name: str
    kind: str                 # "limit", "covet", "base" or "peer"; how it is drawn.
    value: Optional[float]    # None: not measured.
    low: Optional[float] = None
    high: Optional[float] = None
    aside: str = ""           # Beside the value.
    at_least: bool = False    # The load generator was full: the server could do this or more.


@dataclass
class Curve:
    name: str
    kind: str
    colour: int               # Of a peer: 0 and up.
    points: dict              # Percentile name, as in TAIL, to microseconds; None is left out.


def shortened(name):
    return name if len(name) <= CHARACTERS_MAX else name[:CHARACTERS_MAX - 1] + "…"


def text(x, y, words, class_, anchor="start"):
    return element("text", words, x=float(x), y=float(y), class_=class_, text_anchor=anchor)


def line(x1, y1, x2, y2, class_):
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)


def drawing(height, label, *children, width=WIDTH):
    return element("svg", element("title", label), *children, viewBox=f"0 0 {width} {height:.0f}",
                   role="img", class_="drawing")


def round_steps(top):
    """Three to five round numbers from 0 up to `top`."""
    size = 10 ** floor(log10(top / 3))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if top / (size * k) <= 4.5)
    return [step * k for k in range(floor(top / step) + 1)]


def end_of_axis(bars):
    """Where the axis of bars ends, and whether some bars go on beyond it."""
    highs = [max(bar.value, bar.high or 0) for bar in bars if bar.value is not None]
    anchors = [bar.value for bar in bars if bar.kind != "peer" and bar.value]
    top = max(highs, default=1) or 1
    if not anchors or top <= 2 * BREAK_AT * max(anchors):
        return top * 1.02, False
    within = [high for high in highs if high <= BREAK_AT * max(anchors)]
    return max(within) * 1.35, True


def one_bar(bar, y, scale, end, unit):
    """A row: name and value above, the bar with its whisker below."""
    is_there = bar.value is not None
    words = ("≥ " if bar.at_least else "") + quantity(bar.value, unit) if is_there else "not measured"
    out = [element("title", f"{bar.name}: {words}"),
           text(0, y + 11, shortened(bar.name), f"name {bar.kind}"),
           element("text", element("tspan", words, class_="value"),
                   element("tspan", bar.aside, dx=7, class_="aside") if bar.aside and is_there else None,
                   x=WIDTH, y=float(y + 11), text_anchor="end")]
    if not is_there:
        return element("g", *out)
    top, length, middle = y + 16, scale(min(bar.value, end)), y + 21
    out.append(element("rect", x=0, y=float(top), width=max(length, 1.0), height=10, rx=1.5,
                       class_=f"bar {bar.kind}"))
    if bar.value > end:
        for x in (WIDTH - 30, WIDTH - 24):  # The bar is cut here.
            out.append(element("path", d=f"M{x} {top + 12}l5 -14h3l-5 14z", class_="cut"))
    elif bar.low is not None and bar.high is not None:
        low, high = scale(bar.low), scale(min(bar.high, end))
        out += [line(low, middle, high, middle, "whisker"),
                line(low, middle - 3, low, middle + 3, "whisker"),
                line(high, middle - 3, high, middle + 3, "whisker")]
    return element("g", *out)


def bar_chart(bars, unit, label):
    """Rows from the top in the order given; the value of a "limit" is a line through all of them."""
    end, is_cut = end_of_axis(bars)
    bottom = ROW_HEIGHT * len(bars) + 2

    def scale(value):
        return value / end * (WIDTH - 1)

    step = step_of(unit, end)
    out = []
    for at in round_steps(end * (0.88 if is_cut else 1)):
        name = round_quantity(at, unit, step) if at else "0"
        x = scale(at)
        anchor = "start" if at == 0 else "end" if x > WIDTH - 24 else "middle"
        out += [line(x, 14, x, bottom, "grid"), text(x, bottom + 15, name, "tick", anchor)]
    out += [one_bar(bar, ROW_HEIGHT * i, scale, end, unit) for i, bar in enumerate(bars)]
    limit = next((bar.value for bar in bars if bar.kind == "limit" and bar.value), None)
    if limit is not None:
        for i in range(len(bars)):  # Beside the bars only, so that it crosses no word.
            y = ROW_HEIGHT * i
            out.append(line(scale(limit), y + 14, scale(limit), y + 28, "limit-line"))
    return drawing(bottom + AXIS_HEIGHT, label, *out)


def spread_labels(wanted, top, bottom):
    """Heights as near as can be to those wanted (ascending), a label apart, between top and bottom."""
    places = []
    for y in wanted:
        places.append(max(y, places[-1] + LABEL_HEIGHT if places else top))
    if places and places[-1] > bottom:
        places[-1] = bottom
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - LABEL_HEIGHT)
    return places


def log_ticks(low, high):
    """Round numbers between low and high on a logarithmic axis: decades, and 2 and 5 when they are few."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for parts in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [part * 10 ** decade for decade in decades for part in parts]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks
    return ticks


def latency_chart(curves, label):
    """Latency by percentile, both axes logarithmic, each curve named at its end."""
    curves = [curve for curve in curves if any(curve.points.get(name) for name in TAIL)]
    if not curves:
        return None
    left, right, top = 46, 230, 8
    bottom = max(300, top + LABEL_HEIGHT * len(curves))
    values = [curve.points[name] for curve in curves for name in TAIL if curve.points.get(name)]
    low, high = min(values) / 1.15, max(values) * 1.15

    def x_of(name):
        nines = [-log10(1 - share) for share in (TAIL[name], TAIL["p50"], TAIL["p99_99"])]
        return left + (nines[0] - nines[1]) / (nines[2] - nines[1]) * (right - left)

    def y_of(value):
        return bottom - (log10(value) - log10(low)) / (log10(high) - log10(low)) * (bottom - top)

    out = []
    for tick in log_ticks(low, high):
        out += [line(left, y_of(tick), right, y_of(tick), "grid"),
                text(left - 6, y_of(tick) + 4, round_quantity(tick, "us"), "tick", "end")]
    for name in ("p50", "p90", "p99", "p99_9", "p99_99"):
        out += [line(x_of(name), top, x_of(name), bottom, "grid"),
                text(x_of(name), bottom + 16, name.replace("_", "."), "tick", "middle")]
    drawn = []
    for curve in curves:
        points = [(x_of(name), y_of(curve.points[name])) for name in TAIL if curve.points.get(name)]
        drawn.append((points, curve))
    drawn.sort(key=lambda pair: pair[0][-1][1])
    places = spread_labels([points[-1][1] for points, _ in drawn], top + 4, bottom)
    # covet last: nothing is drawn over it.
    for (points, curve), place in sorted(zip(drawn, places), key=lambda pair: pair[0][1].kind == "covet"):
        class_ = f"curve {curve.kind} colour{curve.colour % 10}"
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        x, y = points[-1]
        name = curve.name if len(curve.name) <= 18 else curve.name[:17] + "…"
        out.append(element(
            "g", element("title", curve.name),
            element("path", d=path, class_=class_),
            element("path", d=f"M{x:.1f} {y:.1f}L{right + 9} {place:.1f}h4", class_=f"leader {class_}"),
            text(right + 17, place + 4, name, f"label {class_}")))
    return drawing(bottom + AXIS_HEIGHT, label, *out)


def goal_scale(low, median, high, goal, less_is_better):
    """A ratio's interval on a logarithmic axis, and the side of the goal it should be on."""
    width, height, inset = 240, 30, 6
    span = [value for value in (low, median, high, goal) if value]
    left, right = log10(min(span)), log10(max(span))
    room = max((right - left) * 0.35, 0.02)
    left, right = left - room, right + room

    def x_of(value):
        return inset + (log10(value) - left) / (right - left) * (width - 2 * inset)

    mark = x_of(goal)
    begin, end = (0, mark) if less_is_better else (mark, width)
    out = [element("rect", x=float(begin), y=9, width=float(end - begin), height=12, class_="wanted"),
           line(0, 15, width, 15, "grid"), line(mark, 4, mark, 26, "goal-line")]
    if low and high:
        out.append(line(x_of(low), 15, x_of(high), 15, "reach"))
    if median:
        out.append(element("circle", cx=x_of(median), cy=15, r=5, class_="spot"))
    return drawing(height, "interval and goal", *out, width=width)
