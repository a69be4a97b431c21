"""covet-top: its figures against what was sent, and its manners on a terminal."""

import json
import os
import re
import signal
import subprocess
import time

from harness import Skip, limit_s, measured, needs_root, procfs
from harness.client import get_bytes
from harness.load import Load
from harness.server import Server
from harness.terminal import ALTERNATE, Terminal

VIEWS = ("workers", "syscalls", "ring", "network", "latency")


def tool(env, name, *arguments):
    return [os.path.join(os.path.dirname(env.covet), name), *map(str, arguments)]


def quiet_server(env, *options):
    """Without a profiler of its own."""
    return Server(env, "--profile", "off", *options)


def top(env, server, *arguments):
    return tool(env, "covet-top", "-p", server.pid, "--pin-dir", env.path("none"), *arguments)


def run(command, timeout_s=40, **options):
    """Exit status, output, errors."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s,
                          stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout, done.stderr


def send(server, count):
    with server.client() as client:
        client.send(get_bytes("/") * count)
        for _ in range(count):
            client.read()


def test_json_counts_exactly_what_was_sent(env):
    with quiet_server(env, "--workers", "2") as server:
        command = top(env, server, "--once", "--json", "-i", 1.5 * env.slack)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(0.5 * env.slack)
            send(server, 300)
            output = process.communicate(timeout=60)[0]
        assert process.returncode == 0
        assert output.count("\n") == 1, output
        interval = json.loads(output)
        assert interval["server"]["supervisor_pid"] == server.pid
        assert interval["server"]["ports"] == [server.port]
        # What came before its first look or behind its last one is none of the interval's.
        measured(interval["total"]["counters"]["requests"] == 300, interval["total"]["counters"])
        assert interval["total"]["counters"]["responses_2xx"] == 300
        assert interval["total"]["counters"]["connections_accepted"] == 1
        assert interval["total"]["handler_time"]["count"] == 300
        assert sum(worker["counters"]["requests"] for worker in interval["workers"]) == 300
        assert interval["profile"] is None and interval["total"]["bpf"] is None
        assert interval["total"]["proc"]["cpu_ns"] > 0


def test_json_goes_on_line_by_line(env):
    with quiet_server(env) as server:
        with subprocess.Popen(top(env, server, "--json", "-i", "0.2"), stdout=subprocess.PIPE,
                              text=True) as process:
            intervals = [json.loads(process.stdout.readline()) for _ in range(3)]
            process.terminate()
        assert process.returncode == -signal.SIGTERM
        times = [interval["taken_ns"] for interval in intervals]
        assert times == sorted(times) and len(set(times)) == 3


def test_once_prints_each_view_as_text(env):
    expected = {"workers": r"w1 .*\d", "syscalls": "--level 2", "ring": "io_uring_enter calls",
                "network": r"(?m)^\d+ +2 +\d+", "latency": "handlers"}
    with quiet_server(env, "--workers", "2") as server, Load(server.address, threads=2, pause_s=0.01):
        for view in VIEWS:
            status, output, errors = run(top(env, server, "--once", "-i", "0.3", "--view", view))
            assert (status, errors) == (0, ""), (view, status, errors)
            assert "\x1b" not in output, output
            assert re.search(rf"^covet-top +server {server.server_pid} ", output), output
            assert re.search(expected[view], output), output


def test_dashboard_follows_keys(env):
    with quiet_server(env) as server, Load(server.address, threads=2, pause_s=0.01):
        with Terminal(top(env, server, "-i", "0.2")) as terminal:
            terminal.wait_for(rf"port {server.port}", "requests/s +[1-9]", r"w0 +\d+ +[1-9]")
            assert terminal.screen.modes[ALTERNATE]
            for key, pattern in (("2", "system call|--level 2"), ("3", "server's own count"),
                                 ("\t", "Listening on port"), ("5", "last interval"),
                                 ("1", "worker +core"), ("t", r"(?s)workers +-(?!.*w0)"),
                                 ("t", r"w0 +\d"), ("s", "sorted by core"), ("h", "Shift-Tab|requests"),
                                 ("h", "worker +core"), ("p", "PAUSED"), ("p", "worker +core"),
                                 ("+", "every 0.5s"), ("-", "every 0.2s"), ("\x1b[C", "core +p50|<")):
                terminal.press(key)
                terminal.wait_for(pattern)
            terminal.press("q")
            assert terminal.wait_end() == 0
            terminal.assert_restored()
            assert terminal.error_text() == ""


def test_pause_stops_the_figures_and_a_new_baseline_their_sums(env):
    with quiet_server(env) as server:
        with Terminal(top(env, server, "-i", "0.2", "--view", "network")) as terminal:
            terminal.wait_for("accepted +0 +0")
            send(server, 1)
            terminal.wait_for(r"accepted +\S+ +1 ")
            terminal.press("r")
            terminal.wait_for(r"accepted +\S+ +0 ")
            terminal.press("p")
            terminal.wait_for("PAUSED")
            send(server, 1)
            time.sleep(0.5)
            terminal.press("\f")
            terminal.wait_for(r"PAUSED", r"accepted +\S+ +0 ")
            terminal.press("p")
            terminal.wait_for(r"accepted +\S+ +1 ")


def test_any_size_is_filled(env):
    with quiet_server(env, "--workers", "20") as server:
        with Terminal(top(env, server, "-i", "0.2")) as terminal:
            terminal.wait_for("w15")
            for width, height in ((60, 10), (200, 50), (61, 30), (80, 24)):
                terminal.resize(width, height)
                terminal.wait_for("worker +core", "sorted by worker", r"1-\d+ of 21|w19")
                assert terminal.screen.lines[-1].startswith("sorted by"), terminal.screen.text
            terminal.resize(40, 6)
            terminal.wait_for("40x6: too small")
            terminal.resize(60, 10)
            terminal.press("\x1b[F")
            terminal.wait_for("w19", "19-21 of 21")
            terminal.press("\x1b[H")
            terminal.wait_for("1-3 of 21")


def test_terminal_is_restored_by_every_signal(env):
    with quiet_server(env) as server:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGSEGV,
                       signal.SIGABRT):
            with Terminal(top(env, server, "-i", "5")) as terminal:
                terminal.wait_for("measuring|worker +core")
                terminal.process.send_signal(number)
                assert terminal.wait_end() == -number, number
                terminal.assert_restored()


def test_control_keys_are_signals(env):
    with quiet_server(env) as server, Terminal(top(env, server)) as terminal:
        terminal.wait_for("measuring|worker +core")
        terminal.press("\x03")
        assert terminal.wait_end() == -signal.SIGINT
        terminal.assert_restored()


def test_a_stopped_dashboard_gives_the_terminal_back(env):
    # A shell with job control: what is stopped there, it says and brings back at a line of input.
    shell = 'set -m; "$@"; while [ $? -gt 128 ]; do echo stopped; read line; fg; done'
    with quiet_server(env) as server:
        command = ["sh", "-c", shell, "sh", *top(env, server, "-i", "0.2")]
        with Terminal(command) as terminal:
            for _ in range(2):
                terminal.wait_for("worker +core")
                terminal.press("\x1a")
                terminal.wait_left()
                terminal.assert_restored()
                terminal.press("\n")
            terminal.wait_for("worker +core")
            assert terminal.screen.modes[ALTERNATE]
            terminal.press("q")
            assert terminal.wait_end() == 0
            terminal.assert_restored()


def test_the_end_of_covet_is_one_line(env):
    server = quiet_server(env)
    with server, Terminal(top(env, server, "-i", "0.2")) as terminal:
        terminal.wait_for("worker +core")
        server.stop()
        assert terminal.wait_end() == 0
        terminal.assert_restored()
        assert terminal.error_text() == "covet-top: covet has stopped\n"


def test_a_restart_of_the_server_is_waited_for(env):
    server = Server(env, "--profile", "off", may_crash=True)
    with server, Terminal(top(env, server, "-i", "0.1")) as terminal:
        before = server.server_pid
        terminal.wait_for(f"server {before} ", "restarts 0")
        os.kill(before, signal.SIGKILL)
        assert procfs.wait_for(lambda: server.server_pid not in (None, before), 5.0), server.log()
        terminal.wait_for(f"server {server.server_pid} ", "restarts 1", r"w0 +\d")


def test_what_cannot_be_watched_is_said(env):
    status, output, errors = run(tool(env, "covet-top", "-p", os.getpid(), "--once"))
    assert (status, output) == (1, ""), (status, output)
    assert re.fullmatch(r"covet-top: [^\n]+\n", errors), errors


def test_several_covets_are_listed(env):
    with quiet_server(env), quiet_server(env):
        status, output, errors = run(tool(env, "covet-top", "--once"))
        assert (status, output) == (1, ""), (status, output)
        # Others may run here, and a long list is cut.
        assert re.fullmatch(r"covet-top: \d+ covets are running \(\d+ \d+[^\n]*-p PID\n", errors), errors


def test_keys_come_from_the_terminal_when_standard_input_is_none(env):
    with quiet_server(env) as server:
        with Terminal(top(env, server, "-i", "0.2"), has_keys=False) as terminal:
            terminal.wait_for("worker +core")
            terminal.press("2q")
            assert terminal.wait_end() == 0
            terminal.assert_restored()
        with Terminal(top(env, server, "-i", "0.2"), has_keys=False, is_controlling=False) as terminal:
            terminal.wait_for("worker +core")
            terminal.resize(100, 30)
            terminal.wait_for("since baseline")
            terminal.process.terminate()
            assert terminal.wait_end() == -signal.SIGTERM
            terminal.assert_restored()


def test_colours_follow_the_terminal_and_the_user(env):
    with quiet_server(env) as server:
        for environment, has_colors in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "vt100"}, False)):
            with Terminal(top(env, server, "-i", "0.2"), environment=environment) as terminal:
                terminal.wait_for("worker +core")
                assert bool(terminal.screen.colors) == has_colors, (environment, terminal.screen.colors)


def test_a_terminal_that_can_only_print_gets_text(env):
    with quiet_server(env) as server:
        command = top(env, server, "-i", "0.2")
        with Terminal(command, environment={"TERM": "dumb"}) as terminal:
            time.sleep(1)
            terminal.process.terminate()
            terminal.wait_end()
            assert not terminal.screen.modes[ALTERNATE]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline() for _ in range(12)]
            process.terminate()
        assert sum(line.startswith("covet-top ") for line in lines) >= 2, lines


def test_watching_costs_little(env):
    if env.is_sanitized:
        raise Skip("the sanitizer costs more than what is measured")
    with quiet_server(env) as server, Terminal(top(env, server, "-i", "1"), 120, 40) as terminal:
        terminal.wait_for("worker +core")
        before, started = procfs.cpu_s(terminal.process.pid), time.monotonic()
        while time.monotonic() < started + 3:
            terminal.read(0.5)
        share = (procfs.cpu_s(terminal.process.pid) - before) / (time.monotonic() - started)
        measured(share < 0.02, f"{share:.1%} of a core")


@needs_root
@limit_s(60)
def test_system_calls_are_shown_with_a_profiler(env):
    profiler = tool(env, "covet-prof")[0]
    pins = f"/sys/fs/bpf/covet-test-{os.getpid()}"
    if not os.path.exists(profiler):
        raise Skip("covet-prof is not built")
    with quiet_server(env) as server, Load(server.address, threads=2, pause_s=0.005):
        command = [profiler, "attach", "-p", str(server.pid), "--level", "2", "--pin-dir", pins]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True) as attached:
            try:
                first = attached.stdout.readline()
                if attached.poll() is not None or "pinned=" not in first:
                    raise Skip(f"covet-prof cannot attach here: {first.strip()}")
                command = tool(env, "covet-top", "-p", server.pid, "--pin-dir", pins)
                status, output, errors = run(command + ["--once", "-i", "0.5", "--view", "syscalls"])
                assert (status, errors) == (0, ""), errors
                assert "read 0  write 0  sendto 0  recvfrom 0\n" in output, output
                assert re.search(r"workers +io_uring_enter +[1-9]", output), output
                status, output, _ = run(command + ["--once", "-i", "0.5", "--json"])
                interval = json.loads(output)
                assert interval["profile"]["level"] == 2
                assert interval["total"]["bpf"]["completions"] > 0
                status, output, _ = run(command + ["--once", "-i", "0.5", "--view", "ring"])
                assert re.search(r"workers +RECV +\d+ +[1-9]", output), output
            finally:
                attached.send_signal(signal.SIGINT)
                attached.wait(20)
