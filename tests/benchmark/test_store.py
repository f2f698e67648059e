"""The results store: what goes in comes out, twice is once, and every way it cannot be opened says so in one line."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from audiometry.benchmark import database, migrations, paths
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import METADATA, MODELS, TASKS
from audiometry.benchmark.store import RESULT_COLUMNS, Store, check_writable
from audiometry.benchmark.types import Result

RUN: dict[str, Any] = {
    "id": "20261122-155501-ab12cd34",
    "fingerprint": "f" * 64,
    "created": "2026-11-22T15:55:01+00:00",
    "finished": "2026-11-22T16:55:01.250000+01:00",
    "status": "complete",
    "command": ["audiometry", "run"],
    "seed": 7,
    "limit": None,
    "versions": {"audiometry": "0.1.0"},
    "hardware": {"cpu": "two cores"},
    "models": [
        {
            "name": "whisper:beam=1",
            "spec": "whisper:beam=1",
            "fingerprint": "w1",
            "control": False,
            "settings": {"beam": "1"},
        },
        {"name": "oracle", "spec": "oracle", "fingerprint": "o1", "control": True, "settings": {}},
    ],
    "tasks": [
        {
            "name": "wer-asterisk-en",
            "version": "1",
            "settings": {"normaliser": "whisper-english-1"},
            "notes": ["these speakers only"],
            "metrics": [{"name": "wer", "unit": "fraction", "direction": "lower"}],
            "samples": 540,
            "digest": "d1",
        }
    ],
    "timings": [
        {"model": "whisper:beam=1", "task": "wer-asterisk-en", "seconds": 2.0, "audio_seconds": 30.0, "rtfx": 15.0}
    ],
}


def result(**changes: Any) -> Result:
    values: dict[str, Any] = {
        "run": RUN["fingerprint"], "model": "whisper:beam=1", "task": "wer-asterisk-en", "task_version": "1",
        "metric": "wer", "slice": "all", "value": 0.068, "low": 0.055, "high": 0.082, "n": 540, "failed": 2,
        "empty": 1, "refused": 0, "unparsed": 0, "judges": ("judge-1",), "seed": 7, "unit": "fraction",
        "direction": "lower", "control": False, "notes": ("these speakers only",),
    }  # fmt: skip
    return Result(**values | changes)


RESULTS = [
    result(),
    result(slice="gender=female", value=0.05),
    result(metric="cer", value=None, low=None, high=None),
    result(model="oracle", value=0.0, low=0.0, high=0.0, failed=0, empty=0, control=True),
]


def document(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RUN) | changes


def read_back(store: Store, run_id: str) -> list[Result]:
    frame = store.results(run=run_id)
    names = set(asdict(result())) - {"run", "judges", "notes", "value", "low", "high"}
    return [
        Result(
            run=RUN["fingerprint"],
            judges=tuple(row["judges"]),
            notes=tuple(row["notes"]),
            **{name: row[name] for name in names},
            **{name: None if row[name] != row[name] else row[name] for name in ("value", "low", "high")},
        )
        for row in frame.to_dict("records")
    ]


def test_what_goes_in_comes_out(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/evidence/run")
    assert sorted(read_back(store, RUN["id"]), key=repr) == sorted(RESULTS, key=repr)
    assert store.run(RUN["id"]) == RUN | {"folder": "/evidence/run"}
    (run,) = store.runs().to_dict("records")
    assert run == {
        "id": RUN["id"], "fingerprint": RUN["fingerprint"], "status": "complete", "seed": 7, "limit": None,
        "created": datetime(2026, 11, 22, 15, 55, 1, tzinfo=UTC), "folder": "/evidence/run",
        "finished": datetime(2026, 11, 22, 15, 55, 1, 250_000, tzinfo=UTC),
    }  # fmt: skip
    (protocol,) = store.protocols().to_dict("records")
    assert protocol == {
        "task": "wer-asterisk-en", "version": "1", "settings": {"normaliser": "whisper-english-1"}, "samples": 540,
        "newest": datetime(2026, 11, 22, 15, 55, 1, tzinfo=UTC), "limited": False,
        "protocol": store.results()["protocol"][0],
    }  # fmt: skip
    frame = store.results(metric="wer", slice="all").set_index("model")
    assert frame.loc["whisper:beam=1", "rtfx"] == 15.0
    assert frame["rtfx"].isna()["oracle"]


def test_adding_twice_is_adding_once(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/evidence/run")
    before = store.results()
    store.add_run(RUN, RESULTS, "/evidence/run")
    assert len(store.runs()) == 1
    assert store.results().drop(columns=[]).equals(before)


def test_a_run_that_was_resumed_shows_its_newest_numbers(store: Store) -> None:
    store.add_run(document(status="partial", finished=None), RESULTS[:1], "/evidence/run")
    store.add_run(RUN, [replace(RESULTS[0], value=0.07)], "/evidence/run")
    frame = store.results()
    assert list(frame["value"]) == [0.07]
    assert list(frame["run_status"]) == ["complete"]


def test_models_and_tasks_are_kept_once(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/a")
    store.add_run(document(id="later"), RESULTS, "/b")
    count = sa.select(sa.func.count())
    with store._engine.connect() as connection:
        counts = {table.name: connection.execute(count.select_from(table)).scalar_one() for table in (MODELS, TASKS)}
    assert counts == {"models": 2, "tasks": 1}


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ({}, {"created": "2026-11-23T00:00:00+00:00"}, "second"),
        ({"created": "2026-11-23T00:00:00+00:00"}, {}, "first"),
        ({}, {"created": "2026-11-23T00:00:00+00:00", "status": "partial"}, "first"),
        ({}, {"created": "2026-11-23T00:00:00+00:00", "status": "too many failures"}, "first"),
        ({"status": "partial"}, {"created": "2026-11-23T00:00:00+00:00", "status": "partial"}, "second"),
    ],
)
def test_latest_is_the_newest_complete_run(
    store: Store, first: dict[str, Any], second: dict[str, Any], shown: str
) -> None:
    store.add_run(document(id="first", **first), RESULTS, "/a")
    store.add_run(document(id="second", **second), RESULTS, "/b")
    assert set(store.results()["run"]) == {shown}
    assert set(store.results(task="wer-asterisk-en", model="oracle")["run"]) == {shown}
    assert len(store.results(latest=False)) == 2 * len(RESULTS)
    assert set(store.results(run="first")["run"]) == {"first"}


@pytest.mark.parametrize("changes", [{"version": "2"}, {"settings": {"normaliser": "basic-1"}}, {"digest": "d2"}])
def test_another_version_setting_or_data_is_another_protocol(store: Store, changes: dict[str, Any]) -> None:
    store.add_run(RUN, RESULTS, "/a")
    later = {"id": "later", "created": "2026-11-23T00:00:00+00:00"}
    store.add_run(document(tasks=[RUN["tasks"][0] | changes], **later), RESULTS[:1], "/b")
    protocols = store.protocols()
    assert len(protocols) == 2
    found = [set(store.results(protocol=protocol)["run"]) for protocol in protocols["protocol"]]
    assert found == [{"later"}, {RUN["id"]}]
    assert [list(store.runs(protocol=protocol)["id"]) for protocol in protocols["protocol"]] == [["later"], [RUN["id"]]]
    assert set(store.results(model="whisper:beam=1")["run"]) == {"later", RUN["id"]}


def test_a_part_of_the_samples_stands_after_the_whole(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/a")
    part = RUN["tasks"][0] | {"digest": "d2", "samples": 10}
    store.add_run(document(id="part", limit=10, tasks=[part], created="2026-11-23T00:00:00+00:00"), RESULTS, "/b")
    protocols = store.protocols()
    assert list(protocols["samples"]) == [540, 10]
    assert list(protocols["limited"]) == [False, True]


def test_latest_goes_by_model(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/a")
    store.add_run(document(id="later", created="2026-11-23T00:00:00+00:00"), RESULTS[:1], "/b")
    assert store.results(metric="wer", slice="all").set_index("model")["run"].to_dict() == {
        "whisper:beam=1": "later",
        "oracle": RUN["id"],
    }


def test_an_empty_store_gives_empty_frames(store: Store) -> None:
    assert list(store.results().columns) == list(RESULT_COLUMNS)
    assert store.results().empty
    assert store.runs().empty
    assert store.protocols().empty
    with pytest.raises(StoreError, match="has no run 'nope'"):
        store.run("nope")


def test_a_number_that_is_not_one_is_undefined(store: Store) -> None:
    store.add_run(RUN, [result(value=float("nan"), low=None, high=float("inf"))], "/a")
    (row,) = store.results().to_dict("records")
    assert row["value"] != row["value"]
    assert row["high"] == float("inf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "done"}, "status 'done' is none of"),
        ({"created": "yesterday"}, "yesterday"),
        ({"created": "2026-11-22T15:55:01"}, "a time has no zone"),
        ({"models": [{"spec": "whisper:beam=1"}]}, "it lacks 'name'"),
        ({"models": [RUN["models"][0] | {"name": "another"}]}, "does not name"),
        ({"models": []}, "does not name"),
        ({"tasks": []}, "does not name"),
        ({"models": None}, "malformed"),
    ],
)
def test_a_malformed_run_is_refused_and_leaves_nothing(store: Store, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        store.add_run(document(**changes), RESULTS, "/evidence/run")
    assert "/evidence/run" in str(caught.value)
    assert store.runs().empty


def test_a_failure_in_the_middle_leaves_the_store_as_it_was(store: Store) -> None:
    store.add_run(RUN, RESULTS, "/a")
    before = store.results()
    twice = [RESULTS[0], RESULTS[0]]
    with pytest.raises(StoreError, match=r"(?i)unique"):
        store.add_run(document(id="other"), twice, "/b")
    with pytest.raises(StoreError, match=r"(?i)unique"):
        store.add_run(RUN, twice, "/c")
    assert store.results().equals(before)
    assert list(store.runs()["id"]) == [RUN["id"]]


def test_the_migrated_schema_is_the_one_the_code_uses(store: Store) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        names = {i["name"] for table in METADATA.tables for i in sa.inspect(connection).get_indexes(table)}
    assert {index.name for table in METADATA.tables.values() for index in table.indexes} <= names


def test_the_revisions_are_those_of_the_migrations() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert tuple(revision.revision for revision in script.walk_revisions())[::-1] == database.REVISIONS


def test_the_newest_migration_can_be_taken_back(store: Store, url: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with database.writing(store._engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
    with Store.open(url) as again:
        assert again.runs().empty


def test_sqlite_is_in_wal_mode_with_foreign_keys(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store, store._engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
        assert connection.execute(sa.text("PRAGMA busy_timeout")).scalar() == database.BUSY_SECONDS * 1000


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.results(task="wer-asterisk-en", metric="wer", slice="all"),
        lambda store: store.results(protocol="0000", slice="all"),
        lambda store: store.results(model="oracle", slice="all"),
        lambda store: store.results(model="oracle", latest=False),
        lambda store: store.results(run=RUN["id"]),
    ],
    ids=["task", "protocol", "model", "history", "run"],
)
def test_a_page_takes_one_query_and_no_table_scan(store: Store, ask: Callable[[Store], Any]) -> None:
    store.add_run(RUN, RESULTS, "/a")
    statements: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement != "BEGIN":
            statements.append((statement, parameters))

    sa.event.listen(store._engine, "before_cursor_execute", note)
    ask(store)
    sa.event.remove(store._engine, "before_cursor_execute", note)
    ((statement, parameters),) = statements
    with store._engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        else:  # its planner looks through small tables whatever there is, unless told not to
            connection.exec_driver_sql("SET enable_seqscan = off")
            steps = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)]
    assert [step for step in steps if "results" in step]
    for table in ("results", "measurements", "runs"):
        assert not [step for step in steps if f"SCAN {table}" in step or f"Seq Scan on {table}" in step], steps


def test_the_default_is_the_store_of_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIOMETRY_STORE", raising=False)
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "new" / "home"))
    check_writable()
    assert (tmp_path / "new" / "home" / "store.db").is_file()
    assert paths.store_url().endswith("home/store.db")


def test_a_file_url_of_sqlite_works_too(tmp_path: Path) -> None:
    url = f"sqlite:///file:{tmp_path / 'store.db'}?uri=true"
    with Store.open(url) as store:
        store.add_run(RUN, RESULTS, "/a")
    assert (tmp_path / "store.db").is_file()


def one_line(caught: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder; name a file in it") as caught:
        check_writable(f"sqlite:///{tmp_path}")
    one_line(caught)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("results.db", "is not a database URL; write sqlite:////"),
        ("mysql://host/db", "'mysql' is not supported"),
        ("nothing://host/db", "'nothing' is not supported"),
        ("sqlite+nothing:///x.db", "is not a database URL"),
        ("postgresql+psycopg://host:port/db", "is not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_bad_url(bad: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(bad)
    one_line(caught)


def test_a_password_is_not_shown() -> None:
    for bad in ("mysql://me:secret@host/db", "me:secret://me:secret@host"):
        with pytest.raises(StoreError) as caught:
            Store.open(bad)
        assert "me:secret@" not in one_line(caught)


def test_postgresql_without_its_driver_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        with pytest.raises(StoreError, match=r"needs the package 'psycopg'; install it with: pip install") as caught:
            Store.open(f"{scheme}://me:secret@localhost/audiometry")
        assert "secret" not in one_line(caught)


def test_a_folder_that_cannot_be_made() -> None:
    with pytest.raises(StoreError, match=r"its folder cannot be made: .*; set AUDIOMETRY_STORE") as caught:
        check_writable("sqlite:////dev/null/store.db")
    one_line(caught)


@pytest.fixture
def folder_of_somebody_else() -> Iterator[Path]:
    """A folder that the test may not write to, also where the tests run as root."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    root = os.geteuid() == 0
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def give_up_writing(folder: Path) -> None:
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_a_folder_that_cannot_be_written(folder_of_somebody_else: Path) -> None:
    give_up_writing(folder_of_somebody_else)
    with pytest.raises(StoreError, match=r"unable to open database file; make its folder writable") as caught:
        check_writable(f"sqlite:///{folder_of_somebody_else / 'store.db'}")
    one_line(caught)


