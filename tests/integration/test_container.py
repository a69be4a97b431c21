"""covet in what surrounds it: the seccomp profile for containers, and the systemd unit."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

from harness import Skip, names, procfs, seccomp
from harness.client import get_once, post_bytes
from harness.server import Server, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PROFILE = os.path.join(ROOT, "examples/container/seccomp-covet.json")
UNIT = os.path.join(ROOT, "scripts/covet.service")
EXPOSURE_MAX = 35  # Of 100, as systemd-analyze security counts.
ENOSYS = 38
# Each is tried under the profile; what comes back is an error number, 0 for success.
PROBE = """
import ctypes, sys
sys.path.insert(0, {harness!r})
import seccomp
seccomp.install({profile!r})
libc = ctypes.CDLL(None, use_errno=True)
for call in {calls!r}:
    print(ctypes.get_errno() if libc.syscall(*call) < 0 else 0)
"""


def needs_filters(env):
    if env.is_sanitized:
        raise Skip("a sanitizer makes calls of its own")
    if not os.path.exists(seccomp.HEADER):
        raise Skip(f"no {seccomp.HEADER}")


def serve_reload_upgrade(env, profile):
    """A whole life under a filter: everything in it is the kernel's answer to covet's own calls."""
    log = env.path("access.log")
    how = {"seccomp": profile}
    with Server(env, "--access-log", log, cores="0-1", how=how) as server:
        assert get_once(server.address).status == 200
        with server.client() as client:
            assert client.request(post_bytes("/echo", b"x" * 100000)).body == b"x" * 100000
        server.signal(signal.SIGHUP)
        assert procfs.wait_for(lambda: names.RELOADED in server.log(), 10), server.log()
        assert get_once(server.address, "/api/json").status == 200
        assert procfs.wait_for(lambda: "/api/json" in procfs.read(log), 5)
        assert re.search(r"^Seccomp:\s*2$", procfs.read(f"/proc/{server.server_pid}/status"), re.MULTILINE)
    assert not re.search(r"level=error|Function not implemented", server.log()), server.log()
    status, output, error, _ = run(env, "--check", how=how)
    assert status == 0 and "Function not implemented" not in output + error, output + error


def test_covet_lives_under_the_containers_profile(env):
    needs_filters(env)
    serve_reload_upgrade(env, PROFILE)


def test_the_profile_keeps_from_the_kernel_what_covet_does_not_need(env):
    needs_filters(env)
    number = seccomp.numbers()
    refused = [(number["ptrace"], 0, 0, 0, 0), (number["mount"], 0, 0, 0, 0, 0), (number["bpf"], 0, 0, 0),
               (number["socket"], 16, 3, 0), (number["socket"], 17, 3, 0), (number["keyctl"], 0, 0, 0),
               (number["unshare"], 0x00020000), (number["unshare"], 0x40000400), (number["clone3"], 0, 0),
               (number["clone"], 0x10000011, 0, 0, 0, 0), (number["init_module"], 0, 0, 0)]
    allowed = [(number["unshare"], 0x400), (number["socket"], 2, 1, 0), (number["getpid"],)]
    harness = os.path.dirname(seccomp.__file__)
    code = PROBE.format(harness=harness, profile=PROFILE, calls=refused + allowed)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [str(ENOSYS)] * len(refused) + ["0"] * len(allowed), done


def test_the_profile_is_what_engines_read(env):
    with open(PROFILE) as file:
        profile = json.load(file)
    assert set(profile) == {"defaultAction", "defaultErrnoRet", "archMap", "syscalls"}
    seen = set()
    for rule in profile["syscalls"]:
        assert set(rule) <= {"comment", "names", "action", "args"}, rule
        free = {name for name in rule["names"] if "args" not in rule}
        assert not seen & free, f"named twice: {seen & free}"
        seen |= free
    assert {"io_uring_setup", "io_uring_enter", "io_uring_register"} <= seen


# The unit

def unit_value(key):
    with open(UNIT) as file:
        return " ".join(re.findall(rf"^{key}=(.*)$", file.read(), re.MULTILINE))


def analyze(*arguments):
    if not shutil.which("systemd-analyze"):
        raise Skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


def calls_of(word):
    """The system calls of a name or of a @group."""
    if not word.startswith("@"):
        return {word}
    lines = analyze("syscall-filter", "--no-pager", word).stdout.splitlines()
    inside = [line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*map(calls_of, inside))


def test_covet_lives_under_the_units_filter(env):
    needs_filters(env)
    allowed = set().union(*map(calls_of, unit_value("SystemCallFilter").split()))
    assert len(allowed) > 100, "the groups were read"
    profile = env.path("unit.json")
    with open(profile, "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": ENOSYS,
                   "syscalls": [{"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"}]}, file)
    os.chmod(profile, 0o644)
    serve_reload_upgrade(env, profile)


def test_the_unit_is_sound_and_shut(env):
    path = env.path("covet.service")
    with open(UNIT) as unit, open(path, "w") as copy:
        copy.write(unit.read().replace("/usr/local/bin/covet", env.covet))
    done = analyze("verify", "--man=no", path)
    assert done.returncode == 0 and not done.stderr.strip(), done
    done = analyze("security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE_MAX}", path)
    if "unrecognized" in done.stderr:
        raise Skip("systemd-analyze is too old for --offline")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
