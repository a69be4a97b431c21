"""A hostile kernel for the server under test: system calls that fail (strace), small or read-only file
systems, and the processor time that it takes meanwhile."""

import contextlib
import ctypes
import email.utils
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import time

from harness import Skip, modules, procfs
from harness.network import call, libc

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../preload/shift_clock.c")
CLONE_NEWNS = 0x20000
MS_RDONLY, MS_REC, MS_PRIVATE = 0x1, 0x4000, 0x40000
ATTACH_LIMIT_S = 20
SETTLE_S = 0.1


def strace(*rules):
    """The command that a program is started under with these rules, "CALL:error=NAME:when=N" each. It
    takes the tracer's output away, and leaves program and exit status as they are. `when` is counted for
    each thread anew."""
    if not shutil.which("strace"):
        raise Skip("strace is not installed (scripts/install-deps --dev)")
    command = ["strace", "-D", "-f", "-qq", "-o", "/dev/null"]
    command += ["-e", "trace=" + ",".join(rule.split(":")[0] for rule in rules)]
    return command + [word for rule in rules for word in ("-e", f"inject={rule}")]


class Injection:
    """`with Injection(env, pid, *rules) as injection:` while the block runs, the process (or the one
    thread, with follow=False) and its children live under these rules. `injected()` calls failed so far."""

    def __init__(self, env, pid, *rules, follow=True):
        self.pid, self.path = pid, env.path(f"injected.{id(self)}")
        command = strace(*rules)
        command.remove("-D")
        if not follow:
            command.remove("-f")
        command[command.index("/dev/null")] = self.path
        self.command = [*command, "-p", str(pid)]
        self.tracer = None

    def __enter__(self):
        self.tracer = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + ATTACH_LIMIT_S
        while not all(self.is_traced(task) for task in self.tasks()):
            if self.tracer.poll() is not None or time.monotonic() > deadline:
                self.tracer.kill()
                assert procfs.is_alive(self.pid), "the process has died"
                raise Skip(f"strace cannot attach: {self.tracer.stderr.read().decode().strip()[-200:]}")
            time.sleep(0.01)
        return self

    def tasks(self):
        return procfs.tasks(self.pid) if "-f" in self.command else [self.pid]

    def is_traced(self, task):
        return procfs.status(self.pid, task).get("TracerPid", "0") != "0"

    def injected(self):
        return len(re.findall(r"\(INJECTED\)", procfs.read(self.path)))

    def __exit__(self, *_):
        # A call that is about to fail when the tracer lets go comes back as ENOSYS, which is none of the
        # kernel's answers: the process must have come to rest.
        time.sleep(SETTLE_S)
        self.tracer.terminate()
        self.tracer.wait(10)


def module(env, name, code):
    """The path of a loadable module made of C code."""
    source = env.path(f"{name}.c")
    with open(source, "w") as file:
        file.write(code)
    return modules.build(env, source)


def own_mounts():
    """Mounts made from now on are seen by this test's processes alone, and end with them. Needs root."""
    try:
        call(libc.unshare, CLONE_NEWNS)
        call(libc.mount, b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    except OSError as error:
        raise Skip(f"no mount namespace: {error}")


def mount_tmpfs(path, options, flags=0):
    """A file system of its own at `path`: options "size=1m", or "nr_inodes=1" for one that has no room
    for any file; flags MS_RDONLY. After own_mounts()."""
    os.makedirs(path, exist_ok=True)
    data = ctypes.c_char_p(f"mode=755,{options}".encode())
    call(libc.mount, b"none", os.fsencode(path), b"tmpfs", flags, data)


def fill(path, room=0):
    """Fills the file system with the file `path`, but for `room` bytes."""
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(path, max(os.path.getsize(path) - room, 0))


def cpu_ns(pid):
    """Processor time of every thread so far, to the nanosecond where the kernel says it."""
    times = [procfs.read(f"/proc/{pid}/task/{task}/schedstat").split() for task in procfs.tasks(pid)]
    if not times or not all(times):
        raise Skip("no schedstat")
    return sum(int(fields[0]) for fields in times)


def cpu_share(pid, seconds):
    """The share of one core that a process takes over that time."""
    began, before_ns = time.monotonic(), cpu_ns(pid)
    time.sleep(seconds)
    return (cpu_ns(pid) - before_ns) / 1e9 / (time.monotonic() - began)


def needs_descriptors(count):
    """For the test's own process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < count:
        raise Skip(f"needs {count} descriptors itself, may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Clock:
    """The time of day of the programs that get this environment; set() moves it while they run."""

    def __init__(self, env):
        library, self.path = env.path("shift_clock.so"), env.path("clock")
        build = ["cc", "-shared", "-fPIC", "-O2", "-o", library, PRELOAD]
        if env.is_sanitized:
            raise Skip("a sanitizer must be loaded first")
        if not shutil.which("cc") or subprocess.run(build, capture_output=True).returncode:
            raise Skip("shift_clock.c cannot be built here")
        os.chmod(library, 0o755)
        self.environment = {"LD_PRELOAD": library, "COVET_TEST_CLOCK": self.path}
        self.set(0)

    def set(self, offset_s):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("q", offset_s))


def date_s(response):
    return email.utils.parsedate_to_datetime(response.get("Date")).timestamp()


def suspend(pid):
    """SIGSTOP, and waits until every thread has stopped."""
    os.kill(pid, signal.SIGSTOP)

    def has_stopped():
        return all(procfs.status(pid, task).get("State", "T")[0] == "T" for task in procfs.tasks(pid))

    assert procfs.wait_for(has_stopped, 5, 0.001), f"{pid} does not stop"


def send_to_thread(pid, task, number):
    """tgkill(2): a signal for one thread."""
    call(libc.tgkill, pid, task, number)
