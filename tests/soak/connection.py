"""One connection of a client that is strict about what the server sends; it ends as its user likes."""

import asyncio
import re
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "integration"))

from harness.client import Ended, Reset, WireError, parse_head  # noqa: E402

RECEIVE_BYTES = 262144
HEAD_BYTES_MAX = 65536


class Refused(Exception):
    """Nobody listened."""


class Connection:
    """address: (host, port) or the path of a unix socket."""

    def __init__(self, address, receive_buffer=None):
        self.address, self.receive_buffer = address, receive_buffer
        self.loop = asyncio.get_running_loop()
        self.socket, self.buffer = None, bytearray()
        self.opened_at = self.used_at = time.monotonic()

    async def open(self):
        is_unix = isinstance(self.address, str)
        self.socket = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
        self.socket.setblocking(False)
        if not is_unix:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        try:
            while True:
                try:
                    await self.loop.sock_connect(self.socket, self.address)
                    break
                except BlockingIOError:  # A unix socket's queue is full (connect(2)).
                    await asyncio.sleep(0.005)
        except ConnectionRefusedError as error:
            self.socket.close()
            raise Refused(str(error)) from None
        except FileNotFoundError as error:
            self.socket.close()
            raise Refused(str(error)) from None
        except OSError as error:
            self.socket.close()
            raise Reset(str(error)) from None
        self.opened_at = self.used_at = time.monotonic()
        return self

    @property
    def is_open(self):
        return self.socket is not None and self.socket.fileno() >= 0

    def close(self):
        if self.socket is not None:
            self.socket.close()

    def reset(self):
        """Ends it with RST; a unix socket has none, and whoever reads there sees an end."""
        if self.is_open and not isinstance(self.address, str):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def shutdown(self):
        self.socket.shutdown(socket.SHUT_WR)

    async def send(self, data):
        try:
            await self.loop.sock_sendall(self.socket, data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Reset(f"while sending: {error}") from None

    async def fill(self, most=RECEIVE_BYTES):
        try:
            data = await self.loop.sock_recv(self.socket, most)
        except (ConnectionResetError, BrokenPipeError):
            raise Reset(f"reset, {self.held()}") from None
        if not data:
            raise Ended(f"end, {self.held()}")
        self.buffer += data
        self.used_at = time.monotonic()

    def held(self):
        return f"{len(self.buffer)} bytes held: {bytes(self.buffer[:80])!r}"

    async def line(self, mark=b"\r\n", most=HEAD_BYTES_MAX):
        while (at := self.buffer.find(mark)) < 0:
            if len(self.buffer) > most:
                raise WireError(f"no {mark!r} in {most} bytes: {bytes(self.buffer[:80])!r}")
            await self.fill()
        data = bytes(self.buffer[:at])
        del self.buffer[: at + len(mark)]
        return data

    async def head(self):
        """The next head: that of an interim answer too."""
        return parse_head(await self.line(b"\r\n\r\n"))

    async def pieces(self, count):
        """`count` bytes as they come."""
        while count > 0:
            if not self.buffer:
                await self.fill()
            data = bytes(self.buffer[:count])
            del self.buffer[: len(data)]
            count -= len(data)
            yield data

    async def body(self, response, is_head=False):
        """The body of `response` as it comes, without its coding."""
        lengths, codings = response.all("Content-Length"), response.all("Transfer-Encoding")
        if len(lengths) + len(codings) > 1:
            raise WireError(f"two framings: {lengths} {codings}")
        if is_head or response.status < 200 or response.status in (204, 304):
            return
        if lengths:
            async for piece in self.pieces(int(lengths[0])):
                yield piece
        elif codings == [b"chunked"]:
            while count := await self.chunk_size():
                async for piece in self.pieces(count):
                    yield piece
                if await self.line():
                    raise WireError("no CRLF behind a chunk")
            while await self.line():
                pass
        else:
            raise WireError(f"a body without an end: {response.fields}")

    async def chunk_size(self):
        line = await self.line(most=4096)
        if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", line):
            raise WireError(f"chunk line {line!r}")
        return int(line, 16)

    async def end(self):
        """The server's FIN, with no byte before it."""
        try:
            await self.fill()
        except Reset:
            raise
        except Ended:
            return
        raise WireError(f"bytes behind the last answer: {bytes(self.buffer[:80])!r}")
