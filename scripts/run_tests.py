#!/usr/bin/env python3
"""Runs the unit-test programs of one build, then the measuring harness's own, then the integration tests,
and sums them.

    run_tests.py --build build/release [--only WORD] [--unit-only]

A unit-test program speaks TAP (CMocka does when asked) and may skip as a whole with exit code 77 and
its reason as the last line. Whatever ends without saying so counts as failed: a crash, a time-out, a
program without tests. The last line is "N passed, N failed, N skipped"; the exit code is 0 only
when nothing failed and something passed.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIP_EXIT = 77
UNIT_SECONDS_MAX = 180
INTEGRATION_SECONDS_MAX = 1500
TAP = re.compile(r"^(ok|not ok)\b(?: +\d+)?(.*)$", re.MULTILINE)
CLOSING = re.compile(r"^integration: (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)


class Tally:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.counts = [passed, failed, skipped]

    def add(self, other):
        self.counts = [a + b for a, b in zip(self.counts, other.counts)]

    @property
    def failed(self):
        return self.counts[1]

    def __str__(self):
        return "{} passed, {} failed, {} skipped".format(*self.counts)


def environment(build):
    """The caller's, with sanitizer reports that end the program and name their place."""
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    env.setdefault("ASAN_OPTIONS", "strict_string_checks=1:detect_stack_use_after_return=1")
    suppressions = ROOT / "tests/support/tsan.supp"
    known = f":suppressions={suppressions}" if suppressions.exists() else ""
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1" + known)
    return env


def prefix(build):
    """ThreadSanitizer cannot map its shadow where address randomisation is at its widest."""
    return ["setarch", "-R"] if build.name == "tsan" else []


def read_tap(output, code):
    """The tally of one finished unit-test program, and why it failed beyond its failed tests."""
    tally, why = Tally(), ""
    for verdict, rest in TAP.findall(output):
        skipped = "# SKIP" in rest.upper()
        tally.add(Tally(0, 0, 1) if skipped else Tally(verdict == "ok", verdict != "ok", 0))
    if code < 0:
        why = f"killed by signal {-code}"
    elif sum(tally.counts) == 0:
        why = f"exit code {code}, no tests"
    elif code != 0 and tally.failed == 0:
        why = f"exit code {code}"
    if why:
        tally.add(Tally(0, 1, 0))
    return tally, why


def run_unit(program, build, env):
    """(line to print, tally, output worth showing) of one unit-test program."""
    name = program.relative_to(build / "tests/unit")
    try:
        done = subprocess.run(prefix(build) + [str(program)], env=env, cwd=ROOT, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, errors="replace",
                              timeout=UNIT_SECONDS_MAX)
    except OSError as error:
        return f"FAIL {name}: {error.strerror}", Tally(0, 1, 0), ""
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode(errors="replace")
        return f"FAIL {name}: over {UNIT_SECONDS_MAX} s", Tally(0, 1, 0), output
    if done.returncode == SKIP_EXIT:
        reason = (done.stdout.strip().splitlines() or ["no reason given"])[-1]
        return f"skip {name}: {reason}", Tally(0, 0, 1), ""
    tally, why = read_tap(done.stdout, done.returncode)
    if tally.failed:
        return f"FAIL {name}: {tally}{', ' + why if why else ''}", tally, done.stdout
    return f"ok   {name}: {tally}", tally, ""


def run_units(build, only, env):
    folder = build / "tests/unit"
    # The sources decide: a program left behind by a test that is gone must not run.
    sources = sorted((ROOT / "tests/unit").glob("*/test_*.c"))
    programs = [folder / source.parent.name / source.stem for source in sources]
    programs = [program for program in programs if only in str(program.relative_to(folder))]
    total = Tally()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line, tally, output in pool.map(lambda p: run_unit(p, build, env), programs):
            print(line, flush=True)
            if output:
                print("".join(f"     | {text}\n" for text in output.splitlines()), end="")
            total.add(tally)
    print(f"unit: {total}", flush=True)
    return total


def run_harness(only):
    """The unit tests of perf/harness, which is Python and of no build."""
    command = [sys.executable, "-m", "unittest", "discover", "-s", "tests/perf"]
    done = subprocess.run(command + (["-k", only] if only else []), cwd=ROOT, text=True, errors="replace",
                          env=dict(os.environ, PYTHONPATH=str(ROOT / "perf")), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=UNIT_SECONDS_MAX)
    closing = re.findall(r"^Ran (\d+) tests? in|(failures|errors|skipped)=(\d+)", done.stdout, re.MULTILINE)
    ran = sum(int(count) for count, _, _ in closing if count)
    bad = sum(int(count) for _, kind, count in closing if kind in ("failures", "errors"))
    skipped = sum(int(count) for _, kind, count in closing if kind == "skipped")
    if bad or not closing or (done.returncode != 0 and ran > 0):
        print(done.stdout, end="")
    total = Tally(ran - bad - skipped, bad if closing else 1, skipped)
    print(f"harness: {total}", flush=True)
    return total


def run_integration(build, only, env):
    command = prefix(build) + [sys.executable, str(ROOT / "tests/integration/run.py"),
                               "--covet", str(build / "covet"), "--module-dir", str(build / "examples")]
    if only:
        command += ["-k", only]
    output = []
    child = subprocess.Popen(["timeout", "--kill-after=10", str(INTEGRATION_SECONDS_MAX)] + command,
                             env=env, cwd=ROOT, text=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, errors="replace")
    for line in child.stdout:
        output.append(line)
        print(line, end="", flush=True)
    code = child.wait()
    closing = CLOSING.findall("".join(output))
    if not closing:
        print(f"FAIL integration: exit code {code} without its closing line")
        return Tally(0, 1, 0)
    total = Tally(*map(int, closing[-1]))
    none_meant = only and sum(total.counts) == 0
    if code != 0 and total.failed == 0 and not none_meant:
        print(f"FAIL integration: exit code {code}")
        total.add(Tally(0, 1, 0))
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--unit-only", action="store_true")
    options = parser.parse_args()
    build = options.build.resolve()
    env = environment(build)
    total = run_units(build, options.only, env)
    total.add(run_harness(options.only))
    if not options.unit_only:
        total.add(run_integration(build, options.only, env))
    print(total, flush=True)
    return 0 if total.failed == 0 and total.counts[0] > 0 else 1


sys.exit(main())
