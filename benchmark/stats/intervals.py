"""Intervals of a metric by resampling clusters: a t form on the metric's scale, percentile, and BCa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats.bounds import (
    bca_bounds,
    exact_bounds,
    expanded_level,
    jackknife_variance,
    percentile_bounds,
    small_sample,
)
from audiometry.benchmark.stats.scale import scale_at
from audiometry.benchmark.stats.weights import (
    bootstrap_weights,
    jackknife_groups,
    jackknife_weights,
    reduce_blocks,
    resampling_units,
)
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = [
    "FEW_CLUSTERS",
    "FEW_EVENTS",
    "JACKKNIFE_BELOW",
    "Interval",
    "IntervalMethod",
    "check_settings",
    "intervals",
    "smallest_stratum",
    "standard_error",
]

IntervalMethod = Literal["auto", "percentile", "bca", "t"]

FEW_CLUSTERS = 200
"""Below this many clusters every metric gets the t form: percentile and BCa fall short there, as simulations show."""

JACKKNIFE_BELOW = 10
"""Below this many clusters the t form takes its standard error from the jackknife, and from the bootstrap above."""

FEW_EVENTS = 10
"""Below this many expected errors an interval is marked."""

UNCHANGED = 1e-12

KEEP = 0.1
"""A resample counts as no nearer to an end of the scale than this share of the value's distance."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the interval around it.

    `value` is None where the metric is undefined, `low` and `high` are None where no interval can be formed.
    `method` says how it was formed, `clusters` how many units were resampled (of more than
    10,000 clusters, the groups that they are dealt to), `notes` what qualifies it.
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

    Clusters are resampled within strata (strata that share a cluster are joined); below `MIN_CLUSTERS` clusters
    recordings (samples) are, and the note "these speakers only" says so. `method`:

    - "t": value ± t × standard error on the metric's scale (linear, log or logit), the error from the jackknife below
      `JACKKNIFE_BELOW` units and from the bootstrap above, the degrees of freedom from the effective number of units;
    - "percentile", "bca": of the resampled values, expanded for few clusters;
    - "auto": "t" for a metric on the log or logit scale, and for any below `FEW_CLUSTERS` units; "bca" for the rest,
      which no scale makes symmetric.

    A metric that no resample changes (no error at all, or nothing but errors) gets the exact bound on the share of
    recordings that could differ, method "exact". The interval is kept within the metric's range and around its value.
    Under `FEW_EVENTS` errors (the metric's `events`; for a fraction on the logit scale rate times the smallest stratum,
    and likewise of successes) the note "under ten expected errors" is set. The same table, seed and settings give the
    same interval, whatever the order of samples and the numbering of clusters.

    Raises SettingError for a level outside (0, 1), under 100 resamples, or a reduction that lacks a metric.

    >>> from audiometry.benchmark.stats import ratio_of_sums
    >>> errors = np.array([1.0, 0, 2, 1, 0, 3, 1, 0, 1, 1])
    >>> table = ScoreTable({"errors": errors, "words": np.full(10, 10.0)},
    ...                    np.arange(10), np.zeros(10, int), np.zeros(10, int))
    >>> wer = Metric("wer", scale="log", events="errors")
    >>> found = intervals(table, lambda t, w: {"wer": ratio_of_sums(t, w, "errors", "words")}, [wer], seed=1)["wer"]
    >>> found.value, round(found.low, 2), round(found.high, 2), found.method
    (0.1, 0.05, 0.21, 't')
    """
    check_settings(level, resamples)
    names = [metric.name for metric in metrics]
    if len(table) == 0:
        return {name: Interval(None, None, None, "none", 0, ("no samples",)) for name in names}
    units, notes = resampling_units(table)
    methods = [_method(metric, method, units.clusters) for metric in metrics]
    points = reduce_blocks(units, reduce, iter([np.ones((1, units.clusters))]), names)
    draws = left_out = dict.fromkeys(names, np.empty(0))
    groups = jackknife_groups(units.cluster_strata, seed)
    by_jackknife = units.clusters < JACKKNIFE_BELOW and all(chosen == "t" for chosen in methods)
    if units.clusters > 1 and not by_jackknife:
        draws = reduce_blocks(units, reduce, bootstrap_weights(units.cluster_strata, resamples, seed), names)
    if units.clusters > 1 and (by_jackknife or "bca" in methods):
        left_out = reduce_blocks(units, reduce, jackknife_weights(units.cluster_strata, groups), names)
    return {
        metric.name: _interval(
            _Measured(metric, units, groups, float(points[metric.name][0]), draws[metric.name], left_out[metric.name]),
            chosen,
            level,
            notes,
        )
        for metric, chosen in zip(metrics, methods, strict=True)
    }


def _method(metric: Metric, method: IntervalMethod, clusters: int) -> str:
    if method != "auto":
        return method
    return "t" if metric.scale != "linear" or clusters < FEW_CLUSTERS else "bca"


@dataclass(frozen=True)
class _Measured:
    metric: Metric
    units: ScoreTable
    groups: IntArray
    value: float
    draws: FloatArray
    left_out: FloatArray


def _interval(found: _Measured, method: str, level: float, notes: tuple[str, ...]) -> Interval:
    units, value, metric = found.units.clusters, found.value, found.metric
    if not np.isfinite(value):
        return Interval(None, None, None, "none", units, (*notes, "undefined"))
    notes = (*notes, *_event_notes(found))
    resampled = found.draws if len(found.draws) else found.left_out
    if len(resampled) == 0:
        return Interval(value, None, None, "none", units, (*notes, "one recording"))
    defined = resampled[np.isfinite(resampled)]
    if 2 * len(defined) < len(resampled):
        return Interval(value, None, None, "none", units, (*notes, "most resamples are undefined"))
    if np.ptp(defined) <= UNCHANGED * max(1.0, abs(value)):
        high = max(1.0, value) if metric.unit == "fraction" and np.isinf(metric.high) else metric.high
        low, high = exact_bounds(value, smallest_stratum(found.units), level, metric.low, high)
        return Interval(value, low, high, "exact", units, (*notes, "all resamples alike: exact bound"))
    if len(defined) < len(resampled):
        notes = (*notes, f"{1 - len(defined) / len(resampled):.1%} of resamples undefined")
    factor, freedom = small_sample(found.units)
    if method == "t":
        low, high = _t_bounds(found, defined, level)
    elif method == "bca":
        low, high = bca_bounds(defined, value, found.left_out, expanded_level(level, factor, freedom))
    else:
        low, high = percentile_bounds(defined, expanded_level(level, factor, freedom))
    low, high = min(max(low, metric.low), value), max(min(high, metric.high), value)
    return Interval(value, low, high, method, units, notes)


def _t_bounds(found: _Measured, defined: FloatArray, level: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    scale = scale_at(found.metric, found.value, keep=KEEP)
    if len(found.draws):
        error, freedom = standard_error(scale.onto(defined), np.empty(0), found.units, found.groups)
    else:
        error, freedom = standard_error(np.empty(0), found.left_out, found.units, found.groups)
        error *= scale.slope
    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    low, high = scale.back(scale.onto(np.array([found.value, found.value])) + np.array([-half, half]))
    return float(low), float(high)


def standard_error(
    draws: FloatArray, left_out: FloatArray, units: ScoreTable, groups: IntArray, *, by_size: bool = True
) -> tuple[float, float]:
    """Standard error of a statistic and its degrees of freedom: the jackknife's if there are leave-one-out values.

    `draws` (resamples,) are finite; `left_out` (groups,) may be empty; `groups` (clusters,) as the jackknife took
    them; `by_size` as in `small_sample`. The error is in the metric's unit (or the scale's, where the values are on
    one), at least 0.

    >>> units = ScoreTable({}, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    >>> error, freedom = standard_error(np.empty(0), np.array([1.0, 2.0, 3.0]), units, np.arange(3))
    >>> round(error**2, 4), freedom
    (1.3333, 2.0)
    """
    if len(left_out) == 0:
        factor, freedom = small_sample(units, by_size=by_size)
        return factor * float(np.std(draws, ddof=1)), freedom
    homes = np.empty(len(left_out), np.int64)
    homes[groups] = units.cluster_strata
    sizes = np.bincount(groups[units.cluster], minlength=len(left_out)).astype(np.float64)
    sizes = sizes if by_size else np.ones_like(sizes)
    variance, freedom = jackknife_variance(left_out, homes, sizes)
    return float(np.sqrt(variance)), freedom


def smallest_stratum(table: ScoreTable) -> int:
    """How many recordings the smallest stratum holds: a class is as sure as its own size allows.

    >>> smallest_stratum(ScoreTable({}, np.arange(5), np.array([0, 0, 0, 2, 2]), np.array([0, 0, 0, 2, 2])))
    2
    """
    counts = np.bincount(table.stratum)
    return int(counts[counts > 0].min())


def check_settings(level: float, resamples: int) -> None:
    """Raise SettingError for a level outside (0, 1) or under 100 resamples.

    >>> check_settings(0.95, 2000)
    >>> check_settings(95, 2000)
    Traceback (most recent call last):
        ...
    audiometry.benchmark.errors.SettingError: level 95 is not between 0 and 1; 0.95 is usual
    """
    if not 0 < level < 1:
        raise SettingError(f"level {level} is not between 0 and 1; 0.95 is usual")
    if resamples < 100:
        raise SettingError(f"{resamples} resamples are too few; take at least 100, 2000 is usual")


def _event_notes(found: _Measured) -> tuple[str, ...]:
    metric, table = found.metric, found.units
    if metric.events is not None:
        return ("under ten expected errors",) if table.counts[metric.events].sum() < FEW_EVENTS else ()
    if metric.scale != "logit" or metric.unit != "fraction":
        return ()
    rate = found.value if metric.direction == "lower" else 1 - found.value
    shares = {"errors": rate, "successes": 1 - rate}
    few = [what for what, share in shares.items() if share * smallest_stratum(table) < FEW_EVENTS]
    return (f"under ten expected {' and '.join(few)}",) if few else ()
