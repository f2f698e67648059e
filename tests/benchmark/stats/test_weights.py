from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats import draws, mean_of, ratio_of_sums, weights
from audiometry.benchmark.types import ScoreTable


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 2**32), st.integers(1, 40))
def test_rows_add_up_to_the_clusters_of_each_stratum(sizes, seed, resamples):
    strata = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.concatenate(list(weights.bootstrap_weights(strata, resamples, seed)))
    assert rows.shape == (resamples, len(strata))
    assert rows.dtype == np.float64
    assert np.array_equal(rows, np.rint(rows))
    assert rows.min() >= 0
    for stratum, size in enumerate(sizes):
        assert (rows[:, strata == stratum].sum(axis=1) == size).all()


@pytest.mark.parametrize(("held", "cached"), [(7, 5), (50, 11), (10**6, 3)])
def test_rows_do_not_depend_on_the_blocks(monkeypatch, held, cached):
    strata = np.repeat([0, 1], [7, 4])
    whole = np.concatenate(list(weights.bootstrap_weights(strata, 23, 5)))
    monkeypatch.setattr(weights, "BLOCK_ENTRIES", held)
    monkeypatch.setattr(draws, "CACHED_ENTRIES", cached)
    assert np.array_equal(np.concatenate(list(weights.bootstrap_weights(strata, 23, 5))), whole)


def test_draws_are_uniform_with_replacement():
    rows = np.concatenate(list(weights.bootstrap_weights(np.zeros(6, int), 60_000, 1)))
    # multinomial with n = 6 and p = 1/6: mean 1, variance n p (1 - p), covariance -n p²
    assert rows.mean(axis=0) == pytest.approx(np.ones(6), abs=0.02)
    assert np.cov(rows.T) == pytest.approx(np.eye(6) - 1 / 6, abs=0.03)


