"""What a report says about the goals: which were measured, the worst of each kind, and the verdict."""
from dataclasses import dataclass

from .figures import figure, goal_times


@dataclass
class Goal:
    """Ratios of one scenario that share a figure and a goal; `ratio` is the one least in our favour."""
    scenario: dict
    ratio: dict
    of_count: int

    @property
    def less_is_better(self):
        return figure(self.ratio["figure"]).less_is_better

    @property
    def text(self):
        return goal_times(self.ratio["goal"], self.less_is_better)

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
    def against(self):
        other = self.ratio["to"]
        return other if self.of_count == 1 else f"{other}, the closest of {self.of_count}"

    @property
    def verdict(self):
        if self.met is None:
            return "not measured"
        return ("met" if self.met else "missed") + ("" if self.settled else ", within noise")


def goals_of(report):
    """One Goal for each scenario, figure and goal, in the order of the report."""
    groups = {}
    for scenario in report["scenarios"]:
        for ratio in scenario["ratios"]:
            if ratio.get("goal") is not None:
                # Goals at the limit or one peer stand for themselves; "at or below every peer" is one.
                key = (scenario["name"], ratio["figure"], ratio["goal"])
                groups.setdefault(key, (scenario, []))[1].append(ratio)
    out = []
    for (_, name, _), (scenario, ratios) in groups.items():
        less = figure(name).less_is_better
        measured = [ratio for ratio in ratios if ratio.get("median") is not None] or ratios[:1]
        worst = max(measured, key=lambda r: (r.get("median") or 0) * (1 if less else -1))
        out.append(Goal(scenario, worst, len(ratios)))
    return out


def first_ratio(report, scenario_name, to):
    for scenario in report["scenarios"]:
        for ratio in scenario["ratios"]:
            if (scenario["name"], ratio["to"], ratio["figure"]) == (scenario_name, to, "cpu_ns"):
                if ratio["of"] == "covet":
                    return ratio.get("median")
    return None


def verdict(report, goals):
    """The report in a sentence or two."""
    limit, nginx = (first_ratio(report, "hello", to) for to in ("limit", "nginx"))
    costs = [f"{value:.2f} × {part}" for value, part in (
        (limit, "the CPU of a responder that does nothing"), (nginx, "that of nginx")) if value is not None]
    sentence = f"A plain request costs covet {' and '.join(costs)}. " if costs else ""
    judged = [goal for goal in goals if goal.met is not None]
    if not judged:
        return sentence + "No goal was judged in this run."
    met = sum(goal.met for goal in judged)
    sentence += f"All {met} goals are met." if met == len(judged) else f"{met} of {len(judged)} goals are met."
    return sentence.replace("All 1 goals are", "The one goal is")
