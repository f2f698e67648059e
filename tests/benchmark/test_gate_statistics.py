"""Losses, their p, bounds and what could be seen: by hand, against the paired comparison, by simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.gate_statistics import Loss, detectable_loss, loss_bound, loss_p, measure_losses
from audiometry.benchmark.stats import compare_tables, mean_of, ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable
from audiometry.tasks.metrics.detection_resampling import resampled_equal_error_rate

WER = Metric("wer", scale="log", events="errors")
MOS = Metric("mos", unit="points", direction="higher", low=1.0, high=5.0)
EER = Metric("eer", scale="logit", high=1.0)


def table(errors: Any, words: Any, clusters: Any = None) -> ScoreTable:
    clusters = np.arange(len(errors)) if clusters is None else np.asarray(clusters)
    zeros = np.zeros(len(errors), int), np.zeros(int(clusters.max(initial=-1)) + 1, int)
    return ScoreTable({"errors": np.asarray(errors, float), "words": np.asarray(words, float)}, clusters, *zeros)


def reduce(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(units, weights, "errors", "words"), "mos": mean_of(units, weights, "errors")}


def loss_of(first: ScoreTable, second: ScoreTable, metric: Metric = WER) -> Loss:
    return measure_losses(first, second, reduce, [metric], seed=0)[metric.name]


def pair(seed: int = 0, count: int = 200, up: int = 0) -> tuple[ScoreTable, ScoreTable]:
    rng = np.random.default_rng(seed)
    words = rng.integers(2, 15, count)
    before = rng.poisson(0.1 * words)
    after = np.maximum(before + rng.choice([-1, 0, 0, 0, 1], count), 0)
    after[:up] += 1
    return table(before, words), table(after, words)


def test_the_error_is_that_of_the_paired_comparison() -> None:
    first, second = pair(up=30)
    found, compared = loss_of(first, second), compare_tables(first, second, reduce, WER, seed=0, resamples=4000)
    assert found.loss == pytest.approx(compared.difference)
    assert compared.high is not None
    assert compared.difference is not None
    assert found.error == pytest.approx((compared.high - compared.difference) / 1.97, rel=0.08)
    assert loss_p(found, 0.0) == pytest.approx(compared.p / 2, rel=0.5)


def test_higher_is_better_turns_the_sign() -> None:
    first, second = table([4.0, 3, 5, 4] * 5, [1] * 20), table([3.0, 3, 4, 4] * 5, [1] * 20)
    found = loss_of(first, second, MOS)
    assert (found.baseline, found.candidate, found.loss) == (4.0, 3.5, 0.5)
    assert found.reach == pytest.approx(2.5), "down to 1"
    assert loss_p(found, 0.0) == pytest.approx(0.5**10)
    assert loss_p(loss_of(second, first, MOS), 0.0) == 1.0


def test_few_clusters_take_the_jackknife() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(6), 30)
    first = table(rng.poisson(1, 180), [10] * 180, clusters)
    second = replace(first, counts={**first.counts, "errors": first.counts["errors"] + rng.poisson(0.3, 180)})
    found = loss_of(first, second)
    assert found.moves is None
    assert found.freedom == pytest.approx(5.0)
    assert 0 < loss_p(found, 0.0) < 0.01
    assert loss_p(found, 0.03) > 0.01


def test_pooled_error_rates_take_the_bootstrap() -> None:
    def eer(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        bona_fide = units.counts["bona_fide"] > 0
        return {"eer": resampled_equal_error_rate(units.counts["score"], bona_fide, units.cluster, weights)}

    rng = np.random.default_rng(0)
    bona_fide = (np.arange(400) < 200) * 1.0
    strata = (bona_fide == 0).astype(int)
    noise = rng.normal(size=400)
    tables = [
        ScoreTable({"score": scores, "bona_fide": bona_fide}, np.arange(400), strata, strata)
        for scores in (2.5 * bona_fide + noise, 100 + 9 * (1.2 * bona_fide + noise))
    ]
    found = measure_losses(*tables, eer, [EER], seed=0, resamples=500)["eer"]
    compared = compare_tables(*tables, eer, EER, seed=0, resamples=500)
    assert found.moves is None
    assert found.samples == 200, "the smaller class"
    assert loss_p(found, 0.0) == pytest.approx(compared.p / 2, rel=1e-6)
    stated = detectable_loss(found, 0.0, 0.04)
    assert stated is not None
    assert found.error is not None
    assert 2.5 * found.error < stated < 4 * found.error


def test_undefined_and_empty() -> None:
    nothing = table([], [])
    (found,) = measure_losses(nothing, nothing, reduce, [WER], seed=0).values()
    assert (found.loss, found.notes) == (None, ("no samples",))
    silent = table([0, 1] * 10, [0] * 20)
    found = loss_of(silent, silent)
    assert "undefined" in found.notes
    assert (loss_p(found, 0.0), loss_bound(found, 0.9), detectable_loss(found, 0.0, 0.04)) == (1.0, None, None)
    lone = loss_of(table([1], [5]), table([2], [5]))
    assert "one recording" in lone.notes
    assert loss_p(lone, 0.0) == 1.0


def test_mostly_undefined_resamples() -> None:
    first = table([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0])

    def rare(units: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        values = ratio_of_sums(units, weights, "errors", "words")
        return {"wer": np.where(weights.min(axis=1) > 0, values, np.nan)}

    found = measure_losses(first, first, rare, [WER], seed=0)["wer"]
    assert "most resamples are undefined" in found.notes
    assert found.error is None


def test_the_same_samples_are_required() -> None:
    with pytest.raises(DataError, match="do not hold the same samples"):
        loss_of(table([1, 2], [3, 3]), table([1, 2, 3], [3, 3, 3]))
    with pytest.raises(SettingError, match="resamples are too few"):
        measure_losses(*pair(), reduce, [WER], seed=0, resamples=10)
    with pytest.raises(SettingError, match=r"level 0\.7 of a one-sided test"):
        detectable_loss(loss_of(*pair()), 0.0, 0.7)


def test_unchanged_answers_by_hand() -> None:
    first = table([1, 0] * 50, [10] * 100)
    found = loss_of(first, first)
    assert (found.loss, found.error, found.changed) == (0.0, 0.0, 0)
    # 1 - 0.1^(1/100) of the clips may have changed, each to 100 %
    assert loss_bound(found, 0.9) == pytest.approx((1 - 0.1**0.01) * 0.95)
    # five changed clips of one sign are needed at 1/25; that many come with 80 % if a share s changes
    stated = detectable_loss(found, 0.0, 0.04)
    assert stated is not None
    share = stated / 0.95
    assert 1 - binom.cdf(4, 100, share) >= 0.8 - 1e-6


def test_a_uniform_shift_is_seen_though_nothing_varies() -> None:
    first = table([1] * 60, [10] * 60)
    second = table([2] * 60, [10] * 60)
    found = loss_of(first, second)
    assert found.error == 0.0
    assert loss_p(found, 0.0) == pytest.approx(0.5**60)
    assert loss_p(found, 0.2) == 1.0
    few = loss_of(table([1] * 6, [10] * 6), table([2] * 6, [10] * 6))
    assert few.moves is None
    assert (loss_p(few, 0.0), loss_p(few, 0.2)) == (0.5**6, 1.0)


def test_shares_are_of_words_where_the_metric_counts_words() -> None:
    first, second = pair()
    words = np.sort(first.counts["words"] / first.counts["words"].sum())
    np.testing.assert_allclose(np.sort(loss_of(first, second).shares), words)
    np.testing.assert_allclose(loss_of(first, second, MOS).shares, 1 / 200)


@given(st.integers(0, 1000), st.floats(0.0, 0.05), st.floats(0.001, 0.02))
@settings(max_examples=30, deadline=None)
def test_properties(seed: int, margin: float, more: float) -> None:
    first, second = pair(seed, 60, up=seed % 20)
    found = loss_of(first, second)
    p = loss_p(found, margin)
    assert 0 <= p <= 1
    assert loss_p(found, margin + more) >= p * 0.99, "a larger margin is harder to exceed"
    low, high = loss_bound(found, 0.8), loss_bound(found, 0.95)
    assert low is not None
    assert high is not None
    assert found.loss is not None
    assert found.loss <= low <= high
    stated = [detectable_loss(found, margin, alpha) for alpha in (0.04, 0.004)]
    if stated[1] is not None:
        assert stated[0] is not None
        assert margin < stated[0] <= stated[1], "more checks see less"


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_labels_matter(seed: int) -> None:
    first, second = pair(seed, 50, up=5)
    order = np.random.default_rng(seed).permutation(50)
    turned = [
        replace(one, counts={name: column[order] for name, column in one.counts.items()}) for one in (first, second)
    ]
    found, other = loss_of(first, second), loss_of(*turned)
    assert found.loss == pytest.approx(other.loss)
    assert loss_p(found, 0.0) == pytest.approx(loss_p(other, 0.0))
    assert found.error == pytest.approx(other.error)


def test_swapping_the_models_turns_the_loss() -> None:
    first, second = pair(3, up=10)
    there, back = loss_of(first, second), loss_of(second, first)
    assert there.loss is not None
    assert back.loss == pytest.approx(-there.loss)
    assert back.error == pytest.approx(there.error, rel=0.01)


@pytest.mark.slow
def test_the_stated_loss_is_found_and_no_loss_is_not() -> None:
    """300 pairs: no change is called a loss in at most 5 %, the stated loss in at least 80 %, less three errors."""
    count = 100
    words = np.random.default_rng(0).integers(2, 15, count)

    def losses(extra: float) -> list[Loss]:
        found = []
        for seed in range(300):
            rng = np.random.default_rng([seed, count])
            hard = rng.gamma(1.0, 1.0, count) * 0.1 * words
            before, after = rng.poisson(hard), rng.poisson(hard) + rng.poisson(extra * words)
            found.append(loss_of(table(before, words), table(after, words)))
        return found

    none = losses(0.0)
    assert np.mean([loss_p(one, 0.0) <= 0.04 for one in none]) <= 0.04 + 0.034
    stated = [one for one in (detectable_loss(found, 0.0, 0.04) for found in none) if one is not None]
    assert len(stated) == 300
    assert np.mean([loss_p(one, 0.0) <= 0.04 for one in losses(float(np.mean(stated)))]) >= 0.8 - 0.07
