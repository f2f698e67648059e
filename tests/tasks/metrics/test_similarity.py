from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cosine
from sklearn.metrics.pairwise import cosine_similarity as sklearn_cosine

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.similarity import (
    SIMILARITY_METRICS,
    cosine_similarity,
    similarity_counts,
    similarity_reduce,
    trial_scores,
    trial_utterances,
)

ROWS = arrays(np.float64, (2, 5), elements=st.floats(-100, 100))


@given(ROWS)
@settings(deadline=None)
def test_cosine_equals_scipys_and_is_symmetric_and_scale_free(rows):
    assume((np.linalg.norm(rows, axis=1) > 1e-3).all())
    value = cosine_similarity(rows[0], rows[1])[0]
    assert value == pytest.approx(1 - cosine(rows[0], rows[1]), abs=1e-12)
    assert value == pytest.approx(cosine_similarity(rows[1], rows[0])[0], abs=1e-15)
    assert value == pytest.approx(cosine_similarity(3.7 * rows[0], 1e-9 * rows[1])[0], abs=1e-12)
    assert -1 <= value <= 1


def test_cosine_by_hand():
    assert cosine_similarity([3.0, 4.0], [4.0, 3.0])[0] == pytest.approx(24 / 25)
    assert cosine_similarity([1.0, 2.0], [-1.0, -2.0])[0] == pytest.approx(-1.0)


def test_tiny_and_huge_embeddings_keep_their_direction():
    assert cosine_similarity([1e-200, 1e-200], [1e200, 0.0])[0] == pytest.approx(np.sqrt(0.5))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]], "enrolment embedding row 1 is all zeros"),
        ([[1.0, 0.0]], [[np.nan, 0.0]], "test embedding row 0 holds numbers that are not finite"),
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], "pairs need the same shape"),
    ],
)
def test_cosine_refuses_what_has_no_direction(first, second, message):
    with pytest.raises(DataError, match=message):
        cosine_similarity(first, second)


def test_trials_equal_scikit_learns_matrix_and_encode_each_utterance_once():
    generator = np.random.default_rng(0)
    embeddings = {f"u{i}": generator.normal(size=16) for i in range(12)}
    names = list(embeddings)
    trials = [(names[i], names[j]) for i, j in generator.integers(0, 12, (200, 2))]
    encoded = []
    for name in trial_utterances(trials):
        encoded.append(name)
    assert len(encoded) == len(set(encoded)) == len({name for pair in trials for name in pair})
    matrix = sklearn_cosine(np.stack(list(embeddings.values())))
    expected = [matrix[names.index(a), names.index(b)] for a, b in trials]
    np.testing.assert_allclose(trial_scores({name: embeddings[name] for name in encoded}, trials), expected, atol=1e-12)


def test_no_trials_need_no_embeddings():
    assert trial_utterances([]) == ()
    assert trial_scores({}, []).shape == (0,)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        ({"a": [1.0, 0.0]}, "1 utterances of the trials have no embedding; the first is 'b'"),
        ({"a": [1.0, 0.0], "b": [1.0]}, r"embedding of 'b' has shape \(1,\)"),
        ({"a": [1.0, 0.0], "b": [0.0, 0.0]}, "embedding 'b' is all zeros"),
    ],
)
def test_trials_refuse_bad_embeddings_by_name(embeddings, message):
    with pytest.raises(DataError, match=message):
        trial_scores(embeddings, [("a", "b")])


def test_failed_samples_leave_the_mean_to_what_was_compared():
    rows = [similarity_counts([1.0, 0.0], [1.0, 0.0]), similarity_counts(None, [1.0]), similarity_counts([1.0], None)]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    table = ScoreTable(columns, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    values = similarity_reduce()(table, np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    assert list(values) == [metric.name for metric in SIMILARITY_METRICS]
    np.testing.assert_array_equal(values["similarity"], [1.0, np.nan])
