"""FastAPI on uvicorn with its fastest parts: uvloop and httptools."""
from harness.peer import Peer
from peers.python.environment import python, variables, version


class Uvicorn(Peer):
    name, title = "uvicorn", "FastAPI on uvicorn"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    note = ("FastAPI on uvicorn with uvloop and httptools; no access log, no Server field, no middleware for "
            "proxies, no telemetry. text/plain comes with a charset.")

    def installed(self):
        return version("uvicorn")

    def command(self, place):
        return [python(), "-m", "uvicorn", "application:app", "--host", "127.0.0.1",
                "--port", str(place.port), "--workers", str(place.workers), "--loop", "uvloop",
                "--http", "httptools", "--ws", "none", "--lifespan", "off", "--log-level", "error",
                "--no-access-log", "--no-server-header", "--no-proxy-headers", "--backlog", "65535",
                "--timeout-keep-alive", "3600", "--timeout-graceful-shutdown", "1"]

    def environment(self, place):
        return variables()
