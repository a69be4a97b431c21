#!/usr/bin/env python3
"""The law of who may include whom; every build runs it, and docs/ARCHITECTURE.md prints the same table.

    check_layers.py           exits 1 after naming every include that breaks the law
    check_layers.py --table   prints the table as docs/ARCHITECTURE.md shows it
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

L0 = ["base"]
L1 = ["mem"] + L0
CORE = ["metrics", "timer", "ring"] + L1
SEAM = ["app", "net", "http", "json"] + CORE
SERVE = ["app", "net", "http", "ws", "files", "upload", "metrics", "timer"] + L1
SERVER = ["serve", "files", "upload", "db", "net", "app", "http"] + CORE

# (layer, modules, what they may include beside themselves and libc), top layer first.
TABLE = [
    (5, ["cli"], ["server", "demo", "tls", "ws", "json"] + SERVER),
    (5, ["pybridge"], ["server", "app"] + L1),
    (5, ["profile"], ["observe", "http", "json", "metrics"] + L1),
    (5, ["demo"], []),
    (4, ["server"], SERVER),
    (3, ["serve"], SERVE),
    (3, ["files", "upload", "db"], SEAM),
    (2, ["observe"], ["metrics"] + L0),
    (2, ["net", "tls"], CORE),
    (2, ["app"], ["http", "json", "ws", "timer", "metrics"] + L1),
    (1, ["ring", "timer", "metrics"], L1),
    (1, ["http", "ws", "json"], L1),
    (0, ["mem"], L0),
    (0, ["base"], []),
]
ALLOWED = {module: set(below) | {module} for _, modules, below in TABLE for module in modules}
LAYER = {module: layer for layer, modules, _ in TABLE for module in modules}

# Bytes in, spans out: a codec has no use for a system call or a clock.
CODECS = {"http", "ws", "json"}
ISO_HEADERS = {"assert.h", "ctype.h", "errno.h", "float.h", "inttypes.h", "limits.h", "math.h",
               "stdalign.h", "stdarg.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h",
               "stdio.h", "stdlib.h", "string.h"}
# Instructions, and the text forms of addresses: neither asks the kernel for anything.
PURE_HEADERS = {"immintrin.h", "arpa/inet.h"}
# The one module that may use a library, by the library's header.
OWNERS = {r"liburing(/.*)?\.h|linux/io_uring\.h": "ring", r"bpf/.*": "profile",
          r"linux/bpf\.h": "observe",
          r"Python\.h": "pybridge", r"openssl/.*": "tls", r"sqlite3\.h|libpq-fe\.h": "db"}
# Layouts that a lower module shares with users: what the macros of <covet/json.h> fill in.
SEAMS = {"json": {"covet/json.h"}}
# What the kernel's side of profiling writes, and who may read it.
PROBES = {"observe", "profile"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)


def table_lines():
    yield "| layer | module | may include, beside itself, `<covet/abi.h>` and libc |"
    yield "|---|---|---|"
    for layer, modules, below in TABLE:
        text = "`<covet.h>` only" if modules == ["demo"] else ", ".join(below) or "nothing"
        yield f"| L{layer} | {', '.join(modules)} | {text} |"


def refuse_internal(module, name):
    """Why a file of `module` may not include "name", or None."""
    target, slash, _ = name.partition("/")
    if target == "bpf":
        return None if module in PROBES else "is what the probes write: for observe and profile"
    if not slash or target not in ALLOWED:
        return 'is not written as "module/file.h"'
    if module not in ALLOWED:
        return f"reaches into src/ from {module}, which sees public headers only"
    if target not in ALLOWED[module]:
        return f"is not below {module} in the layer table"
    return None


def refuse_external(module, name):
    """Why a file of `module` may not include <name>, or None."""
    if name == "covet.h" or name.startswith("covet/"):
        if LAYER.get(module, 9) < 2 or module == "net":
            seams = {"covet/abi.h"} | SEAMS.get(module, set())
            return None if name in seams else "is for the app layer and above"
        return None
    for pattern, owner in OWNERS.items():
        if re.fullmatch(pattern, name) and module != owner:
            return f"belongs to src/{owner} alone"
    if module in CODECS and name not in ISO_HEADERS | PURE_HEADERS:
        return "gives a codec system calls or a clock"
    if module == "include" and name not in ISO_HEADERS:
        return "is not ISO C: public headers include <covet/...> and libc only"
    if module == "demo" and name not in ISO_HEADERS:
        return "is not <covet.h> or ISO C: the demo is written as users write"
    return None


def files():
    """Every file under the law, with the name of its module."""
    for path in sorted((ROOT / "src").rglob("*.[ch]")):
        yield path, path.relative_to(ROOT / "src").parts[0]
    for folder in ("include", "examples"):
        for path in sorted((ROOT / folder).rglob("*.[ch]")):
            yield path, folder


def main():
    if sys.argv[1:] == ["--table"]:
        print("\n".join(table_lines()))
        return 0
    broken, file_count, include_count = [], 0, 0
    for path, module in files():
        file_count += 1
        place = path.relative_to(ROOT)
        if place.parts[0] == "src" and (module not in ALLOWED or len(place.parts) != 3):
            broken.append(f"{place}: not src/<module>/<file> with a module of the layer table")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            include_count += 1
            external, internal = match.groups()
            why = (refuse_external(module, external) if external
                   else refuse_internal(module, internal))
            if why:
                line = text.count("\n", 0, match.start()) + 1
                broken.append(f"{place}:{line}: {match.group(0).strip()} {why}")
    for line in broken:
        print(line, file=sys.stderr)
    if broken:
        print(f"layers: {len(broken)} broken (the law: scripts/check_layers.py --table)",
              file=sys.stderr)
        return 1
    print(f"layers: {include_count} includes of {file_count} files look downward")
    return 0


sys.exit(main())
