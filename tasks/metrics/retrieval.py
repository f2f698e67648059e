"""Retrieval: recall@k, median rank and mAP@k of queries against candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import sample_weights, weighted_quantiles

__all__ = ["retrieval_counts", "retrieval_metrics", "retrieval_reduce"]

CUTOFFS = (1, 5, 10)


def retrieval_counts(
    scores: ArrayLike, relevant: ArrayLike, cutoffs: Sequence[int] = CUTOFFS, *, precision_cutoff: int = 10
) -> dict[str, FloatArray]:
    """What each query found: its first relevant rank, recall and hit at each cut-off, and average precision.

    scores: shape (queries, candidates), finite, higher for more alike. relevant: the same shape, bool or 0/1, at least
    one for each query. Candidates rank from the highest score down, and **a tie counts against the query**: of equal
    scores the irrelevant ones come first, so a constant score finds nothing early.

    Returns arrays of shape (queries,):

    - `rank`: of the first relevant candidate, 1 and up, lower is better;
    - `recall@k`: relevant candidates among the first k over relevant candidates, 0 to 1, higher is better;
    - `hit@k`: 1 if any relevant candidate is among the first k. With one relevant candidate a query the two are the
      same, and audio captioning papers that have five captions a clip print `hit@k` under the name recall@k;
    - `average_precision@k` for `precision_cutoff`: the sum of the precisions at the ranks, up to k, of relevant
      candidates, over min(k, relevant candidates). 0 to 1, higher is better;
    - `queries`: 1.

    Raises DataError for a query without relevant candidates, scores that are not finite, or shapes that differ;
    SettingError for a cut-off under 1.
    Source: C. D. Manning, P. Raghavan and H. Schütze, "Introduction to Information Retrieval", 2008, section 8.4; the
    cut-off form is that of the DCASE challenge's language-based audio retrieval (mAP@10).

    >>> found = retrieval_counts([[0.9, 0.5, 0.1], [0.4, 0.4, 0.1]], [[0, 1, 0], [1, 0, 0]], cutoffs=[1])
    >>> found["rank"].tolist(), found["recall@1"].tolist(), found["average_precision@10"].tolist()
    ([2.0, 2.0], [0.0, 0.0], [0.5, 0.5])
    """
    values, labels = np.asarray(scores, np.float64), np.asarray(relevant)
    _check(values, labels, (*cutoffs, precision_cutoff))
    labels = labels.astype(np.bool_)
    order = np.lexsort((labels, -values), axis=1)  # by score, irrelevant before relevant where equal
    found = np.take_along_axis(labels, order, axis=1)
    total = labels.sum(axis=1)
    precision = np.cumsum(found, axis=1) / np.arange(1, values.shape[1] + 1)
    best = (found * precision)[:, :precision_cutoff].sum(axis=1)
    counts = {"queries": np.ones(len(values)), "rank": found.argmax(axis=1) + 1.0}
    for k in cutoffs:
        within = found[:, :k].sum(axis=1)
        counts[f"recall@{k}"] = within / total
        counts[f"hit@{k}"] = (within > 0).astype(np.float64)
    counts[f"average_precision@{precision_cutoff}"] = best / np.minimum(total, precision_cutoff)
    return counts


def retrieval_reduce(cutoffs: Sequence[int] = CUTOFFS, *, precision_cutoff: int = 10) -> Reduce:
    """A reduction of `retrieval_counts` to `recall@k`, `hit@k`, `map@k` (means over queries) and `median_rank`.

    The candidates stay as they are: an interval speaks of other queries to the same candidates. The median of an even
    number of ranks is the mean of the middle two. A task gives a query that failed its worst values (the rank of the
    last candidate, 0 elsewhere, and `queries` 1).

    >>> counts = retrieval_counts(np.eye(3), np.eye(3), cutoffs=[1])
    >>> table = ScoreTable(counts, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    >>> retrieval_reduce([1])(table, np.ones((1, 3)))["median_rank"]
    array([1.])
    """
    names = [f"{kind}@{k}" for kind in ("recall", "hit") for k in cutoffs]

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        values = {name: ratio_of_sums(table, weights, name, "queries") for name in names}
        precision = f"average_precision@{precision_cutoff}"
        values[f"map@{precision_cutoff}"] = ratio_of_sums(table, weights, precision, "queries")
        ranks = table.counts["rank"]
        medians = [weighted_quantiles(ranks, row, [0.5])[0] for row in sample_weights(table, weights)]
        return values | {"median_rank": np.array(medians)}

    return reduce


def retrieval_metrics(cutoffs: Sequence[int] = CUTOFFS, *, precision_cutoff: int = 10) -> tuple[Metric, ...]:
    """What `retrieval_reduce` reports.

    >>> [metric.name for metric in retrieval_metrics([1])]
    ['recall@1', 'hit@1', 'map@10', 'median_rank']
    """
    names = [f"{kind}@{k}" for kind in ("recall", "hit") for k in cutoffs] + [f"map@{precision_cutoff}"]
    shares = (Metric(name, direction="higher", high=1.0, scale="logit") for name in names)
    return (*shares, Metric("median_rank", unit="rank", low=1.0))


def _check(scores: FloatArray, relevant: NDArray[Any], cutoffs: Sequence[int]) -> None:
    if scores.ndim != 2 or scores.shape != relevant.shape:
        raise DataError(f"scores of shape {scores.shape}, relevant of {relevant.shape}: both are (queries, candidates)")
    if min(cutoffs) < 1:
        raise SettingError(f"cut-off {min(cutoffs)} is under 1: k counts candidates from the top")
    if not np.isfinite(scores).all():
        raise DataError(f"scores of query {int(np.argmin(np.isfinite(scores).all(axis=1)))} are not all finite")
    if not np.isin(relevant, (0, 1)).all():
        raise DataError("relevant holds 0 and 1 only: 1 where the candidate answers the query")
    without = ~relevant.astype(np.bool_).any(axis=1)
    if without.any():
        raise DataError(f"query {int(np.argmax(without))} has no relevant candidate; leave it out or add one")
