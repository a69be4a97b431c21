"""A report's two tables as Markdown, for docs/PERFORMANCE.md."""
from .figures import NONE, figure, interval, measured_times, quantity, significant
from .goals import goals_of
from .reading import by_kind, generator_bound, kinds_of, median_of, multiple_of, titles_of


def row(cells):
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def goals_table(report, titles):
    yield row(["goal", "against", "figure", "wanted", "measured", "95 %", ""])
    yield row(["---"] * 7)
    for goal in goals_of(report):
        ratio = goal.ratio
        closest = "" if goal.of_count == 1 else f", the closest of {goal.of_count}"
        yield row([goal.scenario["title"], titles.get(ratio["to"], ratio["to"]) + closest,
                   figure(ratio["figure"]).title, goal.text, measured_times(ratio),
                   interval(ratio.get("low"), ratio.get("high")) or NONE, goal.verdict])


def costs_table(report, titles):
    others = [name for name, kind in kinds_of(report).items() if kind in ("limit", "peer")]
    yield row(["scenario", "covet: CPU", "requests / s", *(titles[name] for name in others)])
    yield row(["---"] * (3 + len(others)))
    for scenario in report["scenarios"]:
        covet = by_kind(scenario, "covet")
        if covet is None:
            continue
        there = {server["name"]: server for server in scenario["servers"]}
        beside = [multiple_of(scenario, there[name], covet) if name in there else None for name in others]
        least = "≥ " if generator_bound(covet) else ""
        yield row([scenario["title"], quantity(median_of(covet, "cpu_ns"), "ns"),
                   least + significant(median_of(covet, "requests_per_s")), *map(significant, beside)])


def tables(report):
    titles, machine = titles_of(report), report.get("machine") or {}
    commit = f"commit {report['commit'][:12]}" if report.get("commit") else ""
    about = [str(report.get("date") or "")[:10], commit, machine.get("cpu"),
             f"{machine.get('cores')} cores", f"Linux {machine.get('kernel')}", machine.get("hypervisor")]
    versions = ", ".join(f"{name} {version}" for name, version in (report.get("versions") or {}).items())
    return "\n".join(["; ".join(part for part in about if part) + ".", f"Versions: {versions}.", "",
                      *goals_table(report, titles), "",
                      "Server CPU per request, the others' in multiples of covet's:", "",
                      *costs_table(report, titles)])
