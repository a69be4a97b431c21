"""Reads wire/*.case files and plays their cases against a server, whole and in pieces.

A case:
    == name_of_the_case
    rfc: 9112 6.3                     level: MUST
    | GET / HTTP/1.1                  a line of the request, CRLF added
    > raw                             bytes as they stand, nothing added
    expect: 400 close                 what must come, then more steps may follow
Escapes in request bytes: \\r \\n \\t \\s (space) \\0 \\\\ \\xHH, and \\(COUNT*BYTES) to repeat.

expect: STATUS[|STATUS...] [keep|close|either] [head]
    keep    the connection answers a further request, and with exactly one answer (the default)
    close   `Connection: close` is said, then FIN, nothing else
    either  one of the two
    head    the answer is to a HEAD: no body
    more    nothing is checked behind it: further expect lines follow
    100? as status: an interim answer that may come; `none`: the connection ends without an answer
expect: wait             nothing arrives; the server waits for more
shutdown:                the client ends its direction here
header: Name: value      the last answer's field has this value (`*`: any; `~text`: contains)
no-header: Name          and lacks this field
body: bytes              and has this body (`~bytes`: contains)
pieces: no               play it whole only
"""

import glob
import os
import random
import time

from harness.client import Client, Ended, Reset, get_bytes

PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "0": b"\0", "\\": b"\\"}
WAIT_S = 0.12
BYTEWISE_MAX = 200
PIECES_MAX = 60000


class Case:
    def __init__(self, name, where):
        self.name, self.where, self.rfc, self.level = name, where, "", ""
        self.steps, self.in_pieces = [], True

    def size(self):
        return sum(len(step.data) for step in self.steps)


class Step:
    """Bytes to send, then the answers they must bring."""

    def __init__(self):
        self.data, self.expects, self.shutdown = b"", [], False


class Expect:
    def __init__(self, words):
        self.wait = words[0] == "wait"
        self.optional_interim = words[0] == "100?"
        self.statuses = set(words[0].split("|"))
        self.fate = next((word for word in words[1:] if word != "head"), "keep")
        self.head = "head" in words
        self.headers, self.absent, self.body = [], [], None
        assert self.fate in ("keep", "close", "either", "more"), words


def unescape(text):
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode("ascii")
            at += 1
        elif text[at + 1] == "x":
            out.append(int(text[at + 2 : at + 4], 16))
            at += 4
        elif text[at + 1] == "(":
            end = closing(text, at + 2)
            count, _, repeated = text[at + 2 : end].partition("*")
            out += unescape(repeated) * int(count)
            at = end + 1
        else:
            out += PLAIN[text[at + 1]]
            at += 2
    return bytes(out)


def closing(text, at):
    """The index of the bracket that ends the repetition whose inside starts at `at`."""
    while text[at] != ")":
        at = (
            closing(text, at + 2) + 1 if text.startswith("\\(", at) else at + 1 + (text[at] == "\\")
        )
    return at


def load(path):
    """The cases of one file; every mistake in it is an error with its line."""
    cases, step = [], None
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            try:
                if line.startswith("== "):
                    cases.append(Case(line[3:].strip(), f"{os.path.basename(path)}:{number}"))
                    cases[-1].steps.append(step := Step())
                elif line[0] in "|>":
                    if step.expects:
                        cases[-1].steps.append(step := Step())
                    step.data += unescape(line[2:]) + (b"\r\n" if line[0] == "|" else b"")
                else:
                    take_directive(cases[-1], step, *line.split(":", 1))
            except Exception as error:
                raise ValueError(f"{path}:{number}: {line!r}: {error}")
    for case in cases:
        assert case.rfc and case.level in ("MUST", "SHOULD", "POLICY"), case.where
        assert case.steps[-1].expects, f"{case.where}: nothing expected"
    return cases


def take_directive(case, step, key, value):
    value = value.strip()
    if key == "rfc":
        case.rfc, _, level = value.partition("level:")
        case.level = level.strip()
    elif key == "expect":
        step.expects.append(Expect(value.split()))
    elif key == "shutdown":
        step.shutdown = True
    elif key == "header":
        step.expects[-1].headers.append([part.strip() for part in value.split(":", 1)])
    elif key == "no-header":
        step.expects[-1].absent.append(value)
    elif key == "body":
        step.expects[-1].body = unescape(value)
    elif key == "pieces":
        case.in_pieces = value != "no"
    else:
        raise ValueError("unknown directive")


