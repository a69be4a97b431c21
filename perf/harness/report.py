"""A measured report as one page of HTML that needs nothing beside itself.

The reader who has half a minute gets the verdict, the goals and one table of ratios; who has more finds
below, scenario by scenario, every figure with its interval, then what was measured how, on which machine,
with which command, and how to do it again. What is missing or doubtful says so where it stands.
"""
from .figures import NONE, at_most, figure, interval, measured_times, quantity, significant, step_of, times
from .goals import goals_of, verdict
from .markup import element
from .parts import STATES, breakable, document, drawn, mark, pairs, ratios_table, table
from .reading import (by_cost, by_kind, generator_bound, kinds_of, median_of, multiple_of, titles_of,
                      value_names, value_of)
from .svg import Bar, Curve, bar_chart, goal_scale, latency_chart

TITLE = "covet: performance report"
COLUMNS = ("cpu_ns", "requests_per_s", "p50_us", "p90_us", "p99_us", "p99_9_us", "p99_99_us", "max_us",
           "enters", "syscalls", "switches", "memory_kib")
DRAWN_ONLY = {"p75_us"}
DISTURBED_SHARE = 0.5  # Of all rounds, above which the page warns.
HEAT = (0.95, 1.05, 1.5, 3, 10)  # Bounds of the shades of the summary, in multiples of covet.
INTERVAL = "median of the rounds, and below it the 95 % interval of that median"

METHOD = """
All servers of a scenario are up; every round gives them the same load for the same short time, one after
the other, in turning order. covet, the limit and nginx run in every round, the others in some. A ratio is
taken inside a round, so that a machine which grows slower or faster during the run moves both of its
halves. Shown are the median of the rounds and the 95 % interval of that median, by resampling the rounds.
Rounds in which other work took the cores are left out as long as enough are left.
|
CPU per request is what the scheduler charged to every thread of the server (/proc/PID/task/*/schedstat),
divided by the answers the generator counted. It is the figure that matters: over loopback the generator may
be full before the server is, and then requests per second are a lower bound of the server (marked ≥).
Absolute figures belong to this machine and this minute. Ratios travel.
|
The limit is a responder that does nothing: one thread, one ring, fixed bytes for every request, in the
variant that was best. What a server needs beyond it is its own; what the limit needs is the kernel's TCP.
|
In a closed loop a connection waits for its answer before it asks again, so a stall hides the requests that
would have come meanwhile. Percentiles of closed loops compare servers with each other; they do not tell
what a user would have waited. Scenarios with a rate measure from the time a request was due.
"""


def goal_card(goal, titles):
    ratio = goal.ratio
    name, median, low, high = (ratio.get(key) for key in ("figure", "median", "low", "high"))
    title, other = figure(name).title, titles.get(ratio["to"], ratio["to"])
    ends = f"95 %: {interval(low, high)}" if interval(low, high) else "no interval: too few rounds"
    closest = "" if goal.of_count == 1 else f", the closest of {goal.of_count}"
    return element(
        "div",
        element("div", element("b", goal.scenario["title"]),
                f"{title[0].upper()}{title[1:]} against {other}{closest}", class_="what"),
        element("div", measured_times(ratio), element("small", ends), class_="figure"),
        goal_scale(low, median, high, ratio["goal"], at_most(ratio)) if median else None,
        element("div", mark(goal.met), goal.verdict.capitalize(),
                element("span", f"goal {goal.text}", class_="goal-text"), class_=f"state {STATES[goal.met]}"),
        class_="goal")


def goal_cards(goals, titles):
    columns = min((3, 4), key=lambda count: (-len(goals) % count, -count))  # The fuller last row.
    return element("div", [goal_card(goal, titles) for goal in goals], class_=f"goals in{columns}")


def summary_cell(scenario, server, reference):
    multiple = multiple_of(scenario, server, reference) if server and reference else None
    if multiple is None:
        return element("td", NONE, class_="soft")
    shade = "covet" if server["kind"] == "covet" else f"heat{sum(multiple >= bound for bound in HEAT)}"
    return element("td", "1" if server is reference else significant(multiple), class_=shade,
                   title=f"{quantity(median_of(server, 'cpu_ns'), 'ns')} of CPU per request")


