"""Two models side by side: every task that both were measured on, and one task sample by sample.

Pure functions; no page. The paired part is that of ``audiometry compare``, on the evidence that the runs kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from audiometry.benchmark.compare import Changed, Line, Side, compare
from audiometry.benchmark.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Subject", "line_rows", "most_different", "paired", "side_by_side", "subject_of"]


class Subject(NamedTuple):
    """One model in one run, on one task: what `paired` compares."""

    run: str
    model: str
    folder: str
    task: str
    """The task in the run's document, as JSON."""


def subject_of(document: Mapping[str, Any], model: str, task: str) -> Subject:
    """The subject in a run; `document` is its run.json and its `folder`.

    Raises DataError if the run does not name the task.
    """
    found = next((one for one in document["tasks"] if one["name"] == task), None)
    if found is None:
        raise DataError(f"run {document['id']} does not name task {task!r}; run it again")
    return Subject(document["id"], model, str(document["folder"]), json.dumps({"spec": task, **found}, sort_keys=True))


@lru_cache(256)
def paired(a: Subject, b: Subject) -> tuple[tuple[Line, ...], tuple[Changed, ...]]:
    """B against A on their task, sample by sample: a line for all samples, then one a slice; and the samples that
    changed most. Kept in memory by runs.

    A plug-in file that a run was given is not loaded here: its tasks must be installed.

    Raises a UserError if the evidence is gone, or the two were not measured on the same thing.
    """
    lines, changed = compare(_side(a), _side(b))
    (most,) = changed.values()
    return tuple(lines), tuple(most)


def _side(subject: Subject) -> Side:
    if not (Path(subject.folder) / "scores.parquet").is_file():
        raise DataError(
            f"the samples of run {subject.run} are not in {subject.folder} any more; put the folder back, or run again"
        )
    document = {"tasks": [json.loads(subject.task)], "settings": {}}
    return Side(subject.run, subject.model, Path(subject.folder), document)


def most_different(a: pd.DataFrame, b: pd.DataFrame, most: int = 10) -> tuple[Changed, ...]:
    """The samples whose number of wrong words changed most, B's minus A's: for metrics that no sample has alone.

    `a` and `b` are from `evidence.read_samples`; nothing where no words were counted.
    """
    if "errors" not in a or "errors" not in b:
        return ()
    change = (b.set_index("sample_id")["errors"] - a.set_index("sample_id")["errors"]).dropna()
    change = change[change != 0].sort_index()
    order = change.abs().sort_values(ascending=False, kind="stable").index[:most]
    return tuple(Changed(str(name), float(change[name])) for name in order)


def line_rows(lines: tuple[Line, ...]) -> pd.DataFrame:
    """Paired comparisons as rows: slice, n, a, b, difference (B minus A), low, high, p, p_adjusted, verdict, unit."""
    import pandas as pd

    return pd.DataFrame([
        {
            "slice": line.slice, "n": line.n, "a": line.value_a, "b": line.value_b,
            "difference": line.found.difference, "low": line.found.low, "high": line.found.high, "p": line.found.p,
            "p_adjusted": line.p_adjusted, "verdict": line.found.verdict, "unit": line.metric.unit,
            "metric": line.metric.name, "direction": line.metric.direction,
        }
        for line in lines
    ])  # fmt: skip


def side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The headlines of two models (`Store.results` of each, over all samples) on every protocol that both have.

    Columns: task, protocol, metric, unit, direction, n, value_a, low_a, high_a, run_a, origin_a, and the same of b,
    created, and `told`: ``A``, ``B`` (the better one, where the 95 % intervals do not meet) or nothing.
    """
    import numpy as np

    keep = ["protocol", "value", "low", "high", "run", "origin"]
    first = a.drop_duplicates("protocol")[[*keep, "task", "metric", "unit", "direction", "n", "created"]]
    both = first.merge(
        b.drop_duplicates("protocol")[[*keep, "metric"]], on=["protocol", "metric"], suffixes=("_a", "_b")
    )
    lower = both["direction"] == "lower"
    a_low = np.where(both["high_a"] < both["low_b"], "A", np.where(both["high_b"] < both["low_a"], "B", ""))
    other = {"A": "B", "B": "A", "": ""}
    told = [str(name) if is_lower else other[str(name)] for name, is_lower in zip(a_low, lower, strict=True)]
    columns = ["task", "protocol", "metric", "unit", "direction", "n"]
    columns += [f"{name}_{side}" for side in "ab" for name in ("value", "low", "high", "run", "origin")]
    return both.assign(told=told)[[*columns, "created", "told"]].sort_values("task", kind="stable", ignore_index=True)
