"""The machine as files below a root: what is there, which cores are the workers', which queues the NICs have.

Everything goes through one root directory, so that all of it can be tried on a tree of plain files.

Names in braces in a row of the table, and what they stand for:
    {cores} {others}  all worker cores, and all that are not, as lists
    {core}            each worker's core, a path for each
    {nic}             each NIC
    {irq}             the interrupt of each queue of each NIC; {queue core} in its value: whose it shall be
    {nic} {tx}        each transmit queue of each NIC; {queue cores} in its value: who shall send through it
"""
import glob
import os
import re
from dataclasses import replace
from pathlib import Path

from tune.values import UNLIMITED, format_cpus, parse_cpus

# The last part of an interrupt's name where it is a queue's: eth0-TxRx-3, virtio2-input.0, mlx5_comp3@pci:...
QUEUE = re.compile(r"(?:rx|tx|input|output|comp|fp|blk|queue|q)[-_.]?(\d+)(?:@\S*)?$", re.IGNORECASE)
ETHERNET = "1"


class Absent(Exception):
    """A setting that this machine does not have; the text says why."""


def order_of_limit(limit):
    return float("inf") if limit in UNLIMITED else int(limit)


class Machine:
    def __init__(self, root="/", cores=None):
        """cores: the workers' as a list such as 0-3; None: a running covet's, else all there are."""
        self.root = Path(root).resolve()
        if not self.root.is_dir():
            raise ValueError(f"no directory {root}")
        self.online = parse_cpus(self.read_or("/sys/devices/system/cpu/online", "0"))
        self.cores = sorted(parse_cpus(cores) if cores else self.worker_cores() or self.online)
        if missing := set(self.cores) - self.online:
            raise ValueError(f"no core {format_cpus(missing)} here (online: {format_cpus(self.online)})")
        self.others = self.online - set(self.cores)

    def at(self, path):
        return self.root / path.lstrip("/")

    def read(self, path):
        return self.at(path).read_text().strip()

    def read_or(self, path, default):
        try:
            return self.read(path)
        except OSError:
            return default

    def link(self, path):
        """Where a symbolic link points; "" where it cannot be read: its process may just have ended."""
        try:
            return os.readlink(self.at(path))
        except OSError:
            return ""

    def write(self, path, text):
        """Into a file that is there: nothing is ever created."""
        descriptor = os.open(self.at(path), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode() + b"\n")
        finally:
            os.close(descriptor)

    def find(self, pattern):
        """Paths below the root, as absolute ones of that machine."""
        return sorted("/" + path for path in glob.glob(pattern.lstrip("/"), root_dir=self.root))

    def processes(self, name):
        """The directories in /proc of the processes called `name`."""
        return [os.path.dirname(path) for path in self.find("/proc/[0-9]*/comm")
                if self.read_or(path, "") == name]

    def worker_cores(self):
        cores = set()
        for process in self.processes("covet"):
            for comm in self.find(f"{process}/task/[0-9]*/comm"):
                if re.fullmatch(r"covet-w\d+", self.read_or(comm, "")):
                    status = self.read_or(os.path.dirname(comm) + "/status", "")
                    if allowed := re.search(r"^Cpus_allowed_list:\s*(\S+)", status, re.MULTILINE):
                        cores |= parse_cpus(allowed.group(1))
        return cores

    # What is no setting but can be looked at: boot:WORD, process:NAME, limit:NAME; "" where it is not there.

    def thing(self, name):
        kind, _, what = name.partition(":")
        return {"boot": self.boot_word, "process": self.process_state, "limit": self.limit}[kind](what)

    def boot_word(self, word):
        words = self.read_or("/proc/cmdline", "").split()
        return next((one for one in words if one == word or one.startswith(word + "=")), "")

    def process_state(self, name):
        for process in self.processes(name):
            # irqbalance leaves those cores alone that its environment bans.
            banned = re.search(r"IRQBALANCE_BANNED_CPULIST=([\d,-]+)", self.read_or(process + "/environ", ""))
            if not banned or not parse_cpus(banned.group(1)) >= set(self.cores):
                return "running"
        return ""

    def limit(self, name):
        """The smallest hard limit of all running covet processes."""
        title = {"nofile": "Max open files", "memlock": "Max locked memory"}[name]
        limits = (self.read_or(process + "/limits", "") for process in self.processes("covet"))
        found = [re.search(rf"^{title}\s+\S+\s+(\S+)", text, re.MULTILINE) for text in limits]
        return min((match.group(1) for match in found if match), key=order_of_limit, default="")

    # Network namespaces: /proc/sys/net is the namespace's in which one looks.

    def namespace(self, path):
        """The network namespace that a setting belongs to; "" when it is the whole machine's."""
        return self.link("/proc/self/ns/net") if path.startswith("/proc/sys/net/") else ""

    def is_namespace_alive(self, namespace):
        """Whether any process is in it or a name is bound to it (ip netns)."""
        if any(self.link(path) == namespace for path in self.find("/proc/[0-9]*/ns/net")):
            return True
        bound = (os.stat(self.at(path)).st_ino for path in self.find("/run/netns/*"))
        return any(namespace == f"net:[{inode}]" for inode in bound)

    # NICs

    def nics(self):
        """Ethernet devices with hardware, or a hypervisor, behind them."""
        return [os.path.basename(path) for path in self.find("/sys/class/net/*")
                if self.at(path + "/device").exists() and self.read_or(path + "/type", "") == ETHERNET]

    def queue_interrupts(self, nic):
        """{interrupt: queue} of one NIC, as far as the driver's names tell."""
        device = os.path.realpath(self.at(f"/sys/class/net/{nic}/device"))
        own = set()
        # A virtio device has none; the PCI device above it does.
        for folder in (device, os.path.dirname(device)):
            own |= {int(entry) for entry in glob.glob("[0-9]*", root_dir=folder + "/msi_irqs")}
        found = {}
        for line in self.read_or("/proc/interrupts", "").splitlines():
            number, _, rest = line.partition(":")
            queue = QUEUE.search(rest)
            if queue and number.strip().isdigit() and int(number) in own:
                found[int(number)] = int(queue.group(1))
        return found

    # Rows

    def fill(self, row):
        """The row with this machine's cores in its path, value and reason. Raises Absent."""
        texts = {name: getattr(row, name).replace("{cores}", format_cpus(self.cores))
                 for name in ("path", "value", "why", "absent")}
        if any("{others}" in text for text in texts.values()):
            if not self.others:
                raise Absent("every core is a worker's: leave one out of --cores")
            texts = {name: text.replace("{others}", format_cpus(self.others)) for name, text in texts.items()}
        return replace(row, **texts)

    def expand(self, row):
        """[(path, value)] of a filled row: the files there are. Raises Absent when there is none."""
        if "{irq}" in row.path:
            pairs = self.interrupt_paths(row)
        elif "{tx}" in row.path:
            pairs = self.sender_paths(row)
        elif "{core}" in row.path:
            pairs = [(row.path.replace("{core}", str(core)), row.value) for core in self.cores]
        else:
            nics = self.nics() if "{nic}" in row.path else [""]
            pairs = [(path, row.value) for nic in nics for path in self.find(row.path.replace("{nic}", nic))]
        pairs = [(path, value) for path, value in pairs if self.at(path).exists()]
        if not pairs:
            raise Absent(self.why_absent(row))
        return pairs

    def interrupt_paths(self, row):
        for nic in self.nics():
            for interrupt, queue in sorted(self.queue_interrupts(nic).items()):
                core = self.cores[queue % len(self.cores)]
                yield row.path.replace("{irq}", str(interrupt)), row.value.replace("{queue core}", str(core))

    def sender_paths(self, row):
        """Worker i sends through queue i, and round again where there are more of the one or the other."""
        for nic in self.nics():
            queues = len(self.find(f"/sys/class/net/{nic}/queues/tx-*"))
            for queue in range(queues if queues > 1 else 0):  # One queue leaves nothing to choose.
                cores = {core for index, core in enumerate(self.cores) if index % queues == queue}
                cores = cores or {self.cores[queue % len(self.cores)]}
                yield (row.path.replace("{nic}", nic).replace("{tx}", str(queue)),
                       row.value.replace("{queue cores}", format_cpus(cores)))

    def why_absent(self, row):
        reason = row.absent or "not in this kernel"
        # Settings that all namespaces share are to be seen in the first one alone; dev_weight is such a one.
        shared, own = (self.at(f"/proc/sys/net/core/{name}").exists() for name in ("dev_weight", "somaxconn"))
        if row.path.startswith("/proc/sys/net/") and own and not shared:
            return f"{reason}, or set for all network namespaces in the first one"
        return reason
