"""Figures out of rounds: perf/harness/stats.py."""
import random
import unittest

from harness import stats
from harness.scenarios import Goal


def run(cpu_ns, others=0.0, **more):
    return {"cpu_ns": cpu_ns, "others": others, **more}


def rounds_of(pairs):
    return [{"covet": run(a), "limit": run(b)} for a, b in pairs]


class Intervals(unittest.TestCase):
    def test_interval_of_equal_values_has_no_width(self):
        self.assertEqual(stats.interval([3.0] * 5), {"median": 3.0, "low": 3.0, "high": 3.0})

    def test_interval_of_one_value_is_that_value(self):
        self.assertEqual(stats.interval([7]), {"median": 7, "low": 7, "high": 7})

    def test_interval_of_the_same_values_is_the_same(self):
        values = [1.0, 1.5, 1.2, 0.9, 1.1]
        self.assertEqual(stats.interval(values), stats.interval(values))

    def test_interval_lies_around_the_median_and_inside_of_the_values(self):
        found = stats.interval([5, 1, 4, 2, 3, 9, 8])
        self.assertEqual(found["median"], 4)
        self.assertTrue(1 <= found["low"] < 4 < found["high"] <= 9)

    def test_interval_covers_the_true_median_about_as_often_as_it_says(self):
        draw, covered = random.Random(5), 0
        for _ in range(200):
            found = stats.interval([draw.gauss(10, 1) for _ in range(12)])
            covered += found["low"] <= 10 <= found["high"]
        self.assertGreater(covered, 0.88 * 200)

    def test_more_values_make_it_narrower(self):
        draw = random.Random(7)
        values = [draw.gauss(100, 5) for _ in range(64)]
        self.assertLess(stats.width(stats.interval(values)), stats.width(stats.interval(values[:8])))

    def test_width_of_a_median_of_nothing_is_never_narrow(self):
        self.assertEqual(stats.width({"median": 0, "low": 0, "high": 0}), float("inf"))


class Ratios(unittest.TestCase):
    def test_ratio_is_taken_inside_each_round(self):
        # The machine became ten times slower half way; the ratio did not.
        rounds = rounds_of([(20, 10), (22, 11), (200, 100), (220, 110)])
        found = stats.ratio(rounds, "covet", "limit", "cpu_ns")
        self.assertEqual((found["median"], found["low"], found["high"]), (2, 2, 2))
        self.assertEqual((found["of"], found["to"], found["figure"]), ("covet", "limit", "cpu_ns"))
        self.assertEqual(found["rounds"], 4)

    def test_rounds_without_one_of_both_do_not_count(self):
        rounds = [*rounds_of([(3, 1), (3, 1)]), {"covet": run(9)}, {"limit": run(1)}]
        self.assertEqual(stats.ratio(rounds, "covet", "limit", "cpu_ns")["rounds"], 2)

    def test_no_round_with_both_is_no_ratio(self):
        self.assertIsNone(stats.ratio([{"covet": run(9)}], "covet", "limit", "cpu_ns"))

    def test_a_figure_that_is_absent_or_zero_below_the_line_is_no_ratio(self):
        for rounds in (rounds_of([(3, 0)]), rounds_of([(3, None)]), rounds_of([(None, 1)])):
            self.assertIsNone(stats.ratio(rounds, "covet", "limit", "cpu_ns"))

    def test_a_goal_is_met_on_its_own_side_only(self):
        ratio = {"median": 1.0}
        for kind, value, met in (("at_most", 1.05, True), ("at_most", 0.9, False), ("at_most", 1.0, True),
                                 ("at_least", 0.9, True), ("at_least", 1.05, False), ("at_least", 1.0, True)):
            judged = stats.judged(ratio, Goal("limit", "cpu_ns", kind, value))
            self.assertEqual((judged["met"], judged["goal"], judged["goal_kind"]), (met, value, kind))

    def test_without_a_goal_nothing_is_met_or_missed(self):
        self.assertIsNone(stats.judged({"median": 1.0}, None)["met"])


class Disturbance(unittest.TestCase):
    def rounds(self, calm, disturbed):
        return ([{"covet": run(2), "limit": run(1)}] * calm
                + [{"covet": run(9, others=0.5), "limit": run(1)}] * disturbed)

    def test_disturbed_rounds_are_left_out(self):
        found = stats.ratio(self.rounds(3, 4), "covet", "limit", "cpu_ns")
        self.assertEqual((found["median"], found["high"], found["rounds"]), (2, 2, 3))

    def test_disturbed_rounds_are_used_where_too_few_others_are_left(self):
        self.assertEqual(stats.ratio(self.rounds(2, 4), "covet", "limit", "cpu_ns")["rounds"], 6)

    def test_one_disturbed_half_disturbs_the_ratio_but_not_the_other_figure(self):
        rounds = self.rounds(3, 4)
        self.assertEqual(len(stats.runs_of(rounds, "limit")), 7)
        self.assertEqual(len(stats.runs_of(rounds, "covet")), 3)

    def test_a_figure_nobody_measured_is_none(self):
        self.assertIsNone(stats.figure_of(stats.runs_of(self.rounds(3, 0), "covet"), "p99_us"))


class Enough(unittest.TestCase):
    def ratio(self, low, high, rounds=10):
        return {"median": 1.0, "low": low, "high": high, "rounds": rounds}

    def test_narrow_intervals_of_enough_rounds_are_enough(self):
        self.assertTrue(stats.enough([self.ratio(0.98, 1.02), self.ratio(0.975, 1.025)], 0.05, 8))

    def test_one_wide_interval_is_not(self):
        self.assertFalse(stats.enough([self.ratio(0.98, 1.02), self.ratio(0.97, 1.03)], 0.05, 8))

    def test_few_rounds_are_not_however_narrow(self):
        self.assertFalse(stats.enough([self.ratio(1, 1, rounds=7)], 0.05, 8))

    def test_nothing_is_never_enough(self):
        self.assertFalse(stats.enough([], 0.05, 8))


if __name__ == "__main__":
    unittest.main()
