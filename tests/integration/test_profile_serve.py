"""covet-prof serve: its answers, its stream, who may ask, and the page in a browser."""

import os
import signal
import subprocess
import time

from harness import limit_s, measured, metrics, names, needs_root, procfs, profile
from harness.browser import Browser
from harness.client import Client, get_bytes, get_once
from harness.load import Load
from harness.serve import Events, Serve, binary
from harness.server import Server

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CLASSIC = ("read", "write", "sendto", "recvfrom")


def requests_of(stats):
    return stats["total"]["counters"]["requests"]


def test_level_0_needs_no_rights(env):
    with Server(env) as server, Serve(env, server, "--level", "0") as serve:
        before = metrics.total(serve.metrics(), names.PROFILE_REQUESTS)
        for _ in range(50):
            get_once(server.address)

        def counted():
            return metrics.total(serve.metrics(), names.PROFILE_REQUESTS) == before + 50

        assert procfs.wait_for(counted, 2, 0.15), serve.metrics()
        samples = serve.metrics()
        assert metrics.total(samples, names.PROFILE_UP) == 1
        assert metrics.total(samples, names.PROFILE_LEVEL) == 0
        assert metrics.total(samples, names.PROFILE_CPU) > 0
        assert requests_of(serve.stats()) == before + 50
        assert "Level 0" in serve.said and "--level 0" in serve.said, serve.said


def test_every_path_has_its_type_and_no_foreign_reader(env):
    types = {"/": "text/html; charset=utf-8", "/page.js": "text/javascript; charset=utf-8",
             "/page.css": "text/css; charset=utf-8", "/metrics": OPENMETRICS,
             "/stats.json": "application/json"}
    with Server(env) as server, Serve(env, server, "--level", "0") as serve:
        for path, kind in types.items():
            answer = serve.get(path)
            assert (answer.status, answer.get("Content-Type")) == (200, kind), (path, answer)
            assert answer.get("Content-Security-Policy").startswith("default-src 'none'"), path
            assert answer.get("Cross-Origin-Resource-Policy") == "same-origin", path
            assert answer.get("X-Content-Type-Options") == "nosniff", path
            with Client(serve.address) as client:
                client.send(get_bytes(path).replace(b"GET", b"HEAD"))
                head = client.read(head=True)
                assert head.get("Content-Type") == kind and not client.rest(), path
        assert serve.get("/nothing").status == 404
        assert serve.get("/", "Origin: http://evil.example").status == 403
        with Client(serve.address) as client:
            client.send(b"GET /stats.json HTTP/1.1\r\nHost: evil.example\r\n\r\n")
            assert client.read().status == 421


@needs_root
@limit_s(60)
def test_level_2_counts_what_the_kernel_did(env):
    profile.program(env)
    with Server(env) as server, Serve(env, server) as serve, server.client() as client:
        client.get("/")
        time.sleep(0.3)
        before = after = serve.metrics()
        for _ in range(200):
            client.get("/")

        def rise(name, **labels):
            return metrics.total(after, name, **labels) - metrics.total(before, name, **labels)

        def has_risen(count, name, **labels):
            nonlocal after
            after = serve.metrics()
            return rise(name, **labels) >= count

        procfs.wait_for(lambda: has_risen(200, names.PROFILE_REQUESTS), 2, 0.15)
        assert metrics.total(after, names.PROFILE_LEVEL) == 2
        assert rise(names.PROFILE_REQUESTS) == 200
        assert all(metrics.total(after, names.PROFILE_SYSCALLS, syscall=call) == 0 for call in CLASSIC)
        # One request at a time: a turn each, and perhaps one more to wait.
        assert 200 <= rise(names.PROFILE_SYSCALLS, syscall="io_uring_enter") <= 410
        # The two maps are read one after the other.
        measured(rise(names.PROFILE_RING_COMPLETED, operation="RECV") == 200, "receives beside 200 requests")
        assert rise(names.PROFILE_TCP_EVENTS, event="TCP_ACCEPTED") == 0
        get_once(server.address)
        procfs.wait_for(lambda: has_risen(1, names.PROFILE_TCP_EVENTS, event="TCP_ACCEPTED"), 2, 0.15)
        assert rise(names.PROFILE_TCP_EVENTS, event="TCP_ACCEPTED") == 1
        assert "ns longer; --level 1 ends that" in serve.said, serve.said
        directory = profile.pin_dir(env, "serve")
        assert "syscall_stats" in profile.maps(directory)
    assert not os.path.exists(directory)


@needs_root
@limit_s(60)
def test_a_profiler_that_is_there_is_used(env):
    profile.program(env)
    environment = profile.environment(env, "serve")
    with Server(env, "--profile", "1", environment=environment) as server:
        profile.wait_line(server, profile.ON)
        with Serve(env, server) as serve:
            assert serve.stats()["profile"]["profiler_pid"] == profile.pid_of(server.pid)
            assert metrics.total(serve.metrics(), names.PROFILE_LEVEL) == 1
            with Events(serve) as events:
                assert events.next("note") == ""
    assert procfs.wait_for(lambda: not os.path.exists(profile.pin_dir(env, "serve")), 3 * env.slack)


