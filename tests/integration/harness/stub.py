"""A small server whose every answer is the test's: what covet would never send."""

import os
import selectors
import socket
import threading
import time

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Stub:
    """`with Stub(answer) as stub:` serves 127.0.0.1:stub.port from one thread until the block ends.

    answer(stub, count) is called with the number of whole requests (heads without bodies) that one
    read brought; it returns the bytes to send and whether to close then. stub.requests counts them,
    stub.accepted the connections.
    """

    def __init__(self, answer, port=0):
        self.answer, self.requests, self.accepted = answer, 0, 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        self.ended, self.wake = os.pipe()
        self.watch = selectors.DefaultSelector()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the thread, then every connection and the listener."""
        os.write(self.wake, b"x")
        self.thread.join(10)
        for key in list(self.watch.get_map().values()):
            if key.fileobj is not self.ended:
                key.fileobj.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def serve(self):
        self.watch.register(self.ended, selectors.EVENT_READ)
        self.watch.register(self.listener, selectors.EVENT_READ)
        while True:
            for key, _ in self.watch.select():
                if key.fileobj is self.ended:
                    return
                if key.fileobj is self.listener:
                    self.accepted += 1
                    self.watch.register(self.listener.accept()[0], selectors.EVENT_READ)
                else:
                    self.read(key.fileobj)

    def read(self, connection):
        try:
            data = connection.recv(262144)
            count = data.count(b"\r\n\r\n")
            self.requests += count
            answer, close = self.answer(self, count) if count else (b"", not data)
            connection.sendall(answer)
        except (ConnectionResetError, BrokenPipeError):
            close = True
        if close:
            self.watch.unregister(connection)
            connection.close()


def hello(stub, count):
    return HELLO * count, False


def stalling(after_s, stall_s):
    """An answer function that works at once but for one pause, `after_s` after its first call."""
    state = {}

    def answer(stub, count):
        now = time.monotonic()
        if now >= state.setdefault("at", now + after_s):
            state["at"] = float("inf")
            time.sleep(stall_s)
        return HELLO * count, False

    return answer
