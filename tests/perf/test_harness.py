"""The other parts of perf/harness: cores, /proc, reading what programs print, peers, the short version."""
import io
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from contextlib import redirect_stdout
from pathlib import Path

from harness import command_line, counts, load, machine, peer, procfs, rounds, servers, smoke
from harness.scenarios import Load, Scenario
from harness.servers import Failure

HELLO = Scenario(name="hello", title="", why="", needs=frozenset({"hello"}), answer="Hello, World!")


class Machine(unittest.TestCase):
    def test_cores_are_shared_out_to_both_ends(self):
        for allowed, servers_get, load_gets in (({0, 1}, (0,), (1,)), ({2, 5, 7, 9}, (2, 5), (7, 9)),
                                                ({0, 1, 2}, (0,), (1, 2)), ({3}, (3,), (3,))):
            self.assertEqual(machine.split_cores(allowed), (servers_get, load_gets))

    def test_threads_of_one_core_stay_on_one_side(self):
        self.assertEqual(machine.split_cores(range(4), lambda core: core % 2), ((0, 2), (1, 3)))

    def test_a_list_of_cores_is_read_as_covet_reads_it(self):
        self.assertEqual(command_line.cores("0-2,7"), (0, 1, 2, 7))
        for wrong in ("", "a", "1-", "3,"):
            with self.assertRaises(ValueError):
                command_line.cores(wrong)

    def test_the_description_is_json_and_names_the_kernel(self):
        found = json.loads(json.dumps(machine.describe()))
        self.assertEqual(found["kernel"], os.uname().release)
        self.assertGreater(found["memory_bytes"], 0)


class Procfs(unittest.TestCase):
    STAT = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 10 1 5 100 3 2 4 6 0 0\ncpu1 1 0 0 100 0 0 0 0 0 0\nintr 1\n"

    @staticmethod
    def runs(pid):
        return os.path.exists(f"/proc/{pid}/exe")

    def test_busy_time_is_all_but_idle_and_waiting(self):
        tick = 1e9 / procfs.TICKS_PER_S
        self.assertEqual(procfs.busy_ns([0], self.STAT), 28 * tick)
        self.assertEqual(procfs.busy_ns([0, 1], self.STAT), 29 * tick)

    def test_a_tick_of_each_core_is_no_disturbance(self):
        tick = 1e9 / procfs.TICKS_PER_S
        self.assertEqual(procfs.others_share([0, 1], 100e6 + 2 * tick, 100e6, 1e9), 0)
        self.assertAlmostEqual(procfs.others_share([0, 1], 500e6 + 2 * tick, 100e6, 1e9), 0.2)

    def test_usage_counts_children_and_what_they_burn(self):
        child = subprocess.Popen(["sh", "-c", "while :; do :; done & wait"], start_new_session=True)
        try:
            deadline = time.monotonic() + 10
            while len(procfs.process_tree(child.pid)) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            tree = procfs.process_tree(child.pid)
            before = procfs.usage(tree)
            while procfs.usage(tree).since(before).cpu_ns < 5e6 and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertGreaterEqual(procfs.usage(tree).since(before).cpu_ns, 5e6)
            self.assertGreater(procfs.peak_memory_kib(tree), 100)
        finally:
            servers.end(child)
        # A killed process ends a little later; one that nobody has waited for has no executable any more.
        while any(map(self.runs, tree)) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(any(map(self.runs, tree)))

    def test_processes_that_are_gone_count_nothing(self):
        self.assertEqual(procfs.usage({2 ** 22 + 1}).cpu_ns, 0)
        self.assertIsNone(procfs.peak_memory_kib({2 ** 22 + 1}))


