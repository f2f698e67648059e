"""The sorted pass under all detection metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, UserError
from audiometry.tasks.metrics.trials import (
    convex_hull,
    last_rejected,
    lowest_cost,
    operating_points,
    sorted_scores,
    sorted_trials,
)

FEW_SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("bona_fide", "spoof", "words"),
    [
        ([], [1.0], "no bona fide trials"),
        ([1.0], [], "no spoof trials"),
        ([1.0, float("nan")], [0.0], "1 of 2 bona fide scores are NaN"),
        ([1.0], [float("nan")] * 3, "3 of 3 spoof scores are NaN"),
        ([[1.0]], [0.0], r"shape \(1, 1\)"),
        (1.0, [0.0], r"shape \(\)"),
    ],
)
def test_bad_scores_are_refused_in_one_line(bona_fide: object, spoof: object, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        sorted_trials(bona_fide, spoof)  # type: ignore[arg-type]
    assert isinstance(caught.value, UserError)
    assert "\n" not in str(caught.value)


def test_types() -> None:
    assert sorted_scores(np.array([2, 1], dtype=np.float32), "x").dtype == np.float32
    assert sorted_scores(np.array([2, 1], dtype=np.float16), "x").dtype == np.float64
    mixed = sorted_trials(np.array([2, 1], dtype=np.float32), [0.1])
    assert mixed.bona_fide.dtype == mixed.spoof.dtype == np.float64
    assert mixed.spoof[0] == 0.1


def test_input_is_left_as_it_was() -> None:
    scores = np.array([3.0, 1.0, 2.0])
    sorted_trials(scores, scores)
    assert scores.tolist() == [3.0, 1.0, 2.0]


@given(FEW_SCORES, FEW_SCORES)
def test_operating_points_reject_one_trial_after_another_bona_fide_first(
    bona_fide: list[float], spoof: list[float]
) -> None:
    points = operating_points(sorted_trials(bona_fide, spoof))
    order = sorted([(score, 0) for score in bona_fide] + [(score, 1) for score in spoof])
    for rejected in range(len(order) + 1):
        classes = [kind for _, kind in order[:rejected]]
        assert points.miss_rate[rejected] == classes.count(0) / len(bona_fide)
        assert points.false_alarm_rate[rejected] == (len(spoof) - classes.count(1)) / len(spoof)
        assert points.threshold[rejected] == (order[rejected - 1][0] if rejected else -np.inf)


def lowest_cost_by_trying_all(
    positives: np.ndarray, weight: float, negatives: list[tuple[np.ndarray, float]]
) -> tuple[float, int]:
    """The cost just below every positive score, and where all is rejected."""
    costs = []
    for threshold in [*positives, np.inf]:
        cost = weight * (np.sum(positives < threshold) / len(positives))
        for scores, negative_weight in negatives:
            cost += negative_weight * (np.sum(scores >= threshold) / len(scores))
        costs.append(cost)
    best = int(np.argmin(costs))
    return costs[best], int(np.sum(positives < [*positives, np.inf][best]))


@pytest.mark.parametrize("seed", range(12))
def test_lowest_cost_over_many_blocks_equals_trying_every_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    total = int(rng.integers(1, 3000))
    positives = np.sort(rng.normal(1, 1, total))
    negatives = [(np.sort(rng.normal(0, 1 + kind, int(rng.integers(1, 3000)))), rng.random() * 3) for kind in range(2)]
    if seed % 3 == 0:
        positives, negatives = np.round(positives, 1), [(np.round(scores, 1), weight) for scores, weight in negatives]
    if seed % 4 == 0:
        negatives = negatives[:1]
    weight = float(rng.random())
    expected, misses = lowest_cost_by_trying_all(positives, weight, negatives)
    found, rejected = lowest_cost(positives, weight, negatives)
    assert found == misses
    cost = weight * (found / total)
    cost += sum(w * ((len(s) - count) / len(s)) for (s, w), count in zip(negatives, rejected, strict=True))
    assert cost == pytest.approx(expected, abs=1e-14)


def test_lowest_cost_where_all_is_best_rejected() -> None:
    assert lowest_cost(np.array([0.0, 1.0]), 0.1, [(np.array([2.0, 3.0]), 1.0)]) == (2, (2,))


def test_last_rejected() -> None:
    assert last_rejected([(np.array([1.0]), 0), (np.array([2.0]), 0)]) == -np.inf
    assert last_rejected([(np.array([1.0, 5.0]), 2), (np.array([2.0]), 1)]) == 5.0


@given(FEW_SCORES, FEW_SCORES)
def test_hull_lies_below_every_operating_point_and_turns_one_way(bona_fide: list[float], spoof: list[float]) -> None:
    trials = sorted_trials(bona_fide, spoof)
    hull_bona_fide, hull_spoof = convex_hull(trials)
    assert hull_bona_fide.sum() == len(bona_fide)
    assert hull_spoof.sum() == len(spoof)
    turns = hull_bona_fide[1:] * hull_spoof[:-1] - hull_bona_fide[:-1] * hull_spoof[1:]
    assert (turns >= 0).all()
    misses, rejected = np.append(0, np.cumsum(hull_bona_fide)), np.append(0, np.cumsum(hull_spoof))
    points = operating_points(trials)
    point_misses = np.rint(points.miss_rate * len(bona_fide))
    point_rejected = np.rint((1 - points.false_alarm_rate) * len(spoof))
    for segment in range(len(hull_spoof)):  # every point lies on or above the line through every segment
        side = hull_spoof[segment] * (point_misses - misses[segment])
        side = side - hull_bona_fide[segment] * (point_rejected - rejected[segment])
        assert (side >= 0).all()
