"""The short version's verdict: everything worked and the figures are possible. No demand on any of them."""

RATIO_MIN, RATIO_MAX = 0.2, 10  # Of covet to the limit: outside, something else was measured.
FIGURES_WANTED = ("requests_per_s", "cpu_ns")


def checks(report, scenarios):
    """[(what was checked, None or what is wrong)] of a finished report over `scenarios`."""
    found = [("every part ran to its end", "; ".join(report["failures"]) or None)]
    there = {entry["name"]: entry for entry in report["scenarios"]}
    for scenario in scenarios:
        entry = there.get(scenario.name)
        found.append((f"{scenario.name} was measured", None if entry else "it is not in the report"))
        if entry:
            found += check_scenario(entry)
    if report.get("generators"):
        found += check_generators(report["generators"])
    return found


def check_scenario(entry):
    for server in entry["servers"]:
        yield f"{entry['name']}: {server['name']}", wrong_with(server)
    # What a server does not serve is known before; all else that is left out has failed.
    for left in entry["left_out"]:
        if not left["reason"].startswith("does not serve"):
            yield f"{entry['name']}: {left['name']} takes part", left["reason"]
    names = {server["name"] for server in entry["servers"]}
    for name in ("covet", "limit"):
        yield f"{entry['name']}: {name} is there", None if name in names else "it is not"
    for ratio in entry["ratios"]:
        if ratio["to"] == "limit" and ratio["figure"] in FIGURES_WANTED:
            sane = RATIO_MIN < ratio["median"] < RATIO_MAX
            yield (f"{entry['name']}: {ratio['of']} / {ratio['to']}, {ratio['figure']}",
                   None if sane else f"{ratio['median']:.3f} is outside of {RATIO_MIN}..{RATIO_MAX}")


def wrong_with(server):
    if server["errors"]:
        return f"{server['errors']} errors: {server['error_text']}"
    for name in FIGURES_WANTED:
        if not server["figures"].get(name, {}).get("median", 0) > 0:
            return f"{name} was not measured"
    return None


def check_generators(generators):
    for depth in ("p1", "p16"):
        for entry in generators[depth]:
            figure = entry["requests_per_s"]
            yield f"generators: {entry['name']} at {depth}", None if figure else "it measured nothing"


def show(found):
    """Prints every check; returns whether all are well. The last line is the count CI reads."""
    failed = [(what, wrong) for what, wrong in found if wrong]
    for what, wrong in found:
        print(f"{'not ok' if wrong else 'ok'} - {what}{f': {wrong}' if wrong else ''}")
    print(f"{len(found) - len(failed)} passed, {len(failed)} failed")
    return not failed
