from __future__ import annotations

import numpy as np
import pytest

from audiometry.benchmark.stats import intervals, mean_of, ratio_of_sums
from audiometry.benchmark.types import Metric, ScoreTable

WER = Metric("wer", scale="log", events="errors")


def wer(table, weights):
    return {"wer": ratio_of_sums(table, weights, "errors", "words")}


def table_of(errors, words, cluster, stratum=None, cluster_strata=None):
    cluster = np.asarray(cluster)
    return ScoreTable(
        {"errors": np.asarray(errors, float), "words": np.asarray(words, float)},
        cluster,
        np.zeros(len(cluster), int) if stratum is None else np.asarray(stratum),
        np.zeros(cluster.max() + 1, int) if cluster_strata is None else np.asarray(cluster_strata),
    )


def random_table(seed=0, clusters=60, each=5):
    rng = np.random.default_rng(seed)
    words = rng.integers(5, 20, clusters * each)
    return table_of(rng.binomial(words, 0.1), words, np.repeat(np.arange(clusters), each))


def test_oracle_and_silent_have_narrow_honest_intervals():
    oracle = intervals(table_of(np.zeros(300), np.full(300, 8), np.arange(300)), wer, [WER], seed=1)["wer"]
    assert (oracle.value, oracle.low) == (0.0, 0.0)
    assert oracle.high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert oracle.method == "exact"
    assert "all resamples alike: exact bound" in oracle.notes
    silent = intervals(table_of(np.full(300, 8), np.full(300, 8), np.arange(300)), wer, [WER], seed=1)["wer"]
    assert (silent.value, silent.high) == (1.0, 1.0)
    assert silent.low == pytest.approx(0.025 ** (1 / 300))


def test_under_five_speakers_resamples_recordings():
    found = intervals(random_table(clusters=4, each=100), wer, [WER], seed=1)["wer"]
    assert found.clusters == 400
    assert found.notes == ("these speakers only",)
    assert found.method == "t"


@pytest.mark.parametrize("method", ["percentile", "bca", "t"])
def test_order_of_samples_and_labels_decides_nothing(method):
    table = random_table()
    rng = np.random.default_rng(9)
    order, names = rng.permutation(len(table)), rng.permutation(table.clusters)
    shuffled = table_of(table.counts["errors"][order], table.counts["words"][order], names[table.cluster][order])
    assert intervals(table, wer, [WER], seed=3, method=method) == intervals(shuffled, wer, [WER], seed=3, method=method)


def test_no_samples_and_undefined():
    empty = ScoreTable({"errors": np.zeros(0), "words": np.zeros(0)}, *(np.zeros(0, int) for _ in range(3)))
    assert intervals(empty, wer, [WER], seed=1)["wer"].value is None
    nothing = intervals(table_of(np.zeros(9), np.zeros(9), np.arange(9)), wer, [WER], seed=1)["wer"]
    assert nothing.value is None
    assert nothing.low is None


def test_one_recording_has_a_value_and_no_interval():
    found = intervals(table_of([1], [10], [0]), wer, [WER], seed=1)["wer"]
    assert (found.value, found.low, found.high) == (0.1, None, None)


def test_mean_of_with_unequal_clusters():
    table = ScoreTable({"x": np.array([1.0, 2, 6])}, np.array([0, 0, 1]), np.zeros(3, int), np.zeros(2, int))
    assert mean_of(table, np.array([[1.0, 1.0], [1.0, 3.0]]), "x").tolist() == [3.0, 4.2]