def test_events_add_up_to_what_was_served(env):
    with Server(env) as server, Serve(env, server, "--level", "0", "-i", "0.2") as serve:
        with Events(serve) as events, server.client() as client:
            assert b"\r\nContent-Type: text/event-stream\r\n" in events.head, events.head
            assert "Level 0" in events.next("note")
            first = events.next()
            assert first["interval_ns"] == 0 and requests_of(first) > 0
            served, last_ns = 0, first["taken_ns"]
            for number in range(6):
                for _ in range(10 * number):
                    client.get("/")
                change = events.next()
                assert change["taken_ns"] > last_ns and change["interval_ns"] > 0
                served, last_ns = served + requests_of(change), change["taken_ns"]
            for _ in range(10):
                served += requests_of(events.next())
            assert served == 150, served


def test_events_come_to_many_at_once(env):
    with Server(env) as server, Serve(env, server, "--level", "0", "-i", "0.1") as serve:
        streams = [Events(serve) for _ in range(24)]
        assert serve.get("/events").status == 503
        for _ in range(3):
            taken = {stream.next()["taken_ns"] for stream in streams[:12]}
            measured(len(taken) <= 3, taken)
        for stream in streams:
            stream.client.close()
        assert procfs.wait_for(lambda: serve_has_room(serve), 3)


def serve_has_room(serve):
    with Client(serve.address) as client:
        client.send(get_bytes("/events"))
        return client.socket.recv(64).startswith(b"HTTP/1.1 200")


def test_bad_clients_keep_nobody_waiting(env):
    with Server(env) as server, Serve(env, server, "--level", "0", "-i", "0.1") as serve:
        deaf = Events(serve)
        said = (b"", b"GET", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
                get_bytes("/metrics"), b"\x16\x03\x01\x02\x00", b"A" * 20000)
        clients = [Client(serve.address, receive_buffer=4096) for _ in range(72)]
        for number, client in enumerate(clients):
            client.try_send(said[number % len(said)])
        for _ in range(5):
            started = time.monotonic()
            assert serve.get("/metrics").status == 200
            took_s = time.monotonic() - started
            measured(took_s < 1 * env.slack, f"{took_s:.1f} s")
        assert int(procfs.status(serve.process.pid)["VmRSS"].split()[0]) < 60000 * env.slack
        for client in [deaf.client, *clients]:
            client.close()


def test_serve_follows_a_server_that_was_killed(env):
    with Server(env, may_crash=True) as server, Serve(env, server, "--level", "0", "-i", "0.1") as serve:
        with Events(serve) as events:
            first = events.next()["server"]["server_pid"]
            os.kill(server.server_pid, signal.SIGKILL)
            assert procfs.wait_for(
                lambda: events.next()["server"]["server_pid"] not in (0, first), 6 * env.slack)
            assert events.next()["total"]["counters"]["requests"] < 1000, "counted from the start again"


def test_serve_ends_with_the_covet_it_was_told(env):
    with Server(env) as server, Serve(env, server, "--level", "0", "-i", "0.1") as serve:
        with Events(serve) as events:
            events.next()
            server.stop()
            assert serve.process.wait(20 * env.slack) == 0


@limit_s(60)
def test_serve_follows_an_upgrade_and_ends_unwatched(env):
    with Server(env, stop_limit_s=15) as server, Serve(env, server, "--level", "0", "-i", "0.1") as serve:
        with Events(serve) as events:
            first = events.next()["server"]["supervisor_pid"]
            server.signal(signal.SIGUSR2)
            assert procfs.wait_for(
                lambda: events.next()["server"]["supervisor_pid"] != first, 8 * env.slack)
            # The old one's counts and the new one's are not subtracted from each other.
            assert all(requests_of(events.next()) < 1000 for _ in range(3))
        assert metrics.total(serve.metrics(), names.PROFILE_UP) == 1
        server.stop()
        assert serve.process.wait(20 * env.slack) == 0


def run(env, *arguments):
    done = subprocess.run([binary(env), "serve", *arguments], capture_output=True, text=True,
                          timeout=40 * env.slack)
    return done.returncode, done.stdout, done.stderr


def test_wrong_options_are_usage_errors(env):
    for arguments, said in (
        (["--listen", "nowhere"], "127.0.0.1:9464"),
        (["--listen", "0.0.0.0:0"], "--allow-remote"),
        (["--listen", "[::]:0"], "--allow-remote"),
        (["--level", "9"], "a level is"),
        (["-i", "0"], "seconds"),
        (["--nothing"], "no such option"),
        (["word"], "nothing but options"),
    ):
        code, _, error = run(env, *arguments)
        assert code == names.EXIT_USAGE and said in error and error.count("\n") == 1, (arguments, error)


def test_nothing_to_show_is_said(env):
    code, _, error = run(env, "--listen", "127.0.0.1:0", "-p", str(os.getpid()))
    assert code == 1 and str(os.getpid()) in error and error.count("\n") == 1, error
    with Server(env) as server, Serve(env, server, "--level", "0") as serve:
        taken = "%s:%d" % serve.address
        code, _, error = run(env, "--listen", taken, "-p", str(server.pid))
        assert code == 1 and "in use" in error, error


