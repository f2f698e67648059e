"""Who fares worse: worst group, gap and permutation test for every way to group the samples of a measurement.

The gap and its interval are those of `audiometry.benchmark.stats.compare_groups`. This module adds the test, the
correction over many groupings, and the reading of a run folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.compare import Side
from audiometry.benchmark.errors import DataError, SettingError, StoreError, UserError
from audiometry.benchmark.registry import TASKS, load_plugin_file, parse_spec
from audiometry.benchmark.stats import GroupComparison, compare_groups, holm
from audiometry.benchmark.stats.groups import MINIMUM_SAMPLES
from audiometry.benchmark.stats.weights import MIN_CLUSTERS, by_recording
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, Request, Sample, ScoreTable, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NOTHING", "Gap", "as_row", "gap_test", "group_gaps", "run_gaps"]

NOTHING = f"no slice has two groups of {MINIMUM_SAMPLES} samples with a value each"
"""Why a task has nothing to compare."""

PERMUTATIONS = 2000
BLOCK = 200
"""Permutations at a time."""

TIES = 1e-9
"""A permuted gap this near to the one seen counts as no smaller."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The groups by one fact: their comparison, the test's p, and p after Holm's correction over all facts."""

    by: str
    metric: str
    found: GroupComparison
    p: float
    p_adjusted: float


def gap_test(
    table: ScoreTable,
    groups: Sequence[str],
    reduce: Reduce,
    metric: Metric,
    *,
    seed: int,
    minimum: int = MINIMUM_SAMPLES,
    permutations: int = PERMUTATIONS,
) -> float:
    """p of the largest gap between groups, if the groups' names say nothing: by permuting them.

    `groups` of shape (samples,) names each sample's group ("" for none); groups of under `minimum` samples are left
    out, as `compare_groups` does. What is permuted follows what could have been otherwise:

    - where no cluster (speaker) is in two groups, whole clusters change their group;
    - where clusters are in several groups (a recording at two bandwidths, a speaker's fast and slow sentences),
      samples change it within their cluster, which pairs them;
    - where a group has under five clusters of the first kind, samples change it freely ("these speakers only").

    The statistic is the largest less the smallest of the groups' values; p is the share of permutations, the one seen
    among them, that reach it, from 1 / (permutations + 1) to 1. Exact where groups are exchangeable, whatever the
    distribution (P. Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005, section 3.2): groups of
    equal values and unequal spread are not quite that. The same table, seed and settings give the same p.

    Raises DataError for labels that do not fit the samples, or for fewer than two groups; SettingError under 100
    permutations.

    >>> from audiometry.benchmark.stats import mean_of
    >>> x = np.concatenate([np.zeros(30), np.ones(30)])
    >>> table = ScoreTable({"x": x}, np.arange(60), np.zeros(60, int), np.zeros(60, int))
    >>> def mean(table, weights):
    ...     return {"x": mean_of(table, weights, "x")}
    >>> gap_test(table, ["a"] * 30 + ["b"] * 30, mean, Metric("x"), seed=0, permutations=999)
    0.001
    >>> gap_test(table, ["a", "b"] * 30, mean, Metric("x"), seed=0, permutations=999)
    1.0
    """
    if permutations < 100:
        raise SettingError(f"{permutations} permutations are too few; take at least 100, 2000 is usual")
    codes, units, blocks = _units(table, groups, minimum)
    count = int(codes.max()) + 1
    generator = np.random.default_rng(seed)
    order = np.argsort(blocks, kind="stable")
    seen = float(_gaps(units, codes[None, :], count, reduce, metric)[0])
    if not np.isfinite(seen):
        raise DataError(f"{metric.name} is undefined in a group; compare groups in which it is defined")
    reached = compared = 1
    for start in range(0, permutations, BLOCK):
        rows = min(BLOCK, permutations - start)
        # whole blocks keep their place in the order, and what is within them changes places
        moved = np.argsort(blocks + generator.random((rows, len(blocks))), axis=1)
        labels = np.empty_like(moved)
        np.put_along_axis(labels, moved, np.broadcast_to(codes[order], moved.shape), axis=1)
        drawn = _gaps(units, labels, count, reduce, metric)
        drawn = drawn[np.isfinite(drawn)]
        reached += int(np.sum(drawn >= seen * (1 - TIES)))
        compared += len(drawn)
    return reached / compared


