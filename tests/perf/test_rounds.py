"""The order and the end of a scenario's rounds: perf/harness/rounds.py, with servers that only pretend."""
import time
import unittest
from types import SimpleNamespace

from harness import rounds, scenarios
from harness.rounds import LIMIT_VARIANTS, Measurement, Settings
from harness.scenarios import Goal, Scenario
from harness.servers import Failure

SETTINGS = Settings(server_cores=(0,), load_cores=(1,), limit="limit", rounds_max=30, rounds_min=8)


class Pretended:
    """A server that takes `cpu_ns` per request, or fails from its `fails_from`th run on."""

    def __init__(self, name, cpu_ns=1000, note="", kind="peer", fails_from=None):
        self.name, self.cpu_ns, self.kind, self.fails_from = name, cpu_ns, kind, fails_from
        self.peer = SimpleNamespace(note=note, title=name, arguments=[name])
        self.version, self.stopped, self.runs = "1", False, 0

    def stop(self):
        self.stopped = True

    def quoted(self):
        return self.name

    def printed_counts(self):
        return {}


class Generator:
    def command(self, load, port, seconds, cores):
        return ["load", str(port)]


class Measured(Measurement):
    """Instead of loading a server, asks it what it takes. Noise makes every other run dearer."""

    noise = 0.0
    takes_s = 0.0

    def run_once(self, server, seconds, idle):
        server.runs += 1
        if server.fails_from is not None and server.runs >= server.fails_from:
            raise Failure("gone")
        time.sleep(self.takes_s)
        dear = 1 + self.noise * (server.runs % 2)
        return {"requests_per_s": 1e9 / server.cpu_ns, "requests": 100, "cpu_ns": server.cpu_ns * dear,
                "switches": 0, "memory_kib": 1, "errors": 0, "generator_full": False, "others": 0}


def measurement(settings=SETTINGS, goals=(), figure="cpu_ns"):
    scenario = Scenario(name="s", title="S", why="W", needs=frozenset({"hello"}), answer="x", goals=goals,
                        figure=figure)
    made = Measured(settings, scenario, Generator())
    made.bodies = dict.fromkeys(("covet", "limit", "nginx", "node", "h2o"), (1, []))
    return made


def group(*more):
    return [Pretended("covet", 1100, kind="covet"), Pretended("limit", 1000, kind="limit"),
            Pretended("nginx", 2000), *more]


def soon(seconds=60):
    return time.monotonic() + seconds


class Rounds(unittest.TestCase):
    def test_it_ends_when_intervals_are_narrow_but_not_before_the_least_number(self):
        one = measurement()
        one.run_rounds(group(), soon())
        self.assertEqual(len(one.rounds), SETTINGS.rounds_min)

    def test_wide_intervals_go_on_to_the_cap(self):
        one = measurement()
        one.noise = 1.0
        servers = group()
        servers[1].runs = 1  # Dear when covet is cheap.
        one.run_rounds(servers, soon())
        self.assertEqual(len(one.rounds), SETTINGS.rounds_max)

    def test_it_ends_in_time(self):
        one = measurement()
        one.noise, one.takes_s = 0.5, 0.02
        began = time.monotonic()
        one.run_rounds(group(), soon(0.5))
        self.assertLess(time.monotonic() - began, 3)
        self.assertGreater(len(one.rounds), 2)

    def test_one_whole_round_is_run_however_late_it_is(self):
        one = measurement()
        servers = group(Pretended("node", 9000))
        one.run_rounds(servers, soon(-1))
        self.assertEqual([set(each) for each in one.rounds], [{"covet", "limit", "nginx", "node"}])

    def test_further_peers_run_in_every_third_round(self):
        one = measurement()
        one.run_rounds(group(Pretended("node", 9000), Pretended("h2o", 1500)), soon())
        self.assertEqual([number for number, each in enumerate(one.rounds) if "node" in each], [0, 3, 6])
        self.assertEqual(len(one.rounds), 8)

    def test_without_limit_and_nginx_everybody_counts(self):
        one = measurement()
        one.run_rounds([Pretended("covet"), Pretended("node", 9000), Pretended("h2o")], soon())
        self.assertTrue(all(set(each) == {"covet", "node", "h2o"} for each in one.rounds))

    def test_a_server_that_fails_is_left_out_and_the_others_go_on(self):
        one = measurement()
        left = one.run_rounds(group(Pretended("node", 9000, fails_from=2)), soon())
        self.assertEqual([server.name for server in left], ["covet", "limit", "nginx"])
        self.assertEqual(one.left_out, [{"name": "node", "reason": "gone"}])
        self.assertEqual(len(one.rounds), 8)

    def test_no_round_is_too_many_without_covet(self):
        one = measurement()
        one.run_rounds([Pretended("limit", kind="limit"), Pretended("nginx")], soon(0.05))
        self.assertGreaterEqual(len(one.rounds), 1)


