#!/usr/bin/env python3
"""Takes the reliability figures of a covet: one line each with its goal, status 1 if one is not met.

    run.py [--covet FILE] [--only WORD] [--short] [--json]

Whole it takes about a quarter of an hour and wants a machine with nothing else to do; --short takes some
seconds for each and says whether everything works, with goals as wide as a busy machine needs. What it
measures and is not met is measured again, twice at most: the machine spoils one of three, a mistake all.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../integration")]

import overload  # noqa: E402,F401
import restarts  # noqa: E402,F401
import stalled  # noqa: E402,F401
from figure import GOALS, Figure  # noqa: E402
from harness import Disturbed, Env, Skip  # noqa: E402

TRIES_SHORT = 3


def put_ahead():
    """Where we may, so that others on the machine spoil fewer figures. Nice alone does nothing where the
    kernel shares a core out by session first (autogroup)."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        with open("/proc/self/autogroup", "w") as file:
            file.write("-20")


def take(name, what, function, options, directory):
    """In the child: yields the figures, or one that says why there are none."""
    env = Env(options.covet, None, directory, 8)
    try:
        yield from function(env, options.short)
    except Skip as why:
        yield Figure(name, what, f"skipped: {why}", "", True)
    except Exception as error:
        text = "".join(traceback.format_exception_only(error)).strip()
        place = traceback.extract_tb(error.__traceback__)[-1]
        log = getattr(error, "log_tail", "").splitlines()[-5:]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        yield Figure(name, what, f"not taken: {text} [{where}]", "", False, log,
                     is_measured=isinstance(error, Disturbed))


def take_apart(name, what, function, options):
    """The same in a session of its own, of which nothing is left behind."""
    directory = tempfile.mkdtemp(prefix="covet-figures-")
    os.chmod(directory, 0o755)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(reader)
        put_ahead()
        with open(writer, "wb") as pipe:
            for figure in take(name, what, function, options, directory):
                pickle.dump(figure, pipe)
                pipe.flush()
        os._exit(0)
    os.close(writer)
    try:
        with open(reader, "rb") as pipe:
            while True:
                yield pickle.load(pipe)
    except EOFError:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        shutil.rmtree(directory, ignore_errors=True)


def take_again(name, what, function, options):
    """The figures of the first try that is as it should be, or of the last; of one that the machine cannot
    have spoilt in any case."""
    for tries in range(1, TRIES_SHORT + 1):
        figures = list(take_apart(name, what, function, options))
        missed = [figure for figure in figures if not figure.is_met]
        if not missed or not options.short or not all(figure.is_measured for figure in missed):
            break
        if tries < TRIES_SHORT and not options.json:
            print("again " + "; ".join(f"{figure.name}: {figure.value}" for figure in missed), flush=True)
    return figures


def show(figure):
    goal = f" ({figure.goal})" if figure.goal else ""
    print(f"{'ok  ' if figure.is_met else 'FAIL'} {figure.name}: {figure.what}: {figure.value}{goal}")
    for sample in figure.samples:
        print(f"     | {sample}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--covet", default=os.path.join(HERE, "../../build/release/covet"))
    parser.add_argument("--only", default="", metavar="WORD", help="those whose name holds it")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true", help="one object at the end instead of lines")
    options = parser.parse_args()
    taken = []
    for name, what, function in GOALS:
        if options.only in name:
            for figure in take_again(name, what, function, options):
                taken.append(figure)
                if not options.json:
                    show(figure)
    failed = sum(not figure.is_met for figure in taken)
    if options.json:
        print(json.dumps({"figures": [dataclasses.asdict(figure) for figure in taken], "failed": failed}))
    else:
        print(f"{len(taken) - failed} passed, {failed} failed")
    return 1 if failed or not taken else 0


if __name__ == "__main__":
    sys.exit(main())
