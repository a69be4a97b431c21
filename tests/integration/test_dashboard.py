"""scripts/dashboard: the tables it makes of what bpftool prints, and what it says where there is
nothing to show. Most tests put a bpftool of their own in front, so they need no rights."""

import json
import os
import re
import shutil
import subprocess
import time

from harness import Skip, measured, needs_root, procfs, profile
from harness.client import get_once
from harness.server import Server

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/dashboard")
# Each dump of profile_info begins the next round of files; the last round is repeated.
FAKE_BPFTOOL = """#!/bin/sh
[ "$1" = version ] && exit 0
[ "$1 $2 $3 $4" = "-j map dump pinned" ] || exit 1
rounds=$(dirname "$0")/rounds
name=$(basename "$5")
[ "$name" != profile_info ] || echo x >>"$rounds/count"
round=$(wc -l <"$rounds/count")
while [ ! -e "$rounds/$round" ]; do round=$((round - 1)); done
cat "$rounds/$round/$name"
"""
INFO = {"version": "0.1.0", "kernel": "6.18.0", "level": 2, "profiler_pid": 30, "server_pid": 20,
        "supervisor_pid": 10, "attached_realtime": int(time.time()) - 5}


def row(key, value):
    """As bpftool 7 prints it: bytes, and by BTF."""
    return {"key": ["0x00"], "value": ["0x00"], "formatted": {"key": key, "value": value}}


def worker(index, requests, syscalls, completions):
    return row(index, {"name": f"covet-w{index}", "thread_id": 100 + index, "cpu": index,
                       "requests": requests, "syscalls": syscalls, "syscalls_per_1000_requests": 0,
                       "io_uring_enters": syscalls, "completions": completions,
                       "completions_per_100_enters": 0})


def sched(index, waited, put_off, running_ns, runq_ns):
    return row(index, {"voluntary_switches": waited, "involuntary_switches": put_off, "migrations": 0,
                       "running_ns": running_ns, "waiting_ns": 0, "runq_ns": runq_ns, "max_runq_ns": 7})


def syscall(index, name, count, errors=0, busy_ns=0):
    return row({"worker": index, "syscall": f"SYS_{name}"},
               {"count": count, "errors": errors, "busy_ns": busy_ns, "blocked_ns": 2500000,
                "max_busy_ns": 9, "avg_busy_ns": 1, "last_error": 0})


def operation(index, name, submitted, completed):
    return row({"worker": index, "opcode": f"IORING_OP_{name}"},
               {"submitted": submitted, "completed": completed, "errors": 0, "punted": 3, "poll_arms": 0,
                "multishot_cqes": 0, "overflows": 0, "avg_ns": 0, "last_error": 0})


def dumps(scale=1, workers=2):
    every = range(workers)
    return {
        "profile_info": [row(0, INFO)],
        "worker_stats": [worker(i, 1000 * scale, 900 * scale, 1800 * scale) for i in every],
        "sched_stats": [sched(i, 40 * scale, 2, 250000000, 1500000) for i in every],
        "syscall_stats": [syscall(i, "read", 0) for i in every]
        + [syscall(i, "io_uring_enter", 900 * scale, 1, 1800000 * scale) for i in every],
        "uring_stats": [operation(i, "RECV", 10, 1000 * scale) for i in every],
        "net_stats": [row({"port": 8000, "event": "TCP_RESET_SENT"}, 5 * scale)],
        "drop_reasons": [row({"port": 8000, "reason": "DROP_NO_SOCKET"}, 6 * scale)],
    }


