"""What is in a report: the one place that knows its keys, and that any of them may hold nothing."""
FORMAT = 1
# A share of rounds with a full generator from which on a rate says little about the server.
FULL_SHARE = 0.5


class Unreadable(Exception):
    """A report of another format than this reads."""


def checked(report):
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        found = report.get("format") if isinstance(report, dict) else None
        raise Unreadable(f"format {found}, this reads format {FORMAT}")
    return report


def titles_of(report):
    """{name: what people call it} of every server."""
    titles = {server["name"]: server.get("title") or server["name"]
              for scenario in report["scenarios"] for server in scenario["servers"]}
    return {**titles, "limit": "the limit"}


def kinds_of(report):
    """{name: kind}, each name once: the limit, covet, an earlier covet, then peers by what they cost where
    they were measured first."""
    rank, kinds, costs = {"limit": 0, "covet": 1, "base": 2}, {}, {}
    for scenario in report["scenarios"]:
        for server in scenario["servers"]:
            kinds.setdefault(server["name"], server["kind"])
            if (cost := median_of(server, "cpu_ns")) is not None:
                costs.setdefault(server["name"], cost)
    names = sorted(kinds, key=lambda name: (rank.get(kinds[name], 3), costs.get(name, float("inf"))))
    return {name: kinds[name] for name in names}


def by_kind(scenario, kind):
    """The one server of a kind that is no peer; a variant of it has another name."""
    found = [server for server in scenario["servers"] if server["kind"] == kind]
    return next((server for server in found if server["name"] == kind), found[0] if found else None)


def value_of(server, name):
    """(median, low, high) of a figure, each of which may be None; of a percentile that is no figure its value
    alone."""
    found = (server.get("figures") or {}).get(name)
    if found:
        return found.get("median"), found.get("low"), found.get("high")
    return (server.get("latency_us") or {}).get(name.removesuffix("_us")), None, None


def median_of(server, name):
    return value_of(server, name)[0]


def value_names(scenario):
    """Every figure and percentile that some server has."""
    names = set()
    for server in scenario["servers"]:
        names |= {name for name, value in (server.get("figures") or {}).items() if value}
        latency = server.get("latency_us") or {}
        names |= {f"{name}_us" for name, value in latency.items() if value is not None}
    return names


def by_cost(scenario):
    """Servers by CPU per request; those without that figure come last."""
    return sorted(scenario["servers"],
                  key=lambda s: (median_of(s, "cpu_ns") is None, median_of(s, "cpu_ns") or 0))


def generator_bound(server):
    """Whether the load generator was full in so many rounds that the server may well do more."""
    rounds = server.get("rounds") or []
    return bool(rounds) and sum(bool(r.get("generator_full")) for r in rounds) >= FULL_SHARE * len(rounds)


def rounds_of(scenario):
    """The rounds as they were made: [{server's name: run}]."""
    rounds = {}
    for server in scenario["servers"]:
        for place, run in enumerate(server.get("rounds") or []):
            rounds.setdefault(run.get("round", place), {})[server["name"]] = run
    return [rounds[number] for number in sorted(rounds)]


def ratio_in(scenario, of, to, name):
    """The ratio of two servers' figures (names), or None."""
    return next((ratio for ratio in scenario["ratios"]
                 if (ratio["of"], ratio["to"], ratio["figure"]) == (of, to, name)), None)


def multiple_of(scenario, server, reference, name="cpu_ns"):
    """A figure of `server` in multiples of `reference`'s: by their ratio inside the rounds where the report
    has it, else by their medians."""
    if server is reference:
        return 1.0
    ratio = ratio_in(scenario, server["name"], reference["name"], name)
    if ratio and ratio.get("median"):
        return ratio["median"]
    ratio = ratio_in(scenario, reference["name"], server["name"], name)
    if ratio and ratio.get("median"):
        return 1 / ratio["median"]
    own, other = median_of(server, name), median_of(reference, name)
    return own / other if own is not None and other else None
