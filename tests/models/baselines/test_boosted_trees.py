from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier

from audiometry.models.baselines.boosted_trees import fit_trees, sum_of_trees


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**31), depth=st.integers(1, 4), trees=st.integers(1, 8))
def test_the_arrays_say_what_scikit_learn_says(seed: int, depth: int, trees: int) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(120, 3))
    features[:, 1] = features[:, 1].round()  # many ties
    positive = features[:, 0] * features[:, 1] + 0.3 * generator.normal(size=120) > 0
    weights = generator.uniform(0.5, 2.0, 120)
    arrays = fit_trees(features, positive, weights, trees=trees, depth=depth, rate=0.3, seed=1)
    theirs = GradientBoostingClassifier(
        n_estimators=trees, max_depth=depth, learning_rate=0.3, subsample=0.5, min_samples_leaf=0.01, random_state=1
    ).fit(features, positive, sample_weight=weights)
    fresh = generator.normal(size=(50, 3))
    difference = theirs.decision_function(fresh) - sum_of_trees(fresh, **arrays)
    assert np.allclose(difference, difference[0])  # but for the prior's log-odds


def test_a_tree_by_hand() -> None:
    # depth 2: first by feature 0 at 0; left by feature 1 at 5, right by feature 1 at 7
    feature, threshold = np.array([[0, 1, 1]]), np.array([[0.0, 5.0, 7.0]])
    leaf = np.array([[1.0, 2.0, 3.0, 4.0]])
    rows = np.array([[-1, 5], [0, 6], [1, 7], [1, 8]])
    assert sum_of_trees(rows, feature, threshold, leaf).tolist() == [1.0, 2.0, 3.0, 4.0]


def test_trees_add_up() -> None:
    feature, threshold, leaf = np.zeros((3, 1), int), np.zeros((3, 1)), np.array([[0.0, 1.0], [0.0, 10.0], [5.0, 0.0]])
    assert sum_of_trees(np.array([[1.0], [-1.0]]), feature, threshold, leaf).tolist() == [11.0, 5.0]


def test_a_class_that_needs_no_second_question_is_learnt() -> None:
    features = np.linspace(-1, 1, 200)[:, None]
    arrays = fit_trees(features, features[:, 0] > 0, np.ones(200), trees=5, depth=3, rate=0.5, seed=0)
    assert arrays["feature"].shape == (5, 7)
    assert arrays["leaf"].shape == (5, 8)
    low, high = sum_of_trees(np.array([[-0.5], [0.5]]), **arrays)
    assert low < -1 < 1 < high
    assert low == pytest.approx(-high, rel=0.3)
