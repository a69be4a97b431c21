"""What the integration tests share: the server under test, a strict client, /proc and metrics
readers.

A test is a function `test_<sentence>(env)` in tests/integration/test_*.py. It raises AssertionError
to fail and Skip to be left out. Marks (below) say what it needs; run.py reads them.

A machine may stand still for a tenth of a second at any moment. So a test waits for what it needs
(procfs.wait_for) instead of sleeping, and asserts with measured() whatever such a moment can spoil.
"""

import os
import socket


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Disturbed(AssertionError):
    """What was measured is not as it should be, and the machine may be why."""


def measured(holds, why):
    """Asserts what depends on the machine's keeping pace: a time and its bound, a share of a core, what was
    done within a time. run.py takes a test that fails here anew, twice at most: the machine spoils one of
    three, a mistake of the program all of them. Nothing else is asserted with it."""
    if not holds:
        raise Disturbed(why)


def first_free(ports):
    """The first of these loopback ports that nobody listens on."""
    for port in ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def slow(function):
    """Run only with --slow."""
    function.is_slow = True
    return function


def needs_root(function):
    """Skipped for an ordinary user."""
    function.needs_root = True
    return function


def limit_s(seconds):
    """After twice this time run.py kills the test and calls it failed (default 30)."""

    def mark(function):
        function.limit_s = seconds
        return function

    return mark


def group(lister):
    """One function that yields many results: lister() gives their names, the function is called
    with (env, names) and yields (name, None | reason | Skip, seconds)."""

    def mark(function):
        function.lister = lister
        return function

    return mark


class Env:
    """What run.py hands to each test: the binary, the examples, a directory of its own, free
    ports."""

    def __init__(self, covet, module_dir, directory, lane):
        self.covet = os.path.abspath(covet)
        self.module_dir = module_dir and os.path.abspath(module_dir)
        self.directory = directory
        self.lane = lane
        self.is_root = os.geteuid() == 0
        # Sanitizer builds are several times slower and larger; bounds on time and memory know it.
        self.is_sanitized = "asan" in self.covet or "tsan" in self.covet
        self.slack = 4 if self.is_sanitized else 1
        # ThreadSanitizer starts a thread of its own before main, with the rights of then.
        self.has_checker_thread = "tsan" in self.covet
        self.ports = 0

    def needs_own_threads_only(self):
        if self.has_checker_thread:
            raise Skip("the sanitizer has a thread of its own")

    def path(self, name):
        return os.path.join(self.directory, name)

    def free_port(self):
        """A loopback port below the ephemeral range that nobody listens on. Lanes never share
        ports."""
        def ports_of_lane():
            while True:
                self.ports += 1
                yield 20000 + self.lane * 1000 + (os.getpid() * 37 + self.ports) % 1000

        return first_free(ports_of_lane())
