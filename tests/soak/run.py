#!/usr/bin/env python3
"""Soaks a covet: all kinds of traffic and chaos for as long as wished, every answer checked.

    run.py [--covet build/release/covet] [--minutes 60] [--seed N] [--json FILE] [--keep]

docs/notes/0020-soak.md says what is done and what must hold. Ends with a table, then one line "N passed, N
failed"; status 1 on a failure, whose description names the seed. The same seed draws the same clients,
requests and operations; when they meet is the machine's. Load: less than half a core. It takes a minute
and a half at least: eight rounds of twelve seconds.
"""

import argparse
import asyncio
import itertools
import os
import random
import resource
import shutil
import sys
import tempfile
import time

from covet import Covet
from harness import first_free
from soak import Soak
from verdict import as_json, as_text, never_done, verdict

HERE = os.path.dirname(os.path.abspath(__file__))
SANITIZER_SLACK = 4


def free_port():
    """Below the ephemeral range, so that no client's end takes it meanwhile."""
    return first_free(random.randint(20000, 31999) for _ in itertools.count())


def describe(soak, directory):
    """What is needed to find a failure."""
    world = soak.world
    for kind, count in world.failure_count.items():
        print(f"\n{kind}: {count}")
        for failure in [one for one in world.failures if one.kind == kind]:
            at_s = soak.truth.seconds(failure.moment)
            print(f"  at {at_s:.3f} s, {failure.who} {failure.what}: {failure.text}")
            for line in soak.truth.around(failure.moment):
                print(f"    | {line}")
    if missed := never_done(world):
        print(f"\nnever done: {', '.join(missed)}")
    print(f"\nlog of the server, its last lines ({directory}/log):")
    for line in soak.covet.read_log()[-12:]:
        print(f"    | {line}")
    print(f"\nagain: make soak MINUTES={soak.minutes:g} SOAK='--seed {world.seed}'")


def main():
    parser = argparse.ArgumentParser(description="soaks a covet in traffic and chaos")
    parser.add_argument("--covet", default=os.path.join(HERE, "../../build/release/covet"))
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--json", metavar="FILE", help="write figures and failures there")
    parser.add_argument("--keep", action="store_true", help="keep logs and configuration")
    options = parser.parse_args()

    directory = tempfile.mkdtemp(prefix="covet-soak-")
    os.chmod(directory, 0o755)
    is_sanitized = "asan" in options.covet or "tsan" in options.covet
    covet = Covet(options.covet, directory, free_port(), SANITIZER_SLACK if is_sanitized else 1)
    covet.build()
    say = (lambda line: print(line, flush=True)) if sys.stdout.isatty() else None
    print(f"soak: {options.minutes:g} min, seed {options.seed}, {covet.program}", flush=True)

    soak = Soak(covet, free_port(), options.seed, options.minutes, say)
    started = time.monotonic()
    try:
        asyncio.run(soak.run())
        figures = verdict(soak)
    finally:
        covet.kill()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cores = sum(one.ru_utime + one.ru_stime for one in used) / (time.monotonic() - started)

    failed = [figure for figure in figures if figure.ok is False]
    print(as_text(figures))
    print(f"used {cores:.2f} cores, server and clients")
    if options.json:
        with open(options.json, "w") as file:
            file.write(as_json(soak, figures))
    if failed:
        describe(soak, directory)
    elif not options.keep:
        shutil.rmtree(directory)
    print(f"{sum(figure.ok is True for figure in figures)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
