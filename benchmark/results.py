"""From scored rows to results: a number with its interval, overall and for every slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from audiometry.benchmark.plan import PlannedModel, PlannedTask
from audiometry.benchmark.stats import Interval, intervals
from audiometry.benchmark.types import IntArray, Result, Sample, ScoreTable
from audiometry.benchmark.worker import Row

__all__ = ["reduce_rows", "score_table", "slices_of"]

ALL = "all"
STATUSES = ("empty", "refused", "unparsed")
FAILURES = ("timeout", "error")


def score_table(rows: Sequence[Row], samples: Sequence[Sample]) -> ScoreTable:
    """Rows as columns, in the order given; `samples` are theirs, in the same order.

    A sample without a cluster is a cluster of its own.
    """
    names = sorted({name for row in rows for name in row.counts})
    counts = {name: np.array([row.counts.get(name, 0.0) for row in rows], dtype=np.float64) for name in names}
    cluster = _codes([sample.cluster or f"\x1f{sample.id}" for sample in samples])
    stratum = _codes([sample.stratum for sample in samples])
    first = np.unique(cluster, return_index=True)[1]
    cluster_strata = stratum[first]
    return ScoreTable(
        counts=counts,
        cluster=cluster,
        stratum=stratum,
        cluster_strata=cluster_strata,
        clusters_span_strata=bool(np.any(cluster_strata[cluster] != stratum)),
    )


def slices_of(samples: Sequence[Sample]) -> dict[str, IntArray]:
    """Positions of each slice's samples, by ``name=value``, sorted by name; ``all`` comes first."""
    positions: dict[str, list[int]] = {}
    for position, sample in enumerate(samples):
        for name, value in sample.slices.items():
            positions.setdefault(f"{name}={value}", []).append(position)
    found = {name: np.array(positions[name], dtype=np.int64) for name in sorted(positions)}
    return {ALL: np.arange(len(samples), dtype=np.int64)} | found


def reduce_rows(
    run: str,
    model: PlannedModel,
    planned: PlannedTask,
    rows: Sequence[Row],
    *,
    seed: int,
    resamples: int,
    partial: bool = False,
) -> list[Result]:
    """Results of one (model, task): every metric, overall and per slice. Rows may come in any order."""
    ordered = sorted(rows, key=lambda row: row.position)
    samples = [planned.samples[row.position] for row in ordered]
    positions = slices_of(samples)
    twins = _twins(positions)
    results: list[Result] = []
    for name, chosen in positions.items():
        slice_rows = [ordered[i] for i in chosen]
        table = score_table(slice_rows, [samples[i] for i in chosen])
        found = intervals(table, planned.task.reduce, planned.task.metrics, seed=seed, resamples=resamples)
        notes = list(planned.task.notes)
        if name in twins:
            notes.append(f"same samples as {twins[name]}")
        if partial:
            notes.append(f"partial: {len(ordered)} of {len(planned.samples)} samples")
        base = _base(run, model, planned, name, slice_rows, seed)
        for metric in planned.task.metrics:
            results.append(_with_interval(base, metric.name, metric.unit, metric.direction, found[metric.name], notes))
    return results


def _base(run: str, model: PlannedModel, planned: PlannedTask, name: str, rows: Sequence[Row], seed: int) -> Result:
    statuses = [row.status if row.status != "ok" else row.score_status for row in rows]
    counted: Mapping[str, int] = {status: statuses.count(status) for status in STATUSES}
    return Result(
        run=run, model=model.label, task=planned.task.name, task_version=planned.task.version, metric="", slice=name,
        value=None, low=None, high=None, n=len(rows), failed=sum(statuses.count(status) for status in FAILURES),
        empty=counted["empty"], refused=counted["refused"], unparsed=counted["unparsed"],
        judges=planned.task.judges, seed=seed, control=model.entry.control,
    )  # fmt: skip


def _with_interval(
    base: Result, metric: str, unit: str, direction: str, interval: Interval, notes: Sequence[str]
) -> Result:
    return replace(
        base, metric=metric, unit=unit, direction=direction, value=interval.value, low=interval.low,
        high=interval.high, notes=tuple(dict.fromkeys([*notes, *interval.notes])),
    )  # fmt: skip


def _codes(names: Sequence[str]) -> IntArray:
    """0, 1, … in sorted order of the names, so that the order of the samples does not matter."""
    return np.unique(np.array(names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)


def _twins(positions: Mapping[str, IntArray]) -> dict[str, str]:
    """Slices that hold exactly the samples of an earlier one: what they show cannot be told apart."""
    first: dict[bytes, str] = {}
    twins: dict[str, str] = {}
    for name, chosen in positions.items():
        key = chosen.tobytes()
        if key in first:
            twins[name] = first[key]
        else:
            first[key] = name
    return twins
