"""What must be back to its base whenever all clients rest, and what must not grow over hours."""

import asyncio
import re
import statistics

from harness import metrics, names, procfs

PRIVATE = re.compile(r"^Private_\w+:\s+(\d+)", re.M)
SLAB_KIB = 2048
FLAT = ("connections", "buffers", "live_bytes", "descriptors", "threads", "pending", "tables")


class Rest:
    """Figures of one moment at which nobody asks anything."""

    def __init__(self, at_s, covet, samples, pending, tables):
        def total(name, **labels):
            return int(metrics.total(samples, name, **labels))

        pid = covet.server_pid
        self.at_s, self.pid, self.server_pid = at_s, covet.pid, pid
        self.is_warm = False  # Whether all its memory had been used before.
        self.connections = total(names.CONNECTIONS_OPEN)
        self.buffers = total(names.BUFFERS_IN_USE)
        self.live_bytes = total(names.MEMORY_LIVE)
        self.slabs = total(names.MEMORY_SLABS)
        # Each worker has a descriptor table of its own; the kernel's threads for it share that.
        names_of = {task: procfs.name(pid, task) for task in procfs.tasks(pid)}
        own = [task for task, name in names_of.items() if not name.startswith("iou-wrk")]
        self.descriptors = sum(procfs.descriptors(f"{pid}/task/{task}") for task in own)
        self.threads, self.kernel_threads = len(own), len(names_of) - len(own)
        self.supervisor_descriptors = procfs.descriptors(covet.pid)
        self.pending, self.tables = pending, tables
        self.private_kib = sum(int(kib) for kib in PRIVATE.findall(procfs.read(f"/proc/{pid}/smaps_rollup")))
        self.responses = {
            kind: total(names.RESPONSES, **{names.CLASS_LABEL: kind}) for kind in ("2xx", "3xx", "4xx", "5xx")
        }
        self.log_lines_dropped = total(names.LOG_LINES_DROPPED)
        self.overflows = total(names.CQ_OVERFLOWS)

    def differences(self, base):
        """What is above its base, in words."""
        return [
            f"{name} {getattr(self, name)}, base {getattr(base, name)}"
            for name in FLAT
            if getattr(self, name) > getattr(base, name)
        ]


async def look(covet, at_s):
    covet.find_server()  # It may have died; the log's lines of errors tell.
    samples = await covet.samples()
    _, text = await asyncio.to_thread(covet.ask, "GET", "/routes/tables")
    tables = int(re.search(r"tables=(\d+)", text)[1])
    return Rest(at_s, covet, samples, await asyncio.to_thread(pending_now, covet), tables)


def pending_now(covet):
    return int(covet.ask_at(covet.addresses[1], "GET", "/pending")[1])


def slope_per_hour(points):
    """Theil and Sen: the median of the slopes of all pairs of (seconds, value). One step does not bend it."""
    slopes = [
        (value - earlier_value) / (at - earlier) * 3600
        for index, (at, value) in enumerate(points)
        for earlier, earlier_value in points[:index]
        if at > earlier
    ]
    return statistics.median(slopes) if slopes else 0.0
