"""How far apart the values of several groups are, with bounds that allow for having picked the outermost.

Whatever says how far apart values are (their gap, ratio or variance) is large by chance alone where it is taken of
uncertain values. Its bounds invert a simulated test: true values are put as near to those seen as a given distance
allows, resampled errors are added, and the distance seen is compared with the distances that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.stats.scale import scale_at
from audiometry.benchmark.types import FloatArray, Metric

__all__ = ["GAP", "RATIO", "VARIANCE", "Resampled", "Spread", "spread_bounds", "variance_between"]

LOW_SHARE, HIGH_SHARE = 0.65, 0.05
"""Shares of the error that the bounds may spend: a false gap is the mistake to guard against. The rest is what
resampled errors of few clusters cost, as simulated."""

STEPS = 12
"""Halvings of a bound's range: to within 1/4000 of the size seen, far below what resampling leaves open."""

KEEP = 1e-2
SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure of how far apart values are: 0 where they are alike.

    `size` maps values of shape (groups, …) to sizes (…). `nearest` gives the values of a given size that are nearest
    to some values, with standard errors, both of shape (groups,): in squared distance (for the ratio in that of
    logarithms).
    """

    size: Callable[[FloatArray], FloatArray]
    nearest: Callable[[FloatArray, FloatArray, float], FloatArray]


@dataclass(frozen=True, slots=True)
class Resampled:
    """What is known of the values: `points` (groups,) as seen, `draws` (resamples, groups) as resampled.

    What few clusters cost each group's errors has shape (groups, 2), a factor and degrees of freedom each: `by_count`
    goes by the plain number of clusters, `by_size` by their effective number.
    """

    points: FloatArray
    draws: FloatArray
    by_count: FloatArray
    by_size: FloatArray


def _gap(values: FloatArray) -> FloatArray:
    return np.asarray(values.max(axis=0) - values.min(axis=0))


def _log_ratio(values: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.maximum(values.max(axis=0), SMALLEST) / np.maximum(values.min(axis=0), SMALLEST)))


def _variance(values: FloatArray) -> FloatArray:
    return np.asarray(np.var(values, axis=0, ddof=1))


def _with_gap(values: FloatArray, errors: FloatArray, gap: float) -> FloatArray:
    """Squeezed into an interval as wide as `gap`, where least is changed; or the outermost two moved apart.

    What is squeezed to within a standard error of an end is put there: noise keeps groups apart that are alike, and
    the more of them are at an end, the further out the outermost is seen.

    >>> values, errors = np.array([0.0, 1.0, 2.0, 5.0]), np.full(4, 0.7)
    >>> _with_gap(values, errors, 7.0), _with_gap(values, errors, 3.0), _with_gap(values, errors, 2.0).round(1)
    (array([-1.,  1.,  2.,  6.]), array([1., 1., 2., 4.]), array([1.3, 1.3, 1.3, 3.3]))
    """
    surplus = float(np.ptp(values)) - gap
    if surplus <= 0:
        outermost = np.argsort(values, kind="stable")[[0, -1]]
        moved = values.copy()
        moved[outermost] += surplus / 2, -surplus / 2
        return moved
    edges = np.sort(np.concatenate([values, values - gap]))  # where the interval may begin
    below, above = np.maximum(edges[:, None] - values, 0), np.maximum(values - edges[:, None] - gap, 0)
    start = np.interp(0.0, (below - above).sum(axis=1), edges)  # squares are least where both change as much
    above_low, below_high = np.maximum(values - start, 0), np.maximum(start + gap - values, 0)
    squeezed = np.where(above_low <= np.minimum(below_high, errors), start, np.clip(values, start, start + gap))
    return np.where(below_high <= np.minimum(above_low, errors), start + gap, squeezed)


def _with_log_ratio(values: FloatArray, errors: FloatArray, ratio: float) -> FloatArray:
    return np.asarray(np.exp(_with_gap(np.log(values), errors / values, ratio)))


def _with_variance(values: FloatArray, _: FloatArray, variance: float) -> FloatArray:
    """On the line through the mean and the values."""
    away = values - values.mean()
    if not away.any():
        away[[0, -1]] = -1, 1
    return np.asarray(values.mean() + away * np.sqrt(variance / _variance(away)))


GAP = Spread(_gap, _with_gap)
"""The largest value less the smallest."""

RATIO = Spread(_log_ratio, _with_log_ratio)
"""Logarithm of the largest value over the smallest; values are above 0."""

VARIANCE = Spread(_variance, _with_variance)
"""Variance of the values around their mean, each counting once."""


def variance_between(points: FloatArray, noise: FloatArray) -> float:
    """Variance of `points` around their mean less what sampling adds (`noise`, their variances); at least 0.

    Both of shape (groups,); each group counts once.

    >>> variance_between(np.array([1.0, 3.0]), np.array([0.5, 0.5])), variance_between(np.ones(2), np.ones(2))
    (1.5, 0.0)
    """
    return max(0.0, float(np.var(points, ddof=1) - noise.mean()))


def spread_bounds(spread: Spread, found: Resampled, metric: Metric, level: float) -> tuple[float, float]:
    """Bounds of the size of the true values' spread, at least 0.

    The lower bound is the smallest size that makes the size seen no rarer than `LOW_SHARE` of the error, the upper one
    the largest that makes it no rarer on the other side than `HIGH_SHARE` (where what is seen is less than what errors
    alone make in half of all cases, the upper bound is that of the half). Errors are taken on the metric's scale: an
    error rate that is twice as high has errors twice as large. They are raised for few clusters: for the lower bound by
    their plain number and t's quantile (degrees of freedom are Satterthwaite's over groups, each as often as its errors
    make it outermost), for the upper bound by each group's effective number and its own t. J. Carpenter, "Test
    inversion bootstrap confidence intervals", JRSS B 61, 1999.

    >>> draws = np.random.default_rng(0).normal([1.0, 2.0, 3.0], 0.1, (2000, 3))
    >>> costs = np.array([[1.0, 99.0]] * 3)
    >>> found = Resampled(np.array([1.0, 2.0, 3.0]), draws, costs, costs)
    >>> low, high = spread_bounds(GAP, found, Metric("x"), 0.95)
    >>> 1.6 < low < 1.8 < 2.3 < high < 2.6
    True
    """
    scale = scale_at(metric, float(found.points.mean()), keep=KEEP)
    errors = np.ascontiguousarray((scale.onto(found.draws) - scale.onto(found.points)).T)  # (groups, resamples)
    raised, widened = _for_few_clusters(found, errors, level)
    own = np.std(found.draws, axis=0, ddof=1) * found.by_count[:, 0]

    def sizes(size: float, errors: FloatArray) -> FloatArray:
        return spread.size(scale.back(scale.onto(spread.nearest(found.points, own, size))[:, None] + errors))

    seen = float(spread.size(found.points))
    usual = max(seen, float(np.median(sizes(0.0, errors))))
    low = _least(lambda size: np.mean(sizes(size, raised) >= seen) >= LOW_SHARE * (1 - level), seen)
    high = _least(lambda size: np.mean(sizes(size, widened) >= usual) >= 1 - HIGH_SHARE * (1 - level), usual)
    return low, high


def _for_few_clusters(found: Resampled, errors: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Errors (groups, resamples) raised for the lower bound, and for the upper."""
    from scipy.special import ndtri, stdtrit

    both, one = (1 + level) / 2, 1 - HIGH_SHARE * (1 - level)
    factor, freedom = found.by_count.T
    outermost = np.bincount(np.concatenate([errors.argmin(axis=0), errors.argmax(axis=0)]), minlength=len(errors))
    noise = np.var(errors, axis=1, ddof=1) * factor**2 * outermost
    pooled = float(noise.sum() ** 2 / (noise**2 / freedom).sum()) if noise.any() else np.inf
    raised = errors * factor[:, None] * (stdtrit(pooled, both) / ndtri(both))
    factor, freedom = found.by_size.T
    return raised, errors * (factor * stdtrit(freedom, one) / ndtri(one))[:, None]


def _least(reached: Callable[[float], np.bool_], start: float) -> float:
    """The least size from 0 up that is `reached`, looked for around `start`."""
    if reached(0.0):
        return 0.0
    below, above = 0.0, start
    for _ in range(STEPS):
        if reached(above):
            break
        below, above = above, 2 * above
    for _ in range(STEPS):
        middle = (below + above) / 2
        below, above = (below, middle) if reached(middle) else (middle, above)
    return above
