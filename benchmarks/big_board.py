"""A big board in a browser: 1,000 models on 60 tasks with 10 slices each, five million samples in the runs.

A store is filled through `Store.add_run` (a run a model, the evidence of every sample in its folder) on SQLite, copied
to PostgreSQL, and each is looked at with ``audiometry serve`` and Chromium. Medians over several new browsers of:

- the first page: from the request to the table of the first models, in a browser that has never been here, and in one
  that has (its cache holds the front end's files);
- a filter: from the Enter key in the box "Find a model" to the table that holds only those;
- the server's resident memory afterwards (its own and its children's), every page visited.

Beside them, in the same browsers at the same time, what the front end alone takes: the same server on an empty store.
The default makes 100 models; ``--full`` 1,000, which takes some minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Browser, Page, expect

from audiometry.benchmark.store import Store
from audiometry.benchmark.store_backup import backup, restore
from audiometry.benchmark.types import Result

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import browsing
import postgres_server

TASKS, SLICES, SAMPLES = 60, 10, 84
"""Samples of a task: 1,000 models on 60 tasks have 5,040,000."""

LIMITS = {"first page": 1.5, "filter": 0.5, "memory": 600.0}
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def write_run(root: Path, number: int, hard: np.ndarray) -> tuple[dict[str, Any], list[Result], Path]:
    """One model's run: its folder with every sample, its run.json and its results."""
    chance = np.random.default_rng(number)
    model, run = f"model-{number:04d}", f"run-{number:04d}"
    skill = chance.beta(2, 6)
    rates = np.clip(skill + hard + chance.normal(0, 0.02, (TASKS, 1)), 0.01, 0.95)  # (tasks, samples)
    errors = chance.binomial(10, rates).astype(np.float64)
    folder = root / run
    folder.mkdir(parents=True)
    names = [f"task-{task:02d}" for task in range(TASKS)]
    groups = np.arange(SAMPLES) % SLICES
    flat = {
        "model": [model] * errors.size, "task": np.repeat(names, SAMPLES),
        "sample_id": [f"s{i:03d}" for i in range(SAMPLES)] * TASKS,
        "status": ["ok"] * errors.size, "cluster": [f"c{i}" for i in range(SAMPLES)] * TASKS,
        "stratum": [""] * errors.size, "count.errors": errors.ravel(), "count.words": np.full(errors.size, 10.0),
        "slice.group": [f"g{g}" for g in groups] * TASKS,
    }  # fmt: skip
    table = pa.table(flat)
    pq.write_table(table, folder / "scores.parquet")
    pq.write_table(table.select(["model", "task", "sample_id", "status"]), folder / "outputs.parquet")
    results: list[Result] = []
    for task, name in enumerate(names):
        for slice_, chosen in [("all", slice(None)), *((f"group=g{g}", groups == g) for g in range(SLICES))]:
            part = errors[task][chosen] / 10
            value, spread = float(part.mean()), 1.96 * float(part.std(ddof=1)) / len(part) ** 0.5
            results.append(Result(
                run=run, model=model, task=name, task_version="1", metric="wer", slice=slice_, value=value,
                low=max(0.0, value - spread), high=value + spread, n=len(part), notes=("made for a benchmark",),
            ))  # fmt: skip
    created = BEGIN + timedelta(hours=number)
    document = {
        "id": run, "fingerprint": run, "created": created.isoformat(), "finished": created.isoformat(),
        "status": "complete", "command": [], "seed": 0, "limit": None, "versions": {}, "hardware": {}, "settings": {},
        "models": [{"name": model, "spec": model, "fingerprint": f"f{number}", "control": False, "settings": {}}],
        "tasks": [
            {"name": name, "spec": name, "version": "1", "settings": {}, "notes": [], "metrics": [],
             "samples": SAMPLES, "digest": "d"}
            for name in names
        ],
        "timings": [
            {"model": model, "task": name, "seconds": 2.0, "audio_seconds": 300.0, "rtfx": 150.0} for name in names
        ],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(document))
    return document, results, folder


def fill(url: str, root: Path, models: int) -> int:
    """Put `models` runs into a store; gives the number of sample rows in their folders."""
    hard = np.abs(np.random.default_rng(0).normal(0, 0.1, (TASKS, SAMPLES)))
    samples = 0
    with Store.open(url) as store:
        for number in range(models):
            document, results, folder = write_run(root, number, hard)
            origin = ("local", "verified", "self-reported")[number % 3]
            store.add_run(document, results, str(folder), origin=origin)
            samples += pq.read_metadata(folder / "scores.parquet").num_rows
    return samples


