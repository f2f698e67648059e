"""Scores of one (model, task) as they come in, kept as columns of numbers, and their reduction to results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.stats import Interval, intervals, suppress
from audiometry.benchmark.types import FloatArray, IntArray, Result, Sample, ScoreTable, Task

__all__ = ["FAILURES", "Columns", "Counted", "Subject", "reduce_columns"]

ALL = "all"
FAILURES = ("timeout", "error")
ABSENT = -1

PACKED = 8192
"""Samples that are gathered before their numbers are packed."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What results are of: the run's fingerprint, the model's label, whether it is a control, and who judged.

    `judges` maps each judge's name to its fingerprint.
    """

    run: str
    model: str
    control: bool = False
    judges: Mapping[str, str] = field(default_factory=dict)


class Scored(Protocol):
    """What is counted of a sample, and where it stands in its task: a line of the journal."""

    @property
    def position(self) -> int: ...
    @property
    def verdict(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    @property
    def stratum(self) -> str: ...
    @property
    def counts(self) -> Mapping[str, float]: ...
    @property
    def slices(self) -> Mapping[str, str]: ...


class Counted(NamedTuple):
    """What is counted of one sample, at its place in the task's order."""

    position: int
    verdict: str
    cluster: str
    stratum: str
    counts: Mapping[str, float]
    slices: Mapping[str, str]


class _Numbers:
    """Numbers in as few bytes as they need: most counts are small and whole, and a run may hold millions of them.

    They come in lists of a few thousand, `fresh`, which are then packed: looking at each number alone would take long.
    """

    def __init__(self, before: int = 0) -> None:
        self.fresh: list[float] = []
        self._packed: list[NDArray[Any]] = [np.zeros(before, np.uint8)] if before else []

    def pack(self) -> None:
        """Take the fresh numbers into arrays."""
        if not self.fresh:
            return
        numbers = np.array(self.fresh, dtype=np.float64)
        self.fresh.clear()
        kinds: tuple[type[Any], ...] = (np.uint8, np.int32, np.float64)
        self._packed.append(next(packed for kind in kinds if np.array_equal(packed := _cast(numbers, kind), numbers)))

    def at(self, rows: IntArray | None) -> FloatArray:
        """The numbers of some rows, or of all, a copy."""
        self.pack()
        whole = np.concatenate([part.astype(np.float64) for part in self._packed] or [np.empty(0)])
        return whole if rows is None else whole[rows]

    @property
    def size(self) -> int:
        """Bytes that the packed numbers take."""
        return sum(part.nbytes for part in self._packed)


