"""Two runs side by side, sample by sample: what changed, how surely, and where.

Only like is compared with like: the same task version, settings and samples. Anything else is refused, with what
differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometry.benchmark import paths
from audiometry.benchmark.columns import Columns, select
from audiometry.benchmark.errors import DataError, StoreError, UserError
from audiometry.benchmark.registry import TASKS, load_plugin_file, parse_spec
from audiometry.benchmark.runfolder import RUN, RunFolder
from audiometry.benchmark.stats import Comparison, compare_tables, holm
from audiometry.benchmark.types import FloatArray, Metric, Request, Sample, ScoreTable, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Changed", "Line", "Side", "compare", "open_side", "paired_columns", "run_document", "side_columns"]

SEPARATOR = "::"
FIELDS = {"id": str, "status": str, "settings": dict, "models": list, "tasks": list}
TASK_FIELDS = {"name": str, "spec": str, "version": str, "settings": dict, "samples": int, "digest": str}
CHANGED = 10
LEVEL = 0.05


@dataclass(frozen=True)
class Side:
    """One model's scores in one run."""

    run: str
    model: str
    folder: Path
    document: Mapping[str, Any]

    def task(self, name: str) -> Mapping[str, Any]:
        """What the run's document says of a task."""
        found: Mapping[str, Any] = next(task for task in self.document["tasks"] if task["name"] == name)
        return found

    @property
    def tasks(self) -> list[str]:
        """Names of the run's tasks."""
        return [task["name"] for task in self.document["tasks"]]


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample whose count of errors (or value) changed: B's minus A's."""

    sample_id: str
    change: float


@dataclass(frozen=True)
class Line:
    """One comparison: a task, a slice, the headline metric; B's value minus A's."""

    task: str
    slice: str
    metric: Metric
    n: int
    value_a: float
    value_b: float
    found: Comparison
    p_adjusted: float | None
    """Adjusted over the slices of the task by Holm's method; None for the whole, which stands alone."""


def open_side(text: str) -> Side:
    """Open ``RUN`` or ``RUN::MODEL``; RUN is a run folder, or the id of a run in the default place.

    Raises StoreError if there is no such run or its document is damaged, UserError if it holds several models and none
    is named.
    """
    run, _, model = text.partition(SEPARATOR)
    folder = next((path for path in (Path(run), paths.runs_folder() / run) if (path / RUN).is_file()), None)
    if folder is None:
        raise StoreError(f"there is no run {run!r}; give a run folder, or the name of one in {paths.runs_folder()}")
    document = run_document(folder)
    names = [line["name"] for line in document["models"]]
    if not model and len(names) > 1:
        raise UserError(
            f"run {run!r} holds several models; name one, as in {run}{SEPARATOR}{names[0]} ({', '.join(names)})"
        )
    model = model or names[0]
    if model not in names:
        raise UserError(f"run {run!r} holds no model {model!r}; it holds: {', '.join(names)}")
    return Side(run=document["id"], model=model, folder=folder, document=document)


def run_document(folder: Path) -> dict[str, Any]:
    """What a run's `run.json` says, with all that a comparison needs.

    Raises StoreError if it is damaged, or not ours.
    """
    document = RunFolder(folder).document()
    missing = _missing(document, FIELDS)
    for name, fields in (("models", {"name": str}), ("tasks", TASK_FIELDS)):
        for one in document[name] if not missing else ():
            missing = missing or _missing(one, fields, f" of one of its {name}")
    if missing or not document["models"]:
        raise StoreError(f"{folder / RUN} is no run's document: {missing or 'it names no model'}; run again")
    return document


def _missing(document: Any, fields: Mapping[str, type], where: str = "") -> str:
    """What a document lacks, or nothing."""
    for name, kind in fields.items():
        if not isinstance(document, Mapping) or not isinstance(document.get(name), kind):
            return f"{name!r}{where} is missing or of another type"
    return ""


def compare(
    a: Side, b: Side, *, margin: float | None = None, seed: int = 0, resamples: int = 2000
) -> tuple[list[Line], dict[str, list[Changed]]]:
    """Compare two sides on every task that both have, overall and per slice, by the task's headline metric.

    Returns the comparisons, and for each task the samples that changed most.

    Raises UserError if they share no task, or a task's version, settings or samples differ.
    """
    shared = [name for name in a.tasks if name in b.tasks]
    if not shared:
        raise UserError(f"the runs share no task: {a.run} has {', '.join(a.tasks)}; {b.run} has {', '.join(b.tasks)}")
    lines: list[Line] = []
    changed: dict[str, list[Changed]] = {}
    for name in shared:
        task, frames = _paired_frames(a, b, name)
        lines += _lines(task, frames, margin=margin, seed=seed, resamples=resamples)
        changed[name] = _changed(task, frames)
    return lines, changed


def paired_columns(a: Side, b: Side, name: str) -> tuple[Task, tuple[Columns, Columns]]:
    """A task that both sides have, as it is today, and the scores of each, samples in the same order.

    Raises UserError where `compare` would: another version, other settings or other samples.
    """
    task, frames = _paired_frames(a, b, name)
    return task, (_columns(frames[0]), _columns(frames[1]))


