"""How unequal groups of speakers fare: the worst-group gap, the largest ratio, and the variance between groups.

The largest of several differences is large by chance alone. Its interval is corrected for having been picked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats.bounds import exact_bounds, small_sample
from audiometry.benchmark.stats.influence import difference_errors, influence_values, resampled_covariances
from audiometry.benchmark.stats.intervals import FEW_EVENTS, UNCHANGED, Interval, check_settings
from audiometry.benchmark.stats.variance import variance_between, variance_bounds
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

LOW_SHARE, HIGH_SHARE = 0.8, 0.1
"""Shares of the error that the bounds may spend: a false gap is the mistake to guard against. The rest is what
resampled errors of few clusters cost, as simulated."""

CONTENDERS = 2.25
"""Differences within this many standard errors of the largest could be the largest."""

SHRUNK = 0.1
"""A resample's standard error is taken as no less than this share of the table's."""

SMALL = 1e-3
"""A resample's value is taken as no less than this share of the table's, for logarithms."""


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
    clusters, recordings are ("these speakers only"). Gap and ratio are the largest of all pairwise differences (of the
    logarithms, for the ratio). Each difference is studentised in every resample by its influence values (D. V. Hinkley
    and S. Wei, "Improvements of jackknife confidence limit methods", Biometrika 71, 1984); the lower bound takes the
    quantile of the largest over all differences that could be the largest (within `CONTENDERS` standard errors of it:
    P. R. Hansen, "A test for superior predictive ability", JBES 23, 2005), the upper bound is the highest of any.
    Four fifths of the error go to the lower bound: a false gap is what to guard against. Standard errors are raised
    for few clusters as in `small_sample`, and the upper bound's to a t quantile. Above 1,000 clusters they are held
    fixed in the resamples. `variance` has the bounds of `variance_bounds`.

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
    draws, covariances, own = _resample(units, values, seed, resamples)
    costs = np.array([small_sample(_renumbered(part)) for part in parts])
    found = _Groups(
        metric, points, draws, covariances, own, costs, level, units.clusters, notes + _events(parts, names, metric)
    )
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
    points: FloatArray  # (groups,)
    draws: FloatArray  # (resamples, groups), finite
    covariances: FloatArray  # (resamples or 1, groups, groups)
    own: FloatArray  # (groups, groups): that of the table itself
    costs: FloatArray  # (groups, 2): factor and degrees of freedom of each group
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


def _resample(
    units: ScoreTable, values: Callable[[FloatArray], FloatArray], seed: int, resamples: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values of the resamples that define all groups, their covariances, and the covariances of the table itself.

    Where there are too many clusters for influence values, one covariance of the resampled values is both.
    """
    strata = units.cluster_strata
    influence = influence_values(strata, values)
    draws, covariances = [], []
    for weights in bootstrap_weights(strata, resamples, seed):
        drawn = values(weights)
        defined = np.isfinite(drawn).all(axis=1)
        draws.append(drawn[defined])
        if influence is not None:
            covariances.append(resampled_covariances(weights[defined], influence, strata))
    if influence is None:
        own = np.cov(np.concatenate(draws).T)
        return np.concatenate(draws), own[None], own
    own = resampled_covariances(np.ones((1, units.clusters)), influence, strata)[0]
    return np.concatenate(draws), np.concatenate(covariances), own


def _gap(found: _Groups, recordings: int) -> Interval:
    value = float(np.ptp(found.points))
    if np.ptp(found.draws, axis=0).max() <= UNCHANGED * max(1.0, float(np.abs(found.points).max())):
        top = 1.0 if found.metric.unit == "fraction" else found.metric.high
        high = exact_bounds(value, recordings, found.level, 0.0, top - found.metric.low)[1]
        notes = (*found.notes, "all resamples alike: exact bound")
        return Interval(value, 0.0, max(high, value), "exact", found.clusters, notes)
    low, high = _largest(found, found.points, found.draws, np.ones_like(found.points), np.ones((1, len(found.points))))
    return Interval(value, low, high, "largest difference", found.clusters, found.notes)


