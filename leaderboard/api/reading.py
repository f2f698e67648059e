"""Rows of the store, a page at a time, as the HTTP interface shows them: without where their evidence lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from audiometry.benchmark.errors import UnknownNameError
from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RESULTS, RUNS, TASKS
from audiometry.benchmark.store import RESULT_COLUMNS, Store, latest_measurements

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RESULT_NAMES",
    "Filters",
    "count_results",
    "frame_of",
    "plain",
    "read_measured",
    "read_results",
    "read_run",
    "read_runs",
]

RESULT_NAMES = tuple(name for name in RESULT_COLUMNS if name != "folder")
"""What is shown of a result: `RESULT_COLUMNS` but the folder, which is a path on the server."""

RUN_NAMES = ("id", "fingerprint", "created", "finished", "status", "seed", "sample_limit", "origin")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which results are meant; None is any. `latest` and `run` are as in `Store.results`."""

    task: str | None = None
    protocol: str | None = None
    metric: str | None = None
    slice: str | None = None
    model: str | None = None
    run: str | None = None
    latest: bool = True


def read_results(store: Store, filters: Filters, *, after: int, limit: int) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` results in the order they were put in, after the one with the id `after`, each a mapping of
    `RESULT_NAMES`; and the id to go on after, None at the end. Undefined numbers are None.
    """
    columns = [RESULTS.c.id.label("id"), *(RESULT_COLUMNS[name].label(name) for name in RESULT_NAMES)]
    query = _chosen(sa.select(*columns), filters).where(RESULTS.c.id > after)
    with store.reading() as connection:
        rows = connection.execute(query.order_by(RESULTS.c.id).limit(limit + 1)).mappings().all()
    return [_shown(row) for row in rows[:limit]], int(rows[limit - 1]["id"]) if len(rows) > limit else None


def count_results(store: Store, filters: Filters) -> int:
    """How many results are meant."""
    with store.reading() as connection:
        return int(connection.execute(_chosen(sa.select(sa.func.count()), filters)).scalar_one())


def frame_of(store: Store, filters: Filters) -> pd.DataFrame:
    """All results that are meant, as a frame of `RESULT_NAMES`."""
    return store.results(**asdict(filters)).drop(columns="folder")


def read_runs(
    store: Store, *, status: str | None, origin: str | None, offset: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """At most `limit` runs, newest first, from the place `offset` on; and the place to go on from, None at the end."""
    query = sa.select(*(RUNS.c[name].label(name.removeprefix("sample_")) for name in RUN_NAMES))
    query = query.where(RUNS.c.status == status) if status is not None else query
    query = query.where(RUNS.c.origin == origin) if origin is not None else query
    query = query.order_by(RUNS.c.created.desc(), RUNS.c.id.desc()).offset(offset).limit(limit + 1)
    with store.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return rows[:limit], offset + limit if len(rows) > limit else None


def read_run(store: Store, run_id: str) -> dict[str, Any]:
    """A run as `read_runs` has it, with its `document` (run.json) and `folder`.

    Raises UnknownNameError where there is none.
    """
    columns = [RUNS.c[name].label(name.removeprefix("sample_")) for name in (*RUN_NAMES, "document", "folder")]
    with store.reading() as connection:
        row = connection.execute(sa.select(*columns).where(RUNS.c.id == run_id)).mappings().one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no run {run_id!r}; list them at /api/v1/runs")
    return dict(row)


def read_measured(store: Store, run_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The models and the tasks that a run has results of, each by name."""
    found = []
    names = {MODELS: ("name", "fingerprint", "control", "settings"), TASKS: ("name", "version", "settings", "samples")}
    with store.reading() as connection:
        for table, shown in names.items():
            key = MEASUREMENTS.c.model_id if table is MODELS else MEASUREMENTS.c.task_id
            measured = sa.select(key).where(MEASUREMENTS.c.run_id == run_id)
            columns: list[sa.ColumnElement[Any]] = [table.c[name] for name in shown]
            if table is TASKS:
                columns.append(TASKS.c.digest.label("protocol"))
            query = sa.select(*columns).where(table.c.id.in_(measured)).order_by(table.c.name)
            found.append([_shown(row) for row in connection.execute(query).mappings()])
    models, tasks = found
    return models, tasks


def plain(value: Any) -> Any:
    """A value as JSON can say it: a number that is none becomes None.

    >>> plain({"p": float("nan"), "notes": (1.5, float("inf"))})
    {'p': None, 'notes': [1.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without its id. What a run that was imported says of itself is brought to the form that is promised."""
    shown = {str(name): value for name, value in row.items() if name != "id"}
    for name in {"settings", "task_settings"} & shown.keys():
        shown[name] = plain(shown[name]) if isinstance(shown[name], dict) else {}
    for name in {"judges", "notes"} & shown.keys():
        shown[name] = [str(one) for one in shown[name]] if isinstance(shown[name], list) else []
    return shown


def _chosen(query: sa.Select[Any], filters: Filters) -> sa.Select[Any]:
    joined = RESULTS.join(MEASUREMENTS).join(RUNS).join(MODELS, MODELS.c.id == MEASUREMENTS.c.model_id)
    query = query.select_from(joined.join(TASKS, TASKS.c.id == MEASUREMENTS.c.task_id))
    given = {name: value for name, value in asdict(filters).items() if name != "latest" and value is not None}
    if filters.latest and filters.run is None:
        of_protocol = [RESULT_COLUMNS[name] == given[name] for name in ("task", "protocol", "model") if name in given]
        query = query.where(MEASUREMENTS.c.id.in_(latest_measurements(*of_protocol)))
    return query.where(*(RESULT_COLUMNS[name] == value for name, value in given.items()))
