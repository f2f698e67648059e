"""Whole runs of `audiometry` for the benchmarks: a process each, in a new home with the corpora there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audiometry.benchmark import paths

INSTANT = Path(__file__).with_name("_instant.py")
PROGRAM = """
import resource, sys
from audiometry.benchmark.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
raise SystemExit(code)
"""


@dataclass(frozen=True)
class Run:
    """What a run took: `seconds` from the start of its process to its end, `peak` bytes of the driver, `run.json`."""

    seconds: float
    peak: int
    document: dict[str, Any]
    results: list[dict[str, Any]]

    @property
    def apart(self) -> float:
        """Seconds of the start: Ray's, and a worker's until its first model is loaded."""
        used = [model["utilisation"].get("start_seconds", 0.0) for model in self.document["models"]]
        return float(self.document["start_seconds"]) + max(used)

    @property
    def value(self) -> float:
        """The headline."""
        return float(next(one["value"] for one in self.results if one["slice"] == "all"))


@contextmanager
def new_home() -> Iterator[Path]:
    """A home folder with nothing in it but the corpora that are prepared here."""
    with TemporaryDirectory() as name:
        home = Path(name)
        (home / "corpora").symlink_to(paths.corpora_folder())
        yield home


def run(home: Path, model: str, task: str, *more: str) -> Run:
    """One `audiometry run` on this machine."""
    folder = home / f"run-{len(list(home.glob('run-*')))}"
    command = [
        sys.executable, "-c", PROGRAM, "run", "--quiet", "--json", "-m", model, "-t", task, "-o", str(folder),
        "--plugin", str(INSTANT), *more,
    ]  # fmt: skip
    environment = os.environ | {"AUDIOMETRY_HOME": str(home)}
    environment.pop("AUDIOMETRY_STORE", None)
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command[3:])} ended with {done.returncode}: {done.stderr.strip()}")
    peak = int(done.stderr.rsplit("peak", 1)[1]) * 1024
    return Run(seconds, peak, json.loads((folder / "run.json").read_text()), json.loads(done.stdout)["results"])