def test_a_file_that_cannot_be_written(folder_of_somebody_else: Path) -> None:
    file = folder_of_somebody_else / "store.db"
    with Store.open(f"sqlite:///{file}") as store:
        store.add_run(RUN, RESULTS, "/a")
    file.chmod(0o444)
    give_up_writing(folder_of_somebody_else)
    with pytest.raises(StoreError, match=r"make .* writable, or set AUDIOMETRY_STORE") as caught:
        check_writable(f"sqlite:///{file}")
    one_line(caught)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_text("a shopping list, long enough to be looked at as a database header" * 20)
    with pytest.raises(StoreError, match="not a database; it is some other file") as caught:
        check_writable(f"sqlite:///{file}")
    one_line(caught)


def test_a_database_with_other_tables_of_that_name(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE models (shoe TEXT)")
    connection.close()
    with pytest.raises(StoreError, match="already exists; the database holds other tables") as caught:
        check_writable(f"sqlite:///{file}")
    one_line(caught)


def test_a_locked_store(sqlite_url: str) -> None:
    with Store.open(sqlite_url) as store:
        store.add_run(RUN, RESULTS, "/a")
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with Store.open(sqlite_url, busy_seconds=0.05) as store:
            assert len(store.results()) == len(RESULTS)  # readers are not held up
            with pytest.raises(StoreError, match="database is locked; another process is writing") as caught:
                store.check_writable()
            one_line(caught)
            with pytest.raises(StoreError, match="database is locked"):
                store.add_run(document(id="other"), RESULTS, "/b")
    finally:
        other.rollback()
        other.close()


def test_a_new_store_waits_for_another_that_makes_it_too(sqlite_url: str) -> None:
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="database is locked; another process is writing"):
        Store.open(sqlite_url, busy_seconds=0.1)
    release = threading.Timer(0.3, other.rollback)
    release.start()
    with Store.open(sqlite_url, busy_seconds=20) as store:
        assert store.runs().empty
    release.join()
    other.close()


