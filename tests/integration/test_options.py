"""The command line: what it prints, what it refuses, and with which exit status."""

import os
import socket
import subprocess
import sys

from harness import Skip, measured, names
from harness.client import get_once
from harness.server import Server, run


def absent_core():
    """A core this machine does not have."""
    return max(os.cpu_count() or 1, max(os.sched_getaffinity(0)) + 1) + 40


def test_help_names_every_option(env):
    status, out, err, _ = run(env, "--help")
    assert status == 0, (status, err)
    for option in (
        "--cores",
        "--workers",
        "--listen",
        "--module",
        "--config",
        "--user",
        "--admin",
        "--profile",
        "--drain",
        "--access-log",
        "--log-level",
        "--check",
        "--version",
        names.HEADER_TIMEOUT,
        names.IDLE_TIMEOUT,
        names.BODY_TIMEOUT,
        names.WRITE_TIMEOUT,
        names.LINGER_TIMEOUT,
        names.BODY_MAX,
        names.HEADER_MAX,
        names.FIELDS_MAX,
        names.TARGET_MAX,
        names.CONNECTIONS_MAX,
        names.CONNECTIONS_PER_ADDRESS_MAX,
        names.BODY_RATE_MIN,
    ):
        assert option in out, f"{option} is not in --help"


def test_version_is_one_line(env):
    status, out, _, _ = run(env, "--version")
    assert status == 0 and len(out.splitlines()) == 1 and "covet" in out, (status, out)


def test_check_says_what_the_kernel_gives(env):
    status, out, err, _ = run(env, "--check")
    assert status == 0, (status, err)
    assert "yes" in out and len(out.splitlines()) >= 5, out


def test_bad_options_are_refused_with_the_usage(env):
    for arguments in (
        ["--nonsense"],
        ["--cores"],
        ["--listen"],
        ["--workers", "0"],
        ["--workers", "x"],
        ["--workers", "-1"],
        ["--workers", "100000"],
        ["stray"],
        ["--drain", "soon"],
        ["--drain", "-1"],
        ["--log-level", "loud"],
        [names.BODY_MAX, "lots"],
        [names.HEADER_TIMEOUT, "never"],
        [names.IDLE_TIMEOUT, "-3"],
    ):
        status, _, err, _ = run(env, *arguments)
        assert status == names.EXIT_USAGE, f"{arguments}: exit {status}: {err[-200:]}"
        assert "usage" in err.lower(), f"{arguments}: no usage on stderr: {err[-200:]}"


def test_bad_addresses_are_refused(env):
    for listen in (
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "[::1",
        "[::1]",
        "::1:80:",
        "unix:",
        "300.1.1.1:80",
        "127.0.0.1:80 ",
    ):
        status, _, err, _ = run(env, "--listen", listen)
        assert status == names.EXIT_USAGE, f"--listen {listen!r}: exit {status}: {err[-200:]}"


def test_bad_core_lists_are_refused(env):
    for cores in (
        "",
        "x",
        "0-",
        "-1",
        "1-0",
        "0,,1",
        "0,",
        ",0",
        "0x1",
        "0-1-2",
        "0 1",
        "1.5",
        "99999999999999999999",
        "0-x",
    ):
        status, _, err, _ = run(env, "--listen", f"127.0.0.1:{env.free_port()}", f"--cores={cores}")
        assert status == names.EXIT_USAGE, f"--cores {cores!r}: exit {status}: {err[-200:]}"


def test_cores_that_do_not_exist_alone_are_an_error(env):
    status, _, err, _ = run(
        env, "--listen", f"127.0.0.1:{env.free_port()}", "--cores", str(absent_core())
    )
    assert status == names.EXIT_USAGE, (status, err)


def test_one_worker_per_core(env):
    with Server(env, cores="0") as server:
        assert len(server.worker_tasks()) == 1


