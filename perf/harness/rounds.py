"""One scenario: all its servers up, one short run each in turn, round after round, until the ratios that
matter are known well enough or the time is over.

Servers that only wait cost nothing, so all stay up and a run is the load's alone. The order turns with the
round. covet and what it is first compared with run in every round, the others in every third: what the
machine does to a ratio cancels only inside a round, and the first ratios need most rounds.
"""
import resource
import shlex
import time
from dataclasses import dataclass

from harness import counts, load, procfs, stats
from harness.peer import ROOT
from harness.servers import Failure, Limit, check, running

KEY = ("limit", "nginx", "base")  # covet's ratios to these decide when it is enough.
OTHERS_EVERY = 3
LOOK_EVERY = 4  # Rounds, before intervals are looked at again.
FILES_BESIDE = 100  # Open files of a server or a generator that are no connections.
FASTEST_LIMIT = ["--direct", "--notouch", "auto"]
LIMIT_VARIANTS = {"plain descriptors, looks for the end of each request": [],
                  "direct descriptors, looks for the end of each request": ["--direct"],
                  "plain descriptors, counts bytes": ["--notouch", "auto"],
                  "direct descriptors, counts bytes": FASTEST_LIMIT}


@dataclass(frozen=True)
class Settings:
    server_cores: tuple[int, ...]
    load_cores: tuple[int, ...]
    limit: str  # Path of perf/limit.
    variants: tuple[str, ...] = ()  # Of its arguments: further rows.
    seconds: float = 1.0  # Of one run.
    count_seconds: float = 0.3
    warm_up: bool = True  # Whether peers get the time under load that they ask for first.
    choice_rounds: int = 3
    choice_seconds: float = 0.4
    rounds_min: int = 8
    rounds_max: int = 60
    width_max: float = 0.05
    priority: bool = False
    calm_seconds: float = 0
    perf: str | None = None  # The program that counts system calls.

    @property
    def cores(self):
        return tuple(sorted({*self.server_cores, *self.load_cores}))


