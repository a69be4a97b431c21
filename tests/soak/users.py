"""Honest clients: whatever they ask must be answered, whole and right, whatever happens around them.

An exchange is a coroutine below that takes its User. What it may do to the connection (keep it, open one
for each request, cut its request into pieces) is drawn beforehand.
"""

import asyncio
import json
import random
import time
from urllib.parse import quote

from connection import Connection, Ended, Refused, Reset, WireError
from noise import Noise
from world import ANSWER_LIMIT_S, Leave

SMALL_MAX, LARGE_MAX = 65536, 4 << 20
REST_S = 0.08


class Wrong(Exception):
    """An answer that is not the right one."""


def request(method, target, *fields, body=None):
    lines = [f"{method} {target} HTTP/1.1", "Host: soak", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class User:
    def __init__(self, world, number):
        self.world, self.name = world, f"user{number}"
        self.random = random.Random(f"{world.seed}:{self.name}")
        self.connection, self.is_last = None, False
        self.what, self.is_slicing = "", False
        self.sent_at = self.idle_s = 0.0  # Of the last request; the silence of its connection before.

    async def run(self):
        kinds, weights = zip(*EXCHANGES)
        first = self.random.sample(kinds, len(kinds))  # Once each to its end, so that short runs have all.
        while not self.world.is_over:
            await self.world.gate.wait()
            self.world.busy += 1
            try:
                while not self.world.closing.is_set():
                    kind = first[-1] if first else self.random.choices(kinds, weights)[0]
                    try:
                        await self.exchange(kind)
                    except Leave:
                        first = first[-1:] + first[:-1]  # Its time comes again, behind the others.
                        raise
                    first = first[:-1]
                    await self.world.wait(self.random.expovariate(1 / REST_S))
            except Leave:
                pass
            finally:
                self.leave()
                self.world.busy -= 1

    def leave(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    async def exchange(self, kind):
        self.what = kind.__name__
        self.is_last = self.random.random() < 0.25  # Of its connection.
        self.is_slicing = self.random.random() < 0.1
        started = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S * self.world.slack):
                await kind(self)
            self.world.done[kind.__name__] += 1
            if self.is_last:
                self.leave()
        except (Ended, Refused, Wrong, WireError, TimeoutError, OSError) as error:
            self.judge(error, started)
            self.leave()

    def judge(self, error, started):
        truth, now = self.world.truth, time.monotonic()
        opened_at = self.connection.opened_at if self.connection else started
        if isinstance(error, Ended) and truth.was_cut_by_crash(opened_at, now):
            self.world.explained["crash"] += 1
        elif isinstance(error, Ended) and truth.was_idle_too_long(self.idle_s, self.sent_at):
            self.world.explained["silent for too long before its request"] += 1
        else:
            kind = {Refused: "refused", Reset: "reset", Ended: "cut", TimeoutError: "time-out"}
            text = f"{type(error).__name__}: {error}; began {now - started:.3f} s ago"
            if self.connection is not None:
                text += f" on a connection of {now - opened_at:.3f} s to {self.connection.address}"
                text += f", idle for {self.idle_s:.3f} s before"
            self.world.fail(kind.get(type(error), "wrong answer"), self.name, self.what, text)

    # What exchanges are made of.
    def nonce(self):
        return next(self.world.nonces)

    async def open(self):
        if self.connection is None:
            address = self.random.choice(self.world.addresses)
            self.connection = Connection(address)
            await self.connection.open()
        return self.connection

    def begin(self):
        """A request begins now."""
        self.sent_at = time.monotonic()
        self.idle_s = self.sent_at - self.connection.used_at

    async def send(self, data, count=1):
        """Sends `data`, which holds so many requests."""
        connection = await self.open()
        self.begin()
        self.world.sent += count
        if not self.is_slicing:
            await connection.send(data)
            return
        for _ in range(self.random.randint(1, 6)):
            cut = self.random.randint(1, max(len(data) // 3, 1))
            await connection.send(data[:cut])
            data = data[cut:]
            await asyncio.sleep(self.random.random() * 0.02)
        await connection.send(data)

    async def take(self, status, wanted=None, nonce=None, is_head=False):
        """The next final answer. wanted: its whole body; None: it is returned. status: one, or a set."""
        connection = self.connection
        answer = await connection.head()
        if answer.status < 200:
            raise Wrong(f"an interim answer {answer.status} that nobody asked for")
        statuses = status if isinstance(status, set) else {status}
        taken, at = bytearray(), 0
        async for piece in connection.body(answer, is_head):
            if wanted is None or answer.status not in statuses:
                taken += piece
            elif piece != wanted[at : at + len(piece)]:
                raise Wrong(difference(piece, wanted, at))
            at += len(piece)
        if answer.status not in statuses:
            raise Wrong(f"status {answer.status} {bytes(taken[:200])!r}, not {status}")
        if wanted is not None and not is_head and at != len(wanted):
            raise Wrong(f"{at} bytes, not {len(wanted)}")
        self.check_version(answer)
        self.world.answered += 1
        if nonce is not None:
            self.world.seen.add(nonce)
        if answer.says_close:
            self.is_last = True
        return answer, bytes(taken)

    def check_version(self, answer):
        """Middleware of the version that may answer has stamped it; refusals before any route have none."""
        stamp = answer.get("X-Version")
        possible = self.possible(self.world.truth.version)
        if stamp is None and answer.status in (400, 413, 431):
            return
        if stamp not in possible:
            raise Wrong(f"X-Version {stamp}, possible were {sorted(possible)}")

    def possible(self, fact):
        """What the answer to the last request may say of it."""
        return fact.between(self.sent_at, time.monotonic())

    async def ask(self, method, target, nonce, status, wanted, *fields, body=None, is_head=False):
        data = request(method, target, *fields, body=body)
        await self.send(data)
        return await self.take(status, wanted, nonce, is_head)

    async def end(self):
        """After an answer that said so the server ends the connection."""
        if self.is_last:
            await self.connection.end()
            self.leave()


def difference(piece, wanted, at):
    right = wanted[at : at + len(piece)]
    first = next((i for i, (a, b) in enumerate(zip(piece, right)) if a != b), min(len(piece), len(right)))
    return (
        f"body differs at byte {at + first} of {len(wanted)}: {bytes(piece[first:first + 40])!r},"
        f" not {bytes(right[first:first + 40])!r}"
    )


# Exchanges.
async def hello(user):
    nonce = user.nonce()
    await user.ask("GET", f"/hello/{nonce}", nonce, 200, b"hello %d\n" % nonce)


async def head(user):
    nonce, count = user.nonce(), user.random.randint(0, 100000)
    target = user.random.choice((f"/hello/{nonce}", f"/known/{nonce}/{count}"))
    answer, _ = await user.ask("HEAD", target, nonce, 200, b"", is_head=True)
    length = str(count) if target.startswith("/known") else str(len(f"hello {nonce}\n"))
    if answer.get("Content-Length") != length:
        raise Wrong(f"HEAD {target}: Content-Length {answer.get('Content-Length')}, not {length}")


async def params(user):
    nonce, draw = user.nonce(), user.random
    name, rest, query = ("".join(draw.choices('aZ09-_ %"é/', k=draw.randint(1, 20))) for _ in range(3))
    name = name.replace("/", "x").strip(" ") or "x"
    rest = "/".join(part for part in rest.split("/") if part)
    target = f"/params/{nonce}/{quote(name, safe='')}/{quote(rest)}?q={quote(query)}"
    _, text = await user.ask("GET", target, nonce, 200, None)
    got = json.loads(text)
    if got != {"nonce": nonce, "name": name, "rest": rest, "query": query}:
        raise Wrong(f"{target} was read as {got}")


async def sums(user):
    nonce = user.nonce()
    values = [user.random.randint(-(10**12), 10**12) for _ in range(user.random.randint(0, 400))]
    body = json.dumps({"values": values}).encode()
    _, text = await user.ask(
        "POST", f"/json/{nonce}", nonce, 200, None, "Content-Type: application/json", body=body
    )
    right = {"nonce": nonce, "count": len(values), "sum": sum(values)}
    if json.loads(text) != right:
        raise Wrong(f"{text!r}, not {right}")


async def version(user):
    nonce = user.nonce()
    answer, text = await user.ask("GET", f"/version/{nonce}", nonce, 200, None)
    stamp = answer.get("X-Version")  # Possible itself, or take would have refused it.
    if text != f"version {stamp} {nonce}\n".encode():
        raise Wrong(f"{text!r} stamped {stamp}")


async def steady(user):
    """A stream that began in one version of the module ends in it."""
    nonce, ms = user.nonce(), user.random.randint(1, 1500)
    answer, text = await user.ask("GET", f"/steady/{nonce}/{ms}", nonce, 200, None)
    line = f"{answer.get('X-Version')} {nonce}\n".encode()
    if text != line * 2:
        raise Wrong(f"{text!r}, not {line!r} twice")


async def colour(user):
    nonce = user.nonce()
    _, text = await user.ask("GET", f"/colour/{nonce}", nonce, 200, None)
    colours = user.possible(user.world.truth.colour)
    if text not in {b"%s %d\n" % (one.encode(), nonce) for one in colours}:
        raise Wrong(f"{text!r}, possible were {colours}")


async def extra(user):
    nonce = user.nonce()
    answer, text = await user.ask("GET", f"/extra/{nonce}", nonce, {200, 404}, None)
    statuses = user.possible(user.world.truth.extra)
    if answer.status not in statuses:
        raise Wrong(f"status {answer.status}, possible were {statuses}")
    if answer.status == 200 and text != b"blue %d\n" % nonce:
        raise Wrong(f"{text!r} from a route of another handler")


async def later(user):
    nonce, ms = user.nonce(), user.random.randint(0, 1000)
    await user.ask("GET", f"/later/{nonce}/{ms}", nonce, 200, b"later %d\n" % nonce)


async def across(user):
    nonce = user.nonce()
    await user.ask("GET", f"/across/{nonce}", nonce, 200, b"across %d\n" % nonce)


async def busy(user):
    nonce = user.nonce()
    await user.ask("GET", f"/busy/{nonce}/{user.random.randint(0, 3000)}", nonce, 200, b"busy %d\n" % nonce)


async def download(user):
    nonce, count = user.nonce(), user.random.choice((0, 1, 16384, user.random.randint(0, SMALL_MAX)))
    route = user.random.choice(("known", "stream"))
    await user.ask("GET", f"/{route}/{nonce}/{count}", nonce, 200, Noise(nonce, count))


async def download_large(user):
    nonce, count = user.nonce(), user.random.randint(SMALL_MAX, LARGE_MAX)
    route = user.random.choice(("known", "stream"))
    await user.ask("GET", f"/{route}/{nonce}/{count}", nonce, 200, Noise(nonce, count))


async def send_body(user, target, body, wanted, nonce):
    """A body of known length or in chunks, cut anywhere; the answer may come while it is sent."""
    connection, draw = await user.open(), user.random
    is_chunked = draw.random() < 0.5
    length = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    user.begin()
    user.world.sent += 1

    async def pour():
        await connection.send(request("POST", target, length))
        at = 0
        while at < len(body):
            piece = body[at : at + draw.choice((1, 100, 4096, 65536, 262144))]
            at += len(piece)
            await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            await connection.send(b"0\r\n\r\n")

    pouring = asyncio.ensure_future(pour())
    try:
        result = await user.take(200, wanted, nonce)
        await pouring
        return result
    finally:
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)


async def echo(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.choice((0, 1, user.random.randint(0, SMALL_MAX))))
    await user.ask("POST", f"/echo/{nonce}", nonce, 200, body, body=body[:])


async def echo_large(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.randint(SMALL_MAX, LARGE_MAX))
    await send_body(user, f"/echo/{nonce}", body, body, nonce)


async def echo_chunked(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.randint(0, 5000))
    await send_body(user, f"/echo/{nonce}", body, body, nonce)


async def mirror(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.choice((0, 1, 1000, SMALL_MAX, user.random.randint(0, LARGE_MAX))))
    await send_body(user, f"/mirror/{nonce}", body, body, nonce)


async def upload(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.choice((0, 1, 1000, SMALL_MAX, user.random.randint(0, LARGE_MAX))))
    pause = user.random.choice(("", "?pause=1", "?pause=5"))
    await send_body(user, f"/upload/{nonce}{pause}", body, b"took %d\n" % len(body), nonce)


async def expect_continue(user):
    nonce = user.nonce()
    body = Noise(nonce, user.random.randint(1, SMALL_MAX))
    connection = await user.open()
    fields = (f"Content-Length: {len(body)}", "Expect: 100-continue")
    await user.send(request("POST", f"/echo/{nonce}", *fields))
    interim = await connection.head()
    if interim.status != 100:
        raise Wrong(f"{interim.status} instead of 100 (Continue)")
    await connection.send(body[:])
    await user.take(200, body, nonce)


async def burst(user):
    """Pipelined, of all kinds that answer at once or a little later; answers come in order."""
    draw, parts, wanted = user.random, [], []
    for _ in range(draw.choice((2, 8, 16, 64))):
        nonce, kind = user.nonce(), draw.randrange(5)
        if kind == 0:
            body = Noise(nonce, draw.randint(0, 3000))
            parts.append(request("POST", f"/echo/{nonce}", body=body[:]))
        elif kind == 1:
            body = Noise(nonce, draw.randint(0, 3000))
            parts.append(request("GET", f"/stream/{nonce}/{len(body)}"))
        elif kind == 2:
            body = b"later %d\n" % nonce
            parts.append(request("GET", f"/later/{nonce}/{draw.randint(0, 5)}"))
        elif kind == 3:
            body = b"across %d\n" % nonce
            parts.append(request("GET", f"/across/{nonce}"))
        else:
            body = b"hello %d\n" % nonce
            parts.append(request("GET", f"/hello/{nonce}"))
        wanted.append((nonce, body))
    await user.send(b"".join(parts), len(parts))
    for index, (nonce, body) in enumerate(wanted):
        answer, _ = await user.take(200, body, nonce)
        if answer.says_close and index + 1 < len(wanted):
            # What a server that hands over had not received by then it will not process, and has said so.
            if not user.world.truth.was_draining(user.sent_at, time.monotonic()):
                raise Wrong(f"Connection: close at answer {index + 1} of {len(wanted)}")
            user.world.explained["pipelined behind a close"] += 1
            return


async def refused(user):
    """What is no request that can be served; some of them end the connection."""
    nonce, draw = user.nonce(), user.random
    bad = {
        "400": b"GET / HTTP/1.1\r\n\r\n",
        "400 name": request("GET", f"/hello/{nonce}", "a : b"),
        "400 length": request("POST", f"/echo/{nonce}", "Content-Length: 1", "Content-Length: 2"),
        "413": request("POST", f"/echo/{nonce}", "Content-Length: 99999999"),
        "413 chunk": request("POST", f"/echo/{nonce}", "Transfer-Encoding: chunked") + b"FFFFFFF\r\n",
        "431": request("GET", f"/hello/{nonce}", "X: " + "y" * 40000),
    }
    kind = draw.choice(("404", "405", *bad))
    if kind == "404":
        await user.ask("GET", f"/nothing/{nonce}", nonce, 404, None)
        return
    if kind == "405":
        answer, _ = await user.ask("DELETE", f"/hello/{nonce}", nonce, 405, None)
        if answer.tokens("Allow") != {"get", "head", "options"}:
            raise Wrong(f"405 with Allow {answer.get('Allow')}")
        return
    user.is_slicing = False
    await user.send(bad[kind])
    answer, _ = await user.take(int(kind[:3]))
    if not answer.says_close:
        raise Wrong(f"{answer.status} to a broken request without Connection: close")
    await user.end()


async def close_asked(user):
    nonce = user.nonce()
    answer, _ = await user.ask(
        "GET", f"/hello/{nonce}", nonce, 200, b"hello %d\n" % nonce, "Connection: close"
    )
    if not answer.says_close:
        raise Wrong("no Connection: close in the answer to one")
    await user.end()


EXCHANGES = (
    (hello, 10),
    (head, 3),
    (params, 4),
    (sums, 4),
    (version, 6),
    (steady, 3),
    (colour, 6),
    (extra, 4),
    (later, 4),
    (across, 4),
    (busy, 2),
    (download, 5),
    (download_large, 1),
    (echo, 5),
    (echo_large, 1),
    (echo_chunked, 4),
    (mirror, 2),
    (upload, 2),
    (expect_continue, 3),
    (burst, 4),
    (refused, 4),
    (close_asked, 6),
)
