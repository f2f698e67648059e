"""A model through time: versions, runs, what they took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import history, model_markup, queries

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]
ENERGY = {"kwh": 0.002, "grams_co2e": 0.9}


@pytest.fixture
def past(add_run: AddRun, usual_texts: Texts, store_url: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Three runs of one model, the last of another version of it, beside a second model."""
    for number, fingerprint in ((1, "x"), (2, "x"), (3, "y")):
        models = [
            {"name": name, "spec": name, "fingerprint": fingerprint, "control": False, "settings": {}}
            for name in ("poor", "also-good")
        ]
        timings = [
            {"model": name, "task": "wer-tones", "seconds": 2.0, "audio_seconds": 16.0, "rtfx": 8.0,
             "usage": {"cost": 0.5 * number, "input_tokens": 7.0, "output_tokens": 3.0}}
            for name in ("poor", "also-good")
        ]  # fmt: skip
        add_run(
            {name: usual_texts[name] for name in ("poor", "also-good")}, run_id=f"run-{number}", models=models,
            created=f"2026-11-2{number}T00:00:00+00:00", timings=timings, energy=ENERGY if number > 1 else None,
        )  # fmt: skip
    with Store.open(store_url) as store:
        rows = queries.history(store, "poor")
        return rows, dict(queries.documents(store, ["run-1", "run-2", "run-3"]))


def test_versions_are_counted_from_the_oldest(past: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    assert history.version_names(past[0]) == {"x": "v1", "y": "v2"}
    heads = history.headline_history(past[0])
    assert list(zip(heads["run"], heads["version"], heads["metric"], strict=True)) == [
        ("run-1", "v1", "wer"), ("run-2", "v1", "wer"), ("run-3", "v2", "wer"),
    ]  # fmt: skip


def test_what_each_run_took(past: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    rows = history.run_rows(*past, "poor")
    assert [row["run"] for row in rows] == ["run-3", "run-2", "run-1"]
    newest, oldest = rows[0], rows[-1]
    assert newest["usage"] == {"cost": 1.5, "input_tokens": 7.0, "output_tokens": 3.0}
    assert (newest["kwh"], newest["grams_co2e"], newest["models"]) == (0.002, 0.9, 2)
    assert (newest["seconds"], newest["audio_seconds"], newest["rtfx"]) == (2.0, 16.0, 8.0)
    assert oldest["kwh"] is None
    html = model_markup.runs_table(rows)
    for text in ("2 Wh", "2 models", "0.9 g", "8.0 ×", "1.5", "v2"):
        assert text in html
    assert history.run_rows(past[0], {}, "poor")[0]["usage"] == {}


def test_a_run_without_timings_has_no_speed(past: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    frame = past[0].assign(seconds=float("nan"), rtfx=float("nan"))
    row = history.run_rows(frame, past[1], "poor")[0]
    assert row["seconds"] is None
    assert row["rtfx"] is None
    assert "–" in model_markup.runs_table([row])


@pytest.mark.parametrize("dark", [False, True])
def test_each_version_has_its_own_mark(past: tuple[pd.DataFrame, dict[str, Any]], dark: bool) -> None:
    heads = history.headline_history(past[0])
    figure = history.history_figure(heads, title="<b>WER</b>", dark=dark)
    assert [trace.name for trace in figure.data] == ["v1", "v2"]
    assert [list(trace.x) for trace in figure.data] == [[0, 1], [2]]
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol
    assert figure.layout.yaxis.title.text == "&lt;b&gt;WER&lt;/b&gt;"
    assert list(figure.data[0].y) == pytest.approx(list(100 * heads["value"][:2]))
    assert "run-3" in model_markup.history_table(heads, "WER")


def test_the_card_of_a_model_that_is_not_installed(past: tuple[pd.DataFrame, dict[str, Any]]) -> None:
    newest = past[0].to_dict("records")[-1]
    html = model_markup.card("<i>poor</i>", newest, ["local", "verified"], past[1]["run-3"])
    assert "<i>" not in html
    assert "not installed here" in html
    assert "verified" in html
    known = model_markup.card(
        "oracle", newest | {"control": True}, ["local"], {"hardware": {"threads": 2, "gpus": ["G"]}}
    )
    assert "never ranked" in known
    assert "2 threads, G" in known
