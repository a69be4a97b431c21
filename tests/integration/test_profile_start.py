"""covet-prof: started by covet, attached to it, starting it; what is left behind when somebody dies;
what each right allows."""

import contextlib
import copy
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

from harness import Skip, limit_s, measured, metrics, names, needs_root, procfs, profile
from harness.client import get_once
from harness.server import Server

NOBODY = "65534"
MAPS = {1: "uring_stats", 2: "syscall_stats", 3: "uring_latency"}


@contextlib.contextmanager
def profiled(env, *options, level="2", **more):
    """A covet with a profiler that has this test's directory, and has left it in the end."""
    profile.program(env)
    with Server(env, "--profile", level, *options, environment=profile.environment(env), **more) as server:
        yield server
    directory = profile.pin_dir(env)
    assert procfs.wait_for(lambda: not os.path.exists(directory), 3 * env.slack), profile.maps(directory)


def all_gone(directory, numbers):
    return not os.path.exists(directory) and profile.are_gone(numbers)


@needs_root
@limit_s(60)
def test_start_and_stop_leave_nothing(env):
    directory = profile.pin_dir(env)
    with profiled(env) as server:
        line = profile.wait_line(server, profile.ON)
        said = rf"level=2 server={server.server_pid} pinned={directory} programs=\"\d+ programs"
        assert re.search(said, line), line
        assert re.search(r"system call of every process .* \d+ ns longer; --profile 1 or off", line), line
        get_once(server.address)
        assert profile.total(directory, "worker_stats", "requests") >= 1
        numbers = profile.programs(profile.pid_of(server.pid))
        assert len(numbers) > 5 and not profile.are_gone(numbers), numbers
    assert procfs.wait_for(lambda: all_gone(directory, numbers), 3 * env.slack), "something is left"
    assert len(profile.lines(server, profile.ON)) == 1, server.log()
    assert not profile.lines(server, profile.OFF), server.log()


@needs_root
@limit_s(90)
def test_each_level_has_its_maps_and_its_price(env):
    for level in (1, 2, 3):
        with profiled(env, level=str(level)) as server:
            line = profile.wait_line(server, profile.ON)
            pinned = profile.maps(profile.pin_dir(env))
            expected = {name for least, name in MAPS.items() if least <= level}
            assert pinned & set(MAPS.values()) == expected, (level, pinned)
            assert ("nothing for other processes" in line) == (level == 1), line


@needs_root
def test_profile_off_and_0_start_nothing(env):
    profile.program(env)
    for level in ("off", "0"):
        with Server(env, "--profile", level) as server:
            time.sleep(0.3)
            assert profile.pid_of(server.pid) is None
            assert "profile=off" in server.log() and not profile.lines(server, profile.ON), server.log()


