"""Bounds of an interval from resampled or leave-one-out values, and what few clusters cost."""

from __future__ import annotations

import numpy as np

from audiometry.benchmark.types import FloatArray, IntArray, ScoreTable

__all__ = [
    "bca_bounds",
    "exact_bounds",
    "expanded_level",
    "jackknife_variance",
    "percentile_bounds",
    "small_sample",
]

SMALLEST = 1e-12


def percentile_bounds(draws: FloatArray, level: float) -> tuple[float, float]:
    """The middle `level` of the resampled values (shape (resamples,), finite).

    >>> percentile_bounds(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca_bounds(draws: FloatArray, value: float, left_out: FloatArray, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated bounds.

    `draws` of shape (resamples,), finite; `left_out` of shape (groups,) are the leave-one-out values that give the
    acceleration. Draws equal to `value` count half. B. Efron, "Better bootstrap confidence intervals", JASA 82, 1987,
    equations 2.3 (bounds), 4.1 (bias) and 6.6 (acceleration).

    >>> draws = np.random.default_rng(0).exponential(1.0, (4000, 50)).mean(axis=1)
    >>> bounds = bca_bounds(draws, 1.0, np.random.default_rng(1).exponential(1.0, 50), 0.95)
    >>> bounds[0] < 1 < bounds[1]
    True
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
    low, high = np.quantile(draws, ndtr(bias + z / np.maximum(1 - acceleration * z, SMALLEST)))
    return float(low), float(high)


def exact_bounds(value: float, recordings: int, level: float, low: float, high: float) -> tuple[float, float]:
    """Bounds where all recordings gave the same: no error at all, or nothing but errors.

    Had more than a share 1 - (alpha/2)^(1/n) of recordings anything else to give, one of n would have shown it with
    confidence 1 - alpha/2 (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934, at zero events; about 3.7 / n). The
    recordings that could differ are put at the ends of the metric's range, `low` and `high`: wholly wrong. An infinite
    end is not widened towards.

    >>> round(exact_bounds(0.0, 500, 0.95, 0.0, 1.0)[1], 5)
    0.00735
    """
    share = 1 - ((1 - level) / 2) ** (1 / recordings)
    below = value - share * (value - low) if np.isfinite(low) else value
    above = value + share * (high - value) if np.isfinite(high) else value
    return float(below), float(above)


def jackknife_variance(left_out: FloatArray, homes: IntArray, sizes: FloatArray) -> tuple[float, float]:
    """Variance of a statistic and its effective degrees of freedom, from leave-one-cluster-out values.

    `left_out`, `homes` (the stratum of what was left out) and `sizes` (its samples) have shape (groups,). Strata add
    up; the degrees of freedom are Satterthwaite's over strata, each stratum counting with its effective number of
    clusters, the sum of sizes squared over the sum of squared sizes, less one. NaN values are left out.
    J. N. K. Rao and C. F. J. Wu, JASA 83, 1988, equation 2.6 (the stratified jackknife).

    >>> variance, freedom = jackknife_variance(np.array([1.0, 2.0, 3.0]), np.zeros(3, int), np.ones(3))
    >>> round(variance, 4), freedom
    (1.3333, 2.0)
    """
    total = below = 0.0
    for home in np.unique(homes):
        chosen = (homes == home) & np.isfinite(left_out)
        count = int(chosen.sum())
        if count < 2:
            continue
        variance = (count - 1) / count * float(((left_out[chosen] - left_out[chosen].mean()) ** 2).sum())
        effective = float(sizes[chosen].sum() ** 2 / (sizes[chosen] ** 2).sum())
        total += variance
        below += variance**2 / max(effective - 1, 1.0)
    return total, total**2 / below if below > 0 else 1.0


def small_sample(table: ScoreTable, *, by_size: bool = True) -> tuple[float, float]:
    """What few clusters cost: the factor on a bootstrap standard error, and the degrees of freedom of its t quantile.

    A bootstrap of n clusters finds sqrt((n - 1) / n) of the standard error. n is the effective number of clusters, as
    big ones decide (sum of sizes squared over sum of squared sizes, L. Kish, "Survey Sampling", 1965, section 11.7);
    without `by_size` it is their plain number, which serves for differences. With several strata each is taken to
    contribute alike; a stratum of one cluster contributes nothing.

    >>> small_sample(ScoreTable({}, np.arange(10), np.zeros(10, int), np.zeros(10, int)))
    (1.0540925533894598, 9.0)
    """
    sizes = np.bincount(table.cluster, minlength=table.clusters).astype(np.float64)
    counts = np.bincount(table.cluster_strata)
    several = counts > 1
    if not several.any():
        return 1.0, 1.0
    effective = counts[several].astype(np.float64)
    if by_size:
        totals = np.bincount(table.cluster_strata, weights=sizes)[several]
        effective = np.maximum(totals**2 / np.bincount(table.cluster_strata, weights=sizes**2)[several], 1.5)
    factor = float(np.sqrt(np.mean(effective / (effective - 1))))
    return factor, max(float(len(effective) ** 2 / np.sum(1 / (effective - 1))), 1.0)


def expanded_level(level: float, factor: float, freedom: float) -> float:
    """The level whose normal quantile is `factor` times the t quantile of `level`.

    Percentile and BCa bounds at this level are as wide as the t form's where the metric is normal. T. C. Hesterberg,
    "What teachers should know about the bootstrap", The American Statistician 69, 2015 (expanded percentile interval).

    >>> round(expanded_level(0.95, 1.0, 1e9), 4), round(expanded_level(0.95, 1.05, 9.0), 4)
    (0.95, 0.9825)
    """
    from scipy.special import ndtr, stdtrit

    return min(float(2 * ndtr(factor * stdtrit(freedom, 0.5 + level / 2)) - 1), 1 - SMALLEST)