def test_seeds_differ_and_repeat():
    first, again, other = (
        np.concatenate(list(weights.bootstrap_weights(np.zeros(9, int), 20, seed))) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_jackknife_keeps_the_shares_of_strata():
    strata = np.array([0, 0, 0, 0, 1, 1, 1])
    rows = np.concatenate(list(weights.jackknife_weights(strata, np.arange(7))))
    assert np.array_equal(rows, np.rint(rows))
    shares = rows[:, :4].sum(axis=1) / rows.sum(axis=1)
    assert shares == pytest.approx(np.full(7, 4 / 7))
    assert np.array_equal(np.argmin(rows, axis=1), np.arange(7))


def test_jackknife_of_one_stratum_is_zeros_and_ones(monkeypatch):
    monkeypatch.setattr(weights, "BLOCK_ENTRIES", 8)
    rows = np.concatenate(list(weights.jackknife_weights(np.zeros(4, int), np.array([0, 1, 1, 2]))))
    assert rows.tolist() == [[0, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 0]]


def test_jackknife_of_lone_clusters():
    rows = np.concatenate(list(weights.jackknife_weights(np.array([0, 1]), np.arange(2))))
    assert rows.tolist() == [[0, 1], [1, 0]]


def test_groups_of_many_clusters_stay_within_strata_and_are_even():
    strata = np.repeat([0, 1], [4000, 1000])
    groups = weights.jackknife_groups(strata, seed=3)
    sizes = np.bincount(groups)
    assert len(sizes) == 1000
    assert sizes.min() == sizes.max() == 5
    assert all(len(np.unique(strata[groups == group])) == 1 for group in range(0, 1000, 37))
    assert not np.array_equal(groups, weights.jackknife_groups(strata, seed=4))


def test_ratio_and_mean_by_hand(tables):
    table = tables.of({"errors": [1, 0, 4], "words": [5, 5, 10]}, [0, 0, 1])
    rows = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    assert ratio_of_sums(table, rows, "errors", "words") == pytest.approx([5 / 20, 1 / 10, 4 / 10, np.nan], nan_ok=True)
    assert mean_of(table, rows, "errors") == pytest.approx([5 / 3, 1 / 2, 4, np.nan], nan_ok=True)


def test_strata_that_share_a_cluster_are_joined(tables):
    table = tables.mean(range(6), cluster=[0, 0, 1, 2, 3, 3], stratum=[0, 1, 1, 0, 2, 2])
    assert table.clusters_span_strata
    units = weights.canonical(table)
    assert sorted(np.bincount(units.cluster_strata).tolist()) == [1, 3]
    assert (np.diff(units.cluster_strata) >= 0).all()


def test_a_cluster_without_samples_is_refused():
    table = ScoreTable({"x": np.ones(2)}, np.array([0, 2]), np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(SettingError, match="cluster without samples"):
        weights.canonical(table)


def test_few_clusters_become_recordings(tables):
    units, notes = weights.resampling_units(tables.mean(range(8), cluster=np.repeat([0, 1], 4)))
    assert units.clusters == 8
    assert notes == ("these speakers only",)


def test_few_recordings_stay(tables):
    units, notes = weights.resampling_units(tables.mean(range(3)))
    assert (units.clusters, notes) == (3, ())


def test_a_lone_cluster_in_a_stratum_is_noted(tables):
    _, notes = weights.resampling_units(tables.mean(range(6), stratum=[0, 0, 0, 0, 0, 1]))
    assert notes == ("one cluster in a stratum: its variation is not counted",)


@pytest.mark.parametrize(
    ("values", "message"),
    [({}, "no metric 'x'; it returns nothing"), ({"x": np.ones((2, 2))}, r"of shape \(2, 2\); it must be \(2,\)")],
)
def test_a_reduction_that_does_not_fit(tables, values, message):
    with pytest.raises(SettingError, match=message):
        weights.reduce_blocks(tables.mean([1, 2]), lambda _, __: values, iter([np.ones((2, 2))]), ["x"])


def many_recordings(count: int) -> ScoreTable:
    rng = np.random.default_rng(7)
    words = 1.0 + rng.negative_binomial(2, 2 / 11, count)
    errors = rng.poisson(0.1 * words * rng.gamma(1, 1, count)).astype(np.float64)
    zeros = np.zeros(count, np.int64)
    return ScoreTable({"errors": errors, "words": words}, np.arange(count), zeros, zeros)


def test_very_many_clusters_are_dealt_to_groups_whatever_their_order() -> None:
    table = many_recordings(12_000)
    units, _ = weights.resampling_units(table)
    assert units.clusters == weights.DEALT_GROUPS
    assert np.bincount(units.cluster).tolist() == [6] * weights.DEALT_GROUPS
    order = np.random.default_rng(1).permutation(len(table))
    moved = ScoreTable({name: column[order] for name, column in table.counts.items()}, table.cluster,
                       table.stratum, table.cluster_strata)  # fmt: skip
    again, _ = weights.resampling_units(moved)
    np.testing.assert_array_equal(units.cluster_sums("errors"), again.cluster_sums("errors"))


def test_dealt_groups_stay_in_their_stratum_and_keep_its_share() -> None:
    table = many_recordings(12_000)
    strata = (np.arange(12_000) % 4 == 0).astype(np.int64)
    units = weights.dealt(ScoreTable(table.counts, table.cluster, strata, strata))
    np.testing.assert_array_equal(units.cluster_strata[units.cluster], strata)
    assert np.bincount(units.cluster_strata).tolist() == [1500, 500]


def test_dealing_leaves_the_spread_of_a_rate_as_it_is() -> None:
    table = many_recordings(12_000)

    def spread(units: ScoreTable) -> float:
        drawn = [
            weights.ratio_of_sums(units, block, "errors", "words")
            for block in weights.bootstrap_weights(units.cluster_strata, 2000, 3)
        ]
        return float(np.std(np.concatenate(drawn)))

    assert spread(weights.dealt(table)) == pytest.approx(spread(weights.canonical(table)), rel=0.08)
