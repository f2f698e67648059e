"""How well a predictor of opinion scores agrees with people, as in the VoiceMOS challenges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import sample_weights

__all__ = ["PREDICTION_METRICS", "correlations", "prediction_agreement", "prediction_reduce"]

STATISTICS = ("srcc", "lcc", "ktau", "mse")
LEVELS = ("system", "utterance")

PREDICTION_METRICS = tuple(
    Metric(f"{level}_mse", unit="points²")
    if name == "mse"
    else Metric(f"{level}_{name}", unit="correlation", direction="higher", low=-1.0, high=1.0)
    for level in LEVELS
    for name in STATISTICS
)
"""What `prediction_reduce` reports; the headline is the system-level rank correlation."""


def correlations(predicted: ArrayLike, people: ArrayLike) -> dict[str, float]:
    """Linear, rank and pair agreement of predictions with people's scores, and the squared error.

    predicted, people: shape (items,), finite. Returns

    - `srcc`: Spearman's rank correlation, ties at their mean rank, -1 to 1, higher is better;
    - `lcc`: Pearson's linear correlation, -1 to 1, higher is better;
    - `ktau`: Kendall's tau-b (corrected for ties), -1 to 1, higher is better;
    - `mse`: mean squared error, 0 and up in squared scale points, lower is better.

    A correlation is NaN for fewer than two items, or where one side is constant; all are NaN for none. Raises
    DataError for shapes that differ, or numbers that are not finite.
    Source: W.-C. Huang et al., "The VoiceMOS Challenge 2022", Interspeech 2022 (the four measures); M. G. Kendall,
    "The treatment of ties in ranking problems", Biometrika 33, 1945 (tau-b).

    >>> {name: round(value, 4) for name, value in correlations([1.0, 2.0, 4.0], [1.0, 3.0, 3.0]).items()}
    {'srcc': 0.866, 'lcc': 0.7559, 'ktau': 0.8165, 'mse': 0.6667}
    """
    ours, theirs = _checked(predicted, people)
    return _statistics(_order(ours, theirs), np.ones(len(ours)))


def prediction_agreement(system: ArrayLike, predicted: ArrayLike, people: ArrayLike) -> dict[str, float]:
    """The eight numbers of a VoiceMOS leaderboard: `system_srcc`, `utterance_srcc`, and so on for each statistic.

    system: shape (utterances,), names or codes. predicted: the predictor's score of each utterance. people: the mean
    of its ratings. Utterance level compares utterances; system level compares systems, each the mean over its
    utterances (of both sides), however many it has. Definitions, ranges, errors and source as in `correlations`.

    >>> values = prediction_agreement(["a", "a", "b"], [3.0, 4.0, 2.0], [3.0, 5.0, 1.0])
    >>> values["system_mse"], round(values["utterance_srcc"], 4)
    (0.625, 1.0)
    """
    ours, theirs = _checked(predicted, people)
    codes = np.unique(np.asarray(system), return_inverse=True)[1]
    if codes.shape != ours.shape:
        raise DataError(f"systems of shape {codes.shape}, predictions of {ours.shape}: give one of each an utterance")
    ones = np.ones(len(ours))
    return _both_levels(codes, _order(ours, theirs), ones)


def prediction_reduce() -> Reduce:
    """A reduction to the eight numbers of `prediction_agreement`, under weights.

    Counts of each utterance: `system` (a code), `predicted`, `people`, and `answered` (0 for a failed sample, which has
    no prediction and enters nothing: its failure stands beside the numbers). Cluster by system for an interval that
    speaks of other systems, by utterance for these systems. A system that a resample leaves out is left out of the
    system level. Whole weights give exactly what repeating the utterances would; where the clusters are the systems,
    what repeating the systems would: one that a resample holds twice is two systems.

    >>> counts = {"system": np.array([0.0, 0, 1]), "predicted": np.array([3.0, 4, 2]), "people": np.array([3.0, 5, 1]),
    ...           "answered": np.ones(3)}
    >>> table = ScoreTable(counts, np.arange(3), *np.zeros((2, 3), int))
    >>> prediction_reduce()(table, np.ones((1, 3)))["system_mse"]
    array([0.625])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        answered = table.counts["answered"] > 0
        codes = table.counts["system"][answered].astype(np.int64)
        order = _order(table.counts["predicted"][answered], table.counts["people"][answered])
        by_system = _same_groups(codes, table.cluster[answered])
        rows = [_both_levels(codes, order, row[answered], by_system) for row in sample_weights(table, weights)]
        return {metric.name: np.array([row[metric.name] for row in rows]) for metric in PREDICTION_METRICS}

    return reduce


@dataclass(frozen=True)
class _Order:
    """Items sorted by (ours, theirs), with all that weights do not change.

    `levels` hold, for each binary digit of theirs' rank from the highest down, the order that keeps items with equal
    higher digits together, where each such block begins, and the digit.
    """

    ours: FloatArray
    theirs: FloatArray
    our_rank: IntArray
    their_rank: IntArray
    pair_rank: IntArray
    back: IntArray
    levels: tuple[tuple[IntArray, IntArray, NDArray[np.bool_]], ...]


