"""covet-prof stat, budget, diff and doctor on a running covet, under loads that are known."""

import contextlib
import json
import os
import subprocess
import time

from harness import Skip, limit_s, measured, metrics, modules, names, needs_root, procfs, profile
from harness.client import Client, get_bytes
from harness.server import Server

EXAMPLE = os.path.join(modules.ROOT, "examples/budget.toml")
WIDTH = 80
ZERO_LINE = "read/write/sendto/recvfrom: 0 per 1000 requests"
# What a busy machine or its few cores bring about, not covet.
OF_NEIGHBOURS = {"RUNQ", "GOVERNOR"}


def prof(env, *arguments, timeout_s=20, **how):
    """Runs covet-prof to its end: (status, stdout, stderr)."""
    path = os.path.join(os.path.dirname(env.covet), "covet-prof")
    if not os.access(path, os.X_OK):
        raise Skip("covet-prof was not built")
    done = subprocess.run([path, *arguments], capture_output=True, text=True,
                          timeout=timeout_s * env.slack, **how)
    return done.returncode, done.stdout, done.stderr


def place(env, pid):
    return ["--pin-dir", profile.pin_dir(env), "-p", str(pid)]


def loader(env, server, *options, target="/"):
    """The command of a load; it ends with 0 when it was answered."""
    path = os.path.join(os.path.dirname(env.covet), "covet-load")
    if not os.access(path, os.X_OK):
        raise Skip("covet-load was not built")
    return [path, "-q", *options, f"http://127.0.0.1:{server.port}{target}"]


def answered(server, count, target="/"):
    with server.client() as client:
        for _ in range(count):
            client.get(target)


@contextlib.contextmanager
def answering(env, server, *options, target="/"):
    """A load beside the block, on its way when that begins."""
    def requests():
        return metrics.total(metrics.scrape(server.admin_path), names.REQUESTS)

    before = requests()
    process = subprocess.Popen(loader(env, server, *options, target=target), stdout=subprocess.DEVNULL)
    try:
        assert procfs.wait_for(lambda: requests() > before + 8, 5), "no load"
        yield
    finally:
        process.kill()
        process.wait()


def budget_file(env, text):
    path = env.path("budget.toml")
    with open(path, "w") as file:
        file.write(text)
    return path


