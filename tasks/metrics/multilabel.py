"""Several labels a sample (sound event tagging): average precision and ROC area of each class, and their means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import ratio

__all__ = [
    "average_precision",
    "mean_average_precision",
    "multilabel_counts",
    "multilabel_metrics",
    "multilabel_reduce",
    "roc_auc",
]

BLOCK = 4_000_000
"""Numbers held at once by the reduction: 32 MB an array."""


def average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """Average precision of one class: the precision at each threshold, weighted by the recall that it adds.

    AP = sum over thresholds n of (R_n - R_(n-1)) P_n, without interpolation. Samples of equal score share a threshold,
    so the value does not depend on the order of ties, and a constant score gives the class' share.

    scores: shape (samples,), finite, higher for more likely. positive: shape (samples,), bool or 0/1. Returns 0 to 1,
    higher is better; NaN for a class without positives. Its chance level is the class' share, not 0.5.

    Raises DataError for scores that are not finite or shapes that differ.
    Source: the measure reported for AudioSet (J. F. Gemmeke et al., "Audio Set", ICASSP 2017), in the form of
    scikit-learn's `average_precision_score`, which its successors use.

    >>> round(average_precision([0.9, 0.8, 0.7], [1, 0, 1]), 4)
    0.8333
    """
    ranking = _rank(*_checked(scores, positive))
    return float(_areas(ranking, np.ones((1, len(ranking.order))))[0][0])


def roc_auc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Area under the ROC of one class: the chance that a positive scores above a negative, ties counting half.

    scores, positive: as for `average_precision`. Returns 0 to 1, higher is better, 0.5 is chance; NaN for a class
    without positives or without negatives. Raises DataError as there.

    Source: J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.

    >>> roc_auc([0.9, 0.8, 0.8, 0.1], [1, 1, 0, 0])
    0.875
    """
    ranking = _rank(*_checked(scores, positive))
    return float(_areas(ranking, np.ones((1, len(ranking.order))))[1][0])


def mean_average_precision(scores: ArrayLike, positive: ArrayLike) -> float:
    """mAP: the mean of the classes' average precisions, each class with the same weight.

    scores, positive: shape (samples, classes). Returns 0 to 1, higher is better. A class without positives has no
    average precision and is left out of the mean; NaN if no class has any. Raises DataError as `average_precision`.

    Source: as there.

    >>> round(mean_average_precision([[0.9, 0.2], [0.8, 0.1], [0.7, 0.3]], [[1, 0], [0, 0], [1, 0]]), 4)
    0.8333
    """
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive)
    if scores.ndim != 2 or scores.shape != positive.shape:
        raise DataError(f"scores of shape {scores.shape}, labels of {positive.shape}: both are (samples, classes)")
    values = np.array([average_precision(scores[:, c], positive[:, c]) for c in range(scores.shape[1])])
    return float(_mean_of_known(values[:, None])[0])


def multilabel_counts(
    scores: Mapping[str, float] | None, positive: Sequence[str], classes: Sequence[str]
) -> dict[str, float]:
    """The counts of one sample: for each class its score and whether it is there, and `answered`.

    scores: class to score, for every class; None for a failed sample, which then ranks below every other in every
    class, so that its sounds are found last. positive: the classes that are there. Names are `score_CLASS` and
    `positive_CLASS`.

    Raises DataError for a class without a score, a score that is not finite, or a positive outside `classes`.

    >>> multilabel_counts({"dog": 0.9, "rain": 0.2}, ["dog"], ["dog", "rain"])["score_rain"]
    0.2
    """
    strange = [name for name in positive if name not in classes]
    if strange:
        raise DataError(f"label {strange[0]!r} is not one of the classes")
    counts = {"answered": float(scores is not None)}
    for name in classes:
        value = 0.0 if scores is None else float(scores.get(name, np.nan))
        if not np.isfinite(value):
            raise DataError(f"class {name!r} has no finite score: a model answers every class")
        counts[f"score_{name}"] = value
        counts[f"positive_{name}"] = float(name in positive)
    return counts


