from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, recall_score
from sklearn.metrics import confusion_matrix as sklearn_confusion

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.classification import (
    accuracy,
    class_counts,
    classification_metrics,
    classification_reduce,
    confusion_matrix,
    recalls,
    unweighted_average_recall,
)

CLASSES = ["angry", "happy", "neutral", "sad"]
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=40)


@given(PAIRS)
@settings(deadline=None)
def test_all_equal_scikit_learn(pairs):
    reference, predicted = map(list, zip(*pairs, strict=True))
    confusion = confusion_matrix(reference, predicted, CLASSES)
    np.testing.assert_array_equal(confusion[:, :-1], sklearn_confusion(reference, predicted, labels=CLASSES))
    assert confusion[:, -1].sum() == 0
    assert float(accuracy(confusion)) == pytest.approx(accuracy_score(reference, predicted))
    present = sorted(set(reference))
    expected = recall_score(reference, predicted, labels=present, average="macro")
    assert float(unweighted_average_recall(confusion)) == pytest.approx(expected)
    by_class = recall_score(reference, predicted, labels=present, average=None)
    np.testing.assert_allclose(recalls(confusion)[[CLASSES.index(name) for name in present]], by_class)


def test_no_answer_is_wrong_and_never_dropped():
    confusion = confusion_matrix(["sad", "sad", "happy"], ["sad", None, "surprised"], CLASSES)
    assert confusion[:, -1].tolist() == [0, 1, 0, 1]
    assert float(accuracy(confusion)) == pytest.approx(1 / 3)
    assert float(unweighted_average_recall(confusion)) == pytest.approx(0.25)  # happy 0, sad 1/2


def test_a_class_without_samples_is_left_out_of_the_mean():
    confusion = np.array([[2, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(recalls(confusion), [1.0, np.nan])
    assert float(unweighted_average_recall(confusion)) == 1.0
    assert np.isnan(unweighted_average_recall(np.zeros((2, 3))))
    assert np.isnan(accuracy(np.zeros((2, 3))))


@given(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=30), st.sampled_from(CLASSES))
@settings(deadline=None)
def test_a_constant_answer_scores_one_over_the_classes_present(reference, answer):
    confusion = confusion_matrix(reference, [answer] * len(reference), CLASSES)
    expected = (answer in reference) / len(set(reference))
    assert float(unweighted_average_recall(confusion)) == pytest.approx(expected)


def test_reduction_equals_repeating_the_samples():
    generator = np.random.default_rng(4)
    reference = [CLASSES[i] for i in generator.integers(0, 4, 60)]
    predicted = [None if i == 4 else CLASSES[i] for i in generator.integers(0, 5, 60)]
    rows = [class_counts(r, p, CLASSES) for r, p in zip(reference, predicted, strict=True)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    table = ScoreTable(columns, np.arange(60) % 7, np.zeros(60, int), np.zeros(7, int))
    weights = generator.integers(0, 3, (6, 7)).astype(float)
    values = classification_reduce(CLASSES)(table, weights)
    assert list(values) == [metric.name for metric in classification_metrics(CLASSES)]
    for i, weight in enumerate(weights):
        again = np.repeat(np.arange(60), weight[table.cluster].astype(int))
        confusion = confusion_matrix([reference[k] for k in again], [predicted[k] for k in again], CLASSES)
        assert values["uar"][i] == pytest.approx(float(unweighted_average_recall(confusion)))
        assert values["accuracy"][i] == pytest.approx(float(accuracy(confusion)))
        assert values["recall_happy"][i] == pytest.approx(recalls(confusion)[1])


@pytest.mark.parametrize(
    ("reference", "predicted", "classes", "message"),
    [
        (["bored"], ["sad"], CLASSES, "'bored' at index 0 is not one of the classes"),
        (["sad", "sad"], ["sad"], CLASSES, "2 reference labels and 1 predicted"),
        (["sad"], ["sad"], ["sad", "sad"], "name one class twice"),
    ],
)
def test_bad_labels_are_refused(reference, predicted, classes, message):
    with pytest.raises(DataError, match=message):
        confusion_matrix(reference, predicted, classes)
