"""Gradient-boosted trees of a fixed depth as arrays: scikit-learn grows them, NumPy alone reads them.

A tree of depth d is a full binary tree: nodes 0 … 2^d - 2 ask whether a feature is at most a threshold (then left,
2 n + 1, else right, 2 n + 2), and its 2^d leaves hold values that are summed over the trees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import FloatArray, IntArray

__all__ = ["fit_trees", "sum_of_trees"]


def fit_trees(
    features: FloatArray,
    positive: NDArray[np.bool_],
    weights: FloatArray,
    *,
    trees: int,
    depth: int,
    rate: float,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Boost `trees` of `depth` on `features` (rows, features) for the class `positive`: the arrays of `sum_of_trees`.

    Logistic loss with a weight for each row; each tree sees a half of the rows, drawn at random, and a leaf holds at
    least 1 % of them (Friedman 2002, "Stochastic gradient boosting").
    """
    from sklearn.ensemble import GradientBoostingClassifier

    booster = GradientBoostingClassifier(
        n_estimators=trees, max_depth=depth, learning_rate=rate, subsample=0.5, min_samples_leaf=0.01, random_state=seed
    )
    booster.fit(features, positive, sample_weight=weights)
    grown = [_full(tree.tree_, depth) for tree in booster.estimators_[:, 0]]
    return {
        "feature": np.array([feature for feature, _, _ in grown], dtype=np.int64),
        "threshold": np.array([threshold for _, threshold, _ in grown]),
        "leaf": rate * np.array([leaf for _, _, leaf in grown]),
    }


def sum_of_trees(features: FloatArray, feature: IntArray, threshold: FloatArray, leaf: FloatArray) -> FloatArray:
    """Sum over trees of the leaf that each row of `features` (rows, features) falls into: shape (rows,).

    `feature` and `threshold` have shape (trees, 2^depth - 1), `leaf` (trees, 2^depth).

    >>> sum_of_trees(np.array([[0.0], [1.0]]), np.array([[0]]), np.array([[0.5]]), np.array([[-1.0, 1.0]])).tolist()
    [-1.0, 1.0]
    """
    inner = feature.shape[1]
    trees = np.arange(len(feature))
    rows = np.arange(len(features))[:, None]
    single = np.asarray(features, dtype=np.float32)  # as scikit-learn compares
    node = np.zeros((len(features), len(feature)), dtype=np.int64)
    for _ in range(inner.bit_length()):
        node = 2 * node + 1 + (single[rows, feature[trees, node]] > threshold[trees, node])
    return np.asarray(leaf[trees, node - inner].sum(axis=1), dtype=np.float64)


def _full(tree: Any, depth: int) -> tuple[list[int], list[float], list[float]]:
    """A grown tree as a full one: under a leaf that came early both ways lead to its value."""
    level = [0]
    feature: list[int] = []
    threshold: list[float] = []
    for _ in range(depth):
        children: list[int] = []
        for node in level:
            split = tree.children_left[node] >= 0
            feature.append(int(tree.feature[node]) if split else 0)
            threshold.append(float(tree.threshold[node]) if split else 0.0)
            children += [int(tree.children_left[node]), int(tree.children_right[node])] if split else [node, node]
        level = children
    return feature, threshold, [float(tree.value[node, 0, 0]) for node in level]
