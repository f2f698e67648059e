"""Equal error rates of resamples against a loop that repeats the trials."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.detection import ASVSPOOF5_COSTS, DetectionCosts, equal_error_rate, min_dcf
from audiometry.tasks.metrics.detection_resampling import (
    resampled_attack_equal_error_rates,
    resampled_equal_error_rate,
    resampled_min_dcf,
)


def looped(scores: np.ndarray, bona_fide: np.ndarray, cluster: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Repeat every trial and take the official value, resample by resample."""
    values = []
    for row in weights:
        trial = np.repeat(np.arange(len(scores)), row[cluster].astype(int))
        positive, negative = scores[trial][bona_fide[trial]], scores[trial][~bona_fide[trial]]
        both = len(positive) and len(negative)
        values.append(equal_error_rate(positive, negative).value if both else np.nan)
    return np.array(values)


@pytest.mark.parametrize("seed", range(40))
def test_equal_to_the_loop_bit_by_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trials, clusters = int(rng.integers(1, (5, 50, 3000)[seed % 3])), int(rng.integers(1, (3, 20, 400)[seed % 3]))
    bona_fide = rng.random(trials) < rng.uniform(0.05, 0.95)
    scores = rng.normal(size=trials) + rng.uniform(-1, 3) * bona_fide
    if seed % 2:
        scores = np.round(scores, seed % 4 - 1)
    cluster = rng.integers(0, clusters, trials)
    weights = rng.multinomial(clusters, np.ones(clusters) / clusters, size=30) * int(rng.integers(1, 4))
    found = resampled_equal_error_rate(scores, bona_fide, cluster, weights)
    assert np.array_equal(found, looped(scores, bona_fide, cluster, weights), equal_nan=True)