def _ratio(found: _Groups) -> Interval:
    lowest = float(found.points.min())
    if lowest <= 0 or found.metric.low < 0 or np.ptp(found.draws, axis=0).max() <= UNCHANGED:
        return Interval(None, None, None, "none", found.clusters, (*found.notes, "no ratio: a group has none"))
    drawn = np.maximum(found.draws, SMALL * found.points)
    low, high = _largest(found, np.log(found.points), np.log(drawn), 1 / found.points, 1 / drawn)
    value = float(found.points.max() / lowest)
    return Interval(value, float(np.exp(low)), float(np.exp(high)), "largest difference", found.clusters, found.notes)


def _largest(
    found: _Groups, points: FloatArray, draws: FloatArray, slope: FloatArray, slopes: FloatArray
) -> tuple[float, float]:
    """Bounds of the largest difference of two groups, on the scale of `points` and `draws`.

    `slope` (groups,) and `slopes` (resamples or 1, groups) take the covariances to that scale.
    """
    first, second = np.nonzero(~np.eye(len(points), dtype=bool))
    own = found.own * np.outer(slope, slope)
    difference, drawn = points[first] - points[second], draws[:, first] - draws[:, second]
    error = difference_errors(own[None], first, second)[0]
    errors = difference_errors(found.covariances * slopes[:, :, None] * slopes[:, None, :], first, second)
    floor = np.maximum(errors, SHRUNK * error)
    studentised = np.divide(drawn - difference, floor, out=np.zeros_like(drawn), where=floor > 0)
    largest = int(np.argmax(difference))
    apart = np.zeros((len(first), len(points)))
    apart[np.arange(len(first)), first] -= 1
    apart[np.arange(len(first)), second] += 1
    apart -= apart[largest]
    distance = np.sqrt(np.maximum(np.einsum("ci,ij,cj->c", apart, own, apart), 0))
    contenders = difference[largest] - difference <= CONTENDERS * distance
    low_miss, high_miss = LOW_SHARE * (1 - found.level), HIGH_SHARE * (1 - found.level)
    raised, heavier = _few(found, np.diag(own), first, second)
    quantile = np.quantile(studentised[:, contenders].max(axis=1), 1 - low_miss)
    low = float((difference - quantile * error * raised)[contenders].max())
    high = float((difference - np.quantile(studentised, high_miss, axis=0) * error * raised * heavier).max())
    return min(max(low, 0.0), difference[largest]), max(high, difference[largest])


def _few(found: _Groups, variance: FloatArray, first: IntArray, second: IntArray) -> tuple[FloatArray, FloatArray]:
    """What few clusters cost each difference: the factor on its standard error, and t's quantile over the normal one.

    Both groups' costs count by their share of the variance; degrees of freedom are Welch and Satterthwaite's.
    """
    from scipy.special import ndtri, stdtrit

    factor, freedom = found.costs.T
    raised = variance * factor**2
    plain, total = variance[first] + variance[second], raised[first] + raised[second]
    below = raised[first] ** 2 / freedom[first] + raised[second] ** 2 / freedom[second]
    ones = np.ones_like(total)
    freedoms = np.divide(total**2, below, out=ones.copy(), where=below > 0)
    usual = (1 + found.level) / 2
    return np.sqrt(np.divide(total, plain, out=ones, where=plain > 0)), stdtrit(freedoms, usual) / ndtri(usual)


def _variance(found: _Groups) -> Interval:
    factors, freedoms = found.costs.T
    value = variance_between(found.points, np.var(found.draws, axis=0, ddof=1) * factors**2)
    low, high = variance_bounds(found.points, found.draws, factors, freedoms, found.metric, found.level)
    return Interval(value, min(low, value), max(high, value), "test inversion", found.clusters, found.notes)


def _events(parts: Sequence[ScoreTable], names: Sequence[str], metric: Metric) -> tuple[str, ...]:
    if metric.events is None:
        return ()
    few = [name for part, name in zip(parts, names, strict=True) if part.counts[metric.events].sum() < FEW_EVENTS]
    return (f"under ten expected errors: {', '.join(few)}",) if few else ()
