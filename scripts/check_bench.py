#!/usr/bin/env python3
"""Whether build/bench/bench.json holds every figure that is promised, each of them a number that can be.

A short run (make bench BATCHES=5) shows that everything works, not how fast it is: ratios are printed
by the benchmark itself and judged by people on a quiet machine.
"""
import json
import sys

# What covet is measured at, and what stands beside it wherever it can be built.
PROMISED = {
    "http_parse/get_49": {"floor"}, "http_parse/chrome_717": {"floor"},
    "http_parse/post_233": {"floor"}, "http_parse/forty_2416": {"floor"},
    "route_1000/static": {"floor"}, "route_1000/params2": {"floor"},
    "pool/alloc_free": {"floor", "glibc"}, "arena/alloc": {"floor", "glibc"},
    "json_write/message_27": {"floor"}, "json_write/item_167": {"floor"},
    "json_parse/item_167": {"floor"}, "json_parse/large": {"floor"},
    "conn/accept_close": set(),
}


def main(path):
    with open(path) as file:
        results = json.load(file)["results"]
    found = {}
    for row in results:
        found.setdefault(row["name"], {})[row["impl"]] = row
    wrong = []
    for name, beside in PROMISED.items():
        for impl in sorted({"covet"} | beside):
            row = found.get(name, {}).get(impl)
            if row is None:
                wrong.append(f"{name}: no figure of {impl}")
            elif not 0 < row["ns_min"] <= row["ns_median"] < 1e9:
                wrong.append(f"{name}: {impl}: {row['ns_min']} to {row['ns_median']} ns")
    if "gb_per_s" not in found.get("json_parse/large", {}).get("covet", {}):
        wrong.append("json_parse/large: no gb_per_s")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"bench: {len(results)} figures, {len(wrong)} wrong")
    return 1 if wrong else 0


sys.exit(main(sys.argv[1]))
