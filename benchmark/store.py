"""The results store: every run, what it measured and every number, in SQLite or PostgreSQL.

Its tables are in `audiometry.benchmark.schema`. The evidence of every sample stays in the run's folder (Parquet),
which the store names.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import postgresql, sqlite

from audiometry.benchmark import paths
from audiometry.benchmark.checksums import checksums
from audiometry.benchmark.database import BUSY_SECONDS, connect, migrate, one_line_errors, writing
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RESULTS, RUNS, TASKS
from audiometry.benchmark.types import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ORIGINS", "RESULT_COLUMNS", "STATUSES", "Store", "check_writable", "latest_measurements"]

STATUSES = ("complete", "partial", "too many failures")
"""What a run can be; only a complete run is a result."""

ORIGINS = ("local", "verified", "self-reported")
"""Where a run comes from, as `schema.RUNS` says."""

ATTEMPTS = 3
"""How often a run is tried to be put in; each attempt is a whole transaction."""

RESULT_COLUMNS: Mapping[str, sa.ColumnElement[Any]] = {
    "run": RUNS.c.id, "created": RUNS.c.created, "run_status": RUNS.c.status, "limit": RUNS.c.sample_limit,
    "folder": RUNS.c.folder, "seed": RUNS.c.seed, "origin": RUNS.c.origin,
    "model": MODELS.c.name, "model_fingerprint": MODELS.c.fingerprint, "control": MODELS.c.control,
    "task": TASKS.c.name, "task_version": TASKS.c.version, "task_settings": TASKS.c.settings,
    "task_samples": TASKS.c.samples, "protocol": TASKS.c.digest,
    "seconds": MEASUREMENTS.c.seconds, "audio_seconds": MEASUREMENTS.c.audio_seconds, "rtfx": MEASUREMENTS.c.rtfx,
    **{column.name: column for column in RESULTS.c if column.name not in ("id", "measurement_id")},
}  # fmt: skip
"""Columns of `Store.results`."""


class Store:
    """An open results store. Threads may share it; close it, or use it as a context manager."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._shown = engine.url.render_as_string(hide_password=True)

    @classmethod
    def open(cls, url: str | None = None, *, busy_seconds: float = BUSY_SECONDS) -> Store:
        """Open the store at a database URL (default: `paths.store_url`), made and brought to our schema where needed.

        Raises StoreError, naming the mend, for a URL that is none, a file or folder that cannot be written, a
        database that cannot be reached or is locked for longer than `busy_seconds`, and a schema newer than ours.
        """
        store = cls(connect(url or paths.store_url(), busy_seconds))
        try:
            store.bring_forward()
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def bring_forward(self) -> None:
        """Bring the schema to ours; `open` has done it."""
        with one_line_errors(self._shown):
            migrate(self._engine, self._shown)

    def check_writable(self) -> None:
        """Write, and take it back.

        Raises StoreError if that fails.
        """
        with one_line_errors(self._shown), writing(self._engine) as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))
            connection.rollback()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read from; what the database complains of becomes a StoreError of one line."""
        with one_line_errors(self._shown), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """A connection to read from whose every query sees the store at one moment, whatever is written meanwhile."""
        with one_line_errors(self._shown), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # on SQLite, any transaction that reads is one
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A connection in a transaction that may write, committed at the end; errors as in `reading`."""
        with one_line_errors(self._shown), writing(self._engine) as connection:
            yield connection

    def add_run(
        self,
        run: Mapping[str, Any],
        results: Sequence[Result],
        folder: str,
        *,
        origin: str = "local",
        beside: Callable[[sa.Connection], bool] | None = None,
    ) -> bool:
        """Put a run in, in one transaction: `run` is its run.json, `folder` where its evidence is, which is hashed.

        A run that is there already is replaced, so that adding twice is adding once, and a run that was
        resumed or scored again shows its newest numbers. `origin` is one of `ORIGINS`. `beside` is called in the same
        transaction once the run is in: where it returns False nothing is kept, and False is returned.

        Raises StoreError for a document that lacks something, or results of a model or task that it does not name.
        """
        try:
            head, models, tasks = _run_row(run, folder), _model_rows(run), _task_rows(run)
            head |= {"origin": ORIGINS[ORIGINS.index(origin)], "evidence": checksums(folder)}
            measurements = _measurement_rows(run, results)
            if unknown := {(m, t) for m, t in measurements if m not in models or t not in tasks}:
                raise ValueError(f"it does not name {sorted(unknown)[0]}, of which there are results")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise StoreError(
                f"cannot add the run in {folder}: its run.json is malformed: {reason}; run again"
            ) from error
        with one_line_errors(self._shown):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    with writing(self._engine) as connection:
                        _insert_run(connection, head, models, tasks, measurements)
                        if beside is not None and not beside(connection):
                            connection.rollback()
                            return False
                    return True
                except exc.IntegrityError:  # another process put the same run in at the same moment
                    if attempt == ATTEMPTS:
                        raise
        raise AssertionError  # the last attempt has returned or raised

    def runs(self, *, protocol: str | None = None) -> pd.DataFrame:
        """Every run, or those of a `protocol`, newest first.

        Columns: id, fingerprint, created, finished, status, seed, limit, folder.
        """
        names = ("id", "fingerprint", "created", "finished", "status", "seed", "sample_limit", "folder")
        columns = {name.removeprefix("sample_"): RUNS.c[name] for name in names}
        query = _select(columns).order_by(RUNS.c.created.desc(), RUNS.c.id.desc())
        if protocol is not None:
            measured = sa.select(MEASUREMENTS.c.run_id).join(TASKS).where(TASKS.c.digest == protocol)
            query = query.where(RUNS.c.id.in_(measured))
        return self._frame(columns, query)

    def run(self, run_id: str) -> dict[str, Any]:
        """The run.json of a run, and its `folder`.

        Raises StoreError for an id that is not there.
        """
        query = sa.select(RUNS.c.document, RUNS.c.folder).where(RUNS.c.id == run_id)
        with one_line_errors(self._shown), self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise StoreError(f"results store {self._shown} has no run {run_id!r}; list them with Store.runs()")
        return {**row.document, "folder": row.folder}

    def protocols(self) -> pd.DataFrame:
        """Every protocol that was measured: a task with its version, settings and data.

        Columns: task, version, settings, samples, protocol (its digest), newest (the last run's start), limited
        (whether every run of it took only a part, by ``--limit``). By task; whole ones first, then newest first.
        """
        newest, limited = sa.func.max(RUNS.c.created), sa.func.min(sa.case((RUNS.c.sample_limit.is_(None), 0), else_=1))
        columns: dict[str, sa.ColumnElement[Any]] = {"task": TASKS.c.name, "protocol": TASKS.c.digest}
        columns |= {name: TASKS.c[name] for name in ("version", "settings", "samples")}
        facts = (
            sa.select(MEASUREMENTS.c.task_id, newest.label("newest"), limited.label("limited"))
            .join(RUNS)
            .group_by(MEASUREMENTS.c.task_id)
            .subquery()
        )
        columns |= {"newest": facts.c.newest, "limited": facts.c.limited}
        query = _select(columns).select_from(TASKS.join(facts, facts.c.task_id == TASKS.c.id))
        frame = self._frame(columns, query.order_by(TASKS.c.name, facts.c.limited, facts.c.newest.desc(), TASKS.c.id))
        return frame.astype({"limited": bool})

    def results(
        self,
        *,
        task: str | None = None,
        protocol: str | None = None,
        metric: str | None = None,
        slice: str | None = None,
        model: str | None = None,
        run: str | None = None,
        latest: bool = True,
    ) -> pd.DataFrame:
        """Results as a frame of `RESULT_COLUMNS`, one row a number, by task, model and run, in each run's own order.

        Numbers of one `protocol` (see `protocols`) may be compared. `latest` keeps one run for each (model, protocol):
        the newest complete one, or the newest where none is complete; one that was measured here before a self-reported
        one. With `run` it means nothing: that run alone is given. Undefined numbers are NaN.
        """
        query = _select(RESULT_COLUMNS).select_from(
            RESULTS.join(MEASUREMENTS).join(RUNS).join(MODELS, MODELS.c.id == MEASUREMENTS.c.model_id).join(
                TASKS, TASKS.c.id == MEASUREMENTS.c.task_id
            )
        )  # fmt: skip
        if run is None and latest:
            asked = {TASKS.c.name: task, TASKS.c.digest: protocol, MODELS.c.name: model}
            wanted = [column == value for column, value in asked.items() if value is not None]
            query = query.where(MEASUREMENTS.c.id.in_(latest_measurements(*wanted)))
        given = {"task": task, "protocol": protocol, "metric": metric, "slice": slice, "model": model, "run": run}
        query = query.where(*(RESULT_COLUMNS[name] == value for name, value in given.items() if value is not None))
        return self._frame(RESULT_COLUMNS, query.order_by(TASKS.c.name, MODELS.c.name, RUNS.c.id, RESULTS.c.id))

    def _frame(self, columns: Mapping[str, sa.ColumnElement[Any]], query: sa.Select[Any]) -> pd.DataFrame:
        import pandas as pd

        with one_line_errors(self._shown), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        frame = pd.DataFrame.from_records([tuple(row) for row in rows], columns=list(columns))
        numbers = [name for name, column in columns.items() if isinstance(column.type, sa.Float)]
        return frame.astype(dict.fromkeys(numbers, "float64"))