def summary(report, titles):
    names, rows = list(kinds_of(report)), []
    for scenario in report["scenarios"]:
        there = {server["name"]: server for server in scenario["servers"]}
        reference = next((server for server in (by_kind(scenario, "covet"), by_kind(scenario, "limit"))
                          if server and median_of(server, "cpu_ns") is not None), None)
        link = element("a", scenario["title"], href=f"#{scenario['name']}")
        rows.append(("", [element("th", link)] + [summary_cell(scenario, there.get(name), reference)
                                                  for name in names]))
    head = [element("th", "")] + [element("th", breakable(titles[name])) for name in names]
    return table(head, rows, class_="matrix")


def charts(scenario, colours, titles):
    servers, covet, limit = by_cost(scenario), by_kind(scenario, "covet"), by_kind(scenario, "limit")

    def bar(server, name, aside=""):
        return Bar(titles[server["name"]], server["kind"], *value_of(server, name), aside,
                   name == "requests_per_s" and generator_bound(server))

    def beside_covet(server):
        return times(multiple_of(scenario, server, covet)) if covet and server is not covet else ""

    multiples = "; × is in multiples of covet" if covet and len(servers) > 1 else ""
    dashed = "; dashed: the limit" if limit and median_of(limit, "cpu_ns") else ""
    out = [drawn("Server CPU per request", f"Less is better{dashed}{multiples}",
                 bar_chart([bar(server, "cpu_ns", beside_covet(server)) for server in servers], "ns",
                           "Server CPU per request"))]
    if any(median_of(server, "requests_per_s") for server in servers):
        full = "; ≥: the generator was full" if any(map(generator_bound, servers)) else ""
        out.append(drawn("Requests per second", f"More is better{dashed}{full}",
                         bar_chart([bar(server, "requests_per_s") for server in servers], "",
                                   "Requests per second")))
    curves = latency_chart([Curve(titles[s["name"]], s["kind"], colours.get(s["name"], 0),
                                  s.get("latency_us") or {}) for s in servers], "Latency by percentile")
    if curves:
        out.append(drawn("Latency by percentile", "Less is better; both axes logarithmic", curves))
    return element("div", out, class_="charts")


def steps_of(servers, columns):
    """One step of its unit for each column, by the smallest value there; latencies share theirs."""
    def group(name):
        return "us" if figure(name).unit == "us" else name

    smallest = {}
    for name in columns:
        for server in servers:
            if value := median_of(server, name):
                smallest[group(name)] = min(value, smallest.get(group(name), value))
    return [step_of(figure(name).unit, smallest.get(group(name), 0)) for name in columns]


def figures_table(scenario, titles):
    servers, names = by_cost(scenario), value_names(scenario) - DRAWN_ONLY
    columns = [name for name in COLUMNS if name in names] + sorted(names - set(COLUMNS))
    steps = steps_of(servers, columns)
    head = [element("th", "Server")]
    for name, (unit, _) in zip(columns, steps):
        head.append(element("th", figure(name).short, element("span", unit, class_="unit") if unit else None))
    rows = []
    for server in servers:
        version = element("small", f" {server['version']}", class_="soft") if server.get("version") else None
        cells = [element("th", breakable(titles[server["name"]]), version)]
        for name, (_, size) in zip(columns, steps):
            value, low, high = value_of(server, name)
            least = "≥ " if name == "requests_per_s" and generator_bound(server) else ""
            cells.append(element("td", NONE if value is None else least + significant(value / size),
                                 element("small", interval(low, high, size)) if low is not None else None))
        cells.append(element("td", f"{server.get('errors') or 0:,}"))
        rows.append(("covet" if server["kind"] == "covet" else "", cells))
    return table(head + [element("th", "errors")], rows)


def other_fields(server, covet):
    """How the fields of a server's answer differ from covet's."""
    own, ours = ({name.lower(): name for name in (s.get("answer") or {}).get("fields") or []}
                 for s in (server, covet))
    if server is covet or not own or not ours:
        return None
    parts = [f"{word} {', '.join(source[name] for name in sorted(source.keys() - others.keys()))}"
             for word, source, others in (("also sends", own, ours), ("does not send", ours, own))
             if source.keys() - others.keys()]
    return " and ".join(parts) or None


def with_code(text):
    """Text whose parts between backquotes are code."""
    return [element("code", part) if i % 2 else part for i, part in enumerate(text.split("`"))]


