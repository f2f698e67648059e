"""Intervals of a metric by resampling clusters: percentile, BCa, and a t form for few clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats.weights import (
    bootstrap_weights,
    by_recording,
    canonical,
    jackknife_weights,
    reduce_blocks,
)
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = ["FEW_CLUSTERS", "MIN_CLUSTERS", "Interval", "IntervalMethod", "bca_bounds", "intervals", "percentile_bounds"]

IntervalMethod = Literal["auto", "percentile", "bca", "t"]

MIN_CLUSTERS = 5
"""Below this many clusters recordings are resampled: the interval is about these speakers only."""

FEW_CLUSTERS = 50
"""Below this many clusters the t form is taken, because percentile and BCa fall short there."""

JACKKNIFE_GROUPS = 1000
MIN_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the interval around it.

    `value` is None where the metric is undefined, `low` and `high` are None where no interval can be formed.
    `method` says how it was formed, `clusters` how many units were resampled, `notes` what qualifies it.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    clusters: int
    notes: tuple[str, ...] = ()


def intervals(
    table: ScoreTable,
    reduce: Reduce,
    metrics: Sequence[Metric],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "auto",
) -> dict[str, Interval]:
    """Each metric's value over the whole table, with its interval: {metric name: Interval}.

    Clusters are resampled within strata; below `MIN_CLUSTERS` clusters, recordings (samples) are, and the note
    "these speakers only" says so. `method` "auto" takes the t form below `FEW_CLUSTERS` units and BCa from there.
    A metric that no resample changes (no error at all, or nothing but errors) gets the exact bound on the share of
    recordings that could differ. The same table, seed and settings give the same interval, whatever the order of
    samples and the numbering of clusters.

    Raises SettingError for a level outside (0, 1), under 100 resamples, or a reduction that lacks a metric.

    >>> from audiometry.benchmark.stats import ratio_of_sums
    >>> errors = np.array([1.0, 0, 2, 1, 0, 3, 1, 0, 1, 1])
    >>> table = ScoreTable({"errors": errors, "words": np.full(10, 10.0)},
    ...                    np.arange(10), np.zeros(10, int), np.zeros(10, int))
    >>> wer = Metric("wer", scale="log", events="errors")
    >>> found = intervals(table, lambda t, w: {"wer": ratio_of_sums(t, w, "errors", "words")}, [wer], seed=1)["wer"]
    >>> found.value, round(found.low, 3), round(found.high, 3), found.method
    (0.1, 0.051, 0.196, 't')
    """
    if not 0 < level < 1:
        raise SettingError(f"level {level} is not between 0 and 1; 0.95 is usual")
    if resamples < 100:
        raise SettingError(f"{resamples} resamples are too few; take at least 100, 2000 is usual")
    names = [metric.name for metric in metrics]
    if len(table) == 0:
        return {name: Interval(None, None, None, "none", 0, ("no samples",)) for name in names}
    notes: tuple[str, ...] = ()
    units = table
    if table.clusters < MIN_CLUSTERS and table.clusters < len(table):
        units = by_recording(table)
        notes = ("these speakers only",)
    units = canonical(units)
    points = reduce_blocks(units, reduce, iter([np.ones((1, units.clusters))]), names)
    if method == "auto":
        method = "t" if units.clusters < FEW_CLUSTERS else "bca"
    none = dict.fromkeys(names, np.empty(0))
    draws, left_out = none, none
    groups = _groups(units.cluster_strata, seed)
    if method in {"percentile", "bca"} and units.clusters > 1:
        draws = reduce_blocks(units, reduce, bootstrap_weights(units.cluster_strata, resamples, seed), names)
    if method in {"t", "bca"} and units.clusters > 1:
        left_out = reduce_blocks(units, reduce, jackknife_weights(units.cluster_strata, groups), names)
    found: dict[str, Interval] = {}
    for metric in metrics:
        maker = _Maker(metric, units, groups, float(points[metric.name][0]), level, notes)
        found[metric.name] = maker.interval(method, draws[metric.name], left_out[metric.name])
    return found


@dataclass(frozen=True)
class _Maker:
    metric: Metric
    table: ScoreTable
    groups: IntArray
    value: float
    level: float
    notes: tuple[str, ...]

    def interval(self, method: str, draws: FloatArray, left_out: FloatArray) -> Interval:
        units = self.table.clusters
        if not np.isfinite(self.value):
            return Interval(None, None, None, "none", units, (*self.notes, "undefined"))
        notes = (*self.notes, *self._event_notes())
        reference = draws if len(draws) else left_out
        if len(reference) == 0:
            return Interval(self.value, None, None, "none", units, (*notes, "one recording"))
        defined = reference[np.isfinite(reference)]
        if len(defined) < 0.5 * len(reference):
            return Interval(self.value, None, None, "none", units, (*notes, "most resamples are undefined"))
        if np.ptp(defined) <= 1e-12 * max(1.0, abs(self.value)):
            low, high = self._exact()
            return Interval(self.value, low, high, "exact", units, (*notes, "all recordings alike"))
        if len(defined) < len(reference):
            share = 1 - len(defined) / len(reference)
            notes = (*notes, f"{share:.1%} of resamples undefined")
        if method == "t":
            low, high = self._t(left_out)
        elif method == "bca":
            low, high = bca_bounds(defined, self.value, left_out, self.level)
        else:
            low, high = percentile_bounds(defined, self.level)
        low, high = max(low, self.metric.low), min(high, self.metric.high)
        return Interval(self.value, min(low, self.value), max(high, self.value), method, units, notes)

    def _event_notes(self) -> tuple[str, ...]:
        metric = self.metric
        if metric.events is not None:
            expected = float(self.table.counts[metric.events].sum())
        elif metric.scale == "logit" and metric.unit == "fraction":
            rate = self.value if metric.direction == "lower" else 1 - self.value
            expected = rate * float(np.bincount(self.table.stratum)[np.unique(self.table.stratum)].min())
        else:
            return ()
        return ("under ten expected errors",) if expected < MIN_EVENTS else ()

    def _exact(self) -> tuple[float, float]:
        """With n recordings all alike, a share above 1 - (alpha/2)^(1/n) that differs would have shown itself.

        (Clopper and Pearson 1934 at zero events.) The recordings that could differ are put at the ends of the
        metric's range: for a word error rate of 0, wholly wrong. n is the size of the smallest stratum.
        """
        smallest = int(np.bincount(self.table.stratum)[np.unique(self.table.stratum)].min())
        share = 1 - ((1 - self.level) / 2) ** (1 / smallest)
        low, high = self.metric.low, self.metric.high
        if not np.isfinite(low):
            low = self.value
        if not np.isfinite(high):
            high = max(1.0, self.value) if self.metric.unit == "fraction" else self.value
        return self.value - share * (self.value - low), self.value + share * (high - self.value)

    def _t(self, left_out: FloatArray) -> tuple[float, float]:
        from scipy.stats import t

        variance, freedom = jackknife_variance(left_out, self.table, self.groups)
        quantile = float(t.ppf(0.5 + self.level / 2, max(freedom, 1.0)))
        return scaled_bounds(self.value, float(np.sqrt(variance)), quantile, self.metric)


def jackknife_variance(left_out: FloatArray, table: ScoreTable, groups: IntArray) -> tuple[float, float]:
    """Variance of a statistic and its effective degrees of freedom, from leave-one-cluster-out values.

    Strata add up (Rust and Rao 1996); degrees of freedom by Satterthwaite over strata, each stratum counting with
    its effective number of clusters (sum of sizes squared over sum of squared sizes) less one.
    """
    home = np.empty(len(left_out), np.int64)
    home[groups] = table.cluster_strata
    sizes = np.bincount(groups, weights=np.bincount(table.cluster, minlength=table.clusters))
    total = below = 0.0
    for stratum in range(int(home.max()) + 1):
        chosen = (home == stratum) & np.isfinite(left_out)
        count = int(chosen.sum())
        if count < 2:
            continue
        values = left_out[chosen]
        variance = (count - 1) / count * float(((values - values.mean()) ** 2).sum())
        effective = float(sizes[chosen].sum() ** 2 / (sizes[chosen] ** 2).sum())
        total += variance
        below += variance**2 / max(effective - 1, 1.0)
    return total, total**2 / below if below > 0 else 1.0


def scaled_bounds(value: float, error: float, quantile: float, metric: Metric) -> tuple[float, float]:
    """value ± quantile × error on the metric's scale (delta method), back on its own; linear at an end of the range."""
    if metric.scale == "log" and value > 0:
        step = quantile * error / value
        return value * float(np.exp(-step)), value * float(np.exp(min(step, 700.0)))
    if metric.scale == "logit" and 0 < value < 1:
        step = quantile * error / (value * (1 - value))
        odds = np.log(value / (1 - value))
        ends = 1 / (1 + np.exp(-np.clip([odds - step, odds + step], -700, 700)))
        return float(ends[0]), float(ends[1])
    return value - quantile * error, value + quantile * error


