"""A copy of a results store in one file, and back: of either database, into either.

The file is a SQLite database with the store's own tables, at rest (no journal beside it), and a table `contents` with
the number of rows and the SHA-256 of each. It was chosen over lines of JSON because an old backup then comes forward
by the same migrations as an old store, and because it can be looked into without Audiometry.

A backup holds numbers and names, and the digests of tokens; the run folders are copied by other means.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from audiometry.benchmark.database import connect_file, migrate, writing
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import METADATA
from audiometry.benchmark.store import Store

__all__ = ["backup", "check_backup", "open_backup", "restore"]

CONTENTS = "contents"
ROWS = 2000
"""Rows in memory at once."""

OTHER = "take another backup"


def backup(store: Store, file: Path) -> dict[str, int]:
    """Copy the store as it is at one moment into a new `file`, while others go on writing; rows by table.

    The file appears whole or not at all, and only its owner may read it.

    Raises StoreError if it is there already or cannot be written.
    """
    if file.exists():
        raise StoreError(f"{file} is there already; give the name of a new file")
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.touch(mode=0o600, exist_ok=False)
        counts = _fill(store, part)
        _list_contents(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write {file}: {getattr(error, 'strerror', None) or error}; choose another place") \
            from error  # fmt: skip
    finally:
        for left in (part, *(part.with_name(part.name + end) for end in ("-wal", "-shm"))):
            left.unlink(missing_ok=True)
    return counts


def restore(store: Store, file: Path, *, replace: bool = False) -> dict[str, int]:
    """Put a backup into the store, in one transaction: all of it, or nothing changes; rows by table.

    With `replace`, what the store holds goes first; those who read see the one or the other.

    Raises StoreError if the store holds anything and `replace` is not given, or the file is no backup or is damaged.
    """
    with open_backup(file) as source, store.writing() as target:
        _lock(target)
        if not replace and (taken := next((t.name for t in METADATA.sorted_tables if _any_row(target, t)), None)):
            raise StoreError(
                f"the store holds {taken} already; give an empty database with --store, or put the backup in the "
                "place of everything there with --replace"
            )
        for table in reversed(METADATA.sorted_tables):
            target.execute(sa.delete(table))
        counts = _copy(source, target)
        _count_on(target)
    return counts


@contextmanager
def open_backup(file: Path) -> Iterator[sa.Connection]:
    """A connection to read a backup from, brought to today's schema in a copy; the file stays as it is.

    Raises StoreError for a file that is no backup, or is damaged.
    """
    check_backup(file)
    with tempfile.TemporaryDirectory(prefix="audiometry-") as folder:
        copy = Path(folder) / "backup.db"
        shutil.copyfile(file, copy)
        with Store(connect_file(copy)) as opened:
            opened.bring_forward()
            with opened.reading() as connection:
                yield connection


def check_backup(file: Path) -> dict[str, int]:
    """Rows by table of a backup, once every row of it was read and found as it was written.

    Raises StoreError for a file that is no backup, or is damaged.
    """
    if not file.is_file():
        raise StoreError(f"{file} does not exist; give a file that audiometry store backup has written")
    try:
        uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            listed = _read_contents(connection, file)
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if found != "ok":
                raise StoreError(f"{file} is damaged: {' '.join(found.split())}; {OTHER}")
            for table, (rows, digest) in listed.items():
                if (rows, digest) != _content_of(connection, table):
                    raise StoreError(
                        f"{file} is damaged: its {table} are not as they were written; take another backup"
                    )
    except sqlite3.Error as error:
        raise StoreError(f"{file} is damaged or no backup: {error}; {OTHER}") from error
    return {table: rows for table, (rows, _) in listed.items()}


def _fill(store: Store, part: Path) -> dict[str, int]:
    engine = connect_file(part)
    try:
        migrate(engine, str(part))
        with store.snapshot() as source, writing(engine) as target:
            return _copy(source, target)
    finally:
        engine.dispose()


def _copy(source: sa.Connection, target: sa.Connection) -> dict[str, int]:
    """Every row of every table, parents first, in the order of their keys."""
    counts = {}
    for table in METADATA.sorted_tables:
        counts[table.name] = 0
        found = source.execution_options(yield_per=ROWS).execute(sa.select(table).order_by(*table.primary_key))
        for rows in found.mappings().partitions():
            target.execute(sa.insert(table), [dict(row) for row in rows])
            counts[table.name] += len(rows)
    return counts


def _list_contents(part: Path) -> None:
    """Write down what every table holds, and leave one file that needs no other."""
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN")
        found = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        tables = [name for (name,) in connection.execute(found)]
        connection.execute(f"CREATE TABLE {CONTENTS} (name TEXT PRIMARY KEY, rows INTEGER, sha256 TEXT)")
        for table in tables:
            line = (table, *_content_of(connection, table))
            connection.execute(f"INSERT INTO {CONTENTS} VALUES (?, ?, ?)", line)  # noqa: S608 - a constant
        connection.execute("COMMIT")


def _read_contents(connection: sqlite3.Connection, file: Path) -> dict[str, tuple[int, str]]:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [CONTENTS]).fetchone()
    if known is None:
        raise StoreError(f"{file} is no backup: it has no list of contents; give a file of audiometry store backup")
    lines = connection.execute(f"SELECT name, rows, sha256 FROM {CONTENTS} ORDER BY rowid")  # noqa: S608 - a constant
    return {name: (rows, digest) for name, rows, digest in lines}


def _content_of(connection: sqlite3.Connection, table: str) -> tuple[int, str]:
    """Number of rows, and the SHA-256 of all of them as the file holds them, in the order of their row numbers."""
    quoted = table.replace('"', '""')
    digest, count = hashlib.sha256(), 0
    for row in connection.execute(f'SELECT * FROM "{quoted}" ORDER BY rowid'):  # noqa: S608 - quoted
        digest.update(repr(row).encode())
        count += 1
    return count, digest.hexdigest()


def _lock(target: sa.Connection) -> None:
    """Nobody else writes from here on; readers go on. SQLite's writer is alone as it is."""
    if target.dialect.name == "postgresql":
        names = ", ".join(METADATA.tables)
        target.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def _any_row(connection: sa.Connection, table: sa.Table) -> bool:
    return connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None


def _count_on(target: sa.Connection) -> None:
    """Let PostgreSQL's counters of ids go on after the highest id that was put in; SQLite looks by itself."""
    if target.dialect.name != "postgresql":
        return
    for table in METADATA.tables.values():
        for column in table.primary_key:
            if isinstance(column.type, sa.Integer):
                sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
                highest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
                target.execute(sa.select(sa.func.setval(sequence, highest, False)))
