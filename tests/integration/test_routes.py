"""Routes that are added, replaced and removed while requests use them."""

import contextlib
import re
import shutil
import signal
import subprocess
import threading
import time

from harness import limit_s, measured, metrics, modules, names, procfs, slow
from harness.client import Client, Silence, get_bytes, get_once, post_bytes
from harness.load import Load
from harness.server import Server

MASK = (1 << 64) - 1


@contextlib.contextmanager
def churning(env, *options, **more):
    admin = env.path("admin")
    module = modules.build(env, "churn")
    with Server(env, "--module", module, "--admin", f"unix:{admin}", *options, **more) as server:
        server.admin = admin
        server.module = module
        yield server


def ask(path, method, target):
    """One request to the admin address: status and text."""
    with Client(path) as client:
        client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        response = client.read_final()
        return response.status, response.body.decode()


def post(client, target):
    response = client.request(post_bytes(target, b""), timeout_s=20)
    assert response.status == 200, response
    return response.body.decode()


def figures(text):
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}


def figures_now(server):
    return figures(get_once(server.address, "/figures").body.decode())


def tables(server):
    return figures(ask(server.admin, "GET", "/routes/tables")[1])


def version_of(line):
    """The number of an answer that is not torn."""
    number, check = line.split()
    assert int(check, 16) == (int(number) + 1) * 0x9E3779B97F4A7C15 & MASK, f"torn: {line!r}"
    return int(number)


def only_one_table(server, seconds=5.0):
    left = procfs.wait_for(lambda: tables(server)["tables"] == 1, seconds * server.env.slack)
    assert left, f"old tables are left: {tables(server)}"


def test_open_requests_keep_their_route_through_a_thousand_replacements(env):
    with churning(env) as server, server.client() as waiting, server.client() as streaming:
        before = figures_now(server)
        waiting.send(get_bytes("/wait"))
        streaming.send(get_bytes("/stream"))
        time.sleep(0.2)
        with server.client() as client:
            for _ in range(1000):
                post(client, "/replace/1")
            now = figures(post(client, "/replace/0"))
            assert now["errors"] == 0 and now["made"] == before["made"] + 3000, now
            # /version of the start went with its successor; what the two requests hold did not, and
            # nothing else is left but the three of today.
            assert procfs.wait_for(lambda: figures_now(server)["alive"] <= 3 + 3, 5.0), figures_now(
                server
            )
            assert figures_now(server)["alive"] >= 3 + 2, figures_now(server)
            assert tables(server)["tables"] >= 2
            post(client, "/finish")
            assert version_of(waiting.read_final().body.decode()) < before["made"]
            lines = streaming.read_final().body.decode().splitlines()
            assert len(lines) == 2 and lines[0] == lines[1], lines
            assert version_of(lines[0]) < before["made"]
            assert version_of(client.get("/version").body.decode()) >= before["made"]
        only_one_table(server)
        assert figures_now(server)["alive"] == 3, figures_now(server)


