"""What the pages ask of a store: the same as the store's own answers, and anew once it changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark.runfolder import read_results
from audiometry.benchmark.store import Store
from audiometry.leaderboard import queries

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]


def state(url: str) -> queries.State:
    with Store.open(url) as store:
        return queries.state_of(store, url)


def test_headlines_are_those_of_the_store(usual_run: Path, store_url: str) -> None:
    now = state(store_url)
    (digest,) = queries.protocols(now)["protocol"]
    found = queries.headlines(now, [digest])
    with Store.open(store_url) as store:
        told = store.results(metric="wer", slice="all")
    assert tuple(found.columns) == queries.HEADLINE_COLUMNS
    told = told[list(queries.HEADLINE_COLUMNS)].astype(object)
    pd.testing.assert_frame_equal(found.astype(object), told)


def test_the_latest_run_of_each_model_counts(add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    add_run(usual_texts, run_id="first")
    add_run({"poor": usual_texts["oracle"]}, run_id="second", created="2026-11-23T00:00:00+00:00", finished=None)
    now = state(store_url)
    found = queries.headlines(now, list(queries.protocols(now)["protocol"])).set_index("model")
    assert found.loc["poor", "run"] == "second"
    assert found.loc["poor", "value"] == 0.0
    assert found.loc["also-good", "run"] == "first"


def test_what_is_kept_is_read_anew_once_the_store_changes(add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    add_run({"poor": usual_texts["poor"]}, run_id="first")
    before = state(store_url)
    assert state(store_url) == before
    assert queries.protocols(before) is queries.protocols(state(store_url))
    assert queries.model_names(before) == ["poor"]
    add_run({"other": usual_texts["poor"]}, run_id="second")
    assert state(store_url) != before
    assert queries.model_names(state(store_url)) == ["other", "poor"]


def test_a_run_that_is_put_in_again_is_a_change(add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    folder = add_run({"poor": usual_texts["poor"]}, run_id="one")
    before = state(store_url)
    folder.rename(folder.with_name("away"))
    add_run({"poor": usual_texts["oracle"]}, run_id="one")
    assert state(store_url) != before


def test_no_protocol_has_no_headline(usual_run: Path, store_url: str) -> None:
    found = queries.headlines(state(store_url), [])
    assert found.empty
    assert tuple(found.columns) == queries.HEADLINE_COLUMNS


def test_metrics_come_in_the_task_s_order(usual_run: Path, store_url: str) -> None:
    with Store.open(store_url) as store:
        (digest,) = store.protocols()["protocol"]
        (run,) = store.runs()["id"]
        assert queries.metrics_of_protocol(store, digest) == ["wer", "cer"]
        assert queries.metrics_of_protocol(store, digest, run) == ["wer", "cer"]
        assert queries.metrics_of_protocol(store, digest, "no such run") == []


def test_documents_of_some_runs(usual_run: Path, store_url: str) -> None:
    with Store.open(store_url) as store:
        (run,) = store.runs()["id"]
        assert queries.documents(store, [run, "gone"]) == {run: store.run(run) | {"origin": "local"}}


def test_history_holds_every_run_oldest_first(add_run: AddRun, usual_texts: Texts, store_url: str) -> None:
    for number in (2, 1, 3):
        add_run({"poor": usual_texts["poor"]}, run_id=f"run-{number}", created=f"2026-11-2{number}T00:00:00+00:00")
    with Store.open(store_url) as store:
        found = queries.history(store, "poor")
        latest = queries.model_results(store, "poor")
    assert list(dict.fromkeys(found["run"])) == ["run-1", "run-2", "run-3"]
    assert set(latest["run"]) == {"run-3"}
    assert isinstance(found, pd.DataFrame)


@pytest.fixture
def postgres_store(postgres: Any) -> str:
    """The URL of an empty PostgreSQL store."""
    url: str = postgres.create(f"board{os.getpid()}")
    return url


def test_postgres_answers_alike(postgres_store: str, usual_run: Path, store_url: str) -> None:
    """The same run, in both databases."""
    with Store.open(postgres_store) as store:
        run = json.loads((usual_run / "run.json").read_text())
        store.add_run(run, read_results(usual_run), str(usual_run))
    frames = [
        queries.headlines(now, list(queries.protocols(now)["protocol"])).astype(object)
        for now in (state(store_url), state(postgres_store))
    ]
    pd.testing.assert_frame_equal(*frames)
