"""Comparisons over HTTP: those of the engine, of runs in the store and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from audiometry.benchmark.compare import compare, open_side
from audiometry.benchmark.registry import TASKS, task
from audiometry.benchmark.schema import RUNS
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Metric, Task

Client = Callable[..., TestClient]

NAME = "wer-tones"
FIRST, SECOND = "first", "second"


def reduce(table: Any, weights: Any) -> dict[str, Any]:
    wrong = sum(table.cluster_sums(name) for name in ("substitutions", "deletions", "insertions"))
    return {"wer": (weights @ wrong) / (weights @ table.cluster_sums("reference"))}


@pytest.fixture(autouse=True)
def tones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of the runs, registered for the test's time."""
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))

    @task(NAME)
    def wer_tones() -> Task:
        """Word error rate on tones."""
        return Task(
            name=NAME, version="1", ability="transcribe", samples=lambda: [], score=lambda *_: None,  # type: ignore[arg-type,return-value]
            reduce=reduce, metrics=(Metric("wer"),),
        )  # fmt: skip


@pytest.fixture
def two_runs(add_run: Callable[..., Path], usual_texts: dict[str, Any]) -> list[Path]:
    """`first` of five models and `second` of the poor one alone."""
    tasks = [{
        "name": NAME, "spec": NAME, "version": "1", "settings": {}, "notes": [], "metrics": [], "samples": 12,
        "digest": "d1",
    }]  # fmt: skip
    return [
        add_run(usual_texts, run_id=FIRST, tasks=tasks, settings={}),
        add_run({"poor": usual_texts["poor"]}, run_id=SECOND, tasks=tasks, settings={}),
    ]


def change_document(store: Store, run: str, **changes: Any) -> None:
    with store.writing() as connection:
        document = connection.execute(sa.select(RUNS.c.document).where(RUNS.c.id == run)).scalar_one()
        connection.execute(sa.update(RUNS).where(RUNS.c.id == run).values(document={**document, **changes}))


def test_it_is_the_comparison_of_the_engine(client: Client, two_runs: list[Path]) -> None:
    answer = client().get("compare", params={"a": FIRST, "a_model": "good:beam=5", "b": SECOND, "seed": 3})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    sides = [open_side(f"{two_runs[0]}::good:beam=5"), open_side(str(two_runs[1]))]
    lines, changed = compare(*sides, seed=3)
    assert found["a"] == {"run": FIRST, "model": "good:beam=5"}
    assert found["b"] == {"run": SECOND, "model": "poor"}
    assert [row["slice"] for row in found["comparisons"]] == [line.slice for line in lines]
    for row, line in zip(found["comparisons"], lines, strict=True):
        expected = json.loads(json.dumps(asdict(line.found)))
        assert {name: row[name] for name in expected} == expected
        assert (row["a"], row["b"], row["n"], row["p_adjusted"]) == (
            line.value_a,
            line.value_b,
            line.n,
            line.p_adjusted,
        )
    assert found["comparisons"][0]["verdict"] == "worse"
    assert found["changed"] == {NAME: [asdict(one) for one in changed[NAME]]}
    assert len(found["changed"][NAME]) > 3


def test_a_margin_makes_equal(client: Client, two_runs: list[Path]) -> None:
    same = {"a": FIRST, "b": SECOND, "a_model": "poor", "margin": 0.5, "resamples": 100}
    assert client().get("compare", params=same).json()["comparisons"][0]["verdict"] == "practically equal"


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"a": "none", "b": SECOND}, 404, "there is no run 'none'; list them at /api/v1/runs"),
        ({"a": FIRST, "b": SECOND}, 422, "run first holds several models; name one by a_model or b_model: good:beam=5"),
        ({"a": SECOND, "b": SECOND, "b_model": "x"}, 404, "run second holds no model 'x'; it holds: poor"),
        ({"a": SECOND}, 422, "query b: Field required"),
        ({"a": SECOND, "b": SECOND, "resamples": 5001}, 422, "query resamples: "),
        ({"a": SECOND, "b": SECOND, "margin": "nan"}, 422, "query margin: "),
        ({"a": SECOND, "b": SECOND, "margin": "inf"}, 422, "query margin: "),
    ],
)
def test_what_cannot_be_asked(
    client: Client, two_runs: list[Path], query: dict[str, Any], status: int, said: str
) -> None:
    answer = client().get("compare", params=query)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(said)


