"""System calls that fail while the server runs: answers stay right, and it is well again afterwards."""

import os
import re
import signal
import socket
import time

from harness import faults, limit_s, measured, modules, names, needs_root, procfs
from harness.client import Ended, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

PLAIN = """
#include <covet.h>
COVET_MODULE;
static void answer(struct covet_request *request, struct covet_response *response) {
    (void)request;
    covet_response_text(response, "VERSION");
}
int covet_module_init(struct covet_app *app) {
    BEFORE
    int status = covet_route(app, COVET_GET, "/healthz", answer, NULL);
    return status != 0 ? status : covet_route(app, COVET_GET, "/", answer, NULL);
}
"""


def build(env, version, before=""):
    return faults.module(env, f"m{version}", PLAIN.replace("VERSION", version).replace("BEFORE", before))


@needs_root
@limit_s(60)
def test_answers_stay_right_while_enters_fail(env):
    """Every second to fourth io_uring_enter(2) of the worker fails, with each error it can fail with."""
    with Server(env) as server:
        (task,) = server.worker_tasks()
        for error, when in (("EINTR", "1+2"), ("EBUSY", "1+3"), ("EAGAIN", "2+2"), ("ENOMEM", "1+4")):
            rule = f"io_uring_enter:error={error}:when={when}"
            with faults.Injection(env, task, rule, follow=False) as fault:
                with (
                    Load(server.address, threads=2) as kept,
                    Load(server.address, threads=1, keep=False) as single,
                ):
                    time.sleep(0.4)
                    with server.client() as client:
                        body = os.urandom(300000)
                        assert client.request(post_bytes("/echo", body)).body == body, error
                        client.send(get_bytes("/api/json") * 300)
                        for _ in range(300):
                            assert client.read().status == 200
            assert fault.injected() > 5, f"{error}: {fault.injected()} calls failed"
            for load in (kept, single):
                assert not load.errors, f"{error}: {load.errors[:3]}"
                measured(load.done > 3, f"{error}: {load.done} done")


@needs_root
def test_a_worker_that_cannot_enter_waits_and_does_not_spin(env):
    """200 calls in a row fail: each is tried again a millisecond later, then every request is answered."""
    with Server(env) as server, server.client(timeout_s=10) as client:
        (task,) = server.worker_tasks()
        client.get("/")
        for error in ("ENOMEM", "EAGAIN"):
            rule = f"io_uring_enter:error={error}:when=1..200"
            with faults.Injection(env, task, rule, follow=False) as fault:
                waiting = [client, *(server.client(timeout_s=10) for _ in range(5))]
                began = time.monotonic()
                for other in waiting:
                    other.send(get_bytes("/"))
                for other in waiting:
                    assert other.read().status == 200
                took_s = time.monotonic() - began
            assert fault.injected() == 200 and took_s > 0.18, f"{fault.injected()} tries in {took_s:.2f} s"


@needs_root
def test_without_memory_requests_are_refused_and_it_recovers(env):
    """The worker's mmap(2) fails while a hundred bodies of 900 KB come in: 503 or a close, not a crash."""
    with Server(env) as server:
        (task,) = server.worker_tasks()
        body, done = os.urandom(900000), {200: 0, 503: 0, None: 0}
        with faults.Injection(env, task, "mmap:error=ENOMEM", follow=False) as fault:
            clients = [server.client(timeout_s=10) for _ in range(100)]
            for client in clients:
                client.try_send(post_bytes("/echo", body)[:-1000])
            for client in clients:
                client.try_send(body[-1000:])
                try:
                    response = client.read_final()
                    assert response.status in (503, 413) or response.body == body, response
                    done[response.status] += 1
                except Ended:
                    done[None] += 1
                client.close()
        assert fault.injected() > 0 and done[503] + done[None] > 0, f"{fault.injected()} failed: {done}"
        with server.client() as client:
            for _ in range(20):
                assert client.request(post_bytes("/echo", body)).body == body
        print(f"without memory: {done}")


