"""A measured report as one page of HTML that needs nothing beside itself.

The reader who has half a minute gets the verdict, the goals and one table of ratios; who has more finds
below, scenario by scenario, every figure with its range, then what was measured how, on which machine,
with which command, and how to do it again. What is missing or doubtful says so where it stands.
"""
import re
from pathlib import Path

from .figures import (NONE, STEPS, figure, goal_times, interval, quantity, significant, step_of,
                      times)
from .goals import goals_of, verdict
from .markup import Markup, element
from .svg import Bar, Curve, bar_chart, goal_scale, latency_chart

HERE = Path(__file__).resolve().parent
COLUMNS = ("cpu_ns", "requests_per_s", "p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us", "max_us", "enters",
           "syscalls", "switches", "memory_kib")
# A share of rounds with a full generator above which a rate says little about the server.
FULL_SHARE = 0.5
HEAT = (0.95, 1.05, 1.5, 3, 10)  # Bounds of the shades of the summary, in multiples of covet.

METHOD = """
Every round runs each server once, in turning order, for the same short time under the same load; a ratio is taken
inside each round, so that a machine which grows slower or faster during the run moves both of its halves. Shown are
the median of the rounds and, for ratios, the 95 % interval of that median by resampling the rounds. Rounds in which
other work took the cores are dropped and counted as such.
|
CPU per request is what the scheduler charged to every thread of the server, read from
/proc/PID/task/*/schedstat, divided by the answers the generator counted. It is the figure that matters: over loopback
the generator may be full before the server is, and then requests per second are a lower bound of the server (marked
with ≥). Absolute figures belong to this machine and this minute. Ratios travel.
|
The limit is a responder that does nothing: one thread, one ring, fixed bytes for every request. What a server needs
beyond it is its own; what the limit needs is the kernel's TCP.
|
In a closed loop a connection waits for its answer before it asks again, so a stall hides the requests that would have
come meanwhile. Percentiles of closed loops compare servers with each other; they do not tell what a user would have
waited. Scenarios with a rate measure from the time a request was due.
"""


def paragraphs(text):
    return [element("p", " ".join(part.split())) for part in text.split("|")]


def mark(met):
    """A round mark for met, a pointed one for missed: told apart without colour."""
    if met is None:
        shape = [element("circle", cx=8, cy=8, r=6.5, fill="none", stroke="currentColor", stroke_width=1.5)]
    elif met:
        shape = [element("circle", cx=8, cy=8, r=8, fill="currentColor"),
                 element("path", d="M4.5 8.2l2.4 2.4 4.6-5", fill="none", stroke="var(--card)", stroke_width=2)]
    else:
        shape = [element("path", d="M8 0l8 8-8 8-8-8z", fill="currentColor"),
                 element("path", d="M5.6 5.6l4.8 4.8m0-4.8l-4.8 4.8", fill="none", stroke="var(--card)",
                         stroke_width=1.8)]
    return element("svg", shape, viewBox="0 0 16 16", class_="mark", aria_hidden="true")


def state_class(met):
    return {True: "met", False: "missed", None: "unjudged"}[met]


def table(head, rows, class_="wide"):
    """`head`: cells; `rows`: (class, cells). Cells are elements; the first of a row is a th."""
    return element("div", element("table", element("thead", element("tr", head)),
                                  element("tbody", [element("tr", cells, class_=row_class or None)
                                                    for row_class, cells in rows]), class_=class_),
                   class_="scroll")


def pairs(rows, head=("", "")):
    """A table of names and texts."""
    return table([element("th", head[0]), element("th", head[1], class_="words")] if any(head) else [],
                 [("", [element("th", name), element("td", value, class_="words")]) for name, value in rows],
                 class_="")


# ---- Reading the report.

def median_of(server, name):
    value = (server.get("figures") or {}).get(name)
    return value.get("median") if value else None


def ends_of(server, name):
    value = (server.get("figures") or {}).get(name) or {}
    return value.get("low"), value.get("high")


def generator_bound(server):
    rounds = server.get("rounds") or []
    full = sum(bool(r.get("generator_full")) for r in rounds)
    return bool(rounds) and full >= FULL_SHARE * len(rounds)


