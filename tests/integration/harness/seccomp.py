"""Puts a container's seccomp profile (the JSON of Docker and Podman) into force on this process.

Container engines hand it to libseccomp; here it is translated to the kernel's filter directly, so that
a test needs no engine. Known is what our profile uses: one default error, names that are allowed,
arguments compared with EQ or MASKED_EQ.
"""

import ctypes
import json
import re
import struct

HEADER = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD, AND, JUMP_EQUAL, RETURN = 0x20, 0x54, 0x15, 0x06  # BPF_LD|W|ABS, ALU|AND|K, JMP|JEQ|K, RET|K
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
AUDIT_ARCH_X86_64 = 0xC000003E
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # Offsets in struct seccomp_data.
KNOWN_OPERATIONS = ("SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ")


def numbers():
    """{name: number} of this machine's system calls."""
    with open(HEADER) as file:
        return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", file.read())}


def compare(argument):
    """Steps that fall through where one argument is as wanted; None: jump to the end of this rule."""
    assert argument["op"] in KNOWN_OPERATIONS, argument
    is_masked = argument["op"] == "SCMP_CMP_MASKED_EQ"
    mask = argument["value"] if is_masked else 2**64 - 1
    value = argument["valueTwo"] if is_masked else argument["value"]
    for half in (0, 1):
        yield LOAD, 0, 0, ARGUMENTS + 8 * argument["index"] + 4 * half
        yield AND, 0, 0, mask >> 32 * half & 0xFFFFFFFF
        yield JUMP_EQUAL, 0, None, value >> 32 * half & 0xFFFFFFFF


def rule_steps(number, arguments):
    steps = [(JUMP_EQUAL, 0, None, number)]
    for argument in arguments:
        steps += compare(argument)
    steps.append((RETURN, 0, 0, ALLOW))
    # A comparison has loaded something else in place of the number.
    end = [(LOAD, 0, 0, NUMBER)] if arguments else []
    return [(code, yes, len(steps) - at - 1 if no is None else no, value)
            for at, (code, yes, no, value) in enumerate(steps)] + end


def program(profile):
    """The filter as the kernel wants it. A name that this machine's kernel has not is left out."""
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO", profile["defaultAction"]
    number_of = numbers()
    steps = [(LOAD, 0, 0, ARCHITECTURE), (JUMP_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
             (RETURN, 0, 0, KILL_PROCESS), (LOAD, 0, 0, NUMBER)]
    for rule in profile["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW", rule
        for name in number_of.keys() & set(rule["names"]):
            steps += rule_steps(number_of[name], rule.get("args", []))
    steps.append((RETURN, 0, 0, ERRNO | profile["defaultErrnoRet"]))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def install(path):
    """From here on, and in all that is executed."""
    with open(path) as file:
        code = program(json.load(file))
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp filter refused")
