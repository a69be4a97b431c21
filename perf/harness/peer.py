"""What one server is to the comparison. Every file in perf/peers/ holds subclasses of Peer, which are
found by themselves: a peer is added by adding a file.

    from harness.peer import Missing, Peer, fill, program, version_of

    class Nginx(Peer):
        name, title, serves = "nginx", "nginx", {"hello", "json", "params", "close"}

        def installed(self):
            return version_of([program("nginx"), "-v"], r"nginx/(\\S+)")

        def prepare(self, place):
            fill("nginx.conf", place.directory / "nginx.conf", PORT=place.port, WORKERS=place.workers)

        def command(self, place):
            return [program("nginx"), "-p", str(place.directory), "-c", "nginx.conf"]

What a peer answers is laid down here, as far as it can: 200, `Content-Type`, `Content-Length`, `Date`,
no further fields; no log, no compression, keep-alive without a limit of requests.

    hello    GET /                                    Hello, World!  text/plain
    json     GET /api/json                            {"message":"Hello, World!"}  application/json
    params   GET /api/users/{id}/posts/{post}/comments
                                                      {"id":"7","post":"42","comments":[]}  application/json
    echo     POST /echo                               the body as it came
    close    one of the above, then the connection ends when the client says `Connection: close`

White space in JSON is free. An answer that is otherwise is reported as failing and not measured.
"""
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "perf" / "peers"
BUILD = ROOT / "build" / "perf"  # What a peer installs for itself (a Python environment) goes below it.


class Missing(Exception):
    """Why a server cannot be measured here, as a person would say it; reports print it."""


@dataclass(frozen=True)
class Place:
    """Where a server runs. The harness has pinned it to `cores`, and raised its soft limit of
    descriptors to the hard one, before it starts."""

    directory: Path  # Its own, empty, readable by everybody; removed when it has ended.
    port: int  # On 127.0.0.1.
    cores: tuple[int, ...]
    connections_max: int  # As many are open at once at the most.

    @property
    def workers(self):
        """How many processes or threads serve: one a core."""
        return len(self.cores)


class Peer:
    name = ""  # Unique, lower case: rows of tables, --only.
    title = ""  # What a person calls it.
    serves = frozenset({"hello"})  # Of hello, json, params, echo, close.
    warm_up_seconds = 0  # Under load before it is measured: what a compiler at run time needs.
    note = ""  # What a reader of its figures must know: what it was given, what it does not do.

    def installed(self):
        """Its version. Raises Missing with the reason where it is not to be had."""
        raise NotImplementedError

    def prepare(self, place):
        """Writes what `command` needs into `place.directory`."""

    def command(self, place):
        """The command line. It must stay in the foreground, serve until SIGTERM, and end every process
        of its own then; the first connection to the port succeeds only when all workers serve."""
        raise NotImplementedError

    def environment(self, place):
        """Variables beside those of the caller."""
        return {}


def program(name):
    """The path of a program; system ones are not in everybody's PATH. Raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if not found:
        raise Missing(f"{name} is not installed (scripts/install-deps --perf)")
    return found


def version_of(command, pattern):
    """The first group of `pattern` in what `command` prints on either stream. Raises Missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{os.path.basename(command[0])} does not run: {error}") from None
    found = re.search(pattern, done.stdout + done.stderr)
    if not found:
        raise Missing(f"{' '.join(map(str, command))} does not tell its version")
    return found.group(1)


def fill(template, target, **values):
    """Copies perf/peers/`template` to `target`, with `@NAME@` replaced by the value of NAME."""
    text = (PEERS / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    if left := re.search(r"@[A-Z_]+@", text):
        raise ValueError(f"{template}: nothing stands for {left.group()}")
    Path(target).write_text(text)
