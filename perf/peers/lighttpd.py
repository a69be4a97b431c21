"""lighttpd: small files, and Lua for what no file holds where mod_magnet is installed."""
import resource
from pathlib import Path

from harness.peer import Missing, Peer, fill, program, version_of

MAGNET = Path("/usr/lib/lighttpd/mod_magnet.so")
SCRIPTS = """
server.modules += ( "mod_magnet" )
$HTTP["url"] =^ "/api/users/" { magnet.attract-raw-url-to = ( "@DIRECTORY@/lighttpd_params.lua" ) }
$HTTP["url"] == "/echo" { magnet.attract-raw-url-to = ( "@DIRECTORY@/lighttpd_echo.lua" ) }
"""


class Lighttpd(Peer):
    name, title = "lighttpd", "lighttpd"
    note = ("Small files for hello and JSON, from its cache; parameters and echo by Lua scripts, echo always "
            "application/octet-stream. A Last-Modified field more; a connection ends after 65,535 requests.")

    @property
    def serves(self):
        return {"hello", "json", "close"} | ({"params", "echo"} if MAGNET.exists() else set())

    def installed(self):
        return version_of([program("lighttpd"), "-v"], r"lighttpd/(\S+)")

    def prepare(self, place):
        # It takes half as many connections as it may have files open, and refuses the others.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        connections = place.connections_max + 16
        if files != resource.RLIM_INFINITY and 2 * connections > files:
            raise Missing(f"does not serve {place.connections_max} connections where {files} files may be "
                          "open: it wants two for each")
        api = place.directory / "files" / "api"
        api.mkdir(parents=True)
        (api.parent / "index.txt").write_text("Hello, World!")
        (api / "json").write_text('{"message":"Hello, World!"}')
        # With workers, one more process watches over them.
        workers = place.workers if place.workers > 1 else 0
        fill("lighttpd.conf", place.directory / "lighttpd.conf", PORT=place.port, WORKERS=workers,
             CONNECTIONS=connections, FILES=2 * connections,
             SCRIPTS=SCRIPTS if MAGNET.exists() else "", DIRECTORY=place.directory)
        for script in ("lighttpd_params.lua", "lighttpd_echo.lua"):
            fill(script, place.directory / script)

    def command(self, place):
        return [program("lighttpd"), "-D", "-f", str(place.directory / "lighttpd.conf")]
