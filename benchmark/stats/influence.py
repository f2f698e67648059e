"""How much each cluster moves several values at once, and the covariances that follow in every resample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiometry.benchmark.stats.weights import JACKKNIFE_GROUPS, jackknife_weights
from audiometry.benchmark.types import FloatArray, IntArray

__all__ = ["difference_errors", "influence_values", "resampled_covariances"]


def influence_values(strata: IntArray, values: Callable[[FloatArray], FloatArray]) -> FloatArray | None:
    """What leaving out each cluster takes from each value, shape (clusters, values), with mean 0 in each stratum.

    `values` maps weights of shape (rows, clusters) to (rows, values). None above `JACKKNIFE_GROUPS` clusters, where
    the distribution is near enough to normal to do without.

    >>> x = np.array([1.0, 2.0, 3.0])
    >>> influence_values(np.zeros(3, int), lambda rows: (rows @ x / rows.sum(axis=1))[:, None]).tolist()
    [[-0.5], [0.0], [0.5]]
    """
    count = len(strata)
    if count > JACKKNIFE_GROUPS:
        return None
    left_out = np.concatenate([values(block) for block in jackknife_weights(strata, np.arange(count))])
    influence = np.empty_like(left_out)
    for stratum in np.unique(strata):
        part = left_out[strata == stratum]
        defined = np.isfinite(part)
        mean = np.where(defined, part, 0).sum(axis=0) / np.maximum(defined.sum(axis=0), 1)
        influence[strata == stratum] = np.where(defined, mean - part, 0.0)
    return influence


def resampled_covariances(weights: FloatArray, influence: FloatArray, strata: IntArray) -> FloatArray:
    """Covariances of the values in each resample, shape (rows, values, values), from the clusters it holds.

    The jackknife's covariance with each cluster counted as often as the resample has it; a row of ones gives that of
    the table itself.

    >>> influence = np.array([[-1.0], [0.0], [1.0]]) / 2  # of the mean of 1, 2, 3: its variance is 1 / 3
    >>> rows = np.array([[1.0, 1.0, 1.0], [3.0, 0.0, 0.0]])
    >>> resampled_covariances(rows, influence, np.zeros(3, int)).round(4).tolist()
    [[[0.3333]], [[0.0]]]
    """
    count = influence.shape[1]
    first, second = np.triu_indices(count)
    found = np.zeros((len(weights), len(first)))
    for stratum in np.unique(strata):
        chosen = strata == stratum
        size = int(chosen.sum())
        own, held = influence[chosen], weights[:, chosen]
        moment, mean = held @ (own[:, first] * own[:, second]), held @ own
        found += (size - 1) / size * (moment - mean[:, first] * mean[:, second] / size)
    full = np.empty((len(weights), count, count))
    full[:, first, second] = found
    full[:, second, first] = found
    return full


def difference_errors(covariances: FloatArray, first: IntArray, second: IntArray) -> FloatArray:
    """Standard errors of the differences of two values, shape (rows, differences), from (rows, values, values).

    >>> difference_errors(np.array([[[1.0, 0.5], [0.5, 4.0]]]), np.array([0]), np.array([1]))
    array([[2.]])
    """
    variance = covariances[:, first, first] + covariances[:, second, second] - 2 * covariances[:, first, second]
    return np.sqrt(np.maximum(variance, 0.0))
