from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics import multilabel
from audiometry.tasks.metrics.multilabel import (
    average_precision,
    mean_average_precision,
    multilabel_counts,
    multilabel_metrics,
    multilabel_reduce,
    roc_auc,
)

TRIALS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=40)


def sides(trials):
    return np.array([float(score) for score, _ in trials]), np.array([there for _, there in trials])


@given(TRIALS)
@settings(deadline=None, max_examples=200)
def test_both_equal_scikit_learn_with_ties(trials):
    scores, positive = sides(trials)
    if positive.any():
        assert average_precision(scores, positive) == pytest.approx(
            average_precision_score(positive, scores), abs=1e-12
        )
    else:
        assert np.isnan(average_precision(scores, positive))
    if positive.any() and not positive.all():
        assert roc_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
    else:
        assert np.isnan(roc_auc(scores, positive))


@given(TRIALS)
@settings(deadline=None)
def test_only_the_order_of_scores_matters(trials):
    scores, positive = sides(trials)
    order = np.random.default_rng(0).permutation(len(scores))
    for metric in (average_precision, roc_auc):
        value = metric(scores, positive)
        np.testing.assert_allclose(metric(np.exp(scores), positive), value)
        np.testing.assert_allclose(metric(scores[order], positive[order]), value)


def test_by_hand():
    # ranks of the positives 1 and 3: (1/1 + 2/3) / 2
    assert average_precision([3, 2, 1, 0], [1, 0, 1, 0]) == pytest.approx(5 / 6)
    assert roc_auc([3, 2, 1, 0], [1, 0, 1, 0]) == pytest.approx(3 / 4)
    assert average_precision([1, 1, 1, 1], [1, 0, 0, 0]) == pytest.approx(1 / 4)  # a constant score gives the share
    assert roc_auc([1, 1, 1, 1], [1, 0, 0, 0]) == pytest.approx(1 / 2)


def test_mean_leaves_out_classes_without_positives():
    scores = np.array([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
    assert mean_average_precision(scores, [[1, 0], [0, 0], [1, 0]]) == pytest.approx(5 / 6)
    assert np.isnan(mean_average_precision(scores, np.zeros((3, 2))))
    labels = np.array([[1, 0], [0, 1], [1, 0]])
    expected = average_precision_score(labels, scores, average="macro")
    assert mean_average_precision(scores, labels) == pytest.approx(expected)


@pytest.fixture
def tagged():
    generator = np.random.default_rng(2)
    classes = ["dog", "rain", "siren", "silence"]
    scores = generator.integers(0, 6, (50, 4)) / 5
    there = generator.random((50, 4)) < [0.5, 0.3, 0.1, 0.0]
    rows = [
        multilabel_counts(
            dict(zip(classes, s, strict=True)), [c for c, p in zip(classes, t, strict=True) if p], classes
        )
        for s, t in zip(scores, there, strict=True)
    ]
    return classes, scores, there, rows


def table_of(rows, clusters):
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return ScoreTable(columns, np.arange(len(rows)) % clusters, np.zeros(len(rows), int), np.zeros(clusters, int))


@pytest.mark.parametrize("block", [1, 4_000_000])
def test_reduction_equals_repeating_the_samples_whatever_the_block(tagged, block, monkeypatch):
    monkeypatch.setattr(multilabel, "BLOCK", block)
    classes, scores, there, rows = tagged
    table = table_of(rows, 10)
    weights = np.random.default_rng(7).integers(0, 3, (6, 10)).astype(float)
    values = multilabel_reduce(classes)(table, weights)
    assert list(values) == [metric.name for metric in multilabel_metrics(classes)]
    for i, weight in enumerate(weights):
        again = np.repeat(np.arange(50), weight[table.cluster].astype(int))
        assert values["map"][i] == pytest.approx(mean_average_precision(scores[again], there[again]))
        areas = [roc_auc(scores[again, c], there[again, c]) for c in range(3)]
        assert values["roc_auc"][i] == pytest.approx(np.nanmean(areas))
        assert np.isnan(values["average_precision_silence"][i])


def test_a_failed_sample_ranks_below_every_other(tagged):
    classes, scores, there, rows = tagged
    rows[0] = multilabel_counts(None, [c for c, p in zip(classes, there[0], strict=True) if p], classes)
    values = multilabel_reduce(classes)(table_of(rows, 50), np.ones((1, 50)))
    scores = scores.copy()
    scores[0] = -1.0
    assert values["map"][0] == pytest.approx(mean_average_precision(scores, there))


def test_an_empty_table_has_no_value():
    columns = {"answered": np.zeros(0), "score_a": np.zeros(0), "positive_a": np.zeros(0)}
    table = ScoreTable(columns, np.zeros(0, int), np.zeros(0, int), np.zeros(0, int))
    assert np.isnan(multilabel_reduce(["a"])(table, np.ones((1, 0)))["map"][0])


@pytest.mark.parametrize(
    ("scores", "positive", "message"),
    [
        ([1.0], [1, 0], "give one of each"),
        ([1.0, np.nan], [1, 0], "score at index 1 is not finite"),
        ([1.0, 2.0], [1, 2], "labels are 0 or 1"),
    ],
)
def test_bad_input_is_refused(scores, positive, message):
    with pytest.raises(DataError, match=message):
        average_precision(scores, positive)


def test_bad_counts_are_refused():
    with pytest.raises(DataError, match="'rain' has no finite score"):
        multilabel_counts({"dog": 1.0}, [], ["dog", "rain"])
    with pytest.raises(DataError, match="'cat' is not one of the classes"):
        multilabel_counts({"dog": 1.0}, ["cat"], ["dog"])
    with pytest.raises(DataError, match="both are"):
        mean_average_precision([1.0], [1])