def percentile_bounds(draws: FloatArray, level: float) -> tuple[float, float]:
    """The middle `level` of the resampled values (shape (resamples,), finite)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca_bounds(draws: FloatArray, value: float, left_out: FloatArray, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated bounds (Efron 1987, equations 2.3 and 6.6).

    `draws` of shape (resamples,), finite; `left_out` of shape (groups,) are the leave-one-out values that give the
    acceleration. Ties with `value` count half.
    """
    from scipy.special import ndtr, ndtri

    count = len(draws)
    below = (np.sum(draws < value) + 0.5 * np.sum(draws == value)) / count
    bias = float(ndtri(np.clip(below, 0.5 / count, 1 - 0.5 / count)))
    influence = left_out[np.isfinite(left_out)]
    influence = influence.mean() - influence
    spread = float((influence**2).sum())
    acceleration = float((influence**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
    z = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(draws, ndtr(bias + z / np.maximum(1 - acceleration * z, 1e-3)))
    return float(low), float(high)


def _groups(strata: IntArray, seed: int) -> IntArray:
    """A jackknife group for each cluster: its own or one of about `JACKKNIFE_GROUPS` random ones within its stratum."""
    count = len(strata)
    if count <= JACKKNIFE_GROUPS:
        return np.arange(count, dtype=np.int64)
    generator = np.random.default_rng([seed, count])
    groups = np.empty(count, np.int64)
    first = 0
    for stratum, size in enumerate(np.bincount(strata).tolist()):
        parts = min(size, max(2, round(JACKKNIFE_GROUPS * size / count)))
        groups[strata == stratum] = first + generator.permutation(size) % parts
        first += parts
    return groups
