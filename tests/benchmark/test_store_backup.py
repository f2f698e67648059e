"""A store copied and brought back: the same in both databases, whole while others write, and never half."""

from __future__ import annotations

import itertools
import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audiometry.benchmark.cli import main
from audiometry.benchmark.database import connect_file, migrate
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import (
    AUDIT_LOG,
    BASELINES,
    METADATA,
    RUNS,
    SUBMISSION_EVENTS,
    SUBMISSIONS,
    TOKENS,
)
from audiometry.benchmark.store import Store
from audiometry.benchmark.store_backup import backup, check_backup, restore
from audiometry.benchmark.store_verify import verify
from audiometry.benchmark.types import Result

NOW = datetime(2026, 11, 23, 4, 5, 6, 789, tzinfo=UTC)
NUMBERS = itertools.count()
NASTY = "<img src=x onerror=alert(1)> ' \" \\ ; DROP TABLE runs -- \u202e 日本"
MODELS = ("plain", NASTY, "PLAIN", "_plain")


def document(run_id: str) -> dict[str, Any]:
    models = [
        {"name": n, "spec": n, "fingerprint": "f", "control": False, "settings": {"b": 1, "a": [None, 0.1]}}
        for n in MODELS
    ]
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    return {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01.123456+01:00", "finished": None,
        "status": "complete", "seed": 2**62, "limit": None, "models": models, "tasks": [task], "timings": [],
    }  # fmt: skip


def results() -> list[Result]:
    values = [("all", 0.1 + 0.2), ("a=b", None), ("c", float("inf")), ("d", 5e-324), ("e", -0.0)]
    return [
        Result("f", model, "echo", "1", "wrong", name, value, None, 1.0, 2, notes=(NASTY,))
        for model in MODELS
        for name, value in values
    ]


def fill(store: Store, runs: int = 3) -> None:
    """Rows in every table."""
    for number in range(runs):
        store.add_run(document(f"run-{number}"), results(), f"/folder/{number}")
    submission = {
        "id": "s1", "name": NASTY, "submitter": "me", "suite": "core", "digest": None, "manifest": {"z": 1, "a": 2},
        "files": [{"path": "w", "size": 1, "sha256": "0"}], "state": "verified", "created": NOW, "updated": NOW,
        "run_id": "run-0", "progress": 0.5, "lease_until": NOW,
    }  # fmt: skip
    with store.writing() as connection:
        connection.execute(sa.insert(SUBMISSIONS), submission)
        connection.execute(
            sa.insert(SUBMISSION_EVENTS),
            [{"submission_id": "s1", "at": NOW, "state": "received"}, {"submission_id": "s1", "at": NOW, "state": "x"}],
        )
        connection.execute(
            sa.insert(TOKENS), {"id": "t", "name": "n", "role": "viewer", "digest": "0" * 64, "created": NOW}
        )
        line = {"at": NOW, "actor": "a", "action": "b", "subject": NASTY, "detail": {}}
        connection.execute(sa.insert(AUDIT_LOG), line)
        connection.execute(sa.insert(BASELINES), {"name": "m", "run_id": "run-1", "model": "plain", "created": NOW})


def everything(store: Store) -> dict[str, list[Any]]:
    with store.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in METADATA.sorted_tables
        }


