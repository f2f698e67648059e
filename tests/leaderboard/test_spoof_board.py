"""Attack by attack beside the control: rows from results, made by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from audiometry.leaderboard import spoof_board


def line(model: str, metric: str, value: float, low: float, high: float, *, control: bool = False) -> dict[str, object]:
    return {
        "model": model, "metric": metric, "slice": "all", "value": value, "low": low, "high": high, "unit": "fraction",
        "n": 100, "failed": 0, "control": control, "notes": ("one corpus",), "origin": "local", "run": "r",
        "created": pd.Timestamp("2026-01-01"),
    }  # fmt: skip


@pytest.fixture
def results() -> pd.DataFrame:
    nan = math.nan
    return pd.DataFrame([
        line("good", "eer_macro", 0.1, 0.08, 0.12), line("good", "eer_worst", 0.3, 0.2, 0.4),
        line("good", "eer", 0.15, 0.1, 0.2), line("good", "eer-A01", 0.02, 0.0, 0.05),
        line("good", "eer-A02", 0.3, 0.2, 0.4),
        line("poor", "eer_macro", 0.5, 0.45, 0.55), line("poor", "eer_worst", 0.6, 0.5, 0.7),
        line("poor", "eer", 0.5, nan, nan), line("poor", "eer-A01", 0.6, 0.5, 0.7),
        line("poor", "eer-A02", 0.35, 0.25, 0.45),
        line("shortcut:level=E0", "eer_macro", 0.3, 0.28, 0.32, control=True),
        line("shortcut:level=E0", "eer_worst", 0.4, 0.35, 0.45, control=True),
        line("shortcut:level=E0", "eer", 0.33, 0.3, 0.36, control=True),
        line("shortcut:level=E0", "eer-A01", 0.2, 0.1, 0.3, control=True),
        line("shortcut:level=E0", "eer-A02", 0.4, 0.35, 0.45, control=True),
        line("oracle", "eer_macro", 0.0, 0.0, 0.0, control=True),
    ])  # fmt: skip


def test_models_are_apart_from_the_shortcut_and_other_controls(results: pd.DataFrame) -> None:
    assert spoof_board.spoof_models(results) == (["good", "poor"], ["shortcut:level=E0"])
    assert spoof_board.attacks_of(results) == ["A01", "A02"]


def test_every_number_says_how_it_lies_to_the_control(results: pd.DataFrame) -> None:
    models = ["good", "poor", "shortcut:level=E0"]
    rows = spoof_board.attack_rows(results, models, {"A01": 40})
    said = {(row["attack"], row["model"]): (row["value"], row["trials"], row["against_shortcut"]) for row in rows}
    assert said["A01", "good"] == (0.02, 40, "better than shortcut")
    assert said["A01", "poor"] == (0.6, 40, "worse than shortcut")
    assert said["A02", "good"] == (0.3, None, "not told apart")
    assert said["A01", "shortcut:level=E0"][2] == ""
    assert [row["model"] for row in rows] == models * 2
    assert set(rows[0]) == set(spoof_board.ATTACK_COLUMNS)


def test_the_summary_names_the_worst_attack(results: pd.DataFrame) -> None:
    rows = spoof_board.summary_rows(results, ["good", "poor", "shortcut:level=E0"])
    assert [row["group"] for row in rows[:3]] == ["mean over attacks", "worst attack", "all attacks pooled"]
    worst = {row["model"]: row["attack"] for row in rows if row["group"] == "worst attack"}
    assert worst == {"good": "A02", "poor": "A01", "shortcut:level=E0": "A02"}
    pooled = next(row for row in rows if row["model"] == "poor" and row["group"] == "all attacks pooled")
    assert pooled["against_shortcut"] == "unknown: no interval"
    assert spoof_board.notes_of_all(rows) == ["one corpus"]
    assert spoof_board.notes_of_all([]) == []


def test_without_the_control_nothing_is_said_of_it(results: pd.DataFrame) -> None:
    rows = spoof_board.summary_rows(results, ["good", "poor", "gone"])
    assert {row["against_shortcut"] for row in rows} == {""}
    assert {row["model"] for row in rows} == {"good", "poor"}
    assert spoof_board.summary_rows(results[results["metric"] == "eer_worst"], ["good"])[0]["attack"] == ""


def test_trials_of_a_run_that_is_gone_are_unknown(tmp_path: Path) -> None:
    assert spoof_board.trials_per_attack(str(tmp_path), "good", "spoof") == {}


def test_the_level_of_equalisation_is_in_the_name() -> None:
    assert "equalisation E0 (sampling rate and peak)" in spoof_board.describe_corpus("x", {"level": "E0"})
    assert spoof_board.describe_corpus("x", {"level": "E9", "protocol": "mine"}) == "x, equalisation E9, mine"
