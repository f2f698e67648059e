from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.retrieval import retrieval_counts, retrieval_metrics, retrieval_reduce


def by_loop(scores, relevant, k):
    """One query: sort with Python, irrelevant first among equals, and walk down the list."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], relevant[i]))
    hits, total, rank, precisions = 0, sum(relevant), None, []
    for place, i in enumerate(order, start=1):
        if relevant[i]:
            hits += 1
            rank = rank or place
            if place <= k:
                precisions.append(hits / place)
    within = sum(relevant[i] for i in order[:k])
    return rank, within / total, float(within > 0), sum(precisions) / min(k, total)


SHAPE = st.tuples(st.integers(1, 6), st.integers(1, 12))


@given(
    SHAPE.flatmap(lambda s: st.tuples(arrays(int, s, elements=st.integers(0, 3)), arrays(bool, s))), st.integers(1, 12)
)
@settings(deadline=None, max_examples=200)
def test_counts_equal_a_walk_down_the_list(case, k):
    scores, relevant = case
    relevant[~relevant.any(axis=1), 0] = True
    counts = retrieval_counts(scores, relevant, [k], precision_cutoff=k)
    for q in range(len(scores)):
        rank, recall, hit, precision = by_loop(scores[q].tolist(), relevant[q].tolist(), k)
        assert counts["rank"][q] == rank
        assert counts[f"recall@{k}"][q] == pytest.approx(recall)
        assert counts[f"hit@{k}"][q] == hit
        assert counts[f"average_precision@{k}"][q] == pytest.approx(precision)


def test_by_hand():
    # relevant at ranks 2 and 4 of 5: AP@10 = (1/2 + 2/4) / 2, recall@3 = 1/2
    counts = retrieval_counts([[5, 4, 3, 2, 1]], [[0, 1, 0, 1, 0]], [1, 3])
    assert counts["average_precision@10"][0] == pytest.approx(0.5)
    assert (counts["recall@1"][0], counts["recall@3"][0], counts["hit@3"][0], counts["rank"][0]) == (0.0, 0.5, 1.0, 2.0)


def test_a_constant_score_finds_the_relevant_one_last():
    counts = retrieval_counts(np.zeros((1, 10)), np.eye(1, 10), [1, 5, 10])
    assert counts["rank"][0] == 10
    assert counts["hit@5"][0] == 0


def test_average_precision_equals_scikit_learn_without_a_cutoff_or_ties():
    from sklearn.metrics import average_precision_score

    generator = np.random.default_rng(1)
    scores, relevant = generator.normal(size=(20, 30)), generator.random((20, 30)) < 0.3
    relevant[:, 0] = True
    counts = retrieval_counts(scores, relevant, precision_cutoff=30)
    expected = [average_precision_score(r, s) for r, s in zip(relevant, scores, strict=True)]
    np.testing.assert_allclose(counts["average_precision@30"], expected)


def test_reduction_equals_repeating_the_queries():
    generator = np.random.default_rng(2)
    scores = generator.integers(0, 9, (40, 25))
    relevant = np.eye(40, 25, dtype=bool) | (generator.random((40, 25)) < 0.1)
    relevant[:, 3] = True
    counts = retrieval_counts(scores, relevant)
    table = ScoreTable(counts, np.arange(40) // 5, np.zeros(40, int), np.zeros(8, int))
    weights = generator.integers(0, 4, (5, 8)).astype(float)
    values = retrieval_reduce()(table, weights)
    assert list(values) == [metric.name for metric in retrieval_metrics()]
    for i, weight in enumerate(weights):
        again = np.repeat(np.arange(40), weight[table.cluster].astype(int))
        assert values["median_rank"][i] == pytest.approx(np.median(counts["rank"][again]))
        assert values["recall@5"][i] == pytest.approx(counts["recall@5"][again].mean())
        assert values["map@10"][i] == pytest.approx(counts["average_precision@10"][again].mean())


@pytest.mark.parametrize(
    ("scores", "relevant", "cutoffs", "error", "message"),
    [
        ([[1.0, 2.0]], [[0, 0]], [1], DataError, "query 0 has no relevant candidate"),
        ([[1.0, np.nan]], [[0, 1]], [1], DataError, "scores of query 0 are not all finite"),
        ([[1.0, 2.0]], [[0, 2]], [1], DataError, "0 and 1 only"),
        ([1.0], [1], [1], DataError, "both are"),
        ([[1.0]], [[1]], [0], SettingError, "cut-off 0 is under 1"),
    ],
)
def test_bad_input_is_refused(scores, relevant, cutoffs, error, message):
    with pytest.raises(error, match=message):
        retrieval_counts(scores, relevant, cutoffs)
