"""A start that the system refuses: one line that says what to change, the right exit status, nothing left.
And starts that succeed with little: low limits, no place for the run directory."""

import os
import resource
import subprocess
import time

from harness import faults, limit_s, measured, names, needs_root, procfs
from harness.client import get_once, post_bytes
from harness.server import Server, run

# What fails, the exit status, and what the line must name. A count is of the supervisor's calls, or of
# another thread's that makes as many.
REFUSALS = (
    ("signalfd4:error=EMFILE", names.EXIT_NO_RING, "ulimit -n"),
    ("socket:error=EMFILE:when=3", names.EXIT_NO_RING, "ulimit -n"),
    ("socket:error=ENOBUFS:when=5", names.EXIT_NO_RING, "MemoryMax"),
    ("bind:error=EADDRNOTAVAIL:when=2", names.EXIT_CONFIG, "cannot listen on 127.0.0.1"),
    ("bind:error=EACCES:when=3", names.EXIT_CONFIG, "cannot listen on unix:"),
    ("listen:error=ENOBUFS:when=1", names.EXIT_NO_RING, "MemoryMax"),
    ("listen:error=ENOMEM:when=2", names.EXIT_NO_RING, "cannot listen on unix:"),
    ("chmod:error=EPERM:when=1", names.EXIT_CONFIG, "cannot listen on unix:"),
    ("socketpair:error=EMFILE", names.EXIT_NO_RING, "ulimit -n"),
    ("clone,fork:error=EAGAIN", names.EXIT_NO_RING, "ulimit -u"),
    ("clone3:error=EAGAIN", names.EXIT_NO_RING, "ulimit -u"),
    ("setresuid:error=EPERM", names.EXIT_CONFIG, "cannot become user"),
    ("capset:error=EPERM:when=2", names.EXIT_CONFIG, "cannot give up rights"),
    ("eventfd2:error=EMFILE:when=1", names.EXIT_NO_RING, "ulimit -n"),
    ("eventfd2:error=ENFILE:when=2", names.EXIT_NO_RING, "ulimit -n"),
    ("io_uring_setup:error=ENOMEM", names.EXIT_NO_RING, "ulimit -l"),
    ("io_uring_setup:error=EPERM", names.EXIT_NO_RING, "seccomp"),
    ("io_uring_setup:error=EMFILE", names.EXIT_NO_RING, "ulimit -n"),
    ("io_uring_register:error=ENOMEM", names.EXIT_NO_RING, "ulimit -l"),
    ("io_uring_register:error=EPERM:when=2", names.EXIT_NO_RING, "seccomp"),
    ("unshare:error=EPERM", names.EXIT_NO_RING, "seccomp"),
    ("memfd_create:error=ENFILE", names.EXIT_NO_RING, "fs.file-max"),
    ("memfd_create:error=ENOSPC", names.EXIT_CONFIG, "free memory"),
    ("sendfile:error=ENOSPC", names.EXIT_CONFIG, "free memory"),
    ("openat:error=ENOSPC:when=10", names.EXIT_CONFIG, "make room"),
)

MODULE = """
#include <covet.h>
COVET_MODULE;
static void answer(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "ok");
}
int covet_module_init(struct covet_app *app) {
    return covet_route(app, COVET_GET, "/healthz", answer, NULL);
}
"""


def own_runs():
    """Run directories of this test's own."""
    faults.own_mounts()
    faults.mount_tmpfs("/run/covet", "size=16m")


def refused(env, arguments, how):
    """Runs covet to its end: one line of error, no process, run directory or socket file left. After
    own_runs(), as what other covets leave behind is none of its doing."""
    socket_path = env.path("covet.sock")
    listen = ["--listen", f"127.0.0.1:{env.free_port()}", "--listen", f"unix:{socket_path}"]
    status, _, err, seconds = run(
        env, *listen, "--cores", "0", "--profile", "off", *arguments, how=how, timeout_s=10
    )
    lines = [line for line in err.splitlines() if "level=info" not in line]
    assert len(lines) == 1 and names.START_FAILED in lines[0], f"exit {status}: {err}"
    measured(seconds < 5 * env.slack, f"{seconds:.1f} s")
    assert not os.path.exists(socket_path), "the socket file is left"
    left = os.listdir("/run/covet")
    assert not left, f"run directory {left} is left"
    mine = [pid for pid in procfs.children(os.getpid()) if procfs.is_alive(pid)]
    assert not mine, f"processes {mine} are left"
    return status, lines[0]