class Busy:
    """A connection on which turning WAL on fails a few times, as it does where two processes try it at once."""

    def __init__(self, failures: int, reason: str, busy_milliseconds: int) -> None:
        self.failures, self.reason, self.wait = failures, reason, busy_milliseconds
        self.mode = "delete"

    def execute(self, statement: str) -> Busy:
        self.answer = self.wait if statement == "PRAGMA busy_timeout" else self.mode
        if statement == "PRAGMA journal_mode = WAL":
            self.failures -= 1
            if self.failures >= 0:
                raise sqlite3.OperationalError(self.reason)
            self.mode = "wal"
        return self

    def fetchone(self) -> tuple[Any]:
        return (self.answer,)


def test_wal_is_tried_again_while_another_process_turns_it_on() -> None:
    connection: Any = Busy(3, "database is locked", 10_000)
    database._use_wal(connection)
    assert connection.mode == "wal"
    for busy in (Busy(10**6, "database is locked", 30), Busy(1, "disk I/O error", 10_000)):
        stuck: Any = busy
        with pytest.raises(sqlite3.OperationalError, match=busy.reason):
            database._use_wal(stuck)


def test_a_newer_schema(store: Store, url: str) -> None:
    with database.writing(store._engine) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"has schema '9999', newer than this version's .*upgrade with") as caught:
        Store.open(url)
    one_line(caught)


