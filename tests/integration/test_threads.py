"""What the threads do: their number, their sleep, their system calls."""

import os
import re
import shutil
import struct
import subprocess
import time

from harness import Skip, limit_s, measured, metrics, names, procfs
from harness.client import chunked_bytes, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "preload/count_malloc.c")

# Beside the ring: reading the clock (normally no system call at all), and what a stopped wait
# shows.
ALLOWED_CALLS = {"io_uring_enter", "clock_gettime", "gettimeofday", "time", "restart_syscall"}


def test_thread_count_is_constant_under_load_with_logs(env):
    env.needs_own_threads_only()
    with Server(env, "--access-log", env.path("access.log"), cores="0-1") as server:
        pid = server.server_pid
        expected = procfs.tasks(pid)
        assert len(expected) == len(server.worker_tasks()) + 1, [
            procfs.name(pid, task) for task in expected
        ]
        with (
            Load(server.address, threads=4),
            Load(server.address, threads=2, keep=False),
            Load(server.address, threads=1, target="/metrics"),
        ):
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert procfs.tasks(pid) == expected, [
                    procfs.name(pid, task) for task in procfs.tasks(pid)
                ]
                time.sleep(0.05)


def test_idle_server_sleeps(env):
    env.needs_own_threads_only()
    with Server(env, cores="0-1") as server, server.client() as client:
        client.get("/")
        time.sleep(0.5)
        before = procfs.voluntary_switches(server.server_pid)
        time.sleep(3.0)
        after = procfs.voluntary_switches(server.server_pid)
        for task, count in after.items():
            woken = count - before[task]
            measured(woken <= 4, f"{procfs.name(server.server_pid, task)} woke {woken} times in 3 s")
        supervisor = procfs.voluntary_switches(server.pid)
        time.sleep(1.0)
        for task, count in procfs.voluntary_switches(server.pid).items():
            measured(count - supervisor[task] <= 2, "the supervisor polls")


@limit_s(60)
def test_workers_make_no_system_call_but_enter(env):
    if not shutil.which("strace"):
        raise Skip("no strace")
    if env.is_sanitized:
        raise Skip("the sanitizer's own memory calls")
    with Server(env, "--access-log", env.path("access.log")) as server:
        (task,) = server.worker_tasks()
        with Load(server.address, threads=4):
            time.sleep(0.5)
            seen = traced_calls(task)
        assert "io_uring_enter" in seen, f"strace saw {seen}"
        assert not seen - ALLOWED_CALLS, f"also {sorted(seen - ALLOWED_CALLS)}"


def traced_calls(task):
    """The names of the system calls one thread makes in two seconds."""
    tracer = subprocess.Popen(
        ["timeout", "-s", "INT", "2", "strace", "-c", "-p", str(task)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    _, text = tracer.communicate(timeout=60)
    text = text.decode()
    if "Operation not permitted" in text:
        raise Skip("strace may not attach")
    return set(re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+\d+\s+(?:\d+\s+)?(\w+)$", text, re.M)) - {
        "total"
    }


def test_accepting_makes_few_other_calls(env):
    """One connection per request is served without a blocking call in the worker's thread
    either."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    with Server(env) as server:
        (task,) = server.worker_tasks()
        with Load(server.address, threads=2, keep=False):
            time.sleep(0.3)
            seen = traced_calls(task)
        foreign = seen & {
            "read",
            "write",
            "recvfrom",
            "sendto",
            "recvmsg",
            "sendmsg",
            "epoll_wait",
            "poll",
            "accept4",
            "accept",
            "openat",
            "fsync",
            "futex",
            "nanosleep",
        }
        assert not foreign, f"also {sorted(foreign)}"


def test_one_enter_serves_a_whole_pipeline(env):
    with Server(env) as server, server.client() as client:
        client.get("/")
        before = metrics.total(metrics.scrape(server.address), names.ENTERS)
        for _ in range(20):
            client.send(get_bytes("/") * 50)
            for _ in range(50):
                assert client.read().status == 200
        used = metrics.total(metrics.scrape(server.address), names.ENTERS) - before
        assert used < 400, f"{used:.0f} enters for 1,000 requests in 20 segments"


def test_steady_load_allocates_no_memory(env):
    with Server(env) as server:
        server.touch_buffers()
        with Load(server.address, threads=4):
            time.sleep(0.7)
            before_kib = procfs.private_kib(server.server_pid)
            time.sleep(2.0)
            grown_kib = procfs.private_kib(server.server_pid) - before_kib
        assert grown_kib < 512 * env.slack, f"{grown_kib} KiB more in 2 s of steady load"
        assert get_once(server.address).status == 200


def test_steady_load_calls_no_malloc_in_a_worker(env):
    """Connections are open and warm; then 2,000 mixed requests cost not one allocation."""
    requests = [
        get_bytes("/"),
        get_bytes("/api/users/7/posts/99/comments"),
        get_bytes("/nothing"),
        get_bytes("/api/json") * 16,
        post_bytes("/echo", b"x" * 300),
        post_bytes("/echo", b"y" * 60000),
        chunked_bytes("/echo", [b"a" * 1000, b"b" * 3000]),
    ]
    check_no_malloc(env, requests)


def test_json_bodies_call_no_malloc_in_a_worker(env):
    path = os.path.join(env.module_dir or "", "json.so")
    if not env.module_dir or not os.path.exists(path):
        raise Skip("no json.so in --module-dir")
    plain = b'{"name":"lamp","price":9.5,"quantity":2,"tags":["a","b"]}'
    escaped = b'{"quantity": 2, "name": "l\\u00e4mp", "price": 1e-5, "size": {"width":1,"height":2}}'
    tags = b'{"name":"","price":1,"quantity":1,"tags":[' + b'"tag",' * 2000 + b'""]}'
    requests = [
        post_bytes("/items", body, "Content-Type: application/json")
        for body in (plain, escaped, tags, b"{]", b'{"name":1}')
    ]
    check_no_malloc(env, requests, "--module", path)


def check_no_malloc(env, requests, *more):
    if env.is_sanitized:
        raise Skip("a sanitizer replaces malloc itself")
    library, counts = env.path("count_malloc.so"), env.path("counts")
    build = ["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library, PRELOAD]
    if not shutil.which("cc") or subprocess.run(build, capture_output=True).returncode:
        raise Skip("count_malloc.c cannot be built here")
    os.chmod(library, 0o755)
    with open(counts, "wb") as file:
        file.write(bytes(16))
    os.chmod(counts, 0o666)
    environment = {"LD_PRELOAD": library, "COVET_TEST_COUNTS": counts}
    options = ("--access-log", env.path("access.log"), *more)
    with Server(env, *options, environment=environment) as server, server.client() as client:
        play_mix(client, requests, 400)
        before = read_counts(counts)
        assert before[0] > 0, "count_malloc.so counts nothing"
        play_mix(client, requests, 2000)
        after = read_counts(counts)
    assert after[1] == before[1], f"{after[1] - before[1]} allocations in the worker"


def play_mix(client, requests, count):
    for number in range(count):
        data = requests[number % len(requests)]
        client.send(data)
        for _ in range(max(1, data.count(b"GET /"))):
            client.read_final()


def read_counts(path):
    with open(path, "rb") as file:
        return struct.unpack("QQ", file.read(16))