def _cast(numbers: FloatArray, kind: type[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        return numbers.astype(kind)


class _Codes:
    """Names as whole numbers, in the order in which they were first seen; 0 stands for no name."""

    def __init__(self, before: int = 0) -> None:
        self.names: dict[str, int] = {}
        self.codes = _Numbers(before)

    def extend(self, names: Iterable[str | None]) -> None:
        known, fresh = self.names, self.codes.fresh
        for name in names:
            code = 0 if name is None else known.get(name)
            if code is None:
                code = known[name] = len(known) + 1  # type: ignore[index]  # None has a code
            fresh.append(code)

    def at(self, rows: IntArray) -> tuple[IntArray, list[str]]:
        """Codes of some rows by the sorted names, so that the order of arrival does not matter; -1 for no name."""
        names = sorted(self.names)
        place = np.full(len(names) + 1, ABSENT, dtype=np.int64)
        for rank, name in enumerate(names):
            place[self.names[name]] = rank
        return place[self.codes.at(rows).astype(np.int64)], names


class _Counts(Mapping[str, FloatArray]):
    """Counts of some rows by name. Each is made anew when it is asked for, so that all are never held at once."""

    def __init__(self, columns: Mapping[str, _Numbers], rows: IntArray) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> FloatArray:
        return self._columns[name].at(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._columns))

    def __len__(self) -> int:
        return len(self._columns)


@dataclass
class Columns:
    """Counts, clusters, strata, slices and statuses of the samples scored so far, in any order."""

    length: int = 0
    positions: _Numbers = field(default_factory=_Numbers)
    counts: dict[str, _Numbers] = field(default_factory=dict)
    statuses: _Codes = field(default_factory=_Codes)
    clusters: _Codes = field(default_factory=_Codes)
    strata: _Codes = field(default_factory=_Codes)
    slices: dict[str, _Codes] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def append(self, position: int, sample: Sample, status: str, counts: Mapping[str, float]) -> None:
        """Add one sample's score. A sample without a cluster is a cluster of its own."""
        self.extend([Counted(position, status, sample.cluster, sample.stratum, counts, sample.slices)])

    def extend(self, scored: Sequence[Scored]) -> None:
        """Add the scores of several samples: a column after the other, which is several times quicker."""
        for name in {name for one in scored for name in one.counts} - self.counts.keys():
            self.counts[name] = _Numbers(self.length)
        for name in {name for one in scored for name in one.slices} - self.slices.keys():
            self.slices[name] = _Codes(self.length)
        self.length += len(scored)
        self.positions.fresh.extend([one.position for one in scored])
        counted = [one.counts for one in scored]
        for name, column in self.counts.items():
            column.fresh.extend([counts.get(name, 0.0) for counts in counted])
        self.statuses.extend([one.verdict for one in scored])
        self.clusters.extend([one.cluster or None for one in scored])
        self.strata.extend([one.stratum for one in scored])
        sliced = [one.slices for one in scored]
        for name, codes in self.slices.items():
            codes.extend([slices.get(name) for slices in sliced])
        if len(self.positions.fresh) >= PACKED:
            self.pack()

    def pack(self) -> None:
        """Take what is fresh into arrays."""
        named = (self.statuses, self.clusters, self.strata, *self.slices.values())
        for numbers in (self.positions, *self.counts.values(), *(one.codes for one in named)):
            numbers.pack()

    def table(self, chosen: IntArray | None = None) -> ScoreTable:
        """The samples in the order of positions as a score table, or the `chosen` ones of them."""
        rows = self._order() if chosen is None else self._order()[chosen]
        cluster, named = self.clusters.at(rows)
        own = np.flatnonzero(cluster == ABSENT)
        cluster[own] = len(named) + np.arange(len(own))
        return _table(_Counts(self.counts, rows), cluster, self.strata.at(rows)[0])

    def selections(self) -> dict[str, IntArray]:
        """Rows of `table` in each slice, by ``name=value``, sorted by name; ``all`` comes first."""
        order = self._order()
        found = {ALL: np.arange(len(self), dtype=np.int64)}
        for name in sorted(self.slices):
            codes, values = self.slices[name].at(order)
            for code, value in enumerate(values):
                found[f"{name}={value}"] = np.flatnonzero(codes == code)
        return found

    def status_counts(self, rows: IntArray) -> Mapping[str, int]:
        """How many of `rows` have each status."""
        codes, names = self.statuses.at(self._order()[rows])
        counted = np.bincount(codes, minlength=len(names))
        return Counter(dict(zip(names, counted.tolist(), strict=True)))

    def failed(self) -> IntArray:
        """Rows of `table` whose sample failed."""
        codes, names = self.statuses.at(self._order())
        return np.flatnonzero(np.isin(codes, [names.index(status) for status in FAILURES if status in names]))

    def _order(self) -> IntArray:
        return np.argsort(self.positions.at(None), kind="stable")


def reduce_columns(
    subject: Subject, task: Task, columns: Columns, *, seed: int, resamples: int, expected: int
) -> list[Result]:
    """Results of one (model, task): every metric, overall and per slice.

    A slice of under 20 samples is listed without a value. `expected` is how many samples the task has; where fewer
    are there, every result says that it is partial.
    """
    selections = columns.selections()
    twins = _twins(selections)
    results: list[Result] = []
    for name, rows in selections.items():
        found = intervals(columns.table(rows), task.reduce, task.metrics, seed=seed, resamples=resamples)
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


def _table(counts: Mapping[str, FloatArray], cluster: IntArray, stratum: IntArray) -> ScoreTable:
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
        failed=sum(statuses.get(status, 0) for status in FAILURES), judges=_judges(subject, task),
        empty=statuses.get("empty", 0), refused=statuses.get("refused", 0), unparsed=statuses.get("unparsed", 0),
    )  # fmt: skip


def _judges(subject: Subject, task: Task) -> tuple[str, ...]:
    """Who judged, each with its fingerprint: another judge, or other weights, give other numbers."""
    return tuple(f"{name} {subject.judges[name]}" if name in subject.judges else name for name in task.judges)


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
