from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import Interval, compare_groups, suppress
from audiometry.benchmark.stats.spread import HIGH_SHARE, LOW_SHARE
from audiometry.benchmark.types import Metric

WER = Metric("wer", scale="log", events="errors")
MEAN = Metric("x", unit="points")


def grouped(tables, rates, speakers=25, each=6):
    parts = [tables.speech(10 + i, speakers, each, rate) for i, rate in enumerate(rates)]
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in ("errors", "words")}
    cluster = np.concatenate([part.cluster + i * speakers for i, part in enumerate(parts)])
    return tables.of(counts, cluster), np.repeat([f"g{i}" for i in range(len(rates))], speakers * each)


def wer_of(tables, table, groups, metric=WER, **settings):
    return compare_groups(table, groups, tables.reduce_wer, metric, seed=1, **settings)


def test_values_are_the_groups_own(tables):
    table, groups = grouped(tables, [0.1, 0.2, 0.1])
    found = wer_of(tables, table, groups)
    for name, value in found.values.items():
        rows = groups == name
        assert value == pytest.approx(table.counts["errors"][rows].sum() / table.counts["words"][rows].sum())
    values = sorted(found.values.values())
    assert (found.worst, found.best) == (
        max(found.values, key=found.values.get),
        min(found.values, key=found.values.get),
    )
    assert found.gap.value == pytest.approx(values[-1] - values[0])
    assert found.ratio.value == pytest.approx(values[-1] / values[0])
    assert found.gap.low < found.gap.value < found.gap.high
    assert 1 < found.ratio.low < found.ratio.value < found.ratio.high
    assert 0 < found.variance.low < found.variance.value < found.variance.high


def test_two_groups_are_near_welch(tables):
    rng = np.random.default_rng(1)
    x, y = rng.normal(5.0, 1, 200), rng.normal(6.0, 2, 300)
    table = tables.mean(np.concatenate([x, y]))
    found = compare_groups(table, ["x"] * 200 + ["y"] * 300, tables.reduce_mean, MEAN, seed=1, resamples=20_000)
    # three quarters of the error go to the lower bound, where a gap of either sign counts; little to the upper one
    expected = scipy.stats.ttest_ind(y, x, equal_var=False)
    low = expected.confidence_interval(1 - 2 * LOW_SHARE * 0.05).low
    high = expected.confidence_interval(1 - 2 * HIGH_SHARE * 0.05).high
    assert found.gap.low == pytest.approx(low, abs=0.03 * (high - low))
    assert found.gap.high == pytest.approx(high, abs=0.08 * (high - low))


def test_equal_groups_have_no_sure_gap(tables):
    found = wer_of(tables, *grouped(tables, [0.1] * 6))
    assert found.gap.value > 0
    assert (found.gap.low, found.ratio.low, found.variance.low) == (0, 1, 0)


def test_names_and_order_decide_nothing(tables):
    table, groups = grouped(tables, [0.1, 0.15, 0.12])
    order = np.random.default_rng(0).permutation(len(table))
    mixed = tables.of({n: x[order] for n, x in table.counts.items()}, table.cluster[order])
    found, again = wer_of(tables, table, groups), wer_of(tables, mixed, groups[order])
    assert (found.gap, found.ratio, found.variance) == (again.gap, again.ratio, again.variance)
    # resampling goes by stratum, so other names are other draws
    other = wer_of(tables, table, [{"g0": "z", "g1": "y", "g2": "x"}[name] for name in groups])
    assert other.gap.value == found.gap.value
    assert other.gap.high == pytest.approx(found.gap.high, rel=0.1)


def test_higher_is_better_turns_worst_round(tables):
    table, groups = grouped(tables, [0.1, 0.3])
    lower, higher = (wer_of(tables, table, groups, Metric("wer", direction=way)) for way in ("lower", "higher"))
    assert (lower.worst, lower.best) == (higher.best, higher.worst) == ("g1", "g0")
    assert lower.gap == higher.gap


