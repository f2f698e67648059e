"""Scores of one (model, task) as they come in, kept as columns of numbers, and their reduction to results."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audiometry.benchmark.stats import Interval, intervals, suppress
from audiometry.benchmark.types import IntArray, Result, Sample, ScoreTable, Task

__all__ = ["FAILURES", "Columns", "Subject", "reduce_columns"]

ALL = "all"
FAILURES = ("timeout", "error")
ABSENT = -1


@dataclass(frozen=True, slots=True)
class Subject:
    """What results are of: the run's fingerprint, the model's label, and whether it is a control."""

    run: str
    model: str
    control: bool = False


class _Codes:
    """Names as whole numbers, in the order in which they were first seen."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.codes = array("i")

    def append(self, name: str) -> None:
        self.codes.append(self.names.setdefault(name, len(self.names)))

    def sorted(self, order: IntArray) -> tuple[IntArray, list[str]]:
        """Codes in `order`, renumbered by the sorted names, so that the order of arrival does not matter."""
        names = sorted(self.names)
        place = np.empty(len(names), dtype=np.int64)
        for rank, name in enumerate(names):
            place[self.names[name]] = rank
        return place[np.frombuffer(self.codes, dtype=np.intc)[order]], names


@dataclass
class Columns:
    """Counts, clusters, strata, slices and statuses of the samples scored so far, in any order."""

    positions: array[int] = field(default_factory=lambda: array("q"))
    counts: dict[str, array[float]] = field(default_factory=dict)
    statuses: _Codes = field(default_factory=_Codes)
    clusters: _Codes = field(default_factory=_Codes)
    strata: _Codes = field(default_factory=_Codes)
    slices: dict[str, _Codes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)

    def append(self, position: int, sample: Sample, status: str, counts: Mapping[str, float]) -> None:
        """Add one sample's score. A sample without a cluster is a cluster of its own."""
        before = len(self.positions)
        self.positions.append(position)
        for name in counts.keys() - self.counts.keys():
            self.counts[name] = array("d", bytes(8 * before))
        for name, column in self.counts.items():
            column.append(counts.get(name, 0.0))
        self.statuses.append(status)
        self.clusters.append(sample.cluster or f"\x1f{sample.id}")
        self.strata.append(sample.stratum)
        for name in sample.slices.keys() - self.slices.keys():
            self.slices[name] = _Codes()
            self.slices[name].codes.extend([ABSENT] * before)
        for name, codes in self.slices.items():
            if name in sample.slices:
                codes.append(sample.slices[name])
            else:
                codes.codes.append(ABSENT)

    def table(self) -> ScoreTable:
        """Every sample as a score table, in the order of positions."""
        order = self._order()
        counts = {name: np.frombuffer(self.counts[name])[order] for name in sorted(self.counts)}
        return _table(counts, self.clusters.sorted(order)[0], self.strata.sorted(order)[0])

    def selections(self) -> dict[str, IntArray]:
        """Rows of `table` in each slice, by ``name=value``, sorted by name; ``all`` comes first."""
        order = self._order()
        found = {ALL: np.arange(len(self), dtype=np.int64)}
        for name in sorted(self.slices):
            codes = np.frombuffer(self.slices[name].codes, dtype=np.intc)[order]
            for value in sorted(self.slices[name].names):
                found[f"{name}={value}"] = np.flatnonzero(codes == self.slices[name].names[value])
        return found

    def status_counts(self, rows: IntArray) -> Mapping[str, int]:
        """How many of `rows` have each status."""
        codes, names = self.statuses.sorted(self._order())
        counted = np.bincount(codes[rows], minlength=len(names))
        return Counter(dict(zip(names, counted.tolist(), strict=True)))

    def _order(self) -> IntArray:
        return np.argsort(np.frombuffer(self.positions, dtype=np.int64), kind="stable")


def reduce_columns(
    subject: Subject, task: Task, columns: Columns, *, seed: int, resamples: int, expected: int
) -> list[Result]:
    """Results of one (model, task): every metric, overall and per slice.

    A slice of under 20 samples is listed without a value. `expected` is how many samples the task has; where fewer
    are there, every result says that it is partial.
    """
    whole = columns.table()
    selections = columns.selections()
    twins = _twins(selections)
    results: list[Result] = []
    for name, rows in selections.items():
        found = intervals(select(whole, rows), task.reduce, task.metrics, seed=seed, resamples=resamples)
        if name != ALL:  # a small slice shows chance, and who it was
            found = {metric: suppress(interval, len(rows)) for metric, interval in found.items()}
        notes = list(task.notes)
        if name in twins:
            notes.append(f"same samples as {twins[name]}")
        if len(columns) < expected:
            notes.append(f"partial: {len(columns)} of {expected} samples")
        base = _base(subject, task, name, columns.status_counts(rows))
        results += [
            _result(replace(base, seed=seed), task, found, metric, notes) for metric in range(len(task.metrics))
        ]
    return results


def select(table: ScoreTable, rows: IntArray) -> ScoreTable:
    """The given rows of a table, its clusters and strata numbered anew."""
    counts = {name: column[rows] for name, column in table.counts.items()}
    return _table(counts, table.cluster[rows], table.stratum[rows])


def _table(counts: Mapping[str, np.ndarray], cluster: IntArray, stratum: IntArray) -> ScoreTable:
    _, first, cluster = np.unique(cluster, return_index=True, return_inverse=True)
    stratum = np.unique(stratum, return_inverse=True)[1]
    cluster_strata = stratum[first]
    spans = bool(np.any(cluster_strata[cluster] != stratum))
    return ScoreTable(
        counts, cluster.astype(np.int64), stratum.astype(np.int64), cluster_strata.astype(np.int64), spans
    )


def _base(subject: Subject, task: Task, name: str, statuses: Mapping[str, int]) -> Result:
    return Result(
        run=subject.run, model=subject.model, control=subject.control, task=task.name, task_version=task.version,
        metric="", slice=name, value=None, low=None, high=None, n=sum(statuses.values()),
        failed=sum(statuses.get(status, 0) for status in FAILURES), judges=task.judges,
        empty=statuses.get("empty", 0), refused=statuses.get("refused", 0), unparsed=statuses.get("unparsed", 0),
    )  # fmt: skip


def _result(base: Result, task: Task, found: Mapping[str, Interval], index: int, notes: Sequence[str]) -> Result:
    metric = task.metrics[index]
    interval = found[metric.name]
    return replace(
        base, metric=metric.name, unit=metric.unit, direction=metric.direction, value=interval.value, low=interval.low,
        high=interval.high, notes=tuple(dict.fromkeys([*notes, *interval.notes])),
    )  # fmt: skip


def _twins(selections: Mapping[str, IntArray]) -> dict[str, str]:
    """Slices that hold exactly the samples of an earlier one: what they show cannot be told apart."""
    first: dict[bytes, str] = {}
    twins: dict[str, str] = {}
    for name, rows in selections.items():
        key = rows.tobytes()
        if key in first:
            twins[name] = first[key]
        else:
            first[key] = name
    return twins