class Dashboard:
    """The script with these rounds of dumps in its bpftool."""

    def __init__(self, env, *rounds):
        if not shutil.which("jq"):
            raise Skip("no jq")
        self.bin, self.pins = env.path("bin"), env.path("pins")
        os.makedirs(f"{self.bin}/rounds")
        os.mkdir(self.pins)
        self.write_tool(FAKE_BPFTOOL)
        open(f"{self.bin}/rounds/count", "w").close()
        for number, maps in enumerate(rounds, 1):
            os.mkdir(f"{self.bin}/rounds/{number}")
            for name, rows in maps.items():
                open(f"{self.pins}/{name}", "w").close()
                with open(f"{self.bin}/rounds/{number}/{name}", "w") as file:
                    json.dump(rows, file)
        with open(f"{self.pins}/listeners", "w") as file:
            file.write("port     queue    max      drops\n8000     1        4096     2\n")

    def write_tool(self, text):
        with open(f"{self.bin}/bpftool", "w") as file:
            file.write(text)
        os.chmod(f"{self.bin}/bpftool", 0o755)

    def start(self, *options, path=None):
        search = path or f"{self.bin}:{os.environ['PATH']}"
        return subprocess.Popen(
            [SCRIPT, "--pin-dir", self.pins, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PATH": search})

    def run(self, *options, path=None):
        """(exit code, lines, what was said on standard error)."""
        process = self.start(*options, path=path)
        out, error = process.communicate(timeout=60)
        return process.returncode, out.splitlines(), error

    def second_table(self, *options):
        """Its lines, without those of the first one; the script is ended then."""
        lines, headings = [], 0
        with self.start(*options) as process:
            while headings < 3 and (line := process.stdout.readline()):
                headings += line.startswith("covet 10,")
                if headings == 2:
                    lines.append(line.rstrip("\n"))
            process.terminate()
        assert headings == 3, lines
        return lines


def columns(lines, *first):
    """The words of the line that begins with these."""
    found = [line.split() for line in lines if line.split()[: len(first)] == list(first)]
    assert found, (first, lines)
    return found[0][len(first):]


def test_once_shows_all_that_was_counted(env):
    code, lines, error = Dashboard(env, dumps()).run("--once")
    assert code == 0 and not error, error
    heading = r"covet 10, server 20, level 2 by covet-prof 30; counted in \d+ s"
    assert re.fullmatch(heading, lines[0]), lines[0]
    assert columns(lines, "0") == ["0", "1000", "900", "900", "2", "40", "2", "0", "250", "1.5"]
    assert columns(lines, "1") == ["1", "1000", "900", "900", "2", "40", "2", "0", "250", "1.5"]
    assert columns(lines, "io_uring_enter") == ["1800", "900", "2", "2", "5"]
    assert columns(lines, "read") == ["0", "0", "0", "-", "5"]
    assert columns(lines, "RECV") == ["20", "2000", "1000", "0", "6", "0", "0", "0"]
    assert columns(lines, "RESET_SENT") == ["8000", "5"]
    assert columns(lines, "dropped:") == ["NO_SOCKET", "8000", "6"]
    assert columns(lines, "socket", "0") == ["8000", "1", "4096", "2"]


def test_columns_stand_below_each_other(env):
    _, lines, _ = Dashboard(env, dumps(scale=12345)).run("--once")
    heading = next(number for number, line in enumerate(lines) if line.startswith("RING OPERATION"))
    assert len(lines[heading]) == len(lines[heading + 1]), lines[heading : heading + 2]


def test_the_second_table_is_per_second(env):
    lines = Dashboard(env, dumps(1), dumps(3)).second_table("-i", "0.5")
    seconds = float(re.search(r"per second, over ([0-9.]+) s", lines[0])[1])
    words = columns(lines, "0")
    measured(abs(float(words[1]) * seconds - 2000) < 30, (seconds, words))
    assert words[3] == "900", "calls per 1000 requests of the interval"
    assert words[0] == "0" and words[6] == "0", words  # The core is no count; nothing was put off.


def test_counts_that_fall_are_a_new_profilers(env):
    lines = Dashboard(env, dumps(3), dumps(1)).second_table("-i", "0.2")
    assert float(columns(lines, "0")[1]) > 0, lines
    assert all(not word.startswith("-") or word == "-" for line in lines for word in line.split())


def test_level_1_says_what_is_missing(env):
    maps = dumps()
    del maps["syscall_stats"]
    code, lines, _ = Dashboard(env, maps).run("--once")
    assert code == 0 and "SYSTEM CALLS: from level 2 on" in lines, lines


def test_many_workers_fit(env):
    code, lines, error = Dashboard(env, dumps(workers=256)).run("--once")
    assert code == 0 and not error, error
    assert columns(lines, "255")[1] == "1000"
    assert columns(lines, "io_uring_enter")[0] == str(256 * 900)


def test_it_says_what_is_missing(env):
    board = Dashboard(env, dumps())
    os.remove(f"{board.pins}/profile_info")
    code, _, error = board.run("--once")
    assert code == 1 and board.pins in error and "start covet as root" in error, error

    board.write_tool("#!/bin/sh\nexit 2\n")
    if not any(os.path.exists(path) for path in ("/usr/lib/linux-tools", "/usr/lib/linux-tools-common")):
        code, _, error = board.run("--once")
        assert code == 77 and "bpftool is missing" in error and "scripts/install-deps" in error, error

    few = env.path("few")
    os.mkdir(few)
    for tool in ("bash", "env", "dirname", "basename", "wc", "cat", "date"):
        os.symlink(shutil.which(tool), f"{few}/{tool}")
    board.write_tool(FAKE_BPFTOOL)
    code, _, error = board.run("--once", path=f"{board.bin}:{few}")
    assert code == 77 and "jq is missing" in error, error


def test_it_says_that_the_rights_are_missing(env):
    board = Dashboard(env, dumps())
    board.write_tool("""#!/bin/sh
[ "$1" = version ] && exit 0
echo '{"error":"bpf obj get (/sys/fs/bpf/covet): Permission denied"}'
exit 255
""")
    code, lines, error = board.run("--once")
    assert code == 77 and not lines, (code, lines)
    assert "Permission denied: run this as root, or covet-prof with --readable" in error, error
    assert error.count("\n") == 1, error


def test_wrong_options_are_refused(env):
    board = Dashboard(env, dumps())
    for options in (["--nothing"], ["word"], ["-i"], ["-i", "0"], ["-i", "x"], ["-i", "-1"], ["-i", "0.0"]):
        code, _, error = board.run(*options)
        assert code == 64 and error.startswith("dashboard: "), (options, code, error)
    code, lines, _ = board.run("--help")
    assert code == 0 and lines[0].startswith("usage: scripts/dashboard")


@needs_root
def test_it_shows_a_real_covet(env):
    profile.program(env)
    profile.bpftool("version")
    if not shutil.which("jq"):
        raise Skip("no jq")
    with Server(env, "--profile", "2", environment=profile.environment(env)) as server:
        profile.wait_line(server, profile.ON)
        for _ in range(30):
            get_once(server.address)
        directory = profile.pin_dir(env)
        counted = profile.total(directory, "worker_stats", "requests")
        done = subprocess.run([SCRIPT, "--once", "--pin-dir", directory], capture_output=True, text=True)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and not done.stderr, done
        assert f"covet {server.pid}, server {server.server_pid}, level 2" in lines[0], lines[0]
        assert int(columns(lines, "0")[1]) == counted >= 30, lines
        assert columns(lines, "read")[0] == columns(lines, "sendto")[0] == "0", lines
        assert int(columns(lines, "ACCEPTED")[1]) >= 30, lines
        assert columns(lines, "socket", "0")[0] == str(server.port), lines
    assert procfs.wait_for(lambda: not os.path.exists(directory), 3 * env.slack)
