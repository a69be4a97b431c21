"""What answers may say at a time, what explains a failure, and what happened when.

A change of the server (another module, another route) is possible from the moment it is asked for, and
certain from the moment the server says that it is done. An answer must be one that was possible at some
time between its request and itself: so never an old one once the change is certain.
"""

import collections
import time

FOREVER = float("inf")
HISTORY_S = 120.0
IDLE_TIMEOUT_S = 5.0  # --idle-timeout
DRAIN_IDLE_S = 2.0  # What a server that drains gives a connection for a last request.


class Fact:
    """One thing that changes, and the values it may have at a time."""

    def __init__(self, value):
        self.spans = [[0.0, FOREVER, value]]

    def begin(self, value):
        """From now on it may be this one too."""
        self.spans.append([time.monotonic(), FOREVER, value])

    def settle(self, value):
        """From now on it is this one alone."""
        now = time.monotonic()
        for span in self.spans:
            if span[1] == FOREVER and span[2] != value:
                span[1] = now
        self.spans = [span for span in self.spans if span[1] > now - HISTORY_S]

    def between(self, start, end):
        return {value for begun, over, value in self.spans if begun <= end and over >= start}


class Truth:
    def __init__(self):
        self.started = time.monotonic()
        self.version = Fact("1")
        self.colour = Fact("red")
        self.extra = Fact(404)  # The status of a route that comes and goes.
        self.crashes = []  # [killed at, serves again at]
        self.drains = []  # [asked at, over at]
        self.events = collections.deque(maxlen=400)

    def note(self, text):
        self.events.append((time.monotonic(), text))

    def seconds(self, moment=None):
        return (moment or time.monotonic()) - self.started

    def around(self, moment, before_s=5.0, after_s=1.0):
        """The events near a moment, as lines."""
        return [
            f"{self.seconds(at):9.3f} {text}"
            for at, text in self.events
            if moment - before_s <= at <= moment + after_s
        ]

    def was_cut_by_crash(self, opened_at, failed_at):
        """A crash ends the connections of its server, and those it was just accepting."""
        return any(opened_at <= over and failed_at >= killed for killed, over in self.crashes)

    def was_idle_too_long(self, idle_s, sent_at):
        """A server ends connections that are silent, sooner when it hands over; a client that was silent for
        nearly as long may meet that end with its next request (RFC 9112 section 9.5). Clients rest for
        moments only: this is for machines that let them wait."""
        if idle_s > IDLE_TIMEOUT_S - 0.5:
            return True
        return idle_s > DRAIN_IDLE_S - 0.5 and self.was_draining(sent_at - idle_s, sent_at)

    def was_draining(self, start, end):
        return any(start <= over and end >= asked for asked, over in self.drains)
