"""Pieces of a page that more than one section uses."""
import re
from pathlib import Path

from .figures import NONE, figure, goal_times, interval, measured_times
from .markup import Markup, element

STYLE = Path(__file__).with_name("report.css")
STATES = {True: "met", False: "missed", None: "unjudged"}


def mark(met):
    """A round mark for met, a pointed one for missed: told apart without colour."""
    if met is None:
        shape = element("circle", cx=8, cy=8, r=6.5, fill="none", stroke="currentColor", stroke_width=1.5)
    elif met:
        shape = [element("circle", cx=8, cy=8, r=8, fill="currentColor"),
                 element("path", d="M4.5 8.2l2.4 2.4 4.6-5", class_="tick-mark")]
    else:
        shape = [element("path", d="M8 0l8 8-8 8-8-8z", fill="currentColor"),
                 element("path", d="M5.6 5.6l4.8 4.8m0-4.8l-4.8 4.8", class_="tick-mark")]
    return element("svg", shape, viewBox="0 0 16 16", class_="mark", aria_hidden="true")


def breakable(name):
    """A name that may be broken before a bracket."""
    return [[element("wbr") if part.startswith("[") else None, part] for part in re.split(r"(?=\[)", name)]


def table(head, rows, class_="wide"):
    """`head`: cells; `rows`: (class, cells). On a narrow screen it scrolls under its first column."""
    body = [element("tr", cells, class_=row_class or None) for row_class, cells in rows]
    return element("div", element("table", element("thead", element("tr", head)) if head else None,
                                  element("tbody", body), class_=class_), class_="scroll")


def pairs(rows, head=()):
    """Names and texts."""
    head = [element("th", head[0]), element("th", head[1], class_="words")] if head else []
    body = [("", [element("th", name), element("td", NONE if value is None else value, class_="words")])
            for name, value in rows]
    return table(head, body, class_="pairs")


def drawn(title, words, drawing):
    """A drawing under its title and how to read it."""
    return element("figure", element("figcaption", element("h3", title), element("span", words)), drawing)


def ratio_cell(ratio):
    if ratio is None or ratio.get("median") is None:
        return element("td", NONE)
    judged = None
    if ratio.get("goal") is not None:
        met = ratio.get("met")
        word = {True: "met", False: "missed", None: "not judged"}[met]
        judged = element("div", mark(met), f" {goal_times(ratio)} {word}", class_=f"judged {STATES[met]}")
    return element("td", measured_times(ratio),
                   element("small", interval(ratio.get("low"), ratio.get("high"))), judged)


def ratios_table(ratios, titles):
    """A row for each pair, a column for each figure."""
    rows = {}
    for ratio in ratios:
        of, to = (titles.get(ratio[key], ratio[key]) for key in ("of", "to"))
        where = f", {ratio['depth']} at once" if ratio.get("depth") else ""
        rows.setdefault(f"{of} / {to}{where}", {})[ratio["figure"]] = ratio
    names = list(dict.fromkeys(ratio["figure"] for ratio in ratios))
    head = [element("th", title) for title in ("", *(figure(name).short for name in names), "rounds")]
    body = []
    for title, row in rows.items():
        counts = [ratio["rounds"] for ratio in row.values() if ratio.get("rounds") is not None]
        body.append(("", [element("th", breakable(title)), [ratio_cell(row.get(name)) for name in names],
                          element("td", min(counts, default=NONE))]))
    return table(head, body, class_="") if body else None


def document(title, body):
    """A whole page as text, its style inside."""
    return "<!doctype html>\n" + element(
        "html",
        element("head", element("meta", charset="utf-8"), element("title", title),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="color-scheme", content="light dark"),
                element("style", Markup(STYLE.read_text()))),
        element("body", body), lang="en") + "\n"
