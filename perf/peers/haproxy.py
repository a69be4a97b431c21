"""haproxy: its rules answer, no server stands behind it."""
from harness.peer import Peer, fill, program, version_of


class Haproxy(Peer):
    name, title = "haproxy", "haproxy"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    note = ("`http-request return` for every GET; echo by a Lua service, as a rule answers with text only, "
            "always application/octet-stream. No Date: it would format one for each answer.")

    def installed(self):
        return version_of([program("haproxy"), "-v"], r"version (\d[\d.]*)")

    def prepare(self, place):
        fill("haproxy.cfg", place.directory / "haproxy.cfg", PORT=place.port, WORKERS=place.workers,
             CONNECTIONS=place.connections_max + 64)
        fill("haproxy.lua", place.directory / "echo.lua")

    def command(self, place):
        return [program("haproxy"), "-db", "-q", "-C", str(place.directory), "-f", "haproxy.cfg"]