def server_order(scenario):
    """By CPU per request; those without that figure come last."""
    return sorted(scenario["servers"],
                  key=lambda s: (median_of(s, "cpu_ns") is None, median_of(s, "cpu_ns") or 0))


def all_servers(report):
    """Every name once: the limit, covet, an earlier covet, then peers as they come; with their kinds."""
    kinds = {}
    for scenario in report["scenarios"]:
        for server in scenario["servers"]:
            kinds.setdefault(server["name"], server["kind"])
    rank = {"limit": 0, "covet": 1, "base": 2}
    return dict(sorted(kinds.items(), key=lambda item: rank.get(item[1], 3)))


def by_kind(scenario, kind):
    return next((server for server in scenario["servers"] if server["kind"] == kind), None)


def multiple_of(scenario, server, reference):
    """CPU per request of `server` in multiples of `reference`: from their ratio in each round where the
    report has it, else from their medians."""
    if server is reference:
        return 1.0
    for ratio in scenario["ratios"]:
        if ratio["figure"] == "cpu_ns" and ratio.get("median"):
            if (ratio["of"], ratio["to"]) == (reference["name"], server["name"]):
                return 1 / ratio["median"]
            if (ratio["of"], ratio["to"]) == (server["name"], reference["name"]):
                return ratio["median"]
    own, other = median_of(server, "cpu_ns"), median_of(reference, "cpu_ns")
    return own / other if own is not None and other else None


# ---- The parts of the page.

def goal_card(goal):
    ratio, name = goal.ratio, figure(goal.ratio["figure"])
    title = name.title[0].upper() + name.title[1:]
    low, high = ratio.get("low"), ratio.get("high")
    return element(
        "div",
        element("div", element("b", goal.scenario["title"]), f"{title} against {goal.against}", class_="what"),
        element("div", times(ratio.get("median")), element("small", f"95 %: {interval(low, high)}" if low else None),
                class_="figure"),
        goal_scale(low, ratio.get("median"), high, ratio["goal"], goal.less_is_better)
        if ratio.get("median") else None,
        element("div", mark(goal.met), goal.verdict.capitalize(),
                element("span", f"goal {goal.text}", class_="goal-text"),
                class_=f"state {state_class(goal.met)}"),
        class_="goal")


def heat(multiple):
    return sum(multiple >= bound for bound in HEAT)


def breakable(name):
    """A name that may be broken before a bracket."""
    return [[element("wbr") if part.startswith("[") else None, part] for part in re.split(r"(?=\[)", name)]


def matrix(report):
    kinds = all_servers(report)
    rows = []
    for scenario in report["scenarios"]:
        there = {server["name"]: server for server in scenario["servers"]}
        reference = next((server for server in (by_kind(scenario, "covet"), by_kind(scenario, "limit"))
                          if server and median_of(server, "cpu_ns") is not None), None)
        cells = [element("th", element("a", scenario["title"], href=f"#{scenario['name']}"))]
        for name, kind in kinds.items():
            server = there.get(name)
            multiple = multiple_of(scenario, server, reference) if server and reference else None
            if multiple is None:
                cells.append(element("td", NONE, class_="soft"))
                continue
            title = f"{name}: {quantity(median_of(server, 'cpu_ns'), 'ns')} of CPU per request"
            class_ = "covet" if kind == "covet" else f"heat{heat(multiple)}"
            cells.append(element("td", "1" if server is reference else significant(multiple),
                                 title=title, class_=class_))
        rows.append(("", cells))
    head = [element("th", "")] + [element("th", breakable(name)) for name in kinds]
    return table(head, rows, class_="matrix")


