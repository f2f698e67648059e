"""The board's rows: ranks, ties, what is not ranked and why, and how numbers are written."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.store import RESULT_COLUMNS
from audiometry.leaderboard import board


def row(
    model: str, value: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "run": "r1", "created": datetime(2026, 11, 22, tzinfo=UTC), "run_status": "complete", "limit": None,
        "folder": "/x", "seed": 0, "model": model, "model_fingerprint": "f", "control": False, "task": "t",
        "task_version": "1", "task_settings": {}, "task_samples": 10, "protocol": "p", "seconds": 1.0,
        "audio_seconds": 10.0, "rtfx": 10.0, "metric": "wer", "slice": "all", "value": value, "low": low,
        "high": high, "n": 10, "failed": 0, "empty": 0, "refused": 0, "unparsed": 0, "unit": "fraction",
        "direction": "lower", "judges": [], "notes": [],
    } | more  # fmt: skip


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    numbers = dict.fromkeys(["value", "low", "high"], "float64")
    return pd.DataFrame(list(rows), columns=list(RESULT_COLUMNS)).astype(numbers)


def test_models_that_overlap_share_a_range_of_ranks() -> None:
    ranked = board.ranking(
        frame(
            row("c", 0.40, 0.35, 0.45), row("b", 0.07, 0.06, 0.08), row("a", 0.068, 0.055, 0.082),
            row("oracle", 0.0, 0.0, 0.0, control=True), row("silent", 1.0, 1.0, 1.0, control=True),
        )
    )  # fmt: skip
    assert list(ranked["model"]) == ["a", "b", "c", "oracle", "silent"]
    assert list(ranked["rank"]) == ["1-2", "1-2", "3", "", ""]
    assert list(ranked["place"]) == ["ranked"] * 3 + ["control"] * 2


def test_overlap_is_not_transitive() -> None:
    """The middle one overlaps both of its neighbours, which do not overlap each other."""
    assert board.rank_ranges([0.0, 0.8, 1.8], [1.0, 2.0, 3.0], "lower") == [(1, 2), (1, 3), (2, 3)]


def test_where_more_is_better_the_order_turns() -> None:
    ranked = board.ranking(
        frame(row("low", 0.5, 0.4, 0.6, direction="higher"), row("high", 0.9, 0.8, 0.95, direction="higher"))
    )
    assert list(ranked["model"]) == ["high", "low"]
    assert list(ranked["rank"]) == ["1", "2"]


def test_a_model_without_an_interval_may_have_any_rank() -> None:
    ranked = board.ranking(frame(row("sure", 0.1, 0.09, 0.11), row("worse", 0.5, 0.4, 0.6), row("unsure", 0.2)))
    assert dict(zip(ranked["model"], ranked["rank"], strict=True)) == {"sure": "1-2", "unsure": "1-3", "worse": "2-3"}


def test_what_is_no_result_is_shown_and_not_ranked() -> None:
    ranked = board.ranking(
        frame(
            row("fine", 0.1, 0.05, 0.2), row("undefined", None),
            row("broken", 0.01, 0.0, 0.02, run_status="too many failures", notes=["these speakers only"]),
        )
    )  # fmt: skip
    assert list(ranked["model"]) == ["fine", "broken", "undefined"]
    assert list(ranked["rank"]) == ["1", "", ""]
    assert ranked["notes"][1] == ("these speakers only", "not ranked: the run ended as too many failures")
    assert ranked["notes"][2] == ("not ranked: undefined on these samples",)


def test_a_control_is_never_ranked_however_good() -> None:
    ranked = board.ranking(frame(row("oracle", 0.0, 0.0, 0.0, control=True), row("real", 0.3, 0.2, 0.4)))
    assert list(ranked["model"]) == ["real", "oracle"]
    assert list(ranked["rank"]) == ["1", ""]


def test_an_empty_board() -> None:
    assert list(board.ranking(frame()).columns) == list(board.BOARD_COLUMNS)


BOUNDS = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (min(pair), max(pair))), min_size=1, max_size=12
)


@given(BOUNDS, st.sampled_from(["lower", "higher"]))
def test_rank_ranges_hold_together(bounds: list[tuple[float, float]], direction: str) -> None:
    lows, highs = [low for low, _ in bounds], [high for _, high in bounds]
    ranges = board.rank_ranges(lows, highs, direction)
    number = len(bounds)
    assert all(1 <= first <= last <= number for first, last in ranges)
    sign = 1 if direction == "lower" else -1
    middle = sorted(range(number), key=lambda i: sign * (lows[i] + highs[i]))
    for place, i in enumerate(middle, 1):  # the order of the middles is one that the ranges allow
        assert ranges[i][0] <= place <= ranges[i][1]
    for i in range(number):
        for j in range(number):
            apart = highs[i] < lows[j] if direction == "lower" else lows[i] > highs[j]
            if apart:
                assert ranges[i][0] < ranges[j][0]
                assert ranges[i][1] < ranges[j][1]


def test_slices_come_by_group_and_in_the_board_s_order() -> None:
    results = frame(
        row("b", 0.1), row("b", 0.2, slice="duration=10+ s"), row("b", 0.3, slice="duration=2-5 s"),
        row("a", 0.4, slice="duration=10+ s"), row("a", 0.5, slice="gender=female"),
        row("c", 0.6, slice="duration=2-5 s"), row("a", 0.7, slice="duration=2-5 s"),
        row("a", 0.8, slice="duration=<2 s"), row("a", 0.8, slice="duration=0..1.5"),
        row("a", 0.9, slice="duration=unknown"),
    )  # fmt: skip
    assert board.slice_dimensions(results) == ["duration", "gender"]
    rows = board.slice_rows(results, "duration", ["b", "a"])
    assert list(zip(rows["group"], rows["model"], strict=True)) == [
        ("0..1.5", "a"), ("<2 s", "a"), ("2-5 s", "b"), ("2-5 s", "a"), ("10+ s", "b"), ("10+ s", "a"),
        ("unknown", "a"),
    ]  # fmt: skip


def test_metrics_keep_their_task_s_order() -> None:
    assert board.metrics_of(frame(row("a", 1, metric="wer"), row("a", 1, metric="cer"), row("b", 1, metric="wer"))) == [
        "wer",
        "cer",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "fraction", "0.0 %"), (1.0, "fraction", "100.0 %"), (1.234, "fraction", "123.4 %"),
        (math.nan, "fraction", "–"), (3.14159, "dB", "3.14 dB"), (3.14159, "", "3.14"),
    ],
)  # fmt: skip
def test_values_are_written_with_their_unit(value: float, unit: str, text: str) -> None:
    assert board.format_value(value, unit) == text


def test_intervals_and_speeds_are_written() -> None:
    assert board.format_interval(1.234, 5.678, "dB") == "[1.23, 5.68]"
    assert board.format_interval(math.nan, 1.0, "dB") == "no interval"
    assert board.format_rtfx(math.nan) == "–"
    assert board.format_rtfx(99.94) == "99.9 ×"
    assert board.format_rtfx(99.96) == "100 ×"


def test_a_part_of_the_samples_says_so() -> None:
    assert "a part" in board.describe_protocol("1", {}, 10, limited=True)
