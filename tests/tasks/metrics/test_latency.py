from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import Output, ScoreTable
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce, percentile, rtfx


def table_of(counts, cluster=None):
    columns = {name: np.array([row[name] for row in counts]) for name in counts[0]}
    cluster = np.arange(len(counts)) if cluster is None else np.asarray(cluster)
    return ScoreTable(columns, cluster, np.zeros(len(counts), int), np.zeros(cluster.max() + 1, int))


def answer(seconds, audio=1.0, **timings):
    return latency_counts(Output(text="x", timings={"total": seconds, **timings}), audio)


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50), st.floats(0, 100))
@settings(deadline=None)
def test_percentile_equals_numpys_type_7(seconds, percent):
    assert percentile(seconds, percent) == pytest.approx(np.percentile(seconds, percent, method="linear"), rel=1e-9)


def test_percentile_by_hand():
    # 20 requests: position 19 * 0.95 = 18.05
    assert percentile(range(1, 21), 95) == pytest.approx(19.05)


@pytest.mark.parametrize("bad", [[], [[1.0]], [1.0, -0.1], [math.nan], [math.inf]])
def test_percentile_refuses_what_is_no_latency(bad):
    with pytest.raises(DataError, match="latenc"):
        percentile(bad, 50)


@pytest.mark.parametrize("percent", [-1, 100.5])
def test_percentile_refuses_a_percent_out_of_range(percent):
    with pytest.raises(SettingError, match="outside 0 to 100"):
        percentile([1.0], percent)


def test_rtfx_is_a_ratio_of_sums_and_not_a_mean_of_ratios():
    assert rtfx([10.0, 1.0], [1.0, 1.0]) == pytest.approx(5.5)
    assert rtfx([9.0, 1.0], [1.0, 9.0]) == pytest.approx(1.0)  # the mean of ratios would be 4.6
    assert math.isnan(rtfx(3.0, 0.0))


def test_rtfx_refuses_bad_times():
    with pytest.raises(DataError, match="must agree"):
        rtfx([1.0], [1.0, 2.0])
    with pytest.raises(DataError, match="computing seconds"):
        rtfx([1.0], [-1.0])


def test_counts_of_a_streamed_answer():
    assert answer(0.5, 2.0, first=0.1) == {
        "latency": 0.5, "latency_answered": 1.0, "first_latency": 0.1, "first_latency_answered": 1.0,
        "audio": 2.0, "compute": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("status", ["timeout", "error"])
def test_a_failed_request_has_no_latency_whatever_it_took(status):
    counts = latency_counts(Output(status=status, timings={"total": 9.0}), 2.0)
    assert set(counts.values()) == {0.0}


def test_counts_refuse_bad_times():
    with pytest.raises(DataError, match="timing 'total'"):
        answer(math.nan)
    with pytest.raises(DataError, match="audio of -1 s"):
        answer(1.0, audio=-1.0)


def test_reduction_equals_the_plain_functions_on_repeated_samples():
    generator = np.random.default_rng(3)
    counts = [answer(t, a, first=t / 3) for t, a in generator.uniform(0.1, 2, (40, 2))]
    table = table_of(counts, np.arange(40) // 4)
    weights = generator.integers(0, 4, (5, 10)).astype(float)
    values = latency_reduce([50, 95])(table, weights)
    assert list(values) == [metric.name for metric in latency_metrics([50, 95])]
    for row, weight in enumerate(weights):
        again = np.repeat(np.arange(40), weight[table.cluster].astype(int))
        assert values["latency_p95"][row] == pytest.approx(np.percentile(table.counts["latency"][again], 95))
        assert values["first_latency_p50"][row] == pytest.approx(
            np.percentile(table.counts["first_latency"][again], 50)
        )
        expected = rtfx(table.counts["audio"][again], table.counts["compute"][again])
        assert values["rtfx"][row] == pytest.approx(expected)


def test_giving_up_on_slow_requests_cannot_improve_a_percentile():
    slow = [answer(t) for t in (0.1, 0.2, 0.3, 5.0)]
    failed = [*slow[:3], latency_counts(Output(status="timeout"), 1.0)]
    reduce, ones = latency_reduce([50, 99]), np.ones((1, 4))
    assert reduce(table_of(slow), ones)["latency_p99"][0] == pytest.approx(4.859)
    assert np.isnan(reduce(table_of(failed), ones)["latency_p99"][0])
    assert reduce(table_of(failed), ones)["latency_p50"][0] == pytest.approx(0.25)


def test_reduction_forms_intervals_under_the_projects_statistics():
    generator = np.random.default_rng(5)
    for size in (12, 80):  # the t form, and BCa with its fractional jackknife weights
        table = table_of([answer(t, 1.0, first=t) for t in generator.gamma(4, 0.1, size)])
        found = intervals(table, latency_reduce(), latency_metrics(), seed=1, resamples=200)
        for metric in ("rtfx", "latency_p50"):
            assert found[metric].low < found[metric].value < found[metric].high


def test_reduction_refuses_a_percent_out_of_range():
    with pytest.raises(SettingError, match="percentile 101"):
        latency_reduce([101])