def charts(scenario, colours):
    servers = server_order(scenario)
    covet = by_kind(scenario, "covet")
    limit = by_kind(scenario, "limit")

    def aside(server):
        multiple = multiple_of(scenario, server, covet) if covet and server is not covet else None
        return "" if multiple is None else times(multiple)

    def bars(name, with_aside):
        for server in servers:
            low, high = ends_of(server, name)
            yield Bar(server["name"], server["kind"], median_of(server, name), low, high,
                      aside(server) if with_aside else "",
                      name == "requests_per_s" and generator_bound(server))

    def caption(title, words):
        return element("figcaption", element("h3", title), element("span", words))

    line_words = "; dashed: the limit" if limit and median_of(limit, "cpu_ns") else ""
    multiple_words = "; × is in multiples of covet" if covet and len(servers) > 1 else ""
    out = [element("figure", caption("Server CPU per request", f"Less is better{line_words}{multiple_words}"),
                   bar_chart(list(bars("cpu_ns", True)), "ns", "Server CPU per request"))]
    if any(median_of(server, "requests_per_s") for server in servers):
        bound = "; ≥: the generator was full" if any(map(generator_bound, servers)) else ""
        out.append(element("figure", caption("Requests per second", f"More is better{line_words}{bound}"),
                           bar_chart(list(bars("requests_per_s", False)), "", "Requests per second")))
    curves = latency_chart([Curve(s["name"], s["kind"], colours.get(s["name"], 0), s.get("latency_us") or {})
                            for s in servers], "Latency by percentile")
    if curves:
        out.append(element("figure", caption("Latency by percentile", "Less is better; both axes logarithmic"),
                           curves))
    return element("div", out, class_="charts")


def columns_of(scenario):
    """The keys of a scenario's columns: of figures, and of percentiles that are no figure."""
    named = {name for server in scenario["servers"]
             for name, value in (server.get("figures") or {}).items() if value}
    named |= {f"{key}_us" for server in scenario["servers"]
              for key, value in (server.get("latency_us") or {}).items() if value is not None}
    named -= {"p75_us"}  # Drawn only.
    return [name for name in COLUMNS if name in named] + sorted(named - set(COLUMNS))


def cell_value(server, name):
    """Median, low and high of a figure; of a percentile that is no figure its value alone."""
    if (server.get("figures") or {}).get(name):
        return median_of(server, name), *ends_of(server, name)
    return (server.get("latency_us") or {}).get(name.removesuffix("_us")), None, None


def steps_of(servers, columns):
    """One step of the unit for each column, by its smallest value; latencies share theirs."""
    smallest = {}
    for name in columns:
        unit = figure(name).unit
        key = unit if unit == "us" else name
        values = [value for server in servers if (value := cell_value(server, name)[0])]
        smallest[key] = min([*values, smallest.get(key, float("inf"))])
    for name in columns:
        unit = figure(name).unit
        least = smallest[unit if unit == "us" else name]
        yield step_of(unit, least) if unit and least < float("inf") else STEPS[unit][0]


def figures_table(scenario):
    servers, columns = server_order(scenario), columns_of(scenario)
    steps = list(steps_of(servers, columns))
    head = [element("th", "Server")]
    for name, (unit, _) in zip(columns, steps):
        head.append(element("th", figure(name).short, element("span", unit, class_="unit") if unit else None))
    rows = []
    for server in servers:
        version = element("small", f" {server['version']}", class_="soft") if server.get("version") else None
        cells = [element("th", server["name"], version)]
        for name, (_, size) in zip(columns, steps):
            value, low, high = cell_value(server, name)
            least = "≥ " if name == "requests_per_s" and generator_bound(server) else ""
            cells.append(element("td", NONE if value is None else least + significant(value / size),
                                 element("small", interval(low, high, size)) if low is not None else None))
        cells.append(element("td", f"{server.get('errors') or 0:,}"))
        rows.append(("covet" if server["kind"] == "covet" else "", cells))
    return table(head + [element("th", "errors")], rows)


def ratio_cell(ratio):
    if ratio is None or ratio.get("median") is None:
        return element("td", NONE)
    judged = None
    if ratio.get("goal") is not None:
        goal = goal_times(ratio["goal"], figure(ratio["figure"]).less_is_better)
        met = ratio.get("met")
        word = {True: "met", False: "missed", None: "not judged"}[met]
        judged = element("div", mark(met), f" {goal} {word}", class_=f"judged {state_class(met)}")
    return element("td", times(ratio["median"]),
                   element("small", interval(ratio.get("low"), ratio.get("high"))), judged)


