"""Node's own http module; workers of its cluster module where there is more than one core."""
from harness.peer import PEERS, Peer, program, version_of


class Node(Peer):
    name, title = "node", "Node http"
    serves = frozenset({"hello", "json", "params", "echo", "close"})
    note = "No framework; same fields as covet."

    def installed(self):
        return version_of([program("node"), "--version"], r"v(\S+)")

    def command(self, place):
        return [program("node"), str(PEERS / "node.js"), str(place.port), str(place.workers)]

    def environment(self, place):
        return {"NODE_ENV": "production"}