@needs_root
@limit_s(60)
def test_each_refused_call_is_one_line_with_the_remedy(env):
    if env.is_sanitized:
        raise faults.Skip("a sanitizer makes calls of its own")
    own_runs()
    module = faults.module(env, "plain", MODULE)
    arguments = ["--module", module, "--access-log", env.path("access.log")]
    for rule, wanted, remedy in REFUSALS:
        status, line = refused(env, arguments, {"strace": faults.strace(rule)})
        assert status == wanted and remedy in line, f"{rule}: exit {status}, wanted {wanted}: {line}"


@needs_root
def test_too_few_descriptors_processes_or_memory_to_start_are_named(env):
    env.needs_own_threads_only()
    if env.is_sanitized:
        raise faults.Skip("a sanitizer needs more memory than that")
    own_runs()
    for how, remedy in (
        ({"nofile": 16}, "ulimit -n"),
        ({"nofile": 8}, "ulimit -n"),
        ({"nproc": 1}, "ulimit -u"),
        ({"as": 16 << 20}, "ulimit -v"),
    ):
        status, line = refused(env, [], how)
        assert status == names.EXIT_NO_RING and remedy in line, f"{how}: exit {status}: {line}"


@needs_root
def test_it_serves_with_64_descriptors_and_stops_idle(env):
    with Server(env, how={"nofile": 64}) as server:
        for _ in range(20):
            assert get_once(server.address).status == 200
        share = faults.cpu_share(server.server_pid, 1.0)
        measured(share < 0.05 * env.slack, f"{share:.1%} of a core while idle")


@needs_root
def test_it_serves_within_little_address_space_and_locked_memory(env):
    if env.is_sanitized:
        raise faults.Skip("a sanitizer needs terabytes of address space")
    with Server(env, how={"as": 96 << 20, "memlock": 0}) as server, server.client() as client:
        for _ in range(20):
            assert client.request(post_bytes("/echo", b"x" * 900000)).status == 200


@needs_root
def test_no_place_for_the_run_directory_is_a_warning(env):
    """All places for it are read-only, or have no room for a file, or none for the counters."""
    faults.own_mounts()
    for options, flags in (("size=1m", faults.MS_RDONLY), ("nr_inodes=1", 0), ("size=64k", 0)):
        for path in ("/run/covet", "/tmp/covet-0"):
            faults.mount_tmpfs(path, options, flags)
            if options == "size=64k":
                faults.fill(f"{path}/full")
        with Server(env) as server:
            assert get_once(server.address).status == 200
            warnings = [line for line in server.log().splitlines() if "level=warn" in line]
            assert len(warnings) == 1 and names.NO_RUN_DIRECTORY in warnings[0], server.log()


@needs_root
def test_files_may_not_grow_and_it_serves(env):
    """RLIMIT_FSIZE kills by default (SIGXFSZ); here lines of the access log are lost, and no counter file."""
    options = ("--access-log", env.path("access.log"))
    with Server(env, *options, how={"fsize": 0}, stderr=subprocess.DEVNULL) as server:
        for _ in range(20):
            assert get_once(server.address).status == 200
        time.sleep(0.1)
        assert procfs.is_alive(server.server_pid)
    assert os.path.getsize(env.path("access.log")) == 0


def test_the_soft_limit_of_descriptors_is_raised(env):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (24, hard))
    with Server(env) as server:
        limits = procfs.read(f"/proc/{server.server_pid}/limits")
        line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
        assert line.split()[3] == line.split()[4], line
