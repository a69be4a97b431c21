"""Clients that run beside a test and count what went wrong: kept connections, or one per
request."""

import threading
import time

from harness import procfs
from harness.client import Client, Ended, get_bytes


class Load:
    """`with Load(address, ...) as load:` runs until the block ends; load.done and load.errors then
    tell. When the block begins each client has had an answer, or cannot have one."""

    def __init__(self, address, threads=4, keep=True, target="/", pause_s=0.0):
        self.address, self.keep, self.target, self.pause_s = address, keep, target, pause_s
        self.done, self.errors, self.announced = 0, [], 0
        self.lock, self.stopping, self.begun = threading.Lock(), threading.Event(), set()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        procfs.wait_for(lambda: len(self.begun) == len(self.threads), 2)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)

    def run(self):
        work = self.run_kept if self.keep else self.run_single
        try:
            work()
        except Exception as error:
            self.fail(error)

    def count(self):
        with self.lock:
            self.done += 1
            self.begun.add(threading.get_ident())

    def fail(self, error):
        with self.lock:
            self.errors.append(f"{time.monotonic():.3f} {type(error).__name__}: {error}")
            self.begun.add(threading.get_ident())

    def run_kept(self):
        """Until told to stop, or until the server announces the end of the connection. A request
        that was sent whole must be answered; the end must be announced in an answer before it
        comes, unless the connection had no request open."""
        with Client(self.address) as client:
            data = get_bytes(self.target)
            while not self.stopping.is_set():
                client.send(data)
                response = client.read_final()
                assert response.status == 200, response
                self.count()
                if response.says_close:
                    assert not client.rest(), "bytes behind the last answer"
                    with self.lock:
                        self.announced += 1
                    return
                if self.pause_s:
                    time.sleep(self.pause_s)

    def run_single(self):
        """One connection per request; every refusal, reset or lost answer is counted and it goes
        on."""
        data = get_bytes(self.target, "Connection: close")
        while not self.stopping.is_set():
            try:
                with Client(self.address) as client:
                    client.send(data)
                    response = client.read_final()
                    assert response.status == 200, response
                    assert not client.rest(), "bytes behind the last answer"
                self.count()
            except (OSError, Ended, AssertionError) as error:
                self.fail(error)
            if self.pause_s:
                time.sleep(self.pause_s)
