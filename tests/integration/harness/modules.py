"""Builds the modules of tests/integration/modules for the covet under test."""

import os
import shutil
import subprocess

from harness import Skip

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")


def build(env, name):
    """The path of modules/NAME.c, or of a C file's path, as a loadable module."""
    source = os.path.join(ROOT, f"tests/integration/modules/{name}.c") if "/" not in name else name
    library = env.path(os.path.basename(source)[:-2] + ".so")
    flags = ["-fsanitize=thread"] if "tsan" in env.covet else []
    flags += ["-fsanitize=address"] if "asan" in env.covet else []
    include = "-I" + os.path.join(ROOT, "include")
    command = ["gcc", "-shared", "-fPIC", "-O2", "-pthread", *flags, include, "-o", library, source]
    if not shutil.which("gcc"):
        raise Skip("no gcc")
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    os.chmod(library, 0o755)
    return library
