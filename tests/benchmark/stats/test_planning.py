"""Ranks, power and looks."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import (
    clusters_needed,
    compare_tables,
    intervals,
    look_level,
    power_of,
    rank_tables,
    samples_needed,
    sequential_look,
)
from audiometry.benchmark.types import Metric

MEAN = Metric("x", unit="dB", low=-np.inf)


def systems(tables, shifts, units=60, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    hard = rng.normal(size=units)
    return {name: tables.mean(hard + shift + noise * rng.normal(size=units)) for name, shift in shifts.items()}


@pytest.mark.parametrize("units", [8, 60])
def test_ranks_with_a_tie(tables, units):
    named = systems(tables, {"c": 2.0, "a": 0.0, "b": 0.01, "d": 5.0}, units)
    ranks = rank_tables(named, tables.reduce_mean, MEAN, seed=1)
    assert {rank.name for rank in ranks[:2]} == {"a", "b"}
    assert [(rank.low, rank.high, rank.tie_group) for rank in ranks] == [(1, 2, 1), (1, 2, 1), (3, 3, 2), (4, 4, 3)]
    higher = rank_tables(named, tables.reduce_mean, Metric("x", direction="higher", unit="dB"), seed=1)
    assert [rank.name for rank in higher[:2]] == ["d", "c"]
    assert higher[0].value == pytest.approx(named["d"].counts["x"].mean())


def test_two_models_rank_as_their_comparison_says(tables):
    for seed in range(20):
        named = systems(tables, {"a": 0.0, "b": 0.1}, seed=seed)
        found = compare_tables(named["a"], named["b"], tables.reduce_mean, MEAN, seed=1)
        ranks = rank_tables(named, tables.reduce_mean, MEAN, seed=1)
        if abs(found.p - 0.05) > 0.02:
            assert (ranks[0].high == 1) == (found.p < 0.05)


def test_step_by_step_tells_more_apart(tables):
    # the far model is told apart at once; what is left then needs a smaller difference
    named = systems(tables, {"a": 0.0, "b": 0.12, "z": 50.0}, units=100, seed=3)
    pair = {name: named[name] for name in "ab"}
    assert rank_tables(pair, tables.reduce_mean, MEAN, seed=1)[0].high == 1
    assert rank_tables(named, tables.reduce_mean, MEAN, seed=1)[0].high == 1


def test_ranks_of_one_and_of_sure_models(tables):
    one = rank_tables({"a": tables.mean([1.0, 2.0])}, tables.reduce_mean, MEAN, seed=1)
    assert [(rank.low, rank.high, rank.tie_group) for rank in one] == [(1, 1, 1)]
    sure = {name: tables.mean(np.full(20, value)) for name, value in (("best", 0.0), ("same", 0.0), ("worst", 1.0))}
    ranks = rank_tables(sure, tables.reduce_mean, MEAN, seed=1)
    assert [(rank.name, rank.low, rank.high) for rank in ranks] == [("best", 1, 2), ("same", 1, 2), ("worst", 3, 3)]


def test_what_cannot_be_ranked(tables):
    with pytest.raises(DataError, match="no table to rank"):
        rank_tables({}, tables.reduce_mean, MEAN, seed=1)
    undefined = tables.of({"errors": np.zeros(9), "words": np.zeros(9)})
    with pytest.raises(DataError, match="wer is undefined for 'u'"):
        rank_tables({"u": undefined}, tables.reduce_wer, Metric("wer"), seed=1)


@pytest.mark.parametrize(
    # the sizes that G*Power 3.1 gives for a paired t test, two-sided 5 %, power 0.8, and the power they reach
    ("effect", "clusters", "power"),
    [(0.5, 34, 0.8078), (0.2, 199, 0.8017), (0.8, 15, 0.8213)],
)
def test_power_is_that_of_published_tables(effect, clusters, power):
    assert power_of(effect, 1.0, clusters) == pytest.approx(power, abs=5e-4)
    assert clusters_needed(effect, 1.0) == clusters
    assert clusters_needed(-effect, 1.0) == clusters


def test_power_by_simulation():
    rng = np.random.default_rng(0)
    seen = scipy.stats.ttest_1samp(rng.normal(0.4, 1.0, (20_000, 25)), 0, axis=1).pvalue < 0.05
    assert power_of(0.4, 1.0, 25) == pytest.approx(seen.mean(), abs=0.01)
    assert power_of(0.0, 1.0, 25) == pytest.approx(0.05)
    assert power_of(9.0, 1.0, 25) == pytest.approx(1.0)


def test_samples_needed_finds_the_spread_of_differences(tables):
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 3, 400).repeat(5)
    a, b = (tables.mean(hard + rng.normal(0, 1, 2000), np.repeat(np.arange(400), 5)) for _ in range(2))
    found = samples_needed(a, tables.reduce_mean, MEAN, 0.1, seed=1, table_b=b)
    spread = np.sqrt(2 / 5)  # of the mean of five differences of deviation sqrt 2
    assert found.spread == pytest.approx(spread, rel=0.1)
    assert found.clusters == pytest.approx(clusters_needed(0.1, spread), rel=0.2)
    assert found.samples == 5 * found.clusters
    alone = samples_needed(a, tables.reduce_mean, MEAN, 0.1, seed=1)
    assert alone.spread == pytest.approx(np.sqrt(2 * (9 + 1 / 5)), rel=0.1)
    related = samples_needed(a, tables.reduce_mean, MEAN, 0.1, seed=1, correlation=0.75)
    assert related.spread == pytest.approx(alone.spread / 2)
    few = samples_needed(tables.mean(rng.normal(size=8)), tables.reduce_mean, MEAN, 0.1, seed=1)
    assert few.clusters > 100


def test_what_cannot_be_planned(tables):
    table = tables.mean(np.arange(20.0))
    for bad in ({"difference": 0.0}, {"difference": 0.1, "power": 0.01}, {"difference": 1e-9}):
        with pytest.raises(SettingError):
            samples_needed(table, tables.reduce_mean, MEAN, seed=1, **bad)
    with pytest.raises(SettingError, match="correlation"):
        samples_needed(table, tables.reduce_mean, MEAN, 0.1, seed=1, correlation=1.0)
    with pytest.raises(SettingError, match="2 clusters"):
        power_of(0.1, 1.0, 1)
    with pytest.raises(DataError, match="no variation"):
        samples_needed(tables.mean(np.ones(20)), tables.reduce_mean, MEAN, 0.1, seed=1)


def test_looks_spend_no_more_than_there_is():
    spent = [1 - look_level(look, 0.9) for look in range(1, 10_000)]
    assert sum(spent) == pytest.approx(0.1, abs=1e-4)
    assert sum(spent) < 0.1
    assert (np.diff(spent) < 0).all()
    for look, level in ((0, 0.95), (1, 1.0)):
        with pytest.raises(SettingError, match="looks count from 1"):
            look_level(look, level)


def test_looks(tables):
    table = tables.mean(np.random.default_rng(0).normal(0.3, 0.1, 100))

    def look(part, **settings):
        return sequential_look(part, tables.reduce_mean, MEAN, look=2, seed=1, **settings)

    expected = intervals(table, tables.reduce_mean, [MEAN], seed=1, level=look_level(2), method="t")["x"]
    found = look(table, threshold=0.2)
    assert (found.interval, found.sure, found.reason) == (expected, True, "the interval excludes 0.2")
    assert look(table, threshold=0.301).reason == "not yet"
    wide = max(expected.high - expected.value, expected.value - expected.low)
    assert look(table, half_width=1.01 * wide).sure
    assert not look(table, half_width=0.99 * wide).sure
    assert look(table, half_width=0.001, threshold=0.2).sure
    early = look(tables.mean([0.31, 0.3, 0.29, 0.3, 0.3, 0.3]), threshold=0.2)
    assert (early.sure, early.reason) == (False, "6 of at least 10 units")
    assert look(tables.mean([0.3]), threshold=0.2).reason == "no interval yet"
    with pytest.raises(SettingError, match="half_width or threshold"):
        look(table)
