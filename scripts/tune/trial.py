"""apply --for 60s: the settings go back unless somebody confirms them.

A guard process waits beside: it is there before the first setting is written and belongs to no terminal, so
it also undoes an apply that crashed, or that cut the connection it was typed over. It waits at a FIFO: a byte
tells it that the trial is over (confirmed or reverted), and whether the FIFO can be opened tells others if
there is a guard.
"""
import errno
import os
import select
import time

from tune.change import Changes

FIFO = "guard"


def start(machine, journal, seconds):
    """Forks the guard. Call it with the journal locked; the guard does nothing before the time is over."""
    fifo = journal.folder / FIFO
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo, 0o600)
    wake = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # Its own writer, so that others' closing is no event.
    journal.trial = {"until": time.strftime("%H:%M:%S", time.localtime(time.time() + seconds))}
    journal.save()
    if os.fork() != 0:
        os.close(wake)
        return
    status = 1
    try:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        # Whatever else was inherited, the locked file among it, would keep others waiting.
        os.closerange(3, wake)
        os.closerange(wake + 1, os.sysconf("SC_OPEN_MAX"))
        watch(machine, journal, wake, seconds)
        status = 0
    finally:
        os._exit(status)


def watch(machine, journal, wake, seconds):
    """In the guard."""
    if select.select([wake], [], [], seconds)[0]:
        return
    with journal.locked(waits=True):
        if journal.trial is None:
            return
        outcomes = list(Changes(machine, journal).revert())
        restored = sum(outcome.state in ("restored", "already") for outcome in outcomes)
        journal.note = (f"nobody confirmed within {seconds:g} s: "
                        f"{restored} of {len(outcomes)} settings restored")
        journal.save()


def tell_guard(journal, message):
    """False: there is none."""
    try:
        fifo = os.open(journal.folder / FIFO, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    os.write(fifo, message)
    os.close(fifo)
    return True


def has_guard(journal):
    try:
        return tell_guard(journal, b"")
    except PermissionError:
        return True  # Whoever may not wake it can only believe that it is there.


def end(journal):
    """Confirmed or reverted: there is nothing left to guard. False: there was no guard."""
    journal.trial = None
    journal.save()
    return tell_guard(journal, b".")