def notes(scenario, titles):
    """What has to be known about single servers: how answers differ, errors, doubts, who is missing why."""
    covet, said = by_kind(scenario, "covet") or {}, []
    for server in scenario["servers"]:
        parts = [server.get("note"), other_fields(server, covet)]
        if generator_bound(server):
            parts.append("the load generator was full, so its requests per second are a lower bound")
        if server.get("errors"):
            parts.append(f"{server['errors']:,} errors")
        if server.get("error_text"):
            parts.append(server["error_text"])
        if not server.get("rounds"):
            parts.append("not measured")
        said.append((titles[server["name"]], "; ".join(part.rstrip(".") for part in parts if part)))
    said += [(row["name"], f"left out: {row['reason']}") for row in scenario.get("left_out") or []]
    items = [element("li", element("b", name), ": ", with_code(text), ".") for name, text in said if text]
    return element("ul", items, class_="notes") if items else None


def limit_variants(scenario):
    """The variants of the limit responder, of which the best became the limit."""
    variants = scenario.get("limit_variants") or []
    if len(variants) < 2:
        return None
    measured = figure(variants[0]["figure"])
    words = ", ".join(f"{row['variant']} {quantity(row.get('median'), measured.unit)}"
                      + (" (chosen)" if row["chosen"] else "") for row in variants)
    return element("p", f"Tried as the limit, {measured.title}: {words}.", class_="small soft")


def scenario_section(scenario, colours, titles):
    used, made, disturbed = (scenario.get(key) for key in ("rounds_used", "rounds", "rounds_disturbed"))
    ratios = ratios_table(scenario["ratios"], titles)
    return element(
        "section",
        element("h2", scenario["title"], id=scenario["name"]),
        element("p", scenario.get("why") or "", class_="soft"),
        charts(scenario, colours, titles),
        element("h3", f"All figures: {INTERVAL}"),
        figures_table(scenario, titles), notes(scenario, titles),
        [element("h3", "Ratios: median of the rounds, and its 95 % interval"), ratios] if ratios else None,
        limit_variants(scenario),
        element("p", "Load: ", element("code", scenario.get("load_command") or NONE),
                f" {scenario['idle']:,} further connections say nothing." if scenario.get("idle") else None,
                f" {used} of {made} rounds used." if made is not None and used is not None else None,
                f" Other work disturbed {disturbed}." if disturbed else None,
                class_="small soft"))


def generators_section(generators):
    if not generators:
        return None
    titles, out = {"p1": "One request at a time", "p16": "Pipelined, 16 at a time"}, []
    for key, rows in generators.items():
        if key == "ratios" or not rows:
            continue
        bars = []
        for row in rows:
            rate = row.get("requests_per_s") or {}
            bars.append(Bar(row["name"], "covet" if row["name"].startswith("covet") else "peer",
                            rate.get("median"), rate.get("low"), rate.get("high")))
        title = titles.get(key, key)
        out.append(drawn(title, "Requests per second; more is better", bar_chart(bars, "", title)))
    return element("section", element("h2", "Load generators", id="generators"),
                   element("p", "Each against the limit responder, in turns: what a generator can tell of a "
                                "server ends where its own core is full.", class_="soft"),
                   element("div", out, class_="charts"), ratios_table(generators.get("ratios") or [], {}))


def spelled(table_):
    """Keys as words, and values that are lists or switches as text."""
    for key, value in table_.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        elif isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value)) or None
        yield key.replace("_", " "), value


def machine_section(report):
    machine, versions = dict(report.get("machine") or {}), report.get("versions") or {}
    mitigations = dict(machine.pop("mitigations", None) or {})
    unaffected = [name for name, state in mitigations.items() if state == "Not affected"]
    mitigations = {name: state for name, state in mitigations.items() if name not in unaffected}
    if memory := machine.pop("memory_bytes", None):
        machine["memory"] = f"{significant(memory / 2 ** 30)} GiB"
    return element("section", element("h2", "Machine and versions", id="machine"),
                   element("div",
                           element("div", element("h3", "Machine"), pairs(spelled(machine))),
                           element("div", element("h3", "CPU mitigations"), pairs(spelled(mitigations)),
                                   element("p", f"Not affected: {', '.join(unaffected)}.".replace("_", " "),
                                           class_="small soft") if unaffected else None),
                           element("div", element("h3", "Versions"), pairs(versions.items())),
                           class_="beside"))


def skipped_section(report):
    skipped = report.get("skipped") or []
    if not skipped:
        return None
    rows = [(row["name"], row["reason"]) for row in skipped]
    return element("section", element("h2", "Not measured", id="skipped"),
                   pairs(rows, ("Server", "Why it was left out")))


