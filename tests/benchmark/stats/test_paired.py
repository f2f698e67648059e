from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import compare_tables, holm, permutation_test
from audiometry.benchmark.types import Metric

WER = Metric("wer", scale="log", events="errors")
MEAN = Metric("x", unit="dB", low=-np.inf)


def compare(tables, first, second, metric=WER, **settings):
    reduce = tables.reduce_wer if metric.name == "wer" else tables.reduce_mean
    return compare_tables(first, second, reduce, metric, seed=3, **settings)


@pytest.mark.parametrize("units", [2, 6, 9])
def test_below_ten_units_it_is_the_paired_t_test(tables, units):
    rng = np.random.default_rng(units)
    a, b = rng.normal(0, 1, units), rng.normal(0.4, 1, units)
    found = compare(tables, tables.mean(a), tables.mean(b), MEAN)
    expected = scipy.stats.ttest_rel(b, a)
    bounds = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert (found.difference, found.method, found.clusters) == (pytest.approx((b - a).mean()), "t", units)


def test_from_ten_units_it_is_near_the_paired_t_test(tables):
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 300), rng.normal(0.1, 1, 300)
    found = compare(tables, tables.mean(a), tables.mean(b), MEAN, resamples=20_000)
    assert found.p == pytest.approx(scipy.stats.ttest_rel(b, a).pvalue, rel=0.1)


def test_pairing_sees_what_two_intervals_do_not(tables):
    hard = np.random.default_rng(2).normal(10, 5, 50)
    found = compare(tables, tables.mean(hard), tables.mean(hard - 0.2 * np.random.default_rng(3).random(50)), MEAN)
    assert found.verdict == "better"
    assert found.p < 1e-6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 500), st.sampled_from([6, 25]))
def test_swapping_the_models_mirrors_the_comparison(tables, seed, speakers):
    a, b = (tables.speech(seed, speakers=speakers, rate=rate) for rate in (0.1, 0.12))
    there, back = (compare(tables, *pair, resamples=200) for pair in ((a, b), (b, a)))
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert there.p == pytest.approx(back.p)


def test_order_of_samples_decides_nothing(tables):
    a, b = tables.speech(1, rate=0.1), tables.speech(1, rate=0.13)
    order, names = np.random.default_rng(0).permutation(len(a)), np.random.default_rng(1).permutation(a.clusters)
    mixed = [tables.of({n: x[order] for n, x in t.counts.items()}, names[t.cluster][order]) for t in (a, b)]
    assert compare(tables, a, b) == compare(tables, *mixed)


@pytest.mark.parametrize(
    ("shift", "direction", "margin", "verdict"),
    [
        (1.0, "lower", None, "worse"),
        (1.0, "higher", None, "better"),
        (-1.0, "lower", None, "better"),
        (-1.0, "higher", None, "worse"),
        (0.0, "lower", None, "can't tell"),
        (0.0, "lower", 0.5, "practically equal"),
        (0.2, "lower", 0.5, "practically equal"),  # surely different, and within the margin
        (0.2, "lower", None, "worse"),
        (0.5, "lower", 0.5, "worse"),
        (0.0, "lower", 0.01, "can't tell"),
    ],
)
def test_verdicts(tables, shift, direction, margin, verdict):
    rng = np.random.default_rng(4)
    a = rng.normal(5, 1, 80)
    noise = np.resize([0.2, -0.2], 80)
    found = compare(
        tables, tables.mean(a), tables.mean(a + shift + noise), Metric("x", direction=direction), margin=margin
    )
    assert found.verdict == verdict
    assert found.difference == pytest.approx(shift)


def test_identical_runs_and_opposite_controls(tables):
    words = np.full(50, 8)
    none, every = (tables.of({"errors": errors, "words": words}) for errors in (0 * words, words))
    same = compare(tables, none, none)
    share = 1 - 0.025 ** (1 / 50)
    assert (same.difference, same.p, same.verdict, same.method) == (0, 1, "can't tell", "exact")
    assert (same.low, same.high) == pytest.approx((-share, share))
    assert compare(tables, none, none, margin=0.1).verdict == "practically equal"
    opposite = compare(tables, none, every)
    assert (opposite.difference, opposite.verdict, opposite.high) == (1, "worse", 1)
    assert opposite.low == pytest.approx(1 - 2 * share)
    assert opposite.p == pytest.approx(2 * 0.5**50)