class Reading(unittest.TestCase):
    COVET = {"requests": 10, "requests_per_s": 5.0, "errors": 0, "errors_by_kind": {"cut": 0, "status": 0},
             "latency_us": {name: 1.0 for name in ("p50", "p75", "p90", "p99", "p99_9", "p99_99", "max")},
             "generator_is_bottleneck": False, "seconds": 2.0}

    def test_covet_load_tells_errors_by_kind(self):
        text = json.dumps({**self.COVET, "errors": 3, "errors_by_kind": {"cut": 2, "status": 1, "send": 0}})
        found = load.CovetLoad("x", Path(".")).read(text, "", 0)
        self.assertEqual((found.requests, found.errors, found.error_text), (10, 3, "cut 2, status 1"))

    def test_covet_load_that_was_full_is_believed(self):
        self.assertFalse(load.CovetLoad("x", Path(".")).read(json.dumps(self.COVET), "", 0).generator_full)
        full = load.CovetLoad("x", Path(".")).read(json.dumps(self.COVET), "full", load.GENERATOR_FULL)
        self.assertTrue(full.generator_full)

    def test_covet_load_that_fails_is_a_failure_with_its_words(self):
        for text, complaint, status, words in (("", "a\nno connection\n", 1, "ended with 1: no connection"),
                                               ("", "", 1, "it said nothing"), ("Hello", "", 0, "no JSON")):
            with self.subTest(words), self.assertRaises(Failure) as failed:
                load.CovetLoad("x", Path(".")).read(text, complaint, status)
            self.assertIn(words, str(failed.exception))

    def test_command_says_what_the_load_is(self):
        wanted = Load("/p", connections=5, depth=16, body_bytes=3, reconnect=2, arguments=("-H", "A: b"))
        with tempfile.TemporaryDirectory() as folder:
            text = " ".join(load.CovetLoad("x", Path(folder)).command(wanted, 80, 1.5, (2, 3)))
            self.assertEqual((Path(folder) / "3").read_bytes(), wanted.body)
        for part in ("-t 2 --cores 2,3", "-c 5", "-d 1.5", "-p 16", "--reconnect 2", "-X POST --body @",
                     "-H A: b", "http://127.0.0.1:80/p"):
            self.assertIn(part, text)
        self.assertNotIn(" -n ", text)

    def test_a_run_of_a_number_of_requests_ends_by_that(self):
        text = " ".join(load.CovetLoad("x", Path(".")).command(Load(requests=5000), 80, 1, (1,)))
        self.assertIn(f"-n 5000 -d {load.LOST_S}", text)

    def test_wrk_output_is_read(self):
        text = """  Latency Distribution
     50%  471.00us
     75%    1.20ms
     90%    2.00ms
     99%    6.13ms
  58618 requests in 1.00s, 7.77MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
Requests/sec:  58618.00
"""
        found = load.Wrk().read(text, "", 0)
        self.assertEqual((found.requests, found.requests_per_s, found.errors), (58618, 58618.0, 3))
        self.assertEqual(found.latency_us["p75"], 1200)

    def test_h2load_output_is_read(self):
        text = """finished in 1.00s, 40330.00 req/s, 5.77MB/s
requests: 40330 total, 40394 started, 40330 done, 40330 succeeded, 0 failed, 0 errored, 0 timeout
"""
        found = load.H2load().read(text, "", 0)
        self.assertEqual((found.requests, found.requests_per_s, found.errors), (40330, 40330.0, 0))

    def test_other_generators_that_fail_are_failures(self):
        for generator in (load.Wrk(), load.H2load()):
            with self.assertRaises(Failure):
                generator.read("unable to connect", "", 1)

    def test_perf_count_is_read_and_its_absence_seen(self):
        self.assertEqual(counts.read_perf("# started\n\n1234,,raw_syscalls:sys_enter,99,100.00,,\n"), 1234)
        self.assertIsNone(counts.read_perf("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"))
        self.assertIsNone(counts.read_perf(""))

    def test_metrics_are_summed_over_workers(self):
        text = 'a_total{worker="0"} 3\na_total{worker="1"} 4\na_total_x{worker="1"} 9\nb 2\n'
        self.assertEqual(servers.metric_sum(text, "a_total"), 7)
        self.assertEqual(servers.metric_sum(text, "b"), 2)
        self.assertIsNone(servers.metric_sum(text, "c"))


class Answering(threading.Thread):
    """A server of one connection, which answers one request with `answer`."""

    name, kind = "some", "peer"

    def __init__(self, answer):
        super().__init__(daemon=True)
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with self.listener, connection:
            connection.settimeout(10)
            load.read_request(connection)
            connection.sendall(self.answer)


