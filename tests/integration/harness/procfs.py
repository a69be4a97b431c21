"""What the tests read from /proc about the server's processes and threads."""

import os
import re
import time

from harness import Skip

PATIENCE = 4


def read(path):
    try:
        with open(path, encoding="latin-1") as file:
            return file.read()
    except OSError:
        return ""


def children(pid):
    """Direct children of every thread of a process."""
    found = []
    for task in tasks(pid):
        found += [int(word) for word in read(f"/proc/{pid}/task/{task}/children").split()]
    return found


def tasks(pid):
    try:
        return sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []


def status(pid, task=None):
    """The fields of /proc/PID/status (or of one thread's) as a dictionary of strings."""
    text = read(f"/proc/{pid}/task/{task}/status" if task else f"/proc/{pid}/status")
    return dict(re.findall(r"^(\w+):[ \t]*(.*)$", text, re.M))


def name(pid, task):
    return read(f"/proc/{pid}/task/{task}/comm").strip()


def is_alive(pid):
    state = status(pid).get("State", "")
    return bool(state) and state[0] not in "ZX"


def cpu_s(pid):
    """Processor time of all threads so far."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    assert fields, f"no process {pid}"
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_kib(pid):
    """Memory that is this process's own (no shared pages)."""
    assert is_alive(pid), f"no process {pid}"
    rollup = read(f"/proc/{pid}/smaps_rollup")
    if not rollup:
        raise Skip("the memory of an undumpable process is shown to root only")
    return sum(int(value) for value in re.findall(r"^Private_\w+:\s+(\d+)", rollup, re.M))


def voluntary_switches(pid):
    """Per thread: how often it went to sleep of its own will."""
    counts = {task: int(status(pid, task).get("voluntary_ctxt_switches", 0)) for task in tasks(pid)}
    assert counts, f"no process {pid}"
    return counts


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def wait_for(condition, seconds, step_s=0.02):
    """Polls until condition() is true and returns its value; the last (false) value when it is not for a
    multiple of the time that it takes at most where nothing else runs. It is no measure of time."""
    deadline = time.monotonic() + PATIENCE * seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(step_s)
    return value
