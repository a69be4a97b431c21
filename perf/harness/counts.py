"""System calls per request, in a run of their own: counting costs time, so it is never timed.

`perf stat` counts raw_syscalls:sys_enter of every thread of the server while the load runs. Where it may not,
covet's own counter of io_uring_enter stands in, which is the only system call of its request path; other
servers have no such counter, and their column says that nothing was measured.
"""
import re
import subprocess
import tempfile

from harness import load
from harness.peer import Missing, program

EVENT = "raw_syscalls:sys_enter"


def perf_program():
    """perf, when it can count system calls here. Raises Missing."""
    perf = program("perf")
    done = subprocess.run([perf, "stat", "-x,", "-e", EVENT, "--", "true"], capture_output=True, text=True)
    if read_perf(done.stderr) is None:
        raise Missing("perf cannot count system calls here (root and tracefs are needed)")
    return perf


def read_perf(text):
    """The count in `perf stat -x,` output, None where it has none."""
    found = re.search(rf"^(\d+),[^,]*,{EVENT}", text, re.M)
    return int(found.group(1)) if found else None


def count(server, generator, scenario_load, seconds, cores, perf=None):
    """{"syscalls", "enters"} per request, None each where unknown. Raises load.Failure."""
    with tempfile.NamedTemporaryFile("r", prefix="covet-perf-") as file:
        around = ()
        if perf:
            around = (perf, "stat", "-x,", "-o", file.name, "-e", EVENT,
                      "-p", ",".join(map(str, sorted(server.pids))), "--")
        before = server.metric("covet_enters_total")
        outcome = load.run(generator, scenario_load, server.port, seconds, cores, around=around)
        after = server.metric("covet_enters_total")
        syscalls = read_perf(file.read())
    requests = max(outcome.requests, 1)
    return {"syscalls": None if syscalls is None else syscalls / requests,
            "enters": None if before is None else (after - before) / requests}
