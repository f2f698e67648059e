"""The journal: every answered sample, appended and made durable as it comes, so that a crash loses seconds.

One JSON object a line. A line cut off by a crash is the last one, and is dropped with a warning when read.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.worker import Row

__all__ = ["Journal", "read_journal"]

log = logging.getLogger("audiometry.journal")

SYNC_SECONDS = 1.0


class Journal:
    """Appends rows of one run. `append` returns once they are written; they are on disk within `SYNC_SECONDS`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("ab", buffering=0)  # no buffer: what a full disk refused is not held back
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; choose another --output-path") from error
        self._synced = time.monotonic()

    def append(self, model: int, rows: Iterable[Row]) -> None:
        """Append `rows` of a model.

        Raises StoreError if the disk is full or the folder is gone.
        """
        lines = "".join(json.dumps({"model": model, **asdict(row)}, allow_nan=False) + "\n" for row in rows)
        try:
            left = memoryview(lines.encode())
            while left:
                left = left[self._file.write(left) or 0 :]
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self._sync()
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}; free some space and run again") from error

    def close(self) -> None:
        """Make everything durable and close."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()


def read_journal(path: Path) -> Iterator[tuple[int, Row]]:
    """(model position, row) of each whole line.

    Raises StoreError for a line that is damaged anywhere but at the end.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                values: dict[str, Any] = json.loads(line)
                model = values.pop("model")
                yield model, Row(**values)
            except (ValueError, TypeError, KeyError) as error:
                if not line.endswith("\n"):
                    log.warning("%s: dropped line %d, cut off by a crash", path, number)
                    return
                raise StoreError(f"{path}, line {number}: damaged: {error}; start the run again") from error
