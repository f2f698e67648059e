from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, pearsonr, spearmanr

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.mos_prediction import (
    PREDICTION_METRICS,
    correlations,
    prediction_agreement,
    prediction_reduce,
)

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40)


def through_scipy(ours, theirs):
    values = {"mse": np.mean((ours - theirs) ** 2), "srcc": np.nan, "lcc": np.nan, "ktau": np.nan}
    if len(ours) > 1 and np.ptp(ours) and np.ptp(theirs):
        functions = {"srcc": spearmanr, "lcc": pearsonr, "ktau": kendalltau}
        values |= {name: function(ours, theirs).statistic for name, function in functions.items()}
    return values


def both_levels_through_scipy(system, ours, theirs):
    names = np.unique(system)
    means = [np.array([side[system == name].mean() for name in names]) for side in (ours, theirs)]
    system_level, utterance_level = through_scipy(*means), through_scipy(ours, theirs)
    return {f"system_{k}": v for k, v in system_level.items()} | {
        f"utterance_{k}": v for k, v in utterance_level.items()
    }


@given(PAIRS)
@settings(deadline=None, max_examples=300)
def test_correlations_equal_scipys_with_ties(pairs):
    ours, theirs = np.array(pairs, float).T
    expected = through_scipy(ours, theirs)
    values = correlations(ours, theirs)
    for name, value in values.items():
        assert value == pytest.approx(expected[name], abs=1e-12, nan_ok=True)


@given(PAIRS)
@settings(deadline=None)
def test_correlations_are_symmetric_and_ignore_order_scale_and_offset(pairs):
    ours, theirs = np.array(pairs, float).T
    values = correlations(ours, theirs)
    shuffle = np.random.default_rng(0).permutation(len(ours))
    for other in (
        correlations(theirs, ours),
        correlations(ours[shuffle], theirs[shuffle]),
        correlations(2 * ours + 1, theirs),
    ):
        for name in ("srcc", "lcc", "ktau"):
            assert other[name] == pytest.approx(values[name], abs=1e-12, nan_ok=True)
    negated = correlations(-ours, theirs)
    for name in ("srcc", "lcc", "ktau"):
        assert negated[name] == pytest.approx(-values[name], abs=1e-12, nan_ok=True)


def test_by_hand():
    # pairs of (1,1) (2,3) (3,2): two concordant, one discordant
    values = correlations([1, 2, 3], [1, 3, 2])
    assert values == pytest.approx({"srcc": 0.5, "lcc": 0.5, "ktau": 1 / 3, "mse": 2 / 3})


def test_nothing_to_correlate_is_nan():
    assert all(np.isnan(value) for value in correlations([], []).values())
    values = correlations([3.0, 3.0], [1.0, 2.0])
    assert values["mse"] == pytest.approx(2.5)
    assert all(np.isnan(values[name]) for name in ("srcc", "lcc", "ktau"))


def test_system_level_compares_means_of_systems():
    system = np.array(["b", "a", "b", "c", "a", "a"])
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(size=(2, 6))
    assert prediction_agreement(system, ours, theirs) == pytest.approx(both_levels_through_scipy(system, ours, theirs))


