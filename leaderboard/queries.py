"""What the pages ask of a results store, each in one or two queries however many models there are.

What is slow to ask for (the headlines of a whole suite) is kept in memory until the store changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RESULTS, RUNS, TASKS
from audiometry.benchmark.store import Store, latest_measurements

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "HEADLINE_COLUMNS",
    "State",
    "documents",
    "headlines",
    "history",
    "metrics_of_protocol",
    "model_names",
    "model_results",
    "protocols",
    "state_of",
]

State = tuple[str, int, int, int, str, tuple[int, ...]]
"""What changes whenever a run is put in, replaced or taken out: see `state_of`."""

HEADLINE_COLUMNS = (
    "protocol", "task", "model", "metric", "unit", "direction", "value", "low", "high", "n", "failed", "empty",
    "refused", "unparsed", "rtfx", "control", "run_status", "origin", "run", "created", "folder",
)  # fmt: skip
"""Columns of `headlines`."""

WORDS = ("protocol", "task", "model", "metric", "unit", "direction", "run_status", "origin", "run", "folder")

KEPT = 4
"""Frames of headlines held at once."""


def state_of(store: Store, url: str) -> State:
    """What the store holds, as a key: two equal ones mean that no run came, went or changed in between.

    A run that is put in again gets new measurements. PostgreSQL never gives an id twice; SQLite may, and there the
    file's own times and sizes (of its log too, where that holds anything) tell the rest.
    """
    query = sa.select(
        sa.select(sa.func.count()).select_from(RUNS).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(MEASUREMENTS.c.id), 0)).scalar_subquery(),
        sa.select(sa.func.coalesce(sa.func.max(RESULTS.c.id), 0)).scalar_subquery(),
        sa.select(sa.func.max(RUNS.c.finished)).scalar_subquery(),
    )
    with store.reading() as connection:
        runs, measurements, results, finished = connection.execute(query).one()
    return (url, int(runs), int(measurements), int(results), str(finished), _file_facts(url))


def _file_facts(url: str) -> tuple[int, ...]:
    database = sa.make_url(url).database if url.startswith("sqlite") else None
    facts: list[int] = []
    for name in (database, f"{database}-wal") if database else ():
        file = Path(name)
        if file.is_file() and (found := file.stat()).st_size:
            facts += [found.st_ino, found.st_mtime_ns, found.st_size]
    return tuple(facts)


def protocols(state: State) -> pd.DataFrame:
    """`Store.protocols` of the store that `state` tells of, kept until it changes. Do not write into it."""
    return _protocols(state)


@lru_cache(KEPT)
def _protocols(state: State) -> pd.DataFrame:
    with Store.open(state[0]) as store:
        return store.protocols()


def headlines(state: State, digests: Sequence[str]) -> pd.DataFrame:
    """The headline of each model's latest measurement under each protocol (by digest): `HEADLINE_COLUMNS`.

    One row a (model, protocol), over all samples, by task and model. Texts are categories: a thousand models on sixty
    tasks take some megabytes. Kept until the store changes; do not write into it.
    """
    return _headlines(state, tuple(digests))


@lru_cache(KEPT)
def _headlines(state: State, digests: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    with Store.open(state[0]) as store, store.reading() as connection:
        metrics = _headline_metrics(connection, digests)
        numbers = _numbers(connection, metrics)
        facts = {table: _rows_of(connection, table, numbers[key].unique()) for table, key in KEYS.items()}
    frame = numbers
    for table, key in KEYS.items():  # a text of a run, model or task is fetched once, not once a number
        frame = frame.merge(facts[table], on=key, how="left")
    frame["metric"] = frame["task_id"].map(metrics)
    frame = frame.sort_values(["task", "protocol", "model"], kind="stable", ignore_index=True)
    frame = frame.astype(dict.fromkeys(["value", "low", "high", "rtfx"], "float64"))
    frame = frame.astype(dict.fromkeys(WORDS, "category")).astype({"control": bool})
    return pd.DataFrame({name: frame[name] for name in HEADLINE_COLUMNS})


KEYS = {"runs": "run_id", "models": "model_id", "tasks": "task_id"}
FACTS: Mapping[str, Mapping[str, sa.ColumnElement[Any]]] = {
    "runs": {
        "run_id": RUNS.c.id, "run": RUNS.c.id, "run_status": RUNS.c.status, "origin": RUNS.c.origin,
        "created": RUNS.c.created, "folder": RUNS.c.folder,
    },
    "models": {"model_id": MODELS.c.id, "model": MODELS.c.name, "control": MODELS.c.control},
    "tasks": {"task_id": TASKS.c.id, "task": TASKS.c.name, "protocol": TASKS.c.digest},
}  # fmt: skip
NUMBERS: Mapping[str, sa.ColumnElement[Any]] = {
    **{key: MEASUREMENTS.c[key] for key in KEYS.values()},
    **{name: RESULTS.c[name] for name in ("value", "low", "high", "n", "failed", "empty", "refused", "unparsed")},
    "rtfx": MEASUREMENTS.c.rtfx, "unit": RESULTS.c.unit, "direction": RESULTS.c.direction,
}  # fmt: skip


def _numbers(connection: sa.Connection, metrics: Mapping[int, str]) -> pd.DataFrame:
    """The headline of every latest measurement of some tasks, by their ids: `NUMBERS`."""
    import pandas as pd

    tasks: dict[str, list[int]] = {}
    for task, metric in metrics.items():
        tasks.setdefault(metric, []).append(task)
    heads = [
        sa.and_(RESULTS.c.metric == metric, MEASUREMENTS.c.task_id.in_(some)) for metric, some in sorted(tasks.items())
    ]
    latest = latest_measurements(TASKS.c.id.in_(list(metrics)))
    query = (
        sa.select(*(column.label(name) for name, column in NUMBERS.items()))
        .select_from(MEASUREMENTS.join(RESULTS))
        .where(MEASUREMENTS.c.id.in_(latest), RESULTS.c.slice == "all", sa.or_(sa.false(), *heads))
    )
    return pd.DataFrame.from_records(connection.execute(query).all(), columns=list(NUMBERS))


def _rows_of(connection: sa.Connection, table: str, ids: Iterable[Any]) -> pd.DataFrame:
    """Columns of `FACTS` of some rows."""
    import pandas as pd

    columns = FACTS[table]
    query = sa.select(*(column.label(name) for name, column in columns.items()))
    wanted = set(ids)
    rows = [tuple(row) for row in connection.execute(query) if row[0] in wanted]
    return pd.DataFrame.from_records(rows, columns=list(columns))


def _headline_metrics(connection: sa.Connection, digests: Sequence[str]) -> dict[int, str]:
    """The first metric of each protocol, in its task's own order, by the newest measurement of it; by the task's id."""
    newest = (
        sa.select(sa.func.max(MEASUREMENTS.c.id).label("id"))
        .join(TASKS)
        .where(TASKS.c.digest.in_(digests))
        .group_by(MEASUREMENTS.c.task_id)
    )
    first = (
        sa.select(sa.func.min(RESULTS.c.id))
        .where(RESULTS.c.measurement_id.in_(newest))
        .group_by(RESULTS.c.measurement_id)
    )
    query = sa.select(MEASUREMENTS.c.task_id, RESULTS.c.metric).join(RESULTS).where(RESULTS.c.id.in_(first))
    return {int(task): str(metric) for task, metric in connection.execute(query)}


def metrics_of_protocol(store: Store, protocol: str, run: str | None = None) -> list[str]:
    """Metrics of a protocol in its task's order, the headline first: those of its newest latest measurement, or of
    a run.
    """
    of = sa.select(sa.func.max(MEASUREMENTS.c.id)).join(TASKS).where(TASKS.c.digest == protocol)
    if run is None:
        of = of.where(MEASUREMENTS.c.id.in_(latest_measurements(TASKS.c.digest == protocol)))
    else:
        of = of.where(MEASUREMENTS.c.run_id == run)
    query = sa.select(RESULTS.c.metric).where(RESULTS.c.measurement_id == of.scalar_subquery()).order_by(RESULTS.c.id)
    with store.reading() as connection:
        return list(dict.fromkeys(connection.execute(query).scalars()))


def model_names(state: State) -> list[str]:
    """Every model's name, sorted; kept until the store changes."""
    return list(_model_names(state))


