"""How unequal groups of speakers fare: the worst-group gap, the largest ratio, and the variance between groups.

The largest of several differences is large by chance alone. Its interval is corrected for having been picked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats.bounds import exact_bounds, small_sample
from audiometry.benchmark.stats.intervals import FEW_EVENTS, UNCHANGED, Interval, check_settings
from audiometry.benchmark.stats.spread import (
    GAP,
    RATIO,
    VARIANCE,
    Resampled,
    spread_bounds,
    variance_between,
)
from audiometry.benchmark.stats.weights import (
    MIN_CLUSTERS,
    bootstrap_weights,
    by_recording,
    canonical,
    lone_notes,
)
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = ["MINIMUM_SAMPLES", "GroupComparison", "compare_groups", "suppress"]

MINIMUM_SAMPLES = 20
"""Groups and slices with fewer samples are not shown: their numbers mislead, and may point at a person."""


@dataclass(frozen=True, slots=True)
class GroupComparison:
    """Groups by a metric: each one's value, the worst and the best, and how far they are apart.

    `gap` is the worst group's value less the best's, and `ratio` the larger of those two over the smaller; both in
    absolute size, whichever direction is better. `variance` is that of the groups' values around their mean, each
    group counting once, freed of sampling noise. `suppressed` names groups with too few samples.
    """

    values: dict[str, float]
    worst: str
    best: str
    gap: Interval
    ratio: Interval
    variance: Interval
    suppressed: tuple[str, ...] = ()


def compare_groups(
    table: ScoreTable,
    groups: Sequence[str],
    reduce: Reduce,
    metric: Metric,
    *,
    seed: int,
    minimum: int = MINIMUM_SAMPLES,
    resamples: int = 2000,
    level: float = 0.95,
) -> GroupComparison:
    """Compare groups of samples: `groups` of shape (samples,) names each sample's group ("" for none).

    Clusters are resampled, within groups where no cluster is in two groups; if a group has under `MIN_CLUSTERS`
    clusters, recordings are ("these speakers only"). Bounds are those of `spread_bounds`: they allow for having picked
    the worst and the best, and most of the error goes to the lower bound, as a false gap is what to guard against.

    The ratio is None where a value is not above 0. Raises DataError for labels that do not fit the samples or fewer
    than two groups of at least `minimum` samples, SettingError for a level outside (0, 1) or under 100 resamples.

    >>> from audiometry.benchmark.stats import mean_of
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([rng.normal(3.0, 0.5, 100), rng.normal(4.0, 0.5, 100)])
    >>> table = ScoreTable({"mos": x}, np.arange(200), np.zeros(200, int), np.zeros(200, int))
    >>> mos = Metric("mos", unit="points", direction="higher", low=1.0, high=5.0)
    >>> groups = ["a"] * 100 + ["b"] * 100
    >>> found = compare_groups(table, groups, lambda t, w: {"mos": mean_of(t, w, "mos")}, mos, seed=1)
    >>> found.worst, round(found.gap.value, 2), 0.75 < found.gap.low < 0.85 < 1.05 < found.gap.high < 1.2
    ('a', 0.93, True)
    """
    check_settings(level, resamples)
    names, units, codes, notes, suppressed = _grouped(table, groups, minimum)
    parts = [_part(units, codes == code) for code in range(len(names))]

    def values(weights: FloatArray) -> FloatArray:
        return np.stack([np.asarray(reduce(part, weights)[metric.name]) for part in parts], axis=1)

    points = values(np.ones((1, units.clusters)))[0]
    if not np.isfinite(points).all():
        raise DataError(f"{metric.name} is undefined in group {names[int(np.argmin(np.isfinite(points)))]!r}")
    draws = np.concatenate([values(weights) for weights in bootstrap_weights(units.cluster_strata, resamples, seed)])
    own = [_renumbered(part) for part in parts]
    by_count, by_size = (np.array([small_sample(part, by_size=kind) for part in own]) for kind in (False, True))
    resampled = Resampled(points, draws[np.isfinite(draws).all(axis=1)], by_count, by_size)
    found = _Groups(metric, resampled, level, units.clusters, notes + _events(parts, names, metric))
    worst, best = (np.argmax, np.argmin) if metric.direction == "lower" else (np.argmin, np.argmax)
    return GroupComparison(
        values=dict(zip(names, points.tolist(), strict=True)),
        worst=names[int(worst(points))],
        best=names[int(best(points))],
        gap=_gap(found, min(len(part) for part in parts)),
        ratio=_ratio(found),
        variance=_variance(found),
        suppressed=suppressed,
    )


def suppress(interval: Interval, samples: int, minimum: int = MINIMUM_SAMPLES) -> Interval:
    """`interval`, or one without any number where it rests on fewer than `minimum` samples.

    >>> suppress(Interval(0.1, 0.0, 0.4, "t", 7), samples=7).notes
    ('fewer than 20 samples: not shown',)
    """
    if samples >= minimum:
        return interval
    return Interval(None, None, None, "suppressed", interval.clusters, (f"fewer than {minimum} samples: not shown",))


@dataclass(frozen=True)
class _Groups:
    metric: Metric
    values: Resampled
    level: float
    clusters: int
    notes: tuple[str, ...]


def _grouped(
    table: ScoreTable, groups: Sequence[str], minimum: int
) -> tuple[list[str], ScoreTable, IntArray, tuple[str, ...], tuple[str, ...]]:
    """Names of the groups kept, their samples with the clusters to resample, each sample's group, notes, suppressed."""
    labels = np.asarray(groups, dtype=np.str_)
    if labels.shape != (len(table),):
        raise DataError(f"{labels.shape} group labels do not fit {len(table)} samples; give one label a sample")
    found, counts = np.unique(labels[labels != ""], return_counts=True)
    names = [str(name) for name, count in zip(found, counts, strict=True) if count >= minimum]
    suppressed = tuple(str(name) for name, count in zip(found, counts, strict=True) if count < minimum)
    if len(names) < 2:
        raise DataError(f"{len(names)} of {len(found)} groups have at least {minimum} samples; two are needed")
    rows = np.isin(labels, names)
    units = _renumbered(_part(table, rows))
    codes = np.searchsorted(names, labels[rows]).astype(np.int64)
    notes: tuple[str, ...] = ()
    fewest = min(len(np.unique(units.cluster[codes == code])) for code in range(len(names)))
    if fewest < MIN_CLUSTERS and units.clusters < len(units):
        units, notes = by_recording(units), ("these speakers only",)
    pairs = len(np.unique(units.cluster * len(names) + codes))
    if pairs == units.clusters:  # no cluster is in two groups: each group keeps its size
        stratum = units.stratum * len(names) + codes
        first = np.unique(units.cluster, return_index=True)[1]
        units = replace(units, stratum=stratum, cluster_strata=stratum[first])
    units = canonical(units)
    return names, units, codes, (*notes, *lone_notes(units)), suppressed


