"""Downloads give back what the page shows, and a spreadsheet cannot be tricked by a name."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest

from audiometry.leaderboard import export

FRAME = pd.DataFrame(
    {
        "model": ["whisper", '=HYPERLINK("http://x")', "+1", "@x", "-a"],
        "value": [0.1, float("nan"), 0.3, 0.4, -0.5],
        "notes": [("these speakers only", "synthetic speech"), (), ("-x",), (), ()],
        "settings": [{"b": 1, "a": 2}, {}, {}, {}, {}],
        "created": pd.Timestamp("2026-11-22T15:55:01Z"),
    }
)


def test_csv() -> None:
    back = pd.read_csv(io.BytesIO(export.to_csv(FRAME)))
    assert list(back["model"]) == ["whisper", '\'=HYPERLINK("http://x")', "'+1", "'@x", "'-a"]
    assert back["notes"][0] == "these speakers only; synthetic speech"
    assert back["notes"][2] == "'-x"
    assert back["settings"][0] == '{"a": 2, "b": 1}'
    assert back["value"][0] == 0.1
    assert back["value"][4] == -0.5  # a number is no formula
    assert pd.isna(back["value"][1])


def test_json() -> None:
    rows = json.loads(export.to_json(FRAME))
    assert rows[0] == {
        "model": "whisper",
        "value": 0.1,
        "notes": ["these speakers only", "synthetic speech"],
        "settings": {"b": 1, "a": 2},
        "created": "2026-11-22T15:55:01+00:00",
    }
    assert rows[1]["model"] == '=HYPERLINK("http://x")'
    assert rows[1]["value"] is None


def test_json_has_no_infinity() -> None:
    frame = pd.DataFrame({"value": [float("inf"), float("-inf"), 1e308]})
    assert json.loads(export.to_json(frame)) == [{"value": None}, {"value": None}, {"value": 1e308}]


def test_parquet() -> None:
    back = pd.read_parquet(io.BytesIO(export.to_parquet(FRAME)))
    assert list(back["model"]) == list(FRAME["model"])
    assert list(back["value"].dropna()) == list(FRAME["value"].dropna())
    assert back["created"][0] == FRAME["created"][0]


@pytest.mark.parametrize("convert", [convert for convert, _, _ in export.FORMATS.values()])
def test_an_empty_frame_is_a_file_too(convert: object) -> None:
    assert callable(convert)
    assert convert(FRAME[:0])


def test_the_frame_is_left_as_it_was() -> None:
    before = FRAME.copy(deep=True)
    for convert, _, _ in export.FORMATS.values():
        convert(FRAME)
    pd.testing.assert_frame_equal(FRAME, before)


def test_file_names_hold_nothing_strange() -> None:
    assert export.file_name("a/../b", "<x>", "", suffix="csv") == "a-b_x.csv"
    assert len(export.file_name("a" * 5000, suffix="csv")) < 100