def windows(env, server, count):
    """stat --json in short windows that leave nothing out; the first is over when this returns."""
    path = profile.program(env)
    command = [path, "stat", "--json", "-i", "0.4", "-n", str(count), *place(env, server.pid)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    assert first, f"stat ended with {process.wait()}"
    return process, [json.loads(first)]


@needs_root
def test_stat_counts_exactly_what_was_done(env):
    with Server(env) as server:
        process, lines = windows(env, server, 4)
        answered(server, 200)
        lines += [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
        assert process.returncode == 0 and len(lines) == 4, (process.returncode, len(lines))
        assert all(line["profile"]["level"] == 2 for line in lines), lines[0]["profile"]
        sums = {}
        for line in lines[1:]:
            total = line["total"]
            parts = {
                "requests": total["counters"]["requests"],
                "2xx": total["counters"]["responses_2xx"],
                "accepted": total["counters"]["connections_accepted"],
                "handlers": total["handler_time"]["count"],
                "bpf requests": total["bpf"]["requests"],
                "received": total["urings"].get("RECV", {}).get("multishot_cqes", 0),
                "sent": total["urings"].get("SEND", {}).get("submitted", 0),
                "read": total["syscalls"]["read"]["count"],
                "sendto": total["syscalls"]["sendto"]["count"],
                "own enters": total["counters"]["enters"],
                "enters": total["syscalls"]["io_uring_enter"]["count"],
                "calls": total["bpf"]["syscalls"],
            }
            for name, count in parts.items():
                sums[name] = sums.get(name, 0) + count
        # On a machine that stands still the last windows may be over before all is done.
        measured(sums["requests"] == 200, sums)
        exact = {"requests": 200, "2xx": 200, "accepted": 1, "handlers": 200, "bpf requests": 200,
                 "received": 200, "sent": 200, "read": 0, "sendto": 0}
        assert {name: sums[name] for name in exact} == exact, sums
        assert sums["enters"] == sums["calls"], sums
        # Of a call that is under way, one side knows already.
        assert abs(sums["enters"] - sums["own enters"]) <= 1, sums


@needs_root
def test_stat_is_a_table_of_80_columns(env):
    profile.program(env)
    with Server(env) as server:
        with answering(env, server, "-c", "4"):
            status, text, _ = prof(env, "stat", "-i", "0.5", *place(env, server.pid))
        assert status == 0, text
        first = text.splitlines()[0]
        assert f"covet {server.pid}, server {server.server_pid}: level 2, attached for this" in first, first
        assert ZERO_LINE in text, text
        assert "SEND" in text and "io_uring_enter" in text and f"port {server.port}:" in text, text
        assert all(len(line) <= WIDTH for line in text.splitlines()), text
        assert not os.path.exists(profile.pin_dir(env)), "pins are left behind"


@needs_root
def test_stat_uses_the_profiler_that_is_there(env):
    profile.program(env)
    with Server(env, "--profile", "3", environment=profile.environment(env)) as server:
        profile.wait_line(server, profile.ON)
        with answering(env, server, "-c", "4"):
            status, text, _ = prof(env, "stat", "--json", "-i", "1", *place(env, server.server_pid))
        assert status == 0, text
        figures = json.loads(text)
        assert figures["profile"]["profiler_pid"] == profile.pid_of(server.pid), figures["profile"]
        assert figures["server"]["supervisor_pid"] == server.pid, figures["server"]
        enter = figures["total"]["syscalls"]["io_uring_enter"]
        # Two maps, read one after the other while calls go on.
        apart = abs(sum(enter["latency"]["buckets"].values()) - enter["count"])
        measured(apart <= enter["count"] / 20, enter)
        assert enter["count"] > 0, enter


def test_stat_without_a_profiler_says_so_and_shows_the_rest(env):
    with Server(env) as server:
        with answering(env, server, "-c", "4"):
            status, text, _ = prof(env, "stat", "-i", "0.3", "--level", "0", *place(env, server.pid))
        assert status == 0, text
        lines = text.splitlines()
        assert "level 0, counter pages and /proc" in lines[0], text
        assert lines[1] == "no profiler: --level 0 was asked for", text
        assert "system calls: not measured (level 2)" in text, text


@needs_root
def test_stat_of_an_ordinary_user_is_level_0_and_names_the_reason(env):
    with Server(env) as server:
        status, text, errors = prof(env, "stat", "-i", "0.2", *place(env, server.pid), user=65534,
                                    group=65534, extra_groups=[])
        assert status == 0, (text, errors)
        assert "level 0" in text.splitlines()[0], text
        assert text.splitlines()[1].startswith("no profiler: "), text
        assert "CAP_BPF" in text.splitlines()[1], text


@needs_root
def test_stat_finds_a_covet_in_a_pid_namespace(env):
    path = profile.program(env)
    port = env.free_port()
    command = ["unshare", "--pid", "--fork", "--kill-child", env.covet, "--cores", "0", "--profile", "off"]
    command += ["--listen", f"127.0.0.1:{port}", "--admin", "off"]
    with open(env.path("log"), "wb") as log:
        outer = subprocess.Popen(command, stdout=log, stderr=log,
                                 env={**os.environ, "RUNTIME_DIRECTORY": env.path("run")})
    try:
        assert procfs.wait_for(lambda: "event=start" in procfs.read(env.path("log")), 5 * env.slack)
        assert f"run={env.path('run')}/1 " in procfs.read(env.path("log")), procfs.read(env.path("log"))
        [supervisor] = procfs.children(outer.pid)
        with Client(("127.0.0.1", port)) as client:
            budget = budget_file(env, "[load]\nrequests = 1\n[absolute]\nread = 0\nio_uring_enter = 100\n")
            process = subprocess.Popen(
                [path, "budget", budget, "--seconds", "1.5", *place(env, supervisor)],
                stdout=subprocess.PIPE, text=True)
            deadline = time.monotonic() + 20 * env.slack
            while process.poll() is None and time.monotonic() < deadline:
                client.send(get_bytes("/"))
                client.read()
                time.sleep(0.1)
            text = process.communicate(timeout=60)[0]
        assert process.returncode == 0, text
        assert text.startswith(f"covet {supervisor}, server {procfs.children(supervisor)[0]}: level 2"), text
    finally:
        outer.kill()
        outer.wait()


@needs_root
@limit_s(60)
def test_budget_verdicts_are_exit_codes(env):
    profile.program(env)
    with Server(env) as server:
        where = place(env, server.pid)
        load = ["--", *loader(env, server, "-n", "2000", "-c", "8")]

        def judge(text, *options, command=load):
            return prof(env, "budget", budget_file(env, text), *where, *options, *command)

        status, text, errors = judge("[load]\nrequests = 2000\nkeepalive = true\n"
                                     "[per_1000_requests]\nread = 0\nother_syscalls = 0\n"
                                     "async_punts = 0\n[absolute]\nrequests = 2000\n"
                                     "connections_accepted = 8\naccept_drops = 0\n")
        assert status == 0, (text, errors)
        assert "2000 requests, up to " in text, text
        assert text.splitlines()[-1] == "within the budget", text

        status, text, _ = judge("[absolute]\nread = 0\nrequests = 1999\n")
        assert status == 3 and text.splitlines()[-1] == "over the budget", text
        [line] = [line for line in text.splitlines() if line.endswith("OVER")]
        assert line.split() == ["requests", "in", "all", "1999", "2000", "OVER"], line

        # Not enough requests, none at all, and a level that is not there.
        status, text, _ = judge("[load]\nrequests = 2001\n[absolute]\nread = 0\n")
        assert status == 4 and "2000 requests came, the budget asks for 2001" in text, text
        status, text, _ = judge("[absolute]\nread = 0\n", "--seconds", "0.2", command=[])
        assert status == 4 and "0 requests came" in text, text
        status, text, _ = judge("[absolute]\nread = 0\n", "--level", "0")
        assert status == 4 and "not measured: needs level 2" in text, text
        status, text, _ = judge("[absolute]\nread = 0\ntcp_retransmit = 1000\n", "--level", "1")
        assert status == 4 and text.count("within") == 1, text

        # A load that fails makes it worth nothing.
        status, text, errors = judge("[absolute]\nread = 0\n", command=["--", "false"])
        assert status == 1 and "false ended with status 1" in errors, (text, errors)
        status, _, errors = judge("[absolute]\nread = 0\n", command=["--", env.path("nothing")])
        assert status == 1 and "No such file" in errors, errors


def test_budget_mistakes_are_told_before_anything_is_measured(env):
    path = budget_file(env, "[absolute]\nread = 0\nspeed = 1\n")
    status, _, errors = prof(env, "budget", path)
    assert status == 64 and f"{path}:3: there is no measure speed" in errors, errors
    cases = (["budget"], ["budget", path, "--seconds", "0"], ["budget", path, "--level", "4"],
             ["budget", path, "--seconds", "1", "--", "true"], ["budget", "/nowhere/x.toml"],
             ["stat", "-n", "x"], ["stat", "-i"], ["stat", "--wrong"], ["stat", "more"],
             ["stat", "-p", "0"], ["doctor", "--fail-on", "info"], ["doctor", "more"], ["diff", "one"],
             ["diff", "a", "b", "--threshold", "x"])
    for arguments in cases:
        status, text, errors = prof(env, *arguments)
        assert status == 64 and errors.startswith("covet-prof ") and not text, (arguments, status, errors)
    for command in ("stat", "budget", "diff", "doctor"):
        status, text, _ = prof(env, command, "--help")
        assert status == 0 and text.startswith(f"usage: covet-prof {command} "), text
    nobody = ["-p", str(os.getpid())]
    for arguments in (["stat"], ["doctor"], ["budget", budget_file(env, "[absolute]\nread = 0\n")]):
        status, _, errors = prof(env, *arguments, *nobody)
        assert status == 1 and "is no covet that can be seen from here" in errors, (status, errors)


@needs_root
def test_budget_of_the_examples_is_kept(env):
    profile.program(env)
    with Server(env) as server:
        command = loader(env, server, "-n", "3000", "-c", "16")
        status, text, errors = prof(env, "budget", EXAMPLE, *place(env, server.pid), "--", *command)
        assert status == 0, (text, errors)


def test_diff_shows_what_changed_for_each_1000_requests(env):
    with Server(env) as server:
        paths = []
        for name, target in (("a", "/"), ("b", "/nothing")):
            with answering(env, server, "-c", "8", target=target):
                status, text, _ = prof(env, "stat", "--json", "-i", "0.4", "--level", "0",
                                       *place(env, server.pid))
            assert status == 0, text
            paths.append(env.path(f"{name}.json"))
            with open(paths[-1], "w") as file:
                file.write(text)
        status, text, _ = prof(env, "diff", *paths)
        assert status == 0, text
        rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line}
        assert rows["responses_4xx/1000"] == ["0.00", "1000.00", "new"], text
        assert rows["responses_2xx/1000"] == ["1000.00", "0.00", "0.00x"], text
        assert all(len(line) <= WIDTH for line in text.splitlines() if line[:2] not in ("A:", "B:")), text
        status, text, _ = prof(env, "diff", paths[0], paths[0])
        assert status == 0 and "/1000" not in text, text
        # Without requests there is nothing to divide by. The load's last ones may still be on their way.
        for _ in range(5):
            _, text, _ = prof(env, "stat", "--json", "-i", "0.1", "--level", "0", *place(env, server.pid))
            with open(paths[1], "w") as file:
                file.write(text)
            status, _, errors = prof(env, "diff", *paths)
            if status == 4:
                break
        assert status == 4 and f"{paths[1]}: no requests" in errors, (status, errors)
        # What is no such file is named.
        with open(paths[1], "w") as file:
            file.write('{"total": 1,\n}')
        status, _, errors = prof(env, "diff", *paths)
        assert status == 1 and f"{paths[1]}:2:" in errors, errors


def diagnose(env, server, *options):
    status, text, errors = prof(env, "doctor", "--json", *place(env, server.pid), *options)
    assert status in (0, 3, 4), (status, text, errors)
    found = {finding["tag"]: finding for finding in json.loads(text)["findings"]}
    assert all(finding["evidence"] and finding["remedy"] for finding in found.values()), found
    return status, found


@needs_root
def test_doctor_is_silent_about_a_good_server(env):
    profile.program(env)
    with Server(env) as server:
        with answering(env, server, "-c", "16", "--rate", "3000"):
            status, found = diagnose(env, server, "--seconds", "1", "--fail-on", "error")
        measured(not set(found) - OF_NEIGHBOURS and status == 0, f"{found}, exit status {status}")


@needs_root
@limit_s(60)
def test_doctor_names_bad_handlers(env):
    profile.program(env)
    with Server(env, "--module", modules.build(env, "ailing")) as server:
        cases = (("/block/10", "SLOW", "error", "took over 8 ms"),
                 ("/call/5", "SYSCALLS", "warn", "getppid"),
                 ("/fail", "ERRORS", "error", "1000.0 per 1000"))
        for target, tag, severity, word in cases:
            with answering(env, server, "-c", "4", "-d", "10s", target=target):
                status, found = diagnose(env, server, "--seconds", "0.7", "--fail-on", "warn")
            assert status == 3 and tag in found, (target, found)
            assert found[tag]["severity"] == severity, found[tag]
            assert word in found[tag]["evidence"], found[tag]


@needs_root
def test_doctor_names_workers_in_each_others_way(env):
    with Server(env, "--workers", "2", cores="0") as server:
        status, found = diagnose(env, server, "--seconds", "0.2", "--level", "0", "--fail-on", "warn")
        assert status == 3 and set(found) == {"PINNING", "IDLE"}, found
        _, text, _ = prof(env, "doctor", "--seconds", "0.2", "--level", "0", *place(env, server.pid))
        assert "warn PINNING: workers 0 and 1 share a core\n    both are on core 0" in text, text


@needs_root
def test_doctor_names_a_worker_that_was_set_free(env):
    if len(os.sched_getaffinity(0)) < 2:
        raise Skip("needs two cores")
    with Server(env) as server:
        os.sched_setaffinity(server.worker_tasks()[0], os.sched_getaffinity(0))
        _, found = diagnose(env, server, "--seconds", "0.2", "--level", "0")
        assert "it may run on" in found["MIGRATION"]["evidence"], found


@needs_root
def test_doctor_names_short_accept_queues_also_in_another_network(env):
    command = ["unshare", "--net", "sh", "-c",
               'echo 8 >/proc/sys/net/core/somaxconn && ip link set lo up && exec "$@"', "sh"]
    command += [env.covet, "--cores", "0", "--profile", "off", "--admin", "off", "--listen", "127.0.0.1:8000"]
    with open(env.path("log"), "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log,
                                  env={**os.environ, "RUNTIME_DIRECTORY": env.path("run")})
    server_of = type("Pid", (), {"pid": server.pid})
    try:
        assert procfs.wait_for(lambda: "event=start" in procfs.read(env.path("log")), 5 * env.slack)
        _, found = diagnose(env, server_of, "--seconds", "0.2", "--level", "0")
        assert "room for 8 connections in each of 1" in found["BACKLOG"]["evidence"], found
    finally:
        server.terminate()
        server.wait()


def test_doctor_of_an_idle_server_is_no_verdict(env):
    with Server(env) as server:
        status, found = diagnose(env, server, "--seconds", "0.2", "--level", "0", "--fail-on", "warn")
        assert status == 4 and set(found) == {"IDLE"}, (status, found)
        status, _ = diagnose(env, server, "--seconds", "0.2", "--level", "0")
        assert status == 0, status
