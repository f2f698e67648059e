from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable, Segment
from audiometry.tasks.metrics.diarisation import (
    attribution_counts,
    attribution_reduce,
    diarisation_counts,
    diarisation_reduce,
)
from audiometry.tasks.metrics.transcription import count_words

TENTHS = 10


def segments(speakers: str) -> st.SearchStrategy[list[Segment]]:
    """Segments on a grid of tenths of a second, so that frames of a tenth count them exactly."""
    one = st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from(speakers))
    return st.lists(one, max_size=6).map(
        lambda rows: [Segment(start / TENTHS, (start + long) / TENTHS, who) for start, long, who in rows]
    )


def by_frames(
    reference: list[Segment], hypothesis: list[Segment], collar: int, skip_overlap: bool
) -> tuple[float, float, float, float]:
    """The definition, frame by frame, trying every mapping of speakers. Times are tenths of a second."""
    frames = range(-10, 80)

    def active(side: list[Segment], frame: int) -> set[str]:
        return {one.label for one in side if round(one.start * TENTHS) <= frame < round(one.end * TENTHS)}

    edges = {round(time * TENTHS) for one in reference for time in (one.start, one.end)}
    kept = []
    for frame in frames:
        if collar and any(edge - collar <= frame < edge + collar for edge in edges):
            continue
        told, said = active(reference, frame), active(hypothesis, frame)
        if not (skip_overlap and len(told) > 1):
            kept.append((told, said))
    names = sorted({one.label for one in reference})
    others = sorted({one.label for one in hypothesis})
    size = max(len(names), len(others))
    best = None
    for order in permutations([*others, *[None] * (size - len(others))]):
        mapping = dict(zip([*names, *[f"none{i}" for i in range(size - len(names))]], order, strict=True))
        right = sum(len({mapping[who] for who in told} & said) for told, said in kept)
        best = right if best is None else max(best, right)
    missed = sum(max(len(told) - len(said), 0) for told, said in kept)
    invented = sum(max(len(said) - len(told), 0) for told, said in kept)
    shared = sum(min(len(told), len(said)) for told, said in kept)
    total = sum(len(told) for told, _ in kept)
    return tuple(count / TENTHS for count in (total, missed, invented, shared - (best or 0)))  # type: ignore[return-value]


@settings(max_examples=80, deadline=None)
@given(segments("abc"), segments("xyz"), st.sampled_from([0, 2]), st.booleans())
def test_sweep_equals_frames_and_all_permutations(
    reference: list[Segment], hypothesis: list[Segment], collar: int, skip: bool
) -> None:
    found = diarisation_counts(reference, hypothesis, collar=collar / TENTHS, skip_overlap=skip)
    expected = by_frames(reference, hypothesis, collar, skip)
    values = [found[name] for name in ("speaker_time", "missed", "false_alarm", "confusion")]
    assert values == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(segments("abc"))
