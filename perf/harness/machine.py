"""The machine and the tree that was measured, as a report must name them."""
import os
import platform
import re
import subprocess
from pathlib import Path

from harness.peer import ROOT


def text(path):
    """The contents of a small system file, None where there is none."""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def field(name, source):
    found = re.search(rf"^{name}\s*:\s*(.+)$", text(source) or "", re.M)
    return found.group(1) if found else None


def output(*command):
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hypervisor():
    if "hypervisor" not in (field("flags", "/proc/cpuinfo") or "").split():
        return None
    named = text("/sys/hypervisor/type") or output("systemd-detect-virt", "--vm")
    if not named or named == "none":
        named = re.search(r"Hypervisor detected: (.+)", output("dmesg") or "")
        named = named.group(1) if named else None
    return named or text("/sys/class/dmi/id/sys_vendor") or "yes, which is not told"


def describe():
    memory = field("MemTotal", "/proc/meminfo")
    system = "/sys/devices/system"
    return {
        "cpu": field("model name", "/proc/cpuinfo"),
        "cpu_mhz": field("cpu MHz", "/proc/cpuinfo"),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "hypervisor": hypervisor(),
        "memory_bytes": int(memory.split()[0]) * 1024 if memory else None,
        "mitigations": {path.name: text(path)
                        for path in sorted(Path(f"{system}/cpu/vulnerabilities").glob("*"))},
        "governor": text(f"{system}/cpu/cpu0/cpufreq/scaling_governor"),
        "clocksource": text(f"{system}/clocksource/clocksource0/current_clocksource"),
        "congestion": text("/proc/sys/net/ipv4/tcp_congestion_control"),
        "somaxconn": text("/proc/sys/net/core/somaxconn"),
        "preemption": next(iter(re.findall(r"PREEMPT\w*", platform.version())), None),
        "transparent_hugepages": text("/sys/kernel/mm/transparent_hugepage/enabled"),
    }


def commit():
    """(commit, whether the tree differs from it); (None, None) outside of a checkout."""
    name = output("git", "rev-parse", "HEAD")
    return (name, bool(output("git", "status", "--porcelain"))) if name else (None, None)


def split_cores(allowed, sibling=lambda core: core):
    """(cores of the servers, cores of the load) out of those this process may use: the first and the
    second of two; of more, one half each, as on loopback both ends have about the same to do. `sibling`
    names what threads of one core have in common: they stay on one side."""
    cores = sorted(allowed, key=lambda core: (sibling(core), core))
    half = max(1, len(cores) // 2)
    return tuple(cores[:half]), tuple(cores[half:]) or tuple(cores)


def thread_siblings(core):
    first = re.match(r"\d+", text(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list") or "")
    return int(first.group()) if first else core


def default_cores():
    return split_cores(os.sched_getaffinity(0), thread_siblings)
