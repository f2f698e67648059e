"""The audit log: who did what to what, and when. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from audiometry.benchmark.schema import AUDIT_LOG
from audiometry.benchmark.store import Store

__all__ = ["Entry", "entries", "record"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. `id` grows with every entry of a store."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def record(
    where: Store | sa.Connection, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Add an entry: to a store at once, or within the transaction of a connection that may write.

    `action` is a short name such as ``token created``, at most 64 characters; `detail` is what JSON can hold, and
    never a secret.

    Raises StoreError where the store cannot be written.
    """
    row = {
        "at": datetime.now(UTC), "actor": actor, "action": action, "subject": subject, "detail": dict(detail or {}),
    }  # fmt: skip
    with nullcontext(where) if isinstance(where, sa.Connection) else where.writing() as connection:
        connection.execute(sa.insert(AUDIT_LOG), row)


def entries(
    store: Store,
    *,
    actor: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Entry]:
    """Entries, newest first: at most `limit` of them, those with an id below `before`, made at `since` or later."""
    query = sa.select(AUDIT_LOG).order_by(AUDIT_LOG.c.id.desc()).limit(limit)
    if actor is not None:
        query = query.where(AUDIT_LOG.c.actor == actor)
    if action is not None:
        query = query.where(AUDIT_LOG.c.action == action)
    if since is not None:
        query = query.where(AUDIT_LOG.c.at >= since)
    if before is not None:
        query = query.where(AUDIT_LOG.c.id < before)
    with store.reading() as connection:
        return [Entry(**row) for row in connection.execute(query).mappings()]
