from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.frechet import (
    FRECHET_METRICS,
    embedding_counts,
    frechet_distance,
    frechet_from_moments,
    frechet_infinity,
    frechet_reduce,
    moments,
)


def through_sqrtm(first, second):
    """The formula as it is printed, with scipy's matrix square root."""
    gap = first.mean(0) - second.mean(0)
    cov1, cov2 = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (first, second))
    return gap @ gap + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(sqrtm(cov1 @ cov2)).real


def spread(generator, n, dimensions):
    return generator.normal(size=(n, dimensions)) @ generator.normal(size=(dimensions, dimensions)) + generator.normal()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(deadline=None, max_examples=50)
def test_equals_scipys_square_root(seed, dimensions):
    generator = np.random.default_rng(seed)
    first, second = (spread(generator, 5 * dimensions + 10, dimensions) for _ in range(2))
    result = frechet_distance(first, second)
    assert result.value == pytest.approx(through_sqrtm(first, second), rel=1e-6, abs=1e-9)
    assert result.notes == ()
    assert frechet_distance(second, first).value == pytest.approx(result.value, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-50, 50))
@settings(deadline=None, max_examples=50)
def test_invariants(seed, step):
    generator = np.random.default_rng(seed)
    rows, other = spread(generator, 60, 5), spread(generator, 50, 5)
    scale = np.trace(np.cov(rows, rowvar=False))
    assert frechet_distance(rows, rows).value == pytest.approx(0, abs=1e-9 * scale)
    assert frechet_distance(rows, rows + step).value == pytest.approx(5 * step**2, abs=1e-9 * (scale + step**2))
    turn = np.linalg.qr(generator.normal(size=(5, 5)))[0]
    plain = frechet_distance(rows, other).value
    assert frechet_distance(rows @ turn, other @ turn).value == pytest.approx(plain, rel=1e-9)
    assert frechet_distance(3 * rows, 3 * other).value == pytest.approx(9 * plain, rel=1e-9)


def test_by_hand_in_one_dimension():
    # means 1 and 5, standard deviations sqrt(2) and sqrt(8): 16 + (sqrt(8) - sqrt(2))²
    assert frechet_distance([[0.0], [2.0]], [[3.0], [7.0]]).value == pytest.approx(16 + 2)


def test_commuting_covariances_have_a_closed_form():
    generator = np.random.default_rng(0)
    first, second = generator.uniform(0.1, 3, (2, 6))
    turn = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    value = frechet_from_moments(np.zeros(6), turn * first @ turn.T, np.zeros(6), turn * second @ turn.T)
    assert value == pytest.approx(((np.sqrt(first) - np.sqrt(second)) ** 2).sum(), rel=1e-10)


def test_singular_covariances_lose_no_digits():
    # in 50 dimensions two sets of 3: the first spans x, the second y, so the square root's trace is 0
    first, second = np.zeros((3, 50)), np.zeros((3, 50))
    first[:, 0], second[:, 1] = [-1, 0, 1], [-2, 0, 2]
    result = frechet_distance(first, second)
    assert result.value == pytest.approx(1 + 4, abs=1e-12)
    assert [note.split(":")[0] for note in result.notes] == [
        "reference set has 3 embeddings of 50 dimensions",
        "evaluated set has 3 embeddings of 50 dimensions",
    ]
    generator = np.random.default_rng(1)
    few = generator.normal(size=(20, 50))
    assert frechet_distance(few, few).value == pytest.approx(0, abs=1e-12)


def test_a_constant_set_has_no_spread():
    assert frechet_distance(np.ones((4, 2)), np.zeros((5, 2))).value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("reference", "evaluated", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]], "reference set has 1 embeddings"),
        ([[1.0], [2.0]], [[1.0, 2.0], [2.0, 1.0]], "1 and 2 dimensions"),
        ([[1.0], [2.0]], [1.0, 2.0], r"evaluated set of shape \(2,\)"),
        ([[1.0], [np.inf]], [[1.0], [2.0]], "reference embedding 1 is not finite"),
    ],
)
def test_bad_sets_are_refused(reference, evaluated, message):
    with pytest.raises(DataError, match=message):
        frechet_distance(reference, evaluated)


def test_what_is_no_covariance_is_refused():
    zero = np.zeros(2)
    with pytest.raises(DataError, match="not symmetric"):
        frechet_from_moments(zero, np.array([[1.0, 0.5], [0.0, 1.0]]), zero, np.eye(2))
    with pytest.raises(DataError, match="negative eigenvalue -1"):
        frechet_from_moments(zero, np.eye(2), zero, np.diag([1.0, -1.0]))


def test_weighted_moments_equal_those_of_repeated_rows():
    generator = np.random.default_rng(3)
    rows, weights = generator.normal(size=(20, 4)), generator.integers(0, 4, 20)
    mean, covariance = moments(rows, weights.astype(float))
    again = np.repeat(rows, weights, axis=0)
    np.testing.assert_allclose(mean, again.mean(0))
    np.testing.assert_allclose(covariance, np.cov(again, rowvar=False))


