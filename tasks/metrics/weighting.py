"""What reductions share beyond `audiometry.benchmark.stats`: division without zero, and quantiles under weights.

`weights` has shape (resamples, clusters) and says how often each resample holds each cluster (`Reduce` in
`benchmark/types.py`): whole numbers in a bootstrap, parts of them in a jackknife.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.types import FloatArray, ScoreTable

__all__ = ["ratio", "sample_weights", "weighted_quantiles"]

SLIVER = 1e-9
"""An infinite value counts once it fills this much of a quantile's window: less is rounding."""


def ratio(above: ArrayLike, below: ArrayLike) -> FloatArray:
    """`above` / `below` element by element, for shapes that broadcast; NaN where `below` is 0.

    >>> ratio(np.array([1.0, 1.0]), np.array([4.0, 0.0]))
    array([0.25,  nan])
    """
    first, second = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    values = np.full(first.shape, np.nan)
    np.divide(first, second, out=values, where=second != 0)
    return values


def sample_weights(table: ScoreTable, weights: FloatArray) -> Iterator[FloatArray]:
    """Yield each resample's weight of every sample, shape (samples,): that of the sample's cluster.

    >>> table = ScoreTable({}, np.array([1, 0, 1]), *np.zeros((2, 3), int))
    >>> [row.tolist() for row in sample_weights(table, np.array([[2.0, 5.0]]))]
    [[5.0, 2.0, 5.0]]
    """
    for row in np.atleast_2d(weights):
        yield row[table.cluster]


def weighted_quantiles(values: ArrayLike, weights: ArrayLike, fractions: ArrayLike) -> FloatArray:
    """Quantiles of `values` where each stands there as often as its weight says.

    The definition is type 7 of Hyndman and Fan (1996), numpy's default: with N values in order, x_0 … x_{N-1}, the
    quantile p lies at position h = (N - 1) p, between neighbours by linear interpolation. That is the mean over
    [h, h + 1] of the step function on which each value is as wide as its weight, with N the sum of weights: whole
    weights give exactly what repeating the values would, and other weights change the value continuously.

    values: shape (samples,), in any unit; +inf is allowed, and a quantile that reaches it is +inf. weights: shape
    (samples,), at least 0. fractions: shape (quantiles,), 0 to 1. Returns shape (quantiles,), in the unit of `values`;
    NaN if the weights sum to less than 1.

    Source: R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996,
    definition 7; the integral is that of A. Akinshin, "Weighted quantile estimators", 2023, with N for his sample size.

    >>> weighted_quantiles([1.0, 2.0, 4.0], [1, 1, 2], [0.0, 0.5, 1.0])
    array([1., 3., 4.])
    """
    array = np.asarray(values, np.float64)
    order = np.argsort(array, kind="stable")
    array, held = array[order], np.cumsum(np.asarray(weights, np.float64)[order])
    starts = np.atleast_1d(np.asarray(fractions, np.float64))
    if len(held) == 0 or held[-1] < 1:
        return np.full(len(starts), np.nan)
    return np.array([_mean_between(array, held, start) for start in (held[-1] - 1) * starts])


def _mean_between(values: FloatArray, held: FloatArray, start: float) -> float:
    """Mean over [start, start + 1] of the step function with value i up to held[i]."""
    first = int(np.searchsorted(held, start, side="right"))
    last = int(np.searchsorted(held, start + 1, side="left"))
    inside = slice(min(first, len(held) - 1), min(last, len(held) - 1) + 1)
    edges = np.clip(np.concatenate([[start], held[inside]]), start, start + 1)
    widths = np.diff(edges)
    wide = widths > np.where(np.isfinite(values[inside]), 0.0, SLIVER)
    kept, share = values[inside][wide], widths[wide]
    if np.isinf(kept).any():
        return float("inf")
    # from the lowest up, so that equal values give exactly themselves
    return float(kept[0] + share @ (kept - kept[0]) / share.sum())