def group_gaps(
    table: ScoreTable,
    facts: Mapping[str, Sequence[str]],
    reduce: Reduce,
    metric: Metric,
    *,
    seed: int,
    instead: Sequence[Metric] = (),
    minimum: int = MINIMUM_SAMPLES,
    permutations: int = PERMUTATIONS,
) -> list[Gap]:
    """Compare groups by each of several facts: {fact: group of each sample, "" for none}, in the order given.

    Where the metric is undefined for a group, the first one of `instead` that is defined for all takes its place.
    Facts with fewer than two groups of `minimum` samples are left out, and so are those for which no metric is left.
    p-values are adjusted over the facts that are compared (`holm`).

    Raises what `compare_groups` raises for labels that do not fit the samples.

    >>> from audiometry.benchmark.stats import mean_of
    >>> table = ScoreTable({"x": np.repeat([0.0, 0.1], 50)}, np.arange(100), *np.zeros((2, 100), int))
    >>> facts = {"half": ["a"] * 50 + ["b"] * 50, "turn": ["a", "b"] * 50, "one": ["a"] * 100}
    >>> found = group_gaps(table, facts, lambda t, w: {"x": mean_of(t, w, "x")}, Metric("x"), seed=0)
    >>> [(gap.by, gap.found.worst, gap.p_adjusted < 0.01) for gap in found]
    [('half', 'b', True), ('turn', 'a', False)]
    """
    compared: list[Gap] = []
    for by, groups in facts.items():
        metrics = (one for one in (metric, *instead) if _comparable(table, groups, reduce, one, minimum))
        chosen = next(metrics, None)
        if chosen is None:
            continue
        found = compare_groups(table, groups, reduce, chosen, seed=seed, minimum=minimum)
        p = gap_test(table, groups, reduce, chosen, seed=seed, minimum=minimum, permutations=permutations)
        compared.append(Gap(by, chosen.name, found, p, p))
    adjusted = holm([gap.p for gap in compared])
    return [replace(gap, p_adjusted=float(p)) for gap, p in zip(compared, adjusted, strict=True)]


def run_gaps(side: Side, *, by: Sequence[str] = (), seed: int = 0) -> dict[str, list[Gap]]:
    """The gaps of every task in one model's part of a run, by each of the samples' slices or by those named.

    A task's groups are compared by its headline, unless that is itself a gap or a worst group (names that start with
    ``gap`` or ``worst``): then by the next metric. Where it is undefined for a group (the area over a ladder, for one
    step of it), the next metric that rests on the same events takes its place. A task without a slice to compare has
    no gaps.

    Raises StoreError if the scores cannot be read, UserError if a task has another version today, DataError if no
    slice of any task is a comparison or one that is named is in no task.
    """
    for plugin in side.document["settings"].get("plugins", ()):
        load_plugin_file(plugin)
    made = {name: _made(side, name) for name in side.tasks}
    scores = {name: _read(side, name) for name in made}
    known = sorted({one for _, slices in scores.values() for one in slices})
    missing = [one for one in by if one not in known]
    if missing:
        raise DataError(f"run {side.run} has no slice {missing[0]!r}; it has: {', '.join(known) or 'none'}")
    found: dict[str, list[Gap]] = {}
    for name, task in made.items():
        table, slices = scores[name]
        metrics = [one for one in task.metrics if not one.name.startswith(("gap", "worst"))]
        chosen = {one: slices[one] for one in by or slices if one in slices}
        instead = [one for one in metrics[1:] if one.events is not None and one.events == metrics[0].events]
        found[name] = group_gaps(table, chosen, task.reduce, metrics[0], seed=seed, instead=instead) if metrics else []
    if not any(found.values()):
        raise DataError(f"{', '.join(found)}: {NOTHING}; run more samples")
    return found


def _made(side: Side, name: str) -> Task:
    facts = side.task(name)
    task = TASKS.create(parse_spec(facts["spec"]))
    if task.version != facts["version"]:
        raise UserError(
            f"task {name!r} is version {task.version} today and the run is of version {facts['version']}; run it again"
        )
    return task


