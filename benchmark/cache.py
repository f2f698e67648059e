"""Answers kept between runs, by what was asked of whom.

The key is a hash of the model's fingerprint (weights, code, settings), the request, and the bytes, span and transforms
of its sound; of the sample's seed too unless the model is deterministic. It does not depend on batches or workers.
What failed is not kept: it is asked again. One SQLite file under the home folder serves every run.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from audiometry.benchmark import paths
from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.records import canonical_json
from audiometry.benchmark.types import Audio, Request

__all__ = ["Cache", "CacheStats", "default_cache", "known_digests", "request_key"]

DECODER = "audio-1"
"""Changes when `audiometry.benchmark.audio` decodes differently."""

BUSY_SECONDS = 60.0
CHUNK = 500

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT NOT NULL, used REAL NOT NULL);
CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID;
DROP INDEX IF EXISTS answers_used;
"""


@dataclass(frozen=True, slots=True)
class CacheStats:
    """Answers kept, bytes on disk, and when the longest unused one was last asked for (seconds since the epoch)."""

    answers: int
    size: int
    oldest: float | None


class Cache:
    """The answers of every run. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("PRAGMA wal_autocheckpoint=8000")  # pages: seldom, as each waits for the disk
            self._database.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"cannot open the cache {path}: {error}; set AUDIOMETRY_HOME to a folder that can be written, "
                "or run with --no-cache"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def find(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The kept answers among `keys`."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), CHUNK):
            part = keys[start : start + CHUNK]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, answer FROM answers WHERE key IN ({marks})"  # noqa: S608  # only question marks
            found |= {key: orjson.loads(answer) for key, answer in self._run(query, part)}
        return found

    def keep(self, answers: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Keep (key, answer) pairs, in one transaction."""
        now = time.time()
        lines = [(key, orjson.dumps(answer, default=dict).decode(), now) for key, answer in answers]
        self._many("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", lines)

    def touch(self, keys: Iterable[str]) -> None:
        """Note that answers were asked for, so that `prune` spares them."""
        self._many("UPDATE answers SET used = ? WHERE key = ?", [(time.time(), key) for key in keys])

    def digest(self, path: str) -> str | None:
        """The sha256 of a file, if it was taken before and the file's size and time are the same."""
        stamp = _stamp(path)
        if stamp is None:
            return None
        line = next(iter(self._run("SELECT stamp, digest FROM digests WHERE path = ?", [path])), None)
        return line[1] if line is not None and line[0] == stamp else None

    def remember(self, digests: Iterable[tuple[str, str]]) -> None:
        """Remember (path, sha256) pairs with the files' present sizes and times."""
        lines = [(path, stamp, digest) for path, digest in digests if (stamp := _stamp(path)) is not None]
        self._many("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", lines)

    def stats(self) -> CacheStats:
        """What is kept."""
        ((answers, oldest),) = self._run("SELECT count(*), min(used) FROM answers", [])
        size = sum(file.stat().st_size for file in self._path.parent.glob(f"{self._path.name}*"))
        return CacheStats(answers, size, oldest)

    def prune(self, *, unused_seconds: float) -> int:
        """Forget answers that were not asked for within the last `unused_seconds`; returns how many."""
        before = self.stats().answers
        self._run("DELETE FROM answers WHERE used < ?", [time.time() - unused_seconds])
        self._run("VACUUM", [])
        return before - self.stats().answers

    def _run(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._wrapped(error) from error

    def _many(self, query: str, lines: Sequence[Sequence[Any]]) -> None:
        if not lines:
            return
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany(query, lines)
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise self._wrapped(error) from error

    def _wrapped(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"the cache {self._path} cannot be used: {error}; free some space, or run with --no-cache")


def default_cache() -> Cache:
    """The cache under the home folder."""
    return Cache(paths.home() / "cache" / "answers.db")


def request_key(fingerprint: str, request: Request, digests: Mapping[str, str], *, seeded: bool) -> str:
    """The key of one request to one model. `digests` holds the sha256 of each audio role's file."""
    audios = [
        [role, digests[role], audio.start, audio.end, [[t.name, list(t.settings), t.seed] for t in audio.transforms]]
        for role, audio in sorted(request.audios.items())
    ]
    turns = [[turn.role, turn.text, turn.audio and turn.audio.digest] for turn in request.turns]
    asked = [request.ability, request.text, request.instruction, request.language, turns, audios]
    whole = [DECODER, fingerprint, asked, request.seed if seeded else None]
    return hashlib.sha256(canonical_json(whole)).hexdigest()


def known_digests(request: Request, cache: Cache) -> dict[str, str] | None:
    """The sha256 of each audio of a request, from the corpus or from memory; None if one is not known yet."""
    if any(turn.audio is not None and turn.audio.digest is None for turn in request.turns):
        return None
    digests: dict[str, str] = {}
    for role, audio in request.audios.items():
        digest = _local_digest(audio, cache)
        if digest is None:
            return None
        digests[role] = digest
    return digests


def _local_digest(audio: Audio, cache: Cache) -> str | None:
    if audio.digest is not None:
        return audio.digest
    return None if "://" in audio.path else cache.digest(audio.path)


def _stamp(path: str) -> str | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return f"{status.st_size}:{status.st_mtime_ns}"
