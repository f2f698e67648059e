"""Fréchet audio distance: how far two sets of embeddings lie apart, each taken as one Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import ratio, sample_weights

__all__ = [
    "FRECHET_METRICS",
    "ExtrapolatedDistance",
    "FrechetDistance",
    "embedding_counts",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "frechet_reduce",
    "moments",
]

FRECHET_METRICS = (
    Metric("frechet_distance", unit="embedding²", scale="log"),
    Metric("frechet_distance_corrected", unit="embedding²", low=-np.inf),
)
"""What `frechet_reduce` reports. Intervals of the corrected one cover, with the t form; see `docs/other_metrics.md`."""

SLACK = 1e-8
"""How far from symmetric or positive a covariance may be, relative to its largest eigenvalue: rounding, no more."""


@dataclass(frozen=True, slots=True)
class FrechetDistance:
    """A distance, the same less its bias, the sizes of the two sets, and what must be said beside it."""

    value: float
    corrected: float
    reference: int
    evaluated: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExtrapolatedDistance:
    """A distance extrapolated to a set without end: the line `value` + `slope` / n, and its fit."""

    value: float
    slope: float
    r_squared: float
    sizes: tuple[int, ...]
    distances: tuple[float, ...]


def frechet_distance(reference: ArrayLike, evaluated: ArrayLike) -> FrechetDistance:
    """Fréchet (2-Wasserstein) distance between the Gaussians of two sets of embeddings, squared as is the custom.

    FAD = |m1 - m2|² + trace(C1 + C2 - 2 (C1 C2)^(1/2)), with covariances over n - 1.

    reference, evaluated: shapes (n, dimensions) and (m, dimensions), finite, of one encoder. Returns a value of 0 and
    up in the square of the embeddings' unit, lower is better; values of two encoders do not compare. A set of one
    value repeated is allowed (its covariance is 0).

    `value` is the plain plug-in, as published numbers are. It is biased upwards by about 1 / n: two samples of the same
    Gaussian are not at 0. `corrected` takes that bias out to first order, for both sets: with s the singular values of
    C1^(1/2) C2^(1/2), a set of n members adds

        trace(C) / n + (sum over i, j of s_i s_j / (s_i + s_j), the diagonal twice) / (2 (n - 1)),

    the second-order expansion of the square root under Wishart noise. It may be below 0 for sets that are alike.
    `frechet_infinity` does without normality. A set with no more members than dimensions has a singular covariance,
    which a note says: both values then speak of the sample and hardly of what it was drawn from.

    Raises DataError for under two members, shapes that do not fit, or numbers that are not finite.
    Source: K. Kilgour et al., "Fréchet audio distance", Interspeech 2019, equation 1 (D. C. Dowson and B. V. Landau,
    "The Fréchet distance between multivariate normal distributions", 1982).

    >>> frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]).value
    9.0
    """
    first, second = _set(reference, "reference"), _set(evaluated, "evaluated")
    if first.shape[1] != second.shape[1]:
        raise DataError(
            f"embeddings of {first.shape[1]} and {second.shape[1]} dimensions: use one encoder for both sets"
        )
    notes = tuple(
        f"{name} set has {len(rows)} embeddings of {rows.shape[1]} dimensions: its covariance is singular"
        for name, rows in (("reference", first), ("evaluated", second))
        if len(rows) <= rows.shape[1]
    )
    value, corrected = _between(*(_gaussian(*moments(rows), len(rows)) for rows in (first, second)))
    return FrechetDistance(value, corrected, len(first), len(second), notes)


def moments(embeddings: ArrayLike, weights: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Mean of shape (dimensions,) and covariance of shape (dimensions, dimensions), over n - 1.

    embeddings: shape (n, dimensions). weights: shape (n,), how often each stands in the set; None is once. NaN where
    the weights sum to 1 or less.

    >>> moments([[0.0], [2.0]])
    (array([1.]), array([[2.]]))
    """
    rows = np.asarray(embeddings, np.float64)
    held = np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64)
    total = held.sum()
    if total <= 1:
        return np.full(rows.shape[1], np.nan), np.full((rows.shape[1],) * 2, np.nan)
    mean = held @ rows / total
    centred = rows - mean
    return mean, (centred * held[:, None]).T @ centred / (total - 1)


