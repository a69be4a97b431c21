"""What was there before: the first old value of every setting that was changed, in /run/covet-tune/journal.

/run ends with the boot, and so do the settings. The file is replaced as a whole (written aside, synced,
renamed), so a crash leaves either the old or the new one; it is written before the setting is, so a crash
never leaves a changed setting without its old value. A lock keeps two covet-tune from mixing their steps.
"""
import fcntl
import json
import os
from contextlib import contextmanager

FOLDER = "/run/covet-tune"
EMPTY = {"entries": [], "selection": None, "trial": None, "note": None}


class Journal:
    """entries: {(path, namespace): {path, namespace, kind, old, ours}} in the order of the first change,
    values in their plain form; ours: all that was written, or about to be, over the old one.
    selection: what the last apply was asked for. trial: one that is not confirmed yet.
    note: for whoever looks next."""

    def __init__(self, machine):
        self.folder = machine.at(FOLDER)
        self.path = self.folder / "journal"
        self.boot = machine.read_or("/proc/sys/kernel/random/boot_id", "")
        self.load()

    def load(self):
        try:
            kept = json.loads(self.path.read_text())
            if kept.get("boot", self.boot) != self.boot:
                kept = EMPTY  # A /run that outlives the boot: its settings are gone.
            self.entries = {(one["path"], one["namespace"]): one for one in kept["entries"]}
            self.selection, self.trial, self.note = kept["selection"], kept["trial"], kept["note"]
        except FileNotFoundError:
            self.entries, self.selection, self.trial, self.note = {}, None, None, None
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise RuntimeError(f"{self.path} holds old values but is damaged: {error!r}") from None

    @contextmanager
    def locked(self, waits=False):
        """The journal as it is now, kept from others."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with open(self.folder / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
            except BlockingIOError:
                raise RuntimeError("another covet-tune is at work") from None
            self.load()
            yield self

    def save(self):
        aside = self.path.with_suffix(".new")
        with open(aside, "w") as file:
            json.dump({"boot": self.boot, "entries": list(self.entries.values()),
                       "selection": self.selection, "trial": self.trial, "note": self.note}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, self.path)

    def record(self, path, namespace, kind, old, new):
        """Before `new` is written over `old`. The first old value stays, whatever is applied on top."""
        first = {"path": path, "namespace": namespace, "kind": kind, "old": old, "ours": []}
        entry = self.entries.setdefault((path, namespace), first)
        if new not in entry["ours"]:
            entry["ours"].append(new)
        self.save()

    def forget(self, path, namespace):
        del self.entries[path, namespace]
        self.save()
