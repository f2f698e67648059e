"""`requirements.lock`: every pin of constraints.txt with the SHA-256 of its files, by pip; checked without a network.

::

    python .ci/lock.py make     ask the package index, through pip, and write requirements.lock
    python .ci/lock.py check    compare requirements.lock with constraints.txt; exit 1 where they differ

`make` takes the file that pip would install on the machine and Python it runs on, and keeps the hashes of a pin that
are in the lock already: run on another platform, it adds that platform's. Names of packages are written in their
normal form; where they come from is not written down.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["check", "make", "read_lock", "read_pins"]

ROOT = Path(__file__).parents[1]
PINS = ROOT / "constraints.txt"
LOCK = ROOT / "requirements.lock"
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;#\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
HEAD = """\
# Every pin of constraints.txt with the SHA-256 of its files. Made by: python .ci/lock.py make
# Install exactly these with: pip install --require-hashes --no-deps -r requirements.lock
"""

Pin = tuple[str, str]


def normal(name: str) -> str:
    """A package's name in its normal form: ``ast_serialize`` is ``ast-serialize``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_pins(text: str) -> list[Pin]:
    """(name, version) of every line of constraints.txt.

    Raises ValueError for a line that is no pin, or a name that is pinned twice.
    """
    pins: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        found = PIN.fullmatch(plain)
        if found is None:
            raise ValueError(f"constraints.txt, line {number}: {plain!r} is no pin; write NAME==VERSION")
        if normal(found[1]) in pins:
            raise ValueError(f"constraints.txt, line {number}: {found[1]} is pinned twice; leave one")
        pins[normal(found[1])] = found[2]
    return sorted(pins.items())


def read_lock(text: str) -> dict[Pin, list[str]]:
    """Hashes of every pin of a lock.

    Raises ValueError for a line that is neither, and a name that is there twice.
    """
    found: dict[Pin, list[str]] = {}
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = PIN.match(line)
        rest = "" if pin is None else HASH.sub("", line[pin.end() :])
        if pin is None or rest.strip():
            raise ValueError(f"requirements.lock: {line.split()[0]!r} is no pin with hashes; make it again")
        key = normal(pin[1]), pin[2]
        if key[0] in {name for name, _ in found}:
            raise ValueError(f"requirements.lock: {key[0]} is there twice; make it again")
        found[key] = sorted(set(HASH.findall(line)))
    return found


def check(pins: str, lock: str) -> list[str]:
    """What is wrong between the texts of constraints.txt and requirements.lock, one line each; nothing if they agree.

    >>> check("a==1", "a==1 --hash=sha256:" + 64 * "0")
    []
    >>> check("a==2\\nb==1", "a==1 --hash=sha256:" + 64 * "0" + "\\nb==1")
    ['a==2 is not in requirements.lock', 'b==1 has no hash', 'a==1 is not in constraints.txt']
    """
    try:
        wanted, locked = read_pins(pins), read_lock(lock)
    except ValueError as error:
        return [str(error)]
    missing = [
        f"{name}=={version} is not in requirements.lock" for name, version in wanted if (name, version) not in locked
    ]
    bare = [f"{name}=={version} has no hash" for (name, version), hashes in locked.items() if not hashes]
    extra = [
        f"{name}=={version} is not in constraints.txt" for name, version in locked if (name, version) not in wanted
    ]
    return [*missing, *bare, *extra]


def make(pins: str, lock: str, report: Mapping[str, Any]) -> str:
    """The text of requirements.lock from pip's installation report, keeping the hashes of unchanged pins in `lock`.

    Raises ValueError where the report lacks a pin or its hash.
    """
    known = read_lock(lock)
    hashes: dict[str, set[str]] = {}
    for item in report["install"]:
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest:
            hashes.setdefault(normal(item["metadata"]["name"]), set()).add(digest)
    lines = []
    for name, version in read_pins(pins):
        found = sorted({*hashes.get(name, ()), *known.get((name, version), ())})
        if not found:
            raise ValueError(f"pip told no SHA-256 of {name}=={version}; ask an index that gives them")
        lines.append(" \\\n".join([f"{name}=={version}", *(f"    --hash=sha256:{digest}" for digest in found)]))
    return HEAD + "\n".join(lines) + "\n"


def ask_pip() -> dict[str, Any]:
    """What pip would install for constraints.txt here; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        words = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", *words, "-r", str(PINS)], check=True)
        document: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return document


def main(words: list[str]) -> int:
    """Do what the command line says."""
    pins = PINS.read_text(encoding="utf-8")
    lock = LOCK.read_text(encoding="utf-8") if LOCK.exists() else ""
    if words == ["make"]:
        LOCK.write_text(make(pins, lock, ask_pip()), encoding="utf-8")
        return 0
    if words == ["check"]:
        problems = check(pins, lock)
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            print("make the lock again with: python .ci/lock.py make", file=sys.stderr)
        return 1 if problems else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