def frechet_from_moments(mean1: FloatArray, cov1: FloatArray, mean2: FloatArray, cov2: FloatArray) -> float:
    """The distance from means of shape (dimensions,) and covariances of shape (dimensions, dimensions).

    With C = A Aᵀ by eigen-decomposition, the trace of (C1 C2)^(1/2) is the sum of the singular values of A1ᵀ A2: no
    square root of a rounding error is ever taken, so singular covariances lose no digits. NaN if any input is NaN.

    Returns 0 and up; lower is better. Raises DataError for a covariance that is not symmetric or has a negative
    eigenvalue beyond rounding. Source: as `frechet_distance`.

    >>> one = np.eye(2)
    >>> round(frechet_from_moments(np.zeros(2), one, np.ones(2), 4 * one), 12)
    4.0
    """
    return _between(_gaussian(mean1, cov1), _gaussian(mean2, cov2))[0]


def frechet_infinity(
    reference: ArrayLike, evaluated: ArrayLike, *, seed: int, smallest: int = 500, steps: int = 25
) -> ExtrapolatedDistance:
    """The distance extrapolated to an evaluated set without end (FAD-infinity), which removes its size from the value.

    Distances of `steps` random subsets (without repetition) of evenly spaced sizes, from `smallest` to the whole, are
    fitted by least squares with a line in 1 / n; `value` is where it meets 1 / n = 0. The reference stays whole, so
    its own bias stays too: use a large one. The value may be slightly below 0 for sets that are alike; lower is
    better. Look at `r_squared`: a poor fit is a poor extrapolation.

    reference, evaluated: as for `frechet_distance`. seed: of the subsets; the same seed gives the same value.
    Raises DataError if the evaluated set is not larger than `smallest`, SettingError for under two steps or a smallest
    size that is not above the number of dimensions (subsets of singular covariance do not lie on the line).

    Source: M. J. Chong and D. Forsyth, "Effectively unbiased FID and Inception score", CVPR 2020; A. Gui et al.,
    "Adapting Fréchet audio distance for generative music evaluation", ICASSP 2024.

    >>> sets = np.random.default_rng(0).normal(size=(2, 2000, 4))
    >>> plain, unbiased = frechet_distance(*sets).value, frechet_infinity(*sets, seed=1, smallest=100).value
    >>> plain > abs(unbiased)
    True
    """
    first, second = _set(reference, "reference"), _set(evaluated, "evaluated")
    if steps < 2 or smallest <= second.shape[1]:
        raise SettingError(
            f"steps {steps}, smallest {smallest}: give 2 steps or more, and subsets above {second.shape[1]} dimensions"
        )
    if len(second) <= smallest:
        raise DataError(f"{len(second)} embeddings: extrapolation needs more than the smallest subset, {smallest}")
    base = _gaussian(*moments(first))
    generator = np.random.default_rng(seed)
    sizes = np.linspace(smallest, len(second), steps).round().astype(np.int64)
    subsets = (second[generator.permutation(len(second))[:n]] for n in sizes)
    values = np.array([_between(base, _gaussian(*moments(subset)))[0] for subset in subsets])
    value, slope = np.polynomial.polynomial.polyfit(1.0 / sizes, values, 1)
    residual, spread = values - (value + slope / sizes), values - values.mean()
    fit = 1.0 - float(residual @ residual) / float(spread @ spread) if spread.any() else 1.0
    return ExtrapolatedDistance(
        float(value), float(slope), fit, tuple(int(n) for n in sizes), tuple(float(v) for v in values)
    )


def embedding_counts(embedding: ArrayLike) -> dict[str, float]:
    """The counts of one sample: its embedding's numbers as `embedding_0` …, and `embedded` (1).

    Raises DataError for an embedding that is not one row of finite numbers.

    >>> embedding_counts([0.5, 2.0])
    {'embedded': 1.0, 'embedding_0': 0.5, 'embedding_1': 2.0}
    """
    row = np.asarray(embedding, np.float64)
    if row.ndim != 1 or len(row) == 0 or not np.isfinite(row).all():
        raise DataError(f"embedding of shape {row.shape}: give one row of finite numbers")
    return {"embedded": 1.0} | {f"embedding_{i}": float(value) for i, value in enumerate(row)}