@given(st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_reduction_equals_repeating_the_utterances_and_leaves_failures_out(seed):
    generator = np.random.default_rng(seed)
    counts = {
        "system": generator.integers(0, 5, 30).astype(float),
        "predicted": generator.integers(0, 12, 30) / 2,
        "people": generator.integers(0, 12, 30) / 2,
        "answered": (generator.random(30) < 0.9).astype(float),
    }
    table = ScoreTable(counts, np.arange(30) % 10, np.zeros(30, int), np.zeros(10, int))
    weights = generator.integers(0, 3, (4, 10)).astype(float)
    values = prediction_reduce()(table, weights)
    assert list(values) == [metric.name for metric in PREDICTION_METRICS]
    for i, weight in enumerate(weights):
        again = np.repeat(np.arange(30), (weight[table.cluster] * counts["answered"]).astype(int))
        if len(again) == 0:
            continue
        expected = both_levels_through_scipy(*(counts[name][again] for name in ("system", "predicted", "people")))
        for name, value in values.items():
            assert value[i] == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def test_a_system_drawn_twice_is_two_systems_where_systems_are_the_clusters():
    generator = np.random.default_rng(4)
    system = np.repeat(np.arange(6), 3)
    counts = {
        "system": system.astype(float),
        "predicted": generator.normal(size=18),
        "people": generator.normal(size=18),
        "answered": np.where(np.arange(18) == 7, 0.0, 1.0),
    }
    cluster = np.array([3, 0, 5, 1, 2, 4])[system]
    table = ScoreTable(counts, cluster, np.zeros(18, int), np.zeros(6, int))
    weights = generator.integers(0, 4, (5, 6)).astype(float)
    values = prediction_reduce()(table, weights)
    for i, weight in enumerate(weights):
        rows, names = [], []
        for row in np.flatnonzero(counts["answered"]):
            times = int(weight[cluster[row]])
            rows += [row] * times
            names += [f"{system[row]}-{copy}" for copy in range(times)]
        expected = both_levels_through_scipy(np.array(names), counts["predicted"][rows], counts["people"][rows])
        for name, value in values.items():
            assert value[i] == pytest.approx(expected[name], abs=1e-9, nan_ok=True), name


def test_a_resample_of_nothing_is_nan():
    counts = {name: np.ones(3) for name in ("system", "predicted", "people", "answered")}
    table = ScoreTable(counts, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    assert all(np.isnan(value[0]) for value in prediction_reduce()(table, np.zeros((1, 3))).values())


@pytest.mark.parametrize("size", [20, 80])
def test_reduction_forms_intervals_under_the_projects_statistics(size):
    generator = np.random.default_rng(size)
    people = generator.normal(3.5, 0.8, 4 * size)
    counts = {
        "system": np.repeat(np.arange(size), 4).astype(float),
        "predicted": people + generator.normal(0, 0.5, 4 * size),
        "people": people,
        "answered": np.ones(4 * size),
    }
    table = ScoreTable(counts, counts["system"].astype(int), np.zeros(4 * size, int), np.zeros(size, int))
    found = intervals(table, prediction_reduce(), PREDICTION_METRICS, seed=1, resamples=200)
    for name, interval in found.items():
        assert interval.low < interval.value < interval.high, name


def coverage(systems, repeats, each=4):
    """Share of intervals, clustered by system, that hold the value of a large population of systems, by metric."""
    metrics = [one for one in PREDICTION_METRICS if one.name in ("system_srcc", "system_lcc", "system_mse")]

    def draw(generator, number):
        truth = generator.normal(3.2, 0.7, number)
        heard = 3.2 + 0.8 * (truth - 3.2) + generator.normal(0, 0.7 * 0.6, number)
        people = np.repeat(truth, each) + generator.normal(0, 0.4, number * each)
        return people, np.repeat(heard, each) + generator.normal(0, 0.4, number * each)

    people, predicted = draw(np.random.default_rng(99), 100_000)
    everyone = prediction_agreement(np.repeat(np.arange(100_000), each), predicted, people)
    held = {one.name: 0 for one in metrics}
    for seed in range(repeats):
        people, predicted = draw(np.random.default_rng(seed), systems)
        codes = np.repeat(np.arange(systems), each)
        ones = np.ones(len(codes))
        counts = {"system": codes.astype(float), "predicted": predicted, "people": people, "answered": ones}
        table = ScoreTable(counts, codes, np.zeros(len(codes), int), np.zeros(systems, int))
        found = intervals(table, prediction_reduce(), metrics, seed=seed, resamples=200)
        for name, one in found.items():
            held[name] += one.low <= everyone[name] <= one.high
    return {name: count / repeats for name, count in held.items()}


@pytest.mark.slow
def test_intervals_speak_of_other_systems():
    found = coverage(40, 50)
    assert min(found["system_srcc"], found["system_lcc"]) >= 0.86  # three standard errors below 95 %


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="give one of each for each item"):
        correlations([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="must be finite"):
        correlations([1.0, np.nan], [1.0, 2.0])
    with pytest.raises(DataError, match="give one of each an utterance"):
        prediction_agreement(["a"], [1.0, 2.0], [1.0, 2.0])