class Measurement:
    """One scenario, from the start of its servers to its entry in the report."""

    def __init__(self, settings, scenario, generator, say=lambda line: None):
        self.settings, self.scenario, self.generator, self.say = settings, scenario, generator, say
        self.seconds = scenario.seconds or settings.seconds
        self.rounds = []  # {server's name: run}
        self.left_out = []  # {"name", "reason"}
        self.counts, self.bodies, self.errors = {}, {}, {}
        self.variants = []

    def measure(self, peers, versions, deadline):
        """Runs all; returns the scenario's entry. Raises Failure where it cannot begin."""
        files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if self.scenario.connections_max + FILES_BESIDE > files_max:
            raise Failure(f"{self.scenario.connections_max} connections are more than a process may have "
                          f"files open ({files_max}, ulimit -n)")
        others = [peer for peer in peers if peer.name != "limit"]
        able = [peer for peer in others if self.scenario.needs <= set(peer.serves)]
        for peer in others:
            if peer not in able:
                lacking = ", ".join(sorted(self.scenario.needs - set(peer.serves)))
                self.leave_out(peer.name, f"does not serve: {lacking}")
        limits = self.limits() if "limit" in versions else []
        versions = {**versions, **{peer.name: "" for peer in limits}}
        request = load.capture(self.generator, self.scenario.load, self.settings.load_cores)
        with running([*limits, *able], versions, self.settings.server_cores, self.scenario.connections_max,
                     self.settings.priority) as (servers, failed):
            for name, reason in failed.items():
                self.leave_out(name, reason)
            self.request = request
            servers = [server for server in servers if self.try_or_drop(server, self.check)]
            servers = self.choose_limit(servers)
            servers = [server for server in servers if self.try_or_drop(server, self.count)]
            servers = self.run_rounds(servers, deadline)
        return self.entry(servers)

    def limits(self):
        """The do-nothing responder: every variant, to choose among, and those asked for beside."""
        arguments = self.scenario.limit_arguments
        found = [Limit(self.settings.limit, f"limit {note}", [*arguments, *more], note)
                 for note, more in LIMIT_VARIANTS.items()]
        return found + [Limit(self.settings.limit, more, [*arguments, *shlex.split(more)], "asked for")
                        for more in self.settings.variants]

    def leave_out(self, name, reason):
        self.left_out.append({"name": name, "reason": reason})
        self.say(f"left out: {name}: {reason}")

    def try_or_drop(self, server, step):
        """Whether `step` went well with a server; where not, the server takes no further part."""
        try:
            step(server)
            return True
        except Failure as failure:
            self.leave_out(server.name, str(failure))
            return False

    def request_to(self, server):
        return self.request.replace(b":{port}", f":{server.port}".encode(), 1)

    def check(self, server):
        self.bodies[server.name] = check(server, self.scenario, self.request_to(server))

    def count(self, server):
        """Counts system calls; also the run that warms the server up, after a longer one for those that
        compile while they run."""
        if self.settings.warm_up and server.peer.warm_up_seconds:
            load.run(self.generator, self.scenario.load, server.port, server.peer.warm_up_seconds,
                     self.settings.load_cores)
        self.counts[server.name] = counts.count(server, self.generator, self.scenario.load,
                                                self.settings.count_seconds, self.settings.load_cores,
                                                self.settings.perf)

    def choose_limit(self, servers):
        """The variant of the do-nothing responder that is best by the scenario's figure becomes the limit;
        the others end. It is measured anew afterwards, so being chosen for its luck gains it nothing. Idle
        connections would take more time here than the runs."""
        figure = self.scenario.figure
        variants = [server for server in servers if server.peer.note in LIMIT_VARIANTS]
        among, tried = list(variants), []
        for number in range(self.settings.choice_rounds):
            tried.append({})

            def try_variant(server):
                tried[-1][server.name] = self.run_once(server, self.settings.choice_seconds, 0)

            among = [server for server in turned(among, number) if self.try_or_drop(server, try_variant)]
        found = {server: stats.figure_of(stats.runs_of(tried, server.name), figure) for server in among}
        better = max if figure == "requests_per_s" else min
        best = better(among, key=lambda server: found[server]["median"], default=None)
        self.variants = [{"variant": server.peer.note, "arguments": " ".join(server.peer.arguments),
                          "figure": figure, **found[server], "chosen": server is best} for server in among]
        for server in variants:
            if server is not best:
                server.stop()
        if best:
            self.bodies["limit"] = self.bodies.pop(best.name)
            best.name = "limit"
        return [server for server in servers if not server.stopped]

    def run_once(self, server, seconds, idle):
        """One run of the load beside `idle` connections; what it took of the server, per request."""
        settings = self.settings
        wait_for_calm(settings)
        with load.idle_connections(server, self.request_to(server), idle):
            procfs.reset_peak_memory(server.pids)
            before = procfs.usage(server.pids)
            busy, own, began = procfs.busy_ns(settings.cores), procfs.own_cpu_ns(), time.monotonic_ns()
            outcome = load.run(self.generator, self.scenario.load, server.port, seconds,
                               settings.load_cores, settings.priority)
            wall = time.monotonic_ns() - began
            used = procfs.usage(server.pids).since(before)
            busy, own = procfs.busy_ns(settings.cores) - busy, procfs.own_cpu_ns() - own
            memory = procfs.peak_memory_kib(server.pids)
        if outcome.requests == 0:
            raise Failure(f"answered nothing in a run ({outcome.error_text})")
        if outcome.error_text:
            self.errors.setdefault(server.name, outcome.error_text)
        return {"requests_per_s": outcome.requests_per_s, "requests": outcome.requests,
                "cpu_ns": used.cpu_ns / outcome.requests, "switches": used.switches / outcome.requests,
                "memory_kib": memory,
                **{f"{name}_us": value for name, value in outcome.latency_us.items()},
                "errors": outcome.errors, "generator_full": outcome.generator_full,
                "others": procfs.others_share(settings.cores, busy, used.cpu_ns + own, wall)}

    def run_rounds(self, servers, deadline):
        settings, taken = self.settings, {}
        key = self.key_among(servers)
        first = {"covet", *key, *self.settings.variants}
        for number in range(settings.rounds_max):
            left = deadline - time.monotonic()
            all_of_them = number == 0 or number % OTHERS_EVERY == 0 and taken[True] < left
            if number > 0 and taken.get(all_of_them, 0) > left:
                break
            group = [server for server in servers if all_of_them or server.name in first]
            began = time.monotonic()
            self.rounds.append({})
            dropped = [server for server in turned(group, number)
                       if not self.try_or_drop(server, self.run_in_round)]
            servers = [server for server in servers if server not in dropped]
            taken[all_of_them] = time.monotonic() - began
            if (number + 1) % LOOK_EVERY:
                continue
            ratios = self.ratios_to(key)
            self.say("round {}: {}".format(number + 1, ", ".join(
                f"{r['of']}/{r['to']} {r['median']:.3f} ({r['low']:.3f}..{r['high']:.3f})" for r in ratios)))
            if stats.enough(ratios, settings.width_max, settings.rounds_min):
                break
        return servers

    def run_in_round(self, server):
        self.rounds[-1][server.name] = self.run_once(server, self.seconds, self.scenario.idle)

    def key_among(self, servers):
        """The names of those to whom covet's ratio must be known well: all others where none of KEY is."""
        names = [server.name for server in servers if server.name != "covet"]
        return [name for name in names if name in KEY] or names

    def ratios_to(self, names):
        found = (stats.ratio(self.rounds, "covet", name, self.scenario.figure) for name in names)
        return [ratio for ratio in found if ratio]

    def ratios(self, servers):
        """covet's to every other, that of the limit's further variants to the limit, and the limit's to
        nginx, which says what is to be had here at all: by the scenario's figure and by those with a goal, of
        our own servers by CPU and rate; judged."""
        found = []
        for server in servers:
            pairs = [("covet", server.name)] * (server.name != "covet")
            pairs += [(server.name, "limit")] * (server.name in self.settings.variants)
            pairs += [("limit", server.name)] * (server.name == "nginx")
            own = ["cpu_ns", "requests_per_s"] if server.kind != "peer" else []
            goals = {goal.figure: goal for goal in self.scenario.goals_to(server.name, server.kind == "peer")}
            for of, to in pairs:
                for figure in dict.fromkeys([self.scenario.figure, *own, *goals]):
                    ratio = stats.ratio(self.rounds, of, to, figure)
                    if ratio:
                        found.append(stats.judged(ratio, goals.get(figure) if of == "covet" else None))
        return found

    def entry(self, servers):
        key = [tuple(each[name] for name in ("covet", *KEY) if name in each) for each in self.rounds]
        disturbed = sum(any(run["others"] >= stats.DISTURBED for run in each) for each in key)
        command = self.generator.command(self.scenario.load, "PORT", self.seconds, self.settings.load_cores)
        return {
            "name": self.scenario.name, "title": self.scenario.title, "why": self.scenario.why,
            "figure": self.scenario.figure,
            "load_command": " ".join(command).replace(f"{ROOT}/", ""), "idle": self.scenario.idle,
            "servers": [self.server_entry(server) for server in servers],
            "left_out": self.left_out, "limit_variants": self.variants,
            "ratios": self.ratios(servers), "interval_width_max": self.settings.width_max,
            "rounds": len(self.rounds), "rounds_disturbed": disturbed, "rounds_used": len(stats.calm(key)),
        }

    def server_entry(self, server):
        rounds = [{"round": number, **each[server.name]}
                  for number, each in enumerate(self.rounds) if server.name in each]
        used = stats.runs_of(self.rounds, server.name)
        figures = {name: stats.figure_of(used, name) for name in stats.FIGURES if not name.endswith("_us")}
        counted = dict(self.counts.get(server.name, {}))
        own = server.printed_counts()
        if own.get("requests"):
            counted["enters"] = own["enters"] / own["requests"]
        if counted.get("syscalls") is None and counted.get("enters") is not None:
            counted["syscalls"] = counted["enters"]
        for name in ("syscalls", "enters"):
            figures[name] = None if counted.get(name) is None else {"median": counted[name]}
        latency = {name: stats.figure_of(used, f"{name}_us") for name in stats.PERCENTILES}
        body_bytes, fields = self.bodies[server.name]
        return {
            "name": server.name, "kind": server.kind, "title": server.peer.title, "version": server.version,
            "command": server.quoted(), "note": server.peer.note,
            "answer": {"body_bytes": body_bytes, "fields": fields},
            "rounds": rounds, "figures": {name: found for name, found in figures.items() if found},
            "latency_us": {name: found["median"] for name, found in latency.items() if found},
            "errors": sum(run["errors"] for run in rounds), "error_text": self.errors.get(server.name),
            "generator_full": sum(run["generator_full"] for run in rounds),
        }


def turned(servers, number):
    """The same, beginning elsewhere in every round."""
    at = number % len(servers) if servers else 0
    return servers[at:] + servers[:at]


def wait_for_calm(settings):
    """Waits, for so long as asked at most, for the cores to have little else to do."""
    deadline = time.monotonic() + settings.calm_seconds
    while time.monotonic() < deadline:
        before, began = procfs.busy_ns(settings.cores), time.monotonic_ns()
        time.sleep(0.2)
        busy = procfs.busy_ns(settings.cores) - before
        if procfs.others_share(settings.cores, busy, 0, time.monotonic_ns() - began) < stats.DISTURBED:
            return
