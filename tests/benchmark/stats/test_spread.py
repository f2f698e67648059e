from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.stats.spread import (
    GAP,
    HIGH_SHARE,
    LOW_SHARE,
    RATIO,
    VARIANCE,
    Resampled,
    spread_bounds,
    variance_between,
)
from audiometry.benchmark.types import Metric

SPREADS = [GAP, RATIO, VARIANCE]
VALUES = st.lists(st.floats(0.01, 1.0), min_size=2, max_size=7).map(np.array)


def resampled(points, error, resamples=2000, freedom=1e9, seed=1):
    points = np.asarray(points, float)
    draws = points + error * np.random.default_rng(seed).normal(size=(resamples, len(points)))
    costs = np.tile([1.0, freedom], (len(points), 1))
    return Resampled(points, draws, costs, costs)


def test_sizes_by_hand():
    values = np.array([1.0, 2.0, 4.0])
    assert GAP.size(values) == 3
    assert RATIO.size(values) == pytest.approx(np.log(4))
    assert VARIANCE.size(values) == pytest.approx(7 / 3)
    assert GAP.size(np.stack([values, values + 1], axis=1)).tolist() == [3, 3]


@given(VALUES, st.floats(0.0, 2.0), st.floats(0.0, 0.3), st.sampled_from(SPREADS))
def test_nearest_values_have_the_size_asked_for(values, size, error, spread):
    found = spread.nearest(values, np.full(len(values), error), size)
    assert spread.size(found) == pytest.approx(size, abs=1e-9)
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= -1e-12).all()


@pytest.mark.parametrize("size", [0.0, 0.05, 0.2, 0.3])
def test_squeezed_values_are_the_nearest_of_all(size):
    values = np.array([0.1, 0.13, 0.2, 0.45])
    found = GAP.nearest(values, np.zeros(4), size)

    def cost(start):
        return ((np.clip(values, start, start + size) - values) ** 2).sum()

    best = scipy.optimize.minimize_scalar(cost, bounds=(0, 0.5), method="bounded", options={"xatol": 1e-10})
    assert ((found - values) ** 2).sum() == pytest.approx(best.fun, abs=1e-9)


def test_values_within_an_error_of_an_end_are_put_there():
    values = np.array([0.0, 0.1, 0.4, 1.0, 1.2])
    for error, expected in (
        (0.0, [0.1, 0.1, 0.4, 1.0, 1.1]),
        (0.2, [0.1, 0.1, 0.4, 1.1, 1.1]),
        (9.0, [0.1] * 3 + [1.1] * 2),
    ):
        assert GAP.nearest(values, np.full(5, error), 1.0) == pytest.approx(expected)


def test_alike_values_are_moved_apart():
    for spread in SPREADS:
        assert spread.size(spread.nearest(np.full(3, 0.5), np.zeros(3), 0.2)) == pytest.approx(0.2)


@pytest.mark.parametrize("scale", ["linear", "log", "logit"])
def test_bounds_of_sure_values_are_near(scale):
    found, metric = resampled([0.2, 0.3, 0.4], 0.001), Metric("x", scale=scale)
    for spread, value in ((GAP, 0.2), (RATIO, np.log(2)), (VARIANCE, 0.01)):
        low, high = spread_bounds(spread, found, metric, 0.95)
        assert 0.95 * value < low < value < high < 1.05 * value


def test_two_groups_by_the_normal_distribution():
    found = resampled([1.0, 2.0], 0.1, resamples=100_000)
    low, high = spread_bounds(GAP, found, Metric("x"), 0.95)
    error = 0.1 * np.sqrt(2)
    assert low == pytest.approx(1 + error * scipy.stats.norm.ppf(LOW_SHARE * 0.05), abs=0.003)
    assert high == pytest.approx(1 - error * scipy.stats.norm.ppf(HIGH_SHARE * 0.05), abs=0.01)


def test_picking_the_outermost_of_many_alike_is_allowed_for():
    """By chance the gap of ten alike is 3.1 errors on average, and 4.5 in one case of twenty."""
    points = np.random.default_rng(7).normal(size=10)
    points *= 4.0 / np.ptp(points)
    for error, sure in ((1.0, False), (0.5, True)):
        assert (spread_bounds(GAP, resampled(points, error), Metric("x"), 0.95)[0] > 0) == sure


def test_few_clusters_widen():
    many, few = (spread_bounds(GAP, resampled([1.0, 2.0], 0.1, freedom=n), Metric("x"), 0.95) for n in (1e9, 6.0))
    assert few[0] < many[0]
    assert few[1] > many[1]


def test_values_that_happen_to_be_alike_are_not_surely_alike():
    for spread in SPREADS:
        low, high = spread_bounds(spread, resampled([0.5, 0.5, 0.5], 0.02), Metric("x"), 0.95)
        assert low == 0
        assert high > spread.size(np.array([0.48, 0.5, 0.52]))


def test_no_error_and_no_spread_leave_nothing_open():
    assert spread_bounds(VARIANCE, resampled([0.0, 0.0], 0.0), Metric("x", scale="log"), 0.95) == (0, 0)


def test_variance_between_by_hand():
    assert variance_between(np.array([1.0, 2, 6]), np.array([0.3, 0.6, 0.9])) == pytest.approx(7 - 0.6)
    assert variance_between(np.array([1.0, 1.1]), np.array([1.0, 1.0])) == 0