def commands_section(report, titles):
    """Every command line once, with the scenarios it stands for."""
    used = {}
    for scenario in report["scenarios"]:
        for server in scenario["servers"]:
            if server.get("command"):
                used.setdefault((titles[server["name"]], server["command"]), []).append(scenario["name"])
    for scenario in report["scenarios"]:
        if scenario.get("load_command"):
            used.setdefault(("load", scenario["load_command"]), []).append(scenario["name"])
    for depth, entries in (report.get("generators") or {}).items():
        for entry in entries:
            if entry.get("command"):
                used.setdefault((entry["name"], entry["command"]), []).append(f"generators, {depth}")
    if report.get("command"):
        used[("all of it", report["command"])] = [""]
    every = len(report["scenarios"])
    rows = [("", [element("th", name), element("td", element("code", command), class_="words command"),
                  element("td", "all" if len(where) == every else ", ".join(where), class_="words soft")])
            for (name, command), where in used.items()]
    head = [element("th", "What"), element("th", "Command", class_="words"),
            element("th", "Scenarios", class_="words")]
    return element("section", element("h2", "Every command line", id="commands"), table(head, rows))


def repeat_section(report):
    options = {key: value for key, value in (report.get("options") or {}).items()
               if value not in (None, [], False)}
    commit = report.get("commit")
    lines = ["scripts/install-deps --perf        # covet's peers and the other generators",
             f"git checkout {commit[:12]}" if commit else None,
             "make perf                          # writes build/perf/report.html and report.json",
             "make perf-diff BASE=report.json    # what differs from this report beyond the intervals"]
    return element("section", element("h2", "Do it again", id="repeat"),
                   element("pre", "\n".join(filter(None, lines))),
                   element("p", "On a machine with little else to do. Absolute figures will differ; ratios "
                                "should fall into the intervals above on the same kind of machine."),
                   [element("h3", "Options of this run"), pairs(spelled(options))] if options else None)


def warnings(report):
    """What went wrong with the run as a whole."""
    items = [[element("b", "Failed: ", class_="missed"), text] for text in report.get("failures") or []]
    made, disturbed = (sum(scenario.get(key) or 0 for scenario in report["scenarios"])
                       for key in ("rounds", "rounds_disturbed"))
    if disturbed > DISTURBED_SHARE * made:
        items.append([element("b", "Disturbed: ", class_="missed"),
                      f"other work took the cores in {disturbed} of {made} rounds. Measure again on a calmer "
                      "machine before you believe a missed or a narrowly met goal."])
    return element("ul", [element("li", item) for item in items], class_="notes") if items else None


def byline(report):
    machine, commit, seconds = report.get("machine") or {}, report.get("commit"), report.get("seconds_total")
    changed = " with changes that are not committed" if report.get("dirty") else ""
    parts = [str(report.get("date") or "").replace("T", " ")[:16],
             f"commit {commit[:12]}{changed}" if commit else "", machine.get("cpu"),
             f"{machine['cores']} cores" if machine.get("cores") else "",
             f"Linux {str(machine['kernel']).split()[0]}" if machine.get("kernel") else "",
             f"measured in {max(seconds / 60, 1):.0f} min" if seconds else ""]
    return " · ".join(str(part) for part in parts if part)


def page(report):
    """The whole page, as text."""
    goals, titles = goals_of(report), titles_of(report)
    peers = [name for name, kind in kinds_of(report).items() if kind == "peer"]
    colours = {name: i for i, name in enumerate(peers)}
    links = [("#generators", "Load generators")] if report.get("generators") else []
    links += [("#method", "How it was measured"), ("#machine", "Machine and versions"),
              ("#commands", "Every command line"), ("#repeat", "Do it again")]
    body = [
        element("header", element("h1", TITLE),
                element("div", byline(report), class_="small soft"),
                element("p", verdict(report, goals), class_="verdict")),
        warnings(report),
        goal_cards(goals, titles) if goals else None,
        element("h2", "At a glance", id="summary"),
        element("p", "Server CPU per request in multiples of covet's (covet = 1); above 1 costs more. "
                     "The limit is a responder that does nothing but answer.", class_="soft"),
        summary(report, titles),
        element("nav", [[element("a", title, href=where), " "] for where, title in links]),
        [scenario_section(scenario, colours, titles) for scenario in report["scenarios"]],
        generators_section(report.get("generators")),
        element("section", element("h2", "How it was measured, and why ratios", id="method"),
                [element("p", " ".join(part.split())) for part in METHOD.split("|")]),
        machine_section(report), skipped_section(report), commands_section(report, titles),
        repeat_section(report),
    ]
    return document(TITLE, body)