def _part(table: ScoreTable, rows: NDArray[np.bool_]) -> ScoreTable:
    """Some rows of a table, with the numbering of its clusters kept."""
    counts = {name: column[rows] for name, column in table.counts.items()}
    return replace(table, counts=counts, cluster=table.cluster[rows], stratum=table.stratum[rows])


def _renumbered(part: ScoreTable) -> ScoreTable:
    """The same rows with only their own clusters."""
    kept, cluster = np.unique(part.cluster, return_inverse=True)
    return replace(part, cluster=cluster.astype(np.int64), cluster_strata=part.cluster_strata[kept])


def _gap(found: _Groups, recordings: int) -> Interval:
    points, metric = found.values.points, found.metric
    value = float(np.ptp(points))
    if np.ptp(found.values.draws, axis=0).max() <= UNCHANGED * max(1.0, float(np.abs(points).max())):
        top = 1.0 if metric.unit == "fraction" else metric.high
        high = exact_bounds(value, recordings, found.level, 0.0, top - metric.low)[1]
        notes = (*found.notes, "all resamples alike: exact bound")
        return Interval(value, 0.0, max(high, value), "exact", found.clusters, notes)
    low, high = spread_bounds(GAP, found.values, metric, found.level)
    high = min(max(high, value), metric.high - metric.low)
    return Interval(value, min(low, value), high, "test inversion", found.clusters, found.notes)


def _ratio(found: _Groups) -> Interval:
    points = found.values.points
    if points.min() <= 0 or found.metric.low < 0 or np.ptp(found.values.draws, axis=0).max() <= UNCHANGED:
        return Interval(None, None, None, "none", found.clusters, (*found.notes, "no ratio: a group has none"))
    value = float(points.max() / points.min())
    low, high = np.exp(spread_bounds(RATIO, found.values, found.metric, found.level)).tolist()
    return Interval(value, min(low, value), max(high, value), "test inversion", found.clusters, found.notes)


def _variance(found: _Groups) -> Interval:
    values = found.values
    value = variance_between(values.points, np.var(values.draws, axis=0, ddof=1) * values.by_size[:, 0] ** 2)
    low, high = spread_bounds(VARIANCE, values, found.metric, found.level)
    return Interval(value, min(low, value), max(high, value), "test inversion", found.clusters, found.notes)


def _events(parts: Sequence[ScoreTable], names: Sequence[str], metric: Metric) -> tuple[str, ...]:
    if metric.events is None:
        return ()
    few = [name for part, name in zip(parts, names, strict=True) if part.counts[metric.events].sum() < FEW_EVENTS]
    return (f"under ten expected errors: {', '.join(few)}",) if few else ()