def multilabel_reduce(classes: Sequence[str]) -> Reduce:
    """A reduction of `multilabel_counts` to `map`, `roc_auc` (means over classes) and `average_precision_CLASS`.

    Classes that a resample leaves without positives (for the area: or without negatives) are left out of the mean.

    >>> counts = [multilabel_counts({"a": s}, ["a"] * p, ["a"]) for s, p in [(0.9, 1), (0.8, 0), (0.7, 1)]]
    >>> columns = {name: np.array([c[name] for c in counts]) for name in counts[0]}
    >>> table = ScoreTable(columns, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    >>> multilabel_reduce(["a"])(table, np.ones((1, 3)))["map"].round(4)
    array([0.8333])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        weights = np.atleast_2d(weights)
        answered = table.counts["answered"] > 0
        precisions, areas = np.full((2, len(classes), len(weights)), np.nan)
        step = max(1, BLOCK // max(1, len(table)))
        for c, name in enumerate(classes):
            scores = np.where(answered, table.counts[f"score_{name}"], -np.inf)
            ranking = _rank(scores, table.counts[f"positive_{name}"] > 0)
            for at in range(0, len(weights), step):
                block = weights[at : at + step, table.cluster]
                precisions[c, at : at + step], areas[c, at : at + step] = _areas(ranking, block)
        values = {"map": _mean_of_known(precisions), "roc_auc": _mean_of_known(areas)}
        return values | {f"average_precision_{name}": precisions[c] for c, name in enumerate(classes)}

    return reduce


def multilabel_metrics(classes: Sequence[str]) -> tuple[Metric, ...]:
    """What `multilabel_reduce` reports.

    >>> [metric.name for metric in multilabel_metrics(["dog"])]
    ['map', 'roc_auc', 'average_precision_dog']
    """
    names = ("map", "roc_auc", *(f"average_precision_{name}" for name in classes))
    return tuple(Metric(name, direction="higher", high=1.0, scale="logit") for name in names)


@dataclass(frozen=True)
class _Ranking:
    """Samples from the highest score down; `ends` are the places where a group of equal scores ends."""

    order: IntArray
    ends: IntArray
    positive: NDArray[np.bool_]


def _rank(scores: FloatArray, positive: NDArray[np.bool_]) -> _Ranking:
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
    return _Ranking(order, np.flatnonzero(last), positive[order])


def _areas(ranking: _Ranking, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average precision and ROC area under weights of shape (resamples, samples), each of shape (resamples,)."""
    if len(ranking.order) == 0:
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    ordered = weights[:, ranking.order]
    hits = np.cumsum(ordered * ranking.positive, axis=1)[:, ranking.ends]  # (resamples, thresholds)
    false = np.cumsum(ordered * ~ranking.positive, axis=1)[:, ranking.ends]
    gained, lost = (np.diff(counts, axis=1, prepend=0.0) for counts in (hits, false))
    held = hits + false
    precision = np.divide(hits, held, out=np.zeros_like(hits), where=held > 0)
    positives, negatives = hits[:, -1], false[:, -1]
    below = ((hits - gained / 2) * lost).sum(axis=1)  # pairs where the positive is above, ties half
    return ratio((gained * precision).sum(axis=1), positives), ratio(below, positives * negatives)


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Mean over classes of shape (classes, resamples), leaving NaN out."""
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _checked(scores: ArrayLike, positive: ArrayLike) -> tuple[FloatArray, NDArray[np.bool_]]:
    values, labels = np.asarray(scores, np.float64), np.asarray(positive)
    if values.ndim != 1 or values.shape != labels.shape:
        raise DataError(f"scores of shape {values.shape}, labels of {labels.shape}: give one of each for each sample")
    if not np.isfinite(values).all():
        raise DataError(f"score at index {int(np.argmin(np.isfinite(values)))} is not finite")
    if not np.isin(labels, (0, 1)).all():
        raise DataError("labels are 0 or 1: 1 where the class is there")
    return values, labels.astype(np.bool_)