def test_what_cannot_be_compared(tables):
    a = tables.speech(1)
    with pytest.raises(DataError, match=r"same samples \(180 and 90\)"):
        compare(tables, a, tables.speech(1, speakers=15))
    with pytest.raises(DataError, match="same samples"):
        compare(tables, a, tables.of({"x": np.ones(180)}, a.cluster))
    with pytest.raises(SettingError, match="margin -1 is negative"):
        compare(tables, a, a, margin=-1)
    with pytest.raises(SettingError, match="level"):
        compare(tables, a, a, level=2)


def test_nothing_to_tell(tables):
    empty = tables.of({"errors": np.zeros(0), "words": np.zeros(0)})
    assert compare(tables, empty, empty).notes == ("no samples",)
    undefined = tables.of({"errors": np.zeros(9), "words": np.zeros(9)})
    found = compare(tables, undefined, undefined)
    assert (found.difference, found.low, found.p, found.verdict) == (None, None, 1.0, "can't tell")
    one = tables.of({"errors": np.ones(1), "words": np.ones(1)})
    assert compare(tables, one, one).notes == ("under ten expected errors", "one recording")

    def mostly_undefined(table, rows):
        return {"wer": np.where((rows == 1).all(axis=1), 0.5, np.nan)}

    found = compare_tables(tables.speech(1), tables.speech(1), mostly_undefined, WER, seed=1)
    assert found.notes == ("most resamples are undefined",)


def test_few_speakers_are_told(tables):
    found = compare(tables, tables.speech(1, speakers=3), tables.speech(1, speakers=3, rate=0.2))
    assert (found.clusters, found.notes) == (18, ("these speakers only",))


def test_permutation_by_enumeration(tables):
    a, b = np.array([1.0, 2, 4, 3, 2, 5, 1]), np.array([2.0, 2, 5, 5, 1, 9, 3])
    far = [abs(np.dot(signs, b - a)) >= abs((b - a).sum()) - 1e-9 for signs in product([1, -1], repeat=7)]
    found = permutation_test(tables.mean(a), tables.mean(b), tables.reduce_mean, MEAN, seed=1)
    assert found == np.mean(far)


def test_permutation_of_a_ratio_by_enumeration(tables):
    a, b = tables.speech(1, speakers=6, rate=0.1), tables.speech(1, speakers=6, rate=0.15)
    sums = [np.stack([t.cluster_sums("errors"), t.cluster_sums("words")]) for t in (a, b)]

    def difference(swap):
        first, second = (np.where(swap, sums[i], sums[1 - i]).sum(axis=1) for i in (1, 0))
        return second[0] / second[1] - first[0] / first[1]

    swaps = [np.array(swap) for swap in product([False, True], repeat=6)]
    observed = abs(difference(np.zeros(6, bool)))
    expected = np.mean([abs(difference(swap)) >= observed - 1e-12 for swap in swaps])
    assert permutation_test(a, b, tables.reduce_wer, WER, seed=1) == pytest.approx(expected)


def test_random_permutations_are_near_scipys(tables):
    rng = np.random.default_rng(5)
    a, b = rng.normal(0, 1, 40), rng.normal(0.35, 1, 40)
    expected = scipy.stats.permutation_test(
        (b, a), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000,
        rng=np.random.default_rng(6),
    ).pvalue  # fmt: skip
    found = permutation_test(tables.mean(a), tables.mean(b), tables.reduce_mean, MEAN, seed=1, permutations=20_000)
    assert found == pytest.approx(expected, abs=0.01)


def test_permutation_edges(tables):
    x = tables.mean(np.arange(8.0))
    assert permutation_test(x, x, tables.reduce_mean, MEAN, seed=1) == 1.0
    assert permutation_test(x, x, tables.reduce_mean, MEAN, seed=1, permutations=100) == 1.0
    undefined = tables.of({"errors": np.zeros(9), "words": np.zeros(9)})
    assert permutation_test(undefined, undefined, tables.reduce_wer, WER, seed=1) == 1.0
    with pytest.raises(SettingError):
        permutation_test(x, x, tables.reduce_mean, MEAN, seed=1, permutations=10)


def test_holm_by_hand():
    # 0.005·4, 0.01·3, 0.03·2 = 0.06, then no less than it: 0.04·1
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    with pytest.raises(SettingError, match="between 0 and 1"):
        holm([0.5, 1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_holm_rejects_step_by_step(p_values, alpha):
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.add(index)
    assert set(np.flatnonzero(holm(p_values) <= alpha)) == rejected
