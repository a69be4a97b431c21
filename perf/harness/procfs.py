"""What the kernel knows of a server's processes and of the machine's time, read from /proc.

CPU time is schedstat's, nanoseconds that the scheduler counted, not ticks. It holds what the kernel did
for a thread in its context, which on loopback is the whole network stack: there is no interrupt but its own.
"""
import os
import re
import resource
from dataclasses import dataclass

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def process_tree(pid):
    """`pid` and all its descendants that are there now."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:
                parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
    tree = {pid}
    while more := {child for child, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return tree


@dataclass
class Usage:
    cpu_ns: int = 0
    switches: int = 0  # Context switches, asked for or not.

    def since(self, before):
        return Usage(self.cpu_ns - before.cpu_ns, self.switches - before.switches)


def usage(pids):
    """Of every thread of these processes, since each began."""
    total = Usage()
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                    total.cpu_ns += int(file.read().split()[0])
                with open(f"/proc/{pid}/task/{task}/status") as file:
                    total.switches += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", file.read())))
        except OSError:
            continue
    return total


def reset_peak_memory(pids):
    """Lets the peak (VmHWM) of these processes begin at what they hold now (proc_pid_clear_refs(5))."""
    for pid in pids:
        try:
            with open(f"/proc/{pid}/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            continue


def peak_memory_kib(pids):
    """The sum of their peaks. What processes share is counted for each; the kernel's own memory, where
    sockets live, is not in it. None when there is nothing to see."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status") as file:
                found = re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M)
        except OSError:
            continue
        total += int(found.group(1)) if found else 0
    return total or None


def busy_ns(cores, stat_text=None):
    """Time that `cores` were not idle, or were not given to this machine by its host (steal)."""
    if stat_text is None:
        with open("/proc/stat") as file:
            stat_text = file.read()
    lines = dict(line.split(" ", 1) for line in stat_text.splitlines())
    ticks = 0
    for core in cores:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, lines[f"cpu{core}"].split()[:8])
        ticks += user + nice + system + irq + softirq + steal
    return ticks * 1e9 / TICKS_PER_S


def others_share(cores, busy, known, wall_ns):
    """The share of `cores` that other work took, out of the `busy` time of which `known` is ours. Busy time
    is counted in ticks, so one tick a core says nothing."""
    unknown = busy - known - len(cores) * 1e9 / TICKS_PER_S
    return max(0.0, unknown / (wall_ns * len(cores)))


def own_cpu_ns():
    """CPU time of this process and of the children it has waited for: the load, once it has ended."""
    return sum(used.ru_utime + used.ru_stime
               for used in map(resource.getrusage, (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))) * 1e9
