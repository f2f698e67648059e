"""Quick draws of many clusters have the distribution of counted draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from audiometry.benchmark.stats import draws
from audiometry.benchmark.stats.weights import bootstrap_weights


def rows_of(generator, rows, size):
    counts = np.empty((rows, size))
    draws.fill_counts(generator, counts)
    return counts


@pytest.mark.parametrize("size", [1, 7, draws.MANY - 1, draws.MANY, 45_003])
def test_every_row_holds_as_many_draws_as_clusters(size):
    counts = rows_of(np.random.default_rng(size), 3, size)
    assert (counts.sum(axis=1) == size).all()
    assert counts.min() >= 0
    assert np.array_equal(counts, np.rint(counts))
    assert size == 1 or not np.array_equal(counts[0], counts[1])


def test_rows_do_not_depend_on_how_many_are_asked_for():
    whole = rows_of(np.random.default_rng(3), 5, draws.MANY)
    generator = np.random.default_rng(3)
    assert np.array_equal(np.concatenate([rows_of(generator, n, draws.MANY) for n in (2, 1, 2)]), whole)


def test_strata_of_many_clusters_have_their_own_draws():
    strata = np.repeat([0, 1, 2], [draws.MANY, 6, draws.MANY + 1])
    rows = np.concatenate(list(bootstrap_weights(strata, 4, 1)))
    for stratum in range(3):
        assert (rows[:, strata == stratum].sum(axis=1) == np.sum(strata == stratum)).all()


@pytest.mark.parametrize("margin", [0.3, 2.0])
def test_joint_distribution_by_hand(monkeypatch, margin):
    """A margin so small that rows are thrown away, or so large that most draws are made one by one."""
    monkeypatch.setattr(draws, "MANY", 6)
    monkeypatch.setattr(draws, "MARGIN", margin)
    rows = rows_of(np.random.default_rng(1), 20_000, 6)
    # how the first two of six clusters share the draws: multinomial with 1/6, 1/6, 4/6
    pairs = [(i, j) for i in range(4) for j in range(4)]
    expected = [
        20_000 * math.factorial(6) / (math.factorial(i) * math.factorial(j) * math.factorial(6 - i - j))
        * (1 / 6) ** (i + j) * (4 / 6) ** (6 - i - j)
        for i, j in pairs
    ]  # fmt: skip
    seen = [np.sum((rows[:, 0] == i) & (rows[:, 1] == j)) for i, j in pairs]
    rest = 20_000 - sum(expected), 20_000 - sum(seen)
    assert scipy.stats.chisquare([*seen, rest[1]], [*expected, rest[0]]).pvalue > 1e-4


def test_counts_of_many_clusters_are_binomial():
    size, count = draws.MANY, 400
    rows = rows_of(np.random.default_rng(5), count, size)
    seen = np.bincount(rows.astype(np.int64).ravel(), minlength=9)
    expected = scipy.stats.binom.pmf(np.arange(8), size, 1 / size) * size * count
    # the counts of one row hang together: the share of clusters drawn k times varies less than independent ones would
    assert np.abs(seen[:8] - expected).max() < 4 * np.sqrt(expected.max())
    assert seen[7:].sum() == pytest.approx(size * count * scipy.stats.binom.sf(6, size, 1 / size), rel=0.25)
    # clusters anywhere in the row, and neighbours, behave alike
    assert rows[:, : size // 2].sum() / count / size == pytest.approx(0.5, abs=0.0015)
    assert np.mean((rows[:, ::2] - 1) * (rows[:, 1::2] - 1)) == pytest.approx(
        -1 / size, abs=4 / np.sqrt(size * count / 2)
    )


def test_table_holds_the_poisson_distribution_to_the_last_bit():
    mean = 0.96
    table, cumulative = draws._poisson_table(mean)
    assert cumulative == pytest.approx(scipy.stats.poisson.cdf(np.arange(30), mean), abs=1e-15)
    sure = np.flatnonzero(table != draws.UNSURE)
    for shift in (0, 1 - 1e-9):
        assert np.array_equal(table[sure], scipy.stats.poisson.ppf((sure + max(shift, 1e-9)) / 65536, mean))
    assert len(sure) > 65536 - 12
