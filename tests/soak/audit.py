"""The access log beside what clients saw: every answer is one line, and no line is two."""

import collections
import glob
import os
import re

LINE = re.compile(r'^\S+ - - \[[^\]]+\] "([^"\\]|\\.)*" \d{3} (\d+|-) "([^"\\]|\\.)*" "([^"\\]|\\.)*"$')
NONCE = re.compile(r'"[A-Z]+ /\w+/([1-9]\d*)[ /?]')


class Audit:
    """Takes in what was logged since it was last asked. Lines of clients that never saw their answer are
    nobody's; a rotated file is read to its end and removed."""

    def __init__(self, path):
        self.path, self.offset, self.inode = path, 0, None
        self.lines, self.broken = 0, []
        self.nonces = collections.Counter()

    def forget(self):
        """A new round begins."""
        self.lines = 0
        self.nonces.clear()

    def read(self):
        rotated = sorted(glob.glob(f"{self.path}.*"), key=lambda name: int(name.rpartition(".")[2]))
        for path in [*rotated, self.path]:
            with open(path, "rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self.offset if inode == self.inode else 0)
                data = file.read()
                whole = data.rfind(b"\n") + 1
                self.inode, self.offset = inode, file.tell() - len(data) + whole
            self.take(data[:whole].decode("latin-1").splitlines())
            if path != self.path:
                os.unlink(path)

    def take(self, lines):
        self.lines += len(lines)
        for line in lines:
            if not LINE.match(line):
                self.broken.append(line)
            elif match := NONCE.search(line):
                self.nonces[int(match[1])] += 1

    def missing(self, seen):
        return seen - self.nonces.keys()

    def twice(self):
        return [nonce for nonce, count in self.nonces.items() if count > 1]
