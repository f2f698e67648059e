from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import linregress, t

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics import memory
from audiometry.tasks.metrics.memory import fit_power_law, peak_bytes


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


def test_the_peak_stays_when_the_memory_is_given_back() -> None:
    before = peak_bytes()
    block = mmap.mmap(-1, 300 * 2**20)
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place] = 1
    block.close()
    after = peak_bytes()
    assert before is not None
    assert after is not None
    assert after >= before
    assert after > 300 * 2**20


def test_processes_below_count() -> None:
    program = "b = bytearray(100 * 2**20); b[::4096] = bytes(len(b[::4096])); print('held', flush=True); input()"
    alone = peak_bytes(os.getpid()) or 0
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert (peak_bytes() or 0) > alone + 100 * 2**20
        assert 100 * 2**20 < (peak_bytes(child.pid) or 0) < 200 * 2**20
        child.communicate(b"\n")
    assert peak_bytes(child.pid) is None


def test_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert peak_bytes() is None
