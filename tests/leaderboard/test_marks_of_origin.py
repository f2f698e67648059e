"""What is self-reported is marked so in words wherever it is shown, and in what is downloaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import streamlit as st
from drawn_pages import bodies, opened, shown
from made_runs import EVIL, SPREAD, add_groups, add_spoof

from audiometry.benchmark.schema import RUNS
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Task
from audiometry.leaderboard.site.build import site_files
from audiometry.leaderboard.views import shared

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]
MARK = "<bdi>self-reported</bdi>"


@pytest.fixture
def given_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[pd.DataFrame]]:
    """The rows of every view that is drawn."""
    found: list[pd.DataFrame] = []
    share = shared.share

    def noted(frame: pd.DataFrame, *words: Any) -> None:
        found.append(frame)
        share(frame, *words)

    monkeypatch.setattr(shared, "share", noted)
    yield found
    st.cache_data.clear()


@pytest.fixture
def reported(add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    """A run of this board, and an imported one of another model."""
    theirs = {"theirs": usual_texts.pop("also-good")}
    add_run(usual_texts, run_id="ours")
    add_run(theirs, run_id="imported", fingerprint="e" * 64)
    report(store_url, "imported")


def report(store_url: str, run: str) -> None:
    with Store.open(store_url) as store, store._engine.begin() as connection:
        connection.execute(RUNS.update().where(RUNS.c.id == run).values(origin="self-reported"))


def legends(test: Any) -> str:
    """Names of curves and of lines in the plots."""
    return json.dumps([
        [[trace.get("name") for trace in spec["data"]], spec["layout"].get("yaxis", {}).get("ticktext")]
        for spec in (json.loads(chart.proto.spec) for chart in test.get("plotly_chart"))
    ])  # fmt: skip


def row_of(text: str, name: str) -> str:
    """The row of a table whose head holds a name."""
    return next(part for part in text.split("<tr") if f"{name}<" in part)


@pytest.mark.parametrize("show", ["models by tasks", "models by a slice"])
def test_the_heat_map(show: str, reported: None, given_away: list[pd.DataFrame]) -> None:
    text = bodies(opened("heat", show=show))
    assert MARK in row_of(text, "theirs")
    assert '<abbr title="self-reported">?</abbr>' in row_of(text, "theirs")
    assert "self-reported" not in row_of(text, "poor")
    (frame,) = given_away
    assert set(frame[frame["model"] == "theirs"]["origin"]) == {"self-reported"}


def test_slices(reported: None, given_away: list[pd.DataFrame]) -> None:
    test = opened("slices")
    assert "theirs</bdi> <span" in bodies(test)
    assert bodies(test).count(MARK) == 2
    assert "theirs (self-reported)" in legends(test)
    assert "poor (self-reported)" not in legends(test)
    assert set(given_away[0]["origin"]) == {"local", "self-reported"}


def test_the_ranking_and_its_plot(reported: None) -> None:
    test = opened("ranking")
    assert MARK in row_of(bodies(test), "theirs</bdi></a>")
    assert "theirs (self-reported)" in legends(test)


def test_two_models(installed_task: Task, reported: None, given_away: list[pd.DataFrame]) -> None:
    text = shown(opened("compare", a="poor", b="theirs"))
    assert '<td class="am-interval" data-name="B">' in text
    assert '<div class="am-muted"><bdi>self-reported</bdi></div>' in text
    assert "theirs (self-reported)" in text
    assert "<bdi>B (self-reported)</bdi>" in text
    assert "A (self-reported)" not in text
    assert set(given_away[0]["origin_b"]) == {"self-reported"}
    assert set(given_away[0]["origin_a"]) == {"local"}


def test_the_suite_s_best(reported: None, add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    best = {"theirs": usual_texts["oracle"], "best": usual_texts["oracle"]}
    add_run(best, run_id="perfect", fingerprint="d" * 64, created="2026-11-23T00:00:00+00:00")
    report(store_url, "perfect")
    assert "best (self-reported): 0.0 %" in shown(opened("overview"))


def test_samples(reported: None) -> None:
    assert '<span class="am-chip"><bdi>self-reported</bdi>' in bodies(opened("samples", model="theirs"))
    assert "self-reported" not in bodies(opened("samples", model="poor"))


def test_detectors(tmp_path: Path, store_url: str, given_away: list[pd.DataFrame]) -> None:
    add_spoof(tmp_path / "spoof-run", store_url, SPREAD | {EVIL: 1.0})
    report(store_url, "spoof-run")
    detection = opened("detection")
    assert "<bdi>good (self-reported)</bdi>" in bodies(detection)
    assert "good (self-reported)" in legends(detection)
    spoof = opened("spoof")
    assert bodies(spoof).count(MARK) == len(SPREAD) + 1
    assert "<bdi>good (self-reported)</bdi>" in bodies(spoof)
    assert "good (self-reported)" in legends(spoof)
    assert [set(frame["origin"]) for frame in given_away] == [{"self-reported"}] * 2


def test_bias(tmp_path: Path, store_url: str, given_away: list[pd.DataFrame]) -> None:
    add_groups(tmp_path / "group-run", store_url)
    report(store_url, "group-run")
    assert bodies(opened("bias")).count(MARK) == 1 + 2  # the gaps' model, and its two groups
    assert set(given_away[0]["origin"]) == {"self-reported"}


def test_the_static_board(reported: None, store_url: str) -> None:
    with Store.open(store_url) as store:
        files = {name: content.decode() for name, content in site_files(store)}
    slices = next(text for name, text in files.items() if "slices-wer" in name)
    ranking = next(
        text for name, text in files.items() if name.startswith("protocols/") and name.endswith("index.html")
    )
    for text in (files["index.html"], slices, ranking):
        assert MARK in text.split("theirs</bdi></a>")[1][:200]
        assert MARK not in text.split("poor</bdi></a>")[1][:200]
    origins = {row["model"]: row["origin"] for row in json.loads(files["board.json"])}
    assert (origins["theirs"], origins["poor"]) == ("self-reported", "local")
    assert "self-reported" in files["board.csv"]
