"""The results store's database: SQLite or PostgreSQL by URL, its schema brought to ours, its errors in one line."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from audiometry.benchmark.errors import StoreError

__all__ = [
    "BUSY_SECONDS",
    "REVISIONS",
    "connect",
    "connect_file",
    "migrate",
    "one_line_errors",
    "revision_of",
    "writing",
]

REVISIONS = ("0001", "0002", "0003")
"""Every schema that this version knows, oldest first."""

BUSY_SECONDS = 30.0
"""How long a write waits for another process' write before it gives up."""

CACHE_KIB = 32 * 1024
"""What of a SQLite file a connection keeps at hand: a big board is read again and again through its own 2 MB."""

CONNECT_SECONDS = 20
"""How long a database server may take to answer before it counts as not there."""

MIGRATION_LOCK = 0x61756469
"""PostgreSQL's advisory lock that is held while the schema is brought to ours."""


def connect(url: str, busy_seconds: float = BUSY_SECONDS) -> sa.Engine:
    """An engine for the database at `url`. A SQLite file's folder is made; nothing is connected yet.

    Raises StoreError for a URL that is none, a database that is not supported, a folder in place of a file.
    """
    shown = re.sub(r"://[^@/]*@", "://***@", url)
    mend = "write sqlite:////FOLDER/store.db or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
    try:
        parsed = sa.make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError(f"results store {shown!r}: {backend!r} is not supported; {mend}")
        if backend == "sqlite":
            return _sqlite_engine(parsed, busy_seconds, shown)
        return _postgresql_engine(parsed, busy_seconds)
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError) as error:
        raise StoreError(f"results store {shown!r} is not a database URL; {mend}") from error
    except ModuleNotFoundError as error:
        raise StoreError(
            f"results store {shown!r} needs the package {error.name!r}; install it with: pip install 'psycopg[binary]'"
        ) from error


def _sqlite_engine(url: sa.URL, busy_seconds: float, shown: str) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError(f"results store {shown!r} names no file; write sqlite:////FOLDER/store.db")
    if not url.database.startswith("file:"):
        file = Path(url.database)
        if file.is_dir():
            raise StoreError(f"results store {shown!r} is a folder; name a file in it, as in {shown}/store.db")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"results store {shown!r}: its folder cannot be made: {error.strerror}; "
                "set AUDIOMETRY_STORE or AUDIOMETRY_HOME to a place that can be written"
            ) from error
    return _listening(url, busy_seconds)


def connect_file(file: Path, busy_seconds: float = BUSY_SECONDS) -> sa.Engine:
    """An engine for the SQLite database in a file of any name."""
    return _listening(sa.URL.create("sqlite", database=str(file)), busy_seconds)


def _listening(url: sa.URL, busy_seconds: float) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": busy_seconds})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql_engine(url: sa.URL, busy_seconds: float) -> sa.Engine:
    """An engine whose connections are looked at before use, so that a server that was restarted goes unnoticed."""
    wanted: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "options": f"-c lock_timeout={round(busy_seconds * 1000)}",
    }
    given = {name: value for name, value in wanted.items() if name not in url.query}
    return sa.create_engine(url, pool_pre_ping=True, connect_args=given)


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    """Readers and one writer at once (WAL), foreign keys enforced, and transactions begun by us, not by the driver."""
    connection.isolation_level = None
    _use_wal(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn WAL mode on. SQLite does not wait here for another process that turns it on too, so we do."""
    busy_seconds = connection.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes the lock at once: one that reads first and writes later fails without waiting."""
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in a transaction that may write, committed at the end."""
    with engine.execution_options(writes=True).begin() as connection:
        yield connection


def migrate(engine: sa.Engine, shown: str) -> None:
    """Bring the schema to ours. Two that open a new store at once: the second waits, and finds it done."""
    with engine.connect() as connection:
        revision = revision_of(connection, shown)
    if revision == REVISIONS[-1]:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":  # SQLite's writer has the whole file to itself
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        if revision_of(connection, shown) != REVISIONS[-1]:
            command.upgrade(config, "head")


def revision_of(connection: sa.Connection, shown: str) -> str | None:
    """The schema of a store, one of `REVISIONS`; None where it has none yet.

    Raises StoreError for one that is newer than ours.
    """
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"results store {shown!r} has schema {revision!r}, newer than this version's {REVISIONS[-1]!r}; "
            "upgrade with: pip install -U audiometry"
        )
    return revision


@contextmanager
def one_line_errors(shown: str) -> Iterator[None]:
    """Turn what the database says into a StoreError that names the mend."""
    try:
        yield
    except exc.SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        said = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)  # without the statement
        reason = " ".join(said.split()) or type(cause).__name__
        raise StoreError(f"results store {shown!r}: {reason}; {_mend(reason)}") from error


def _mend(reason: str) -> str:
    mends = {
        "locked": "another process is writing to it: wait for it to end, then try again",
        "lock timeout": "another process is writing to it: wait for it to end, then try again",
        "readonly": "make the file and its folder writable, or set AUDIOMETRY_STORE to another place",
        "unable to open": "make its folder writable, or set AUDIOMETRY_STORE to another place",
        "not a database": "it is some other file: set AUDIOMETRY_STORE to another place",
        "malformed": "the file is damaged: restore it from a copy, or set AUDIOMETRY_STORE to another place",
        "full": "free some space, then try again",
        "already exists": "the database holds other tables of that name: give the store a database of its own",
        'relation "': "its tables were taken away: set AUDIOMETRY_STORE to another database",
        "does not exist": "create the database, or mend the URL in AUDIOMETRY_STORE",
        "connect": "start the database server, or mend the URL in AUDIOMETRY_STORE",
    }
    lower = reason.lower()
    return next((mend for sign, mend in mends.items() if sign in lower), "check AUDIOMETRY_STORE")