@pytest.fixture
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Another empty store of a kind."""

    def make(kind: str) -> str:
        return f"sqlite:///{tmp_path / 'other.db'}" if kind == "sqlite" else str(request.getfixturevalue("other_url"))

    return make


@pytest.fixture
def other_url(postgres: Any) -> str:
    return str(postgres.create(f"other{next(NUMBERS)}"))


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_every_row_comes_back_in_either_database(
    store: Store, other: Callable[[str], str], kind: str, tmp_path: Path
) -> None:
    fill(store)
    before, file = everything(store), tmp_path / "copy ?#%41.backup"
    counts = backup(store, file)
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert all(counts.values())
    assert everything(store) == before
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == [file.name]
    assert {name: n for name, n in check_backup(file).items() if name in counts} == counts
    with Store.open(other(kind)) as target:
        assert restore(target, file) == counts
        assert everything(target) == before
        target.add_run(document("later"), results(), "/later")  # ids go on after those that were put in
        with target.writing() as connection:
            connection.execute(sa.insert(SUBMISSION_EVENTS), {"submission_id": "s1", "at": NOW, "state": "y"})
        again = everything(target)
        assert len(again["results"]) == len(before["results"]) + len(results())
        assert len({row[0] for row in again["submission_events"]}) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_static_board_of_a_restored_store_has_the_same_bytes(
    store: Store, other: Callable[[str], str], kind: str, tmp_path: Path
) -> None:
    from audiometry.leaderboard.site.build import site_files

    fill(store)
    backup(store, tmp_path / "x")
    with Store.open(other(kind)) as target:
        restore(target, tmp_path / "x")
        assert dict(site_files(target)) == dict(site_files(store))


def test_an_empty_store_comes_back_and_counts_from_one(store: Store, tmp_path: Path) -> None:
    backup(store, tmp_path / "x")
    restore(store, tmp_path / "x")
    fill(store)
    assert min(row[0] for row in everything(store)["results"]) == 1


def test_a_store_with_rows_is_not_written_over_unless_asked(store: Store, tmp_path: Path) -> None:
    fill(store, runs=2)
    backup(store, tmp_path / "x")
    before = everything(store)
    store.add_run(document("later"), results(), "/later")
    changed = everything(store)
    with pytest.raises(StoreError, match=r"holds \w+ already; give an empty database .* --replace"):
        restore(store, tmp_path / "x")
    assert everything(store) == changed
    restore(store, tmp_path / "x", replace=True)
    assert everything(store) == before


def test_a_restore_that_fails_leaves_the_store_as_it_was(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, runs=2)
    backup(store, tmp_path / "x")
    store.add_run(document("later"), results(), "/later")
    before = everything(store)

    def break_off(connection: sa.Connection, *_: Any) -> None:
        raise sa.exc.OperationalError("", {}, OSError("the disk went away"))

    sa.event.listen(store._engine, "before_execute", lambda c, e, *_: break_off(c) if _is_insert(e) else None)
    with pytest.raises(StoreError, match="the disk went away"):
        restore(store, tmp_path / "x", replace=True)
    assert everything(store) == before


def _is_insert(element: Any) -> bool:
    return isinstance(element, sa.Insert) and element.table.name == "results"


def test_a_backup_of_a_store_that_is_written_to_is_of_one_moment(store: Store, tmp_path: Path) -> None:
    """Each run comes with its results in one transaction: a copy that holds a part of one was not of one moment."""
    fill(store, runs=20)
    stop, added, raised = threading.Event(), [0], []

    def write() -> None:
        try:
            while not stop.is_set():
                store.add_run(document(f"new-{added[0]}"), results(), "/new")
                added[0] += 1
        except BaseException as error:
            raised.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    counts = []
    try:
        for number in range(4):
            before = added[0]
            while added[0] == before and writer.is_alive():
                stop.wait(0.001)
            counts.append(backup(store, tmp_path / f"copy-{number}"))
    finally:
        stop.set()
        writer.join(60)
    assert not raised
    assert added[0] >= 4
    for count in counts:
        assert count["measurements"] == len(MODELS) * count["runs"]
        assert count["results"] == len(results()) * count["runs"]
    assert counts[0]["runs"] < counts[-1]["runs"]


def test_an_old_backup_comes_forward(store: Store, tmp_path: Path) -> None:
    """A file as an older version would have left it: its schema is brought forward in a copy, the file stays."""
    from alembic import command
    from alembic.config import Config

    from audiometry.benchmark import migrations, store_backup
    from audiometry.benchmark.database import writing

    old = tmp_path / "old"
    engine = connect_file(old)
    migrate(engine, "old")
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO runs (id, fingerprint, created, status, seed, folder, document) "
            "VALUES ('r', 'f', '2026-11-22 15:55:01', 'complete', 7, '/f', '{}')"
        )
    engine.dispose()
    store_backup._list_contents(old)
    before = old.read_bytes()
    assert restore(store, old)["runs"] == 1
    (run,) = everything(store)["runs"]
    columns = dict(zip(RUNS.c.keys(), run, strict=True))
    assert (columns["id"], columns["origin"], columns["evidence"]) == ("r", "local", {})
    assert old.read_bytes() == before


def damage(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE results SET value = 0.5 WHERE id = 3",
        "DELETE FROM results WHERE id = 3",
        "UPDATE alembic_version SET version_num = '9999'",
        "DROP TABLE tokens",
        "UPDATE contents SET rows = rows + 1 WHERE name = 'runs'",
    ],
)
def test_a_backup_that_was_changed_is_refused(tmp_path: Path, sqlite_url: str, statement: str) -> None:
    file = tmp_path / "x.backup"
    with Store.open(sqlite_url) as store:
        fill(store)
        backup(store, file)
        damage(file, statement)
        before = everything(store)
        with pytest.raises(StoreError, match="damaged") as caught:
            restore(store, file, replace=True)
        assert "\n" not in str(caught.value)
        assert everything(store) == before


def test_a_backup_with_a_torn_page_or_tail_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    whole = tmp_path / "x.backup"
    with Store.open(sqlite_url) as store:
        fill(store)
        backup(store, whole)
    content = whole.read_bytes()
    torn = bytearray(content)
    torn[8192:12288] = bytes(4096)
    for name, data in {
        "torn": bytes(torn),
        "cut": content[: len(content) // 2],
        "none": b"",
        "text": b"x" * 9000,
    }.items():
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(StoreError, match=r"damaged|no backup"):
            check_backup(file)
        assert main(["store", "verify", "--backup", str(file)]) == 1


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "x").write_text("mine")
    with Store.open(sqlite_url) as store:
        with pytest.raises(StoreError, match="is there already; give the name of a new file"):
            backup(store, tmp_path / "x")
        with pytest.raises(StoreError, match=r"cannot write .*; choose another place"):
            backup(store, tmp_path / "nowhere" / "x")
        with pytest.raises(StoreError, match="does not exist"):
            restore(store, tmp_path / "gone")
        with pytest.raises(StoreError, match=r"is no backup: it has no list of contents"):
            restore(store, Path(sqlite_url.removeprefix("sqlite:///")))
    assert (tmp_path / "x").read_text() == "mine"


def test_a_backup_that_fails_leaves_nothing(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from audiometry.benchmark import store_backup

    def fail(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_backup, "_list_contents", fail)
    with Store.open(sqlite_url) as store, pytest.raises(StoreError, match="No space left on device"):
        backup(store, tmp_path / "copies.backup")
    assert [path.name for path in tmp_path.iterdir() if "backup" in path.name] == []


def test_the_commands(
    url: str, other: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(url) as store:
        fill(store)
        before = everything(store)
    file, target = str(tmp_path / "x.backup"), other("sqlite")
    assert main(["store", "backup", file, "--store", url, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"]["runs"] == 3
    assert said["bytes"] == Path(file).stat().st_size
    assert main(["store", "backup", file, "--store", url]) == 2
    assert main(["store", "verify", "--backup", file]) == 0
    assert "problems: none" in capsys.readouterr().out
    assert main(["store", "verify", "--backup", str(tmp_path / "gone")]) == 2
    assert main(["store", "restore", file, "--store", target]) == 0
    assert main(["store", "restore", file, "--store", target]) == 2
    assert main(["store", "restore", file, "--store", target, "--replace"]) == 0
    with Store.open(target) as store:
        assert everything(store) == before
    capsys.readouterr()
    assert main(["store", "verify", "--store", target, "--no-folders", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"]["results"] == 3 * len(results())
    assert main(["store", "verify", "--store", target]) == 1  # the folders were never there
    assert "the folder of run 'run-0', /folder/0, is gone" in capsys.readouterr().out
    assert verify(target, folders=False).problems == []