def _order(ours: FloatArray, theirs: FloatArray) -> _Order:
    order = np.lexsort((theirs, ours))
    ours, theirs = ours[order], theirs[order]
    our_rank, their_rank = (np.unique(side, return_inverse=True)[1].astype(np.int64) for side in (ours, theirs))
    pair_rank = np.unique(our_rank * (len(ours) + 1) + their_rank, return_inverse=True)[1].astype(np.int64)
    levels = []
    for digit in reversed(range(int(their_rank.max(initial=0)).bit_length())):
        block = their_rank >> (digit + 1)
        together = np.argsort(block, kind="stable")
        first = np.searchsorted(block[together], block[together], side="left")
        levels.append((together, first, (their_rank[together] >> digit & 1).astype(np.bool_)))
    return _Order(ours, theirs, our_rank, their_rank, pair_rank, order, tuple(levels))


def _statistics(order: _Order, weights: FloatArray) -> dict[str, float]:
    """The four statistics with item i (in the sorted order) standing there weights[i] times."""
    total = float(weights.sum())
    if total <= 0:
        return dict.fromkeys(STATISTICS, np.nan)
    mse = float(weights @ (order.ours - order.theirs) ** 2) / total
    ours: FloatArray = np.bincount(order.our_rank, weights).astype(np.float64)
    theirs: FloatArray = np.bincount(order.their_rank, weights).astype(np.float64)
    if (ours > 0).sum() < 2 or (theirs > 0).sum() < 2:
        return dict.fromkeys(STATISTICS, np.nan) | {"mse": mse}
    # a group's middle place; mean ranks of repeated items are these and a half, which no correlation sees
    ranks = (np.cumsum(ours) - ours / 2)[order.our_rank], (np.cumsum(theirs) - theirs / 2)[order.their_rank]
    untied = (total**2 - ours @ ours) * (total**2 - theirs @ theirs) / 4
    return {
        "srcc": _pearson(*ranks, weights),
        "lcc": _pearson(order.ours, order.theirs, weights),
        "ktau": float(np.clip(_concordance(order, ours, weights) / np.sqrt(untied), -1.0, 1.0)),
        "mse": mse,
    }


def _pearson(first: FloatArray, second: FloatArray, weights: FloatArray) -> float:
    first, second = (side - weights @ side / weights.sum() for side in (first, second))
    spread = np.sqrt((weights @ first**2) * (weights @ second**2))
    return float(np.clip(weights @ (first * second) / spread, -1.0, 1.0)) if spread > 0 else float("nan")


def _concordance(order: _Order, ours: FloatArray, weights: FloatArray) -> float:
    """Weight of concordant less that of discordant pairs, in items x digits steps.

    Items come in the order of ours. Two of them differ in theirs first at one digit, with equal digits above: there
    the later one's digit says whether the pair agrees. Pairs tied in ours were counted as agreeing, and are taken out.
    """
    balance = 0.0
    for together, first, digit in order.levels:
        held = weights[together]
        ones, zeros = (np.concatenate([[0.0], np.cumsum(np.where(side, held, 0.0))]) for side in (digit, ~digit))
        before = np.arange(len(held))
        other = np.where(digit, zeros[before] - zeros[first], -(ones[before] - ones[first]))
        balance += float(held @ other)
    pairs = np.bincount(order.pair_rank, weights)
    return balance - float(ours @ ours - pairs @ pairs) / 2


def _same_groups(first: IntArray, second: IntArray) -> bool:
    """Whether both codings part the items alike."""
    pairs = {*zip(first.tolist(), second.tolist(), strict=True)}
    return len(pairs) == len({*first.tolist()}) == len({*second.tolist()})


def _both_levels(system: IntArray, order: _Order, weights: FloatArray, by_system: bool = False) -> dict[str, float]:
    """System and utterance level, for weights and systems in the order that the items came in.

    With `by_system` a weight, the same for all items of a system, says how often the system stands there.
    """
    system, weights = system[order.back], weights[order.back]
    held = np.bincount(system, weights=weights)
    there = held > 0
    means = [np.bincount(system, weights=weights * side)[there] / held[there] for side in (order.ours, order.theirs)]
    times = held[there] / np.bincount(system)[there] if by_system else np.ones(int(there.sum()))
    systems = _order(*means)
    values = _statistics(systems, times[systems.back]), _statistics(order, weights)
    return {f"{level}_{name}": row[name] for level, row in zip(LEVELS, values, strict=True) for name in STATISTICS}


def _checked(predicted: ArrayLike, people: ArrayLike) -> tuple[FloatArray, FloatArray]:
    ours, theirs = np.asarray(predicted, np.float64), np.asarray(people, np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise DataError(f"predictions of shape {ours.shape}, scores of {theirs.shape}: give one of each for each item")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise DataError("predictions and scores must be finite; leave out what was not predicted")
    return ours, theirs
