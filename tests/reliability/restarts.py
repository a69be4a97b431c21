"""Reloads, hand-overs and stops under clients that notice everything."""

import contextlib
import os
import random
import re
import signal
import time

from figure import Figure, all_of, application, at_most, goal
from harness import names, procfs
from harness.server import Server
from visitors import Account, Visitors

SEED = 18


# Those with a connection for each request, those who keep theirs, and those who keep it and say little:
# to them a server that goes owes an answer before it may close.
CROWDS = (dict(requests_max=1, processes=2, threads=3),
          dict(requests_max=None, processes=1, threads=4, pause_s=0.005),
          dict(requests_max=None, processes=1, threads=20, pause_s=0.5))


@contextlib.contextmanager
def everybody(server, account, stays=True):
    crowds = [Visitors(server.address, stays=stays, seed=f"{SEED}.{number}", **crowd)
              for number, crowd in enumerate(CROWDS)]
    with contextlib.ExitStack() as stack:
        for crowd in crowds:
            stack.enter_context(crowd)
        yield
    for crowd in crowds:
        account.add(crowd.account)


def wait_for_lines(server, pattern, count, seconds):
    def are_there():
        return len(re.findall(pattern, server.log())) >= count

    found = procfs.wait_for(are_there, seconds * server.env.slack)
    assert found, f"no {pattern} number {count} within {seconds} s: {server.log()[-800:]}"


def in_charge(server):
    """The supervisor that the last hand-over made, or the first one."""
    pids = re.findall(names.HANDED_OVER, server.log())
    return int(pids[-1]) if pids else server.pid


def reload_often(server, times, dice):
    for number in range(times):
        os.kill(in_charge(server), signal.SIGHUP)
        wait_for_lines(server, names.RELOADED, number + 1, 10)
        time.sleep(dice.uniform(0, 0.1))


def hand_over_often(server, times, dice, before=lambda number: None):
    for number in range(times):
        before(number)
        os.kill(in_charge(server), signal.SIGUSR2)
        wait_for_lines(server, names.HANDED_OVER, number + 1, 20)
        time.sleep(dice.uniform(0, 0.3))


def judged(name, what, account):
    kinds = account.kinds()
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("reset", "refused", "lost", "silent", "wrong"))
    return Figure(name, f"{what}: {account.answered} answers on {account.connections} connections",
                  f"{counts}", "none of them", not account.faults, account.samples(),
                  {"answers": account.answered, "connections": account.connections, **kinds})


@goal("reload", "reloads with a module under a connection per request")
def reloads(env, short):
    times, account = 5 if short else 100, Account()
    with Server(env, "--module", application(env), cores="0-1") as server:
        with everybody(server, account):
            reload_often(server, times, random.Random(SEED))
    yield judged("reload", f"{times} reloads", account)


@goal("handover", "new binaries (USR2) under a connection per request")
def handovers(env, short):
    times, account = 3 if short else 50, Account()
    with Server(env, "--module", application(env), cores="0-1", stop_limit_s=40) as server:
        with everybody(server, account):
            hand_over_often(server, times, random.Random(SEED))
    yield judged("handover", f"{times} hand-overs", account)


@goal("workers", "new binaries with one worker, two, one, ...")
def changed_workers(env, short):
    times, account = 2 if short else 20, Account()
    path = env.path("covet.conf")

    def write(number):
        with open(path, "w") as file:
            file.write(f"workers = {1 + number % 2}\n")

    write(0)
    with Server(env, "--module", application(env), "--config", path, cores="0-1", stop_limit_s=40) as server:
        with everybody(server, account):
            hand_over_often(server, times, random.Random(SEED), before=lambda number: write(number + 1))
    yield judged("workers", f"{times} hand-overs, 1 -> 2 -> 1 workers", account)


@goal("term", "TERM under load")
def terms(env, short):
    times, account, late, worst_s = 3 if short else 50, Account(), Account(), 0.0
    for number in range(times):
        server = Server(env, "--module", application(env), cores="0-1", stop_limit_s=30)
        one = Account()
        with server:
            with everybody(server, one, stays=False):
                time.sleep(0.3 + 0.01 * (number % 10))
                began_s = time.monotonic()
                worst_s = max(worst_s, server.stop())
        # Whoever finds nobody listening any more is refused, which tells him all he must know.
        one.faults = [fault for fault in one.faults if fault.kind != "refused" or fault.at_s < began_s]
        late.faults += [fault for fault in one.faults if fault.connected_s > began_s and not fault.requests]
        account.add(one)
    yield judged("term", f"{times} stops", account)
    yield all_of("term-late", "of these, on connections made after the signal", len(late.faults), 0)
    yield at_most("term-time", "longest stop", worst_s, 30, "s")