@lru_cache(KEPT)
def _model_names(state: State) -> tuple[str, ...]:
    query = sa.select(MODELS.c.name).distinct().where(MODELS.c.id.in_(sa.select(MEASUREMENTS.c.model_id)))
    with Store.open(state[0]) as store, store.reading() as connection:
        return tuple(sorted(connection.execute(query).scalars()))


def model_results(store: Store, model: str) -> pd.DataFrame:
    """Every metric of a model over all samples of each protocol, from its latest run of that: `Store.results`."""
    return store.results(model=model, slice="all")


def history(store: Store, model: str) -> pd.DataFrame:
    """Every measurement of a model, of whatever version of it: `Store.results` over all samples, oldest first.

    The headline of each protocol is the first of its rows in each run.
    """
    rows = store.results(model=model, slice="all", latest=False)
    return rows.sort_values(["created", "run"], kind="stable").reset_index(drop=True)


def documents(store: Store, runs: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """The run.json of some runs, by id, each with its `folder` and `origin`; in one query."""
    query = sa.select(RUNS.c.id, RUNS.c.document, RUNS.c.folder, RUNS.c.origin).where(RUNS.c.id.in_(list(runs)))
    with store.reading() as connection:
        return {
            row.id: {**row.document, "folder": row.folder, "origin": row.origin} for row in connection.execute(query)
        }