class Choice(unittest.TestCase):
    def choose(self, figure, costs, **more):
        one = measurement(figure=figure)
        variants = [Pretended(f"limit {note}", cost, note, "limit", **more)
                    for note, cost in zip(LIMIT_VARIANTS, costs)]
        one.bodies.update({variant.name: (1, []) for variant in variants})
        covet = Pretended("covet", kind="covet")
        return one, variants, one.choose_limit([covet, *variants])

    def test_the_best_by_the_figure_becomes_the_limit_and_the_others_end(self):
        for figure in ("cpu_ns", "requests_per_s"):
            one, variants, left = self.choose(figure, (900, 800, 700, 1000))
            self.assertEqual([server.name for server in left], ["covet", "limit"])
            self.assertEqual([variant.stopped for variant in variants], [True, True, False, True])
            self.assertEqual([entry["arguments"] for entry in one.variants if entry["chosen"]],
                             [variants[2].peer.arguments[0]])

    def test_where_no_variant_runs_there_is_no_limit(self):
        one, variants, left = self.choose("cpu_ns", (1, 2, 3, 4), fails_from=1)
        self.assertEqual([server.name for server in left], ["covet"])
        self.assertTrue(all(variant.stopped for variant in variants))
        self.assertEqual(len(one.left_out), 4)


class Entry(unittest.TestCase):
    def entry(self):
        one = measurement(goals=(Goal("limit", "cpu_ns", "at_most", 1.05),
                                 Goal("peers", "cpu_ns", "at_most", 1)))
        one.counts = {"covet": {"syscalls": None, "enters": 0.1}, "nginx": {"syscalls": 2.0, "enters": None}}
        servers = one.run_rounds(group(), soon())
        return one.entry(servers)

    def test_it_has_what_a_report_reads(self):
        entry = self.entry()
        for name in ("name", "title", "why", "load_command", "servers", "ratios", "rounds", "rounds_used"):
            self.assertIn(name, entry)
        for server in entry["servers"]:
            for name in ("name", "kind", "version", "command", "note", "rounds", "figures", "latency_us",
                         "errors", "error_text"):
                self.assertIn(name, server)
            self.assertEqual(set(server["figures"]["cpu_ns"]), {"median", "low", "high"})

    def test_goals_are_judged_where_they_belong(self):
        judged = {(ratio["of"], ratio["to"], ratio["figure"]): (ratio["goal"], ratio["met"])
                  for ratio in self.entry()["ratios"]}
        self.assertEqual(judged, {("covet", "limit", "cpu_ns"): (1.05, False),
                                  ("covet", "limit", "requests_per_s"): (None, None),
                                  ("covet", "nginx", "cpu_ns"): (1, True),
                                  ("limit", "nginx", "cpu_ns"): (None, None)})

    def test_own_counters_stand_in_for_system_calls_that_were_not_counted(self):
        figures = {server["name"]: server["figures"] for server in self.entry()["servers"]}
        self.assertEqual(figures["covet"]["syscalls"]["median"], 0.1)
        self.assertEqual(figures["nginx"]["syscalls"]["median"], 2.0)
        self.assertNotIn("enters", figures["nginx"])
        self.assertNotIn("syscalls", figures["limit"])


class Calm(unittest.TestCase):
    def test_waiting_for_calm_ends_in_time(self):
        began = time.monotonic()
        rounds.wait_for_calm(Settings(server_cores=(0,), load_cores=(0,), limit="", calm_seconds=0.3))
        self.assertLess(time.monotonic() - began, 2)


class Order(unittest.TestCase):
    def test_scenarios_come_in_their_order(self):
        orders = [scenario.order for scenario in scenarios.read_all()]
        self.assertEqual(orders, sorted(orders))


if __name__ == "__main__":
    unittest.main()
