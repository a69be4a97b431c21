"""A terminal as a program sees one: a pty, and a screen that shows what was written to it.

The screen knows what covet-top uses and nothing else; an unknown sequence fails the test, and so does
a character beyond the last column.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|(\x1b.?)|([^\x1b]+)", re.DOTALL)
WHOLE = re.compile(rb"(?:\x1b\[[?0-9;]*[A-Za-z]|[\x00-\x1a\x1c-\x7f]"
                   rb"|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2})*")
ALTERNATE, CURSOR, WRAP, SYNCHRONIZED = "1049", "25", "7", "2026"


class Screen:
    def __init__(self, width, height):
        self.modes = {ALTERNATE: False, CURSOR: True, WRAP: True, SYNCHRONIZED: False}
        self.colors = set()
        self.resize(width, height)

    def resize(self, width, height):
        self.width, self.height = width, height
        self.rows = [[" "] * width for _ in range(height)]
        self.row = self.column = 0

    def feed(self, text):
        for private, parameters, final, unknown, plain in TOKEN.findall(text):
            assert not unknown, f"unknown sequence {unknown!r}"
            if plain:
                self.put(plain)
            elif private:
                assert final in "hl" and parameters in self.modes, f"mode {parameters}{final}"
                self.modes[parameters] = final == "h"
            else:
                self.sequence(parameters, final)

    def sequence(self, parameters, final):
        if final == "H":
            row, column = map(int, parameters.split(";")) if parameters else (1, 1)
            assert 1 <= row and column == 1, f"cursor to {row};{column}"
            self.row, self.column = row - 1, 0
        elif final == "J":
            first = 0 if parameters == "2" else self.row
            for row in range(first, self.height):
                self.rows[row] = [" "] * self.width
        elif final == "K":
            self.rows[self.row][self.column:] = [" "] * (self.width - self.column)
        else:
            assert final == "m", f"unknown sequence {parameters}{final}"
            self.colors |= {part for part in parameters.split(";") if re.fullmatch("[34][0-7]", part)}

    def put(self, text):
        for character in text:
            if character == "\n":
                self.row = min(self.row + 1, self.height - 1)
            elif character == "\r":
                self.column = 0
            elif self.modes[ALTERNATE]:
                assert character.isprintable(), f"control character {character!r}"
                # A frame for the size before may still be under way right after a change of size.
                if self.row < self.height and self.column < self.width:
                    self.rows[self.row][self.column] = character
                self.column += 1

    @property
    def lines(self):
        return ["".join(row).rstrip() for row in self.rows]

    @property
    def text(self):
        return "\n".join(self.lines)


class Terminal:
    """`with Terminal(command) as terminal:` runs it on a terminal of its own. has_keys False: standard
    input is /dev/null; is_controlling False: the terminal is not the session's."""

    def __init__(self, command, width=80, height=24, environment=None, has_keys=True, is_controlling=True):
        self.command, self.has_keys, self.is_controlling = command, has_keys, is_controlling
        self.environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "NO_COLOR": "",
                            **(environment or {})}
        self.screen = Screen(width, height)
        self.undecoded, self.errors = b"", b""

    def __enter__(self):
        self.master, self.slave = pty.openpty()
        self.set_size()
        self.modes_before = termios.tcgetattr(self.slave)
        self.error_read, error_write = os.pipe()
        self.process = subprocess.Popen(
            self.command, stdin=self.slave if self.has_keys else subprocess.DEVNULL, stdout=self.slave,
            stderr=error_write, env=self.environment, start_new_session=True,
            preexec_fn=self.take_terminal if self.is_controlling else None)
        os.close(error_write)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.master, self.slave, self.error_read):
            os.close(descriptor)

    @staticmethod
    def take_terminal():
        fcntl.ioctl(1, termios.TIOCSCTTY, 0)

    def set_size(self):
        size = struct.pack("HHHH", self.screen.height, self.screen.width, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)

    def resize(self, width, height):
        self.screen.resize(width, height)
        self.set_size()
        if not self.is_controlling:
            self.process.send_signal(signal.SIGWINCH)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds=0.05):
        """Shows what has come. False: nothing."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        self.undecoded += os.read(self.master, 65536)
        # Sequences and characters may come in two parts: what is not complete waits for the rest.
        whole = WHOLE.match(self.undecoded).end()
        self.screen.feed(self.undecoded[:whole].decode())
        self.undecoded = self.undecoded[whole:]
        return True

    def wait_for(self, *patterns, limit_s=20.0):
        """Until every pattern is found on the screen, as one frame shows it. Gives the text."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            self.read()
            text = self.screen.text
            is_whole = not self.screen.modes[SYNCHRONIZED]
            if is_whole and all(re.search(pattern, text) for pattern in patterns):
                return text
        raise AssertionError(f"not on the screen: {patterns}\n{self.screen.text}\n{self.error_text()}")

    def wait_left(self, limit_s=20.0):
        """Until the alternate screen is left, and nothing comes any more."""
        deadline = time.monotonic() + limit_s
        while self.read(0.2) or self.screen.modes[ALTERNATE]:
            assert time.monotonic() < deadline, "still there"

    def error_text(self):
        while select.select([self.error_read], [], [], 0)[0]:
            data = os.read(self.error_read, 4096)
            if not data:
                break
            self.errors += data
        return self.errors.decode()

    def wait_end(self, limit_s=20.0):
        """The exit status, once everything that was written is on the screen."""
        status = self.process.wait(limit_s)
        while self.read():
            pass
        return status

    def assert_restored(self):
        """As it was before the program took it."""
        assert not self.screen.modes[ALTERNATE], "still on the alternate screen"
        assert self.screen.modes[CURSOR], "the cursor is hidden"
        assert self.screen.modes[WRAP], "lines do not wrap"
        assert not self.screen.modes[SYNCHRONIZED], "a frame has not ended"
        assert termios.tcgetattr(self.slave) == self.modes_before, "modes have changed"
