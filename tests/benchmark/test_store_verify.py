"""`store verify` finds every kind of damage, names it, and changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audiometry.benchmark.checksums import RUN_FILES, checksums, sha256_of
from audiometry.benchmark.cli import main
from audiometry.benchmark.database import REVISIONS, writing
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import BASELINES, METADATA, RUNS
from audiometry.benchmark.store import Store
from audiometry.benchmark.store_verify import verify
from audiometry.benchmark.types import Result


def add(store: Store, folder: Path, run_id: str = "a") -> None:
    model = {"name": "m", "spec": "m", "fingerprint": "f", "control": False, "settings": {}}
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    document = {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 7, "limit": None, "models": [model], "tasks": [task], "timings": [],
    }  # fmt: skip
    folder.mkdir()
    for name in RUN_FILES:
        (folder / name).write_text(f"{run_id} {name}")
    store.add_run(document, [Result("f", "m", "echo", "1", "wrong", "all", 0.5, 0.0, 1.0, 2)], str(folder))


def change(store: Store, statement: str) -> None:
    with writing(store._engine) as connection:
        connection.exec_driver_sql(statement)


def test_a_whole_store(store: Store, url: str, tmp_path: Path) -> None:
    add(store, tmp_path / "a", "a")
    add(store, tmp_path / "b", "b")
    found = verify(url)
    assert found.problems == []
    assert (found.schema, found.folders, found.hashed, found.unhashed) == (REVISIONS[-1], 2, 8, 0)
    assert found.rows == dict.fromkeys(METADATA.tables, 0) | {
        "runs": 2, "models": 1, "tasks": 1, "measurements": 2, "results": 2,
    }  # fmt: skip


def test_what_was_hashed_is_what_is_on_the_disk(store: Store, tmp_path: Path) -> None:
    add(store, tmp_path / "a")
    with store.reading() as connection:
        evidence = connection.execute(sa.select(RUNS.c.evidence)).scalar_one()
    assert evidence == {name: hashlib.sha256(f"a {name}".encode()).hexdigest() for name in RUN_FILES}
    assert checksums(str(tmp_path / "a")) == evidence
    assert checksums(f"file://{tmp_path / 'a'}") == evidence
    assert checksums("nothing://here") == {}
    big = bytes(range(256)) * 10_000
    assert sha256_of(io.BytesIO(big)) == hashlib.sha256(big).hexdigest()


def test_folders_that_are_gone_cut_or_changed(store: Store, url: str, tmp_path: Path) -> None:
    for name in ("gone", "cut", "changed", "whole"):
        add(store, tmp_path / name, name)
    for file in (tmp_path / "gone").iterdir():
        file.unlink()
    (tmp_path / "gone").rmdir()
    (tmp_path / "cut" / "scores.parquet").unlink()
    (tmp_path / "changed" / "outputs.parquet").write_text("other answers")
    change(store, "UPDATE runs SET evidence = '{}' WHERE id = 'whole'")
    found = verify(url)
    assert (found.folders, found.hashed, found.unhashed) == (2, 3 + 3, 4)
    changed, cut, gone = found.problems
    assert "changed/outputs.parquet of run 'changed' has changed since it was put in (SHA-256 " in changed
    assert f"{tmp_path / 'cut'}, lacks scores.parquet; put it back" in cut
    assert f"{tmp_path / 'gone'}, is gone; put it back" in gone
    assert verify(url, folders=False).problems == []


def test_rows_that_contradict_themselves(store: Store, url: str, tmp_path: Path) -> None:
    add(store, tmp_path / "a")
    change(store, "UPDATE runs SET seed = 8, status = 'done', origin = 'heaven'")
    differ, unknown = verify(url).problems
    assert "run 'a' and its document differ in status, seed" in differ
    assert "unknown status or origin, 'done' and 'heaven'" in unknown


def test_references_that_lead_nowhere(store: Store, url: str, tmp_path: Path) -> None:
    add(store, tmp_path / "a")
    with store.writing() as connection:
        row = {"name": "b", "run_id": "a", "model": "m", "created": sa.func.now()}
        connection.execute(sa.insert(BASELINES).values(**row))
    if store._engine.dialect.name == "sqlite":
        plain = sqlite3.connect(str(store._engine.url.database))
        plain.executescript("DELETE FROM runs; DELETE FROM tasks")
        plain.close()
    else:
        change(store, "SET session_replication_role = replica; DELETE FROM runs; DELETE FROM tasks")
    problems = verify(url).problems
    assert [problem.partition(";")[0] for problem in sorted(problems)] == [
        "1 rows of baselines have a run_id that runs does not hold",
        "1 rows of measurements have a run_id that runs does not hold",
        "1 rows of measurements have a task_id that tasks does not hold",
    ]


def test_tables_columns_and_values_that_are_not_ours(store: Store, url: str, tmp_path: Path) -> None:
    add(store, tmp_path / "a")
    change(store, "DROP TABLE tokens")
    change(store, "ALTER TABLE results DROP COLUMN unparsed")
    found = verify(url).problems
    assert "table tokens is missing; restore a backup" in found
    assert "table results lacks unparsed; restore a backup" in found


def test_a_value_that_cannot_be_read(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url) as store:
        add(store, tmp_path / "a")
        change(store, "UPDATE tasks SET settings = '{not json'")
    (problem,) = verify(sqlite_url).problems
    assert "table tasks holds a row that cannot be read" in problem


def test_a_torn_page(sqlite_url: str, tmp_path: Path) -> None:
    with Store.open(sqlite_url) as store:
        add(store, tmp_path / "a")
        with store.reading() as connection:
            page = connection.exec_driver_sql("SELECT rootpage FROM sqlite_master WHERE name = 'results'").scalar_one()
            size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    assert not file.with_name(file.name + "-wal").exists()
    data = bytearray(file.read_bytes())
    data[(page - 1) * size : page * size] = bytes(size)
    file.write_bytes(bytes(data))
    problems = verify(sqlite_url).problems
    assert any("damaged" in problem for problem in problems)
    assert main(["store", "verify", "--store", sqlite_url]) == 1


def test_an_older_schema_is_told_and_left(store: Store, url: str, tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from audiometry.benchmark import migrations

    add(store, tmp_path / "a")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(store._engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    for _ in range(2):
        found = verify(url)
        (problem,) = found.problems
        assert f"schema 0001 is older than this version's {REVISIONS[-1]}: open the store once" in problem
        assert found.rows == {"runs": 1, "models": 1, "tasks": 1, "measurements": 1, "results": 1}
    Store.open(url).close()
    assert verify(url).problems == []


def test_what_is_no_store(tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = tmp_path / "x" / "store.db"
    with pytest.raises(StoreError, match="does not exist; mend AUDIOMETRY_STORE"):
        verify(f"sqlite:///{nowhere}")
    assert not nowhere.exists()
    with pytest.raises(StoreError, match="holds no results store"):
        verify(postgres_url)
    assert main(["store", "verify", "--store", postgres_url]) == 2
    assert "holds no results store" in capsys.readouterr().err


def test_the_command_says_what_it_found(
    store: Store, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(store, tmp_path / "a")
    assert main(["store", "verify", "--store", url]) == 0
    assert "problems: none" in capsys.readouterr().out
    (tmp_path / "a" / "run.json").write_text("changed")
    assert main(["store", "verify", "--store", url, "--json"]) == 1
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert said["hashed"] == 3
    assert len(said["problems"]) == 1
