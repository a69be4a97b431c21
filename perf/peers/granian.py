"""FastAPI on Granian, whose HTTP is Rust."""
from harness.peer import Peer
from peers.python.environment import python, variables, version


class Granian(Peer):
    name, title = "granian", "FastAPI on Granian"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    note = ("FastAPI on Granian with uvloop; HTTP/1 only, no WebSocket, no log, no telemetry. text/plain "
            "comes with a charset; its Server field cannot be left out.")

    def installed(self):
        return version("granian")

    def command(self, place):
        # Its back pressure counts connections, those that say nothing too.
        return [python(), "-m", "granian", "application:app", "--host", "127.0.0.1",
                "--port", str(place.port), "--workers", str(place.workers), "--interface", "asginl",
                "--http", "1", "--no-ws", "--no-log", "--loop", "uvloop",
                "--backlog", "65535", "--http1-header-read-timeout", "60000",
                "--backpressure", str(place.connections_max + 64), "--workers-kill-timeout", "1"]

    def environment(self, place):
        return variables()