def frechet_reduce(reference: ArrayLike) -> Reduce:
    """A reduction of `embedding_counts` to `frechet_distance` and `frechet_distance_corrected`.

    Both are as in the function `frechet_distance`, from a reference set that stays as it is. A failed sample has zeros
    and `embedded` 0, and is in no set. NaN where a resample holds under two embeddings. A resample has fewer distinct
    members than the set, so resampled values lie above the point estimate by about as much as that lies above the
    truth: take the t form for intervals, and those of the corrected distance (`docs/other_metrics.md` has numbers).

    Raises DataError as `frechet_distance` does.

    >>> columns = {"embedded": np.ones(2), "embedding_0": np.array([3.0, 5.0])}
    >>> table = ScoreTable(columns, np.arange(2), np.zeros(2, int), np.zeros(2, int))
    >>> frechet_reduce([[0.0], [2.0]])(table, np.ones((1, 2)))["frechet_distance"]
    array([9.])
    """
    fixed = _set(reference, "reference")
    base = _gaussian(*moments(fixed), len(fixed))

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        rows = np.stack([table.counts[f"embedding_{i}"] for i in range(len(base.mean))], axis=1)
        held = table.counts["embedded"]
        sets = (row * held for row in sample_weights(table, weights))
        values = [_between(base, _gaussian(*moments(rows, row), float(row.sum()))) for row in sets]
        return {metric.name: np.array([pair[i] for pair in values]) for i, metric in enumerate(FRECHET_METRICS)}

    return reduce


@dataclass(frozen=True)
class _Gaussian:
    """A mean, the trace of a covariance and its root, and the number of members that they come from."""

    mean: FloatArray
    trace: float
    root: FloatArray
    size: float


def _gaussian(mean: FloatArray, covariance: FloatArray, size: float = np.inf) -> _Gaussian:
    """Of NaN where there is no mean or covariance; an infinite size has no bias."""
    if np.isnan(mean).any() or np.isnan(covariance).any():
        return _Gaussian(mean, float("nan"), covariance, size)
    return _Gaussian(mean, float(np.trace(covariance)), _root(covariance), size)


def _between(first: _Gaussian, second: _Gaussian) -> tuple[float, float]:
    """The distance, and the distance less its bias."""
    if np.isnan(first.trace) or np.isnan(second.trace):
        return float("nan"), float("nan")
    singular = np.linalg.svd(first.root.T @ second.root, compute_uv=False)
    gap = first.mean - second.mean
    value = float(gap @ gap + first.trace + second.trace - 2.0 * singular.sum())
    value = max(value, 0.0)  # below 0 by rounding only: 2 sum s(A1ᵀ A2) <= |A1|² + |A2|²
    pairs = ratio(np.outer(singular, singular), singular[:, None] + singular)
    curvature = float(np.nansum(pairs) + np.nansum(np.diag(pairs)))  # two zeros have no part
    return value, value - sum(side.trace / side.size + curvature / (2 * (side.size - 1)) for side in (first, second))


def _root(covariance: FloatArray) -> FloatArray:
    """A with A Aᵀ = covariance."""
    scale = float(np.abs(covariance).max(initial=0.0))
    if np.abs(covariance - covariance.T).max(initial=0.0) > SLACK * scale:
        raise DataError("covariance is not symmetric")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < -SLACK * max(float(values[-1]), 0.0):
        raise DataError(f"covariance has the negative eigenvalue {values[0]:g}: it is not one of any set")
    noise = len(values) * np.finfo(np.float64).eps * max(float(values[-1]), 0.0)
    root: FloatArray = vectors * np.sqrt(np.where(values > noise, values, 0.0))
    return root


def _set(embeddings: ArrayLike, name: str) -> FloatArray:
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise DataError(f"{name} set of shape {rows.shape}: give (embeddings, dimensions)")
    if len(rows) < 2:
        raise DataError(f"{name} set has {len(rows)} embeddings: a covariance needs two, a useful one many more")
    if not np.isfinite(rows).all():
        raise DataError(f"{name} embedding {int(np.argmin(np.isfinite(rows).all(axis=1)))} is not finite")
    return rows
