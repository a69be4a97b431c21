"""What a figure is, and what the files that take them share."""

import os
from dataclasses import dataclass, field

from harness import modules

HERE = os.path.dirname(os.path.abspath(__file__))
GOALS = []


@dataclass
class Figure:
    """One line of the report."""

    name: str
    what: str
    value: str
    goal: str
    is_met: bool
    samples: list = field(default_factory=list)  # Of what was wrong, as text.
    numbers: dict = field(default_factory=dict)  # For --json.
    is_measured: bool = False  # A time, a rate, a share: the machine may be why the goal is not met.


def at_most(name, what, number, limit, unit, **numbers):
    """A figure that is one number, and measured."""
    return Figure(name, what, f"{number:.4g} {unit}", f"<= {limit:g} {unit}", number <= limit,
                  numbers={unit: number, **numbers}, is_measured=True)


def all_of(name, what, number, wanted):
    return Figure(name, what, f"{number}", f"{wanted}", number == wanted, numbers={"count": number})


def goal(name, what):
    """Marks a function (env, short) that yields figures."""

    def mark(function):
        GOALS.append((name, what, function))
        return function

    return mark


def application(env):
    """The path of application.c as a module, built once."""
    path = env.path("application.so")
    if not os.path.exists(path):
        return modules.build(env, os.path.join(HERE, "application.c"))
    return path
