"""Self-reported results: shown, marked, and never in the place of what was measured here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.reported import import_run


@pytest.fixture
def store(store_url: str, usual_run: Path) -> Iterator[Store]:
    """A store that holds a run which was measured here."""
    del usual_run
    with Store.open(store_url) as opened:
        yield opened


def change(folder: Path, **changes: object) -> Path:
    """Change the first result of a run folder."""
    document = json.loads((folder / "results.json").read_text())
    document["results"][0] |= changes
    (folder / "results.json").write_text(json.dumps(document))
    return folder


def test_an_import_is_marked_and_replaces_nothing(store: Store, usual_run: Path) -> None:
    before = store.results()
    run_id = import_run(usual_run, store)
    assert run_id.startswith("self-reported-")
    assert import_run(usual_run, store) == run_id
    everything = store.results(latest=False)
    assert len(everything) == 2 * len(before)
    reported = everything[everything["run"] == run_id]
    assert set(reported["origin"]) == {"self-reported"}
    assert set(everything[everything["run"] != run_id]["origin"]) == {"local"}
    # what was measured here goes before what is reported of the same model
    assert list(store.results()["run"]) == list(before["run"])
    assert store.run(run_id)["reported_id"] == before["run"].iloc[0]
    assert store.run(run_id)["folder"] == str(usual_run.absolute())


def test_a_reported_model_that_was_never_measured_here_is_shown(store: Store, usual_run: Path) -> None:
    for name in ("run.json", "results.json"):
        text = (usual_run / name).read_text()
        (usual_run / name).write_text(text.replace('"poor"', '"theirs"'))
    run_id = import_run(usual_run, store)
    shown = store.results(model="theirs")
    assert set(shown["origin"]) == {"self-reported"}
    assert set(shown["run"]) == {run_id}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"value": float("nan")}, "no finite number"),
        ({"value": "0.1"}, "no finite number"),
        ({"high": float("inf")}, "no finite number"),
        ({"n": -1}, "a count that is negative or above n"),
        ({"n": "many"}, "a count that is negative or above n"),
        ({"failed": 10**6}, "a count that is negative or above n"),
        ({"low": 0.5, "high": 0.4}, "an interval whose ends are swapped"),
        ({"value": 10**400}, "no finite number"),
        ({"n": 2**63}, "a count that is negative or above n"),
        ({"notes": [1]}, "a name or a note that is no text"),
        ({"judges": [["x"]]}, "a name or a note that is no text"),
        ({"slice": None}, "a name or a note that is no text"),
        ({"unit": "a\0b"}, "a name or a note that is no text"),
        ({"direction": "sideways"}, "a direction that is none"),
    ],
)
def test_numbers_that_no_run_gives_are_refused(
    store: Store, usual_run: Path, changes: dict[str, object], problem: str
) -> None:
    before = len(store.results(latest=False))
    with pytest.raises(StoreError, match=problem):
        import_run(change(usual_run, **changes), store)
    assert len(store.results(latest=False)) == before


WRONG: list[tuple[dict[str, object], str]] = [
    ({"settings": ["x"]}, "settings"),
    ({"settings": {"plugins": "x.py"}}, "settings.plugins"),
    ({"energy": "x"}, "energy"),
    ({"energy": {"kwh": "1"}}, "energy.kwh"),
    ({"hardware": ["x"]}, "hardware"),
    ({"hardware": {"gpus": 2}}, "hardware.gpus"),
    ({"models": []}, "models"),
    ({"models": [{"name": "a"}]}, "models[0].spec"),
    ({"tasks": {"name": "a"}}, "tasks"),
    ({"timings": None}, "timings"),
    ({"timings": [{"model": "a", "task": "t", "seconds": "long"}]}, "timings[0].seconds"),
    ({"timings": [{"model": "a", "task": "t", "usage": {"cost": "1"}}]}, "timings[0].usage.cost"),
    ({"created": "2026-01-01T00:00:00"}, "created"),
    ({"status": ["complete"]}, "status"),
    ({"seed": 2**63}, "seed"),
    ({"more": "a\0b"}, "a text that is no Unicode"),
    ({"more": "\ud800"}, "a text that is no Unicode"),
    ({"more": [float("nan")]}, "a number that is not finite"),
]


@pytest.mark.parametrize(("changes", "where"), WRONG, ids=range(len(WRONG)))
def test_a_run_document_of_another_form_is_refused(
    store: Store, usual_run: Path, changes: dict[str, object], where: str
) -> None:
    before = len(store.runs())
    document = json.loads((usual_run / "run.json").read_text())
    (usual_run / "run.json").write_text(json.dumps(document | changes))
    with pytest.raises(StoreError, match="not of the form of this version") as error:
        import_run(usual_run, store)
    assert where in str(error.value)
    assert len(store.runs()) == before


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000])
def test_what_is_no_run_document_at_all_is_refused(store: Store, usual_run: Path, text: str) -> None:
    (usual_run / "run.json").write_text(text)
    with pytest.raises(StoreError):
        import_run(usual_run, store)


def test_results_of_a_model_that_the_run_does_not_name_are_refused(store: Store, usual_run: Path) -> None:
    with pytest.raises(StoreError, match="does not name"):
        import_run(change(usual_run, model="someone else"), store)


def test_what_is_no_finished_run_is_refused(store: Store, usual_run: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        import_run(tmp_path, store)
    (usual_run / "results.json").write_text('{"results": []}')
    with pytest.raises(StoreError, match="holds no results"):
        import_run(usual_run, store)
