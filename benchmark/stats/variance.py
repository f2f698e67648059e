"""An interval of the variance between groups, whose estimates are themselves uncertain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiometry.benchmark.stats.scale import scale_at
from audiometry.benchmark.types import FloatArray, Metric

__all__ = ["variance_between", "variance_bounds"]

LOW_SHARE = 0.8
HIGH_SHARE = 0.1
STEPS = 18
KEEP = 1e-2


def variance_between(points: FloatArray, noise: FloatArray) -> float:
    """Variance of `points` around their mean less what sampling adds (`noise`, their variances); at least 0.

    Both of shape (groups,); each group counts once.

    >>> variance_between(np.array([1.0, 3.0]), np.array([0.5, 0.5])), variance_between(np.ones(2), np.ones(2))
    (1.5, 0.0)
    """
    return max(0.0, float(np.var(points, ddof=1) - noise.mean()))


def variance_bounds(
    points: FloatArray, draws: FloatArray, factors: FloatArray, freedoms: FloatArray, metric: Metric, level: float
) -> tuple[float, float]:
    """Bounds of the variance of the groups' true values around their mean, by inverting a simulated test.

    `points` (groups,) are the values seen and `draws` (resamples, groups) their bootstrap values; `factors` and
    `freedoms` (groups,) what few clusters cost. True values are put on the line through the mean and the values seen,
    at every distance; resampled errors are added and the variance seen is compared with those that follow. The lower
    bound is the smallest distance that makes the variance seen no rarer than `LOW_SHARE` of the error, with errors as
    they are; the upper bound the largest at `HIGH_SHARE`, with errors on the metric's scale (an error rate that is
    underestimated has its errors underestimated). The rest of the error is what the line costs, as simulated.

    >>> draws = np.random.default_rng(0).normal([1.0, 2.0, 3.0], 0.1, (2000, 3))
    >>> low, high = variance_bounds(np.array([1.0, 2.0, 3.0]), draws, np.ones(3), np.full(3, 99.0), Metric("x"), 0.95)
    >>> 0.6 < low < 1 < high < 1.7
    True
    """
    from scipy.special import ndtri, stdtrit

    noise = np.var(draws, axis=0, ddof=1) * factors**2
    seen = float(np.var(points, ddof=1))
    pooled = float(noise.sum() ** 2 / (noise**2 / freedoms).sum()) if noise.any() else float("inf")
    usual = (1 + level) / 2
    errors = (draws - points) * factors * (stdtrit(pooled, usual) / ndtri(usual))
    low = _distance(points, seen, lambda truth: truth + errors, LOW_SHARE * (1 - level))
    miss = HIGH_SHARE * (1 - level)
    widen = factors * stdtrit(freedoms, 1 - miss) / -ndtri(miss)
    scale = scale_at(metric, float(points.mean()), keep=KEEP)
    scaled = (scale.onto(draws) - scale.onto(points)) * widen
    high = _distance(points, seen, lambda truth: scale.back(scale.onto(truth) + scaled), 1 - miss)
    return low**2, high**2


def _distance(points: FloatArray, seen: float, simulate: Callable[[FloatArray], FloatArray], share: float) -> float:
    """The least spread of true values at which the share of simulated variances of at least `seen` reaches `share`."""
    middle = points.mean()
    line = (points - middle) / np.sqrt(seen) if seen > 0 else np.zeros_like(points)

    def reached(spread: float) -> bool:
        simulated = np.var(simulate(middle + spread * line), axis=1, ddof=1)
        return bool(np.mean(simulated >= seen) >= share)

    if seen <= 0 or reached(0.0):
        return 0.0
    below, above = 0.0, float(np.sqrt(seen))
    for _ in range(STEPS):
        if reached(above):
            break
        below, above = above, 2 * above
    for _ in range(STEPS):
        middle_spread = (below + above) / 2
        if reached(middle_spread):
            above = middle_spread
        else:
            below = middle_spread
    return above