@needs_root
def test_the_admin_address_without_descriptors_waits_and_does_not_spin(env):
    path = env.path("admin.sock")
    with Server(env, "--admin", f"unix:{path}") as server:
        main = server.server_pid
        with faults.Injection(env, main, "accept4:error=EMFILE", follow=False) as fault:
            caller = socket.socket(socket.AF_UNIX)
            caller.connect(path)
            caller.sendall(get_bytes("/healthz"))
            time.sleep(1.5)
            measured(1 <= fault.injected() <= 3, f"{fault.injected()} tries in 1.5 s")
        assert names.ADMIN_REFUSED in server.log()
        caller.settimeout(3)
        assert caller.recv(100).startswith(b"HTTP/1.1 200")
        caller.close()


@needs_root
@limit_s(60)
def test_a_reload_that_fails_keeps_what_serves(env):
    """Whatever fails of it: the old modules and the old log go on, and the next HUP works."""
    module, log = build(env, "one"), env.path("access.log")
    with Server(env, "--module", module, "--access-log", log) as server:
        for rule in (
            "openat:error=EMFILE",
            "memfd_create:error=ENOMEM",
            "sendfile:error=ENOSPC",
            "sendmsg:error=EPIPE",
        ):
            failures = server.log().count(names.RELOAD_FAILED)
            with faults.Injection(env, server.pid, rule, follow=False):
                server.signal(signal.SIGHUP)
                assert procfs.wait_for(lambda: server.log().count(names.RELOAD_FAILED) > failures, 3), rule
            assert get_once(server.address).body == b"one", rule
        os.replace(build(env, "two"), module)
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: get_once(server.address).body == b"two", 3), server.log()
        assert procfs.wait_for(lambda: '"GET / ' in procfs.read(log), 3), "the log is not written"


@needs_root
@limit_s(60)
def test_a_module_cut_short_in_mid_reload_keeps_the_old_one(env):
    """A file that is still being written, or whose disk was full, of any length."""
    module = build(env, "one")
    whole = open(build(env, "two"), "rb").read()
    with Server(env, "--module", module) as server:
        server_pid = server.server_pid
        for share in (0, 0.001, 0.1, 0.3, 0.6, 0.9, 0.99):
            failures = server.log().count(names.RELOAD_FAILED)
            with open(module, "wb") as file:
                file.write(whole[: int(len(whole) * share)])
            server.signal(signal.SIGHUP)
            assert procfs.wait_for(lambda: server.log().count(names.RELOAD_FAILED) > failures, 3), share
            assert get_once(server.address).body == b"one", share
        assert server.server_pid == server_pid, "the server died of it"
        with open(module, "wb") as file:
            file.write(whole)
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: get_once(server.address).body == b"two", 3), server.log()


def tries(server):
    """How often a server was begun in vain, the one that was killed among them."""
    return len(re.findall(f"{names.NOT_STARTED}|{names.SERVER_DIED}", server.log()))


@needs_root
@limit_s(60)
def test_a_restart_that_fails_is_tried_again_with_pauses(env):
    """No process, socket pair, ring or thread for the server after a crash; then there is."""
    for rule, follow in (
        ("clone,fork:error=EAGAIN", False),
        ("socketpair:error=EMFILE", False),
        ("io_uring_setup:error=ENOMEM", True),
        ("clone3:error=EAGAIN", True),
    ):
        with Server(env, may_crash=True) as server:
            with faults.Injection(env, server.pid, rule, follow=follow):
                os.kill(server.server_pid, signal.SIGKILL)
                time.sleep(0.6)
                measured(tries(server) <= 6, f"{rule}: {tries(server)} tries in 0.6 s: {server.log()}")
                assert procfs.wait_for(lambda: tries(server) >= 2, 5), f"{rule}: {server.log()}"
                share = faults.cpu_share(server.pid, 0.3)
                measured(share < 0.10 * env.slack, f"{rule}: the supervisor takes {share:.1%} of a core")
            with server.client(timeout_s=8) as client:
                assert client.get("/").status == 200, rule


