"""`covet-prof serve` beside a covet under test: started on a free port, stopped, and judged by how
it ends."""

import json
import os
import re
import signal
import subprocess

from harness import Skip, metrics, profile
from harness.client import Client, get_bytes, get_once


def binary(env):
    """covet-prof; level 0 needs no rights and no kernel features."""
    path = os.path.join(os.path.dirname(env.covet), "covet-prof")
    if not os.access(path, os.X_OK):
        raise Skip("covet-prof was not built")
    return path


class Serve:
    """`with Serve(env, server, "--level", "0") as serve:` has it answering at serve.address."""

    def __init__(self, env, server, *options, listen="127.0.0.1:0"):
        self.env = env
        self.command = [binary(env), "serve", "--listen", listen, "-p", str(server.pid), *options]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, **profile.environment(self.env, "serve")})
        self.said = ""
        while not (found := re.search(r"shown at (http://([0-9.]+):(\d+)/)\n", self.said)):
            line = self.process.stdout.readline()
            assert line, f"ended with {self.process.wait()}: {self.said}"
            self.said += line
        self.url, self.address = found[1], (found[2], int(found[3]))
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:  # Never by SIGKILL, which would leave its maps pinned.
            self.process.send_signal(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=20 * self.env.slack)
        if kind is None:
            assert self.process.returncode == 0, (self.process.returncode, self.said + said)
            assert not re.search("Sanitizer|runtime error", said), said

    def get(self, target, *fields):
        return get_once(self.address, target, *fields)

    def metrics(self):
        return metrics.parse(self.get("/metrics").body.decode())

    def stats(self):
        return json.loads(self.get("/stats.json").body)


class Events:
    """A stream of /events, event by event."""

    def __init__(self, serve):
        self.client = Client(serve.address, timeout_s=10.0 * serve.env.slack)
        self.client.send(get_bytes("/events"))
        self.text = b""
        while b"\r\n\r\n" not in self.text:
            self.fill()
        self.head, self.text = self.text.split(b"\r\n\r\n", 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def fill(self):
        data = self.client.socket.recv(65536)
        assert data, "the stream has ended"
        self.text += data

    def next(self, wanted="stats"):
        """The data of the next event of this name, as JSON."""
        while True:
            while b"\n\n" not in self.text:
                self.fill()
            block, self.text = self.text.split(b"\n\n", 1)
            lines = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            if lines.get("event") == wanted:
                return json.loads(lines["data"])
