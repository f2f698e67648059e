"""Names for baselines: set, moved, listed, removed, opened, and everything that can be wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.compare import open_side
from audiometry.benchmark.errors import SettingError, StoreError
from audiometry.benchmark.named_baselines import baselines, open_reference, remove_baseline, set_baseline
from audiometry.benchmark.store import Store

Write = Callable[..., Path]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 's.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with Store.open(url) as opened:
        yield opened


def test_set_move_and_remove(store: Store, write_run: Write, tmp_path: Path) -> None:
    first = open_side(str(write_run(tmp_path / "a", [0, 1])))
    second = open_side(f"{write_run(tmp_path / 'b', [0, 1], models=('m', 'n'))}::n")
    assert baselines(store) == []
    set_baseline(store, "main", first)
    found = set_baseline(store, "main", second)
    assert (found.name, found.run, found.model, found.folder) == ("main", "run-b", "n", str(tmp_path / "b"))
    set_baseline(store, "a.release-1_0", first)
    assert [one.name for one in baselines(store)] == ["a.release-1_0", "main"]
    assert found.created.tzinfo is not None
    assert store.run("run-a")["id"] == "run-a", "a run that the store did not hold was put in"
    remove_baseline(store, "main")
    assert [one.name for one in baselines(store)] == ["a.release-1_0"]
    with pytest.raises(StoreError, match=r"there is no baseline 'main'; there are: a\.release-1_0"):
        remove_baseline(store, "main")


@pytest.mark.parametrize("name", ["", "a b", "a::b", "../x", "-x", "x" * 201, "<b>"])
def test_names_that_are_none(write_run: Write, tmp_path: Path, name: str) -> None:
    side = open_side(str(write_run(tmp_path / "a", [0, 1])))
    with Store.open(f"sqlite:///{tmp_path / 's.db'}") as store, pytest.raises(SettingError, match="cannot name a base"):
        set_baseline(store, name, side)


def test_only_a_complete_run_is_a_baseline(write_run: Write, tmp_path: Path) -> None:
    side = open_side(str(write_run(tmp_path / "a", [0, 1], status="partial")))
    with Store.open(f"sqlite:///{tmp_path / 's.db'}") as store:
        with pytest.raises(StoreError, match="run run-a is partial, and no baseline"):
            set_baseline(store, "main", side)
        assert baselines(store) == []


def test_opening(write_run: Write, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open() as store:
        set_baseline(store, "main", open_side(f"{write_run(tmp_path / 'a', [0, 1], models=('m', 'n'))}::n"))
    side = open_reference("main")
    assert (side.run, side.model) == ("run-a", "n")
    write_run(home / "runs" / "by-id", [0, 1])
    assert open_reference("by-id").run == "run-by-id"
    assert open_reference("./a::m").model == "m"
    with pytest.raises(StoreError, match=r"there is no run 'other'.*no baseline either \(there are: main\)"):
        open_reference("other")
    write_run(tmp_path / "main", [0, 1])
    with pytest.raises(StoreError, match=r"is a stored baseline and a run folder; write \./main"):
        open_reference("main")
    assert open_reference("./main").run == "run-main"
    shutil.rmtree("main")
    shutil.rmtree("a")
    with pytest.raises(StoreError, match="there is no run"):
        open_reference("main")


def test_another_run_in_the_folder_is_not_the_baseline(
    write_run: Write, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worse run in the baseline's folder was once compared with itself, and passed."""
    latest = write_run(tmp_path / "latest", [1, 0] * 100)
    with Store.open() as store:
        set_baseline(store, "main", open_side(str(latest)))
    shutil.rmtree(latest)
    document = json.loads((write_run(latest, [3, 2] * 100) / "run.json").read_text())
    (latest / "run.json").write_text(json.dumps(document | {"id": "run-worse"}))
    assert cli.main(["gate", "--baseline", "main", "--candidate", str(latest)]) == 2
    told = capsys.readouterr().err
    assert f"baseline 'main' is run run-latest, and {latest} holds another one now, run-worse; put the run back" in told


def test_changed_evidence_is_not_the_baseline(write_run: Write, tmp_path: Path, home: Path) -> None:
    assert not home.exists()
    folder = write_run(tmp_path / "a", [1, 0] * 100)
    with Store.open() as store:
        set_baseline(store, "main", open_side(str(folder)))
    assert open_reference("main").run == "run-a"
    shutil.copy(write_run(tmp_path / "b", [3, 2] * 100) / "scores.parquet", folder)
    with pytest.raises(StoreError, match=r"a/scores\.parquet has changed since run run-a, baseline 'main', was put in"):
        open_reference("main")
    with Store.open() as store, pytest.raises(StoreError, match=r"a/scores\.parquet is not that of run run-a as the"):
        set_baseline(store, "other", open_side(str(folder)))
    (folder / "run.json").write_text("{")
    with pytest.raises(StoreError, match=r"cannot read .*run\.json"):
        open_reference("main")


def test_a_folder_that_moved_is_the_baseline_once_it_is_set_again(
    store: Store, write_run: Write, tmp_path: Path
) -> None:
    set_baseline(store, "main", open_side(str(write_run(tmp_path / "a", [0, 1]))))
    (tmp_path / "a").rename(tmp_path / "moved")
    found = set_baseline(store, "main", open_side(str(tmp_path / "moved")))
    assert (found.run, found.folder) == ("run-a", str(tmp_path / "moved"))
    assert store.run("run-a")["folder"] == str(tmp_path / "moved")


def test_the_commands(write_run: Write, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(write_run(tmp_path / "a", [1, 0] * 200))
    assert cli.main(["baseline", "set", "main", run]) == 0
    assert capsys.readouterr().err == "main: m in run run-a\n"
    assert cli.main(["baseline", "list"]) == 0
    line = capsys.readouterr().out.split("\t")
    assert line[:3] == ["main", "m", "run-a"]
    other = str(write_run(tmp_path / "b", [1, 0] * 200))
    assert cli.main(["gate", "--baseline", "main", "--candidate", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"
    assert cli.main(["baseline", "list", "--json", "--store", f"sqlite:///{home / 'store.db'}"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["folder"]) == ("main", run)
    assert cli.main(["baseline", "remove", "main"]) == 0
    assert cli.main(["baseline", "remove", "main"]) == 2
    assert "there is no baseline 'main'; there are: none yet" in capsys.readouterr().err
    assert cli.main(["gate", "--baseline", "main", "--candidate", run]) == 2