def test_missing_cores_are_left_out_with_one_warning(env):
    present, gone = sorted(os.sched_getaffinity(0)), absent_core()
    with Server(env, cores=f"{present[0]},{gone}-{gone + 1}") as server:
        assert len(server.worker_tasks()) == 1
        warnings = [line for line in server.log().splitlines() if "level=warn" in line]
        assert len(warnings) == 1 and f"cores={gone}-{gone + 1} " in warnings[0], server.log()


def test_core_ranges_and_lists_are_understood(env):
    present = sorted(os.sched_getaffinity(0))
    if present[:2] != [0, 1]:
        raise Skip("needs cores 0 and 1")
    for cores in ("0-1", "0,1", "1,0", "0-7"):
        if cores == "0-7" and len(present) >= 8:
            continue
        with Server(env, cores=cores) as server:
            tasks = server.worker_tasks()
            assert len(tasks) == 2, (cores, tasks)
            on = sorted(sorted(os.sched_getaffinity(task)) for task in tasks)
            assert on == [[0], [1]], f"--cores {cores}: pinned to {on}"


def test_default_is_every_core(env):
    with Server(env, cores=None) as server:
        assert len(server.worker_tasks()) == len(os.sched_getaffinity(0))


def test_more_workers_than_cores(env):
    with Server(env, "--workers", "3", cores="0") as server:
        assert len(server.worker_tasks()) == 3
        for _ in range(20):
            assert get_once(server.address).status == 200


def test_address_in_use_names_the_holder(env):
    """The listener is in a process of its own and shares its port with anyone: that must not
    help."""
    port = env.free_port()
    code = (
        "import socket,sys,time; s=socket.socket();"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sys.argv[2]));"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen();"
        "print('up', flush=True); time.sleep(60)"
    )
    for shared in ("0", "1"):
        holder = subprocess.Popen(
            [sys.executable, "-c", code, str(port), shared], stdout=subprocess.PIPE
        )
        try:
            holder.stdout.readline()
            status, _, err, seconds = run(env, "--listen", f"127.0.0.1:{port}")
            assert status == names.EXIT_ADDRESS_IN_USE, (shared, status, err[-300:])
            assert (
                str(holder.pid) in err or "python" in err
            ), f"the holder is not named: {err[-300:]}"
            assert str(port) in err, err
            measured(seconds < 3 * env.slack, f"{seconds:.1f} s")
        finally:
            holder.kill()
            holder.wait()


def test_second_covet_on_the_same_port(env):
    with Server(env) as server:
        status, _, err, _ = run(env, "--listen", f"127.0.0.1:{server.port}")
        assert status == names.EXIT_ADDRESS_IN_USE, (status, err[-300:])
        assert str(server.pid) in err or "covet" in err.split("event", 1)[-1], err[-300:]
        for _ in range(10):
            assert get_once(server.address).status == 200


def test_wildcard_in_use_by_a_single_address(env):
    with Server(env) as server:
        status, _, err, _ = run(env, "--listen", f"0.0.0.0:{server.port}")
        assert status == names.EXIT_ADDRESS_IN_USE, (status, err[-300:])


def test_one_address_in_use_starts_nothing(env):
    taken, free = socket.socket(), env.free_port()
    with taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, _, _, _ = run(
            env, "--listen", f"127.0.0.1:{free}", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"
        )
        assert status == names.EXIT_ADDRESS_IN_USE, status
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", free))


def test_unknown_user_is_refused(env):
    if not env.is_root:
        raise Skip("needs root")
    status, _, err, _ = run(
        env, "--user", "no-such-user-here", "--listen", f"127.0.0.1:{env.free_port()}"
    )
    assert status in (names.EXIT_USAGE, names.EXIT_CONFIG), (status, err)
    assert "no-such-user-here" in err, err


def test_never_serves_as_root_unasked(env):
    if not env.is_root:
        raise Skip("needs root")
    status, _, err, _ = run(env, "--user", "root", "--listen", f"127.0.0.1:{env.free_port()}")
    assert status in (names.EXIT_USAGE, names.EXIT_CONFIG), (status, err)
    assert "allow-root" in err, err
