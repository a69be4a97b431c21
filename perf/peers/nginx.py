"""nginx: answers of the configuration itself, no file behind them."""
from pathlib import Path

from harness.peer import Peer, fill, program, version_of

ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")


class Nginx(Peer):
    name, title = "nginx", "nginx"
    note = ("`return 200` for every GET, parameters by a compiled regular expression; echo by the echo "
            "module, chunked, always application/octet-stream. Server and Connection fields more.")

    @property
    def serves(self):
        return {"hello", "json", "params", "close"} | ({"echo"} if ECHO.exists() else set())

    def installed(self):
        return version_of([program("nginx"), "-v"], r"nginx/(\S+)")

    def prepare(self, place):
        echo = ECHO.exists()
        # It ends idle connections when fewer than a sixteenth of its places are left.
        fill("nginx.conf", place.directory / "nginx.conf", PORT=place.port, WORKERS=place.workers,
             CONNECTIONS=place.connections_max * 9 // 8 + 64,
             MODULES=f"load_module {ECHO};" if echo else "",
             ECHO="echo_read_request_body; echo_request_body;" if echo else "return 404;")

    def command(self, place):
        return [program("nginx"), "-p", str(place.directory), "-c", "nginx.conf"]
