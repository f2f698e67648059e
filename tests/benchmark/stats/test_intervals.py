from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import Metric

WER = Metric("wer", scale="log", events="errors")
MEAN = Metric("x", low=-np.inf, unit="dB")


def wer_of(tables, table, **settings):
    return intervals(table, tables.reduce_wer, [WER], seed=3, **settings)["wer"]


def mean_of_x(tables, table, **settings):
    return intervals(table, tables.reduce_mean, [MEAN], seed=3, **settings)["x"]


@pytest.mark.parametrize("units", [2, 5, 9])
def test_below_ten_units_the_t_form_of_a_mean_is_students(tables, units):
    x = np.random.default_rng(units).normal(3, 1, units)
    found = mean_of_x(tables, tables.mean(x))
    expected = scipy.stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.method, found.clusters, found.value) == ("t", units, pytest.approx(x.mean()))


def test_from_ten_units_it_is_students_within_the_resamples_chance(tables):
    x = np.random.default_rng(0).normal(3, 1, 40)
    found = mean_of_x(tables, tables.mean(x), resamples=40_000)
    expected = scipy.stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_equal_clusters_are_as_good_as_their_means(tables):
    means = np.random.default_rng(5).normal(3, 1, 8)
    found = mean_of_x(tables, tables.mean(np.repeat(means, 50), cluster=np.repeat(np.arange(8), 50)))
    expected = scipy.stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (found.low, found.high, found.clusters) == (pytest.approx(expected.low), pytest.approx(expected.high), 8)


def test_log_scale_is_symmetric_in_ratio(tables):
    found = wer_of(tables, tables.speech(1))
    assert found.value / found.low == pytest.approx(found.high / found.value)


def test_strata_are_held_fixed(tables):
    # all variation is between the strata: none is left within, so resamples are alike
    x = np.repeat([1.0, 5.0], 50)
    fixed = mean_of_x(tables, tables.mean(x, stratum=np.repeat([0, 1], 50)))
    free = mean_of_x(tables, tables.mean(x))
    assert (fixed.method, fixed.low, fixed.high) == ("exact", 3.0, 3.0)
    assert free.high - free.low > 0.5


def test_automatic_methods(tables):
    few, many = tables.speech(1, speakers=199, each=1), tables.speech(1, speakers=200, each=1)
    linear = replace(WER, scale="linear")
    for table, metric, expected in ((few, WER, "t"), (few, linear, "t"), (many, WER, "t"), (many, linear, "bca")):
        assert intervals(table, tables.reduce_wer, [metric], seed=1)["wer"].method == expected


def test_methods_agree_where_all_is_well(tables):
    table = tables.speech(2, speakers=400)
    found = [wer_of(tables, table, method=method) for method in ("t", "percentile", "bca")]
    width = found[0].high - found[0].low
    for other in found[1:]:
        assert (other.low, other.high) == pytest.approx((found[0].low, found[0].high), abs=0.1 * width)


@pytest.mark.parametrize("method", ["auto", "percentile", "bca", "t"])
@pytest.mark.parametrize("speakers", [7, 60])
def test_order_of_samples_and_labels_decides_nothing(tables, method, speakers):
    table = tables.speech(0, speakers=speakers)
    rng = np.random.default_rng(9)
    order, names = rng.permutation(len(table)), rng.permutation(table.clusters)
    shuffled = tables.of({name: x[order] for name, x in table.counts.items()}, names[table.cluster][order])
    assert wer_of(tables, table, method=method) == wer_of(tables, shuffled, method=method)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 50), shift=st.floats(-100, 100))
def test_shift_and_scale_of_a_mean(tables, seed, scale, shift):
    x = np.random.default_rng(seed).exponential(1, 25)
    plain, moved = (mean_of_x(tables, tables.mean(values), resamples=200) for values in (x, scale * x + shift))
    for side in ("value", "low", "high"):
        assert getattr(moved, side) == pytest.approx(scale * getattr(plain, side) + shift, rel=1e-6, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), times=st.integers(2, 9))
def test_scale_of_a_ratio(tables, seed, times):
    table = tables.speech(seed, speakers=12)
    many = replace(table, counts={"errors": times * table.counts["errors"], "words": table.counts["words"]})
    plain, more = wer_of(tables, table, resamples=200), wer_of(tables, many, resamples=200)
    assert (more.low, more.high) == pytest.approx((times * plain.low, times * plain.high))


def test_levels_nest(tables):
    table = tables.speech(4)
    inner, outer = wer_of(tables, table, level=0.8), wer_of(tables, table, level=0.99)
    assert outer.low < inner.low < inner.value < inner.high < outer.high


def test_oracle_and_silent_have_narrow_honest_intervals(tables):
    words = np.full(300, 8)
    oracle = wer_of(tables, tables.of({"errors": np.zeros(300), "words": words}))
    assert (oracle.value, oracle.low, oracle.method) == (0.0, 0.0, "exact")
    assert oracle.high == pytest.approx(1 - 0.025 ** (1 / 300))  # about 3.7 / 300
    assert oracle.notes == ("under ten expected errors", "all resamples alike: exact bound")
    silent = wer_of(tables, tables.of({"errors": words, "words": words}))
    assert (silent.value, silent.high) == (1.0, 1.0)
    assert silent.low == pytest.approx(0.025 ** (1 / 300))
    loud = wer_of(tables, tables.of({"errors": 3 * words, "words": words}))
    assert (loud.low, loud.value, loud.high) == (pytest.approx(3 * 0.025 ** (1 / 300)), 3.0, 3.0)