def test_a_path_is_no_run(client: Client, two_runs: list[Path]) -> None:
    for path in (str(two_runs[1]), "../second", "second/../second", str(two_runs[1])[-60:]):
        answer = client().get("compare", params={"a": path[:64], "b": SECOND})
        assert answer.status_code == 404


def test_only_like_is_compared_with_like(client: Client, two_runs: list[Path], api_store: Store) -> None:
    asked = {"a": FIRST, "a_model": "poor", "b": SECOND, "resamples": 100}
    with api_store.reading() as connection:
        (task_,) = connection.execute(sa.select(RUNS.c.document).where(RUNS.c.id == SECOND)).scalar_one()["tasks"]
    for change, said in [
        ({"digest": "d2"}, "used different samples or targets"), ({"version": "2"}, "used different versions"),
        ({"name": "other"}, "the runs share no task"),
    ]:  # fmt: skip
        change_document(api_store, SECOND, tasks=[task_ | change])
        answer = client().get("compare", params=asked)
        assert answer.status_code == 409
        assert said in answer.json()["detail"]
    for tasks in (None, [{}], "x", [task_ | {"spec": 3}], [task_ | {"spec": "nothing-there"}]):
        for run in (FIRST, SECOND):
            change_document(api_store, run, tasks=tasks)
        assert client().get("compare", params=asked).status_code == 409, tasks


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": ["x"]}, {"settings": "x"}, {"models": []}, {"models": "x"}, {"models": [{}]}, {"models": None},
        {"models": [{"name": 5}]}, {"models": [{"name": ["poor"]}]}, {"models": {"name": "poor"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_run_of_another_form_is_told_and_no_fault_of_the_server(
    client: Client, two_runs: list[Path], api_store: Store, changes: dict[str, Any]
) -> None:
    change_document(api_store, SECOND, **changes)
    for asked in ({"a": SECOND, "b": SECOND}, {"a": FIRST, "a_model": "poor", "b": SECOND}):
        answer = client().get("compare", params=asked)
        assert (answer.status_code, answer.json()["detail"]) == (
            409, "run second is not of the form of this version; run it again",
        )  # fmt: skip


def test_plug_in_files_that_a_run_names_are_not_loaded(
    client: Client, two_runs: list[Path], api_store: Store, tmp_path: Path
) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text(f"open({str(tmp_path / 'was-here')!r}, 'w').close()")
    change_document(api_store, SECOND, settings={"plugins": [str(plugin)]})
    answer = client().get("compare", params={"a": SECOND, "b": SECOND})
    assert answer.status_code == 409
    assert "plug-in files, which this server does not load" in answer.json()["detail"]
    assert not (tmp_path / "was-here").exists()


def test_evidence_that_is_gone(client: Client, two_runs: list[Path], tmp_path: Path) -> None:
    (two_runs[1] / "scores.parquet").unlink()
    answer = client().get("compare", params={"a": SECOND, "b": SECOND})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "the scores of second or second are not on this server"}


def test_few_comparisons_are_made_at_once(client: Client, two_runs: list[Path]) -> None:
    viewer = client(at_once=1)
    with viewer.app.state.service.heavy:  # type: ignore[attr-defined]
        assert viewer.get("compare", params={"a": SECOND, "b": SECOND}).status_code == 429
    assert viewer.get("compare", params={"a": SECOND, "b": SECOND, "resamples": 100}).status_code == 200