def ratios_table(ratios):
    """A row for each pair, a column for each figure."""
    rows = {}
    for ratio in ratios:
        where = f", {ratio['load']}" if ratio.get("load") else ""
        rows.setdefault(f"{ratio['of']} / {ratio['to']}{where}", {})[ratio["figure"]] = ratio
    names = list(dict.fromkeys(ratio["figure"] for ratio in ratios))
    head = [element("th", "")] + [element("th", figure(name).short) for name in names] + [element("th", "rounds")]
    body = []
    for title, row in rows.items():
        counts = [ratio["rounds"] for ratio in row.values() if ratio.get("rounds") is not None]
        body.append(("", [element("th", title), [ratio_cell(row.get(name)) for name in names],
                          element("td", min(counts, default=NONE))]))
    return table(head, body, class_="") if body else None


def notes(scenario):
    """What has to be known about single servers: how answers differ, errors, doubts."""
    out = []
    for server in scenario["servers"]:
        said = []
        if server.get("note"):
            said.append(server["note"])
        if generator_bound(server):
            said.append("the load generator was full, so its requests per second are a lower bound of the server")
        if server.get("errors") or server.get("error_text"):
            count = f"{server['errors']:,} errors" if server.get("errors") else "failed"
            said.append(count + (f": {server['error_text']}" if server.get("error_text") else ""))
        elif not server.get("rounds"):
            said.append("not measured")
        if said:
            out.append(element("li", element("b", server["name"]), ": ", "; ".join(said), "."))
    return element("ul", out, class_="notes") if out else None


def scenario_section(scenario, colours):
    used, made = scenario.get("rounds_used"), scenario.get("rounds")
    rounds = f"{used} of {made} rounds used." if made is not None and used is not None else ""
    ratios = ratios_table(scenario["ratios"])
    return element(
        "section",
        element("h2", scenario["title"], id=scenario["name"]),
        element("p", scenario.get("why") or "", class_="soft"),
        charts(scenario, colours),
        element("h3", "All figures: median, and below it the range of the rounds"),
        figures_table(scenario), notes(scenario),
        [element("h3", "Ratios: median of the rounds, and its 95 % interval"), ratios] if ratios else None,
        element("p", "Load: ", element("code", scenario.get("load_command") or NONE), f" {rounds}",
                class_="small soft"))


def generators_section(generators):
    if not generators:
        return None
    titles = {"p1": "One request at a time", "p16": "Pipelined, 16 at a time"}
    drawings = []
    for key, rows in generators.items():
        if key == "ratios" or not rows:
            continue
        bars = []
        for row in rows:
            rate = row.get("requests_per_s") or {}
            kind = "covet" if row["name"].startswith("covet") else "peer"
            bars.append(Bar(row["name"], kind, rate.get("median"), rate.get("low"), rate.get("high")))
        title = titles.get(key, key)
        drawings.append(element("figure", element("figcaption", element("h3", title),
                                                  element("span", "Requests per second; more is better")),
                                bar_chart(bars, "", title)))
    return element("section", element("h2", "Load generators", id="generators"),
                   element("p", "Each against the limit responder, in turns: what a generator can tell of a server "
                                "ends where its own core is full.", class_="soft"),
                   element("div", drawings, class_="charts"),
                   ratios_table(generators.get("ratios") or []))


def machine_section(report):
    machine = dict(report.get("machine") or {})
    mitigations = machine.pop("mitigations", None) or {}
    if machine.get("memory_bytes"):
        machine["memory"] = f"{significant(machine.pop('memory_bytes') / 2 ** 30)} GiB"
    rows = [(key.replace("_", " "), NONE if value is None else value) for key, value in machine.items()]
    return element("section", element("h2", "Machine and versions", id="machine"),
                   element("h3", "Machine"), pairs(rows),
                   [element("h3", "CPU mitigations"), pairs(mitigations.items())] if mitigations else None,
                   element("h3", "Versions"), pairs((report.get("versions") or {}).items()))


def skipped_section(report):
    skipped = report.get("skipped") or []
    if not skipped:
        return None
    return element("section", element("h2", "Not measured", id="skipped"),
                   pairs([(row["name"], row["reason"]) for row in skipped], ("Server", "Why it was left out")))


