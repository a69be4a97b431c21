"""Clients in processes of their own that ask, check each answer and keep account of what went wrong.

Requests are GET /nonce/N and POST /echo in turn; the answer must hold the very nonce, so an answer that
belongs to somebody else shows. A fault is one of

    refused   no connection
    reset     the connection ended with RST
    lost      it ended without (the whole of) an answer, though no answer had announced the end
    silent    no answer within SILENCE_S
    wrong     an answer that is not the one asked for
"""

import multiprocessing
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from harness.client import Client, Ended, Reset, Silence, get_bytes, post_bytes

SILENCE_S = 10.0
BODY_BYTES_MAX = 20000
SHOWN = 3


@dataclass
class Fault:
    kind: str
    text: str
    connected_s: float  # Times are of the monotonic clock; when the connection was made (or tried),
    at_s: float         # and when the fault showed.
    requests: int       # Answered on that connection before.


@dataclass
class Account:
    answered: int = 0
    connections: int = 0
    announced: int = 0  # Connections whose last answer said so.
    faults: list = field(default_factory=list)

    def add(self, other):
        self.answered += other.answered
        self.connections += other.connections
        self.announced += other.announced
        self.faults += other.faults

    def kinds(self):
        return Counter(fault.kind for fault in self.faults)

    def samples(self):
        return [f"{fault.kind} at {fault.at_s:.3f} s: {fault.text}" for fault in self.faults[:SHOWN]]


class Visitor:
    """One thread: a connection at a time, `requests_max` requests on each (None: until it is to end)."""

    def __init__(self, address, requests_max, pause_s, stays, seed):
        self.address, self.requests_max, self.pause_s, self.stays = address, requests_max, pause_s, stays
        self.dice = random.Random(seed)
        self.account = Account()

    def run(self, stopping):
        """Until told so; one that does not stay goes with its first refused connection."""
        while not stopping.is_set():
            began_s = time.monotonic()
            answered = self.account.answered
            try:
                with Client(self.address, SILENCE_S) as client:
                    self.account.connections += 1
                    began_s = time.monotonic()
                    self.visit(client, stopping)
                continue
            except Reset as error:
                kind, text = "reset", str(error)
            except Ended as error:
                kind, text = "lost", str(error)
            except ConnectionRefusedError as error:
                kind, text = "refused", str(error)
            except (Silence, TimeoutError) as error:
                kind, text = "silent", str(error)
            except OSError as error:
                kind, text = "reset", str(error)
            except Exception as error:
                kind, text = "wrong", f"{type(error).__name__}: {error}"
            self.account.faults.append(
                Fault(kind, text, began_s, time.monotonic(), self.account.answered - answered))
            if kind == "refused" and not self.stays:
                return
            time.sleep(0.01)

    def visit(self, client, stopping):
        done, says_close = 0, False
        while not says_close and not stopping.is_set():
            done += 1
            last = done == self.requests_max
            response, wanted = self.ask(client, last)
            if response.status != 200 or response.body != wanted:
                raise ValueError(f"{response} instead of {wanted[:40]!r}, {len(wanted)} bytes")
            self.account.answered += 1
            says_close = response.says_close
            if self.pause_s and not says_close:
                time.sleep(self.dice.uniform(0, 2 * self.pause_s))
        if says_close:
            self.account.announced += 1
            if client.rest(SILENCE_S):
                raise ValueError("bytes behind the last answer")

    def ask(self, client, last):
        """The answer and the body it should have."""
        nonce = b"%016x" % self.dice.getrandbits(64)
        fields = ["Connection: close"] if last else []
        if self.dice.random() < 0.5:
            return client.request(get_bytes("/nonce/" + nonce.decode(), *fields)), nonce
        body = nonce * self.dice.randint(1, BODY_BYTES_MAX // len(nonce))
        return client.request(post_bytes("/echo", body, *fields)), body


def run_visitors(pipe, stopping, threads, seed, arguments):
    visitors = [Visitor(*arguments, f"{seed}.{number}") for number in range(threads)]
    running = [threading.Thread(target=one.run, args=(stopping,), daemon=True) for one in visitors]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    account = Account()
    for one in visitors:
        account.add(one.account)
    pipe.send(account)


class Visitors:
    """`with Visitors(...) as visitors:` has them running; behind it `visitors.account` is what they saw."""

    def __init__(self, address, requests_max=1, processes=2, threads=3, pause_s=0.0, stays=True, seed=0):
        self.account = Account()
        fork = multiprocessing.get_context("fork")
        self.stopping = fork.Event()
        self.pipes, self.processes = [], []
        for number in range(processes):
            ours, theirs = fork.Pipe(duplex=False)
            arguments = (address, requests_max, pause_s, stays)
            self.pipes.append(ours)
            self.processes.append(fork.Process(
                target=run_visitors, daemon=True,
                args=(theirs, self.stopping, threads, f"{seed}.{number}", arguments)))

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for pipe, process in zip(self.pipes, self.processes):
            if pipe.poll(2 * SILENCE_S):
                self.account.add(pipe.recv())
            process.join(1)
            if process.is_alive():
                process.kill()
