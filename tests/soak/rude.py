"""Clients that misbehave, or are slow. What they break is theirs; what they still have a right to is judged
as strictly as with the honest ones."""

import asyncio
import random
import time

from connection import Connection, Ended, Refused, Reset, WireError
from noise import Noise
from truth import IDLE_TIMEOUT_S
from users import Wrong, request
from world import ANSWER_LIMIT_S, Leave

HEADER_TIMEOUT_S, WRITE_TIMEOUT_S = 5.0, 4.0
LATE_S = 5.0  # By how much a time-out may be late on a machine that does other things.
FLOOD_MAX = 300
SMALL_BUFFER = 4096
SLOWLY_S = 3.0  # How long whoever reads slowly does.


class Rude:
    def __init__(self, world, number):
        self.world, self.name = world, f"rude{number}"
        self.random = random.Random(f"{world.seed}:{self.name}")
        self.what, self.open_ones = "", []

    async def run(self):
        first = self.random.sample(BEHAVIOURS, len(BEHAVIOURS))  # Once each to its end, as users do.
        while not self.world.is_over:
            await self.world.gate.wait()
            self.world.busy += 1
            try:
                while not self.world.closing.is_set():
                    try:
                        await self.misbehave(first[-1] if first else self.random.choice(BEHAVIOURS))
                    except Leave:
                        first = first[-1:] + first[:-1]
                        raise
                    first = first[:-1]
                    await self.world.wait(self.random.random() * 0.3)
            except Leave:
                pass
            finally:
                self.leave()
                self.world.busy -= 1

    async def misbehave(self, behaviour):
        self.what, started = behaviour.__name__, time.monotonic()
        truth = self.world.truth
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S * self.world.slack):
                await behaviour(self)
            self.world.done[behaviour.__name__] += 1
        except (Ended, Refused, Wrong, WireError, TimeoutError, OSError) as error:
            now = time.monotonic()
            if isinstance(error, Ended) and truth.was_cut_by_crash(started, now):
                self.world.explained["crash"] += 1
            elif isinstance(error, Ended) and truth.was_draining(started, now):
                self.world.explained["slow or silent in a hand-over"] += 1
            else:
                kind = {Refused: "refused", Reset: "reset", Ended: "cut", TimeoutError: "time-out"}
                self.world.fail(
                    kind.get(type(error), "wrong answer"),
                    self.name,
                    self.what,
                    f"{type(error).__name__}: {error}, began {now - started:.3f} s ago",
                )
        finally:
            self.leave()

    def leave(self):
        for connection in self.open_ones:
            connection.close()
        self.open_ones.clear()

    async def connect(self, **options):
        connection = Connection(self.random.choice(self.world.addresses), **options)
        self.open_ones.append(connection)
        return await connection.open()

    def nonce(self):
        return next(self.world.nonces)

    async def send(self, connection, data, count=1):
        self.world.sent += count
        await connection.send(data)

    async def whole(self, connection, wanted, nonce, slowly_s=0.0):
        """The right answer, read as slowly as wished."""
        answer, started = await connection.head(), time.monotonic()
        at = 0
        async for piece in connection.body(answer):
            if answer.status == 200 and piece != wanted[at : at + len(piece)]:
                raise Wrong(f"body differs behind byte {at} of {len(wanted)}")
            at += len(piece)
            if slowly_s and time.monotonic() - started < SLOWLY_S:
                await asyncio.sleep(slowly_s)
        if answer.status != 200 or at != len(wanted):
            raise Wrong(f"status {answer.status}, {at} bytes of {len(wanted)}")
        self.world.answered += 1
        self.world.seen.add(nonce)
        return answer

    async def must_end(self, connection, limit_s, status=None):
        """The server ends this connection in time, with an answer of that status before it or without any."""
        deadline = time.monotonic() + (limit_s + LATE_S) * self.world.slack
        try:
            while time.monotonic() < deadline:
                wait = asyncio.ensure_future(connection.fill())
                leave = asyncio.ensure_future(self.world.closing.wait())
                try:
                    await asyncio.wait(
                        (wait, leave), timeout=0.5, return_when=asyncio.FIRST_COMPLETED
                    )
                    if wait.done():
                        wait.result()
                    elif leave.done():
                        raise Leave
                finally:
                    wait.cancel()
                    leave.cancel()
                    await asyncio.gather(wait, leave, return_exceptions=True)
        except Ended:
            said = bytes(connection.buffer[9:12]).decode("latin-1")
            if connection.buffer and said != str(status):
                raise Wrong(f"ended with {bytes(connection.buffer[:80])!r}") from None
            return
        raise TimeoutError(f"not ended after {limit_s} s")


# Behaviours.
async def resets_in_request(rude):
    nonce = rude.nonce()
    body = Noise(nonce, rude.random.randint(2, 200000))[:]
    data = request("POST", f"/{rude.random.choice(('echo', 'mirror', 'upload'))}/{nonce}", body=body)
    connection = await rude.connect()
    await rude.send(connection, data[: rude.random.randint(1, len(data) - 1)])
    await rude.world.wait(rude.random.random() * 0.2)
    rude.random.choice((connection.reset, connection.close))()


