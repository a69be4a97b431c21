"""The table of settings: `path | value | class | why | when absent`, one a line, in tune/*.tune.

path: a file, with * and the names in braces of machine.py; or a thing that only a person can change:
boot:WORD, process:NAME, limit:NAME; or, in never.tune, the name under which a myth is known.
class: do         right for every covet
       workload   right for some: read why, then name it with --class or --step
       dedicated  for a machine that does nothing else; it takes something from everybody else there
       advice     only ever said, never set
       never      refused, and said so where it is found in force
Lines of a profile's file come after those of all.tune and replace what that says of the same path.
"""
import difflib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CLASSES = ("do", "workload", "dedicated", "advice", "never")
PROFILES = ("latency", "throughput", "many-connections")


@dataclass(frozen=True)
class Row:
    path: str
    value: str
    kind: str  # One of CLASSES.
    why: str
    absent: str  # Why it may not be there; may be empty.
    profile: str  # The name of its file.

    @property
    def is_file(self):
        return self.path.startswith("/")

    @property
    def names(self):
        """What users may call it: the path, the sysctl's name, the last part."""
        dotted = self.path.removeprefix("/proc/sys/").replace("/", ".").strip(".")
        return {self.path, dotted, self.path.rpartition("/")[2], self.path.rpartition(":")[2],
                self.path.rpartition(":")[2].partition("=")[0]}


def read(name):
    rows = []
    for number, line in enumerate((FOLDER / f"{name}.tune").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split(" | ")]
        if len(columns) not in (4, 5) or columns[2] not in CLASSES:
            raise ValueError(f"{name}.tune:{number}: not path | value | class | why | when absent")
        rows.append(Row(*columns[:4], columns[4] if len(columns) == 5 else "", name))
    return rows


def load(profile=None):
    """The rows of one profile, in the order in which they are applied; None: those that all share."""
    rows = {row.path: row for row in read("all")}
    if profile:
        for row in read(profile):
            rows.pop(row.path, None)
            rows[row.path] = row
    return list(rows.values())


def everything():
    """Every row of every file, for those who ask about one by name."""
    return [row for name in ("all", *PROFILES, "never") for row in read(name)]


def named(rows, name):
    return [row for row in rows if name in row.names]


def near(name):
    """"; is it ...?" with names that are spelt alike; "" where there are none."""
    names = sorted(set().union(*(row.names for row in everything())))
    close = difflib.get_close_matches(name, names, 3)
    return f"; is it {', '.join(close)}?" if close else ""


def select(selection):
    """The rows that are meant: {profile, classes, steps}. A setting called by its name is meant whatever its
    class; a myth is refused."""
    rows = load(selection["profile"])
    if not selection["steps"]:
        return [row for row in rows if row.kind in (*selection["classes"], "advice")]
    chosen = [row for step in selection["steps"] for row in named(rows, step) or refuse(step)]
    return [row for row in rows if row in chosen]


def refuse(name):
    if myths := named(read("never"), name):
        raise LookupError(f"{name} is refused: {myths[0].why}")
    profiles = sorted({row.profile for row in named(everything(), name)})
    where = f" but in --profile {', '.join(profiles)}" if profiles else near(name)
    raise LookupError(f"no setting {name}{where}")