class Checked(threading.Thread):
    """Asks for /version, 8 at a time, and checks every answer."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.address, self.count, self.failure = server.address, 0, None
        self.numbers, self.ending = set(), threading.Event()

    def run(self):
        try:
            with Client(self.address) as client:
                while not self.ending.is_set():
                    client.send(get_bytes("/version") * 8)
                    for _ in range(8):
                        response = client.read_final(timeout_s=20)
                        assert response.status == 200, response
                        self.numbers.add(version_of(response.body.decode()))
                        self.count += 1
                    if len(self.numbers) > 10000:
                        self.numbers.clear()
        except Exception as error:  # The test reports it.
            self.failure = f"{type(error).__name__}: {error}"

    def end(self):
        self.ending.set()
        self.join(30)
        assert self.failure is None, self.failure
        assert self.count > 0


def churn_under_load(env, count, load_s):
    """`count` replacements by a thread of the module while everybody asks; gives the KiB of growth
    behind the first quarter."""
    with churning(env, cores="0-1") as server:
        server.touch_buffers(connections=12)  # So that both workers are among them.
        clients = [Checked(server) for _ in range(3)]
        for client in clients:
            client.start()
        wrk = None
        if shutil.which("wrk"):
            target = f"http://127.0.0.1:{server.port}/version"
            wrk = subprocess.Popen(
                ["wrk", "-t1", "-c16", f"-d{load_s}s", target],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        sizes = []
        with server.client(timeout_s=30) as client:
            for _ in range(4):
                post(client, f"/churn/{count // 4}")
                done = procfs.wait_for(lambda: figures_now(server)["busy"] == 0, 120.0)
                assert done, figures_now(server)
                only_one_table(server)
                sizes.append(procfs.private_kib(server.server_pid))
        if wrk:
            text = wrk.communicate(timeout=load_s + 30)[0].decode()
            assert "Non-2xx" not in text and "Socket errors" not in text, text
        for client in clients:
            client.end()
        assert any(len(client.numbers) > 3 for client in clients), "nobody saw a replacement"
        result = figures_now(server)
        assert result["errors"] == 0 and result["done"] == count // 4 * 4, result
        assert result["alive"] == 3, result
        return sizes[-1] - sizes[0]


def check_growth(env, grown_kib):
    """A tenth of the tables would be more. Workers under load may touch more of their receive buffers, half a
    MiB at a time; a sanitizer keeps what is freed for a while."""
    assert env.is_sanitized or grown_kib < 2048, f"{grown_kib} KiB more"


@limit_s(120)
def test_replacing_under_load_tears_nothing_and_grows_nothing(env):
    check_growth(env, churn_under_load(env, 8000 // env.slack, 3))


@slow
@limit_s(600)
def test_a_hundred_thousand_replacements_under_load(env):
    check_growth(env, churn_under_load(env, 100000, 20))


def reload_often(env, count):
    with churning(env, cores="0-1") as server:
        sizes = []
        server.touch_buffers(connections=12)  # So that both workers are among them.
        with Load(server.address, threads=2, target="/beside/1", pause_s=0.001) as load:
            for number in range(count):
                seen = server.log().count(names.RELOADED)
                with server.client() as client:
                    client.get("/version")
                    post(client, "/replace/1")
                server.signal(signal.SIGHUP)
                done = procfs.wait_for(
                    lambda: server.log().count(names.RELOADED) > seen, 20.0, step_s=0.002
                )
                assert done, server.log()[-500:]
                if number >= count // 4:
                    sizes.append(procfs.private_kib(server.server_pid))
        assert not load.errors, load.errors[:3]
        assert load.done > 0
        freed = procfs.wait_for(
            lambda: server.log().count(names.GENERATION_FREED) == count, 5.0 * env.slack
        )
        assert freed, "old modules are left"
        assert figures_now(server)["alive"] == 3
        third = max(len(sizes) // 3, 1)
        return min(sizes[-third:]) - min(sizes[:third])


@limit_s(120)
def test_reloads_of_a_module_grow_nothing(env):
    check_growth(env, reload_often(env, 40))


@slow
@limit_s(600)
def test_a_thousand_reloads_of_a_module_grow_nothing(env):
    check_growth(env, reload_often(env, 1000))


def test_changes_within_one_turn_are_kept_to_its_end(env):
    with churning(env) as server:
        with server.client() as client:
            text = post(client, "/replace/300")
        # The only worker was inside a handler: nothing could be freed before it came out.
        assert figures(text)["alive"] == 3 + 900, text
        only_one_table(server)
        assert figures_now(server)["alive"] == 3


def client_of_another_worker(server):
    """A client whose worker answers while the first one is blocked."""
    for _ in range(30):
        client = server.client(timeout_s=0.3)
        client.send(get_bytes("/version"))
        try:
            client.read_final()
            client.timeout_s = 5.0
            return client
        except Silence:
            client.close()
    raise AssertionError("every worker is blocked")


def test_blocked_worker_delays_the_freeing_and_no_reader(env):
    with churning(env, cores="0-1") as server, server.client() as blocking:
        blocking.send(get_bytes("/block/3000"))
        time.sleep(0.2)
        with client_of_another_worker(server) as client:
            for _ in range(20):
                before = version_of(client.get("/version").body.decode())
                post(client, "/replace/1")
                assert version_of(client.get("/version").body.decode()) > before
            assert tables(server)["tables"] > 20, "freed under a worker that may still read"
            assert figures(client.get("/figures").body.decode())["alive"] >= 60
        assert blocking.read_final().status == 200
        only_one_table(server)
        assert figures_now(server)["alive"] == 3


def test_idle_server_sleeps_after_changes(env):
    """A request that holds an old table costs no wake-up."""
    env.needs_own_threads_only()
    with churning(env) as server, server.client() as waiting, server.client() as client:
        waiting.send(get_bytes("/wait"))
        time.sleep(0.2)
        post(client, "/replace/10")
        time.sleep(0.5)
        assert tables(server)["tables"] == 2
        time.sleep(0.2)
        before = procfs.voluntary_switches(server.server_pid)
        time.sleep(3.0)
        after = procfs.voluntary_switches(server.server_pid)
        for task, count in after.items():
            woken = count - before[task]
            measured(woken <= 3, f"{procfs.name(server.server_pid, task)} woke {woken} times in 3 s")
        post(client, "/finish")
        only_one_table(server)


def test_admin_changes_routes(env):
    with churning(env, cores="0-1") as server:
        assert get_once(server.address, "/new").status == 404
        order = "/routes?method=GET&pattern=%2Fnew&handler=hello"
        assert ask(server.admin, "POST", order) == (200, "GET /new\n")
        assert get_once(server.address, "/new").body == b"hello\n"
        assert get_once(server.address, "/new").all("X-Marked") == [b"app"]
        assert "GET /new\n" in ask(server.admin, "GET", "/routes")[1]
        # Once more is a replacement, unless it must be an addition.
        assert ask(server.admin, "POST", order)[0] == 200
        status, text = ask(server.admin, "POST", order + "&mode=add")
        assert status == 409 and text.count('"/new"') == 2, (status, text)
        assert ask(server.admin, "DELETE", "/routes?method=GET&pattern=/new")[0] == 200
        assert get_once(server.address, "/new").status == 404
        assert ask(server.admin, "DELETE", "/routes?method=GET&pattern=/new")[0] == 404
        only_one_table(server)


def test_admin_keeps_the_middleware_of_a_group(env):
    with churning(env) as server:
        order = "/routes?method=GET,POST&handler=marked&pattern="
        assert ask(server.admin, "POST", order + "/elsewhere")[0] == 400
        assert ask(server.admin, "POST", order + "/marked/%7Bid:int%7D")[0] == 200
        answer = get_once(server.address, "/marked/7")
        assert answer.body == b"hello\n" and answer.all("X-Marked") == [b"app", b"group"], answer.fields
        assert get_once(server.address, "/marked/x").status == 404
        assert "GET,POST /marked/{id:int}\n" in ask(server.admin, "GET", "/routes")[1]


def test_admin_refuses_with_a_sentence(env):
    with churning(env) as server:
        for method, query, status, word in (
            ("POST", "", 400, "method"),
            ("POST", "?method=GET&pattern=/x", 404, "hello"),
            ("POST", "?method=GET&pattern=/x&handler=nobody", 404, "nobody"),
            ("POST", "?method=GET&pattern=x&handler=hello", 400, "begins with"),
            ("POST", "?method=GET&pattern=/%7Bx&handler=hello", 400, "parameter"),
            ("POST", "?method=FETCH&pattern=/x&handler=hello", 400, "method"),
            ("POST", "?method=GET&pattern=/x&handler=hello&colour=red", 400, "known"),
            ("POST", "?method=GET&pattern=/x&handler=hello&mode=maybe", 400, "mode"),
            ("POST", "?method=GET&pattern=/x%00y&handler=hello", 400, "decoded"),
            ("POST", "?method=GET&pattern=/x%zz&handler=hello", 400, "decoded"),
            ("POST", "?method=GET&handler=hello", 400, "pattern"),
            ("DELETE", "?method=GET", 400, "pattern"),
            ("DELETE", "?method=GET&pattern=/nothing", 404, "/nothing"),
            ("DELETE", "?method=POST&pattern=/version", 404, "/version"),
        ):
            answer = ask(server.admin, method, "/routes" + query)
            assert answer[0] == status and word in answer[1], (method, query, answer)
        assert ask(server.admin, "DELETE", "/metrics")[0] == 405
        assert tables(server)["number"] == 1, "a refused change made a table"


def test_metrics_count_static_and_searched_routes(env):
    with churning(env) as server, server.client() as client:

        def counted():
            text = ask(server.admin, "GET", "/metrics")[1]
            samples = metrics.parse(text)
            return [metrics.total(samples, name) for name in names.ROUTE_CACHE]

        before = counted()
        for target in ("/beside/1", "/beside/3", "/beside/2/x", "/nothing"):
            client.get(target)

        def risen():
            return [b - a for a, b in zip(before, counted())]

        assert procfs.wait_for(lambda: risen() == [2, 2], 2), risen()
