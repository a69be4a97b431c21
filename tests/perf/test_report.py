"""The page made of a report, and the comparison of two."""
import copy
import json
import re
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path

import fixture
from harness import diff, figures, goals, markdown, reading, report, svg

ROOT = Path(__file__).resolve().parents[2]
EMPTY = {"meta", "wbr"}
IDLE = "10,000 idle connections beside 64 busy ones"


class Page(HTMLParser):
    """Reads a page strictly: every element must end where it should."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.texts, self.tags, self.attributes = [], [], [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.wrong.append(f"never ended: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> ends something else")

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


class ReportPage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.report = fixture.report()
        cls.html = report.page(cls.report)
        cls.page = Page(cls.html)

    def test_is_well_formed(self):
        self.assertEqual(self.page.wrong, [])
        self.assertEqual({tag: self.page.tags.count(tag) for tag in ("html", "head", "body", "h1")},
                         {"html": 1, "head": 1, "body": 1, "h1": 1})

    def test_needs_nothing_beside_itself(self):
        self.assertFalse({"script", "link", "img", "iframe", "object", "use"} & set(self.page.tags))
        for tag, name, value in self.page.attributes:
            if name in ("src", "srcset", "xlink:href") or name == "href":
                self.assertEqual((tag, value[:1]), ("a", "#"), f"{name}={value}")
            self.assertFalse(name.startswith("on"), f"{tag} {name}")
        self.assertNotRegex(self.html, r"@import|url\(")

    def test_links_lead_somewhere(self):
        ids = [value for _, name, value in self.page.attributes if name == "id"]
        self.assertEqual(len(ids), len(set(ids)))
        for _, name, value in self.page.attributes:
            if name == "href":
                self.assertIn(value[1:], ids)

    def test_names_every_scenario_and_server(self):
        for scenario in self.report["scenarios"]:
            section = self.section(scenario["title"])
            for server in scenario["servers"]:
                self.assertIn(server["title"], section, scenario["name"])
            self.assertIn(scenario["why"], section)
            self.assertIn(scenario["load_command"], section)

    def section(self, title):
        """The text from one second-level heading to the next."""
        escaped = title.replace("<", "&lt;")
        found = re.search(rf"<h2[^>]*>{re.escape(escaped)}</h2>(.*?)(<h2|</body>)", self.html, re.S)
        self.assertIsNotNone(found, title)
        return Page(found.group(1).rpartition("</section>")[0] or found.group(1)).text

    def test_names_every_command_version_and_reason(self):
        for scenario in self.report["scenarios"]:
            for server in scenario["servers"]:
                self.assertIn(server["command"], self.page.text)
        machine = self.report["machine"]
        for text in (machine["cpu"], machine["kernel"], machine["mitigations"]["spectre_v2"],
                     self.report["versions"]["nginx"], self.report["skipped"][0]["reason"],
                     self.report["commit"][:12], self.report["failures"][0], self.report["command"]):
            self.assertIn(text, self.page.text)

    def test_says_what_is_missing_or_doubtful(self):
        self.assertIn("did not start: needs <uvloop>", self.section(IDLE))
        churn = self.section("A connection per request")
        self.assertIn("1,204 errors; connect: refused & reset <12 times>", churn)
        self.assertIn("apache: left out: does not serve: <close> & echo", churn)
        hello = self.section("Hello, one request at a time")
        self.assertIn("covet: the load generator was full", hello)
        self.assertIn("nginx: also sends Connection, Server.", hello)
        self.assertNotIn("nginx: the load generator was full", hello)
        self.assertIn("not measured", self.section("A small JSON object"))

    def test_marks_rates_of_a_full_generator_as_lower_bounds(self):
        covet = reading.by_kind(self.report["scenarios"][0], "covet")
        rate = figures.significant(reading.median_of(covet, "requests_per_s"))
        self.assertIn(f"≥ {rate}", self.section("Hello, one request at a time"))
        self.assertNotIn("≥ ", self.section(IDLE))

    def test_says_in_words_which_goals_are_met(self):
        words = goals.verdict(self.report, goals.goals_of(self.report))
        self.assertIn(words, self.page.text)
        self.assertEqual(self.page.text.count("goal ≤ 1.05 ×"), 1)

    def test_warns_of_a_disturbed_run(self):
        self.assertNotIn("Disturbed:", self.page.text)
        noisy = fixture.report()
        for scenario in noisy["scenarios"]:
            scenario["rounds_disturbed"] = scenario["rounds"] - 1
        self.assertIn("Disturbed: other work took the cores in 52 of 58 rounds",
                      Page(report.page(noisy)).text)

    def test_bears_a_report_with_next_to_nothing_in_it(self):
        bare = {"format": 1, "scenarios": [{"name": "a", "title": "A", "servers": [
            {"name": "covet", "kind": "covet"},
            {"name": "x", "kind": "peer", "figures": {"odd_one": {"median": 2}}},
        ], "ratios": []}], "generators": None}
        page = Page(report.page(bare))
        self.assertEqual(page.wrong, [])
        self.assertIn("odd one", page.text)
        self.assertIn("No goal was judged", page.text)
        self.assertEqual(Page(report.page({"format": 1, "scenarios": []})).wrong, [])

    def test_drawings_keep_inside_their_width(self):
        for number in re.findall(r' (?:x|x1|x2|cx)="(-?[\d.]+)"', self.html):
            self.assertTrue(0 <= float(number) <= svg.WIDTH, number)


class Numbers(unittest.TestCase):
    def test_have_three_digits_that_matter(self):
        for value, text in ((0, "0"), (0.0972, "0.0972"), (1, "1.00"), (9.996, "10.0"), (1.0449, "1.04"),
                            (999.6, "1,000"), (184_321, "184,000"), (2_345_678, "2,350,000"), (None, "–")):
            self.assertEqual(figures.significant(value), text, value)

    def test_take_the_step_of_the_unit_that_fits(self):
        for value, unit, text in (
                (412, "ns", "412 ns"), (5_640, "ns", "5.64 µs"), (1_500_000, "us", "1.50 s"),
                (12_400, "kib", "12.1 MiB"), (0.4, "ns", "0.400 ns"), (70_000, "", "70,000")):
            self.assertEqual(figures.quantity(value, unit), text)

    def test_of_ratios_show_the_side_of_the_goal(self):
        for median, goal, text in ((1.0541, 1.05, "1.054 ×"), (1.05, 1.05, "1.05 ×"), (0.6, 0.9, "0.600 ×"),
                                   (1.050001, 1.05, "1.05000 ×"), (1.2, None, "1.20 ×"), (None, 1, "–")):
            self.assertEqual(figures.measured_times({"median": median, "goal": goal}), text)

    def test_are_not_repeated_where_an_interval_is_none(self):
        self.assertEqual(figures.interval(1, 2), "1.00–2.00")
        self.assertEqual(figures.interval(5.001, 5.002), "")
        self.assertEqual(figures.interval(None, None), "")


class Goals(unittest.TestCase):
    def one(self, **ratio):
        ratio = {"of": "covet", "to": "limit", "figure": "cpu_ns", "goal": 1.05, "goal_kind": "at_most",
                 **ratio}
        scenario = {"name": "hello", "title": "Hello", "servers": [], "ratios": [ratio]}
        return goals.goals_of({"scenarios": [scenario]})[0]

    def test_are_told_apart_from_noise(self):
        for median, low, high, met, words in (
                (1.02, 1.01, 1.04, True, "met"), (1.04, 1.01, 1.07, True, "met, within noise"),
                (1.09, 1.06, 1.11, False, "missed"), (1.06, 1.04, 1.08, False, "missed, within noise"),
                (None, None, None, None, "not measured")):
            self.assertEqual(self.one(median=median, low=low, high=high, met=met).verdict, words)

    def test_of_all_peers_are_one_and_show_the_closest(self):
        peers = [{"of": "covet", "to": name, "figure": "cpu_ns", "median": median, "low": None, "high": None,
                  "goal": 1, "goal_kind": "at_most", "met": median <= 1}
                 for name, median in (("a", 0.4), ("b", 0.9), ("c", 0.7))]
        churn = {"name": "churn", "title": "Churn", "servers": [], "ratios": peers}
        found = goals.goals_of({"scenarios": [churn]})
        self.assertEqual([(goal.ratio["to"], goal.of_count) for goal in found], [("b", 3)])

    def test_counts_those_missed_in_the_verdict(self):
        made = fixture.report(covet_factor=1.3)
        found = goals.goals_of(made)
        missed = sum(goal.met is False for goal in found)
        self.assertGreater(missed, 0)
        self.assertIn(f"{len(found) - missed} of {len(found)} goals", goals.verdict(made, found))


class Drawings(unittest.TestCase):
    def test_break_bars_only_when_one_would_hide_the_rest(self):
        near = [svg.Bar("limit", "limit", 5.0), svg.Bar("covet", "covet", 5.2), svg.Bar("a", "peer", 40.0)]
        self.assertEqual(svg.end_of_axis(near)[1], False)
        end, is_cut = svg.end_of_axis([*near, svg.Bar("b", "peer", 500.0)])
        self.assertTrue(is_cut)
        self.assertLess(end, 40)
        self.assertGreater(end, 5.2)

    def test_bear_bars_without_a_figure(self):
        self.assertIn("not measured", svg.bar_chart([svg.Bar("a", "peer", None)], "ns", "x"))
        self.assertIn("0", svg.bar_chart([svg.Bar("a", "peer", 0)], "ns", "x"))

    def test_shorten_long_names_and_keep_them_whole_in_the_title(self):
        drawn = svg.bar_chart([svg.Bar("n" * 80, "peer", 1.0)], "ns", "x")
        self.assertIn("n" * 35 + "…<", drawn)
        self.assertIn("<title>" + "n" * 80, drawn)

    def test_keep_labels_apart_and_inside(self):
        places = svg.spread_labels([10, 10, 11, 200, 299, 300], 5, 300)
        gaps = [b - a for a, b in zip(places, places[1:])]
        self.assertGreaterEqual(min(gaps) + 1e-9, svg.LABEL_HEIGHT)
        self.assertTrue(5 <= places[0] and places[-1] <= 300)

    def test_have_no_latency_plot_without_latencies(self):
        self.assertIsNone(svg.latency_chart([svg.Curve("a", "peer", 0, {"p50": None, "max": 4})], "x"))

    def test_latency_plot_bears_equal_values(self):
        curve = svg.Curve("covet", "covet", 0, {"p50": 5.0, "p99": 5.0})
        self.assertIn("covet", svg.latency_chart([curve], "x"))


class TwoReports(unittest.TestCase):
    def test_noise_is_no_difference(self):
        found = diff.Difference(fixture.report(seed=1), fixture.report(seed=2))
        self.assertFalse(found.worse, diff.text(found))
        self.assertEqual(found.count("better"), 0)
        self.assertGreater(found.count("same"), 10)

    def test_a_regression_is_found_where_it_is(self):
        base, new = fixture.report(seed=1), fixture.report(seed=2)
        new["scenarios"][2] = fixture.report(seed=2, covet_factor=1.12)["scenarios"][2]
        found = diff.Difference(base, new)
        self.assertTrue(found.worse)
        worse = {title for title, rows, _ in found.scenarios for row in rows if row.verdict == "worse"}
        self.assertEqual(worse, {new["scenarios"][2]["title"]})
        self.assertIn("WORSE", diff.text(found))

    def test_an_improvement_is_no_regression(self):
        found = diff.Difference(fixture.report(seed=1, covet_factor=1.15), fixture.report(seed=2))
        self.assertFalse(found.worse)
        self.assertGreater(found.count("better"), 3)

    def test_a_slower_machine_is_no_regression(self):
        base, new = fixture.report(seed=1), fixture.report(seed=2)
        for scenario in new["scenarios"]:
            for server in scenario["servers"]:
                for run in server["rounds"]:
                    run["cpu_ns"] *= 2
                    run["requests_per_s"] /= 2
        self.assertFalse(diff.Difference(base, new).worse)

    def test_errors_that_were_not_there_are_worse(self):
        base, new = fixture.report(seed=1), fixture.report(seed=2)
        reading.by_kind(new["scenarios"][0], "covet")["errors"] = 3
        self.assertTrue(diff.Difference(base, new).worse)

    def test_a_covet_that_cannot_be_measured_any_more_is_worse(self):
        base, new = fixture.report(seed=1), fixture.report(seed=2)
        reading.by_kind(new["scenarios"][0], "covet").update(rounds=[], figures={}, latency_us={})
        self.assertTrue(diff.Difference(base, new).worse)

    def test_few_rounds_say_nothing(self):
        found = diff.Difference(fixture.report(rounds=4), fixture.report(rounds=4, covet_factor=1.3))
        self.assertFalse(found.worse)
        self.assertGreater(found.count("too few rounds"), 0)

    def test_differing_machines_and_scenarios_are_named(self):
        base, new = fixture.report(seed=1), fixture.report(seed=2)
        new["machine"] = copy.deepcopy(new["machine"])
        new["machine"].update(kernel="6.19.1", cores=64)
        new["machine"]["mitigations"]["meltdown"] = "Mitigation: PTI"
        del new["scenarios"][1]
        told = "\n".join(diff.Difference(base, new).told())
        for words in ("kernel: 6.18.0 #1 SMP PREEMPT_DYNAMIC; 6.19.1", "cores: 2; 64",
                      "meltdown: Not affected; Mitigation: PTI", "only in base: A small JSON object"):
            self.assertIn(words, told)
        self.assertNotIn("cpu:", told)

    def test_page_is_well_formed(self):
        found = diff.Difference(fixture.report(seed=1), fixture.report(seed=2, covet_factor=1.2))
        page = Page(diff.page(found))
        self.assertEqual(page.wrong, [])
        self.assertIn("worse", page.text)


class Tables(unittest.TestCase):
    def test_have_a_row_for_each_scenario_and_goal(self):
        made = fixture.report()
        lines = markdown.tables(made).splitlines()
        rows = [line for line in lines if line.startswith("|")]
        self.assertEqual(len(rows), 4 + len(goals.goals_of(made)) + len(made["scenarios"]))
        for first, last in ((0, 2 + len(goals.goals_of(made))), (2 + len(goals.goals_of(made)), len(rows))):
            self.assertEqual(len({line.count("|") for line in rows[first:last]}), 1)
        self.assertTrue(any(line.startswith("| A small JSON object |") for line in rows))


class Programs(unittest.TestCase):
    def run_one(self, name, *arguments):
        return subprocess.run([sys.executable, str(ROOT / "perf" / name), *map(str, arguments)], text=True,
                              capture_output=True)

    def test_write_what_they_are_asked_for(self):
        with tempfile.TemporaryDirectory() as folder:
            base, new = Path(folder, "base.json"), Path(folder, "new.json")
            base.write_text(json.dumps(fixture.report(seed=1)))
            new.write_text(json.dumps(fixture.report(seed=1, covet_factor=1.2)))
            self.assertEqual(self.run_one("report", base).returncode, 0)
            self.assertIn("<!doctype html>", Path(folder, "base.html").read_text())
            self.assertEqual(self.run_one("diff", base, base).returncode, 0)
            done = self.run_one("diff", base, new, "--html", Path(folder, "diff.html"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("are worse", done.stdout)
            self.assertIn("are worse", Path(folder, "diff.html").read_text())

    def test_refuse_what_is_no_report(self):
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder, "other.json")
            for text in ("", "[]", '{"format": 2}'):
                other.write_text(text)
                self.assertEqual(self.run_one("diff", other, other).returncode, 2)
                done = self.run_one("report", other)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("other.json", done.stderr)
                self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