@needs_root
def test_the_profiler_inherits_nothing_of_covets(env):
    with profiled(env, "--access-log", env.path("access")) as server:
        profile.wait_line(server, profile.ON)
        pid = profile.pid_of(server.pid)
        links = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert links[0] == links[1] == "/dev/null" and links[2] == server.log_path, links
        others = [link for fd, link in links.items() if fd > 2 and "bpf" not in link and "btf" not in link]
        kinds = [link.split(":")[0] for link in others]
        assert set(kinds) <= {"socket", "anon_inode", "pipe"}, others
        assert kinds.count("pipe") == 1, others  # To its guard.
        assert len([link for link in others if link.startswith("socket:")]) == 1, others
        kept = int(procfs.status(pid)["CapPrm"], 16)
        assert kept & ~(1 << 38 | 1 << 39) == 0, f"it keeps capabilities {kept:x}"  # PERFMON, BPF
        assert os.getpriority(os.PRIO_PROCESS, pid) > 0, "it competes with the workers"
        # And the server has no end of the line to it.
        for child in procfs.children(server.pid):
            inside = {os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")}
            assert child == pid or not inside & {links[3]}, inside


@needs_root
@limit_s(60)
def test_a_killed_profiler_is_one_line_and_hup_starts_another(env):
    directory = profile.pin_dir(env)
    with profiled(env) as server:
        profile.wait_line(server, profile.ON)
        first = profile.pid_of(server.pid)
        numbers = profile.programs(first)
        os.kill(first, signal.SIGKILL)
        line = profile.wait_line(server, profile.OFF)
        assert f"pid {first}" in line and "signal 9" in line and "HUP" in line, line
        assert get_once(server.address).status == 200
        assert procfs.wait_for(lambda: profile.are_gone(numbers), 2 * env.slack), "programs outlive it"
        assert "worker_stats" in profile.maps(directory), "the last snapshot is gone"
        server.signal(signal.SIGHUP)
        profile.wait_line(server, profile.ON, 2)
        before = profile.total(directory, "worker_stats", "requests")
        get_once(server.address)
        assert profile.total(directory, "worker_stats", "requests") == before + 1
        assert len(profile.lines(server, profile.OFF)) == 1, server.log()


@needs_root
@limit_s(60)
def test_a_profiler_told_to_end_takes_its_maps_along(env):
    with profiled(env) as server:
        profile.wait_line(server, profile.ON)
        first = profile.pid_of(server.pid)
        os.kill(first, signal.SIGINT)  # As from a terminal: that is covet's business.
        time.sleep(0.2)
        assert procfs.is_alive(first)
        os.kill(first, signal.SIGTERM)
        line = profile.wait_line(server, profile.OFF)
        assert f"pid {first}" in line and "exit code 0" in line and "HUP" in line, line
        assert not profile.maps(profile.pin_dir(env))
        assert get_once(server.address).status == 200


def test_a_line_that_is_none_is_refused_and_left_alone(env):
    with Server(env, environment={"COVET_PROFILE_FD": "1"}) as server:
        line = profile.wait_line(server, "event=profile_refused")
        assert "fd=1" in line and "profile=off" in server.log(), server.log()
        assert os.readlink(f"/proc/{server.pid}/fd/1") == server.log_path


def test_a_profiler_that_started_covet_and_is_silent_delays_it_by_two_seconds(env):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    started = time.monotonic()
    line = {"COVET_PROFILE_FD": str(theirs.fileno())}
    with ours, theirs, Server(env, fds=(theirs.fileno(),), environment=line) as server:
        took_s = time.monotonic() - started
        measured(1.9 < took_s < 2 + 2 * env.slack, f"{took_s:.1f} s")
        _, supervisor, pid, count, first = struct.unpack_from("=IIIIH", ours.recv(4096))
        assert (supervisor, pid, count, first) == (server.pid, server.server_pid, 1, server.port)
        assert "profile=run" in server.log(), server.log()


@needs_root
@limit_s(60)
def test_nothing_outlives_a_killed_supervisor(env):
    directory = profile.pin_dir(env)
    with profiled(env) as server:
        profile.wait_line(server, profile.ON)
        profiler = profile.pid_of(server.pid)
        numbers = profile.programs(profiler)
        server.signal(signal.SIGKILL)
        began_s = time.monotonic()
        assert procfs.wait_for(lambda: all_gone(directory, numbers), 5 * env.slack), "attached still"
        took_s = time.monotonic() - began_s
        measured(took_s < 1 * env.slack, f"detached after {took_s:.1f} s")
        assert not procfs.is_alive(profiler)
        server.kill()


@needs_root
@limit_s(60)
def test_a_crashed_server_is_followed_and_counts_go_on(env):
    directory = profile.pin_dir(env)
    with profiled(env, may_crash=True) as server:
        profile.wait_line(server, profile.ON)
        for _ in range(3):
            get_once(server.address)
        before = profile.total(directory, "worker_stats", "requests")
        first = server.server_pid
        os.kill(first, signal.SIGSEGV)

        def is_followed():
            info = profile.rows(directory, "profile_info")[0][1]
            return info["targets"] == 2 and info["server_pid"] not in (0, first)

        assert procfs.wait_for(is_followed, 4 * env.slack), profile.rows(directory, "profile_info")
        get_once(server.address)
        assert profile.total(directory, "worker_stats", "requests") >= before + 1
        assert len(profile.lines(server, profile.ON)) == 1, "said again"


@needs_root
@limit_s(60)
def test_a_second_covet_names_the_holder_and_takes_over(env):
    with profiled(env) as first:
        profile.wait_line(first, profile.ON)
        holder = profile.pid_of(first.pid)
        with profiled(env) as second:
            line = profile.wait_line(second, profile.OFF, seconds=8)
            assert f"pid {holder}" in line and "COVET_PIN_DIR" in line, line
            assert get_once(second.address).status == 200
            first.signal(signal.SIGTERM)
            first.stopped = first.process.wait(20 * env.slack) == 0
            line = profile.wait_line(second, profile.ON)
            assert f"server={second.server_pid}" in line, line


@needs_root
@limit_s(60)
def test_hup_applies_another_level(env):
    path = env.path("conf")

    def configure(level):
        with open(path, "w", encoding="ascii") as file:
            file.write(f"profile = {level}\n")

    profile.program(env)
    configure(1)
    server = Server(env, "--config", path, environment=profile.environment(env))
    server.options = [word for word in server.options if word not in ("--profile", "off")]
    with server:
        profile.wait_line(server, profile.ON + "level=1")
        first = profile.pid_of(server.pid)
        server.signal(signal.SIGHUP)
        time.sleep(0.4 * env.slack)
        assert profile.pid_of(server.pid) == first, "replaced for nothing"
        configure(3)
        server.signal(signal.SIGHUP)
        profile.wait_line(server, profile.ON + "level=3")
        configure("off")
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: not profile.maps(profile.pin_dir(env)), 3 * env.slack)
        assert get_once(server.address).status == 200 and not profile.lines(server, profile.OFF), server.log()