@needs_root
@limit_s(60)
def test_a_hand_over_that_cannot_begin_changes_nothing(env):
    with Server(env) as server:
        first = server.server_pid
        for rule in ("pipe2:error=EMFILE", "clone,fork:error=EAGAIN", "execve:error=EACCES"):
            failures = server.log().count(names.UPGRADE_FAILED)
            with faults.Injection(env, server.pid, rule):
                server.signal(signal.SIGUSR2)
                assert procfs.wait_for(lambda: server.log().count(names.UPGRADE_FAILED) > failures, 3), rule
            assert get_once(server.address).status == 200 and server.server_pid == first, rule


@needs_root
def test_a_worker_out_of_descriptors_pauses_and_accepts_again(env):
    """accept fails with EMFILE: no spinning, the connections there go on, it accepts again within 1 s."""
    module = modules.build(env, "hoarder")
    options = ("--module", module, names.IDLE_TIMEOUT, "60")
    with Server(env, *options, how={"nofile": 256}) as server:
        kept = [server.client(timeout_s=10) for _ in range(20)]
        for client in kept:
            assert client.get("/").status == 200
        waiting = [server.client(timeout_s=10) for _ in range(60)]
        for client in waiting:
            client.send(get_bytes("/"))
        time.sleep(0.5)
        unserved = [client for client in waiting if client.is_silent(0)]
        assert len(unserved) >= 40, f"{len(unserved)} wait"
        share = faults.cpu_share(server.server_pid, 2.0)
        measured(share < 0.05 * env.slack, f"{share:.1%} of a core while accept fails with EMFILE")
        for client in kept:
            assert client.get("/").status == 200
        began = time.monotonic()
        assert kept[0].get("/release").status == 200
        for client in waiting:
            assert client.read().status == 200
        took_ms = (time.monotonic() - began) * 1000
        measured(took_ms < 1000 * env.slack, f"{took_ms:.0f} ms until all were accepted")
        print(f"EMFILE: {share:.2%} of a core while starved, all accepted {took_ms:.0f} ms after")


@needs_root
@limit_s(60)
def test_a_thousand_clients_with_256_descriptors(env):
    """They are served one after the other, none is cut, and nothing is busy meanwhile."""
    faults.needs_descriptors(2048)
    with Server(env, names.IDLE_TIMEOUT, "60", how={"nofile": 256}) as server:
        clients = [server.client(timeout_s=20) for _ in range(1000)]
        for client in clients:
            client.send(get_bytes("/"))

        def answered():
            return [client for client in clients if not client.is_silent(0)]

        assert procfs.wait_for(lambda: len(answered()) >= 100, 5 * env.slack), f"{len(answered())} served"
        time.sleep(0.5)
        served = answered()
        waiting = [client for client in clients if client not in served]
        assert len(served) <= 256, f"{len(served)} served"
        answers = [client.read() for client in served]
        assert all(answer.status == 200 for answer in answers), answers
        # Most hear that their connections end, so that others have their turn.
        kept = [client for client, answer in zip(served, answers) if not answer.says_close]
        share = faults.cpu_share(server.server_pid, 1.2)
        measured(share < 0.05 * env.slack, f"{share:.1%} of a core while starved")
        for client in kept:
            assert client.get("/api/json").status == 200, "a connection that is there is not served"
        lucky = [client for client in waiting if not client.is_silent(0)]
        waiting = [client for client in waiting if client not in lucky]
        assert all(client.read().status == 200 for client in lucky)
        began = time.monotonic()
        for client in served + lucky:
            client.close()
        while sum(not client.is_silent(0) for client in waiting) < 20:
            took_ms = (time.monotonic() - began) * 1000
            measured(took_ms < 1000 * env.slack, f"not accepted again {took_ms:.0f} ms after")
            time.sleep(0.002)
        took_ms = (time.monotonic() - began) * 1000
        # The rest get their turn, each after another has left.
        deadline = time.monotonic() + 15 * env.slack
        while waiting and time.monotonic() < deadline:
            for client in [one for one in waiting if not one.is_silent(0)]:
                assert client.read().status == 200
                client.close()
                waiting.remove(client)
        assert not waiting, f"{len(waiting)} clients were never served"
        print(f"1,000 clients, 256 descriptors: {share:.2%} of a core, accepts again after {took_ms:.0f} ms")
