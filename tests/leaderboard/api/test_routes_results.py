"""Results, runs and exports: the store's own rows, page by page, without where anything lies."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from audiometry.benchmark.schema import RESULTS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit
from audiometry.leaderboard.api.reading import RESULT_NAMES

Client = Callable[..., TestClient]

RUN = "20261122-155501-ab12cd34"
NAMES = ("<img src=x onerror=alert(1)>", "=cmd()", "x" * 10_000)


def all_pages(client: TestClient, path: str, key: str, limit: int, **filters: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page = 0
    while page is not None:
        answer = client.get(path, params=filters | {"limit": limit, "page": page})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()[key]) <= limit
        rows += answer.json()[key]
        page = answer.json()["next"]
    return rows


@pytest.fixture
def two_runs(add_run: Callable[..., Path], usual_texts: dict[str, Any], usual_run: Path) -> list[str]:
    """The usual run, and a newer partial one of two of its models."""
    some = {name: usual_texts[name] for name in ("poor", "oracle")}
    times = {"created": "2026-11-23T00:00:00+00:00", "finished": None}
    add_run(some, run_id="second", fingerprint="2" * 64, status="partial", limit=12, **times)
    return [RUN, "second"]


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_hold_every_result_once(client: Client, api_store: Store, two_runs: list[str], limit: int) -> None:
    some = {"model": "oracle", "metric": "wer"} if limit == 1 else {}
    expected = api_store.results(latest=False, **some)
    rows = all_pages(client(), "results", "results", limit, latest=False, **some)
    assert len(rows) == len(expected) == (8 if limit == 1 else 56)
    keys = ["run", "model", "task", "metric", "slice"]
    found = pd.DataFrame(rows).sort_values(keys, ignore_index=True)
    wanted = expected.drop(columns="folder").sort_values(keys, ignore_index=True)
    assert list(found) == list(RESULT_NAMES) == list(wanted)
    for name in wanted:
        if name == "created":
            assert (pd.to_datetime(found[name]) == wanted[name]).all()
        elif name in ("judges", "notes", "task_settings"):
            assert found[name].tolist() == wanted[name].tolist()
        else:
            assert found[name].isna().tolist() == wanted[name].isna().tolist(), name
            assert found[name].dropna().tolist() == wanted[name].dropna().tolist(), name


def test_results_are_filtered_as_the_store_filters_them(client: Client, api_store: Store, two_runs: list[str]) -> None:
    (protocol, *_) = api_store.protocols()["protocol"]
    filters: list[dict[str, Any]] = [
        {}, {"model": "poor"}, {"run": "second"}, {"metric": "wer", "slice": "all"}, {"protocol": protocol},
        {"task": "wer-tones", "latest": False}, {"task": "other"}, {"run": "' OR 1=1 --"},
        {"run": "second", "latest": False, "model": "oracle"},
    ]  # fmt: skip
    sizes = set()
    for one in filters:
        rows = client().get("results", params=one | {"limit": 1000}).json()["results"]
        expected = api_store.results(**one)
        found = sorted((row["run"], row["model"], row["metric"], row["slice"]) for row in rows)
        assert found == sorted(expected[["run", "model", "metric", "slice"]].itertuples(index=False, name=None)), one
        sizes.add(len(rows))
    assert len(sizes) >= 5


def test_an_undefined_number_is_null(client: Client, api_store: Store, usual_run: Path) -> None:
    with api_store.writing() as connection:
        connection.execute(sa.update(RESULTS).values(value=None, low=None, high=None))
    row = client().get("results?limit=1").json()["results"][0]
    assert (row["value"], row["low"], row["high"]) == (None, None, None)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_export_holds_what_the_store_holds(client: Client, api_store: Store, usual_run: Path, kind: str) -> None:
    answer = client().get("export", params={"format": kind, "task": "wer-tones", "metric": "wer"})
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[kind]
    frame = read(io.BytesIO(answer.content))
    expected = api_store.results(task="wer-tones", metric="wer")
    assert len(frame) == len(expected) == 20
    assert frame["value"].tolist() == pytest.approx(expected["value"].tolist())
    assert frame["model"].tolist() == expected["model"].tolist()
    assert "folder" not in frame
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
    assert answer.headers["Content-Type"] == kinds[kind]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="results_wer-tones_wer.{kind}"'
    (entry,) = audit.entries(api_store, action="exported")
    assert (entry.actor, entry.subject, entry.detail["results"]) == ("the viewer", kind, 20)


def test_an_export_that_is_too_large_is_refused(client: Client, usual_run: Path) -> None:
    answer = client(export_rows=19).get("export?metric=wer")
    assert answer.status_code == 413
    assert answer.json()["detail"] == "20 results are more than the 19 of one file; give more filters"
    assert client(export_rows=20).get("export?metric=wer").status_code == 200


def test_few_exports_are_made_at_once(client: Client, usual_run: Path) -> None:
    viewer = client(at_once=1)
    places = viewer.app.state.service.heavy  # type: ignore[attr-defined]
    places.acquire()
    answer = viewer.get("export")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "5"
    places.release()
    assert viewer.get("export").status_code == 200
    assert viewer.get("export").status_code == 200  # it gave its place back


def test_names_from_outside_are_text(client: Client, add_run: Callable[..., Path], usual_texts: dict[str, Any]) -> None:
    add_run(dict.fromkeys(NAMES, usual_texts["poor"]))
    viewer = client()
    for name in NAMES:
        rows = viewer.get("results", params={"model": name, "metric": "wer", "slice": "all"}).json()["results"]
        assert [row["model"] for row in rows] == [name]
    assert viewer.get("results").headers["Content-Type"] == "application/json"
    assert "'=cmd()" in viewer.get("export").text
    name = viewer.get("export", params={"task": '../"x\r\n'}).headers["Content-Disposition"]
    assert name == 'attachment; filename="results_x.csv"'


def test_runs_are_listed_newest_first(client: Client, two_runs: list[str]) -> None:
    rows = all_pages(client(), "runs", "runs", 1)
    assert [row["id"] for row in rows] == ["second", RUN]
    assert rows[0] == {
        "id": "second", "fingerprint": "2" * 64, "created": "2026-11-23T00:00:00Z", "finished": None,
        "status": "partial", "seed": 0, "limit": 12, "origin": "local",
    }  # fmt: skip
    chosen = client().get("runs", params={"status": "complete"}).json()["runs"]
    assert [row["id"] for row in chosen] == [RUN]
    assert client().get("runs", params={"origin": "verified"}).json() == {"runs": [], "next": None}
    assert client().get("runs", params={"status": "broken"}).status_code == 422


def test_a_run_is_whole_for_those_who_may_read_everything(client: Client, usual_run: Path) -> None:
    shown = client("viewer").get(f"runs/{RUN}").json()
    assert [model["name"] for model in shown["models"]] == ["also-good", "good:beam=5", "oracle", "poor", "silent"]
    assert [model["control"] for model in shown["models"]] == [False, False, True, False, True]
    (task,) = shown["tasks"]
    assert (task["name"], task["samples"], task["settings"]) == ("wer-tones", 12, {"normaliser": "none-1"})
    assert shown["document"] is None
    assert client("auditor").get(f"runs/{RUN}").json()["document"]["command"] == ["audiometry", "run"]
    assert client("maintainer").get(f"runs/{RUN}").json()["document"]["seed"] == 0


def test_a_run_that_is_not_there(client: Client) -> None:
    answer = client().get("runs/nothing")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "there is no run 'nothing'; list them at /api/v1/runs"}


def test_where_evidence_lies_is_not_told(client: Client, usual_run: Path, tmp_path: Path) -> None:
    viewer = client("viewer")
    for path in ("results", "runs", f"runs/{RUN}", "export?format=csv", "export?format=json"):
        answer = viewer.get(path)
        assert answer.status_code == 200
        assert str(tmp_path) not in answer.text


def test_an_imported_run_that_says_odd_things_breaks_no_page(
    client: Client, add_run: Callable[..., Path], usual_texts: dict[str, Any], api_store: Store
) -> None:
    add_run({"poor": usual_texts["poor"]})
    with api_store.writing() as connection:
        connection.execute(sa.text("UPDATE results SET judges = '[1, null]', notes = '{\"a\": 1}'"))
        connection.execute(sa.text("UPDATE tasks SET settings = '[NaN]'"))
        connection.execute(sa.text("UPDATE models SET settings = '{\"temperature\": NaN}'"))
    row = client().get("results?limit=1").json()["results"][0]
    assert (row["judges"], row["notes"], row["task_settings"]) == (["1", "None"], [], {})
    shown = client().get(f"runs/{RUN}").json()
    assert (shown["models"][0]["settings"], shown["tasks"][0]["settings"]) == ({"temperature": None}, {})
