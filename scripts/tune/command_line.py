"""The command line: verbs, what they print, exit codes."""
import argparse
import difflib
import json
import os
import re
import sys
from itertools import groupby

from tune import table, trial
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

SIGNS = {"change": "~", "ok": "=", "absent": ".", "advice": "?", "harmful": "!", "set": ">", "failed": "!",
         "restored": "<", "already": "=", "left": "!", "elsewhere": "!", "gone": "."}


def duration(text):
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    seconds = float(match.group(1)) * {"ms": 0.001, "m": 60, "h": 3600}.get(match.group(2), 1) if match else 0
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
    parser.add_argument("--profile", choices=table.PROFILES, help="what the machine is for: " + ", ".join(table.PROFILES))
    parser.add_argument("--class", dest="classes", type=classes, metavar="LIST",
                        help="do (default), workload, dedicated, advice; several with commas")
    parser.add_argument("--step", action="append", metavar="NAME", help="only that setting, whatever its class; repeatable")
    parser.add_argument("--cores", type=cores, metavar="LIST", help="the workers' cores; default: a running covet's, else all")
    parser.add_argument("--for", dest="seconds", type=duration, metavar="TIME",
                        help="apply: how long until it goes back; bench: time for each setting (30s)")
    parser.add_argument("--programs", metavar="DIR", help="bench: where covet and covet-load are")
    parser.add_argument("--root", default="/", metavar="DIR", help="the tree that is looked at and changed (/)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    options = parser.parse_args(arguments)
    if (options.name is not None) != (options.verb == "explain"):
        parser.error("explain needs a NAME" if options.verb == "explain" else f"what is {options.name!r}?")
    if options.seconds and options.verb not in ("apply", "bench"):
        parser.error(f"--for means nothing to {options.verb}")
    if options.programs and options.verb != "bench":
        parser.error(f"--programs means nothing to {options.verb}")
    return options


# What is printed

def show(outcomes):
    """One line for files of one row that have the same to say."""
    def alike(outcome):
        return outcome.state, outcome.row or outcome.path, outcome.current, outcome.wanted, outcome.note

    for _, alikes in groupby(outcomes, key=alike):
        first, *others = alikes
        path = f"{first.row.path} ({1 + len(others)} files)" if others else first.path
        print(line(first, path))


def line(outcome, path):
    state, row = outcome.state, outcome.row
    if state in ("change", "set", "failed", "restored"):
        text = f"{outcome.current} -> {outcome.wanted}"
    elif state == "absent":
        text = f"absent: {outcome.note}"
    elif state == "advice":
        text = f"{outcome.current or 'not there'}, by hand"
    else:
        text = outcome.current
    if outcome.note and state != "absent":
        text += f": {outcome.note}"
    why = f"   # {row.why}" if row and state in ("change", "set", "advice", "harmful") else ""
    return f"{SIGNS[state]} {path:<46} {text}{why}"


def as_dictionary(outcome):
    row = outcome.row
    return {"state": outcome.state, "path": outcome.path, "current": outcome.current, "wanted": outcome.wanted,
            "note": outcome.note, **({"class": row.kind, "profile": row.profile, "why": row.why} if row else {})}


def count(outcomes, *states):
    return sum(outcome.state in states for outcome in outcomes)


class Run:
    """One command."""

    def __init__(self, options):
        self.options = options
        self.machine = Machine(options.root, options.cores)
        self.journal = Journal(self.machine)
        self.changes = Changes(self.machine, self.journal)

    def selection(self):
        options = self.options
        return {"profile": options.profile, "classes": options.classes or ["do"], "steps": options.step or [],
                "cores": options.cores}

    def rows(self, selection):
        """The rows that are meant. A setting called by its name is meant whatever its class; a myth is refused."""
        rows = table.load(selection["profile"])
        if not selection["steps"]:
            return [row for row in rows if row.kind in (*selection["classes"], "advice")]
        chosen = []
        for name in selection["steps"]:
            if not (found := table.named(rows, name)):
                if myths := table.named(table.read("never"), name):
                    raise LookupError(f"{name} is refused: {myths[0].why}")
                known = [row for row in table.everything() if row.kind != "never"]
                profiles = {row.profile for row in table.named(known, name)}
                raise LookupError(f"no setting {name}" + (f" but in --profile {', '.join(sorted(profiles))}"
                                                          if profiles else ": covet-tune plan lists them"))
            chosen += found
        return [row for row in rows if row in chosen]

    def report(self, outcomes, shown, summary):
        """summary: the last line. Printed as JSON, every outcome is there."""
        if self.options.json:
            print(json.dumps({"verb": self.options.verb, "summary": summary, "cores": self.machine.cores,
                              "outcomes": [as_dictionary(outcome) for outcome in outcomes]}))
            return
        show(outcome for outcome in outcomes if outcome.state in shown)
        print(summary)

    def notice(self):
        """What happened since somebody looked last."""
        if self.journal.note:
            print(f"covet-tune: {self.journal.note}", file=sys.stderr)
        if self.journal.trial:
            until = self.journal.trial["until"]
            say = (f"on trial until {until}: covet-tune confirm keeps it" if trial.has_guard(self.journal) else
                   f"a trial until {until} lost its guard: covet-tune confirm or covet-tune revert")
            print(f"covet-tune: {say}", file=sys.stderr)

    # Verbs; each gives the exit code.

    def plan(self):
        self.notice()
        outcomes = list(self.changes.plan(self.rows(self.selection())))
        if not self.options.step:
            outcomes += self.changes.myths(table.read("never"))
        changes = count(outcomes, "change")
        self.report(outcomes, ("change", "absent", "advice", "harmful"),
                    f"{changes} to change, {count(outcomes, 'ok')} as wanted, {count(outcomes, 'absent')} absent")
        return DIFFERENT if changes else OK

    def verify(self):
        self.notice()
        options = self.options
        asked = options.profile or options.classes or options.step or options.cores
        selection = self.selection() if asked else self.journal.selection or self.selection()
        if not asked and selection["cores"]:
            self.machine = Machine(options.root, selection["cores"])
            self.changes = Changes(self.machine, self.journal)
        outcomes = list(self.changes.plan(self.rows(selection)))
        different = count(outcomes, "change")
        self.report(outcomes, ("change", "ok", "absent", "advice"),
                    f"{different} differ, {count(outcomes, 'ok')} as wanted, {count(outcomes, 'absent')} absent")
        return DIFFERENT if different else OK

    def apply(self):
        rows, seconds = self.rows(self.selection()), self.options.seconds
        with self.journal.locked():
            if self.journal.trial:
                raise RuntimeError("a trial is under way: covet-tune confirm or covet-tune revert first")
            if seconds and self.journal.entries:
                raise RuntimeError("--for would also take back what was applied before: covet-tune revert first")
            self.journal.note = None
            self.journal.selection = {**self.selection(), "cores": format_cpus(self.machine.cores)}
            if seconds:
                trial.start(self.machine, self.journal, seconds)
            outcomes = list(self.changes.apply(rows))
            done, failed = count(outcomes, "set"), count(outcomes, "failed")
            if seconds and not done:
                trial.end(self.journal)
            self.journal.save()
        summary = f"{done} set, {failed} failed, {count(outcomes, 'ok')} were as wanted"
        if seconds and done:
            summary += f"; back in {seconds:g} s unless: covet-tune confirm"
        self.report(outcomes, ("set", "failed", "absent", "advice"), summary)
        return FAILED if failed else OK

    def confirm(self):
        with self.journal.locked():
            if not self.journal.trial:
                raise RuntimeError(f"nothing to confirm{': ' + self.journal.note if self.journal.note else ''}")
            had_guard = trial.end(self.journal)
        self.report([], (), f"kept{'' if had_guard else ' (the guard was gone already)'}; "
                            "covet-tune revert takes it back")
        return OK

    def revert(self):
        with self.journal.locked():
            trial.end(self.journal)
            outcomes = list(self.changes.revert())
            self.journal.note = None
            self.journal.save()
        left, failed = count(outcomes, "left", "elsewhere"), count(outcomes, "failed")
        self.report(outcomes, ("restored", "already", "left", "elsewhere", "gone", "failed"),
                    f"{count(outcomes, 'restored')} restored, {left} left alone, {failed} failed")
        return FAILED if failed else DIFFERENT if left else OK

    def explain(self):
        name, everything = self.options.name, table.everything()
        found = table.named(everything, name)
        if not found:
            names = sorted(set().union(*(row.names for row in everything)))
            near = difflib.get_close_matches(name, names, 3)
            raise LookupError(f"nothing is known about {name}" + (f"; is it {', '.join(near)}?" if near else ""))
        if self.options.json:
            print(json.dumps({"verb": "explain", "rows": [vars(row) for row in found]}))
            return OK
        for row in found:
            place = "" if row.profile in ("all", "never") else f", in --profile {row.profile}"
            wanted = f", not {row.value}" if row.kind == "never" else f" = {row.value}"
            print(f"{row.path}{'' if row.value in ('any', 'present') else wanted}   ({row.kind}{place})")
            print(f"    {row.why}")
            for evidence in self.evidence(row):
                print(f"    {evidence}")
        return OK

    def evidence(self, row):
        """What this machine says about a row."""
        if row.kind in ("never", "advice"):
            outcomes = [*(self.changes.myths if row.kind == "never" else self.changes.plan)([row])]
        else:
            outcomes = list(self.changes.plan([row]))
        for outcome in outcomes:
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
        from tune import bench  # Only this verb needs covet.
        return bench.run(self)


VERBS = ("plan", "apply", "confirm", "verify", "revert", "explain", "bench")


def main():
    options = parse(sys.argv[1:])
    try:
        return getattr(Run(options), options.verb)()
    except (LookupError, ValueError) as error:
        print(f"covet-tune: {error.args[0]}", file=sys.stderr)
        return USAGE
    except RuntimeError as error:
        print(f"covet-tune: {error}", file=sys.stderr)
        return FAILED
    except PermissionError as error:
        print(f"covet-tune: {options.verb} needs root: {error}", file=sys.stderr)
        return NO_RIGHTS
