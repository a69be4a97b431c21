"""The wire-case corpus: wire/*.case, each file against one server, each case whole and in
pieces."""

import os
import time

from harness import group, limit_s, wire
from harness.server import Server

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire")


def parts():
    return [
        (os.path.basename(path)[:-5], [case.name for case in wire.load(path)])
        for path in wire.files(DIRECTORY)
    ]


@group(parts)
@limit_s(90)
def test_case(env, part, names):
    wanted = set(names)
    cases = [
        case for case in wire.load(os.path.join(DIRECTORY, part + ".case")) if case.name in wanted
    ]
    with Server(env) as server:
        for case in cases:
            started = time.monotonic()
            failure = wire.play(case, server.address, env.slack)
            yield case.name, failure, time.monotonic() - started