def commands_section(report):
    """Every command line once, with the scenarios it stands for."""
    used = {}
    for scenario in report["scenarios"]:
        for server in scenario["servers"]:
            if server.get("command"):
                used.setdefault((server["name"], server["command"]), []).append(scenario["name"])
    every = len(report["scenarios"])
    rows = [("", [element("th", name), element("td", element("code", command), class_="words command"),
                  element("td", "all" if len(where) == every else ", ".join(where), class_="words soft")])
            for (name, command), where in used.items()]
    loads = [("", [element("th", "load"), element("td", element("code", s.get("load_command") or NONE),
                                                  class_="words"),
                   element("td", s["name"], class_="words soft")]) for s in report["scenarios"]]
    head = [element("th", "What"), element("th", "Command", class_="words"),
            element("th", "Scenarios", class_="words")]
    return element("section", element("h2", "Every command line", id="commands"), table(head, rows + loads))


def repeat_section(report):
    options = report.get("options") or {}
    commit = report.get("commit") or ""
    lines = ["scripts/install-deps --perf        # covet's peers and generators",
             f"git checkout {commit[:12]}" if commit else None,
             "make perf                          # writes build/perf/report.html and report.json",
             "make perf-diff BASE=report.json    # what differs from this report beyond the intervals"]
    return element("section", element("h2", "Do it again", id="repeat"),
                   element("pre", "\n".join(filter(None, lines))),
                   element("p", "On a machine with little else to do. Absolute figures will differ; the ratios "
                                "should fall into the intervals above on the same kind of machine.", class_="small"),
                   [element("h3", "Options of this run"),
                    pairs((key.replace("_", " "), NONE if value is None else value)
                          for key, value in options.items())] if options else None)


def byline(report):
    date = str(report.get("date") or "").replace("T", " ")[:16]
    commit = (report.get("commit") or "")[:12]
    changed = " with changes that are not committed" if report.get("dirty") else ""
    machine = report.get("machine") or {}
    seconds = report.get("seconds_total")
    parts = [date, f"commit {commit}{changed}" if commit else "", machine.get("cpu"),
             f"{machine['cores']} cores" if machine.get("cores") else "",
             f"Linux {str(machine['kernel']).split()[0]}" if machine.get("kernel") else "",
             f"measured in {seconds / 60:.0f} min" if seconds else ""]
    return " · ".join(str(part) for part in parts if part)


def page(report):
    """The whole page."""
    goals = goals_of(report)
    names = [name for name, kind in all_servers(report).items() if kind == "peer"]
    colours = {name: i for i, name in enumerate(names)}
    links = [("#generators", "Load generators")] if report.get("generators") else []
    links += [("#method", "How it was measured"), ("#machine", "Machine and versions"),
              ("#commands", "Every command line"), ("#repeat", "Do it again")]
    columns = min(range(3, 5), key=lambda count: (-len(goals) % count, -count))
    body = [
        element("header", element("h1", "covet: performance report"),
                element("div", byline(report), class_="small soft"),
                element("p", verdict(report, goals), class_="verdict")),
        element("div", [goal_card(goal) for goal in goals], class_=f"goals in{columns}") if goals else None,
        element("h2", "At a glance", id="summary"),
        element("p", "Server CPU per request in multiples of covet's (covet = 1); above 1 costs more. "
                     "Where covet was not measured, in multiples of the limit.", class_="soft"),
        matrix(report),
        element("nav", [[element("a", title, href=where), " "] for where, title in links]),
        [scenario_section(scenario, colours) for scenario in report["scenarios"]],
        generators_section(report.get("generators")),
        element("section", element("h2", "How it was measured, and why ratios", id="method"), paragraphs(METHOD)),
        machine_section(report), skipped_section(report), commands_section(report), repeat_section(report),
    ]
    style = Markup((HERE / "report.css").read_text())
    return "<!doctype html>\n" + element(
        "html",
        element("head", element("meta", charset="utf-8"), element("title", "covet: performance report"),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="color-scheme", content="light dark"), element("style", style)),
        element("body", body), lang="en") + "\n"