class Checking(unittest.TestCase):
    REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    def check(self, body, status=200, scenario=HELLO, kind="peer"):
        text = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nServer: s\r\n\r\n{body}"
        server = Answering(text.encode())
        server.kind = kind
        try:
            return servers.check(server, scenario, self.REQUEST)
        finally:
            server.join(10)

    def test_the_right_answer_passes_and_its_shape_is_told(self):
        self.assertEqual(self.check("Hello, World!"), (13, ["Content-Length", "Server"]))

    def test_other_bodies_and_other_statuses_fail(self):
        for body, status in (("Hello, World?", 200), ("Hello, World!", 500), ("", 200)):
            with self.subTest(body=body, status=status), self.assertRaises(Failure):
                self.check(body, status)

    def test_white_space_in_json_is_free_and_values_are_not(self):
        scenario = Scenario(name="j", title="", why="", needs=frozenset({"json"}), answer='{"a":1}',
                            answer_is_json=True)
        self.check('{ "a": 1 }', scenario=scenario)
        for wrong in ('{"a":2}', '{"a":1', "Hello"):
            with self.subTest(wrong), self.assertRaises(Failure):
                self.check(wrong, scenario=scenario)

    def test_the_limit_needs_the_length_alone(self):
        self.check("?" * 13, kind="limit")
        with self.assertRaises(Failure):
            self.check("?" * 12, kind="limit")

    def test_an_echo_is_compared_with_the_body(self):
        scenario = Scenario(name="e", title="", why="", needs=frozenset({"echo"}), load=Load(body_bytes=20))
        self.check(scenario.load.body.decode(), scenario=scenario)
        with self.assertRaises(Failure):
            self.check("x" * 20, scenario=scenario)

    def test_what_is_no_answer_fails(self):
        with self.assertRaises(Failure):
            servers.check(Answering(b"SSH-2.0-x\r\n\r\n"), HELLO, self.REQUEST)

    def test_the_request_is_read_to_the_end_of_its_body(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            request = b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc"
            ours.sendall(request + b"GET")
            self.assertEqual(load.read_request(theirs)[:len(request)], request)
            ours.sendall(b"GET / HT")
            ours.close()
            with self.assertRaises(OSError):
                load.read_request(theirs)


class Peers(unittest.TestCase):
    def test_every_peer_has_its_own_name_and_serves_what_scenarios_may_need(self):
        found = servers.find_peers()
        self.assertIn("nginx", [one.name for one in found])
        self.assertEqual(len({one.name for one in found}), len(found))
        for one in found:
            self.assertTrue(one.title, one.name)
            self.assertLessEqual(set(one.serves), servers.EVERYTHING, one.name)

    def test_a_template_with_an_unknown_name_is_a_mistake(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(ValueError):
                peer.fill("nginx.conf", Path(folder) / "x", PORT=1)

    def test_what_is_not_installed_says_how_to_install_it(self):
        with self.assertRaises(peer.Missing) as missing:
            peer.program("no-such-program-at-all")
        self.assertIn("install-deps --perf", str(missing.exception))

    def test_skipped_servers_carry_their_reason(self):
        versions, skipped = servers.split_installed([servers.Covet("/no/covet")])
        self.assertEqual(versions, {})
        self.assertIn("/no/covet", skipped[0]["reason"])


class Order(unittest.TestCase):
    def test_every_server_is_first_in_turn(self):
        self.assertEqual([rounds.turned("abc", number) for number in range(4)], ["abc", "bca", "cab", "abc"])
        self.assertEqual(rounds.turned([], 3), [])


class Smoke(unittest.TestCase):
    def report(self, **changes):
        server = {"name": "covet", "errors": 0, "error_text": None,
                  "figures": {"cpu_ns": {"median": 9.0}, "requests_per_s": {"median": 5.0}}}
        entry = {"name": "hello", "servers": [server, {**server, "name": "limit"}], "left_out": [],
                 "ratios": [{"of": "covet", "to": "limit", "figure": "cpu_ns", "median": 1.1}]}
        return {"failures": [], "scenarios": [{**entry, **changes}], "generators": None}

    def wrong(self, report):
        return [what for what, reason in smoke.checks(report, [HELLO]) if reason]

    def test_a_good_report_passes(self):
        self.assertEqual(self.wrong(self.report()), [])

    def test_all_that_is_wrong_is_found(self):
        bad = {"name": "covet", "errors": 4, "error_text": "cut 4",
               "figures": {"cpu_ns": {"median": 9.0}, "requests_per_s": {"median": 5.0}}}
        silent = {"name": "limit", "errors": 0, "error_text": None, "figures": {}}
        cases = {
            "errors": {"servers": [bad, {**bad, "name": "limit", "errors": 0}]},
            "no figures": {"servers": [{**bad, "errors": 0}, silent]},
            "no limit": {"servers": [{**bad, "errors": 0}]},
            "mad ratio": {"ratios": [{"of": "covet", "to": "limit", "figure": "cpu_ns", "median": 11}]},
            "left out": {"left_out": [{"name": "nginx", "reason": "answers 500"}]},
        }
        for name, changes in cases.items():
            with self.subTest(name):
                self.assertEqual(len(self.wrong(self.report(**changes))), 1)

    def test_what_a_peer_does_not_serve_is_no_failure(self):
        report = self.report(left_out=[{"name": "nginx", "reason": "does not serve: echo"}])
        self.assertEqual(self.wrong(report), [])

    def test_a_scenario_that_is_not_there_is_found(self):
        report = {**self.report(), "scenarios": []}
        self.assertEqual(self.wrong(report), ["hello was measured"])

    def test_the_last_line_counts(self):
        out = io.StringIO()
        with redirect_stdout(out):
            good = smoke.show([("a", None), ("b", "why")])
        self.assertFalse(good)
        self.assertEqual(out.getvalue().splitlines()[-1], "1 passed, 1 failed")


if __name__ == "__main__":
    unittest.main()
