from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.columns import PACKED, Columns, Subject, reduce_columns
from audiometry.benchmark.journal import Line
from audiometry.benchmark.rows import Row
from audiometry.benchmark.types import Metric, Request, Result, Sample, Score, Task


def sample(index: int, cluster: str, stratum: str = "", **slices: str) -> Sample:
    return Sample(f"s{index}", Request("respond"), "x", slices=slices, cluster=cluster, stratum=stratum)


def gathered(samples: list[Sample], wrong: list[float], statuses: list[str] | None = None, step: int = 1) -> Columns:
    columns = Columns()
    for i in range(len(samples))[::step]:
        status = "ok" if statuses is None else statuses[i]
        columns.append(i, samples[i], status, {"wrong": wrong[i], "asked": 1.0})
    return columns


def rate(table, weights):
    return {"rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


TASK = Task(
    "t", "2", "respond", lambda: [], lambda s, _: Score(s.id, {}), rate, (Metric("rate", high=1.0),), notes=("made up",)
)


def reduced(columns: Columns, expected: int, seed: int = 1) -> list[Result]:
    return reduce_columns(Subject("run", "m"), TASK, columns, seed=seed, resamples=300, expected=expected)


def test_tables_hold_columns_in_the_order_of_positions() -> None:
    samples = [sample(0, "b", "x"), sample(1, "a", "y"), sample(2, "b", "x"), sample(3, "", "y")]
    table = gathered(samples, [1, 0, 1, 0], step=-1).table()
    np.testing.assert_array_equal(table.counts["wrong"], [1, 0, 1, 0])
    assert table.clusters == 3
    assert not table.clusters_span_strata
    assert sorted(table.cluster_sums("wrong")) == [0, 0, 2]
    spanning = gathered([sample(0, "a", "x"), sample(1, "a", "y")], [1, 0]).table()
    assert spanning.clusters_span_strata


def test_slices_are_sorted_after_the_whole() -> None:
    columns = gathered([sample(0, "a", b="2"), sample(1, "a", b="1", a="9"), sample(2, "a")], [0, 0, 0])
    assert {name: list(rows) for name, rows in columns.selections().items()} == {
        "all": [0, 1, 2], "a=9": [1], "b=1": [1], "b=2": [0],
    }  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 9), st.sampled_from(["a", ""])), max_size=30), st.data())
def test_many_at_once_are_as_one_by_one(rows: list[tuple[str, float, str]], data: st.DataObject) -> None:
    lines = [
        Line.of(0, sample(place, cluster, **{name: "1"}), Row(0, place, f"s{place}", "ok", {}, {name: value}))
        for place, (name, value, cluster) in enumerate(rows)
    ]
    alone, together = Columns(), Columns()
    for place, line in enumerate(lines):
        alone.append(place, sample(place, line.cluster, **line.slices), line.verdict, line.counts)
    while lines:
        size = data.draw(st.integers(1, len(lines)))
        together.extend(lines[:size])
        lines = lines[size:]
    one, other = alone.table(), together.table()
    assert {name: list(one.counts[name]) for name in one.counts} == {n: list(other.counts[n]) for n in other.counts}
    np.testing.assert_array_equal(one.cluster, other.cluster)
    assert {k: list(v) for k, v in alone.selections().items()} == {k: list(v) for k, v in together.selections().items()}


def test_a_count_that_comes_late_is_zero_before() -> None:
    columns = Columns()
    columns.append(0, sample(0, "a"), "ok", {"x": 1.0})
    columns.append(1, sample(1, "b"), "ok", {"y": 2.0})
    table = columns.table()
    assert table.counts["x"].tolist() == [1.0, 0.0]
    assert table.counts["y"].tolist() == [0.0, 2.0]
    assert len(columns) == 2


def test_every_status_is_counted_and_nothing_is_dropped() -> None:
    samples = [sample(i, f"c{i}", kind="even" if i % 2 == 0 else "odd") for i in range(8)]
    statuses = ["ok", "error", "timeout", "empty", "refused", "unparsed", "ok", "ok"]
    results = reduced(gathered(samples, [0, 1, 1, 1, 1, 0, 0, 0], statuses, step=-1), 8)
    whole = results[0]
    assert (whole.slice, whole.n, whole.failed, whole.empty, whole.refused, whole.unparsed) == ("all", 8, 2, 1, 1, 1)
    assert whole.value == 0.5
    assert whole.low is not None
    assert whole.high is not None
    assert whole.low < 0.5 < whole.high
    assert "made up" in whole.notes
    assert [result.slice for result in results] == ["all", "kind=even", "kind=odd"]
    assert (results[1].failed, results[2].failed) == (1, 1)


def test_small_slices_are_listed_without_a_value() -> None:
    samples = [sample(i, f"c{i}", kind="rare" if i < 19 else "common") for i in range(39)]
    results = reduced(gathered(samples, [float(i % 2) for i in range(39)]), 39)
    shown = {result.slice: result for result in results}
    assert shown["kind=common"].value == 0.5
    assert (shown["kind=rare"].value, shown["kind=rare"].n) == (None, 19)
    assert "fewer than 20 samples: not shown" in shown["kind=rare"].notes


def test_confounded_slices_name_their_twin() -> None:
    samples = [sample(i, f"c{i}", g="f" if i < 6 else "m", s="ann" if i < 6 else "bob") for i in range(12)]
    results = reduced(gathered(samples, [float(i % 3 == 0) for i in range(12)]), 12)
    notes = {result.slice: result.notes for result in results}
    assert "same samples as g=f" in notes["s=ann"]
    assert "same samples as g=m" in notes["s=bob"]
    assert not any("same samples" in note for note in notes["g=f"])


@pytest.mark.parametrize("step", [1, -1])
def test_the_order_of_arrival_does_not_matter(step: int) -> None:
    samples = [sample(i, f"c{i // 2}", "x" if i < 10 else "y", k=str(i % 3)) for i in range(30)]
    wrong = [float(i % 7 == 0) for i in range(30)]
    assert reduced(gathered(samples, wrong, step=step), 30) == reduced(gathered(samples, wrong), 30)


def test_a_partial_run_says_so() -> None:
    columns = gathered([sample(0, "a"), sample(1, "b")], [0, 1])
    assert "partial: 2 of 9 samples" in reduced(columns, 9)[0].notes


@settings(max_examples=60)
@given(st.lists(st.one_of(st.integers(-(2**40), 2**40), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_counts_are_kept_to_the_last_bit(values: list[float]) -> None:
    columns = Columns()
    for position, value in enumerate(values):
        columns.append(position, sample(position, ""), "ok", {"x": float(value)})
    np.testing.assert_array_equal(columns.table().counts["x"], np.array(values, dtype=float))


def test_small_whole_counts_take_a_byte() -> None:
    columns = Columns()
    values = [float(position % 200) for position in range(PACKED)] + [300.0] * PACKED + [0.5] * 10
    for position, value in enumerate(values):
        columns.append(position, sample(position, "a"), "ok", {"x": value})
    columns.pack()
    assert columns.counts["x"].size == PACKED * (1 + 4) + 10 * 8
    assert columns.table().counts["x"].tolist() == values


def test_more_than_255_names_are_told_apart() -> None:
    columns = Columns()
    for position in range(600):
        columns.append(position, sample(position, f"c{position // 2}", every=str(position % 300)), "ok", {"x": 1.0})
    table = columns.table()
    assert table.clusters == 300
    assert table.cluster_sums("x").tolist() == [2.0] * 300
    assert all(len(rows) == 2 for name, rows in columns.selections().items() if name != "all")
