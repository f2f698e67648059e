"""The journal: every answered sample, appended and made durable as it comes, so that a crash loses seconds.

One JSON object a line. A line cut off by a crash is the last one, and is dropped with a warning when read.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.rows import Row
from audiometry.benchmark.types import Sample

__all__ = ["Journal", "Line", "read_journal", "repair"]

log = logging.getLogger("audiometry.journal")

SYNC_SECONDS = 1.0


class Line(NamedTuple):
    """All that is kept of one sample: where it stands in the plan, its answer, its score, and what it was."""

    model: int
    task: int
    position: int
    sample_id: str
    status: str
    verdict: str
    cached: bool
    cluster: str
    stratum: str
    audio: Mapping[str, Any]
    output: Mapping[str, Any]
    counts: Mapping[str, float]
    slices: Mapping[str, str]
    details: Mapping[str, str]
    made: float | None = None

    @classmethod
    def of(cls, model: int, sample: Sample, row: Row) -> Line:
        """The line of a sample that a model answered."""
        audios = sample.request.audios
        heard = audios.get("input") or next(iter(audios.values()), None)
        audio = {"path": heard.path, "start": heard.start, "end": heard.end, "seconds": heard.seconds} if heard else {}
        return cls(
            model=model, task=row.task, position=row.position, sample_id=row.sample_id, status=row.status,
            verdict=row.verdict, cached=row.cached, cluster=sample.cluster, stratum=sample.stratum, audio=audio,
            output=row.output, counts=row.counts, slices=sample.slices, details=row.details, made=row.made,
        )  # fmt: skip


class Journal:
    """Appends the lines of one run: durable within `SYNC_SECONDS` while lines come, and on `tick`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("ab", buffering=0)  # no buffer: what a full disk refused is not held back
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; choose another --output-path") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given up with the file, however the process ends
        except BlockingIOError:
            self._file.close()
            raise StoreError(f"{path}: another process is at this run; wait for it to end") from None
        except OSError as error:  # some network file systems have no locks
            log.warning("%s: cannot be locked: %s; let no other process go on with this run", path, error.strerror)
        self._synced = time.monotonic()
        self._dirty = False

    def append(self, lines: Iterable[Line]) -> None:
        """Append lines.

        Raises StoreError if the disk is full or the folder is gone.
        """
        text = b"".join(map(_encoded, lines))
        try:
            left = memoryview(text)
            while left:
                left = left[self._file.write(left) or 0 :]
            self._dirty = True
            self.tick()
        except OSError as error:
            raise StoreError(
                f"cannot write {self.path}: {error.strerror}; free some space and go on with --resume"
            ) from error

    def tick(self) -> None:
        """Make durable what was appended more than `SYNC_SECONDS` ago.

        Raises StoreError as `append` does: some disks tell only then that they are full.
        """
        if self._dirty and time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()
            self._synced = time.monotonic()
            self._dirty = False

    def close(self) -> None:
        """Make everything durable and close."""
        if not self._file.closed:
            try:
                if self._dirty:
                    self._sync()
            finally:
                self._file.close()

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise StoreError(
                f"cannot write {self.path}: {error.strerror}; free some space and go on with --resume"
            ) from error


def read_journal(path: Path) -> Iterator[Line]:
    """Each whole line.

    Raises StoreError for a line that is damaged anywhere but at the end.
    """
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            try:
                yield Line(*orjson.loads(text))
            except (ValueError, TypeError) as error:
                if not text.endswith(b"\n"):
                    log.warning("%s: dropped line %d, cut off by a crash", path, number)
                    return
                raise StoreError(f"{path}, line {number}: damaged: {error}; start the run again") from error


def repair(path: Path) -> None:
    """Drop what a crash left after the last whole line, so that the journal can be appended to."""
    place = content_end = 0
    with path.open("rb+") as file:
        for text in file:
            place += len(text)
            if text.startswith(b"[") and text.endswith(b"]\n"):
                content_end = place
        if content_end < place:
            log.warning("%s: dropped its last line, cut off by a crash", path)
            file.truncate(content_end)


def _encoded(line: Line) -> bytes:
    """Values in the order of the fields: names in every line would double its size."""
    return orjson.dumps(tuple(line), default=dict, option=orjson.OPT_APPEND_NEWLINE)