@needs_root
@limit_s(60)
def test_usr2_hands_the_maps_to_the_new_supervisors_profiler(env):
    directory = profile.pin_dir(env)
    with profiled(env, stop_limit_s=15) as server:
        profile.wait_line(server, profile.ON)
        old = profile.pid_of(server.pid)
        server.signal(signal.SIGUSR2)
        line = profile.wait_line(server, profile.ON, 2)
        assert not procfs.is_alive(old) and not profile.lines(server, profile.OFF), server.log()
        serving = re.search(r"server=(\d+)", line).group(1)
        assert profile.rows(directory, "profile_info")[0][1]["server_pid"] == int(serving)
        assert get_once(server.address).status == 200


@needs_root
def test_covet_prof_that_is_absent_is_one_info_line(env):
    alone = copy.copy(env)
    alone.covet = env.path("covet")
    shutil.copy(env.covet, alone.covet)
    with Server(alone, "--profile", "2", environment={"PATH": "/nonexistent"}) as server:
        line = profile.wait_line(server, profile.OFF)
        assert "level=info" in line and "neither beside this program nor in PATH" in line, line
        assert get_once(server.address).status == 200


@needs_root
def test_an_ordinary_user_gets_one_line_and_a_server(env):
    profile.program(env)
    if not reachable_by_others(env.covet):
        raise Skip(f"nobody cannot reach {env.covet}")
    with profiled(env, how={"uid": int(NOBODY)}) as server:
        line = profile.wait_line(server, profile.OFF)
        assert "needs CAP_BPF and CAP_PERFMON" in line and f"sudo covet-prof -p {server.pid}" in line, line
        assert get_once(server.address).status == 200
        assert procfs.wait_for(lambda: profile.pid_of(server.pid) is None, 2 * env.slack), "it stays"


def reachable_by_others(path):
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def with_rights(*capabilities):
    """Becomes nobody with these capabilities and no others."""
    wanted = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups",
            "--inh-caps", wanted, "--ambient-caps", wanted, "--bounding-set", wanted]


# (rights, how to get them, highest level, what the rows of the levels say)
MATRIX = (
    ("none", with_rights(), 0, "needs CAP_BPF and CAP_PERFMON"),
    ("bpf", with_rights("bpf"), 0, "needs CAP_PERFMON"),
    ("perfmon", with_rights("perfmon"), 0, "needs CAP_BPF"),
    ("bpf and perfmon", with_rights("bpf", "perfmon"), 3, r"\d+ programs"),
    ("sys_admin", with_rights("sys_admin"), 3, r"\d+ programs"),
    ("root without locked memory",
     ["prlimit", "--memlock=0:0", "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"],
     3, r"\d+ programs"),
)


