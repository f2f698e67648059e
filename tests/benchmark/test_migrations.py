"""Every earlier schema, with rows in it, comes forward in both databases and loses nothing; and goes back."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from audiometry.benchmark import migrations
from audiometry.benchmark.database import REVISIONS, connect, writing
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import METADATA
from audiometry.benchmark.store import Store
from audiometry.benchmark.store_verify import verify
from audiometry.benchmark.types import Result

AT = "2026-11-22 15:55:01.250000+00:00"
LATER = "2026-11-23 04:05:06+00:00"
DOCUMENT = {"id": "a", "fingerprint": "f", "status": "complete", "seed": 7, "tasks": [], "other": "日本 <b>"}
RUN = {
    "id": "a", "fingerprint": "f", "created": AT, "finished": None, "status": "complete", "seed": 7,
    "sample_limit": 10, "folder": "/evidence/a", "document": json.dumps(DOCUMENT),
}  # fmt: skip
NUMBERS = {"n": 540, "failed": 2, "empty": 1, "refused": 0, "unparsed": 0, "unit": "fraction", "direction": "lower"}
RESULT = {"measurement_id": 5, "metric": "wer", "judges": "[]", "notes": '["these speakers only"]', **NUMBERS}

FIRST: dict[str, list[dict[str, Any]]] = {
    "runs": [RUN, RUN | {"id": "b", "created": LATER, "document": json.dumps(DOCUMENT | {"id": "b"})}],
    "models": [
        {"id": 3, "name": "m", "spec": "m", "fingerprint": "f", "control": False, "settings": "{}", "digest": "m1"}
    ],
    "tasks": [
        {
            "id": 4, "name": "wer-x", "version": "1", "settings": '{"normaliser": "n"}', "data": "d", "samples": 540,
            "digest": "t1",
        }
    ],
    "measurements": [
        {"id": 5, "run_id": "a", "model_id": 3, "task_id": 4, "seconds": 2.0, "audio_seconds": 30.0, "rtfx": 15.0},
        {"id": 6, "run_id": "b", "model_id": 3, "task_id": 4, "seconds": None, "audio_seconds": None, "rtfx": None},
    ],
    "results": [
        RESULT | {"id": 7, "slice": "all", "value": 0.068, "low": 0.055, "high": 0.082},
        RESULT | {"id": 8, "slice": "gender=female", "value": None, "low": None, "high": None},
        RESULT | {"id": 9, "measurement_id": 6, "slice": "all", "value": 0.1 + 0.2, "low": 0.0, "high": 1.0},
    ],
}  # fmt: skip

SECOND = {
    **FIRST,
    "runs": [FIRST["runs"][0] | {"origin": "verified"}, FIRST["runs"][1] | {"origin": "self-reported"}],
    "submissions": [
        {
            "id": "s", "name": "<b>", "submitter": "me", "suite": "core", "digest": None, "manifest": "{}",
            "files": "[]", "state": "verified", "reason": "", "created": AT, "updated": LATER, "attempts": 1,
            "owner": None, "lease_until": None, "progress": 1.0, "eta_seconds": None, "run_id": "a",
        }
    ],
    "submission_events": [{"id": 1, "submission_id": "s", "at": AT, "state": "received", "detail": "x"}],
    "tokens": [
        {
            "id": "t", "name": "n", "role": "viewer", "digest": "0", "created": AT, "expires": LATER, "revoked": None,
            "last_used": None,
        }
    ],
    "audit_log": [{"id": 1, "at": AT, "actor": "a", "action": "b", "subject": "c", "detail": "{}"}],
    "baselines": [{"name": "main", "run_id": "a", "model": "m", "created": AT}],
}  # fmt: skip

THIRD = SECOND | {"runs": [row | {"evidence": '{"run.json": "00"}'} for row in SECOND["runs"]]}

ROWS = {"0001": FIRST, "0002": SECOND, "0003": THIRD}
"""Rows of each schema, as its own version would have written them."""

BROUGHT = {"origin": "local", "evidence": {}}
"""What rows of an older schema have in the columns that came later."""


def at_revision(url: str, revision: str) -> None:
    """A store as the version with that schema left it, with rows in every table."""
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        present = sa.MetaData()
        present.reflect(connection)
        assert set(present.tables) - {"alembic_version"} == set(ROWS[revision]), "a schema without rows in the test"
        for table in present.sorted_tables:
            for row in ROWS[revision].get(table.name, []):
                assert set(row) == set(table.c.keys()), "a column without a value in the test"
                names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
                connection.execute(sa.text(f"INSERT INTO {table.name} ({names}) VALUES ({places})"), row)  # noqa: S608
    engine.dispose()


def everything(connection: sa.Connection) -> dict[str, list[dict[str, Any]]]:
    return {
        table.name: [
            dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
        ]
        for table in METADATA.sorted_tables
    }  # fmt: skip


def expected(revision: str) -> dict[str, list[dict[str, Any]]]:
    def value(column: sa.Column[Any], row: dict[str, Any]) -> Any:
        if column.name not in row:
            return BROUGHT[column.name]
        given = row[column.name]
        if isinstance(column.type, sa.JSON):
            return json.loads(given)
        if isinstance(given, str) and given in (AT, LATER):
            return datetime.fromisoformat(given)
        return given

    rows = ROWS[revision]
    return {
        name: [{column.name: value(column, row) for column in table.c} for row in rows.get(name, [])]
        for name, table in METADATA.tables.items()
    }


def test_every_schema_has_rows_here() -> None:
    assert tuple(ROWS) == REVISIONS


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_every_schema_comes_forward_with_all_its_rows(url: str, revision: str) -> None:
    at_revision(url, revision)
    with Store.open(url) as store:
        with store.reading() as connection:
            assert everything(connection) == expected(revision)
            assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA) == []
        assert verify(url, folders=False).problems == []
        frame = store.results(task="wer-x", metric="wer", slice="all")
        assert list(frame["run"]) == (["b"] if revision == "0001" else ["a"])  # "b" is self-reported from 0002 on
        model = {"name": "m2", "spec": "m2", "fingerprint": "f", "control": False, "settings": {}}
        task = {"name": "wer-x", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
        document = DOCUMENT | {
            "id": "c", "created": AT, "finished": None, "limit": None, "models": [model], "tasks": [task],
            "timings": [],
        }  # fmt: skip
        if store._engine.dialect.name == "sqlite":  # elsewhere, the rows above were put in beside the counter of ids
            store.add_run(document, [Result("f", "m2", "wer-x", "1", "wer", "all", 0.5, 0.0, 1.0, 2)], "/c")
            assert set(store.runs()["id"]) == {"a", "b", "c"}


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_going_back_keeps_the_rows_that_the_older_schema_knows(url: str, revision: str) -> None:
    at_revision(url, revision)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    with Store.open(url) as store, writing(store._engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    with Store.open(url) as store, store.reading() as connection:
        assert everything(connection) == expected(revision)


def test_a_migration_that_fails_leaves_the_older_store(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at_revision(url, REVISIONS[0])
    upgrade = command.upgrade

    def break_off(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise sa.exc.OperationalError("", {}, OSError("the disk went away"))

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", break_off)
        with pytest.raises(StoreError, match="the disk went away"):
            Store.open(url)
    assert verify(url).schema == REVISIONS[0]
    with Store.open(url) as store, store.reading() as connection:
        assert everything(connection) == expected(REVISIONS[0])


def test_many_that_open_an_older_store_at_once_bring_it_forward_once(url: str) -> None:
    at_revision(url, REVISIONS[0])
    raised: list[BaseException] = []

    def go() -> None:
        try:
            Store.open(url).close()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert raised == []
    with Store.open(url) as store, store.reading() as connection:
        assert everything(connection) == expected(REVISIONS[0])
