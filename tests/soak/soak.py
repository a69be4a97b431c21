"""One soak: rounds of traffic, each closed by a rest at which everything must be back to its base.

In a round honest and rude clients go on all the time, covet-load measures the tail, and the administrator
does one thing after the other. What costs everybody time (a server that is killed, or stands still) comes
between the load's end and the rest. Hand-overs and crashes belong to the first part of the run: the last
server process lives long enough to tell whether its memory grows.
"""

import asyncio
import random
import time

import gauges
from audit import Audit
from covet import Trouble
from load import Load
from operations import Operations
from rude import LATE_S, Rude
from truth import Truth
from users import User
from world import ANSWER_LIMIT_S, World

USERS, RUDE = 10, 4
ROUND_S_MAX, ROUNDS_MIN = 60.0, 8
ROUND_S_MIN = 12.0  # The longest behaviour waits for a time-out of 5 s, and has to come to its end.
REST_S = 4.0  # What a round has besides its load: the end of exchanges, the rest.
TURBULENT_PART = 0.6
HAND_OVER_EVERY, CRASH_EVERY = 3, 5
BASE_LIMIT_S = 6.0
PROGRESS_S = 10.0


class Soak:
    """say: where lines of progress go, None for nowhere."""

    def __init__(self, covet, bare_port, seed, minutes, say):
        self.covet, self.minutes, self.say = covet, minutes, say
        self.truth = Truth()
        self.world = World(self.truth, covet.addresses, seed, covet.slack)
        self.random = random.Random(f"{seed}:plan")
        self.operations = Operations(self.world, covet, self.random)
        self.load, self.audit = Load(covet, bare_port), Audit(covet.access_log)
        self.base, self.rests, self.stop_s = None, [], None
        self.warm_pid = None  # The server process whose memory is warm.
        self.lines_checked = self.lines_lost = self.late_rests = 0
        self.server_responses = 0
        self.round, self.rounds = 0, max(ROUNDS_MIN, round(minutes * 60 / ROUND_S_MAX))
        self.round_s = max(minutes * 60 / self.rounds, ROUND_S_MIN)

    async def run(self):
        await self.covet.start()
        clients = [User(self.world, i) for i in range(USERS)] + [Rude(self.world, i) for i in range(RUDE)]
        tasks = [asyncio.ensure_future(client.run()) for client in clients]
        tasks.append(asyncio.ensure_future(self.tell_progress()))
        try:
            self.base = await gauges.look(self.covet, self.truth.seconds())
            rounds = asyncio.ensure_future(self.go_round())
            # A client never ends by itself: one that does has a mistake of its own, and says so.
            done, _ = await asyncio.wait((rounds, *tasks), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self.stop_s = await self.covet.stop()
        except Trouble as error:
            self.world.fail("operation", "operator", "end", str(error))
        finally:
            self.world.is_over = True
            self.load.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def go_round(self):
        for self.round in range(self.rounds):
            await self.one_round(*self.planned())

    def planned(self):
        """Of this round: what happens under load, and what after it."""
        operations = self.operations
        count = max(4, round(self.round_s / 4))
        during = [self.random.choice(operations.ordinary()) for _ in range(count)]
        must = operations.ordinary()
        during[0] = must[self.round % len(must)]  # So that short runs have all of them.
        after = ["stall"] if self.round % 2 else []
        if self.round < self.rounds * TURBULENT_PART:
            if self.round % HAND_OVER_EVERY == 1:
                during[self.random.randrange(1, count)] = "hand_over"
            if self.round % CRASH_EVERY == 2:
                after.append("crash")
        return during, after

    async def one_round(self, during, after):
        load_s = max(self.round_s - REST_S - len(after), 2.0)
        before = self.rests[-1] if self.rests else self.base
        self.truth.note(f"round {self.round} begins: {' '.join(during)} | {' '.join(after)}")
        if self.covet.server_pid != self.warm_pid:
            self.warm_pid = self.covet.server_pid
            await self.load.warm()
        self.world.open_gate()
        load = asyncio.ensure_future(self.load.run(load_s))
        await self.operate(during, load_s)
        await load
        for name in after:
            await self.operations.do(name)
            await asyncio.sleep(0.5)
        self.truth.note("the gate closes")
        if not await self.world.close_gate((ANSWER_LIMIT_S + LATE_S) * self.covet.slack):
            self.world.fail("time-out", "clients", "rest", f"{self.world.busy} are still busy")
        await self.rest(before)

    async def operate(self, names, seconds):
        """Spread over the time there is; a long one makes the next ones come sooner."""
        end = time.monotonic() + seconds
        for index, name in enumerate(names):
            share = max(end - time.monotonic(), 0) / (len(names) - index + 0.5)
            await asyncio.sleep(share * self.random.uniform(0.3, 1.3))
            await self.operations.do(name)

    async def rest(self, before):
        """Waits until all is back to its base, and compares what was counted."""
        world, started = self.world, time.monotonic()
        looks = 0
        while True:
            now = await gauges.look(self.covet, self.truth.seconds())
            looks += 1
            self.audit.read()
            above = now.differences(self.base)
            missing = self.audit.missing(world.seen)
            late = time.monotonic() - started > BASE_LIMIT_S * self.covet.slack
            if late or not (above or missing):
                break
            await asyncio.sleep(0.1)
        now.is_warm = now.server_pid == self.warm_pid
        self.rests.append(now)
        if above:
            world.fail("left open", "server", "rest", "; ".join(above))
        self.compare(before, now, missing, looks)
        world.sent = world.answered = self.load.answered = 0
        world.seen.clear()
        self.audit.forget()

    def compare(self, before, now, missing, looks):
        """A server that was killed takes lines with it, and a new process counts from nothing."""
        world, audit = self.world, self.audit
        is_crashed = any(killed > self.truth.started + before.at_s for killed, _ in self.truth.crashes)
        self.lines_checked += len(world.seen)
        if missing and is_crashed:
            self.lines_lost += len(missing)
        elif missing:
            text = f"no line for {len(missing)} answers: {sorted(missing)[:5]}"
            world.fail("log", "access log", "rest", text)
        if twice := audit.twice():
            world.fail("log", "access log", "rest", f"two lines for one answer: {twice[:5]}")
        if audit.broken:
            world.fail("log", "access log", "rest", f"no line of a log: {audit.broken[0]!r}")
        if now.pid != before.pid or is_crashed:
            return
        counted = sum(now.responses.values()) - sum(before.responses.values())
        self.server_responses += counted
        answered = world.answered + self.load.answered
        # The page of /pending counts too, once for each look, and the last look comes before its own.
        most = world.sent + self.load.answered + looks
        if not answered <= counted <= most:
            text = f"the server counted {counted} responses, clients saw {answered} of {most} requests"
            world.fail("counters", "server", "rest", text)
        if now.responses["5xx"] > before.responses["5xx"]:
            world.fail("counters", "server", "rest", f"responses by class: {now.responses}")

    async def tell_progress(self):
        while True:
            await asyncio.sleep(PROGRESS_S)
            if self.say is None:
                continue
            rests, runs = self.rests, self.load.runs[-1:]
            tail = f"{self.load.tail_ms(runs):.1f} ms" if runs else "-"
            memory = f"{rests[-1].private_kib} KiB" if rests else "-"
            self.say(
                f"{self.truth.seconds():6.0f} s  round {self.round + 1}/{self.rounds}"
                f"  {sum(self.world.done.values())} exchanges"
                f"  {sum(self.world.failure_count.values())} failures"
                f"  tail {tail}  memory {memory}  {self.truth.events[-1][1][:40]}"
            )
