"""Bytes that follow from a nonce, as application.c makes them: a table whose period is a prime, so no
buffer's size hides a shift."""

PERIOD = 262139
BYTES_MAX = 5 << 20


def table():
    state, mask, made = 1, (1 << 64) - 1, bytearray(PERIOD)
    for at in range(PERIOD):
        state = (state * 6364136223846793005 + 1442695040888963407) & mask
        made[at] = state >> 56
    return bytes(made)


LONG = table() * (BYTES_MAX // PERIOD + 2)


class Noise:
    """`length` bytes of `nonce`, cut out when they are asked for."""

    def __init__(self, nonce, length):
        self.start, self.length = nonce * 7919 % PERIOD, length

    def __len__(self):
        return self.length

    def __getitem__(self, part):
        start, stop, _ = part.indices(self.length)
        return LONG[self.start + start : self.start + stop]