async def resets_in_answer(rude):
    nonce, count = rude.nonce(), rude.random.randint(400000, 4 << 20)
    connection = await rude.connect()
    await rude.send(connection, request("GET", f"/{rude.random.choice(('known', 'stream'))}/{nonce}/{count}"))
    for _ in range(rude.random.randint(0, 5)):
        await connection.fill(rude.random.randint(1, 65536))
        await rude.world.wait(rude.random.random() * 0.05)
    rude.random.choice((connection.reset, connection.close))()


async def resets_while_waiting(rude):
    nonce = rude.nonce()
    target = rude.random.choice((f"/later/{nonce}/800", f"/steady/{nonce}/800", f"/across/{nonce}"))
    connection = await rude.connect()
    await rude.send(connection, request("GET", target))
    await rude.world.wait(rude.random.random() * 0.5)
    rude.random.choice((connection.reset, connection.close))()


async def leaves_a_pipeline(rude):
    count = rude.random.randint(2, 100)
    connection = await rude.connect()
    parts = [request("GET", f"/stream/{rude.nonce()}/{rude.random.randint(0, 20000)}") for _ in range(count)]
    await rude.send(connection, b"".join(parts), count)
    await rude.world.wait(rude.random.random() * 0.05)
    connection.reset()


async def leaves_in_chunk(rude):
    connection = await rude.connect()
    target = rude.random.choice((f"/echo/{rude.nonce()}", f"/upload/{rude.nonce()}"))
    await rude.send(connection, request("POST", target, "Transfer-Encoding: chunked") + b"ffff\r\nhalf of it")
    await rude.world.wait(rude.random.random() * 0.2)
    rude.random.choice((connection.reset, connection.close, connection.shutdown))()


async def closes_its_half(rude):
    """A client that only ended its own sending still gets its answer."""
    nonce, count = rude.nonce(), rude.random.randint(0, 300000)
    connection = await rude.connect()
    await rude.send(connection, request("GET", f"/known/{nonce}/{count}"))
    connection.shutdown()
    await rude.whole(connection, Noise(nonce, count), nonce)
    await connection.end()


async def sends_byte_by_byte(rude):
    nonce = rude.nonce()
    body = Noise(nonce, 30)
    connection = await rude.connect()
    data, started = request("POST", f"/echo/{nonce}", body=body[:]), time.monotonic()
    rude.world.sent += 1
    while len(data) > 1 and time.monotonic() - started < HEADER_TIMEOUT_S / 3:
        await connection.send(data[:1])
        data = data[1:]
        await asyncio.sleep(0.005)
    await connection.send(data)
    await rude.whole(connection, body, nonce)


async def reads_slowly(rude):
    nonce = rude.nonce()
    count = rude.random.randint(500000, 1500000)
    connection = await rude.connect(receive_buffer=SMALL_BUFFER)
    route = rude.random.choice(("known", "stream"))
    await rude.send(connection, request("GET", f"/{route}/{nonce}/{count}"))
    await rude.whole(connection, Noise(nonce, count), nonce, slowly_s=0.002)


async def reads_nothing(rude):
    """More than every buffer holds: the server cuts it after --write-timeout."""
    connection = await rude.connect(receive_buffer=SMALL_BUFFER)
    await rude.send(connection, request("GET", f"/known/{rude.nonce()}/{64 << 20}"))
    await rude.world.wait(WRITE_TIMEOUT_S + 1.0)
    connection.receive_buffer = None
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S / 2):
            while True:
                await connection.fill()
                connection.buffer.clear()
    except Ended:
        return


async def sends_no_end(rude):
    connection = await rude.connect()
    await rude.send(connection, b"GET /hello/1 HTTP/1.1\r\nHost: a\r\nX-Slow: ", 1)
    for _ in range(rude.random.randint(0, 3)):
        await rude.world.wait(0.5)
        await connection.send(b"y")
    await rude.must_end(connection, HEADER_TIMEOUT_S, status=408)


async def says_nothing(rude):
    connection = await rude.connect()
    await rude.must_end(connection, HEADER_TIMEOUT_S)


async def stays_idle(rude):
    nonce = rude.nonce()
    connection = await rude.connect()
    await rude.send(connection, request("GET", f"/hello/{nonce}"))
    await rude.whole(connection, b"hello %d\n" % nonce, nonce)
    await rude.must_end(connection, IDLE_TIMEOUT_S)


async def sends_garbage(rude):
    connection = await rude.connect()
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rude.random.randbytes(200)
    other = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    data = rude.random.choice((b"!" + rude.random.randbytes(300), hello, b"\0" * 100, other))
    await rude.send(connection, data)
    await rude.must_end(connection, HEADER_TIMEOUT_S, status=400)


async def floods(rude):
    opening = [rude.connect() for _ in range(rude.random.randint(50, FLOOD_MAX))]
    connections = await asyncio.gather(*opening)
    await rude.world.wait(rude.random.random())
    for connection in connections:
        rude.random.choice((connection.reset, connection.close))()


BEHAVIOURS = (
    resets_in_request,
    resets_in_answer,
    resets_while_waiting,
    leaves_a_pipeline,
    leaves_in_chunk,
    closes_its_half,
    sends_byte_by_byte,
    reads_slowly,
    reads_nothing,
    sends_no_end,
    says_nothing,
    stays_idle,
    sends_garbage,
    floods,
)
