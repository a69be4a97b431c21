"""Reads OpenMetrics text strictly enough to trust the numbers, and gives sums over the workers."""

import re

from harness import names
from harness.client import get_once

SAMPLE = re.compile(
    r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? (-?[0-9.eE+-]+|[+-]Inf|NaN)( [0-9.]+)?$"
)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """List of (name, labels, value). Refuses text that is not OpenMetrics ending in # EOF."""
    assert text.endswith("# EOF\n") or text.endswith("# EOF"), f"no # EOF: {text[-60:]!r}"
    samples, seen = [], set()
    for line in text.splitlines():
        if line.startswith("#"):
            assert re.match(r"^# (EOF|(TYPE|HELP|UNIT) \S+ .*)$", line), f"comment line {line!r}"
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample line: {line!r}"
        assert (match[1], match[2]) not in seen, f"sample twice: {line!r}"
        seen.add((match[1], match[2]))
        samples.append((match[1], dict(LABEL.findall(match[2] or "")), float(match[3])))
    return samples


def total(samples, name, **labels):
    """The sum of one metric over all label sets that hold these labels; fails if there is none."""
    values = [
        value
        for found, have, value in samples
        if found == name and all(have.get(key) == want for key, want in labels.items())
    ]
    present = sorted({found for found, _, _ in samples})
    assert values or (labels and name in present), f"no metric {name}; there are {present}"
    return sum(values)


def by_class(samples, status_class):
    return total(samples, names.RESPONSES, **{names.CLASS_LABEL: status_class})


def scrape(address):
    response = get_once(address, "/metrics")
    assert response.status == 200, response
    return parse(response.body.decode())
