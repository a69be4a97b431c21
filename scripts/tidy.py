#!/usr/bin/env python3
"""House rules that a compiler does not know; `make check` runs them.

Lines over 100 columns (Python, which no formatter wraps here: 110), words that mark unfinished work,
banned calls, headers that do not compile alone (public ones as C++ too), headers nobody includes,
files over 300 kB, and docs/ARCHITECTURE.md: its code map must name every file of the mapped folders
and no other, and its layer table must be the one of check_layers.py.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs/ARCHITECTURE.md"
COLUMNS_MAX = 100
PYTHON_COLUMNS_MAX = 110
FILE_BYTES_MAX = 300_000
CODE = {".c", ".h"}
MAPPED = ["src/*", "include", "include/covet", "bpf", "examples", "examples/*", "tools", "tools/*", "perf",
          "perf/bench", "perf/harness", "perf/peers", "perf/peers/python", "scripts", "scripts/tune",
          "tests/support", "tests/fuzz", "tests/sim", "tests/reliability", "tests/soak"]
UNFINISHED = re.compile(r"\b(?:FIX" r"ME|TO" r"DO|X" r"XX)\b")
# Unbounded writes, silent conversions, hidden state; each has a checked counterpart. Tests may.
BANNED = re.compile(r"\b(strcpy|stpcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|atoi|atol|atoll|"
                    r"atof|strtok|alloca|tmpnam|mktemp|asctime|ctime|gmtime|localtime)\s*\(")
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
INCLUDE = re.compile(r'#[ \t]*include[ \t]*[<"]([^>"]+)[>"]')


def project_files():
    """What is or may be committed, as paths relative to the root."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT,
                                capture_output=True, text=True, check=True).stdout
        return sorted(Path(name) for name in set(listed.split("\0")) - {""} if (ROOT / name).is_file())
    found = []
    for folder, folders, names in os.walk(ROOT):
        inside = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders
                      if name not in (".git", "__pycache__") and str(inside / name) != "build"]
        found += [inside / name for name in names if not (Path(folder) / name).is_symlink()]
    return sorted(found)


def columns_max(path, text):
    """The limit of a file's lines; None where lines may be as long as they are."""
    if path.suffix == ".py" or re.match(r"#!.*\bpython", text):
        return PYTHON_COLUMNS_MAX
    return COLUMNS_MAX if path.suffix in CODE or text.startswith("#!") else None


def without_comments(code):
    """The same lines, with comments and literals blanked."""
    return COMMENT_OR_TEXT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), code)


def check_text(path, text):
    columns = columns_max(path, text)
    for number, line in enumerate(text.splitlines(), 1):
        if columns and len(line) > columns:
            yield f"{path}:{number}: {len(line)} columns, at most {columns}"
        if match := UNFINISHED.search(line):
            yield f"{path}:{number}: {match.group()}: finish it or write a note in docs/notes"
    if path.suffix in CODE and path.parts[0] != "tests":
        code = without_comments(text)
        for match in BANNED.finditer(code):
            number = code.count("\n", 0, match.start()) + 1
            yield f"{path}:{number}: {match.group(1)} is banned"


def check_files(paths):
    for path in paths:
        full = ROOT / path
        if full.stat().st_size > FILE_BYTES_MAX:
            yield f"{path}: {full.stat().st_size} bytes, at most {FILE_BYTES_MAX}"
            continue
        try:
            text = full.read_text()
        except UnicodeDecodeError:
            continue
        yield from check_text(path, text)


def compile_alone(job):
    compiler, language, path = job
    command = [compiler, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
               "-Iinclude", "-x", language, "-std=" + ("gnu17" if language == "c" else "c++17")]
    if path.parts[0] != "include":
        command[1:1] = ["-Isrc", "-iquote", "."]
    name = path.relative_to(path.parts[0])
    done = subprocess.run(command + ["-"], cwd=ROOT, input=f"#include <{name}>\nextern int unused;\n",
                          capture_output=True, text=True)
    if done.returncode == 0:
        return None
    first = next((line for line in done.stderr.splitlines() if "error:" in line), done.stderr)
    return f"{path}: does not compile alone as {language}: {first.strip()}"


def check_headers(paths):
    c = os.environ.get("CC") or shutil.which("gcc") or "cc"
    cxx = shutil.which("g++") or shutil.which("clang++")
    headers = [path for path in paths if path.suffix == ".h" and path.parts[0] in ("src", "include")]
    jobs = [(c, "c", path) for path in headers]
    if cxx:
        jobs += [(cxx, "c++", path) for path in headers if path.parts[0] == "include"]
    else:
        print("tidy: no C++ compiler here, public headers were tried as C only")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(compile_alone, jobs))
    included = set()
    for path in paths:
        if path.suffix in CODE:
            own = str(Path(*path.parts[1:]))
            included |= set(INCLUDE.findall((ROOT / path).read_text())) - {own}
    for path in headers:
        if path.parts[0] == "src" and str(Path(*path.parts[1:])) not in included:
            yield f"{path}: no file includes it"


def mapped_names(text):
    """Paths the code map names: `### `folder/`` opens a folder, a row `| `name` | ...` names files."""
    folder = ""
    for line in text.splitlines():
        if heading := re.match(r"#+ .*?`([^`]+)/`", line):
            folder = heading.group(1)
        elif line.startswith("#"):
            folder = ""
        elif folder and (row := re.match(r"\| *(`[^|]+`) *\|", line)):
            for name in re.findall(r"`([^`]+)`", row.group(1)):
                stem, both, _ = name.partition(".[ch]")
                ends = (".c", ".h") if both else ("",)
                yield from (f"{folder}/{stem}{end}" for end in ends)


def check_code_map(paths):
    text = ARCHITECTURE.read_text()
    named = list(mapped_names(text))
    folders = {str(path.relative_to(ROOT)) for pattern in MAPPED for path in ROOT.glob(pattern)}
    there = {str(path) for path in paths if str(path.parent) in folders}
    place = ARCHITECTURE.relative_to(ROOT)
    for name in sorted(there - set(named)):
        yield f"{place}: the code map lacks {name}"
    for name in sorted(set(named) - {str(path) for path in paths}):
        yield f"{place}: the code map names {name}, which is not there"
    for name in sorted(name for name in set(named) if named.count(name) > 1):
        yield f"{place}: the code map names {name} twice"
    table = subprocess.run([sys.executable, str(ROOT / "scripts/check_layers.py"), "--table"],
                           capture_output=True, text=True, check=True).stdout
    if table.strip() not in text:
        yield f"{place}: its layer table is not that of scripts/check_layers.py --table"


def main():
    paths = project_files()
    found = [*check_files(paths), *check_headers(paths), *check_code_map(paths)]
    for line in found:
        print(line, file=sys.stderr)
    print(f"tidy: {len(paths)} files, {len(found)} found")
    return 1 if found else 0


sys.exit(main())
