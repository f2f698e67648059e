"""Results that somebody reports of a run of their own: shown, marked as self-reported, and never taken for verified."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.runfolder import RUN, RunFolder, read_results
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.run_form import count, malformed, number, texts

__all__ = ["ORIGIN", "import_run"]

ORIGIN = "self-reported"
NAMES = ("model", "task", "task_version", "metric", "slice", "unit", "direction")
DIRECTIONS = ("lower", "higher")
SHARES = ("failed", "empty", "refused", "unparsed")


def import_run(folder: Path, store: Store) -> str:
    """Put the run in `folder` (its ``run.json`` and ``results.json``) into the store as self-reported; returns its id.

    The id is made of the content, so that no import can replace a run that was measured here, and importing twice is
    importing once. The run's own id is kept in its document as ``reported_id``.

    Raises StoreError for a folder that holds no finished run, for a run.json of another form than a run writes, and for
    numbers that cannot be.
    """
    try:
        run = RunFolder.open(folder).document()
        results = read_results(folder)
    except RecursionError as error:
        raise StoreError(f"{folder} holds JSON that is nested too deeply; no run writes that") from error
    if where := malformed(run):
        raise StoreError(f"{folder}: its {RUN} is not of the form of this version: {where}; run again")
    if not results:
        raise StoreError(f"{folder} holds no results; give the folder of a finished run")
    for result in results:
        _check(result, folder)
    document, run_id = _renamed(run, results)
    store.add_run(document, results, str(folder.absolute()), origin=ORIGIN)
    return run_id


def _renamed(run: dict[str, Any], results: list[Result]) -> tuple[dict[str, Any], str]:
    """The run under an id that only this content has."""
    content = json.dumps([run, [asdict(result) for result in results]], sort_keys=True)
    run_id = f"{ORIGIN}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"
    return {**run, "id": run_id, "reported_id": run.get("id")}, run_id


def _check(result: Result, folder: Path) -> None:
    """Refuse counts and values that no run can give."""
    counts = [result.n, *(getattr(result, name) for name in SHARES)]
    problem = ""
    if not all(one is None or number(one) for one in (result.value, result.low, result.high)):
        problem = "a value that is no finite number"
    elif not all(count(one) and one <= result.n for one in counts):
        problem = "a count that is negative or above n"
    elif not texts([getattr(result, name) for name in NAMES]) or not texts(result.judges) or not texts(result.notes):
        problem = "a name or a note that is no text"
    elif result.direction not in DIRECTIONS:
        problem = "a direction that is none"
    elif result.low is not None and result.high is not None and result.low > result.high:
        problem = "an interval whose ends are swapped"
    if problem:
        where = f"{result.model!s:.40}, {result.task!s:.80}, {result.metric!s:.40}"
        raise StoreError(f"{folder}: its results have {problem} ({where}); score the run again")
