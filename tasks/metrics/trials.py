"""Scores of two classes of trials: checked, sorted once, and every operating point that they allow.

Higher scores speak for bona fide (spoof detection) or for the target speaker (speaker verification): where a
function here says bona fide and spoof, read target and non-target for speaker verification.

A threshold rejects trials from the lowest score upwards. Following ASVspoof's evaluation packages
(``compute_det_curve``: stable sort, bona fide listed first), tied trials are rejected one by one, bona fide first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, IntArray

__all__ = [
    "MinimumCost",
    "OperatingPoints",
    "SortedScores",
    "SortedTrials",
    "convex_hull",
    "last_rejected",
    "lowest_cost",
    "operating_points",
    "sorted_scores",
    "sorted_trials",
]

SortedScores: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
"""Scores in ascending order, without NaN."""

_BLOCK = 256
"""Positive trials a block in the search for the lowest cost: few enough to bound tightly, many enough to be quick."""


@dataclass(frozen=True, slots=True)
class SortedTrials:
    """Both classes' scores in ascending order, in one floating type, without NaN and not empty."""

    bona_fide: SortedScores
    spoof: SortedScores


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """Error rates after rejecting 0, 1, …, n trials; every array has shape (n + 1,).

    `miss_rate` (bona fide rejected) rises from 0 to 1, `false_alarm_rate` (spoof accepted) falls from 1 to 0, and
    `threshold` is the score of the last rejected trial, -inf where nothing is rejected.
    """

    miss_rate: FloatArray
    false_alarm_rate: FloatArray
    threshold: FloatArray


@dataclass(frozen=True, slots=True)
class MinimumCost:
    """The lowest normalised cost over all thresholds, and where it is reached.

    Trials with a score above `threshold` are accepted; -inf accepts everything.
    """

    value: float
    threshold: float


def sorted_scores(scores: ArrayLike, name: str) -> SortedScores:
    """Return `scores` in ascending order.

    Scores have shape (trials,); float32 stays float32 (its sort is quicker), anything else becomes float64. Infinite
    scores are allowed. `name` stands in the error.

    >>> sorted_scores([2, 1, 3], "bona fide")
    array([1., 2., 3.])

    Raises DataError for an array that is empty, has other than one dimension, or holds NaN.
    """
    array = np.asarray(scores)
    if array.ndim != 1:
        raise DataError(f"{name} scores have shape {array.shape}; give one dimension, a score a trial")
    if array.size == 0:
        raise DataError(f"there are no {name} trials, and detection metrics need both classes; check the labels")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    ordered: SortedScores = np.sort(array)
    if np.isnan(ordered[-1]):  # NaN sorts last
        count = int(np.isnan(ordered).sum())
        raise DataError(f"{count} of {len(ordered)} {name} scores are NaN; a failed trial needs a stated score")
    return ordered


