"""The tests' own tools must be able to fail: a client that accepts anything would prove nothing."""

import contextlib
import io
import os
import socket
import threading
import types

import run
from harness import measured, metrics, wire
from harness.client import Client, Ended, WireError

DATE = b"Date: Mon, 23 Nov 2026 15:00:00 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok"


def answering(env, *answers):
    """A listener that gives each connection's first bytes the next of these answers, then FIN."""
    path = env.path(f"peer{len(answers)}{hash(answers) & 0xffff}")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)

    def serve():
        for answer in answers:
            peer = listener.accept()[0]
            peer.recv(65536)
            peer.sendall(answer)
            peer.close()

    threading.Thread(target=serve, daemon=True).start()
    return path


def test_client_refuses_malformed_answers(env):
    bad = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok",
        b"HTTP/1.1 2000 OK\r\n" + DATE + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: +2\r\n\r\nok",
        b"HTTP/1.1 204 No\r\n" + DATE + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + DATE + b"X y: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + DATE + b"X: a\x01b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + DATE + DATE + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + DATE + b"Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
        OK[:-1],
    )
    path = answering(env, *bad)
    for answer in bad:
        with Client(path, 2) as client:
            client.send(b"x")
            try:
                response = client.read()
            except (WireError, Ended):
                continue
            raise AssertionError(f"{answer!r} was taken for {response}")


def case_of(env, text):
    with open(env.path("one.case"), "w", encoding="ascii") as file:
        file.write("== one\nrfc: 9112 3  level: MUST\n" + text + "pieces: no\n")
    return wire.load(env.path("one.case"))[0]


def test_wire_case_notices_what_is_wrong(env):
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    table = (
        ("expect: 200 close\n", closing, True),
        ("expect: 200 keep\n", closing, False),
        ("expect: 400 close\n", closing, False),
        ("expect: 200 close\n", OK, False),
        ("expect: 200 close\n", closing + b"x", False),
        ("expect: 200 close\n", closing + OK, False),
        ("expect: 200 close\nbody: no\n", closing, False),
        ("expect: 200 close\nheader: X: *\n", closing, False),
        ("expect: 200 close\nno-header: Date\n", closing, False),
        ("expect: wait\n", OK, False),
        ("expect: none close\n", b"", True),
        ("expect: none close\n", OK, False),
    )
    path = answering(env, *(answer for _, answer, _ in table))
    for text, answer, good in table:
        failure = wire.play(case_of(env, "> x\n" + text), path)
        assert (failure is None) == good, f"{text!r} with {answer!r}: {failure}"


def test_wire_case_files_are_read_strictly(env):
    for text in ("expect: 200 maybe\n", "nonsense: 1\n", "> \\q\nexpect: 200\n", "> x\n"):
        try:
            case_of(env, text)
        except (ValueError, AssertionError):
            continue
        raise AssertionError(f"{text!r} was accepted")


def test_escapes_and_repetition(env):
    table = (
        ("a\\r\\n\\t\\s\\0\\\\", b"a\r\n\t \0\\"),
        ("\\x00\\xff", b"\0\xff"),
        ("\\(3*ab)c", b"abababc"),
        ("\\(2*\\(2*x)\\r\\n)", b"xx\r\nxx\r\n"),
        ("(2*x)", b"(2*x)"),
    )
    for text, data in table:
        assert wire.unescape(text) == data, text


def results_of(env, function):
    """What run.py counts for this one test, and what it prints."""
    options = types.SimpleNamespace(covet=env.covet, module_dir=None, jobs=1, slow=False, patience=1)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        results = run.run_all([run.Job("test_some", "test_thing", function, None)], options)
    return results, printed.getvalue()


def test_a_spoilt_measurement_is_taken_again_and_a_mistake_is_not(env):
    tried = env.path("tried")

    def fails_until(number, check):
        def function(_):
            with open(tried, "a") as file:
                file.write("x")
            check(os.path.getsize(tried) >= number)

        return function

    def mistaken(holds):
        assert holds, "mistaken"

    for check, number, wanted in (
        (lambda holds: measured(holds, "late"), 3, {"ok": 1, "FAIL": 0, "skip": 0, "again": 2}),
        (lambda holds: measured(holds, "late"), 4, {"ok": 0, "FAIL": 1, "skip": 0, "again": 2}),
        (mistaken, 2, {"ok": 0, "FAIL": 1, "skip": 0, "again": 0}),
    ):
        results, printed = results_of(env, fails_until(number, check))
        assert results == wanted, (results, printed)
        told = results["again"] + results["FAIL"] * (check is not mistaken)
        assert printed.count("late") == told, printed
        os.unlink(tried)


def test_metrics_reader_refuses_broken_text(env):
    for text in ("a 1\n", "a 1\na 2\n# EOF\n", "a one\n# EOF\n", "a{b=c} 1 2 3\n# EOF\n"):
        try:
            metrics.parse(text)
        except AssertionError:
            continue
        raise AssertionError(f"{text!r} was accepted")
