from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from audiometry.benchmark.stats import bounds, intervals
from audiometry.benchmark.stats.scale import scale_at
from audiometry.benchmark.types import Metric, ScoreTable


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("skewed", [False, True])
def test_agrees_with_scipy_on_unclustered_data(tables, method, skewed):
    rng = np.random.default_rng(4)
    x = rng.lognormal(0, 1, 300) if skewed else rng.normal(5, 1, 300)
    found = intervals(tables.mean(x), tables.reduce_mean, [Metric("x")], seed=1, resamples=40_000, method=method)["x"]
    scipys = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=40_000, method=method, rng=np.random.default_rng(2), vectorized=True
    ).confidence_interval
    # ours is expanded for 300 units, by half a percent; the rest is chance
    width = scipys.high - scipys.low
    assert found.low == pytest.approx(scipys.low, abs=0.02 * width)
    assert found.high == pytest.approx(scipys.high, abs=0.02 * width)
    assert found.method == method


def test_bca_is_percentile_without_bias_and_skew():
    draws = np.concatenate([-np.arange(1, 5001), np.arange(1, 5001)]) / 1000
    influence = np.array([-1.0, 0.0, 1.0])
    assert bounds.bca_bounds(draws, 0.0, influence, 0.9) == pytest.approx(bounds.percentile_bounds(draws, 0.9))


def test_bca_without_variation_left_out_is_bias_corrected_only():
    draws = np.arange(1000.0)
    low, high = bounds.bca_bounds(draws, 699.5, np.ones(5), 0.95)
    z0 = scipy.stats.norm.ppf(0.7)
    expected = np.quantile(draws, scipy.stats.norm.cdf(2 * z0 + scipy.stats.norm.ppf([0.025, 0.975])))
    assert (low, high) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("recordings", [5, 40, 3000])
def test_exact_bound_is_clopper_and_pearson_at_no_event(recordings):
    expected = scipy.stats.binomtest(0, recordings).proportion_ci(0.95, method="exact").high
    assert bounds.exact_bounds(0.0, recordings, 0.95, 0.0, 1.0) == pytest.approx((0.0, expected))
    assert bounds.exact_bounds(1.0, recordings, 0.95, 0.0, 1.0) == pytest.approx((1 - expected, 1.0))
    assert bounds.exact_bounds(2.0, recordings, 0.95, -np.inf, np.inf) == (2.0, 2.0)


def test_jackknife_of_a_mean_is_its_squared_standard_error():
    x = np.random.default_rng(1).normal(size=12)
    left_out = (x.sum() - x) / 11
    variance, freedom = bounds.jackknife_variance(left_out, np.zeros(12, int), np.ones(12))
    assert variance == pytest.approx(x.var(ddof=1) / 12)
    assert freedom == pytest.approx(11)


def test_jackknife_degrees_of_freedom_over_strata():
    left_out = np.array([0.0, 1.0, 2.0, 5.0, 5.0, 5.0, np.nan, 1.0])
    homes = np.array([0, 0, 0, 1, 1, 1, 1, 2])
    variance, freedom = bounds.jackknife_variance(left_out, homes, np.ones(8))
    assert variance == pytest.approx(2 / 3 * 2)  # the second varies not, the third has but one
    assert freedom == pytest.approx(2)
    assert bounds.jackknife_variance(np.ones(3), np.zeros(3, int), np.ones(3)) == (0.0, 1.0)


def test_big_clusters_cost_degrees_of_freedom():
    cluster = np.repeat(np.arange(4), [10, 10, 10, 70])
    table = ScoreTable({}, cluster, np.zeros(100, int), np.zeros(4, int))
    effective = 100**2 / (3 * 10**2 + 70**2)
    assert bounds.small_sample(table) == pytest.approx((np.sqrt(effective / (effective - 1)), 1.0))
    assert bounds.small_sample(table, by_size=False) == pytest.approx((np.sqrt(4 / 3), 3.0))


def test_small_sample_over_strata():
    strata = np.repeat([0, 1, 2], [4, 11, 1])
    table = ScoreTable({}, np.arange(16), strata, strata)
    factor, freedom = bounds.small_sample(table)
    assert factor == pytest.approx(np.sqrt((4 / 3 + 11 / 10) / 2))
    assert freedom == pytest.approx(4 / (1 / 3 + 1 / 10))
    lone = ScoreTable({}, np.arange(2), np.arange(2), np.arange(2))
    assert bounds.small_sample(lone) == (1.0, 1.0)


def test_expanded_level_is_hesterbergs():
    n = 25
    alpha = scipy.stats.norm.cdf(-np.sqrt(n / (n - 1)) * scipy.stats.t.ppf(0.975, n - 1))
    assert bounds.expanded_level(0.95, np.sqrt(n / (n - 1)), n - 1) == pytest.approx(1 - 2 * alpha)
    assert bounds.expanded_level(0.95, 2.0, 1.0) < 1


@pytest.mark.parametrize(("scale", "value"), [("log", 0.2), ("logit", 0.2), ("logit", 0.99), ("linear", -3.0)])
def test_scales_there_and_back(scale, value):
    found = scale_at(Metric("x", scale=scale), value, keep=0.1)
    around = np.array([value - 1e-6, value, value + 1e-6])
    assert found.back(found.onto(around)) == pytest.approx(around, abs=1e-12)
    assert np.diff(found.onto(around)) / 1e-6 == pytest.approx([found.slope, found.slope], rel=1e-3)


@pytest.mark.parametrize(("scale", "value"), [("log", 0.0), ("logit", 0.0), ("logit", 1.0)])
def test_ends_of_a_scale_are_linear(scale, value):
    found = scale_at(Metric("x", scale=scale), value, keep=0.1)
    assert found.onto(np.array([0.3])) == found.back(np.array([0.3])) == 0.3


def test_scales_stay_finite():
    log, logit = (scale_at(Metric("x", scale=scale), 0.2, keep=0.1) for scale in ("log", "logit"))
    assert log.back(log.onto(np.zeros(1))) == pytest.approx(0.02)
    assert logit.back(logit.onto(np.array([0.0, 1.0]))) == pytest.approx([0.02, 0.92])
    assert np.isfinite(log.back(np.array([1e9]))).all()
