"""A scenario is one small file, perf/scenarios/NAME.toml; a new file is a new scenario. Its fields:

    order, title, why    place in the report, heading, what a reader learns from it
    needs                what a server must serve to take part: hello, json, params, echo, close
    figure               what ratios are taken of: cpu_ns, requests_per_s, or another of stats.FIGURES
    weight               share of the time (1)
    seconds              of one run (0: as long as the others)
    smoke                whether the short version runs it too (false)
    idle                 connections that have had one answer and then say nothing (0)
    [load]               path, connections (64), depth (1), body_bytes (0: GET, else POST of so many bytes),
                         reconnect (0), requests (0: by time; else a run ends after so many),
                         arguments ([]: more of covet-load's)
    [answer]             body: what a right answer holds, compared as JSON when `json` is true;
                         absent when the right answer is the request's body
    [limit]              arguments ([]): what perf/limit needs to stand for this
    [[goal]]             to: a server's name, or "peers" for each of them; figure (that of the scenario);
                         at_most or at_least: of covet's ratio to it
"""
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from harness import stats

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
FEATURES = {"hello", "json", "params", "echo", "close"}


class Mistake(Exception):
    """A scenario file that says something else than it may."""


@dataclass(frozen=True)
class Goal:
    to: str
    figure: str
    kind: str  # "at_most" or "at_least".
    value: float


@dataclass(frozen=True)
class Load:
    path: str = "/"
    connections: int = 64
    depth: int = 1
    body_bytes: int = 0
    reconnect: int = 0
    requests: int = 0
    arguments: tuple[str, ...] = ()

    @property
    def body(self):
        """Text of lines that all differ, so that no part of an echo can stand for another."""
        lines = (f"line {number}\n" for number in range(self.body_bytes // 7 + 1))
        return "".join(lines).encode()[: self.body_bytes]


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    why: str
    needs: frozenset[str]
    figure: str = "cpu_ns"
    order: int = 100
    weight: float = 1.0
    seconds: float = 0.0
    smoke: bool = False
    idle: int = 0
    load: Load = field(default_factory=Load)
    answer: str | None = None  # None: the request's body.
    answer_is_json: bool = False
    limit_arguments: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()

    @property
    def connections_max(self):
        return self.load.connections + self.idle

    def answer_bytes(self):
        """The length of the body every server answers with, but for white space in JSON."""
        return self.load.body_bytes if self.answer is None else len(self.answer.encode())

    def goals_to(self, name, is_peer):
        """The goals of covet's ratios to the server `name`."""
        return [goal for goal in self.goals if goal.to == name or goal.to == "peers" and is_peer]


def take(table, name, kind, where, default=None):
    """One field out of `table`, of the type it must have; required where there is no default."""
    if name not in table:
        if default is None:
            raise Mistake(f"{where}: {name} is missing")
        return default
    value = table.pop(name)
    good = isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)
    if not good:
        raise Mistake(f"{where}: {name} = {value!r}")
    return value


def refuse_more(table, where):
    if table:
        raise Mistake(f"{where}: unknown: {', '.join(sorted(table))}")


def strings(table, name, where):
    values = take(table, name, list, where, [])
    if not all(isinstance(value, str) for value in values):
        raise Mistake(f"{where}: {name} = {values!r}")
    return tuple(values)


def figure_named(name, where):
    if name not in stats.FIGURES:
        raise Mistake(f"{where}: no figure is named {name!r} ({', '.join(stats.FIGURES)})")
    return name


def read_load(table, where):
    load = Load(path=take(table, "path", str, where, "/"),
                connections=take(table, "connections", int, where, 64),
                depth=take(table, "depth", int, where, 1),
                body_bytes=take(table, "body_bytes", int, where, 0),
                reconnect=take(table, "reconnect", int, where, 0),
                requests=take(table, "requests", int, where, 0),
                arguments=strings(table, "arguments", where))
    refuse_more(table, where)
    return load


def read_goal(table, figure, where):
    kinds = [kind for kind in ("at_most", "at_least") if kind in table]
    if len(kinds) != 1:
        raise Mistake(f"{where}: a goal is at_most or at_least")
    goal = Goal(take(table, "to", str, where),
                figure_named(take(table, "figure", str, where, figure), where),
                kinds[0], take(table, kinds[0], (int, float), where))
    refuse_more(table, where)
    return goal


def read(path):
    """The scenario of one file. Raises Mistake."""
    path = Path(path)
    where = path.name
    try:
        table = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise Mistake(f"{where}: {error}") from None
    needs = strings(table, "needs", where)
    if not needs or set(needs) - FEATURES:
        raise Mistake(f"{where}: needs is one or more of {', '.join(sorted(FEATURES))}")
    figure = figure_named(take(table, "figure", str, where, "cpu_ns"), where)
    answer = take(table, "answer", dict, where, {})
    limit = take(table, "limit", dict, where, {})
    scenario = Scenario(
        name=path.stem, needs=frozenset(needs), figure=figure,
        title=take(table, "title", str, where), why=take(table, "why", str, where),
        order=take(table, "order", int, where, 100),
        weight=float(take(table, "weight", (int, float), where, 1)),
        seconds=float(take(table, "seconds", (int, float), where, 0)),
        smoke=take(table, "smoke", bool, where, False), idle=take(table, "idle", int, where, 0),
        load=read_load(take(table, "load", dict, where, {}), f"{where}: [load]"),
        answer=take(answer, "body", str, where) if answer else None,
        answer_is_json=take(answer, "json", bool, where, False),
        limit_arguments=strings(limit, "arguments", f"{where}: [limit]"),
        goals=tuple(read_goal(goal, figure, f"{where}: [[goal]]")
                    for goal in take(table, "goal", list, where, [])))
    for left, inside in ((table, where), (answer, f"{where}: [answer]"), (limit, f"{where}: [limit]")):
        refuse_more(left, inside)
    if scenario.answer is None and scenario.load.body_bytes == 0:
        raise Mistake(f"{where}: [answer] body is missing, and there is no body to echo")
    return scenario


def read_all(folder=SCENARIOS):
    """Every scenario there is, in their order."""
    return sorted(map(read, Path(folder).glob("*.toml")), key=lambda found: (found.order, found.name))
