"""Swapping two models' answers: what each cluster contributes to the loss, and how rarely swaps lose as much.

Where neither model is worse, either may have given either answer, so every cluster's contribution has a random sign
(the permutation test for pairs: P. Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005, section
3.7). No clip is too long and no answer too wrong for that, where a t test of a ratio rejects too often.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from audiometry.benchmark.stats.weights import reduce_blocks
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = ["contributions", "swap_critical", "swap_p"]

ENUMERATED = 16
"""Up to so many contributions every sign is tried."""

STEPS = 5_000_000
"""Whole numbers are added up one by one as long as it takes no more steps than that."""

ROWS = 4_000_000
"""Weights held at once."""

CHECKED = 8
"""Random half swaps by which additivity is checked."""

OFF = 0.1
"""How far, in standard deviations of a random swap, the contributions may be from adding up."""

TINY = 1e-12


def contributions(first: ScoreTable, second: ScoreTable, reduce: Reduce, metric: Metric) -> FloatArray | None:
    """What each cluster adds to `second`'s value less `first`'s, shape (clusters,), or None where that has no meaning.

    Half of what changes when the cluster's answers are swapped. Rates and means over the same samples add up so; a
    pooled equal error rate does not, as soon as the two models score on different scales.

    >>> from audiometry.benchmark.stats import mean_of
    >>> samples = np.arange(3), *np.zeros((2, 3), int)
    >>> a, b = (ScoreTable({"x": np.array(x)}, *samples) for x in ([1.0, 2, 3], [2.0, 2, 6]))
    >>> contributions(a, b, lambda t, w: {"x": mean_of(t, w, "x")}, Metric("x")).round(3)
    array([0.333, 0.   , 1.   ])
    """
    count = first.clusters
    both = replace(
        first,
        counts={name: np.concatenate([first.counts[name], second.counts[name]]) for name in first.counts},
        cluster=np.concatenate([first.cluster, first.cluster + count]),
        stratum=np.tile(first.stratum, 2),
        cluster_strata=np.tile(first.cluster_strata, 2),
    )

    def differences(swaps: Iterator[FloatArray]) -> FloatArray:
        return reduce_blocks(both, _difference(reduce, metric.name), swaps, [metric.name])[metric.name]

    whole = float(differences(iter([np.zeros((1, count))]))[0])
    changed = _changed_clusters(first, second)
    moves = np.zeros(count)
    if len(changed):
        moves[changed] = (whole - differences(_one_by_one(changed, count))) / 2
    if not np.isfinite(moves).all():
        return None
    halves = np.random.default_rng(count).integers(0, 2, (CHECKED, count)).astype(np.float64)
    expected = np.concatenate([[whole], (1 - 2 * halves) @ moves])
    seen = np.concatenate([[moves.sum()], differences(iter([halves]))])
    allowed = OFF * math.sqrt(float((moves**2).sum())) + TINY * max(1.0, abs(whole))
    return moves if np.abs(seen - expected).max() <= allowed else None


def swap_p(moves: FloatArray) -> float:
    """Chance that random signs make these contributions add up to what they do, or more; 1 where that is not above 0.

    Exact for up to `ENUMERATED` contributions other than 0, and for whole numbers (of words) whatever their unit. For
    others the saddlepoint approximation of the tail (R. Lugannani and S. Rice, Advances in Applied Probability 12,
    1980), never below the chance that all signs agree.

    >>> swap_p(np.array([1.0, 1.0, 1.0, 0.0])), swap_p(np.array([1.0, -1.0]))
    (0.125, 1.0)
    >>> round(swap_p(np.repeat([1.0, -1.0], [60, 40])), 4)  # a binomial test
    0.0284
    """
    moves = moves[np.abs(moves) > TINY * np.abs(moves).max(initial=0.0)]
    total, sizes = float(moves.sum()), np.abs(moves)
    if total <= TINY * float(sizes.sum()):
        return 1.0
    if len(moves) <= ENUMERATED:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float(np.mean(sums >= total * (1 - 1e-9)))
    whole = np.rint(sizes / sizes.min())
    if np.abs(whole * sizes.min() - sizes).max() < 1e-6 * sizes.min() and whole.sum() * len(whole) <= STEPS:
        return _whole_tail(whole.astype(np.int64), round(total / float(sizes.min())))
    if sizes.sum() - total < sizes.min():  # every sign agrees
        return 0.5 ** len(moves)
    scale = math.sqrt(float((sizes**2).sum()))
    return max(_tail(sizes / scale, total / scale), 0.5 ** len(moves))


def swap_critical(sizes: FloatArray, alpha: float) -> float:
    """The sum that random signs of `sizes` exceed with chance `alpha`, near enough; at most the sum of all.

    The normal quantile with Cornish and Fisher's correction for the tails, which are thinner (Revue de l'Institut
    International de Statistique 5, 1938).

    >>> round(swap_critical(np.ones(100), 0.05), 1)
    16.5
    """
    from scipy.special import ndtri

    variance = float((sizes**2).sum())
    if variance == 0:
        return 0.0
    z = float(ndtri(1 - alpha))
    kurtosis = -2 * float((sizes**4).sum()) / variance**2
    return min((z + (z**3 - 3 * z) * kurtosis / 24) * math.sqrt(variance), float(np.abs(sizes).sum()))


def _whole_tail(sizes: IntArray, total: int) -> float:
    """P(sum of signs times `sizes` ≥ total), exactly: the chances of every sum, one size after the other."""
    chances = np.ones(1)
    for size in np.sort(sizes):
        wider = np.zeros(len(chances) + 2 * size)
        wider[: len(chances)] += chances / 2
        wider[2 * size :] += chances / 2
        chances = wider
    return float(min(chances[total + int(sizes.sum()) :].sum(), 1.0))


def _tail(sizes: FloatArray, total: float) -> float:
    """P(sum of signs times `sizes` ≥ total); the squared sizes add up to 1 and `total` is above 0."""
    from scipy.special import ndtr

    tilt = _tilt(sizes, total)
    if tilt is None:
        return 0.0
    at = tilt * sizes
    log_cosh = float((np.logaddexp(at, -at) - math.log(2)).sum())
    curvature = float((sizes**2 * (1 - np.tanh(at) ** 2)).sum())
    w = math.sqrt(max(2 * (tilt * total - log_cosh), 0.0))
    u = tilt * math.sqrt(curvature)
    if w < 1e-3 or u < 1e-3:
        return float(ndtr(-total))
    density = math.exp(-(w**2) / 2) / math.sqrt(2 * math.pi)
    return min(max(float(ndtr(-w)) + density * (1 / u - 1 / w), 0.0), 1.0)


def _tilt(sizes: FloatArray, total: float) -> float | None:
    """Where the derivative of the cumulant function, sum of sizes · tanh(tilt · sizes), is `total`; None at its end."""

    def slope(tilt: float) -> float:
        return float((sizes * np.tanh(tilt * sizes)).sum())

    low, high = 0.0, max(total, 1.0)
    while slope(high) < total:
        low, high = high, 2 * high
        if high > 1e9:
            return None
    from scipy.optimize import brentq

    return float(brentq(lambda tilt: slope(tilt) - total, low, high, xtol=1e-10))


def _changed_clusters(first: ScoreTable, second: ScoreTable) -> IntArray:
    """Codes of the clusters in which any count differs; the others contribute nothing."""
    differs = np.zeros(len(first), dtype=bool)
    for name in first.counts:
        differs |= first.counts[name] != second.counts[name]
    return np.unique(first.cluster[differs])


def _one_by_one(chosen: IntArray, count: int) -> Iterator[FloatArray]:
    """Rows that swap one of the chosen clusters each."""
    rows = max(1, ROWS // count)
    for start in range(0, len(chosen), rows):
        part = chosen[start : start + rows]
        block = np.zeros((len(part), count))
        block[np.arange(len(part)), part] = 1.0
        yield block


def _difference(reduce: Reduce, name: str) -> Reduce:
    """The second model's value less the first's, by rows that say which clusters are swapped."""

    def difference(both: ScoreTable, swap: FloatArray) -> dict[str, FloatArray]:
        first = reduce(both, np.hstack([1 - swap, swap]))[name]
        second = reduce(both, np.hstack([swap, 1 - swap]))[name]
        return {name: second - first}

    return difference
