"""What clients share: addresses, the gate that makes them rest, the truth, what was counted, failures."""

import asyncio
import collections
import itertools
import time

ANSWER_LIMIT_S = 20.0
FAILURES_TOLD = 3  # Of each kind.


class Leave(Exception):
    """The gate closes: whoever only waits goes home."""


class Failure:
    def __init__(self, kind, who, what, text, moment):
        self.kind, self.who, self.what, self.text, self.moment = kind, who, what, text, moment


class World:
    def __init__(self, truth, addresses, seed, slack):
        self.truth, self.addresses, self.seed, self.slack = truth, addresses, seed, slack
        self.nonces = itertools.count(1)
        self.is_over = False
        self.gate = asyncio.Event()
        self.closing = asyncio.Event()
        self.busy = 0  # Clients inside of the gate.
        self.failures, self.failure_count = [], collections.Counter()
        self.explained = collections.Counter()
        self.done = collections.Counter()  # Exchanges by kind.
        # Since the last rest: requests sent, final answers seen, nonces whose answer was seen.
        self.sent = self.answered = 0
        self.seen = set()

    def open_gate(self):
        self.closing.clear()
        self.gate.set()

    async def close_gate(self, limit_s):
        """Returns whether everybody came to rest in time."""
        self.gate.clear()
        self.closing.set()
        deadline = time.monotonic() + limit_s
        while self.busy and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return self.busy == 0

    async def wait(self, seconds):
        """Sleeps, unless the gate closes: then Leave."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except asyncio.TimeoutError:
            return
        raise Leave

    def fail(self, kind, who, what, text):
        self.failure_count[kind] += 1
        self.truth.note(f"FAILED {kind}: {who} {what}: {text}")
        if self.failure_count[kind] <= FAILURES_TOLD:
            self.failures.append(Failure(kind, who, what, text, time.monotonic()))
