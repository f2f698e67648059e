from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.extras import require
from audiometry.tasks.metrics.weighting import ratio, sample_weights, weighted_quantiles

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def test_ratio_is_nan_only_where_nothing_is_below():
    got = ratio([[1.0, 2.0], [0.0, 4.0]], [2.0, 0.0])
    np.testing.assert_array_equal(got, [[0.5, np.nan], [0.0, np.nan]])


def test_sample_weights_follow_clusters():
    table = ScoreTable({}, np.array([1, 0, 1]), np.zeros(3, int), np.zeros(2, int))
    rows = list(sample_weights(table, np.array([[2.0, 5.0], [0.0, 1.0]])))
    np.testing.assert_array_equal(rows, [[5, 2, 5], [1, 0, 1]])


@given(VALUES, st.data())
@settings(deadline=None, max_examples=200)
def test_whole_weights_equal_numpys_percentile_of_repeated_values(values, data):
    weights = data.draw(st.lists(st.integers(0, 4), min_size=len(values), max_size=len(values)))
    fractions = data.draw(st.lists(st.floats(0, 1), min_size=1, max_size=4))
    got = weighted_quantiles(values, weights, fractions)
    if sum(weights) == 0:
        assert np.isnan(got).all()
        return
    expected = np.quantile(np.repeat(values, weights), fractions, method="linear")
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-7)


def test_a_left_out_cluster_with_the_others_weighted_up_gives_the_median_of_the_others():
    # the jackknife's weights: 5 values, one left out, the rest at 5/4
    got = weighted_quantiles([1.0, 2.0, 3.0, 4.0, 99.0], [1.25, 1.25, 1.25, 1.25, 0.0], [0.5])
    assert got[0] == pytest.approx(2.5)


def test_quantiles_change_continuously_with_weights():
    values = np.arange(10.0)
    base = weighted_quantiles(values, np.ones(10), [0.3, 0.9])
    moved = weighted_quantiles(values, np.ones(10) + np.linspace(-1e-7, 1e-7, 10), [0.3, 0.9])
    np.testing.assert_allclose(moved, base, atol=1e-5)


def test_infinite_values_count_only_where_they_are_reached():
    values = [1.0, 2.0, np.inf]
    np.testing.assert_array_equal(
        weighted_quantiles(values, [1, 1, 1], [0.0, 0.5, 0.6, 1.0]), [1.0, 2.0, np.inf, np.inf]
    )


def test_no_values_have_no_quantile():
    assert np.isnan(weighted_quantiles([], [], [0.5])).all()


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    with pytest.raises(UserError, match=r"'pesq'.*pip install 'audiometry\[quality\]'"):
        require("pesq", "quality")


def test_a_package_that_misses_another_keeps_its_own_error(monkeypatch, tmp_path):
    (tmp_path / "broken_package_for_test.py").write_text("import a_package_that_nobody_has\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        require("broken_package_for_test", "quality")
