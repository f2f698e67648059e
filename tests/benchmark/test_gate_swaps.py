"""Signs of contributions: against binomial tests, full enumeration, the library's permutation test, and brute force."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from audiometry.benchmark.gate_swaps import contributions, swap_critical, swap_p
from audiometry.benchmark.stats import mean_of, permutation_test, ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable
from audiometry.tasks.metrics.detection_resampling import resampled_equal_error_rate

WER = Metric("wer", scale="log", events="errors")


def table(errors: Any, words: Any, clusters: Any = None) -> ScoreTable:
    count = len(errors)
    clusters = np.arange(count) if clusters is None else np.asarray(clusters)
    zeros = np.zeros(count, int), np.zeros(int(clusters.max()) + 1, int)
    return ScoreTable({"errors": np.asarray(errors, float), "words": np.asarray(words, float)}, clusters, *zeros)


def wer(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(units, weights, "errors", "words")}


def brute(moves: FloatArray) -> float:
    sums = [np.dot(signs, np.abs(moves)) for signs in itertools.product((-1, 1), repeat=len(moves))]
    return float(np.mean(np.array(sums) >= moves.sum() - 1e-9))


@pytest.mark.parametrize(("up", "down"), [(5, 0), (9, 3), (14, 4), (30, 10), (260, 200)])
def test_equal_sizes_are_a_binomial_test(up: int, down: int) -> None:
    moves = np.concatenate([np.full(up, 0.003), np.full(down, -0.003), np.zeros(50)])
    expected = binomtest(up, up + down, alternative="greater").pvalue
    assert swap_p(moves) == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_whole_numbers_against_every_sign(numbers: list[int]) -> None:
    moves = np.array(numbers, float)
    if moves.sum() > 0:
        assert swap_p(moves / 7) == pytest.approx(brute(moves[moves != 0]), abs=1e-12)
    else:
        assert swap_p(moves / 7) == 1.0


@given(st.integers(0, 2**32 - 1), st.integers(17, 19), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_the_saddlepoint_against_every_sign(seed: int, count: int, negative: int) -> None:
    moves = np.random.default_rng(seed).gamma(2.0, 1.0, count)
    moves[:negative] *= -1
    sums = np.zeros(1)
    for size in np.abs(moves):
        sums = np.concatenate([sums + size, sums - size])
    exact = float(np.mean(sums >= moves.sum() - 1e-9)) if moves.sum() > 0 else 1.0
    assert swap_p(moves) == pytest.approx(exact, rel=0.3 if exact > 100 * 0.5**count else 1.0)


def test_the_saddlepoint_against_a_million_signs() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.gamma(1.0, 1.0, 40) + 0.01
    signs = rng.choice([-1.0, 1.0], (400_000, 40))
    sums = signs @ sizes
    for target in (0.2, 0.05, 0.01, 0.001):
        row = int(np.argsort(sums)[-int(target * len(sums))])
        found = swap_p(signs[row] * sizes)
        assert found == pytest.approx(target, rel=0.12), target


def test_whole_numbers_and_nearly_whole_ones_agree() -> None:
    rng = np.random.default_rng(5)
    moves = rng.choice([-2.0, -1.0, 1.0, 2.0], 300, p=[0.2, 0.25, 0.3, 0.25])
    exact, rough = swap_p(moves), swap_p(moves + 1e-4 * rng.normal(size=300))
    assert rough == pytest.approx(exact, rel=0.15)


def test_extremes() -> None:
    assert swap_p(np.zeros(5)) == 1.0
    assert swap_p(np.empty(0)) == 1.0
    assert swap_p(np.ones(30)) == pytest.approx(0.5**30)
    uneven = np.linspace(1.0, 1.5, 30) * np.pi
    assert swap_p(uneven) == pytest.approx(0.5**30, rel=0.5)
    assert swap_p(-uneven) == 1.0


@given(st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=40), st.floats(0.01, 1000))
@settings(deadline=None)
def test_the_unit_does_not_matter(moves: list[float], unit: float) -> None:
    array = np.array(moves)
    array[np.abs(array) < 1e-6] = 0.0
    first, second = swap_p(array), swap_p(array * unit)
    assert 0 < first <= 1
    assert second == pytest.approx(first, rel=1e-6)
    assert swap_p(array[::-1]) == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_the_critical_sum(alpha: float) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.gamma(1.0, 1.0, 60)
    sums = rng.choice([-1.0, 1.0], (300_000, 60)) @ sizes
    assert swap_critical(sizes, alpha) == pytest.approx(float(np.quantile(sums, 1 - alpha)), rel=0.03)
    assert swap_critical(np.zeros(3), alpha) == 0.0
    assert swap_critical(np.ones(2), alpha) <= 2.0


def test_contributions_of_a_ratio_are_its_differences() -> None:
    rng = np.random.default_rng(1)
    words = rng.integers(1, 20, 40)
    first, second = table(rng.poisson(1, 40), words), table(rng.poisson(1, 40), words)
    found = contributions(first, second, wer, WER)
    assert found is not None
    np.testing.assert_allclose(found, (second.counts["errors"] - first.counts["errors"]) / words.sum(), atol=1e-12)


def test_contributions_by_cluster() -> None:
    clusters = [0, 0, 1, 1, 2, 2]
    first, second = table([1, 0, 0, 0, 2, 1], [5] * 6, clusters), table([1, 2, 0, 0, 1, 1], [5] * 6, clusters)
    found = contributions(first, second, wer, WER)
    assert found is not None
    np.testing.assert_allclose(found, np.array([2, 0, -1]) / 30, atol=1e-12)


def test_pooled_error_rates_on_different_scales_do_not_add_up() -> None:
    """A threshold over all scores means nothing once the scores are of two models with different scales."""

    def pooled(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        bona_fide = units.counts["bona_fide"] > 0
        return {"eer": resampled_equal_error_rate(units.counts["score"], bona_fide, units.cluster, weights)}

    rng = np.random.default_rng(0)
    bona_fide = (np.arange(80) < 40) * 1.0
    scores = bona_fide * 2 + rng.normal(size=80)
    samples = np.arange(80), np.zeros(80, int), np.zeros(80, int)
    first, second = (ScoreTable({"score": s, "bona_fide": bona_fide}, *samples) for s in (scores, 100 + 9 * scores))
    assert contributions(first, second, pooled, Metric("eer")) is None


def test_undefined_values_have_no_contributions() -> None:
    def broken(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        values = mean_of(units, weights, "errors")
        return {"wer": np.where(weights[:, 0] == 1, values, np.nan)}

    first, second = table([1, 2, 3], [5] * 3), table([2, 2, 3], [5] * 3)
    assert contributions(first, second, broken, WER) is None


def test_agrees_with_the_two_sided_permutation_test() -> None:
    rng = np.random.default_rng(2)
    words = rng.integers(3, 12, 12)
    before = rng.poisson(1.5, 12)
    first, second = table(before, words), table(before + rng.choice([0, 1, 1, 2], 12), words)
    moves = contributions(first, second, wer, WER)
    assert moves is not None
    two_sided = permutation_test(first, second, wer, WER, seed=0)
    assert swap_p(moves) == pytest.approx(two_sided / 2, rel=1e-6)
