"""Which protocols a page can show: those in which a metric was measured."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from audiometry.benchmark.schema import MEASUREMENTS, RESULTS, TASKS
from audiometry.benchmark.store import Store

__all__ = ["protocols_with"]


def protocols_with(store: Store, metrics: Collection[str]) -> set[str]:
    """Digests of the protocols (see `Store.protocols`) whose newest measurement holds every one of `metrics`.

    One measurement of each is looked at: those of one protocol have the same metrics. Raises StoreError if the
    database cannot be read.
    """
    newest = sa.select(sa.func.max(MEASUREMENTS.c.id)).group_by(MEASUREMENTS.c.task_id)
    query = (
        sa.select(TASKS.c.digest)
        .select_from(TASKS.join(MEASUREMENTS).join(RESULTS))
        .where(MEASUREMENTS.c.id.in_(newest), RESULTS.c.slice == "all", RESULTS.c.metric.in_(metrics))
        .group_by(TASKS.c.digest)
        .having(sa.func.count(sa.distinct(RESULTS.c.metric)) == len(set(metrics)))
    )
    with store.reading() as connection:
        return set(connection.execute(query).scalars())
