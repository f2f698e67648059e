from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable, Segment
from audiometry.tasks.metrics.alignment import BOUNDARY_METRICS, boundary_counts, boundary_reduce


def segments(*spans):
    return [Segment(start, end, label) for start, end, label in spans]


def table_of(rows):
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return ScoreTable(columns, np.arange(len(rows)), np.zeros(len(rows), int), np.zeros(len(rows), int))


REFERENCE = segments((0.0, 0.1, "h"), (0.1, 0.3, "e"), (0.3, 0.5, "l"), (0.5, 0.5, "sil"), (0.5, 0.9, "o"))


def test_by_hand():
    heard = segments((0.01, 0.13, "h"), (0.13, 0.3, "e"), (0.3, 0.56, "l"), (0.56, 0.8, "o"))
    counts = boundary_counts(REFERENCE, heard)
    # errors: h +10 +30, e +30 0, l 0 +60, o +60 -100 ms
    assert counts == {
        "boundaries": 8.0, "matched": 8.0, "absolute_error": pytest.approx(0.29), "error": pytest.approx(0.09),
        "under_20ms": 3.0, "under_50ms": 5.0, "under_100ms": 7.0,
    }  # fmt: skip


def test_one_edge_only():
    heard = segments((0.01, 0.2, "a"))
    reference = segments((0.0, 0.1, "a"))
    assert boundary_counts(reference, heard, edges="start")["absolute_error"] == pytest.approx(0.01)
    assert boundary_counts(reference, heard, edges="end")["absolute_error"] == pytest.approx(0.1)
    assert boundary_counts(reference, heard, edges="end")["boundaries"] == 1.0


def test_an_error_of_the_tolerance_itself_is_outside_whatever_its_rounding():
    # 1.05 - 1.0 is 0.050000000000000044 and 0.35 - 0.3 is 0.04999999999999999 in floating point
    for start in (0.3, 1.0):
        counts = boundary_counts(segments((start, start + 1, "a")), segments((start + 0.05, start + 1, "a")))
        assert (counts["under_50ms"], counts["under_100ms"]) == (1.0, 2.0)


def test_a_missing_word_is_unmatched_and_outside_every_tolerance():
    counts = boundary_counts(
        segments((0, 1, "a"), (1, 2, "b"), (2, 3, "c")), segments((0, 1, "a"), (1.5, 1.6, "x"), (2, 3, "c"))
    )
    assert (counts["boundaries"], counts["matched"], counts["absolute_error"], counts["under_20ms"]) == (6, 4, 0, 4)


def test_an_inserted_word_counts_nothing():
    counts = boundary_counts(segments((0, 1, "a")), segments((0, 0.5, "x"), (0.5, 1, "a")))
    assert (counts["boundaries"], counts["matched"]) == (2.0, 2.0)


def test_an_empty_hypothesis_leaves_all_unmatched():
    values = boundary_reduce()(table_of([boundary_counts(REFERENCE, [])]), np.ones((1, 1)))
    assert values["matched"][0] == values["under_100ms"][0] == 0.0
    assert np.isnan(values["mean_absolute_error"][0])


def test_silences_are_what_the_caller_says():
    pause = segments((0.0, 0.2, "<p>"), (0.2, 0.4, "a"))
    assert boundary_counts(pause, pause)["boundaries"] == 4.0
    assert boundary_counts(pause, pause, silences={"<p>"})["boundaries"] == 2.0


TIMES = st.lists(st.integers(0, 500), min_size=2, max_size=12, unique=True).map(sorted)


@given(TIMES, st.integers(-200, 200), st.data())
@settings(deadline=None)
def test_equal_labels_reduce_to_an_array_formula(times, shift, data):
    edges = np.array(times) / 100 + 2.0
    labels = [data.draw(st.sampled_from("abc")) for _ in edges[1:]]
    reference = segments(*zip(edges, edges[1:], labels, strict=False))
    moved = edges + shift / 1000
    hypothesis = segments(*zip(moved, moved[1:], labels, strict=False))
    values = boundary_reduce()(table_of([boundary_counts(reference, hypothesis)]), np.ones((1, 1)))
    assert values["mean_absolute_error"][0] == pytest.approx(abs(shift) / 1000, abs=1e-9)
    assert values["mean_error"][0] == pytest.approx(shift / 1000, abs=1e-9)
    assert values["under_50ms"][0] == float(abs(shift) < 50)


def test_reduction_is_a_ratio_of_sums_over_boundaries():
    nine = segments(*((i, i + 1, "a") for i in range(9)))
    long = boundary_counts(nine, nine)
    short = boundary_counts(segments((0.0, 1.0, "a")), segments((0.1, 1.1, "a")))
    values = boundary_reduce()(table_of([long, short]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    assert list(values) == [metric.name for metric in BOUNDARY_METRICS]
    np.testing.assert_allclose(values["mean_absolute_error"], [0.2 / 20, 0.1])


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(0.5, 0.4, "a")], r"hypothesis segment 0 \('a'\) runs from 0.5 to 0.4"),
        ([(-1.0, 0.4, "a")], "finite seconds, 0 or more"),
        ([(0.0, float("nan"), "a")], "finite seconds, 0 or more"),
        ([(0.5, 0.6, "a"), (0.1, 0.2, "b")], r"segment 1 \('b'\) starts before"),
    ],
)
def test_bad_segments_are_refused(spans, message):
    with pytest.raises(DataError, match=message):
        boundary_counts(REFERENCE, segments(*spans))
