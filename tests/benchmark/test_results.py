from __future__ import annotations

import numpy as np
import pytest

from audiometry.benchmark.plan import PlannedModel, PlannedTask
from audiometry.benchmark.registry import Entry, Resources, Spec
from audiometry.benchmark.results import reduce_rows, score_table, slices_of
from audiometry.benchmark.types import Metric, Request, Sample, Score, Task
from audiometry.benchmark.worker import Row


def sample(index: int, cluster: str, stratum: str = "", **slices: str) -> Sample:
    return Sample(f"s{index}", Request("respond"), "x", slices=slices, cluster=cluster, stratum=stratum)


def row(index: int, wrong: float, status: str = "ok", score_status: str = "ok") -> Row:
    return Row(0, index, f"s{index}", status, {}, {"wrong": wrong, "asked": 1.0}, score_status=score_status)


def rate(table, weights):
    return {"rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


TASK = Task(
    "t", "2", "respond", lambda: [], lambda s, _: Score(s.id, {}), rate, (Metric("rate", high=1.0),), notes=("made up",)
)
MODEL = PlannedModel(Spec("m"), Entry("m", dict, "", "here"), Resources())


def test_tables_hold_columns_in_order() -> None:
    samples = [sample(0, "b", "x"), sample(1, "a", "y"), sample(2, "b", "x"), sample(3, "", "y")]
    table = score_table([row(0, 1), row(1, 0), row(2, 1), row(3, 0)], samples)
    np.testing.assert_array_equal(table.counts["wrong"], [1, 0, 1, 0])
    assert table.clusters == 3
    assert not table.clusters_span_strata
    assert sorted(table.cluster_sums("wrong")) == [0, 0, 2]
    assert score_table([row(0, 1), row(1, 0)], [sample(0, "a", "x"), sample(1, "a", "y")]).clusters_span_strata


def test_slices_are_sorted_after_the_whole() -> None:
    found = slices_of([sample(0, "a", b="2"), sample(1, "a", b="1", a="9"), sample(2, "a")])
    assert {name: list(positions) for name, positions in found.items()} == {
        "all": [0, 1, 2], "a=9": [1], "b=1": [1], "b=2": [0],
    }  # fmt: skip


def test_every_status_is_counted_and_nothing_is_dropped() -> None:
    samples = tuple(sample(i, f"c{i}", kind="even" if i % 2 == 0 else "odd") for i in range(8))
    statuses = ["ok", "error", "timeout", "empty", "refused", "ok", "ok", "ok"]
    rows = [row(i, float(s != "ok"), s, "unparsed" if i == 5 else "ok") for i, s in enumerate(statuses)]
    results = reduce_rows("run", MODEL, PlannedTask(Spec("t"), TASK, samples), rows[::-1], seed=1, resamples=200)
    whole = results[0]
    assert (whole.slice, whole.n, whole.failed, whole.empty, whole.refused, whole.unparsed) == ("all", 8, 2, 1, 1, 1)
    assert whole.value == 0.5
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low < 0.5 < whole.high
    assert "made up" in whole.notes
    assert [result.slice for result in results] == ["all", "kind=even", "kind=odd"]
    assert results[2].n == 4


def test_confounded_slices_name_their_twin() -> None:
    samples = tuple(sample(i, f"c{i}", g="f" if i < 6 else "m", s="ann" if i < 6 else "bob") for i in range(12))
    rows = [row(i, float(i % 3 == 0)) for i in range(12)]
    results = reduce_rows("run", MODEL, PlannedTask(Spec("t"), TASK, samples), rows, seed=1, resamples=200)
    notes = {result.slice: result.notes for result in results}
    assert "same samples as g=f" in notes["s=ann"]
    assert "same samples as g=m" in notes["s=bob"]
    assert not any("same samples" in note for note in notes["g=f"])


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_rows_does_not_matter(order: int) -> None:
    samples = tuple(sample(i, f"c{i // 2}") for i in range(30))
    rows = [row(i, float(i % 7 == 0)) for i in range(30)][::order]
    first = reduce_rows("run", MODEL, PlannedTask(Spec("t"), TASK, samples), rows, seed=4, resamples=500)
    second = reduce_rows("run", MODEL, PlannedTask(Spec("t"), TASK, samples), rows[::-1], seed=4, resamples=500)
    assert first == second


def test_a_partial_run_says_so() -> None:
    samples = tuple(sample(i, f"c{i}") for i in range(9))
    planned = PlannedTask(Spec("t"), TASK, samples)
    results = reduce_rows("run", MODEL, planned, [row(0, 0), row(1, 1)], seed=0, resamples=100, partial=True)
    assert "partial: 2 of 9 samples" in results[0].notes
