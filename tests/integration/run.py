#!/usr/bin/env python3
"""Runs the integration tests against a covet binary: one line per test, one closing line, status 1
on failure.

Every test runs in a process (and session) of its own with its own directory and ports, so tests
cannot disturb each other and a hanging one is ended with everything it started.
"""

import argparse
import fnmatch
import glob
import importlib
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from harness import Disturbed, Env, Skip  # noqa: E402

LIMIT_S = 30
PATIENCE, PATIENCE_SANITIZED = 2, 8  # Times that, on a machine that others use too.
TRIES = 3  # Of a test whose measurement the machine may have spoilt.


class Job:
    """One test function, or one group that yields many results."""

    def __init__(self, module, name, function, names):
        self.label = f"{module[5:]}.{name[5:]}"
        self.function, self.names = function, names
        self.limit_s = getattr(function, "limit_s", LIMIT_S)
        self.pid = self.pipe = self.directory = self.lane = None
        self.tries = 0
        self.started, self.text, self.reported = 0.0, b"", set()


def matches(name, pattern):
    return not pattern or pattern in name or fnmatch.fnmatch(name, pattern)


def collect(pattern):
    jobs = []
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        module = importlib.import_module(os.path.basename(path)[:-3])
        for name, function in list(vars(module).items()):
            if not name.startswith("test_") or not callable(function):
                continue
            if hasattr(function, "lister"):
                for part, members in function.lister():
                    job = Job(module.__name__, name, function, members)
                    job.label += f".{part}"
                    job.names = [one for one in members if matches(f"{job.label}.{one}", pattern)]
                    job.part = part
                    jobs += [job] if job.names else []
            else:
                job = Job(module.__name__, name, function, None)
                jobs += [job] if matches(job.label, pattern) else []
    return jobs


def reason_of(error):
    text = (
        f"{type(error).__name__}: {error}" if not isinstance(error, AssertionError) else str(error)
    )
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "test_" in frame.filename
    ]
    if frames:
        text = text or f"not: {frames[-1].line}"
        text += f" [{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}]"
    if tail := getattr(error, "log_tail", ""):
        text += "\n" + "\n".join(f"    | {line}" for line in tail.splitlines()[-8:])
    return text


def run_one(job, env, report):
    """In the child: calls the test and reports its results."""
    started = time.monotonic()
    try:
        if getattr(job.function, "needs_root", False) and not env.is_root:
            raise Skip("needs root")
        if job.names is None:
            job.function(env)
            report(job.label, "ok", "", time.monotonic() - started)
            return
        for name, failure, seconds in job.function(env, job.part, job.names):
            kind = "ok" if failure is None else "skip" if isinstance(failure, Skip) else "FAIL"
            report(f"{job.label}.{name}", kind, str(failure or ""), seconds)
    except Skip as why:
        report(job.label, "skip", str(why), time.monotonic() - started)
    except Disturbed as error:
        kind = "again" if job.tries < TRIES else "FAIL"
        report(job.label, kind, reason_of(error), time.monotonic() - started)
    except BaseException as error:
        report(job.label, "FAIL", reason_of(error), time.monotonic() - started)


def start(job, options, lane):
    job.lane = lane
    job.tries += 1
    job.reported.clear()
    job.directory = tempfile.mkdtemp(prefix="covet-it-")
    os.chmod(job.directory, 0o755)
    reader, writer = os.pipe()
    sys.stdout.flush()
    job.started = time.monotonic()
    job.pid = os.fork()
    if job.pid:
        os.close(writer)
        job.pipe = reader
        return
    os.setsid()
    os.close(reader)
    env = Env(options.covet, options.module_dir, job.directory, lane)

    def report(*result):
        os.write(writer, json.dumps(result).encode() + b"\n")

    run_one(job, env, report)
    os._exit(0)


def finish(job, results, why=None):
    """Takes what the child reported; ends whatever is left of its session."""
    try:
        os.killpg(job.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    os.waitpid(job.pid, 0)
    os.close(job.pipe)
    take_lines(job, results)
    if why or not job.reported:
        show(
            results,
            job.label,
            "FAIL",
            why or "the test process died",
            time.monotonic() - job.started,
        )
    shutil.rmtree(job.directory, ignore_errors=True)


def take_lines(job, results):
    *lines, job.text = job.text.split(b"\n")
    for line in lines:
        name, kind, text, seconds = json.loads(line)
        job.reported.add(kind)
        show(results, name, kind, text, seconds)


def show(results, name, kind, text, seconds):
    results[kind] += 1
    if kind == "ok":
        print(f"ok {name} {seconds:.2f}s")
    elif kind == "skip":
        print(f"skip {name}: {text}")
    else:
        print(f"{kind} {name} {seconds:.2f}s\n    {text}")
    sys.stdout.flush()


def run_all(jobs, options):
    results = {"ok": 0, "FAIL": 0, "skip": 0, "again": 0}
    waiting, running, lanes = list(jobs), [], list(range(options.jobs))
    watch = selectors.DefaultSelector()
    while waiting or running:
        while waiting and lanes:
            job = waiting.pop(0)
            if getattr(job.function, "is_slow", False) and not options.slow:
                show(results, job.label, "skip", "slow, needs --slow", 0)
                continue
            start(job, options, lanes.pop())
            running.append(job)
            watch.register(job.pipe, selectors.EVENT_READ, job)
        for key, _ in watch.select(0.25):
            job = key.data
            data = os.read(job.pipe, 65536)
            job.text += data
            take_lines(job, results)
            if not data:
                watch.unregister(job.pipe)
                finish(job, results)
                running.remove(job)
                lanes.append(job.lane)
                if "again" in job.reported:
                    waiting.append(job)
        for job in [
            one
            for one in running
            if time.monotonic() - one.started > one.limit_s * options.patience
        ]:
            watch.unregister(job.pipe)
            finish(job, results, f"not done after {job.limit_s * options.patience:g} s")
            running.remove(job)
            lanes.append(job.lane)
    return results


def main():
    parser = argparse.ArgumentParser(description="covet's integration tests")
    parser.add_argument("--covet", default=os.path.join(HERE, "../../build/release/covet"))
    parser.add_argument("--module-dir", help="directory with the examples' .so files")
    parser.add_argument(
        "-k", dest="pattern", default="", help="only names with this text or shell pattern"
    )
    parser.add_argument("-j", dest="jobs", type=int, default=4)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--slow", action="store_true", help="run the slow tests too")
    options = parser.parse_args()
    is_sanitized = "asan" in options.covet or "tsan" in options.covet
    options.patience = PATIENCE_SANITIZED if is_sanitized else PATIENCE
    jobs = collect(options.pattern)
    if options.list:
        for job in jobs:
            for name in job.names or [None]:
                mark = " (slow)" if getattr(job.function, "is_slow", False) else ""
                print((f"{job.label}.{name}" if name else job.label) + mark)
        return 0
    if not os.access(options.covet, os.X_OK):
        print(f"no covet at {options.covet}", file=sys.stderr)
        return 1
    # The longest first, so that the end of the run is not one test alone.
    jobs.sort(key=lambda job: -job.limit_s)
    results = run_all(jobs, options)
    print(
        f"integration: {results['ok']} passed, {results['FAIL']} failed, {results['skip']} skipped"
    )
    return 1 if results["FAIL"] or not results["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