def test_a_store_whose_tables_went_away(store: Store) -> None:
    with database.writing(store._engine) as connection:
        connection.execute(sa.text("DROP TABLE results"))
    with pytest.raises(
        StoreError, match=r"results.*; (check|its tables were taken away: set) AUDIOMETRY_STORE"
    ) as caught:
        store.results()
    one_line(caught)


def test_a_full_disk_says_so() -> None:
    error = sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(StoreError, match="free some space") as caught, database.one_line_errors("here"):
        raise error
    one_line(caught)


def test_a_server_that_is_not_there_says_so() -> None:
    error = sa.exc.OperationalError("", {}, OSError("connection failed: Connection refused\n\tIs the server running?"))
    with pytest.raises(StoreError, match="start the database server") as caught, database.one_line_errors("here"):
        raise error
    assert "Connection refused Is the server" in one_line(caught)


def add_many(url: str, worker: int, runs: int) -> None:
    for number in range(runs):
        with Store.open(url) as store:
            store.add_run(document(id=f"{worker}-{number}"), RESULTS, f"/{worker}/{number}")


@pytest.mark.slow
def test_processes_that_open_and_write_a_new_store_at_once(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(4, mp_context=context) as pool:
        for done in [pool.submit(add_many, url, worker, 10) for worker in range(4)]:
            done.result()
    with Store.open(url) as store:
        assert len(store.runs()) == 40
        assert len(store.results(latest=False)) == 40 * len(RESULTS)
        assert len(store.protocols()) == 1


def test_importing_the_package_loads_no_database() -> None:
    code = "import sys, audiometry.benchmark; print(sorted({'sqlalchemy', 'alembic', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_importing_the_migration_environment_changes_nothing() -> None:
    import audiometry.benchmark.migrations.env as environment

    assert environment.__all__ == ["migrate"]
