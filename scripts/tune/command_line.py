"""The command line: verbs and exit codes."""
import argparse
import json
import os
import re
import sys

from tune import output, table, trial
from tune.change import Changes
from tune.journal import Journal
from tune.machine import Machine
from tune.values import format_cpus, parse_cpus

OK, FAILED, DIFFERENT, USAGE, NO_RIGHTS = 0, 1, 2, 64, 77

HELP = """verbs:
  plan      what apply would change, what it cannot, and what is harmful here already
  apply     changes it, with the old values in a journal; --for 60s: until then `confirm`, or all goes back
  confirm   keeps what `apply --for` changed
  verify    whether everything is as wanted; without options: as the last apply wanted it
  revert    restores what apply changed and nobody else changed since
  explain   why a setting is in the table, or why it is refused: explain NAME
  bench     measures each setting, off and on in turns, with covet and covet-load on loopback

exit codes: 0 done, all as wanted; 2 plan, verify: something differs, revert: something was left alone;
1 something failed; 64 usage; 77 no rights. See covet-tune(1)."""


def duration(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    unit = {"ms": 0.001, "m": 60, "h": 3600}.get(match.group(2), 1) if match else 0
    seconds = float(match.group(1)) * unit if match else 0
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 60s or 5m, a day at most")
    return seconds


def cores(text):
    try:
        return format_cpus(parse_cpus(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of cores such as 0-3,8") from None


def classes(text):
    chosen = text.split(",")
    for one in chosen:
        if one == "never":
            raise argparse.ArgumentTypeError("never means never: covet-tune explain NAME tells why")
        if one not in table.CLASSES:
            raise argparse.ArgumentTypeError(f"no class {one!r} ({', '.join(table.CLASSES[:-1])})")
    return chosen


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"covet-tune: {message} (covet-tune --help)", file=sys.stderr)
        sys.exit(USAGE)


def parse(arguments):
    parser = Parser(prog="covet-tune", description="System settings for covet.", epilog=HELP,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=VERBS, metavar="VERB")
    parser.add_argument("name", nargs="?", help="what to explain")
    parser.add_argument("--profile", choices=table.PROFILES, help="what the machine is for")
    parser.add_argument("--class", dest="classes", type=classes, metavar="LIST",
                        help="do (default), workload, dedicated, advice; several with commas")
    parser.add_argument("--step", action="append", metavar="NAME",
                        help="only that setting, whatever its class; repeatable")
    parser.add_argument("--cores", type=cores, metavar="LIST",
                        help="the workers' cores; default: a running covet's, else all")
    parser.add_argument("--for", dest="seconds", type=duration, metavar="TIME",
                        help="apply: how long until it goes back; bench: time for each setting (30s)")
    parser.add_argument("--programs", metavar="DIR", help="bench: where covet and covet-load are")
    parser.add_argument("--root", default="/", metavar="DIR",
                        help="the tree that is looked at and changed (/)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args(arguments)
    if (options.name is not None) != (options.verb == "explain"):
        parser.error("explain needs a NAME" if options.verb == "explain" else f"what is {options.name!r}?")
    if options.seconds and options.verb not in ("apply", "bench"):
        parser.error(f"--for means nothing to {options.verb}")
    if options.programs and options.verb != "bench":
        parser.error(f"--programs means nothing to {options.verb}")
    return options


def count(outcomes, *states):
    return sum(outcome.state in states for outcome in outcomes)


class Run:
    """One command; each verb gives its exit code."""

    def __init__(self, options):
        self.options = options
        self.machine = Machine(options.root, options.cores)
        self.journal = Journal(self.machine)
        self.changes = Changes(self.machine, self.journal)

    def selection(self):
        """What is asked for: of table.select, and the cores."""
        options = self.options
        return {"profile": options.profile, "classes": options.classes or ["do"],
                "steps": options.step or [], "cores": options.cores}

    def report(self, outcomes, summary, hidden=()):
        if self.options.json:
            output.print_json(self.options.verb, outcomes, summary=summary, cores=self.machine.cores)
        else:
            output.print_lines(outcome for outcome in outcomes if outcome.state not in hidden)
            print(summary)

    def say(self, text):
        print(f"covet-tune: {text}", file=sys.stderr)

    def notice(self):
        """What happened since somebody looked last."""
        if self.journal.note:
            self.say(self.journal.note)
        if self.journal.trial:
            until = self.journal.trial["until"]
            if trial.has_guard(self.journal):
                self.say(f"on trial until {until}: covet-tune confirm keeps it")
            else:
                self.say(f"a trial until {until} lost its guard: covet-tune confirm or covet-tune revert")

    def plan(self):
        self.notice()
        outcomes = list(self.changes.plan(table.select(self.selection())))
        if not self.options.step:
            outcomes += self.changes.myths(table.read("never"))
        changes, fine, absent = (count(outcomes, state) for state in ("change", "ok", "absent"))
        self.report(outcomes, f"{changes} to change, {fine} as wanted, {absent} absent", hidden=("ok",))
        return DIFFERENT if changes else OK

    def verify(self):
        self.notice()
        options, selection = self.options, self.selection()
        if not (options.profile or options.classes or options.step or options.cores):
            selection = self.journal.selection or selection
            self.machine = Machine(options.root, selection["cores"])
            self.changes = Changes(self.machine, self.journal)
        outcomes = list(self.changes.plan(table.select(selection)))
        different, fine, absent = (count(outcomes, state) for state in ("change", "ok", "absent"))
        self.report(outcomes, f"{different} differ, {fine} as wanted, {absent} absent")
        return DIFFERENT if different else OK

    def apply(self):
        selection, seconds = self.selection(), self.options.seconds
        rows = table.select(selection)
        with self.journal.locked():
            if self.journal.trial:
                raise RuntimeError("a trial is under way: covet-tune confirm or covet-tune revert first")
            if seconds and self.journal.entries:
                raise RuntimeError("--for would take back earlier changes too: covet-tune revert first")
            self.journal.note = None
            self.journal.selection = {**selection, "cores": format_cpus(self.machine.cores)}
            if seconds:
                trial.start(self.machine, self.journal, seconds)
            outcomes = list(self.changes.apply(rows))
            done, failed, fine = (count(outcomes, state) for state in ("set", "failed", "ok"))
            if seconds and not done:
                trial.end(self.journal)
            self.journal.save()
        summary = f"{done} set, {failed} failed, {fine} were as wanted"
        if seconds and done:
            summary += f"; back in {seconds:g} s unless: covet-tune confirm"
        self.report(outcomes, summary, hidden=("ok",))
        return FAILED if failed else OK

    def confirm(self):
        with self.journal.locked():
            if not self.journal.trial:
                note = f": {self.journal.note}" if self.journal.note else ""
                raise RuntimeError(f"nothing to confirm{note}")
            remark = "" if trial.end(self.journal) else "; its guard was gone"
        self.report([], f"kept; covet-tune revert takes it back{remark}")
        return OK

    def revert(self):
        with self.journal.locked():
            trial.end(self.journal)
            outcomes = list(self.changes.revert())
            self.journal.note = None
            self.journal.save()
        restored, left, failed = (count(outcomes, *states) for states in
                                  (("restored",), ("left", "elsewhere"), ("failed",)))
        self.report(outcomes, f"{restored} restored, {left} left alone, {failed} failed")
        return FAILED if failed else DIFFERENT if left else OK

    def explain(self):
        name, everything = self.options.name, table.everything()
        found = table.named(everything, name) or [row for row in everything if name in row.path]
        if not found:
            raise LookupError(f"nothing is known about {name}{table.near(name)}")
        if self.options.json:
            print(json.dumps({"verb": "explain", "rows": [vars(row) for row in found]}))
            return OK
        for row in found:
            place = f", in --profile {row.profile}" if row.profile in table.PROFILES else ""
            value = {"any": "", "present": ""}.get(row.value, f" {row.value}")
            print(f"{row.path}{value}   ({row.kind}{place})", row.why, *self.evidence(row), sep="\n    ")
        return OK

    def evidence(self, row):
        """What this machine says about a row."""
        for outcome in (self.changes.myths if row.kind == "never" else self.changes.plan)([row]):
            yield {"change": f"here: {outcome.path} is {outcome.current}, would be {outcome.wanted}",
                   "ok": f"here: {outcome.path} is {outcome.current}, as wanted",
                   "absent": f"here: {outcome.path} is absent: {outcome.note}",
                   "advice": f"here: {outcome.current or 'not there'}",
                   "harmful": f"in force here: {outcome.current}"}[outcome.state]
        if "mitigations" in row.names:
            for path in self.machine.find("/sys/devices/system/cpu/vulnerabilities/*"):
                state = self.machine.read_or(path, "")
                if state.startswith("Mitigation"):
                    yield f"paid for here: {os.path.basename(path)}: {state}"

    def bench(self):
        from tune import bench  # Only this verb needs what a benchmark needs.
        return bench.run(self)


VERBS = ("plan", "apply", "confirm", "verify", "revert", "explain", "bench")


def main():
    options = parse(sys.argv[1:])
    try:
        return getattr(Run(options), options.verb)()
    except (LookupError, ValueError) as error:
        code, text = USAGE, error.args[0]
    except RuntimeError as error:
        code, text = FAILED, error
    except PermissionError as error:
        code, text = NO_RIGHTS, f"{options.verb} needs root: {error.strerror}: {error.filename}"
    except KeyboardInterrupt:
        code, text = FAILED, "interrupted; covet-tune revert takes back what was done"
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # For the flush at exit.
        return FAILED
    except OSError as error:
        code, text = FAILED, f"{error.strerror}: {error.filename}" if error.filename else error
    print(f"covet-tune: {text}", file=sys.stderr)
    return code
