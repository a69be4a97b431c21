"""Node's own http module; workers of its cluster module where there is more than one core."""
from harness.peer import PEERS, Peer, program, version_of


class Node(Peer):
    name, title = "node", "Node http"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    warm_up_seconds = 3  # Until V8 has compiled it, a request costs twice as much.
    note = "No framework; same fields as covet."

    def installed(self):
        return version_of([program("node"), "--version"], r"v(\S+)")

    def command(self, place):
        return [program("node"), str(PEERS / "node.js"), str(place.port), str(place.workers)]

    def environment(self, place):
        return {"NODE_ENV": "production"}
