"""A profiler as the tests see it: its process, its programs in the kernel, its maps."""

import functools
import json
import os
import re
import shutil
import subprocess

from harness import Skip, procfs

BPF_FS = "/sys/fs/bpf"
BPFTOOL_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
ON, OFF = "event=profile ", "event=profile_off "


@functools.cache
def program(env):
    """covet-prof beside the covet under test, where this machine can run it."""
    path = os.path.join(os.path.dirname(env.covet), "covet-prof")
    if not os.access(path, os.X_OK):
        raise Skip("covet-prof was not built")
    done = subprocess.run([path, "check", "--pin-dir", pin_dir(env)], capture_output=True, text=True)
    if done.returncode == 77:
        raise Skip("covet-prof cannot run here: " + done.stdout.replace("\n", "; "))
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return path


def pin_dir(env, name="test"):
    """A directory of this test alone."""
    return f"{BPF_FS}/covet-{name}-{env.lane}-{os.getpid()}"


def environment(env, name="test"):
    return {"COVET_PIN_DIR": pin_dir(env, name)}


def bpftool(*arguments):
    """What bpftool says, as JSON; None when it refuses."""
    path = shutil.which("bpftool", path=BPFTOOL_PATH)
    if not path:
        raise Skip("no bpftool")
    done = subprocess.run([path, "-j", *arguments], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def maps(directory):
    """The names pinned there; none where the directory is gone."""
    return set(os.listdir(directory)) if os.path.isdir(directory) else set()


def rows(directory, name):
    """A pinned map as bpftool prints it: [(key, value)]."""
    dumped = bpftool("map", "dump", "pinned", f"{directory}/{name}")
    assert dumped is not None, f"{name} cannot be dumped from {directory}: {maps(directory)}"
    return [(row["formatted"]["key"], row["formatted"]["value"]) for row in dumped]


def total(directory, name, field):
    return sum(value[field] for _, value in rows(directory, name))


def pid_of(parent):
    """The profiler that is a child of this process; None: there is none."""
    named = [pid for pid in procfs.children(parent) if procfs.name(pid, pid) == "covet-prof"]
    return named[0] if named else None


def programs(pid):
    """The numbers of the programs that a process has attached, by its links."""
    held = (procfs.read(f"/proc/{pid}/fdinfo/{fd}") for fd in os.listdir(f"/proc/{pid}/fdinfo"))
    return {re.search(r"^prog_id:\s+(\d+)", info, re.M).group(1) for info in held if "link_type:" in info}


def are_gone(numbers):
    """Whether the kernel has none of these programs any more."""
    return all(bpftool("prog", "show", "id", number) is None for number in numbers)


def lines(server, mark):
    return [line for line in server.log().splitlines() if mark in line]


def wait_line(server, mark, count=1, seconds=6.0):
    """The count-th line of the log with this mark."""
    found = procfs.wait_for(lambda: lines(server, mark)[count - 1 :], seconds * server.env.slack)
    assert found, f"no line {count} with {mark!r}: {server.log()[-900:]}"
    return found[0]