def files(directory):
    return sorted(glob.glob(os.path.join(directory, "*.case")))


def cuttings(case):
    """Ways to cut each step's bytes: whole, every byte alone, three times in two at random."""
    yield "whole", lambda data: [data]
    if not case.in_pieces or case.size() > PIECES_MAX:
        return
    if case.size() <= BYTEWISE_MAX:
        yield "byte by byte", lambda data: [data[i : i + 1] for i in range(len(data))]
    dice = random.Random(case.name)
    for _ in range(3):
        cut = dice.random()
        yield f"cut at {cut:.2f}", lambda data, cut=cut: split_at(
            data, 1 + int(cut * (len(data) - 1))
        )


def split_at(data, at):
    return [data[:at], data[at:]] if 0 < at < len(data) else [data]


def play(case, address, slack=1):
    """Plays every cutting; returns None or why it failed. All cuttings must bring the same
    answers."""
    first = None
    for label, cut in cuttings(case):
        try:
            seen = play_once(case, address, cut, slack)
        except Exception as error:
            return (
                f"{case.where} (RFC {case.rfc.strip()}, {case.level}), {label}: "
                f"{type(error).__name__}: {error}"
            )
        if first is None:
            first = seen
        elif seen != first:
            return f"{case.where}, {label}: answers {seen}, whole {first}"
    return None


def play_once(case, address, cut, slack):
    seen = []
    with Client(address, 4.0 * slack) as client:
        for step in case.steps:
            pieces = cut(step.data)
            for index, piece in enumerate(pieces):
                client.try_send(piece)
                if index + 1 < len(pieces):
                    time.sleep(0.0002 if len(pieces) > 2 else 0.008)
            if step.shutdown:
                try:
                    client.shutdown()
                except OSError:
                    pass
            for expect in step.expects:
                check_answer(client, expect, seen, step)
    return seen


def check_answer(client, expect, seen, step):
    if expect.wait:
        assert client.is_silent(WAIT_S), f"answered or closed, should wait: {peek(client)}"
        seen.append("wait")
        return
    if expect.optional_interim:
        return
    wanted = "|".join(sorted(expect.statuses))
    try:
        response = client.read(head=expect.head)
        while response.status == 100 and "100" not in expect.statuses and allows_interim(step):
            response = client.read(head=expect.head)
    except Reset as error:
        raise AssertionError(f"wanted {wanted}, got {error}")
    except Ended as error:
        assert "none" in expect.statuses and not client.buffer, f"wanted {wanted}, got {error}"
        seen.append("none")
        return
    assert str(response.status) in expect.statuses, f"wanted {wanted}, got {response}"
    check_parts(response, expect)
    seen.append(response.status)
    if expect.fate != "more" and response.status != 100:
        seen.append(check_fate(client, response, expect))


def allows_interim(step):
    return any(expect.optional_interim for expect in step.expects)


def check_parts(response, expect):
    for name, wanted in expect.headers:
        value = response.get(name)
        good = value is not None and (
            wanted == "*"
            or value == wanted
            or (wanted[:1] == "~" and wanted[1:].lower() in value.lower())
        )
        assert good, f"{response.status}: {name} is {value!r}, wanted {wanted!r}"
    for name in expect.absent:
        assert (
            response.get(name) is None
        ), f"{response.status}: {name} is there: {response.get(name)!r}"
    if expect.body is not None:
        good = (
            expect.body[1:] in response.body
            if expect.body[:1] == b"~"
            else response.body == expect.body
        )
        assert good, f"body {response.body[:80]!r}, wanted {expect.body[:80]!r}"


def check_fate(client, response, expect):
    """Kept: one more request brings its own answer and nothing else. Closed: said so, then only
    FIN."""
    if response.says_close:
        assert expect.fate != "keep", f"{response.status} closes, should be kept"
        rest = client.rest()
        assert not rest, f"{len(rest)} bytes behind the last answer: {rest[:80]!r}"
        return "closed"
    assert expect.fate != "close", f"{response.status} without Connection: close"
    nonce = f"probe{random.randrange(10**9)}"
    client.send(get_bytes(f"/api/users/{nonce}"))
    probe = client.read()
    assert probe.status == 200 and nonce.encode() in probe.body, f"not the probe's answer: {probe}"
    assert client.is_silent(0), f"bytes behind the probe's answer: {peek(client)}"
    return "kept"


def peek(client):
    try:
        client.fill(time.monotonic() + 0.1)
    except Exception as error:
        return repr(error)
    return repr(bytes(client.buffer[:80]))
