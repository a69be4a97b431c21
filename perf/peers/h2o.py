"""h2o: its file handler and, for what no file holds, mruby."""
from harness.peer import Peer, fill, program, version_of


class H2o(Peer):
    name, title = "h2o", "h2o"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    note = ("Small files for hello and JSON, from its cache of open files; parameters and echo in mruby, "
            "echo always application/octet-stream. Connection, Last-Modified and Accept-Ranges fields more.")

    def installed(self):
        return version_of([program("h2o"), "--version"], r"h2o version (\S+)")

    def prepare(self, place):
        (place.directory / "hello.txt").write_text("Hello, World!")
        (place.directory / "hello.json").write_text('{"message":"Hello, World!"}')
        fill("h2o.conf", place.directory / "h2o.conf", PORT=place.port, WORKERS=place.workers,
             CONNECTIONS=place.connections_max + 64, DIRECTORY=place.directory)

    def command(self, place):
        return [program("h2o"), "-c", str(place.directory / "h2o.conf")]
