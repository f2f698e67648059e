from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.memory import fit_power_law


def test_the_law_is_scipys_line_through_the_logarithms() -> None:
    generator = np.random.default_rng(3)
    sizes = np.array([1.0, 1.0, 10.0, 60.0, 600.0, 3600.0])
    values = 5.0 * sizes**0.7 * np.exp(0.1 * generator.standard_normal(6))
    law = fit_power_law(sizes, values)
    line = linregress(np.log(sizes), np.log(values))
    assert law.exponent == pytest.approx(line.slope)
    assert law.factor == pytest.approx(np.exp(line.intercept))
    margin = t.ppf(0.975, 4) * line.stderr
    assert (law.low, law.high) == pytest.approx((line.slope - margin, line.slope + margin))
    assert law.points == 6


@given(st.floats(-2, 3), st.floats(0.01, 100), st.floats(0.1, 50))
def test_an_exact_law_is_found_in_any_unit(exponent: float, factor: float, unit: float) -> None:
    sizes = np.array([1.0, 3.0, 30.0])
    law = fit_power_law(sizes * unit, factor * sizes**exponent)
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.low <= law.exponent + 1e-6
    assert law.exponent - 1e-6 <= law.high


def test_two_points_have_no_interval() -> None:
    law = fit_power_law([1, 2], [1.0, 4.0])
    assert law.exponent == pytest.approx(2.0)
    assert np.isnan([law.low, law.high]).all()


def test_the_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    sizes = np.array([1.0, 10.0, 60.0, 600.0, 3600.0])
    covered = 0
    for _ in range(1000):
        law = fit_power_law(sizes, sizes**0.5 * np.exp(0.2 * generator.standard_normal(5)))
        covered += law.low <= 0.5 <= law.high
    assert 930 <= covered <= 970


@pytest.mark.parametrize(
    ("sizes", "values", "told"),
    [
        ([1, 2], [1], "as many"),
        ([1, 1], [1, 2], "two different"),
        ([0, 1], [1, 2], "above 0"),
        ([1, 2], [1, 0], "above"),
    ],
)
def test_bad_points_are_told(sizes: list[float], values: list[float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        fit_power_law(sizes, values)
