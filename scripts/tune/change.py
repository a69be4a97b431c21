"""Plan, apply, revert: from rows and a machine to outcomes, one for each file or thing."""
import errno
from dataclasses import dataclass

from tune.machine import Absent
from tune.table import Row
from tune.values import Want, plain, same

REFUSED = {
    errno.EROFS: "read-only here (a container?): set it on the host",
    errno.EACCES: "not allowed: run as root",
    errno.EPERM: "not allowed: run as root, or not in a container or network namespace of one's own",
    errno.ENOENT: "the kernel has no such choice (a module that is not loaded?)",
    errno.EBUSY: "in use, or fixed by another setting",
    errno.EIO: "the driver keeps it to itself",
}


@dataclass
class Outcome:
    """What is, or became, of one file or thing.

    state: of a plan: change, ok, absent, advice, harmful; of an apply: set, failed besides those;
    of a revert: restored, already, left, elsewhere, gone, failed."""
    state: str
    path: str
    current: str = ""
    wanted: str = ""
    note: str = ""
    row: Row | None = None


def reason(error):
    return REFUSED.get(error.errno, error.strerror) if isinstance(error, OSError) else str(error)


class Changes:
    def __init__(self, machine, journal):
        self.machine, self.journal = machine, journal

    def plan(self, rows):
        """What apply would do; it writes nothing."""
        for row in rows:
            try:
                row = self.machine.fill(row)
                if row.is_file and row.kind != "advice":
                    for path, value in self.machine.expand(row):
                        yield self.plan_file(row, path, Want(value))
                else:
                    yield from self.advise(row)
            except Absent as why:
                if row.kind != "advice":
                    yield Outcome("absent", row.path, "", row.value, str(why), row)

    def plan_file(self, row, path, want):
        try:
            current = plain(self.machine.read(path), want.kind)
            target = want.target(current)
        except (OSError, ValueError) as error:
            return Outcome("absent", path, "", want.text, f"cannot be read: {reason(error)}", row)
        return Outcome("ok" if target == current else "change", path, current, target, "", row)

    def look(self, row):
        """The present value of a file or thing, "" where it is not there."""
        if row.is_file:
            return plain(self.machine.read_or(row.path, ""))
        return self.machine.thing(row.path)

    def advise(self, row):
        """What only a person can change or should decide."""
        current = self.look(row)
        if row.value in ("absent", "present"):
            is_fine = bool(current) == (row.value == "present")
        else:
            is_fine = not current or Want(row.value).target(current) == current
        if not is_fine:
            yield Outcome("advice", row.path, current, row.value, "", row)

    def myths(self, rows):
        """Rows of never.tune that are in force here; `any` is the value of those that no file tells."""
        for row in rows:
            if row.value == "any":
                continue
            current = self.look(row)
            if current and (row.value == "present" or Want(row.value).target(current) == current):
                yield Outcome("harmful", row.path, current, "", "", row)

    def apply(self, rows):
        """Writes each change, its old value to the journal first, and reads it back."""
        for planned in self.plan(rows):
            yield self.apply_one(planned) if planned.state == "change" else planned

    def apply_one(self, planned):
        machine, kind = self.machine, Want(planned.row.value).kind
        key = planned.path, machine.namespace(planned.path)
        is_new = key not in self.journal.entries
        self.journal.record(*key, kind, planned.current, planned.wanted)
        try:
            machine.write(planned.path, planned.wanted)
            became = machine.read(planned.path)
            if same(became, planned.wanted, kind):
                planned.state = "set"
                return planned
            planned.note = f"read back as {became!r}"
            machine.write(planned.path, planned.current)
        except (OSError, ValueError) as error:
            planned.note = planned.note or reason(error)
        planned.state = "failed"
        if is_new and self.is_back(planned, kind):
            self.journal.forget(*key)
        return planned

    def is_back(self, planned, kind):
        try:
            return same(self.machine.read(planned.path), planned.current, kind)
        except (OSError, ValueError):
            return False

    def revert(self):
        """Restores, last change first, what is still as it was set here."""
        for entry in reversed(list(self.journal.entries.values())):
            outcome = self.revert_one(entry)
            if outcome.state not in ("failed", "elsewhere"):
                self.journal.forget(entry["path"], entry["namespace"])
            yield outcome
        self.journal.selection = self.journal.trial = None
        self.journal.save()

    def revert_one(self, entry):
        path, kind, old, ours = (entry[name] for name in ("path", "kind", "old", "ours"))
        outcome = Outcome("failed", path, ours[-1], old)
        namespace = entry["namespace"]
        if namespace != self.machine.namespace(path):
            is_alive = self.machine.is_namespace_alive(namespace)
            outcome.state = "elsewhere" if is_alive else "gone"
            then = ": revert there" if is_alive else ", now gone"
            outcome.note = f"set in network namespace {namespace}{then}"
            return outcome
        try:
            current = self.machine.read(path)
            if same(current, old, kind):
                outcome.state = "already"
            elif not any(same(current, one, kind) for one in ours):
                outcome.state = "left"
                outcome.note = f"is {plain(current, kind)}, not what was set: left alone"
            else:
                self.machine.write(path, old)
                became = self.machine.read(path)
                outcome.state = "restored" if same(became, old, kind) else "failed"
                outcome.note = "" if outcome.state == "restored" else f"read back as {became!r}"
        except FileNotFoundError:
            outcome.state, outcome.note = "gone", "no longer there"
        except (OSError, ValueError) as error:
            outcome.note = reason(error)
        return outcome
