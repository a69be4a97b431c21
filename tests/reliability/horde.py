"""Many slow clients in one process: each opens a connection, sends what it is given and then a little at
a time, and notes how long the server bears with it.
"""

import collections
import multiprocessing
import resource
import select
import socket
import time
from dataclasses import dataclass

from harness import measured

CONNECTIONS_AHEAD = 200  # Under way at once: a listener's queue is not what is measured.
ETHERNET_SEGMENT = 1448  # Loopback's are of 64 KiB, and so would be what the kernel holds for each client.
POLL_S = 0.04  # What is due in it is sent together, so that the clients take little of the machine.


@dataclass
class Manner:
    """What each client does."""

    first: bytes          # Sent at once.
    drip: bytes = b""     # Sent every `every_s`, until `drips` are sent.
    every_s: float = 0.0
    drips: int = 1 << 30
    reads: bool = True    # Else it never takes an answer from the socket.
    receive_buffer: int = 0  # Not 0: as small as that, on a connection as over Ethernet.
    addresses: int = 1    # 127.0.0.2 and on, in turn.


@dataclass
class Outcome:
    opened_s: float        # Of the monotonic clock.
    lived_s: float = -1.0  # Below 0: still there at the end.
    status: int = 0        # Of the answer, 0 without one.
    answered_s: float = -1.0
    refused: bool = False
    dripped: int = 0


class Horde:
    """`with Horde(address, count, manner, seconds) as horde:` opens them; `horde.outcomes()` waits until
    they are gone, at most for those seconds. `is_open` is set once all are connected."""

    def __init__(self, address, count, manner, seconds):
        self.address, self.count, self.manner, self.seconds = address, count, manner, seconds
        fork = multiprocessing.get_context("fork")
        self.pipe, theirs = fork.Pipe(duplex=False)
        self.is_open, self.leaving = fork.Event(), fork.Event()
        self.process = fork.Process(target=self.run, args=(theirs,), daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()

    def wait_open(self, seconds):
        measured(self.is_open.wait(seconds), f"{self.count} connections are not open after {seconds} s")

    def outcomes(self):
        assert self.pipe.poll(self.seconds + 30), "the clients say nothing"
        return self.pipe.recv()

    def leave(self):
        """Ends them, and gives what they saw."""
        self.leaving.set()
        return self.outcomes()

    # In the process of the clients.

    def run(self, pipe):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.poll, self.sockets, self.seen = select.epoll(), {}, []
        self.dripping = collections.deque()  # (when due, descriptor), in order as the pace is the same.
        self.connecting = set()
        ends_s = time.monotonic() + self.seconds
        while (now_s := time.monotonic()) < ends_s and not self.leaving.is_set():
            while len(self.seen) < self.count and len(self.connecting) < CONNECTIONS_AHEAD:
                self.open()
            if len(self.seen) == self.count and not self.connecting:
                self.is_open.set()
                if not self.sockets:
                    break
            self.drip(now_s)
            for descriptor, events in self.poll.poll(POLL_S, 1024):
                self.on_event(descriptor, events)
        pipe.send(self.seen)

    def open(self):
        one = socket.socket()
        one.setblocking(False)
        number = len(self.seen)
        if self.manner.receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.manner.receive_buffer)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, ETHERNET_SEGMENT)
        if self.manner.addresses > 1:
            one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            one.bind((f"127.0.0.{2 + number % self.manner.addresses}", 0))
        one.connect_ex(self.address)
        self.seen.append(Outcome(time.monotonic()))
        self.sockets[one.fileno()] = (one, number)
        self.connecting.add(one.fileno())
        self.poll.register(one.fileno(), select.EPOLLOUT)

    def on_event(self, descriptor, events):
        one, number = self.sockets[descriptor]
        if descriptor in self.connecting:
            self.connecting.discard(descriptor)
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.seen[number].refused = True
                self.end(descriptor)
                return
            self.seen[number].opened_s = time.monotonic()
            wanted = select.EPOLLIN | select.EPOLLRDHUP if self.manner.reads else 0
            self.poll.modify(descriptor, wanted)
            if not self.send(descriptor, self.manner.first):
                return
            if self.manner.drip:
                self.dripping.append((self.seen[number].opened_s + self.manner.every_s, descriptor))
        elif events & (select.EPOLLERR | select.EPOLLHUP) and not events & select.EPOLLIN:
            self.end(descriptor)
        else:
            self.receive(descriptor)

    def receive(self, descriptor):
        one, number = self.sockets[descriptor]
        try:
            data = one.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        outcome = self.seen[number]
        if data[:9] == b"HTTP/1.1 " and not outcome.status:
            outcome.status, outcome.answered_s = int(data[9:12]), time.monotonic()
        if not data:
            self.end(descriptor)

    def send(self, descriptor, data):
        one, _ = self.sockets[descriptor]
        try:
            one.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.end(descriptor)
            return False
        return True

    def drip(self, now_s):
        while self.dripping and self.dripping[0][0] <= now_s:
            due_s, descriptor = self.dripping.popleft()
            if descriptor not in self.sockets:
                continue
            outcome = self.seen[self.sockets[descriptor][1]]
            if outcome.opened_s > due_s:  # A number given to a later connection.
                continue
            if self.send(descriptor, self.manner.drip):
                outcome.dripped += 1
                if outcome.dripped < self.manner.drips:
                    self.dripping.append((due_s + self.manner.every_s, descriptor))

    def end(self, descriptor):
        one, number = self.sockets.pop(descriptor)
        self.connecting.discard(descriptor)
        self.seen[number].lived_s = time.monotonic() - self.seen[number].opened_s
        one.close()