def test_reduction_equals_repeating_the_embeddings_and_leaves_failures_out():
    generator = np.random.default_rng(4)
    reference, rows = generator.normal(size=(80, 3)), generator.normal(1, 2, (31, 3))
    counts = [embedding_counts(row) for row in rows[:30]]
    counts.append({"embedded": 0.0, "embedding_0": 0.0, "embedding_1": 0.0, "embedding_2": 0.0})
    columns = {name: np.array([row[name] for row in counts]) for name in counts[0]}
    table = ScoreTable(columns, np.arange(31) % 10, np.zeros(31, int), np.zeros(10, int))
    weights = generator.integers(0, 3, (4, 10)).astype(float)
    values = frechet_reduce(reference)(table, np.vstack([weights, np.zeros((1, 10))]))
    assert list(values) == [metric.name for metric in FRECHET_METRICS]
    for value, weight in zip(values["frechet_distance"], weights, strict=False):
        again = np.repeat(rows[:30], weight[table.cluster[:30]].astype(int), axis=0)
        assert value == pytest.approx(frechet_distance(reference, again).value)
    again = np.repeat(rows[:30], weights[1][table.cluster[:30]].astype(int), axis=0)
    assert values["frechet_distance_corrected"][1] == pytest.approx(frechet_distance(reference, again).corrected)
    assert np.isnan([value[-1] for value in values.values()]).all()


def test_the_bias_of_whitened_sets_has_a_closed_form():
    # equal identity covariances: d / n + d (d + 1) / (4 (n - 1)) for each set
    generator = np.random.default_rng(8)
    rows = generator.normal(size=(40, 5))
    rows -= rows.mean(0)
    white = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    result = frechet_distance(white, white[:, ::-1] + 1)
    assert result.value == pytest.approx(5)
    assert result.value - result.corrected == pytest.approx(2 * (5 / 40 + 5 * 6 / (4 * 39)))


def test_the_corrected_distance_is_unbiased_where_the_plain_one_is_not():
    generator = np.random.default_rng(9)
    scale, shift = np.linspace(0.3, 2, 6), 0.4
    truth = 6 * shift**2 + ((scale - 1) ** 2).sum()
    results = [
        frechet_distance(generator.normal(size=(150, 6)) * scale, generator.normal(shift, 1, (100, 6)))
        for _ in range(400)
    ]
    plain, corrected = (np.array([getattr(result, name) for result in results]) for name in ("value", "corrected"))
    error = corrected.std() / np.sqrt(len(results))
    assert plain.mean() - truth > 10 * error
    assert abs(corrected.mean() - truth) < 3 * error


@pytest.mark.slow
def test_intervals_of_the_corrected_distance_cover():
    """The t form on 100 simulations: 88 to 100 % is what chance leaves of 95 %, and the plain distance falls short."""
    generator = np.random.default_rng(10)
    reference = generator.normal(size=(20000, 4))
    hits = {metric.name: 0 for metric in FRECHET_METRICS}
    for simulation in range(100):
        rows = generator.normal(0.5, 1, (60, 4))
        columns = {"embedded": np.ones(60)} | {f"embedding_{i}": rows[:, i] for i in range(4)}
        table = ScoreTable(columns, np.arange(60), np.zeros(60, int), np.zeros(60, int))
        found = intervals(table, frechet_reduce(reference), FRECHET_METRICS, seed=simulation, method="t", resamples=100)
        for name, interval in found.items():
            hits[name] += interval.low <= 1.0 <= interval.high
    assert hits["frechet_distance_corrected"] / 100 >= 0.88
    assert hits["frechet_distance"] < hits["frechet_distance_corrected"]


@pytest.mark.parametrize("bad", [[], [[1.0]], [np.nan]])
def test_an_embedding_is_one_row_of_numbers(bad):
    with pytest.raises(DataError, match="one row of finite numbers"):
        embedding_counts(bad)


def test_extrapolation_takes_most_of_the_bias_away():
    generator = np.random.default_rng(5)
    plain, extrapolated = [], []
    for seed in range(10):  # same Gaussian on both sides: the truth is 0
        reference, rows = generator.normal(size=(20000, 8)), generator.normal(size=(600, 8))
        plain.append(frechet_distance(reference, rows).value)
        result = frechet_infinity(reference, rows, seed=seed, smallest=100)
        extrapolated.append(result.value)
        assert result.slope > 0
        assert result.sizes[0] == 100
        assert result.sizes[-1] == 600
        assert result.distances[-1] == pytest.approx(plain[-1])
    assert np.mean(plain) > 0.02
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(plain)


def test_extrapolation_is_the_fitted_line_and_follows_its_seed():
    generator = np.random.default_rng(6)
    reference, rows = generator.normal(size=(500, 3)), generator.normal(1, 1, (400, 3))
    result = frechet_infinity(reference, rows, seed=1, smallest=50, steps=10)
    slope, value = np.polyfit(1 / np.array(result.sizes), result.distances, 1)
    fit = np.corrcoef(1 / np.array(result.sizes), result.distances)[0, 1] ** 2
    assert (result.value, result.slope, result.r_squared) == pytest.approx((value, slope, fit))
    assert frechet_infinity(reference, rows, seed=1, smallest=50, steps=10) == result
    assert frechet_infinity(reference, rows, seed=2, smallest=50, steps=10) != result


def test_extrapolation_of_constant_sets_is_flat():
    result = frechet_infinity(np.zeros((5, 1)), np.ones((10, 1)), seed=0, smallest=5, steps=3)
    assert (result.value, result.r_squared) == (pytest.approx(1.0), 1.0)


def test_extrapolation_refuses_what_cannot_be_fitted():
    rows = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(DataError, match="needs more than the smallest subset, 500"):
        frechet_infinity(rows, rows, seed=0)
    with pytest.raises(SettingError, match="subsets above 4 dimensions"):
        frechet_infinity(rows, rows, seed=0, smallest=4)
    with pytest.raises(SettingError, match="2 steps or more"):
        frechet_infinity(rows, rows, seed=0, smallest=50, steps=1)
