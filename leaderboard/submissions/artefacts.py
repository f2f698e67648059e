"""Where the files of submissions are: each once, under the sha256 of its bytes, on any fsspec path."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from audiometry.benchmark import paths
from audiometry.benchmark.errors import StoreError
from audiometry.leaderboard.submissions.checks import Checked, FileFact
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.folders import new_file, whole_folder
from audiometry.leaderboard.submissions.names import Names, shown

__all__ = ["ArtefactStore"]

CHUNK = 2**20
INCOMING = "incoming"
"""Files that are being written; they move to their place once they are whole."""

OURS = re.compile(
    rf"(?P<folder>[0-9a-f]{{2}})/(?P<digest>(?P=folder)[0-9a-f]{{62}})|{INCOMING}/(?P<left>[0-9a-f]{{32}})"
)
"""Where a file of this store is, below its root."""

DAY_SECONDS = 86_400.0


class ArtefactStore:
    """The files of submissions under a URL that fsspec understands (default: `paths.artefacts_url`).

    Processes and machines may share one: a file appears under its hash whole or not at all.
    """

    def __init__(self, url: str | None = None) -> None:
        self.url = url or paths.artefacts_url()
        with self._one_line_errors("open"):
            self._files, root = fsspec.core.url_to_fs(self.url)
        self._root = str(root).rstrip("/")

    def put(self, folder: Path, checked: Checked) -> None:
        """Take in the files of a checked folder; those that came lately are not written again.

        Raises SubmissionError for a file that changed since it was checked, StoreError for a place that cannot be
        written.
        """
        with self._one_line_errors("write to"):
            for file in checked.files:
                if not self._holds(file):
                    self._put(folder / file.path, file)

    def fetch(self, files: Sequence[FileFact], into: Path) -> None:
        """Bring files into the folder `into`, new or empty, where they have their own names again.

        All of them come, each with the size and hash that it had, or none. Raises SubmissionError for a name that
        `names.check_name` refuses, StoreError for a file that is missing or damaged.
        """
        names = Names()
        wanted = [(names.add(file.path), file) for file in files]
        with whole_folder(into) as made, self._one_line_errors("read"):
            for path, file in wanted:
                with self._files.open(self._place(file.sha256), "rb") as source, new_file(made, path) as target:
                    if _copy(source, target, file.size) != (file.size, file.sha256):
                        raise StoreError(
                            f"the artefact {file.sha256} in {self.url} is damaged; submit {shown(file.path)} again"
                        )

    def stored(self) -> list[str]:
        """The hashes of the files that are here, sorted."""
        with self._one_line_errors("list"):
            return sorted({found["digest"] for _, found in self._ours() if found["digest"]})

    def prune(self, digests: Collection[str], *, older_seconds: float = DAY_SECONDS) -> int:
        """Delete the files with these hashes, and leftovers of writers that died; returns how many.

        What was written within `older_seconds` stays: it may belong to a submission that is just coming in. What has
        not the name and place of an artefact is not this store's, and stays whatever it is.
        """
        wanted, deleted = set(digests), 0
        with self._one_line_errors("delete from"):
            for path, found in self._ours():
                if (found["left"] or found["digest"] in wanted) and self._age(path) > older_seconds:
                    self._files.rm_file(path)
                    deleted += 1
        return deleted

    def _put(self, path: Path, file: FileFact) -> None:
        """Write one file beside its place, and move it there if it is what was checked."""
        temporary = f"{self._root}/{INCOMING}/{uuid.uuid4().hex}"
        self._files.makedirs(f"{self._root}/{INCOMING}", exist_ok=True)
        place = self._place(file.sha256)
        try:
            with path.open("rb") as source, self._files.open(temporary, "wb") as target:
                found = _copy(source, target, file.size)
            if found != (file.size, file.sha256):
                raise SubmissionError(f"{shown(file.path)} changed while it was submitted; submit again")
            self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._files.mv(temporary, place)
        except BaseException:
            if self._files.exists(temporary):
                self._files.rm_file(temporary)
            raise

    def _holds(self, file: FileFact) -> bool:
        """Whether the file is here, and so young that nobody prunes it before its submission is queued."""
        place = self._place(file.sha256)
        try:
            whole = self._files.info(place)["size"] == file.size
            return bool(whole and self._age(place) < DAY_SECONDS / 2)
        except FileNotFoundError:
            return False

    def _age(self, path: str) -> float:
        return time.time() - float(self._files.modified(path).timestamp())

    def _place(self, digest: str) -> str:
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise SubmissionError(f"{shown(digest)} is no sha256; submit again")
        return f"{self._root}/{digest[:2]}/{digest}"

    def _ours(self) -> Iterator[tuple[str, re.Match[str]]]:
        """The files that this store wrote, told by their names; a shared folder may hold others."""
        for path in self._files.find(self._root) if self._files.exists(self._root) else ():
            if found := OURS.fullmatch(str(path).removeprefix(self._root).lstrip("/")):
                yield str(path), found

    @contextmanager
    def _one_line_errors(self, doing: str) -> Iterator[None]:
        """What the file system complains of, in one line."""
        try:
            yield
        except (OSError, ImportError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise StoreError(
                f"cannot {doing} the artefact store {self.url}: {reason}; mend it or give another"
            ) from error


def _copy(source: IO[bytes] | Any, target: IO[bytes] | Any, most: int) -> tuple[int, str]:
    """Copy; returns the size and the sha256 of what was copied, and stops soon after `most` bytes."""
    hashed, size = hashlib.sha256(), 0
    while size <= most and (chunk := source.read(CHUNK)):
        hashed.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return size, hashed.hexdigest()