def test_the_truth_under_other_names_is_perfect(reference: list[Segment]) -> None:
    renamed = [Segment(one.start, one.end, f"speaker {one.label}") for one in reversed(reference)]
    found = diarisation_counts(reference, renamed)
    assert found["missed"] == found["false_alarm"] == found["speakers_off"] == 0
    assert found["confusion"] == pytest.approx(0, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(segments("abc"), segments("xyz"), st.floats(0.1, 100))
def test_a_later_start_changes_nothing(reference: list[Segment], hypothesis: list[Segment], shift: float) -> None:
    def moved(side: list[Segment]) -> list[Segment]:
        return [Segment(one.start + shift, one.end + shift, one.label) for one in side]

    assert diarisation_counts(moved(reference), moved(hypothesis)) == pytest.approx(
        diarisation_counts(reference, hypothesis), abs=1e-6
    )


def test_hand_computed_with_overlap() -> None:
    told = [Segment(0, 10, "a"), Segment(8, 14, "b")]  # 16 s of speaker time, 8 to 10 both
    said = [Segment(0, 9, "1"), Segment(9, 15, "2")]
    found = diarisation_counts(told, said)
    # 8-9: two speak, one said; 9-10: the same; 14-15: nobody speaks
    assert (found["speaker_time"], found["missed"], found["false_alarm"], found["confusion"]) == (16, 2, 1, 0)
    skipped = diarisation_counts(told, said, skip_overlap=True)
    assert (skipped["speaker_time"], skipped["missed"], skipped["false_alarm"]) == (12, 0, 1)
    collared = diarisation_counts(told, said, collar=1.0)  # scored: 1-7 and 11-13 and outside of 15
    assert (collared["speaker_time"], collared["missed"], collared["false_alarm"]) == (8, 0, 0)


def test_nobody_and_one_speaker() -> None:
    told = [Segment(0, 3, "a"), Segment(3, 4, "b")]
    nobody = diarisation_counts(told, [])
    assert (nobody["missed"], nobody["speaker_time"], nobody["speakers_off"]) == (4, 4, 2)
    one = diarisation_counts(told, [Segment(0, 4, "x")])
    assert (one["missed"], one["false_alarm"], one["confusion"], one["speakers_off"]) == (0, 0, 1, 1)
    assert diarisation_counts([], [Segment(0, 2, "x")])["false_alarm"] == 2
    assert diarisation_counts([], [])["speaker_time"] == 0
    assert diarisation_counts([], [Segment(1, 1, "x")])["speakers_off"] == 0


@pytest.mark.parametrize("bad", [Segment(2, 1, "a"), Segment(0, float("nan"), "a"), Segment(0, float("inf"), "a")])
def test_impossible_segments_are_refused(bad: Segment) -> None:
    with pytest.raises(DataError, match="hypothesis"):
        diarisation_counts([Segment(0, 1, "a")], [bad])


def test_a_negative_collar_is_refused() -> None:
    with pytest.raises(DataError, match="negative"):
        diarisation_counts([], [], collar=-0.1)


def table(rows: list[dict[str, float]]) -> ScoreTable:
    size = len(rows)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return ScoreTable(columns, np.arange(size), np.zeros(size, int), np.zeros(size, int))


def test_rates_are_sums_over_sums() -> None:
    rows = [
        diarisation_counts([Segment(0, 3, "a"), Segment(3, 4, "b")], [Segment(0, 4, "x")]),
        diarisation_counts([Segment(0, 6, "a")], [Segment(0, 3, "x")]),
    ]
    values = diarisation_reduce(table(rows), np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_allclose(values["der"], [4 / 10, 1 / 4, np.nan])
    np.testing.assert_allclose(values["missed"], [3 / 10, 0, np.nan])
    np.testing.assert_allclose(values["confusion"], [1 / 10, 1 / 4, np.nan])
    np.testing.assert_allclose(values["speaker_count_error"], [0.5, 1.0, np.nan])


TEXTS = st.lists(st.lists(st.sampled_from("abc"), max_size=5).map(" ".join), max_size=4)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_assignment_equals_all_permutations(told: list[str], said: list[str]) -> None:
    size = max(len(told), len(said))
    padded = [*told, *[""] * (size - len(told))], [*said, *[""] * (size - len(said))]
    best = min((int(count_words(padded[0], list(order)).errors.sum()) for order in permutations(padded[1])), default=0)
    found = attribution_counts(
        {f"r{i}": text for i, text in enumerate(told)}, {f"h{i}": text for i, text in enumerate(said)}
    )
    assert found["errors"] == best
    assert found["errors"] == found["substitutions"] + found["deletions"] + found["insertions"]
    assert (
        found["reference"]
        == sum(len(text.split()) for text in told)
        == found["hits"] + found["substitutions"] + (found["deletions"])
    )


def test_cpwer_by_hand() -> None:
    rows = [
        attribution_counts({"a": "one two", "b": "three"}, {"x": "three", "y": "one too"}),  # 1 substitution of 3
        attribution_counts({"a": "one two", "b": "three"}, {"x": "one two three"}),  # 1 insertion, 1 deletion of 3
        attribution_counts({"a": "one"}, {"x": "one", "y": "hm"}),  # 1 insertion of 1
    ]
    assert [row["errors"] for row in rows] == [1, 2, 1]
    values = attribution_reduce(table(rows), np.ones((1, 3)))
    assert values["cpwer"][0] == pytest.approx(4 / 7)
