"""What a setting shall be, as the table writes it, beside what a kernel file says.

A wanted value is one word for each word of the file:

    4096          exactly this            >=4096    at least: a larger one stays
    *             whatever it is          <=10240   at most: a smaller one stays
    madvise/always  the first, unless it is another of them already

`list 0-3` is a CPU list and `mask 0-3` a CPU mask: kernels write the same set in several ways.
"""
import re

UNLIMITED = ("max", "unlimited")


def parse_cpus(text):
    """The set of a CPU list such as 0-3,8."""
    cpus = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return cpus


def format_cpus(cpus):
    """0-3,8: the way the kernel prints a set."""
    text, ordered = [], sorted(cpus)
    while ordered:
        count = next((i for i, cpu in enumerate(ordered) if cpu != ordered[0] + i), len(ordered))
        text.append(f"{ordered[0]}-{ordered[count - 1]}" if count > 1 else f"{ordered[0]}")
        ordered = ordered[count:]
    return ",".join(text)


def parse_mask(text):
    """The set of a mask: hexadecimal words of 32 bits, the highest first."""
    bits = int("".join(word.rjust(8, "0") for word in text.strip().split(",")) or "0", 16)
    return {cpu for cpu in range(bits.bit_length()) if bits >> cpu & 1}


def format_mask(cpus):
    digits = f"{sum(1 << cpu for cpu in cpus):x}"
    digits = digits.rjust(-len(digits) % 8 + len(digits), "0")
    words = [digits[at:at + 8] for at in range(0, len(digits), 8)]
    return ",".join([words[0].lstrip("0") or "0"] + words[1:])


def plain(text, kind="words"):
    """What a file says in the one form that can be compared, and written to it."""
    if kind == "list":
        return format_cpus(parse_cpus(text))
    if kind == "mask":
        return format_mask(parse_mask(text))
    chosen = re.search(r"\[([^\]]+)\]", text)  # "always [madvise] never"
    return chosen.group(1) if chosen else " ".join(text.split())


def word_wanted(wanted, current):
    if wanted == "*":
        return current
    if wanted[:2] in (">=", "<="):
        if current in UNLIMITED:
            return current if wanted[:2] == ">=" else wanted[2:]
        choose = max if wanted[:2] == ">=" else min
        return str(choose(int(current), int(wanted[2:])))
    choices = wanted.split("/")
    return current if current in choices else choices[0]


class Want:
    """One wanted value. kind: how the file is read ("words", "list", "mask")."""

    def __init__(self, text):
        first, _, rest = text.partition(" ")
        self.kind = first if first in ("list", "mask") else "words"
        self.text = text if self.kind == "words" else rest

    def target(self, current):
        """What must be in the file in place of `current` (plain); `current` itself when that will do."""
        if self.kind == "list":
            return plain(self.text, "list")
        if self.kind == "mask":
            return format_mask(parse_cpus(self.text))
        wanted, words = self.text.split(), current.split()
        if len(wanted) != len(words):
            return " ".join(re.sub("^[<>]=", "", word).split("/")[0] for word in wanted)
        return " ".join(map(word_wanted, wanted, words))


def same(one, other, kind):
    return plain(one, kind) == plain(other, kind)
