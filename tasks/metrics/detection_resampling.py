"""Equal error rates and minimum costs of thousands of resamples at once, for bootstrap intervals.

A resample holds every trial of a cluster (a speaker, say) a whole number of times, its weight. Its equal error rate
here is ASVspoof's of the set with those repetitions, tie rule included, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, IntArray
from audiometry.tasks.metrics.detection import DetectionCosts

__all__ = ["resampled_attack_equal_error_rates", "resampled_equal_error_rate", "resampled_min_dcf"]

_CELLS_IN_MEMORY = 1 << 23
"""Cells of the largest intermediate array, whatever the number of resamples: 64 MiB."""
_CELLS_IN_CACHE = 1 << 18
"""Cells of the arrays that are gone through trial by trial."""


@dataclass(frozen=True)
class _Order:
    """Trials in the order of rejection, cut into blocks of one length (the last may be shorter)."""

    bona_fide: NDArray[np.bool_]
    """(trials,)"""
    cluster: IntArray
    """(trials,)"""
    block: int
    blocks: int
    in_block: FloatArray | None
    """(clusters, 2 · blocks): each cluster's bona fide trials in each block, then its spoofed ones. None where clusters
    are so many that gathering the weights of all trials costs less than a product."""


def resampled_equal_error_rate(
    scores: ArrayLike, bona_fide: ArrayLike, cluster: ArrayLike, weights: ArrayLike
) -> FloatArray:
    """Return ASVspoof's equal error rate of every resample, shape (resamples,).

    `scores`, `bona_fide` (booleans) and `cluster` (codes 0 … clusters - 1) have shape (trials,), in any order;
    `weights` of shape (resamples, clusters) says how often each resample holds each cluster. Equal to
    `equal_error_rate` of the repeated trials; NaN for a resample without trials of one class.

    The trials are sorted once. The weights of each class in blocks of trials give the two rates at block ends; only the
    block where they cross is then added up trial by trial.

    >>> scores, bona_fide = [0.0, 1.0, 2.0, 3.0], [False, True, False, True]
    >>> resampled_equal_error_rate(scores, bona_fide, [0, 1, 2, 3], [[1, 1, 1, 1], [2, 1, 1, 2], [0, 1, 0, 1]])
    array([0.5       , 0.33333333,        nan])

    Raises DataError for NaN scores, codes or shapes that do not fit, and weights that are not whole numbers from 0.
    """
    score, is_bona_fide, code, weight = _checked(scores, bona_fide, cluster, weights)
    if len(score) == 0:
        return np.full(len(weight), np.nan)
    order = _ordered(score, is_bona_fide, code, weight.shape[1])
    step = max(1, _CELLS_IN_MEMORY // max(weight.shape[1], 2 * order.blocks))
    value = np.empty(len(weight))
    for start in range(0, len(weight), step):
        value[start : start + step] = _of_resamples(order, weight[start : start + step])
    return value


def resampled_attack_equal_error_rates(
    scores: ArrayLike, attack: ArrayLike, cluster: ArrayLike, weights: ArrayLike
) -> FloatArray:
    """Return the equal error rate of every resample for each attack, shape (attacks, resamples).

    As `resampled_equal_error_rate`, with `attack` of shape (trials,) holding -1 for bona fide trials and codes
    0 … attacks - 1 for spoofed ones. Each attack is set against all bona fide trials.

    >>> resampled_attack_equal_error_rates([0.0, 1.0, 2.0], [0, -1, 1], [0, 0, 0], [[1]])
    array([[0.],
           [1.]])

    Raises DataError as `resampled_equal_error_rate` does.
    """
    score, attacks, code = np.asarray(scores), np.asarray(attack), np.asarray(cluster)
    if attacks.shape != score.shape or code.shape != score.shape:
        raise DataError(f"scores, attacks and clusters have shapes {score.shape}, {attacks.shape}, {code.shape}")
    rows = []
    for kind in range(int(attacks.max(initial=-1)) + 1):
        chosen = (attacks == -1) | (attacks == kind)
        rows.append(resampled_equal_error_rate(score[chosen], attacks[chosen] == -1, code[chosen], weights))
    return np.stack(rows) if rows else np.empty((0, len(np.asarray(weights))))


def resampled_min_dcf(
    scores: ArrayLike, bona_fide: ArrayLike, cluster: ArrayLike, weights: ArrayLike, costs: Sequence[DetectionCosts]
) -> FloatArray:
    """Return the minimum normalised DCF of every resample at each of the `costs`, shape (costs, resamples).

    The other arguments are those of `resampled_equal_error_rate`. Equal to `min_dcf` of the repeated trials: from 0
    (some threshold makes no error) to 1 (none does better than rejecting all or accepting all), lower is better. NaN
    for a resample without trials of one class. Trials of one score stand or fall together.

    >>> scores, bona_fide = [0.0, 1.0, 2.0, 3.0], [False, True, False, True]
    >>> equal = DetectionCosts(spoof_prior=0.5, miss_cost=1.0, false_alarm_cost=1.0)
    >>> resampled_min_dcf(scores, bona_fide, [0, 1, 2, 3], [[1, 1, 1, 1], [1, 1, 3, 1], [0, 1, 0, 1]], [equal])
    array([[0.5, 0.5, nan]])

    Raises DataError as `resampled_equal_error_rate` does. Source: as `min_dcf`.
    """
    score, is_bona_fide, code, weight = _checked(scores, bona_fide, cluster, weights)
    values = np.full((len(costs), len(weight)), np.nan)
    order = np.argsort(score, kind="stable")
    score, is_bona_fide, code = score[order], is_bona_fide[order], code[order]
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True)[: len(score)])
    for row, one in enumerate(weight if len(score) else ()):
        _check_whole(one)
        held = one[code]
        rejected = [np.cumsum(np.where(chosen, held, 0.0))[ends] for chosen in (is_bona_fide, ~is_bona_fide)]
        if min(part[-1] for part in rejected) <= 0:
            continue
        miss, caught = (np.append(0.0, part) / part[-1] for part in rejected)
        for place, cost in enumerate(costs):
            lowest = (cost.miss_weight * miss + cost.false_alarm_weight * (1.0 - caught)).min()
            values[place, row] = lowest / cost.default_cost
    return values


def _checked(
    scores: ArrayLike, bona_fide: ArrayLike, cluster: ArrayLike, weights: ArrayLike
) -> tuple[FloatArray, NDArray[np.bool_], IntArray, FloatArray]:
    score = np.asarray(scores, dtype=np.float64)
    is_bona_fide, code = np.asarray(bona_fide, dtype=bool), np.asarray(cluster)
    weight = np.asarray(weights, dtype=np.float64)
    if not score.ndim == 1 or not score.shape == is_bona_fide.shape == code.shape:
        raise DataError(f"scores, classes and clusters have shapes {score.shape}, {is_bona_fide.shape}, {code.shape}")
    if np.isnan(score).any():
        raise DataError(f"{int(np.isnan(score).sum())} scores are NaN; a failed trial needs a stated score")
    if weight.ndim != 2:
        raise DataError(f"weights have shape {weight.shape}; give (resamples, clusters)")
    if len(code) and not (code.dtype.kind in "iu" and code.min() >= 0 and code.max() < weight.shape[1]):
        raise DataError(f"cluster codes must be whole numbers from 0 to {weight.shape[1] - 1}")
    return score, is_bona_fide, code.astype(np.int64), weight


def _ordered(score: FloatArray, is_bona_fide: NDArray[np.bool_], code: IntArray, clusters: int) -> _Order:
    order = np.argsort(score)
    if np.any(score[order[1:]] == score[order[:-1]]):  # ten times slower, and without ties the same
        order = np.lexsort((~is_bona_fide, score))
    trials = len(order)
    product = 2 * clusters < trials
    # costs balance where a product over all clusters, or a sum over all blocks, and a gather over one block take alike
    blocks = int(np.clip(math.sqrt(512 * trials / max(clusters, 1) if product else trials), 8, 1024))
    block = math.ceil(trials / blocks)
    is_bona_fide, code = is_bona_fide[order], code[order]
    blocks = math.ceil(trials / block)
    in_block = None
    if product:
        column = np.arange(trials) // block + np.where(is_bona_fide, 0, blocks)
        counts = np.bincount(code * 2 * blocks + column, minlength=clusters * 2 * blocks)
        in_block = counts.reshape(clusters, 2 * blocks).astype(np.float64)
    return _Order(is_bona_fide, code, block, blocks, in_block)


def _of_resamples(order: _Order, weights: FloatArray) -> FloatArray:
    """Equal error rates of some resamples; weights of shape (resamples, clusters)."""
    value = np.full(len(weights), np.nan)
    bona_fide, spoof = (np.cumsum(part, axis=1) for part in np.hsplit(_block_sums(order, weights), 2))
    both = np.flatnonzero((bona_fide[:, -1] > 0) & (spoof[:, -1] > 0))
    if len(both) == 0:
        return value
    bona_fide, spoof, rows = bona_fide[both], spoof[both], np.arange(len(both))
    crossing = np.argmax(_gap(bona_fide.T, spoof.T, (bona_fide[:, -1], spoof[:, -1])) >= 0, axis=0)
    counts = np.stack([part[rows, column] for part in (bona_fide, spoof) for column in (crossing - 1, -1)])
    counts[::2, crossing == 0] = 0
    step = max(1, _CELLS_IN_CACHE // order.block)
    for start in range(0, len(both), step):
        part = slice(start, start + step)
        value[both[part]] = _in_block(order, weights, both[part], crossing[part], counts[:, part])
    return value


def _block_sums(order: _Order, weights: FloatArray) -> FloatArray:
    """Bona fide trials in each block, then spoofed ones, of every resample: shape (resamples, 2 · blocks)."""
    if order.in_block is not None:
        _check_whole(weights)
        return weights @ order.in_block
    ranks = [np.flatnonzero(order.bona_fide), np.flatnonzero(~order.bona_fide)]
    edges = np.arange(order.blocks) * order.block
    start = np.concatenate([np.searchsorted(ranks[0], edges), len(ranks[0]) + np.searchsorted(ranks[1], edges)])
    held = np.flatnonzero(np.diff(start, append=len(order.cluster)))  # a block may be without trials of a class
    cluster = order.cluster[np.concatenate(ranks)]
    sums = np.zeros((len(weights), 2 * order.blocks))
    for row, total in zip(weights, sums, strict=True):  # one resample at a time stays in the cache
        _check_whole(row)
        total[held] = np.add.reduceat(row.take(cluster), start[held])
    return sums


def _check_whole(weights: FloatArray) -> None:
    if not (weights.min() >= 0 and weights.max() < np.inf and np.array_equal(weights, np.rint(weights))):
        raise DataError("weights must be whole numbers from 0: how often a resample holds each cluster")


def _in_block(
    order: _Order, weights: FloatArray, resample: IntArray, crossing: IntArray, counts: FloatArray
) -> FloatArray:
    """Equal error rates of some resamples (rows of `weights`), given the block where their rates cross.

    `counts` of shape (4, resamples): bona fide trials before that block and in all, spoofed ones likewise.
    """
    rows, totals = np.arange(len(resample)), (counts[1], counts[3])
    # the last block may be shorter: the repeats of its last trial lie behind the crossing
    trial = np.minimum(crossing[:, None] * order.block + np.arange(order.block), len(order.cluster) - 1)
    weight, is_bona_fide = weights[resample[:, None], order.cluster[trial]], order.bona_fide[trial]
    bona_fide = np.cumsum(np.where(is_bona_fide, weight, 0), axis=1) + counts[0][:, None]
    spoof = np.cumsum(np.where(is_bona_fide, 0, weight), axis=1) + counts[2][:, None]
    at = np.argmax(_gap(bona_fide.T, spoof.T, totals) >= 0, axis=0)
    return _within_trial(bona_fide[rows, at], spoof[rows, at], weight[rows, at], is_bona_fide[rows, at], totals)


def _gap(bona_fide: FloatArray, spoof: FloatArray, totals: tuple[FloatArray, FloatArray]) -> FloatArray:
    """Miss rate less false alarm rate after rejecting so many; totals run along the last axis."""
    return np.asarray(bona_fide / totals[0] - (totals[1] - spoof) / totals[1])


def _within_trial(
    bona_fide: FloatArray,
    spoof: FloatArray,
    weight: FloatArray,
    is_bona_fide: NDArray[np.bool_],
    totals: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Step through the repetitions of the one trial in which the rates cross, given the counts after all of them."""
    miss_step, spoof_step = is_bona_fide.astype(np.float64), (~is_bona_fide).astype(np.float64)
    bona_fide, spoof = bona_fide - weight * miss_step, spoof - weight * spoof_step

    def gap(repetitions: FloatArray) -> FloatArray:
        return _gap(bona_fide + repetitions * miss_step, spoof + repetitions * spoof_step, totals)

    slope = miss_step / totals[0] + spoof_step / totals[1]
    after = np.clip(np.ceil(-gap(np.zeros_like(weight)) / slope) - 1, 1, weight)
    for _ in range(2):  # the estimate is one low, or exact, or rounding made it two low
        after = np.where(gap(after) < 0, np.minimum(after + 1, weight), after)
    at = np.where(np.abs(gap(after - 1)) <= np.abs(gap(after)), after - 1, after)
    miss_rate = (bona_fide + at * miss_step) / totals[0]
    false_alarm_rate = (totals[1] - (spoof + at * spoof_step)) / totals[1]
    return np.asarray((miss_rate + false_alarm_rate) / 2)
