"""Results as text, for whoever waits at a terminal; the report is made from the same entries."""

FIGURES = {"requests_per_s": "requests/s", "cpu_ns": "CPU per request", "switches": "switches per request",
           "memory_kib": "peak memory"}
LATENCIES = {"p50": "p50 us", "p99": "p99 us", "p99_9": "p99.9 us"}


def number(value):
    """Three or four digits that matter."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"


def with_interval(figure):
    """The median, and how far the 95 % interval goes to its wider side."""
    if figure is None:
        return "-"
    middle, low, high = (figure[end] for end in ("median", "low", "high"))
    off = max(high - middle, middle - low) / middle if middle else 0
    return f"{number(middle)} ±{100 * off:.0f}%" if high > low else number(middle)


def plural(count, word):
    return f"{count} {word}" + ("" if count == 1 else "s")


def table(rows):
    """Columns of their widest; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                               for index, (cell, width) in enumerate(zip(row, widths)))


def server_row(server):
    figures, latency = server["figures"], server["latency_us"]
    memory = figures.get("memory_kib")
    return [server["name"],
            *(with_interval(figures.get(name)) for name in ("requests_per_s", "cpu_ns")),
            *(number(figures[name]["median"]) if name in figures else "-"
              for name in ("syscalls", "enters", "switches")),
            number(memory["median"] / 1024) if memory else "-",
            *(number(latency.get(name)) for name in LATENCIES),
            f"{server['errors']:,}", f"{len(server['rounds'])}"]


def ratio_line(ratio):
    name = FIGURES.get(ratio["figure"], ratio["figure"])
    line = (f"  {ratio['of']} / {ratio['to']}, {name}: {ratio['median']:.3f}"
            f"  (95 % {ratio['low']:.3f}..{ratio['high']:.3f}, {plural(ratio['rounds'], 'round')})")
    if ratio["goal"] is not None:
        sign = "<=" if ratio["goal_kind"] == "at_most" else ">="
        line += f"  goal {sign} {ratio['goal']:g}: {'met' if ratio['met'] else 'NOT MET'}"
    return line


def rounds_of(entry):
    text = plural(entry["rounds"], "round")
    if entry["rounds_disturbed"]:
        used = "left out" if entry["rounds_used"] < entry["rounds"] else "used for want of others"
        text += f", {entry['rounds_disturbed']} of them disturbed by other work and {used}"
    return text


def show_scenario(entry):
    print(f"\n{entry['title']} ({entry['name']}): {rounds_of(entry)}")
    print(f"  {entry['load_command']}")
    heads = ["", "requests/s", "CPU ns", "calls", "enters", "switches", "MiB", *LATENCIES.values(), "errors",
             "runs"]
    print(*table([heads, *map(server_row, entry["servers"])]), sep="\n")
    for server in entry["servers"]:
        if server["generator_full"]:
            print(f"  {server['name']}: the generator was the bottleneck in {server['generator_full']} of "
                  f"{len(server['rounds'])} runs; its requests/s may be higher")
        if server["errors"]:
            print(f"  {server['name']}: {server['errors']} errors, first {server['error_text']}")
    for variant in entry["limit_variants"]:
        if variant["chosen"]:
            print(f"  limit is the best of {len(entry['limit_variants'])}: {variant['variant']}")
    for ratio in entry["ratios"]:
        print(ratio_line(ratio))
    for left in entry["left_out"]:
        print(f"  left out: {left['name']}: {left['reason']}")


def show_generators(generators):
    print("\nLoad generators against the do-nothing responder")
    for key in ("p1", "p16"):
        rows = [[entry["name"], with_interval(entry["requests_per_s"]), plural(entry["errors"], "error")]
                for entry in generators[key]]
        print(f"  depth {key[1:]}, requests/s")
        print(*table(rows), sep="\n")
    for ratio in generators["ratios"]:
        print(f"{ratio_line(ratio)} (depth {ratio['depth']})")


def show_begin(report):
    machine = report["machine"]
    servers, load = (",".join(map(str, report["options"][name])) for name in ("server_cores", "load_cores"))
    print(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}")
    shared = " as well: it takes from what it measures" if servers == load else ""
    print(f"servers on core {servers}, load on core {load}{shared}")
    print("versions: " + "; ".join(f"{name} {version}" for name, version in report["versions"].items()))
    for skipped in report["skipped"]:
        print(f"SKIPPED {skipped['name']}: {skipped['reason']}")
