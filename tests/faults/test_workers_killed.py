"""Workers are killed from outside, again and again; nothing is lost and nothing is counted twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest

from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings

PLUGIN = str(Path(__file__).with_name("breaking.py"))
COUNT, KILLS = 1500, 20
BURST = 5
"""Kills in a row with no answer between: most of these workers are still loading the model."""
WAIT_SECONDS = 200.0

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here", "home")]


def workers() -> list[psutil.Process]:
    """Ray's actor processes below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            title = process.cmdline()[0]
        except (psutil.Error, IndexError):
            continue
        if title.startswith("ray::Evaluator"):
            found.append(process)
    return found


def kill_some(journal: Path, killed: list[int], over: threading.Event) -> None:
    """Kill a worker chosen at random at `KILLS` states of the journal: at random ones, `BURST` times at one of them."""
    chance = random.Random(20)
    states = chance.sample(range(1, COUNT // 2), KILLS - BURST + 1)
    for lines in sorted(states + states[:1] * (BURST - 1)):
        until(partial(holds, journal, lines), over)
        until(lambda: bool(workers()), over)
        if over.is_set():
            return
        victim = chance.choice(workers())
        victim.kill()
        victim.wait(WAIT_SECONDS)
        killed.append(victim.pid)


def holds(journal: Path, lines: int) -> bool:
    """Whether the journal holds so many lines."""
    return journal.exists() and journal.read_bytes().count(b"\n") >= lines


def until(true: Callable[[], bool], over: threading.Event) -> None:
    """Wait until something is true, or the run is over."""
    while not true() and not over.is_set():
        time.sleep(0.01)


def test_twenty_kills_of_workers_in_one_run(tmp_path: Path) -> None:
    settings = RunSettings(
        models=("breaking:seconds=0.005",), tasks=(f"sayings:count={COUNT}",), plugins=(PLUGIN,), batch_size=4,
        resamples=100, workers=2, cache=False, max_failures=0.0,
    )  # fmt: skip
    calm = evaluate(settings, output=tmp_path / "calm", quiet=True).folder
    killed: list[int] = []
    over = threading.Event()
    killer = threading.Thread(target=kill_some, args=(tmp_path / "run" / "journal.jsonl", killed, over), daemon=True)
    killer.start()
    done = evaluate(settings, output=tmp_path / "run", quiet=True)
    over.set()
    killer.join(WAIT_SECONDS)
    assert len(set(killed)) == KILLS
    assert done.status == "complete"
    assert (done.folder / "results.json").read_bytes() == (calm / "results.json").read_bytes()
    for name in ("outputs.parquet", "scores.parquet"):
        disturbed, undisturbed = (
            pd.read_parquet(folder / name).sort_values("sample_id", ignore_index=True) for folder in (done.folder, calm)
        )
        assert list(disturbed["sample_id"]) == [f"word{i:04d}" for i in range(COUNT)]
        disturbed, undisturbed = (frame.drop(columns="total_seconds", errors="ignore") for frame in
                                  (disturbed, undisturbed))  # fmt: skip
        pd.testing.assert_frame_equal(disturbed, undisturbed)
