"""Scenario files: perf/harness/scenarios.py, and those that are there."""
import tempfile
import unittest
from pathlib import Path

from harness import scenarios, stats
from harness.scenarios import Mistake

LEAST = 'title = "T"\nwhy = "W"\nneeds = ["hello"]\n'
ANSWER = '[answer]\nbody = "x"\n'


class Reading(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "some.toml"
            path.write_text(text)
            return scenarios.read(path)

    def test_the_least_scenario_has_defaults_for_the_rest(self):
        found = self.read(LEAST + ANSWER)
        self.assertEqual((found.name, found.figure, found.load.connections, found.load.depth, found.idle),
                         ("some", "cpu_ns", 64, 1, 0))
        self.assertEqual(found.goals, ())

    def test_every_field_is_read(self):
        found = self.read(LEAST + """
order = 3
figure = "requests_per_s"
weight = 2.5
seconds = 1.5
smoke = true
idle = 7
[load]
path = "/p"
connections = 5
depth = 16
reconnect = 2
requests = 9
arguments = ["-H", "A: b"]
[answer]
body = "{}"
json = true
[limit]
arguments = ["--size", "2"]
[[goal]]
to = "nginx"
at_most = 0.6
[[goal]]
to = "peers"
figure = "cpu_ns"
at_least = 1
""")
        self.assertEqual((found.order, found.weight, found.smoke, found.connections_max), (3, 2.5, True, 12))
        self.assertEqual(found.seconds, 1.5)
        self.assertEqual((found.load.path, found.load.depth, found.load.reconnect, found.load.requests),
                         ("/p", 16, 2, 9))
        self.assertEqual(found.load.arguments, ("-H", "A: b"))
        self.assertTrue(found.answer_is_json)
        self.assertEqual(found.limit_arguments, ("--size", "2"))
        first, second = found.goals
        self.assertEqual((first.figure, first.kind, first.value), ("requests_per_s", "at_most", 0.6))
        self.assertEqual((second.figure, second.kind, second.value), ("cpu_ns", "at_least", 1))

    def test_a_goal_to_peers_is_one_to_each_peer_and_to_nobody_else(self):
        found = self.read(LEAST + ANSWER + '[[goal]]\nto = "peers"\nat_most = 1\n')
        self.assertEqual(len(found.goals_to("nginx", True)), 1)
        self.assertEqual(found.goals_to("limit", False), [])

    def test_without_an_answer_the_body_is_the_right_one(self):
        found = self.read(LEAST + "[load]\nbody_bytes = 1000\n")
        self.assertIsNone(found.answer)
        self.assertEqual(found.answer_bytes(), 1000)

    def test_bodies_have_the_size_that_is_asked_for_and_no_line_twice(self):
        for size in (1, 7, 1024, 65536):
            body = scenarios.Load(body_bytes=size).body
            self.assertEqual(len(body), size)
            lines = body.split(b"\n")[:-1]
            self.assertEqual(len(set(lines)), len(lines))

    def test_mistakes_are_refused_by_name(self):
        cases = {
            "no title": ('why = "W"\nneeds = ["hello"]\n' + ANSWER, "title is missing"),
            "no answer": (LEAST, "body is missing"),
            "no needs": ('title = "T"\nwhy = "W"\n' + ANSWER, "needs"),
            "unknown need": ('title = "T"\nwhy = "W"\nneeds = ["tea"]\n' + ANSWER, "needs"),
            "unknown field": ("colour = 1\n" + LEAST + ANSWER, "unknown: colour"),
            "unknown field of the load": (LEAST + ANSWER + "[load]\nconections = 1\n", "unknown: conections"),
            "unknown field of a goal": (LEAST + ANSWER + '[[goal]]\nto = "x"\nat_most = 1\nat = 2\n',
                                        "unknown: at"),
            "wrong type": ('weight = "2"\n' + LEAST + ANSWER, "weight = '2'"),
            "a yes for a number": ("idle = true\n" + LEAST + ANSWER, "idle = True"),
            "unknown figure": ('figure = "speed"\n' + LEAST + ANSWER, "speed"),
            "goal without a side": (LEAST + ANSWER + '[[goal]]\nto = "nginx"\n', "at_most or at_least"),
            "goal of two sides": (LEAST + ANSWER + '[[goal]]\nto = "n"\nat_most = 1\nat_least = 1\n',
                                  "at_most or at_least"),
            "goal to nobody": (LEAST + ANSWER + "[[goal]]\nat_most = 1\n", "to is missing"),
            "no strings": (LEAST + ANSWER + "[limit]\narguments = [1]\n", "arguments"),
            "no TOML": ("title =", "some.toml"),
        }
        for name, (text, message) in cases.items():
            with self.subTest(name), self.assertRaises(Mistake) as refused:
                self.read(text)
            self.assertIn(message, str(refused.exception))


class Present(unittest.TestCase):
    def test_every_scenario_reads(self):
        found = {scenario.name for scenario in scenarios.read_all()}
        wanted = {"hello", "json", "params", "echo_1k", "echo_64k", "pipelined", "reconnect", "idle", "burst"}
        self.assertLessEqual(wanted, found)

    def test_orders_are_different(self):
        orders = [scenario.order for scenario in scenarios.read_all()]
        self.assertEqual(len(orders), len(set(orders)))

    def test_the_limit_is_given_the_size_of_the_right_answer(self):
        for scenario in scenarios.read_all():
            arguments = scenario.limit_arguments
            size = int(arguments[arguments.index("--size") + 1]) if "--size" in arguments else 13
            self.assertEqual(size, scenario.answer_bytes(), scenario.name)

    def test_goals_are_of_figures_there_are(self):
        for scenario in scenarios.read_all():
            for goal in scenario.goals:
                self.assertIn(goal.figure, stats.FIGURES)


if __name__ == "__main__":
    unittest.main()
