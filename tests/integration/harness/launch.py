"""Starts a program in a chosen state and becomes it: limits, user, inherited descriptor, io_uring
denied.

    python3 launch.py '{"nofile": 256, "deny_io_uring": 1}' PROGRAM ARGUMENT...

Keys: nofile, memlock (bytes), core, as, nproc, fsize: both limits. core_soft: one limit. uid: user and
group. listen_fd: descriptor moved to 3 with LISTEN_FDS=1 and LISTEN_PID set. deny_io_uring: errno that
the three io_uring calls shall return. seccomp: a container's profile (seccomp.py). setpriv: arguments
for setpriv(1), run last. strace: the command of faults.strace(), run last. It is a program of its own
so that the test process is never changed and nothing runs between fork and exec.
"""

import ctypes
import json
import os
import resource
import struct
import sys

import seccomp

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
LOAD_WORD, JUMP_GE, RETURN = 0x20, 0x35, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
# io_uring_setup, io_uring_enter and io_uring_register are 425 to 427 on every architecture.
FIRST, LAST = 425, 427


def deny_io_uring(errno_value):
    program = b"".join(
        struct.pack("HBBI", *step)
        for step in (
            (LOAD_WORD, 0, 0, 0),
            (JUMP_GE, 0, 2, FIRST),
            (JUMP_GE, 1, 0, LAST + 1),
            (RETURN, 0, 0, ERRNO | errno_value),
            (RETURN, 0, 0, ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp filter refused")


def main():
    how, command = json.loads(sys.argv[1]), sys.argv[2:]
    limits = {
        "nofile": resource.RLIMIT_NOFILE,
        "memlock": resource.RLIMIT_MEMLOCK,
        "core": resource.RLIMIT_CORE,
        "as": resource.RLIMIT_AS,
        "nproc": resource.RLIMIT_NPROC,
        "fsize": resource.RLIMIT_FSIZE,
    }
    for name, kind in limits.items():
        if name in how:
            resource.setrlimit(kind, (how[name], how[name]))
    if "core_soft" in how:
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (how["core_soft"], hard))
    if "listen_fd" in how:
        if how["listen_fd"] != 3:
            os.dup2(how["listen_fd"], 3)
        os.set_inheritable(3, True)
        os.environ["LISTEN_FDS"] = "1"
        os.environ["LISTEN_PID"] = str(os.getpid())
    if "uid" in how:
        os.setgroups([])
        os.setresgid(how["uid"], how["uid"], how["uid"])
        os.setresuid(how["uid"], how["uid"], how["uid"])
    if "seccomp" in how:
        seccomp.install(how["seccomp"])
    if "deny_io_uring" in how:
        deny_io_uring(how["deny_io_uring"])
    if "setpriv" in how:
        command = ["/usr/bin/setpriv", *how["setpriv"], *command]
    command = [*how.get("strace", []), *command]
    os.execvp(command[0], command)


main()