@contextlib.contextmanager
def directory_of_nobody(env):
    path = profile.pin_dir(env, "nobody")
    os.mkdir(path)
    try:
        os.chown(path, int(NOBODY), int(NOBODY))
        yield f"{path}/maps"
    finally:
        if os.path.isdir(f"{path}/maps"):  # A failed test's.
            for name in os.listdir(f"{path}/maps"):
                os.unlink(f"{path}/maps/{name}")
            os.rmdir(f"{path}/maps")
        os.rmdir(path)


@needs_root
@limit_s(90)
def test_each_right_has_its_outcome_and_its_message(env):
    prof = profile.program(env)
    if not reachable_by_others(prof) or not shutil.which("setpriv"):
        raise Skip("nobody cannot reach covet-prof, or no setpriv")
    with directory_of_nobody(env) as directory:
        for rights, how, level, said in MATRIX:
            done = subprocess.run([*how, prof, "check", "--pin-dir", directory],
                                  capture_output=True, text=True)
            rows = re.findall(r"^level (\d).*?  (yes|no) +(.*)$", done.stdout, re.M)
            assert len(rows) == 3, (rights, done.stdout, done.stderr)
            assert max((int(number) for number, yes, _ in rows if yes == "yes"), default=0) == level, (
                rights, done.stdout)
            assert all(re.search(said, why) for _, _, why in rows), (rights, done.stdout)
            assert done.returncode == (0 if level else 77), (rights, done.returncode)


@needs_root
@limit_s(60)
def test_covet_with_two_capabilities_and_no_root_is_profiled(env):
    prof = profile.program(env)
    if not reachable_by_others(prof) or not shutil.which("setpriv"):
        raise Skip("nobody cannot reach covet-prof, or no setpriv")
    with directory_of_nobody(env) as directory:
        how = {"setpriv": with_rights("bpf", "perfmon")[1:]}
        with Server(env, "--profile", "2", how=how, environment={"COVET_PIN_DIR": directory}) as server:
            profile.wait_line(server, profile.ON)
            get_once(server.address)
            assert profile.total(directory, "worker_stats", "requests") >= 1
            # They are the profiler's; the server has given up its own.
            for task in (server.server_pid, *server.worker_tasks()):
                assert int(procfs.status(server.server_pid, task)["CapEff"], 16) == 0
        assert procfs.wait_for(lambda: not os.path.exists(directory), 3 * env.slack)