def test_speakers_in_both_groups_are_paired(tables):
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 5, 60)
    x = np.concatenate([hard + rng.normal(0, 0.1, 60), hard + 0.5 + rng.normal(0, 0.1, 60)])
    groups = ["read"] * 60 + ["spoken"] * 60
    metric = Metric("x", unit="dB", low=-np.inf)
    crossed = compare_groups(tables.mean(x, np.tile(np.arange(60), 2)), groups, tables.reduce_mean, metric, seed=1)
    apart = compare_groups(tables.mean(x), groups, tables.reduce_mean, metric, seed=1)
    assert crossed.gap.clusters == 60
    assert 0.4 < crossed.gap.low < crossed.gap.high < 0.6
    assert apart.gap.low == 0
    assert apart.gap.high > 1
    assert (crossed.ratio.value, crossed.ratio.notes) == (None, ("no ratio: a group has none",))


def test_groups_with_few_samples_are_suppressed(tables):
    table, groups = grouped(tables, [0.1, 0.2, 0.1])
    groups = groups.astype("<U9")
    groups[np.flatnonzero(groups == "g2")[:140]] = ""
    found = wer_of(tables, table, groups)
    assert found.suppressed == ("g2",)
    assert list(found.values) == ["g0", "g1"]
    with pytest.raises(DataError, match="1 of 3 groups have at least 151 samples"):
        wer_of(tables, table, ["a"] * 150 + ["b"] * 149 + ["c"] * 151, minimum=151)


def test_few_speakers_a_group_resamples_recordings(tables):
    found = wer_of(tables, *grouped(tables, [0.1, 0.2], speakers=3, each=40))
    assert found.gap.clusters == 240
    assert "these speakers only" in found.gap.notes


def test_more_than_a_thousand_clusters(tables):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(3, 1, 900), rng.normal(3.3, 1, 900)])
    found = compare_groups(tables.mean(x), ["a"] * 900 + ["b"] * 900, tables.reduce_mean, MEAN, seed=1)
    expected = scipy.stats.ttest_ind(x[900:], x[:900])
    assert found.gap.low == pytest.approx(expected.confidence_interval(1 - 0.1 * LOW_SHARE).low, abs=0.02)
    assert found.gap.high == pytest.approx(expected.confidence_interval(1 - 0.1 * HIGH_SHARE).high, abs=0.03)


def test_no_errors_at_all(tables):
    counts = {"errors": np.zeros(100), "words": np.full(100, 9)}
    found = wer_of(tables, tables.of(counts), ["a"] * 60 + ["b"] * 40)
    assert (found.gap.value, found.gap.low, found.gap.method) == (0, 0, "exact")
    assert found.gap.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert found.ratio.value is None
    assert (found.variance.value, found.variance.low, found.variance.high) == (0, 0, 0)
    assert "under ten expected errors: a, b" in found.gap.notes


def test_one_group_without_errors(tables):
    errors = np.concatenate([np.zeros(50), np.resize([0, 1, 2], 50)])
    found = wer_of(tables, tables.of({"errors": errors, "words": np.full(100, 9)}), ["a"] * 50 + ["b"] * 50)
    assert found.worst == "b"
    assert 0 < found.gap.low < found.gap.value < found.gap.high
    assert found.ratio.value is None
    assert found.gap.notes == ("under ten expected errors: a",)


def test_what_cannot_be_grouped(tables):
    table, groups = grouped(tables, [0.1, 0.2])
    with pytest.raises(DataError, match="one label a sample"):
        wer_of(tables, table, groups[:-1])
    with pytest.raises(SettingError):
        wer_of(tables, table, groups, resamples=3)
    blank = tables.of(
        {"errors": table.counts["errors"], "words": table.counts["words"] * (groups == "g0")}, table.cluster
    )
    with pytest.raises(DataError, match="undefined in group 'g1'"):
        wer_of(tables, blank, groups)


def test_suppression():
    shown = Interval(0.1, 0.05, 0.2, "t", 30, ("note",))
    assert suppress(shown, 20) is shown
    hidden = suppress(shown, 19)
    assert (hidden.value, hidden.low, hidden.high, hidden.method) == (None, None, None, "suppressed")