def test_the_exact_bound_goes_by_the_smallest_class(tables):
    counts = {"x": np.zeros(60)}
    table = tables.of(counts, stratum=np.repeat([0, 1], [50, 10]))
    found = intervals(table, tables.reduce_mean, [Metric("x", scale="logit", high=1.0)], seed=1)["x"]
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_under_five_speakers_resamples_recordings(tables):
    found = wer_of(tables, tables.speech(1, speakers=4, each=100))
    assert (found.clusters, found.notes) == (400, ("these speakers only",))
    assert wer_of(tables, tables.speech(1, speakers=5, each=80)).clusters == 5


def test_under_ten_errors_is_marked(tables):
    errors = np.zeros(100)
    errors[:9] = 1
    few = wer_of(tables, tables.of({"errors": errors, "words": np.full(100, 9)}))
    assert few.notes == ("under ten expected errors",)
    errors[9] = 1
    assert wer_of(tables, tables.of({"errors": errors, "words": np.full(100, 9)})).notes == ()


@pytest.mark.parametrize(
    ("direction", "rate", "marked"),
    [
        ("lower", 0.08, ("under ten expected errors",)),
        ("lower", 0.12, ()),
        ("higher", 0.92, ("under ten expected errors",)),
        ("higher", 0.88, ()),
        ("higher", 0.08, ("under ten expected successes",)),
    ],
)
def test_under_ten_errors_in_the_smaller_class_is_marked(tables, direction, rate, marked):
    x = (np.arange(500) % 100) < 100 * rate
    table = tables.mean(x, stratum=np.repeat([0, 1], [400, 100]))
    metric = Metric("x", scale="logit", high=1.0, direction=direction)
    found = intervals(table, tables.reduce_mean, [metric], seed=1)["x"]
    assert found.notes == marked


def test_few_trials_can_lack_errors_and_successes(tables):
    metric = Metric("x", scale="logit", high=1.0)
    found = intervals(tables.mean(np.arange(15) % 2), tables.reduce_mean, [metric], seed=1)["x"]
    assert found.notes == ("under ten expected errors and successes",)


def test_no_samples_undefined_and_one_recording(tables):
    empty = wer_of(tables, tables.of({"errors": np.zeros(0), "words": np.zeros(0)}))
    assert (empty.value, empty.low, empty.notes) == (None, None, ("no samples",))
    nothing = wer_of(tables, tables.of({"errors": np.zeros(9), "words": np.zeros(9)}))
    assert (nothing.value, nothing.high, nothing.notes) == (None, None, ("undefined",))
    one = wer_of(tables, tables.of({"errors": np.full(1, 20), "words": np.full(1, 40)}))
    assert (one.value, one.low, one.high, one.notes) == (0.5, None, None, ("one recording",))


def test_undefined_resamples_are_told(tables):
    words = np.zeros(12)
    words[:2] = 100
    some = wer_of(tables, tables.of({"errors": words / 5 + np.arange(12) % 2, "words": words}))
    assert some.notes[-1].endswith("% of resamples undefined")
    assert float(some.notes[-1].split("%")[0]) == pytest.approx(100 * (10 / 12) ** 12, abs=3)
    words[1] = 0

    def mostly_undefined(table, rows):
        values = tables.reduce_wer(table, rows)["wer"]
        return {"wer": np.where((rows == 1).all(axis=1), values, np.nan)}

    found = intervals(tables.speech(1), mostly_undefined, [WER], seed=1)["wer"]
    assert (found.low, found.method, found.notes) == (None, "none", ("most resamples are undefined",))
    assert found.value is not None


def test_bounds_stay_in_range_and_around_the_value(tables):
    x = np.ones(60)
    x[0] = 0
    metric = Metric("x", high=1.0, direction="higher")
    for method in ("t", "percentile", "bca"):
        found = intervals(tables.mean(x), tables.reduce_mean, [metric], seed=1, method=method)["x"]
        assert 0 <= found.low < found.value <= found.high <= 1


def test_several_metrics_share_their_resamples(tables):
    table = tables.speech(3)
    calls = []

    def both(part, rows):
        calls.append(len(rows))
        wer = tables.reduce_wer(part, rows)["wer"]
        return {"wer": wer, "accuracy": 1 - wer}

    metrics = [WER, Metric("accuracy", low=-np.inf)]
    found = intervals(table, both, metrics, seed=1, resamples=500)
    assert sum(calls) == 501
    assert found["accuracy"].value == pytest.approx(1 - found["wer"].value)
    assert found["wer"] == intervals(table, tables.reduce_wer, [WER], seed=1, resamples=500)["wer"]


@pytest.mark.parametrize("settings", [{"level": 1.0}, {"level": 0.0}, {"resamples": 99}])
def test_settings_out_of_range(tables, settings):
    with pytest.raises(SettingError, match="usual"):
        wer_of(tables, tables.speech(1), **settings)


def test_many_clusters_are_grouped_for_the_acceleration(tables):
    rng = np.random.default_rng(0)
    x = rng.exponential(1, 2500)
    found = mean_of_x(tables, tables.mean(x), method="bca", resamples=4000)
    scipys = scipy.stats.bootstrap((x,), np.mean, n_resamples=4000, rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), abs=0.006)