@contextlib.contextmanager
def covet_prof(env, *arguments, **options):
    process = subprocess.Popen([profile.program(env), *map(str, arguments)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env={**os.environ, **profile.environment(env)}, **options)
    try:
        yield process
    finally:
        if process.poll() is None:  # A failed test: what it has started goes too.
            waiting = [process.pid]
            while waiting:
                pid = waiting.pop()
                waiting += procfs.children(pid)
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@needs_root
@limit_s(60)
def test_attach_says_one_line_follows_and_leaves_nothing(env):
    directory = profile.pin_dir(env)
    with Server(env, may_crash=True) as server, covet_prof(env, "-p", server.server_pid) as prof:
        line = prof.stdout.readline()
        assert re.match(rf"covet-prof: on level=2 server={server.server_pid} ", line), line
        assert "--level 1 ends that" in line, line
        numbers = profile.programs(prof.pid)
        os.kill(server.server_pid, signal.SIGSEGV)
        assert procfs.wait_for(
            lambda: profile.rows(directory, "profile_info")[0][1]["targets"] == 2, 4 * env.slack)
        get_once(server.address)
        assert profile.total(directory, "worker_stats", "requests") >= 1
        prof.send_signal(signal.SIGINT)
        assert prof.wait(20 * env.slack) == 0
        # The kernel frees programs a little after their last reference.
        assert procfs.wait_for(lambda: all_gone(directory, numbers), 1), profile.maps(directory)


@needs_root
@limit_s(60)
def test_attach_follows_an_upgrade_and_ends_with_covet(env):
    directory = profile.pin_dir(env)
    with Server(env, stop_limit_s=15) as server, covet_prof(env, "-p", server.pid, "-v") as prof:
        assert "server=" in prof.stdout.readline()
        server.signal(signal.SIGUSR2)
        profile.wait_line(server, "event=start", 2)
        new = int(re.search(r"event=upgrade .*pid=(\d+)", server.log())[1])

        def is_followed():
            return profile.rows(directory, "profile_info")[0][1]["supervisor_pid"] == new

        assert procfs.wait_for(is_followed, 3 * env.slack), profile.rows(directory, "profile_info")
        server.stop()
        assert prof.wait(20 * env.slack) == 0
        assert "covet has ended" in prof.stdout.read()


@needs_root
def test_attach_says_why_not(env):
    with covet_prof(env, "-p", os.getpid()) as prof:
        assert prof.wait(20) == 1
        assert str(os.getpid()) in prof.stdout.read()
    for wrong in (["--level", "4"], ["--level", "0"], ["--pid", "x"], ["--pin-dir", "d"], ["word"], ["-x"]):
        with covet_prof(env, "attach", *wrong) as prof:
            assert prof.wait(20) == names.EXIT_USAGE, wrong
            said = prof.stdout.read()
            assert "usage: covet-prof attach" in said and wrong[-1] in said, said


@needs_root
@limit_s(60)
def test_keep_leaves_the_maps_and_clean_removes_them(env):
    directory = profile.pin_dir(env)
    with Server(env) as server:
        with covet_prof(env, "-p", server.pid, "--keep") as prof:
            assert " on " in prof.stdout.readline()
            with covet_prof(env, "clean") as clean:
                assert clean.wait(20) == 1 and f"pid {prof.pid}" in clean.stdout.read()
            prof.send_signal(signal.SIGTERM)
            assert prof.wait(20 * env.slack) == 0
        assert "worker_stats" in profile.maps(directory)
        with covet_prof(env, "clean") as clean:
            assert clean.wait(20) == 0 and "removed" in clean.stdout.read()
        assert not os.path.exists(directory)


@needs_root
@limit_s(60)
def test_run_measures_from_the_start_and_gives_covets_exit_code(env):
    directory = profile.pin_dir(env)
    port = env.free_port()
    command = ["run", "--level", "1", "--", env.covet, "--cores", "0", "--listen", f"127.0.0.1:{port}"]
    with covet_prof(env, *command) as prof:
        assert procfs.wait_for(lambda: answers(port), 8 * env.slack)
        covet = next(pid for pid in procfs.children(prof.pid) if procfs.name(pid, pid) == "covet")

        def counts():  # Before the scrape is answered it is in neither.
            counted = profile.total(directory, "worker_stats", "requests")
            return counted, metrics.total(metrics.scrape(("127.0.0.1", port)), names.REQUESTS)

        assert procfs.wait_for(lambda: len(set(counts())) == 1, 3 * env.slack), counts()
        assert counts()[1] > 0
        prof.send_signal(signal.SIGUSR2)
        assert procfs.wait_for(lambda: not procfs.is_alive(covet) and answers(port), 10 * env.slack)
        assert procfs.wait_for(
            lambda: profile.rows(directory, "profile_info")[0][1]["supervisor_pid"] != covet, 3 * env.slack)
        prof.send_signal(signal.SIGTERM)
        assert prof.wait(20 * env.slack) == 0
        said = prof.stdout.read()
        assert "profile=run" in said and said.count("event=profile ") == 1, said
    assert not os.path.exists(directory)


def answers(port):
    with contextlib.suppress(Exception):
        return get_once(("127.0.0.1", port), timeout_s=1).status == 200
    return False


@needs_root
@limit_s(60)
def test_run_ends_with_whatever_the_program_ends_with(env):
    for command, code in (
        ([env.covet, "--nonsense"], names.EXIT_USAGE),
        (["/nonexistent/covet"], 127),
        (["sh", "-c", "kill -9 $$"], 128 + 9),
    ):
        with covet_prof(env, "run", "--level", "1", "--", *command) as prof:
            assert prof.wait(20 * env.slack) == code, (command, prof.stdout.read())


@needs_root
def test_run_says_when_the_line_was_not_taken(env):
    code = "import os, sys, time; os.close(int(os.environ['COVET_PROFILE_FD'])); time.sleep(.5); sys.exit(5)"
    with covet_prof(env, "run", "--level", "1", "--", sys.executable, "-c", code) as prof:
        assert prof.wait(20 * env.slack) == 5
        assert "nothing is measured" in prof.stdout.read()
