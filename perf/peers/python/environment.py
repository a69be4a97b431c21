#!/usr/bin/env python3
"""The Python environment of the FastAPI peers: build/perf/python, with what requirements.txt names.

As a program it makes the environment where it is absent or of another requirements.txt, and ends
well either way: a machine that cannot reach PyPI is measured without these peers.
"""
import functools
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from harness.peer import BUILD, Missing, version_of  # noqa: E402

HERE = Path(__file__).resolve().parent
HOME = BUILD / "python"
PYTHON = HOME / "bin" / "python"
REQUIREMENTS = HERE / "requirements.txt"
INSTALLED = HOME / "requirements.txt"  # A copy, written when everything it names is there.
PATIENCE_S = 150

# The distribution's own is built with profile-guided optimisation; one that somebody built for
# himself often is not, and FastAPI then takes nearly twice as long for a request.
INTERPRETERS = ("/usr/bin/python3", sys.executable)

# Only wheels: what is built from source here would take minutes and a Rust compiler.
INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=1", "--timeout=10",
           "--only-binary=:all:", "--requirement", str(REQUIREMENTS))


def run(command, deadline):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=max(1, deadline - time.monotonic()))
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        raise Missing(f"{' '.join(command[:4])} ...: {lines[-1]}")


def make_empty(deadline):
    """With the first interpreter that can: the module for it is a package of its own on Debian."""
    for interpreter in INTERPRETERS:
        try:
            return run([interpreter, "-m", "venv", "--clear", str(HOME)], deadline)
        except (Missing, OSError) as error:
            reason = error
    raise Missing(f"{reason} (scripts/install-deps --perf)")


def make():
    """Raises Missing with the reason."""
    print(f"making {HOME.relative_to(BUILD.parents[1])} for the FastAPI peers", flush=True)
    deadline = time.monotonic() + PATIENCE_S
    try:
        make_empty(deadline)
        run([str(PYTHON), *INSTALL], deadline)
    except subprocess.TimeoutExpired:
        raise Missing(f"PyPI did not answer within {PATIENCE_S} s") from None
    except OSError as error:
        raise Missing(str(error)) from None
    INSTALLED.write_bytes(REQUIREMENTS.read_bytes())


@functools.cache
def failure():
    """Why there is no environment, or None; one attempt a run is enough for all peers."""
    if INSTALLED.exists() and INSTALLED.read_bytes() == REQUIREMENTS.read_bytes():
        return None
    try:
        make()
    except Missing as missing:
        return str(missing)
    return None


def python():
    """The interpreter of the environment, which is made where it is absent. Raises Missing."""
    if reason := failure():
        raise Missing(f"needs a Python environment with packages from PyPI: {reason}")
    return str(PYTHON)


def variables():
    """With these the interpreter finds `application`."""
    return {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}


def version(server):
    """The versions of a server and of the framework on it. Raises Missing."""
    told = f"from importlib.metadata import version as v; print(v('{server}') + ', FastAPI ' + v('fastapi'))"
    return version_of([python(), "-c", told], "(.+)")


if __name__ == "__main__":
    print(f"no FastAPI peers: {failure()}" if failure() else f"FastAPI peers: {PYTHON} is ready")