def as_row(gap: Gap) -> dict[str, Any]:
    """A gap as plain values, for tables and JSON.

    >>> from audiometry.benchmark.stats import Interval, GroupComparison
    >>> between = Interval(0.1, 0.0, 0.2, "t", 9)
    >>> row = as_row(Gap("gender", "wer", GroupComparison({"f": 0.1, "m": 0.2}, "m", "f", *[between] * 3), 0.2, 0.4))
    >>> row["worst"], row["gap"], row["low"], row["p_adjusted"]
    ('m', 0.1, 0.0, 0.4)
    """
    found = gap.found
    return {
        "by": gap.by, "metric": gap.metric, "values": found.values, "worst": found.worst, "best": found.best,
        "gap": found.gap.value, "low": found.gap.low, "high": found.gap.high, "ratio": found.ratio.value,
        "ratio_low": found.ratio.low, "ratio_high": found.ratio.high, "p": gap.p, "p_adjusted": gap.p_adjusted,
        "suppressed": list(found.suppressed), "notes": list(found.gap.notes),
    }  # fmt: skip


def _units(table: ScoreTable, groups: Sequence[str], minimum: int) -> tuple[IntArray, ScoreTable, IntArray]:
    """The group of each unit that changes groups, a table with these units as its clusters, and each unit's block."""
    labels = np.asarray(groups, dtype=np.str_)
    if labels.shape != (len(table),):
        raise DataError(f"{labels.shape} group labels do not fit {len(table)} samples; give one label a sample")
    names, sizes = np.unique(labels[labels != ""], return_counts=True)
    kept = names[sizes >= minimum]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} of {len(names)} groups have at least {minimum} samples; two are needed")
    rows = np.flatnonzero(np.isin(labels, kept))
    part = replace(
        table,
        counts={name: column[rows] for name, column in table.counts.items()},
        cluster=np.unique(table.cluster[rows], return_inverse=True)[1].astype(np.int64),
        stratum=np.zeros(len(rows), np.int64),
    )
    codes = np.searchsorted(kept, labels[rows]).astype(np.int64)
    pairs = np.unique(np.stack([part.cluster, codes]), axis=1)
    clusters = int(part.cluster.max()) + 1
    nested = pairs.shape[1] == clusters
    if nested and np.bincount(pairs[1]).min() >= MIN_CLUSTERS:
        whole = replace(part, cluster_strata=np.zeros(clusters, np.int64))
        return pairs[1], whole, np.zeros(clusters, np.int64)
    blocks = np.zeros(len(rows), np.int64) if nested else part.cluster
    return codes, by_recording(part), blocks


def _gaps(units: ScoreTable, labels: IntArray, count: int, reduce: Reduce, metric: Metric) -> FloatArray:
    """Gap of each labelling: labels (rows, units) → (rows,). NaN where a group's value is undefined."""
    values = [
        np.asarray(reduce(units, (labels == code).astype(np.float64))[metric.name]) for code in range(count)
    ]  # fmt: skip
    return np.asarray(np.ptp(np.stack(values), axis=0))


def _comparable(table: ScoreTable, groups: Sequence[str], reduce: Reduce, metric: Metric, minimum: int) -> bool:
    sizes = np.unique([group for group in groups if group], return_counts=True)[1]
    if (sizes >= minimum).sum() < 2:
        return False
    codes, units, _ = _units(table, groups, minimum)
    return bool(np.isfinite(_gaps(units, codes[None, :], int(codes.max()) + 1, reduce, metric)[0]))


def _read(side: Side, task: str) -> tuple[ScoreTable, dict[str, list[str]]]:
    """The scores of one task as a table, and each sample's group by each slice, in the same order."""
    import pandas as pd

    try:
        frame: pd.DataFrame = pd.read_parquet(side.folder / "scores.parquet")
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the scores of run {side.run}: {error}; run it again") from error
    frame = frame[(frame["model"] == side.model) & (frame["task"] == task)].sort_values("sample_id")
    columns = Columns()
    counts = {name.removeprefix("count."): frame[name] for name in frame.columns if name.startswith("count.")}
    counts = {name: column for name, column in counts.items() if column.notna().all()}
    for place, (sample_id, cluster, stratum, status) in enumerate(
        zip(frame["sample_id"], frame["cluster"], frame["stratum"], frame["status"], strict=True)
    ):
        sample = Sample(sample_id, Request("respond"), None, {}, cluster, stratum)
        columns.append(place, sample, status, {name: float(column.iloc[place]) for name, column in counts.items()})
    slices = {
        name.removeprefix("slice."): [value if isinstance(value, str) else "" for value in frame[name]]
        for name in frame.columns
        if name.startswith("slice.")
    }
    return columns.table(), {name: groups for name, groups in slices.items() if any(groups)}