def side_columns(side: Side, name: str) -> tuple[Task, Columns]:
    """A task as it is today, and one side's scores of it: what there was to compare where the other side lacks it.

    Raises UserError where the task is not known today, or the scores cannot be read.
    """
    return _todays_task(side.task(name), side), _columns(_scores(side, name))


def _paired_frames(a: Side, b: Side, name: str) -> tuple[Task, tuple[pd.DataFrame, pd.DataFrame]]:
    task = _same_task(a, b, name)
    return task, _paired(_scores(a, name), _scores(b, name), name)


def _same_task(a: Side, b: Side, name: str) -> Task:
    """Today's task, after a check that both runs measured just that."""
    first, second = a.task(name), b.task(name)
    for key, what in (("version", "versions"), ("settings", "settings"), ("digest", "samples or targets")):
        if first[key] != second[key]:
            shown = ("", "") if key == "digest" else (f" ({first[key]})", f" ({second[key]})")
            counts = f": {first['samples']} and {second['samples']} samples" if key == "digest" else ""
            raise UserError(
                f"task {name!r} cannot be compared: the runs {a.run}{shown[0]} and {b.run}{shown[1]} used different "
                f"{what}{counts}; run both with the same task and --limit"
            )
    task = _todays_task(first, a, b)
    if task.version != first["version"]:
        raise UserError(
            f"task {name!r} is version {task.version} today and the runs are of version {first['version']}; "
            "run both again"
        )
    return task


def _todays_task(named: Mapping[str, Any], *sides: Side) -> Task:
    for side in sides:
        for plugin in side.document["settings"].get("plugins", ()):
            load_plugin_file(plugin)
    return TASKS.create(parse_spec(named["spec"]))


def _scores(side: Side, task: str) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_parquet(side.folder / "scores.parquet")
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the scores of run {side.run}: {error}; run it again") from error
    chosen = frame[(frame["model"] == side.model) & (frame["task"] == task)]
    return chosen.set_index("sample_id").sort_index()


def _paired(first: pd.DataFrame, second: pd.DataFrame, task: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not first.index.equals(second.index):
        missing = first.index.symmetric_difference(second.index)
        raise DataError(
            f"task {task!r}: {len(missing)} samples are in one run only, the first {missing[0]!r}; finish both runs"
        )
    return first, second


def _lines(
    task: Task, frames: tuple[pd.DataFrame, pd.DataFrame], *, margin: float | None, seed: int, resamples: int
) -> list[Line]:
    metric = task.metrics[0]
    columns = [_columns(frame) for frame in frames]
    tables = [one.table() for one in columns]
    found: list[tuple[str, int, tuple[float, float], Comparison]] = []
    for name, rows in columns[0].selections().items():
        a, b = (select(table, rows) for table in tables)
        comparison = compare_tables(a, b, task.reduce, metric, seed=seed, margin=margin, resamples=resamples)
        found.append((name, len(rows), (_value(task, a), _value(task, b)), comparison))
    adjusted = [None, *(float(p) for p in holm([comparison.p for _, _, _, comparison in found[1:]]))]
    return [
        Line(task.name, name, metric, n, values[0], values[1], _corrected(comparison, p), p)
        for (name, n, values, comparison), p in zip(found, adjusted, strict=True)
    ]


def _corrected(comparison: Comparison, p: float | None) -> Comparison:
    """A slice that stands out among many must do so after the correction too."""
    if p is not None and p > LEVEL and comparison.verdict in ("better", "worse"):
        return replace(comparison, verdict="can't tell")
    return comparison


def _columns(frame: pd.DataFrame) -> Columns:
    slices = [name for name in frame.columns if name.startswith("slice.")]
    counts = [name for name in frame.columns if name.startswith("count.")]
    columns = Columns()
    for position, (sample_id, line) in enumerate(zip(frame.index, frame.to_dict("records"), strict=True)):
        known = {name.removeprefix("slice."): line[name] for name in slices if isinstance(line[name], str)}
        sample = Sample(str(sample_id), Request("transcribe"), None, known, line["cluster"], line["stratum"])
        counted = {name.removeprefix("count."): line[name] for name in counts if line[name] is not None}
        columns.append(position, sample, line["status"], {name: x for name, x in counted.items() if np.isfinite(x)})
    return columns


def _value(task: Task, table: ScoreTable) -> float:
    return float(task.reduce(table, np.ones((1, table.clusters)))[task.metrics[0].name][0])


def _changed(task: Task, frames: tuple[pd.DataFrame, pd.DataFrame]) -> list[Changed]:
    """The samples whose errors changed most, by the count of events where the metric names one."""
    events = task.metrics[0].events
    if events is not None:
        first, second = (frame[f"count.{events}"].to_numpy(np.float64) for frame in frames)
    else:
        first, second = (_each(task, frame) for frame in frames)
    change = np.nan_to_num(second - first)
    order = np.argsort(-np.abs(change), kind="stable")[:CHANGED]
    return [Changed(str(frames[0].index[i]), float(change[i])) for i in order if change[i] != 0]


def _each(task: Task, frame: pd.DataFrame) -> FloatArray:
    """The metric of every sample alone, shape (samples,)."""
    table = _columns(frame).table()
    values = [_value(task, select(table, np.array([row]))) for row in range(len(table))]
    return np.array(values, dtype=np.float64)