@given(
    st.data(),
    st.lists(st.tuples(st.integers(-2, 2).map(float), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_equal_to_the_loop_on_small_tied_sets(data: st.DataObject, trials: list[tuple[float, bool, int]]) -> None:
    scores, bona_fide, cluster = (np.array(column) for column in zip(*trials, strict=True))
    weights = data.draw(arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 5)))
    found = resampled_equal_error_rate(scores, bona_fide, cluster, weights)
    assert np.array_equal(found, looped(scores, bona_fide, cluster, weights), equal_nan=True)


def test_ones_give_the_point_estimate_and_one_heavy_trial_is_stepped_through() -> None:
    rng = np.random.default_rng(1)
    bona_fide = rng.random(500) < 0.3
    scores = rng.normal(size=500) + bona_fide
    ones = resampled_equal_error_rate(scores, bona_fide, np.arange(500) % 7, np.ones((1, 7)))
    assert ones[0] == equal_error_rate(scores[bona_fide], scores[~bona_fide]).value
    # 0s 1b(6 times) 2s(twice) 3b(twice): the rates are closest, 5/8 and 2/3, after five of the six
    heavy = resampled_equal_error_rate([0, 1, 2, 3], [False, True, False, True], [0, 1, 2, 3], [[1, 6, 2, 2]])
    assert heavy[0] == (5 / 8 + 2 / 3) / 2


def test_large_weights_and_few_resamples_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    bona_fide = rng.random(200) < 0.5
    scores, cluster = np.round(rng.normal(size=200) + bona_fide, 1), rng.integers(0, 9, 200)
    weights = rng.integers(0, 3000, (20, 9))
    expected = looped(scores, bona_fide, cluster, weights)
    assert np.array_equal(resampled_equal_error_rate(scores, bona_fide, cluster, weights), expected)
    for limit in ("_CELLS_IN_CACHE", "_CELLS_IN_MEMORY"):
        monkeypatch.setattr(f"audiometry.tasks.metrics.detection_resampling.{limit}", 1)
        assert np.array_equal(resampled_equal_error_rate(scores, bona_fide, cluster, weights), expected)


@pytest.mark.parametrize("apart", [0.0, 1.0, 50.0])
@pytest.mark.parametrize("clusters", [400, 449, 451, 900])
def test_few_and_very_many_clusters(apart: float, clusters: int) -> None:
    """Products of weights below half as many clusters as trials, gathered weights above; some blocks lack a class."""
    rng = np.random.default_rng(clusters)
    bona_fide = rng.random(900) < 0.3
    scores, cluster = rng.normal(size=900) + apart * bona_fide, rng.permutation(900) % clusters
    weights = rng.multinomial(clusters, np.ones(clusters) / clusters, size=20).astype(float)
    weights[3, np.unique(cluster[bona_fide])] = 0
    found = resampled_equal_error_rate(scores, bona_fide, cluster, weights)
    assert np.array_equal(found, looped(scores, bona_fide, cluster, weights), equal_nan=True)
    weights[7, 5] += 0.5
    with pytest.raises(DataError, match="whole numbers"):
        resampled_equal_error_rate(scores, bona_fide, cluster, weights)


def test_each_attack_against_all_bona_fide_trials() -> None:
    rng = np.random.default_rng(3)
    attack = rng.integers(-1, 3, 400)
    scores, cluster = rng.normal(size=400) + (attack == -1), rng.integers(0, 30, 400)
    weights = rng.multinomial(30, np.ones(30) / 30, size=25)
    found = resampled_attack_equal_error_rates(scores, attack, cluster, weights)
    assert found.shape == (3, 25)
    for kind in range(3):
        chosen = (attack == -1) | (attack == kind)
        expected = looped(scores[chosen], attack[chosen] == -1, cluster[chosen], weights)
        assert np.array_equal(found[kind], expected)


def test_nothing_gives_nothing() -> None:
    assert np.isnan(resampled_equal_error_rate([], [], [], np.ones((2, 0)))).tolist() == [True, True]
    assert resampled_equal_error_rate([0.0, 1.0], [True, False], [0, 0], np.ones((0, 1))).shape == (0,)
    assert np.isnan(resampled_equal_error_rate([0.0], [True], [0], [[3]])).all()
    assert resampled_attack_equal_error_rates([1.0], [-1], [0], [[1], [1]]).shape == (0, 2)


@pytest.mark.parametrize(
    ("scores", "cluster", "weights", "words"),
    [
        ([np.nan, 1.0], [0, 0], [[1]], "NaN"),
        ([0.0, 1.0, 2.0], [0, 0], [[1]], "shapes"),
        ([0.0, 1.0], [0, 1], [[1]], "cluster codes"),
        ([0.0, 1.0], [0, -1], [[1, 1]], "cluster codes"),
        ([0.0, 1.0], [0.0, 0.5], [[1, 1]], "cluster codes"),
        ([0.0, 1.0], [0, 0], [1], "shape"),
        ([0.0, 1.0], [0, 0], [[0.5]], "whole numbers"),
        ([0.0, 1.0], [0, 0], [[-1]], "whole numbers"),
        ([0.0, 1.0], [0, 0], [[np.nan]], "whole numbers"),
        ([0.0, 1.0], [0, 0], [[np.inf]], "whole numbers"),
    ],
)
def test_bad_input_is_refused(scores: list[float], cluster: list[float], weights: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        resampled_equal_error_rate(scores, [True, False], cluster, weights)  # type: ignore[arg-type]


def test_attacks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="shapes"):
        resampled_attack_equal_error_rates([0.0, 1.0], [-1], [0, 0], [[1]])


COSTS = (ASVSPOOF5_COSTS, DetectionCosts(0.99, 1.0, 1.0))


@given(
    st.data(),
    st.lists(st.tuples(st.integers(-2, 2).map(float), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12),
)
def test_minimum_costs_equal_those_of_the_repeated_trials(
    data: st.DataObject, trials: list[tuple[float, bool, int]]
) -> None:
    scores, bona_fide, cluster = (np.array(column) for column in zip(*trials, strict=True))
    scores[data.draw(st.integers(0, len(scores) - 1))] = data.draw(st.sampled_from([-np.inf, np.inf, 0.0]))
    weights = data.draw(arrays.arrays(np.int64, (4, 4), elements=st.integers(0, 5)))
    found = resampled_min_dcf(scores, bona_fide, cluster, weights, COSTS)
    for row, weight in enumerate(weights):
        trial = np.repeat(np.arange(len(scores)), weight[cluster].astype(int))
        positive, negative = scores[trial][bona_fide[trial]], scores[trial][~bona_fide[trial]]
        both = len(positive) and len(negative)
        expected = [min_dcf(positive, negative, cost).value if both else np.nan for cost in COSTS]
        assert found[:, row] == pytest.approx(expected, nan_ok=True)


def test_minimum_costs_by_hand_and_without_trials() -> None:
    # rejecting 0s and 1b: half of the bona fide missed, half of the spoofs accepted; rejecting 2s too: half and none
    equal = DetectionCosts(0.5, 1.0, 1.0)
    found = resampled_min_dcf([0, 1, 2, 3], [False, True, False, True], [0, 0, 0, 0], [[1], [3]], [equal])
    assert found.tolist() == [[0.5, 0.5]]
    assert np.isnan(resampled_min_dcf([], [], np.zeros(0, int), np.ones((2, 1)), COSTS)).all()
    with pytest.raises(DataError, match="whole numbers from 0"):
        resampled_min_dcf([0, 1], [True, False], [0, 0], [[0.5]], COSTS)