def sorted_trials(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> SortedTrials:
    """Check and sort both classes; raises DataError as `sorted_scores` does.

    >>> sorted_trials([2, 1], [0.5, 0]).spoof
    array([0. , 0.5])
    """
    bona_fide = sorted_scores(bona_fide_scores, "bona fide")
    spoof = sorted_scores(spoof_scores, "spoof")
    if bona_fide.dtype != spoof.dtype:
        bona_fide, spoof = bona_fide.astype(np.float64), spoof.astype(np.float64)
    return SortedTrials(bona_fide, spoof)


def operating_points(trials: SortedTrials) -> OperatingPoints:
    """Return every operating point, ties one by one, as ASVspoof's ``compute_det_curve`` lists them.

    >>> points = operating_points(sorted_trials([1, 3], [0, 2]))
    >>> points.miss_rate
    array([0. , 0. , 0.5, 0.5, 1. ])
    >>> points.false_alarm_rate
    array([1. , 0.5, 0.5, 0. , 0. ])
    """
    bona_fide, spoof = trials.bona_fide, trials.spoof
    total = len(bona_fide) + len(spoof)
    is_bona_fide = np.zeros(total + 1, dtype=bool)
    places = np.arange(1, len(bona_fide) + 1) + np.searchsorted(spoof, bona_fide, side="left")
    is_bona_fide[places] = True
    threshold = np.empty(total + 1)
    threshold[is_bona_fide] = bona_fide
    is_spoof = ~is_bona_fide
    is_spoof[0] = False
    threshold[is_spoof] = spoof
    threshold[0] = -np.inf
    misses = np.cumsum(is_bona_fide)
    rejected_spoof = np.arange(total + 1) - misses
    return OperatingPoints(misses / len(bona_fide), (len(spoof) - rejected_spoof) / len(spoof), threshold)


def lowest_cost(
    positives: SortedScores, positive_weight: float, negatives: Sequence[tuple[SortedScores, float]]
) -> tuple[int, tuple[int, ...]]:
    """Find where ``positive_weight · P(miss) + Σ weight · P(false alarm)`` is lowest over all thresholds.

    Weights are not negative. Returns how many positives are rejected there, and how many of each negative class; of
    equal costs the lowest threshold wins. The cost falls while negatives are rejected, so that it can be lowest only
    just below a positive score, or where all is rejected. Blocks of positives are bounded from their ends, and only
    blocks that may hold the minimum are looked into.

    >>> lowest_cost(np.array([1.0, 3.0]), 1.0, [(np.array([0.0, 2.0]), 1.0)])
    (0, (1,))
    """
    total = len(positives)
    edges = np.append(np.arange(0, total, _BLOCK), total)
    miss_cost = positive_weight * (edges / total)
    accepted_cost = np.zeros(len(edges))
    for scores, weight in negatives:
        below = np.append(np.searchsorted(scores, positives[edges[:-1]], side="left"), len(scores))
        accepted_cost += weight * ((len(scores) - below) / len(scores))
    reached = (miss_cost + accepted_cost).min()
    slack = 1e-12 * (positive_weight + sum(weight for _, weight in negatives))  # far above what rounding can do
    open_blocks = np.flatnonzero(miss_cost[:-1] + accepted_cost[1:] <= reached + slack)
    candidates = (edges[open_blocks][:, None] + np.arange(_BLOCK)).ravel()
    candidates = candidates[candidates < total]
    cost = positive_weight * (candidates / total)
    rejected = [np.searchsorted(scores, positives[candidates], side="left") for scores, _ in negatives]
    for below, (scores, weight) in zip(rejected, negatives, strict=True):
        cost = cost + weight * ((len(scores) - below) / len(scores))
    if positive_weight < cost.min():
        return total, tuple(len(scores) for scores, _ in negatives)
    best = int(np.argmin(cost))
    return int(candidates[best]), tuple(int(below[best]) for below in rejected)


def last_rejected(parts: Sequence[tuple[SortedScores, int]]) -> float:
    """Return the highest score among the first `count` of each sorted array, -inf where all counts are 0.

    >>> last_rejected([(np.array([1.0, 3.0]), 1), (np.array([0.0, 2.0]), 2)])
    2.0
    """
    return max((float(scores[count - 1]) for scores, count in parts if count), default=float("-inf"))


def convex_hull(trials: SortedTrials) -> tuple[IntArray, IntArray]:
    """Return the segments of the ROC's convex hull: how many bona fide and spoof trials each holds, lowest first.

    Pool-adjacent-violators over distinct scores, which gives the hull (Fawcett and Niculescu-Mizil, 2007): the share
    of bona fide trials rises from segment to segment. Both arrays have shape (segments,).

    >>> convex_hull(sorted_trials([1, 3], [0, 2]))
    (array([0, 1, 1]), array([1, 1, 0]))
    """
    from scipy.optimize import isotonic_regression

    values = np.unique(np.concatenate((trials.bona_fide, trials.spoof)))
    bona_fide = np.diff(np.searchsorted(trials.bona_fide, values, side="right"), prepend=0)
    spoof = np.diff(np.searchsorted(trials.spoof, values, side="right"), prepend=0)
    pooled = isotonic_regression(bona_fide / (bona_fide + spoof), weights=bona_fide + spoof)
    starts = pooled.blocks[:-1]
    return np.add.reduceat(bona_fide, starts), np.add.reduceat(spoof, starts)
