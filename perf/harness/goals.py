"""What a report says about the goals: which were measured, the worst of each kind, and the verdict."""
from dataclasses import dataclass

from .figures import at_most, goal_times
from .reading import ratio_in


@dataclass
class Goal:
    """Ratios of one scenario that share a figure and a goal; `ratio` is the one least in our favour."""
    scenario: dict
    ratio: dict
    of_count: int

    @property
    def text(self):
        return goal_times(self.ratio)

    @property
    def met(self):
        """True, False, or None when nothing was measured."""
        return self.ratio.get("met")

    @property
    def settled(self):
        """Whether the whole interval lies on one side of the goal."""
        low, high, goal = (self.ratio.get(key) for key in ("low", "high", "goal"))
        return low is None or high is None or not low < goal < high

    @property
    def verdict(self):
        if self.met is None:
            return "not measured"
        return ("met" if self.met else "missed") + ("" if self.settled else ", within noise")


def goals_of(report):
    """One Goal for each scenario, figure and goal, in the order of the report: "at or below every peer" is
    one goal, judged by the peer that comes closest."""
    groups = {}
    for scenario in report["scenarios"]:
        for ratio in scenario["ratios"]:
            if ratio.get("goal") is not None:
                key = (scenario["name"], ratio["figure"], ratio["goal"], at_most(ratio))
                groups.setdefault(key, (scenario, []))[1].append(ratio)
    out = []
    for (_, _, _, below), (scenario, ratios) in groups.items():
        measured = [ratio for ratio in ratios if ratio.get("median") is not None] or ratios[:1]
        worst = max(measured, key=lambda r: (r.get("median") or 0) * (1 if below else -1))
        out.append(Goal(scenario, worst, len(ratios)))
    return out


def cost_beside(report, other):
    """covet's CPU per plain request in multiples of another server's, or None."""
    hello = next((scenario for scenario in report["scenarios"] if scenario["name"] == "hello"), None)
    ratio = hello and ratio_in(hello, "covet", other, "cpu_ns")
    return ratio and ratio.get("median")


def verdict(report, goals):
    """The report in a sentence or two."""
    beside = (("limit", "the CPU of a responder that does nothing"), ("nginx", "that of nginx"))
    costs = [f"{value:.2f}\N{NO-BREAK SPACE}× {words}" for name, words in beside
             if (value := cost_beside(report, name))]
    sentence = f"A plain request costs covet {' and '.join(costs)}. " if costs else ""
    judged = [goal for goal in goals if goal.met is not None]
    met = sum(goal.met for goal in judged)
    if not judged:
        return sentence + "No goal was judged in this run."
    if met == len(judged):
        return sentence + ("The one goal is met." if met == 1 else f"All {met} goals are met.")
    if met == 0:
        return sentence + f"None of {len(judged)} goals is met."
    return sentence + f"{met} of {len(judged)} goals {'is' if met == 1 else 'are'} met."
