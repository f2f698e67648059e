"""Is a results store whole: its schema, its rows, what they refer to, and the run folders that they name.

Nothing is changed: an older schema is told, not brought forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from audiometry.benchmark import paths
from audiometry.benchmark.checksums import RUN_FILES, checksums
from audiometry.benchmark.database import REVISIONS, connect, one_line_errors, revision_of
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import METADATA, RUNS
from audiometry.benchmark.store import ORIGINS, STATUSES

__all__ = ["StoreCheck", "verify"]

ROWS = 2000
"""Rows in memory at once."""


@dataclass
class StoreCheck:
    """What was looked at, and what is wrong: one line each, with the mend."""

    schema: str | None = None
    rows: dict[str, int] = field(default_factory=dict)
    folders: int = 0
    """Run folders that are there with all their files."""
    hashed: int = 0
    """Files that are as they were when their run was put in."""
    unhashed: int = 0
    """Files of runs that were put in where no file could be read, or by an older version: nothing is known of them."""
    problems: list[str] = field(default_factory=list)


def verify(url: str | None = None, *, folders: bool = True) -> StoreCheck:
    """Look at everything in the store at `url` (default: `paths.store_url`); without `folders`, at the database alone.

    Raises StoreError for a store that cannot be reached, or is newer than this version.
    """
    engine = connect(url or paths.store_url())
    shown = engine.url.render_as_string(hide_password=True)
    check = StoreCheck()
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database).removeprefix("file:")).exists():
        raise StoreError(f"{shown!r} does not exist; mend AUDIOMETRY_STORE or --store")  # connecting would make it
    try:
        with one_line_errors(shown), engine.connect() as connection:
            check.schema = revision_of(connection, shown)
        if check.schema is None:
            raise StoreError(f"{shown!r} holds no results store; mend AUDIOMETRY_STORE or --store")
        if check.schema != REVISIONS[-1]:
            check.problems.append(
                f"schema {check.schema} is older than this version's {REVISIONS[-1]}: open the store once, for "
                "example with: audiometry serve"
            )
        parts: list[Callable[[sa.Connection, StoreCheck], None]] = [_integrity, _tables, _references]
        if check.schema == REVISIONS[-1]:
            parts += [_runs, *([_folders] if folders else [])]
        for part in parts:
            with _told(check, shown), engine.connect() as connection:
                part(connection, check)
    finally:
        engine.dispose()
    return check


@contextmanager
def _told(check: StoreCheck, shown: str) -> Iterator[None]:
    """What the database complains of is a finding: the next check goes on."""
    try:
        with one_line_errors(shown):
            yield
    except StoreError as error:
        check.problems.append(str(error))


def _integrity(connection: sa.Connection, check: StoreCheck) -> None:
    """SQLite reads its whole file; PostgreSQL's pages are read with their rows, by `_tables`."""
    if connection.dialect.name == "sqlite":
        for (line,) in connection.exec_driver_sql("PRAGMA integrity_check(20)"):
            if line != "ok":
                check.problems.append(f"the database file is damaged: {' '.join(line.split())}; restore a backup")


def _tables(connection: sa.Connection, check: StoreCheck) -> None:
    """Every table and column is there, and every row can be read."""
    present = sa.inspect(connection)
    for table in METADATA.sorted_tables:
        if not present.has_table(table.name):
            if check.schema == REVISIONS[-1]:
                check.problems.append(f"table {table.name} is missing; restore a backup")
            continue
        there = {column["name"] for column in present.get_columns(table.name)}
        if check.schema == REVISIONS[-1] and (missing := sorted({column.name for column in table.c} - there)):
            check.problems.append(f"table {table.name} lacks {', '.join(missing)}; restore a backup")
        columns = [column for column in table.c if column.name in there]
        check.rows[table.name] = _read_all(connection, table, columns, check)


def _read_all(
    connection: sa.Connection, table: sa.Table, columns: list[sa.Column[Any]], check: StoreCheck
) -> int:  # fmt: skip
    found = connection.execution_options(yield_per=ROWS).execute(sa.select(*columns))
    count = 0
    try:
        for _ in found:
            count += 1
    except (ValueError, TypeError) as error:  # what a column holds is no JSON or no time
        check.problems.append(f"table {table.name} holds a row that cannot be read: {error}; restore a backup")
    finally:
        found.close()
    return count


def _references(connection: sa.Connection, check: StoreCheck) -> None:
    """What a row refers to is there (a store that was written without foreign keys, or by hand)."""
    present = sa.inspect(connection)
    for table in METADATA.sorted_tables:
        for key in table.foreign_keys:
            parent = key.column.table
            if not (present.has_table(table.name) and present.has_table(parent.name)):
                continue
            child, other = table.alias("child"), parent.alias("parent")
            column, aim = child.c[key.parent.name], other.c[key.column.name]
            alone = sa.select(sa.func.count()).select_from(child.outerjoin(other, column == aim))
            lost = connection.execute(alone.where(column.is_not(None), aim.is_(None))).scalar_one()
            if lost:
                check.problems.append(
                    f"{lost} rows of {table.name} have a {key.parent.name} that {parent.name} does not hold; "
                    "restore a backup"
                )


def _runs(connection: sa.Connection, check: StoreCheck) -> None:
    """A run's columns say what its document says."""
    for run in connection.execution_options(yield_per=ROWS).execute(sa.select(RUNS)).mappings():
        document = run["document"]
        differs = [name for name in ("id", "fingerprint", "status", "seed") if document.get(name) != run[name]]
        if differs:
            check.problems.append(f"run {run['id']!r} and its document differ in {', '.join(differs)}; put it in again")
        if run["status"] not in STATUSES or run["origin"] not in ORIGINS:
            check.problems.append(
                f"run {run['id']!r} has an unknown status or origin, {run['status']!r} and {run['origin']!r}; "
                "put it in again"
            )


def _folders(connection: sa.Connection, check: StoreCheck) -> None:
    """Every run folder is there, and its files are as they were."""
    rows = connection.execute(sa.select(RUNS.c.id, RUNS.c.folder, RUNS.c.evidence).order_by(RUNS.c.id)).all()
    for run, folder, known in rows:
        found = checksums(folder)
        missing = [name for name in RUN_FILES if name not in found]
        if missing:
            what = "is gone" if len(missing) == len(RUN_FILES) else f"lacks {', '.join(missing)}"
            check.problems.append(f"the folder of run {run!r}, {folder}, {what}; put it back, or run it again")
        else:
            check.folders += 1
        check.unhashed += len(set(found) - set(known))
        for name in sorted(set(found) & set(known)):
            if found[name] == known[name]:
                check.hashed += 1
            else:
                check.problems.append(
                    f"{folder}/{name} of run {run!r} has changed since it was put in (SHA-256 {found[name][:12]}…, "
                    f"was {known[name][:12]}…); put the file back, or run it again"
                )