PICTURES = "Array.from(document.querySelectorAll('canvas'), (one) => one.toDataURL())"
EMPTY = "Array.from(document.querySelectorAll('[data-empty] h2'), (one) => one.textContent)"
EVENTS = "Number(document.documentElement?.dataset.events ?? 0)"


@limit_s(120)
def test_page_moves_and_complains_of_nothing(env):
    with Browser(env) as browser, Server(env, cores="0-1") as server, Load(server.address, pause_s=0.005):
        with Serve(env, server, "--level", "0", "-i", "0.2") as serve:
            page = browser.open(serve.url, width=1200)
            page.wait_for(f"{EVENTS} >= 3")
            before = page.evaluate(PICTURES)
            seen = page.evaluate(EVENTS)
            page.wait_for(f"{EVENTS} >= {seen} + 5")
            after = page.evaluate(PICTURES)
            moved = sum(old != new for old, new in zip(before, after))
            assert len(after) >= 10 and moved >= 7, (len(after), moved)
            said = page.evaluate("document.body.innerText")
            assert f"under {server.pid}" in said and "2 workers" in said and "Level 0" in said, said
            assert page.evaluate("document.querySelector('#link').textContent") == "live"
            labels = page.evaluate("Array.from(document.querySelectorAll('canvas'), (one) => one.ariaLabel)")
            assert any("worker 0 " in label and "worker 1 " in label for label in labels), labels
            assert page.evaluate(EMPTY) == ["Ring operations per second", "Network events per second"]
            assert "\u2013" not in page.evaluate("document.querySelector('#tiles').textContent")
            assert not page.complaints, page.complaints
            assert all(url.startswith((serve.url, "data:")) for url in page.requested), page.requested


@needs_root
@limit_s(120)
def test_page_has_something_in_every_panel_at_level_3(env):
    profile.program(env)
    with Browser(env) as browser, Server(env) as server, Load(server.address, threads=2, pause_s=0.005):
        with Serve(env, server, "--level", "3", "-i", "0.2") as serve:
            page = browser.open(serve.url)
            page.wait_for(f"{EVENTS} >= 3")
            assert page.wait_for("document.querySelector('#note').hidden")
            page.wait_for(f"({EMPTY}).length === 0")
            said = page.evaluate("document.querySelector('#tables').textContent")
            assert "io_uring_enter" in said and "sendto" in said and "RECV" in said, said
            sources = page.evaluate("Array.from(document.querySelectorAll('option'), (one) => one.value)")
            wanted = {"handlers", "waiting for a core", "io_uring_enter, on a core"}
            assert wanted <= set(sources), sources
            heat = "document.querySelector('.wide canvas').ariaLabel"
            page.evaluate("(() => { const select = document.querySelector('select');"
                          "select.value = 'io_uring_enter, on a core';"
                          "select.dispatchEvent(new Event('change')); })()")
            page.wait_for(f"{heat}.includes('io_uring_enter, on a core: deepest colour')")
            assert not page.complaints, page.complaints


@limit_s(120)
def test_page_fits_and_has_two_themes(env):
    with Browser(env) as browser, Server(env) as server, Serve(env, server, "--level", "0") as serve:
        backgrounds = set()
        for width, dark in ((400, False), (1600, True), (320, True)):
            page = browser.open(serve.url, width=width, dark=dark)
            page.wait_for(f"{EVENTS} >= 1")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.screenshot(env.path(f"page-{width}.png"))
            assert not page.complaints, page.complaints
        assert len(backgrounds) == 2, backgrounds


@limit_s(120)
def test_page_points_pauses_and_connects_again(env):
    with Browser(env) as browser, Server(env) as server, Load(server.address, threads=1, pause_s=0.01):
        with Serve(env, server, "--level", "0", "-i", "0.2") as serve:
            page = browser.open(serve.url)
            page.wait_for(f"{EVENTS} >= 3")
            x, y = page.evaluate("(({x, y, width, height}) => [x + width - 20, y + height / 2])"
                                 "(document.querySelector('canvas').getBoundingClientRect())")
            page.point_at(x, y)
            # What is pointed at stays, whatever comes.
            page.evaluate("document.querySelector('#pause').click()")
            legend = "document.querySelector('.legend').textContent"
            shown, seen = page.evaluate(legend), page.evaluate(EVENTS)
            page.wait_for(f"{EVENTS} >= {seen} + 3")
            assert page.evaluate(legend) == shown and "worker 0" in shown, shown
            page.evaluate("document.querySelector('#pause').click()")
            page.evaluate("document.querySelector('.legend button').click()")
            assert page.evaluate("document.querySelector('.legend button').ariaPressed") == "false"
        assert page.wait_for("document.querySelector('#link').dataset.state === 'lost'")
        with Serve(env, server, "--level", "0", "-i", "0.2", listen="%s:%d" % serve.address):
            seen = page.evaluate(EVENTS)
            page.wait_for(f"{EVENTS} >= {seen} + 3")
            assert page.evaluate("document.querySelector('#link').dataset.state") == "live"
