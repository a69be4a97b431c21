"""The do-nothing responder of the benchmarks, as a server for tests."""

import json
import os
import signal
import socket
import subprocess
import time

from harness import Skip


class Limit:
    """`with Limit(env, OPTION...) as limit:`; afterwards limit.counts is what it counted."""

    def __init__(self, env, *options):
        self.program = os.path.join(os.path.dirname(env.covet), "limit")
        if not os.access(self.program, os.X_OK):
            raise Skip(f"{self.program} is not built")
        self.address = ("127.0.0.1", env.free_port())
        self.url = f"http://127.0.0.1:{self.address[1]}/"
        self.command = [self.program, "--port", str(self.address[1]), "--seconds", "20", *options]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while True:
            try:
                # Each worker's listener is there before the first answers; this one is counted.
                socket.create_connection(self.address, 1).close()
                return self
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.command
                time.sleep(0.02)

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        text = self.process.communicate(timeout=40)[0]
        if kind is None:
            assert self.process.returncode == 0, f"{self.command}: {self.process.returncode}"
            self.counts = json.loads(text)