def check_writable(url: str | None = None) -> None:
    """Make sure that a run can be put into the store at `url`, before any model is loaded.

    Raises StoreError as `Store.open` does.
    """
    with Store.open(url) as store:
        store.check_writable()


def _select(columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.Select[Any]:
    return sa.select(*(column.label(name) for name, column in columns.items()))


def latest_measurements(*where: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """Ids of the one measurement for each (model's name, protocol) that the board shows (see `Store.results`).

    `where` are conditions on `schema.TASKS` and on the names in `schema.MODELS`.
    """
    complete = sa.case((RUNS.c.status == "complete", 0), else_=1)
    ours = sa.case((RUNS.c.origin != "self-reported", 0), else_=1)
    best_first = (complete, ours, RUNS.c.created.desc(), RUNS.c.id.desc())
    place = sa.func.row_number().over(partition_by=(MODELS.c.name, MEASUREMENTS.c.task_id), order_by=best_first)
    joined = sa.select(MEASUREMENTS.c.id, place.label("place")).select_from(
        MEASUREMENTS.join(RUNS).join(MODELS, MODELS.c.id == MEASUREMENTS.c.model_id).join(
            TASKS, TASKS.c.id == MEASUREMENTS.c.task_id
        )
    )  # fmt: skip
    places = joined.where(*where).subquery()
    return sa.select(places.c.id).where(places.c.place == 1)


def _insert_run(
    connection: sa.Connection,
    head: Mapping[str, Any],
    models: Mapping[str, Mapping[str, Any]],
    tasks: Mapping[str, Mapping[str, Any]],
    measurements: Mapping[tuple[str, str], tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]],
) -> None:
    known = connection.execute(sa.update(RUNS).where(RUNS.c.id == head["id"]).values(**head))
    if known.rowcount:  # the row stays: baselines and submissions refer to it
        connection.execute(sa.delete(MEASUREMENTS).where(MEASUREMENTS.c.run_id == head["id"]))
    else:
        connection.execute(sa.insert(RUNS), head)
    model_ids = _same_or_new(connection, MODELS, models)
    task_ids = _same_or_new(connection, TASKS, tasks)
    rows: list[dict[str, Any]] = []
    for (model, task), (timing, numbers) in measurements.items():
        of = {"run_id": head["id"], "model_id": model_ids[model], "task_id": task_ids[task]}
        measurement = _new(connection, MEASUREMENTS, of | {**timing})
        rows += [{"measurement_id": measurement, **number} for number in numbers]
    if rows:
        connection.execute(sa.insert(RESULTS), rows)


def _same_or_new(connection: sa.Connection, table: sa.Table, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Ids, by name, of the rows with the same content, put in where there are none.

    In the order of their digests: two that put in the same new rows at once wait for one another, and never both.
    """
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    ids = {}
    for digest, name in sorted((_digest(row), name) for name, row in rows.items()):
        found = sa.select(table.c.id).where(table.c.digest == digest)
        if (known := connection.execute(found).scalar_one_or_none()) is None:
            row = {**rows[name], "digest": digest}
            connection.execute(insert(table).on_conflict_do_nothing(index_elements=["digest"]), row)
            known = connection.execute(found).scalar_one()
        ids[name] = int(known)
    return ids


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def _new(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> int:
    return int(connection.execute(sa.insert(table).returning(table.c.id), row).scalar_one())


def _run_row(run: Mapping[str, Any], folder: str) -> dict[str, Any]:
    if run["status"] not in STATUSES:
        raise ValueError(f"status {run['status']!r} is none of {', '.join(STATUSES)}")
    times = {name: datetime.fromisoformat(run[name]) if run[name] else None for name in ("created", "finished")}
    if any(time is not None and time.tzinfo is None for time in times.values()):
        raise ValueError("a time has no zone")
    plain = {name: run[name] for name in ("id", "fingerprint", "status", "seed")}
    return plain | times | {"sample_limit": run["limit"], "folder": folder, "document": dict(run)}


def _model_rows(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    names = ("name", "spec", "fingerprint", "control", "settings")
    return {model["name"]: {name: model[name] for name in names} for model in run["models"]}


def _task_rows(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        task["name"]: {name: task[name] for name in ("name", "version", "settings", "samples")}
        | {"data": task["digest"]}
        for task in run["tasks"]
    }


def _measurement_rows(
    run: Mapping[str, Any], results: Sequence[Result]
) -> dict[tuple[str, str], tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(timing, results) of each (model, task) that has results."""
    timings = {(timing["model"], timing["task"]): timing for timing in run["timings"]}
    rows: dict[tuple[str, str], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for result in results:
        key = (result.model, result.task)
        if key not in rows:
            timing = timings.get(key, {})
            rows[key] = ({name: _number(timing.get(name)) for name in ("seconds", "audio_seconds", "rtfx")}, [])
        rows[key][1].append(_result_row(result))
    return rows


def _result_row(result: Result) -> dict[str, Any]:
    row = {column.name: getattr(result, column.name) for column in RESULTS.c if hasattr(result, column.name)}
    row |= {name: _number(row[name]) for name in ("value", "low", "high")}
    return row | {"judges": list(result.judges), "notes": list(result.notes)}


def _number(value: float | None) -> float | None:
    """A number, or None for one that is undefined: databases disagree about NaN, and about minus zero."""
    return None if value is None or math.isnan(value) else float(value) + 0.0
