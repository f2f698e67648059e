"""What the pages ask of a results store, each in one or two queries however many models there are.

What is slow to ask for (the headlines of a whole suite) is kept in memory until the store changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RESULTS, RUNS, TASKS
from audiometry.benchmark.store import RESULT_COLUMNS, Store, latest_measurements

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

    columns = {name: RESULT_COLUMNS[name] for name in HEADLINE_COLUMNS}
    with Store.open(state[0]) as store, store.reading() as connection:
        heads = _headline_metrics(connection, digests)
        conditions = [
            sa.and_(TASKS.c.digest == digest, RESULTS.c.metric == metric) for digest, metric in sorted(heads.items())
        ]
        if not conditions:
            return pd.DataFrame(columns=list(columns))
        joined = (
            MEASUREMENTS.join(RESULTS)
            .join(RUNS, RUNS.c.id == MEASUREMENTS.c.run_id)
            .join(MODELS, MODELS.c.id == MEASUREMENTS.c.model_id)
            .join(TASKS, TASKS.c.id == MEASUREMENTS.c.task_id)
        )
        latest = latest_measurements(TASKS.c.digest.in_(digests))
        query = (
            sa.select(*(column.label(name) for name, column in columns.items()))
            .select_from(joined)
            .where(MEASUREMENTS.c.id.in_(latest), RESULTS.c.slice == "all", sa.or_(*conditions))
            .order_by(TASKS.c.name, TASKS.c.digest, MODELS.c.name)
        )
        rows = connection.execute(query).all()
    given = dict(zip(columns, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(columns, ())
    frame = pd.DataFrame({name: list(values) for name, values in given.items()})
    frame = frame.astype(dict.fromkeys(["value", "low", "high", "rtfx"], "float64"))
    return frame.astype(dict.fromkeys(WORDS, "category"))


def _headline_metrics(connection: sa.Connection, digests: Sequence[str]) -> dict[str, str]:
    """The first metric of each protocol, in its task's own order, by the newest measurement of it."""
    newest = (
        sa.select(TASKS.c.digest, sa.func.max(MEASUREMENTS.c.id).label("measurement"))
        .join(MEASUREMENTS, MEASUREMENTS.c.task_id == TASKS.c.id)
        .where(TASKS.c.digest.in_(digests))
        .group_by(TASKS.c.digest)
        .subquery()
    )
    first = (
        sa.select(newest.c.digest, sa.func.min(RESULTS.c.id).label("result"))
        .join(RESULTS, RESULTS.c.measurement_id == newest.c.measurement)
        .group_by(newest.c.digest)
        .subquery()
    )
    query = sa.select(first.c.digest, RESULTS.c.metric).join(RESULTS, RESULTS.c.id == first.c.result)
    return {str(digest): str(metric) for digest, metric in connection.execute(query)}


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