def copy_store(source: str, target: str, folder: Path) -> None:
    """Bring one store into another, by a backup."""
    with Store.open(source) as store:
        backup(store, folder / "copy.backup")
    with Store.open(target) as store:
        restore(store, folder / "copy.backup")


@contextmanager
def board(url: str) -> Iterator[tuple[str, psutil.Process]]:
    """``audiometry serve`` on a store; gives its address and its process."""
    words = [sys.executable, "-m", "audiometry.benchmark.cli", "serve", "--store", url, "--port"]
    with browsing.served(lambda port: [*words, str(port)]) as address:
        port = address.rpartition(":")[2]
        yield address, next(one for one in psutil.Process().children() if one.cmdline()[-1] == port)


def drawn(page: Page, address: str, sign: str) -> float:
    """Seconds from the request until `sign` is seen."""
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(sign, timeout=120_000)
    return time.perf_counter() - begun


def memory_of(process: psutil.Process) -> float:
    """Resident mebibytes of a process and its children."""
    everyone = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in everyone) / 2**20


def look(browser: Browser, url: str, empty: str, times: int) -> dict[str, float]:
    """The measurements of one store."""
    rows = "table.am-table tbody tr"
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)

    with board(url) as (address, process), board(empty) as (bare, _):
        first = browser.new_context().new_page()
        note("very first", drawn(first, address, rows))  # the server's own first: it reads the store
        drawn(first, bare, "text=There are no results yet")
        first.context.close()
        for number in range(times):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            note("bare", drawn(page, bare, "text=There are no results yet"))
            note("bare again", drawn(page, bare, "text=There are no results yet"))
            note("new browser", drawn(page, address, rows))
            note("first page", drawn(page, address, rows))
            expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=60_000)
            wanted = f"model-{7 * number + 3:04d}"
            box = page.get_by_label("Find a model")
            box.fill(wanted)
            begun = time.perf_counter()
            box.press("Enter")
            page.wait_for_function(
                "name => { const all = document.querySelectorAll('table.am-table tbody th[scope=row]');"
                " return all.length > 0 && [...all].slice(0, 1).every(one => one.innerText == name); }",
                arg=wanted, polling="raf",
            )  # fmt: skip
            note("filter", time.perf_counter() - begun)
            page.context.close()
        page = browser.new_context().new_page()
        for name in ("heat", "models", "compare", "ranking", "slices"):
            page.goto(f"{address}/{name}")
            expect(page.get_by_text("Download CSV")).to_be_visible(timeout=120_000)
        note("memory", memory_of(process))
    return {name: statistics.median(values) for name, values in found.items()}


def main() -> None:
    """Fill, look, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="1,000 models")
    parser.add_argument("--times", type=int, default=5, help="browsers a store")
    given = parser.parse_args()
    models = 1000 if given.full else 100
    os.environ.pop("AUDIOMETRY_STORE", None)
    with tempfile.TemporaryDirectory() as name, postgres_server.running() as server:
        root = Path(name)
        stores = {"SQLite": f"sqlite:///{root / 'store.db'}", "PostgreSQL": server.create("board")}
        begun = time.perf_counter()
        samples = fill(stores["SQLite"], root / "runs", models)
        copy_store(stores["SQLite"], stores["PostgreSQL"], root)
        print(f"{models:,} models x {TASKS} tasks x {SLICES} slices, {samples:,} samples: filled in "
              f"{time.perf_counter() - begun:.0f} s; load {os.getloadavg()[0]:.1f}")  # fmt: skip
        worst: dict[str, float] = dict.fromkeys(LIMITS, 0.0)
        with browsing.launched() as browser:
            for kind, url in stores.items():
                found = look(browser, url, f"sqlite:///{root / 'empty.db'}", given.times)
                alone = f"the front end alone {found['bare again']:.2f} s and {found['bare']:.2f} s"
                print(f"{kind}: first page {found['first page']:.2f} s, in a new browser {found['new browser']:.2f} s "
                      f"({alone}; the server's very first {found['very first']:.2f} s), "
                      f"filter {found['filter']:.2f} s, server {found['memory']:.0f} MiB; "
                      f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
                worst = {name: max(worst[name], found[name]) for name in worst}
    told = ", ".join(f"{name} {worst[name]:.2f} of {limit:g}" for name, limit in LIMITS.items())
    print(f"big board of {models:,} models, the worse of SQLite and PostgreSQL against its limit (s, s, MiB): {told} "
          f"value {worst['first page']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
