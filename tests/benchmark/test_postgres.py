"""PostgreSQL as the results store: what only a server can do wrong, and many that write at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from audiometry.benchmark.database import REVISIONS
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.store import Store, check_writable
from audiometry.benchmark.types import Result

FAULTY = str(Path(__file__).with_name("faulty.py"))
NAMES = [f"model-{number}" for number in range(6)]


def run_document(run_id: str, names: list[str]) -> dict[str, Any]:
    models = [{"name": n, "spec": n, "fingerprint": "f", "control": False, "settings": {}} for n in names]
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    return {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 7, "limit": None, "models": models, "tasks": [task], "timings": [],
    }  # fmt: skip


def results_of(names: list[str], value: float = 0.5) -> list[Result]:
    return [Result("f", name, "echo", "1", "wrong", "all", value, 0.0, 1.0, 2) for name in names]


def all_at_once(*todo: Callable[[], object]) -> list[BaseException]:
    """Do each in a thread of its own, started together; returns what was raised."""
    raised: list[BaseException] = []
    gate = threading.Barrier(len(todo))

    def go(one: Callable[[], object]) -> None:
        gate.wait()
        try:
            one()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=go, args=(one,)) for one in todo]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def one_line(caught: pytest.ExceptionInfo[StoreError]) -> None:
    assert "\n" not in str(caught.value)


def test_a_run_lands_in_it(
    home: Path, ray_here: None, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMETRY_STORE", postgres_url)
    settings = RunSettings(models=("faulty:fault=raise",), tasks=("echo",), plugins=(FAULTY,), resamples=200)
    done = evaluate(settings, output=tmp_path / "run", quiet=True)
    with Store.open() as store:
        frame = store.results(slice="all")
        (run,) = store.runs().to_dict("records")
    assert list(frame["value"]) == [row.value for row in done.results if row.slice == "all"]
    assert list(frame["failed"]) == [1]
    assert run["folder"] == str(tmp_path / "run")
    assert not (home / "store.db").exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"connection .*; start the database server, or mend the URL") as caught:
        check_writable(f"postgresql://me:secret@/results?host={tmp_path}")
    one_line(caught)
    assert "secret" not in str(caught.value)


def test_a_database_that_is_not_there(postgres: Any) -> None:
    with pytest.raises(StoreError, match=r'database "nowhere" does not exist; create the database') as caught:
        check_writable(postgres.url("nowhere"))
    one_line(caught)


def test_a_database_with_other_tables_of_that_name(postgres_url: str, postgres: Any) -> None:
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE models (shoe TEXT)")
    with pytest.raises(StoreError, match=r"already exists; the database holds other tables") as caught:
        check_writable(postgres_url)
    one_line(caught)
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:  # and nothing was left half made
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert names == [("models",)]


def test_a_lock_that_is_not_given_back(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.add_run(run_document("a", NAMES), results_of(NAMES), "/a")
    with (
        psycopg.connect(postgres_url.replace("+psycopg", "")) as other,
        Store.open(postgres_url, busy_seconds=0.2) as store,
    ):
        other.execute("LOCK TABLE runs IN SHARE MODE")
        assert len(store.results()) == len(NAMES)  # readers are not held up
        with pytest.raises(StoreError, match=r"lock timeout; another process is writing to it") as caught:
            store.add_run(run_document("b", NAMES), results_of(NAMES), "/b")
        one_line(caught)
        other.rollback()
        store.add_run(run_document("b", NAMES), results_of(NAMES), "/b")


def test_settings_in_the_url_stand(postgres_url: str) -> None:
    with Store.open(f"{postgres_url}&options=-c%20lock_timeout%3D1234") as store, store._engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1234ms"


def test_a_server_that_was_restarted(postgres: Any, postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.add_run(run_document("a", NAMES), results_of(NAMES), "/a")
        postgres.stop()
        try:
            with pytest.raises(StoreError, match=r"start the database server") as caught:
                store.runs()
            one_line(caught)
        finally:
            postgres.start()
        store.add_run(run_document("b", NAMES), results_of(NAMES), "/b")
        assert set(store.runs()["id"]) == {"a", "b"}


def test_a_connection_that_is_lost_in_the_middle_leaves_the_store_as_it_was(postgres: Any, postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.add_run(run_document("a", NAMES), results_of(NAMES), "/a")

        def cut(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith("INSERT INTO results"):
                with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as other:
                    other.execute("SELECT pg_terminate_backend(%s)", [cursor.connection.info.backend_pid])

        sa.event.listen(store._engine, "before_cursor_execute", cut)
        with pytest.raises(StoreError, match=r"terminat") as caught:
            store.add_run(run_document("a", NAMES), results_of(NAMES, value=0.9), "/changed")
        one_line(caught)
        sa.event.remove(store._engine, "before_cursor_execute", cut)
        assert set(store.results()["value"]) == {0.5}
        store.add_run(run_document("a", NAMES), results_of(NAMES, value=0.9), "/changed")
        assert set(store.results()["value"]) == {0.9}


def test_many_that_make_a_new_store_at_once(postgres_url: str) -> None:
    assert all_at_once(*[lambda: check_writable(postgres_url)] * 8) == []
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(REVISIONS[-1],)]


@pytest.mark.parametrize("attempt", range(5))
def test_writers_of_the_same_new_models_in_other_orders_do_not_block_each_other(
    postgres_url: str, attempt: int
) -> None:
    orders = [NAMES, NAMES[::-1], NAMES[3:] + NAMES[:3], NAMES[1::2] + NAMES[::2]]
    with Store.open(postgres_url) as store:
        writers = [
            lambda number=number, order=order: store.add_run(
                run_document(f"run-{number}", order), results_of(order), f"/{number}"
            )
            for number, order in enumerate(orders)
        ]
        assert all_at_once(*writers) == []
        assert len(store.runs()) == len(orders)
        assert store.results(latest=False).groupby("model").size().to_dict() == dict.fromkeys(NAMES, len(orders))
        assert len(store.protocols()) == 1


@pytest.mark.parametrize("attempt", range(5))
def test_writers_of_the_same_run_leave_one_of_them(postgres_url: str, attempt: int) -> None:
    with Store.open(postgres_url) as store:
        writers = [
            lambda value=value: store.add_run(run_document("run", NAMES), results_of(NAMES, value=value), "/run")
            for value in (0.25, 0.75)
        ]
        assert all_at_once(*writers) == []
        assert len(store.runs()) == 1
        assert set(store.results()["value"]) in ({0.25}, {0.75})
        assert len(store.results()) == len(NAMES)


def test_undefined_numbers_are_null_there_too(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.add_run(run_document("a", NAMES[:1]), [replace(results_of(NAMES)[0], value=float("nan"))], "/a")
        with store._engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT value IS NULL FROM results").scalar() is True
