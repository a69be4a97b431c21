"""A small HTTP/1.1 client that trusts nothing: its own framing, strict about what the server may
send.

One Client is one connection. It sends exactly the bytes it is given and reads one response at a
time; bytes that no response accounts for stay visible, so a smuggled answer cannot hide.
"""

import re
import select
import socket
import struct
import time

TOKEN = re.compile(rb"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")
STATUS_LINE = re.compile(rb"^HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)$")
VALUE = re.compile(rb"^[\t\x20-\x7e\x80-\xff]*$")
IMF_DATE = re.compile(
    rb"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct"
    rb"|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$"
)


class WireError(Exception):
    """The server sent something that is not a well-formed response."""


class Ended(Exception):
    """The connection ended (FIN) before a whole response came."""


class Reset(Ended):
    """The connection was reset."""


class Silence(Exception):
    """Nothing came in time."""


class Response:
    def __init__(self, status, reason, fields):
        self.status, self.reason, self.fields, self.body = status, reason, fields, b""

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower().encode()]

    def get(self, name):
        values = self.all(name)
        return values[0].decode("latin-1") if values else None

    def tokens(self, name):
        joined = b",".join(self.all(name)).decode("latin-1")
        return {token.strip().lower() for token in joined.split(",") if token.strip()}

    @property
    def says_close(self):
        return "close" in self.tokens("Connection")

    def __repr__(self):
        return f"<{self.status} {self.body[:60]!r}>"


class Client:
    def __init__(self, address, timeout_s=5.0, receive_buffer=None):
        """address: (host, port) or the path of a unix socket."""
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.socket = socket.socket(family)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout_s = timeout_s
        self.buffer = bytearray()
        self.socket.settimeout(timeout_s)
        try:
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def shutdown(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.socket.settimeout(self.timeout_s)
        self.socket.sendall(data)

    def try_send(self, data):
        """Sends what the peer still takes; a connection the server has left is not an error
        here."""
        try:
            self.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def fill(self, deadline):
        self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.socket.recv(262144)
        except socket.timeout:
            raise Silence(f"no bytes in time; {len(self.buffer)} held: {bytes(self.buffer[:80])!r}")
        except (ConnectionResetError, BrokenPipeError):
            raise Reset(f"reset; {len(self.buffer)} bytes held: {bytes(self.buffer[:80])!r}")
        if not data:
            raise Ended(f"end; {len(self.buffer)} bytes held: {bytes(self.buffer[:80])!r}")
        self.buffer += data

    def take_until(self, mark, deadline, most):
        start = 0
        while (at := self.buffer.find(mark, start)) < 0:
            if len(self.buffer) > most:
                raise WireError(f"no {mark!r} in {most} bytes: {bytes(self.buffer[:80])!r}")
            start = max(len(self.buffer) - len(mark) + 1, 0)
            self.fill(deadline)
        data = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return data

    def take(self, count, deadline):
        while len(self.buffer) < count:
            self.fill(deadline)
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def read(self, head=False, timeout_s=None):
        """The next response, interim ones included. head: it answers a HEAD, so no body follows."""
        deadline = time.monotonic() + (timeout_s or self.timeout_s)
        response = parse_head(self.take_until(b"\r\n\r\n", deadline, 65536))
        lengths, codings = response.all("Content-Length"), response.all("Transfer-Encoding")
        if len(lengths) > 1 or (lengths and codings):
            raise WireError(f"two framings: {lengths} {codings}")
        if lengths and not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise WireError(f"Content-Length {lengths[0]!r}")
        if response.status < 200 or response.status == 204:
            if lengths or codings:
                raise WireError(f"{response.status} with a body length (RFC 9110 section 8.6)")
            return response
        if head or response.status == 304:
            return response
        if codings:
            if codings != [b"chunked"]:
                raise WireError(f"Transfer-Encoding {codings}")
            response.body = self.take_chunks(deadline)
        elif lengths:
            response.body = self.take(int(lengths[0]), deadline)
        else:
            response.body = self.take_rest(deadline)
        return response

    def read_final(self, **options):
        while True:
            response = self.read(**options)
            if response.status >= 200:
                return response

    def take_chunks(self, deadline):
        body = bytearray()
        while True:
            line = self.take_until(b"\r\n", deadline, 4096)
            if not re.fullmatch(rb"[0-9a-fA-F]{1,15}(;.*)?", line):
                raise WireError(f"chunk line {line!r}")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            body += self.take(size, deadline)
            if self.take(2, deadline) != b"\r\n":
                raise WireError("no CRLF behind a chunk")
        while self.take_until(b"\r\n", deadline, 8192):
            pass
        return bytes(body)

    def take_rest(self, deadline):
        try:
            while True:
                self.fill(deadline)
        except Reset:
            raise
        except Ended:
            data = bytes(self.buffer)
            self.buffer.clear()
            return data

    def request(self, data, head=False, timeout_s=None):
        self.send(data)
        return self.read_final(head=head, timeout_s=timeout_s)

    def get(self, target, **options):
        return self.request(get_bytes(target), **options)

    def rest(self, timeout_s=3.0):
        """Every byte up to the server's FIN; raises Reset, or Silence if it does not come."""
        return self.take_rest(time.monotonic() + timeout_s)

    def is_silent(self, seconds):
        """True if nothing at all arrives, FIN included, for that long."""
        return not self.buffer and not select.select([self.socket], [], [], seconds)[0]


def parse_head(data):
    lines = data.split(b"\r\n")
    match = STATUS_LINE.match(lines[0])
    if not match:
        raise WireError(f"status line {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or not VALUE.match(value):
            raise WireError(f"field line {line!r}")
        fields.append((name, value.strip(b" \t")))
    response = Response(int(match[1]), match[2].decode("latin-1"), fields)
    if response.status >= 200:
        dates = response.all("Date")
        if len(dates) != 1 or not IMF_DATE.match(dates[0]):
            raise WireError(f"{response.status} with Date {dates} (RFC 9110 section 6.6.1)")
    return response


def get_bytes(target, *fields):
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post_bytes(target, body, *fields):
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: localhost",
        f"Content-Length: {len(body)}",
        *fields,
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked_bytes(target, chunks, *fields):
    lines = [
        f"POST {target} HTTP/1.1",
        "Host: localhost",
        "Transfer-Encoding: chunked",
        *fields,
        "",
        "",
    ]
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    return "\r\n".join(lines).encode("latin-1") + coded + b"0\r\n\r\n"


def get_once(address, target="/", *fields, timeout_s=5.0):
    """One request on a connection of its own, closed by the server."""
    with Client(address, timeout_s) as client:
        client.send(get_bytes(target, "Connection: close", *fields))
        response = client.read_final()
        if client.rest():
            raise WireError("bytes behind the last response")
        return response
