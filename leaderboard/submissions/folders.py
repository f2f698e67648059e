"""A folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from audiometry.leaderboard.submissions.errors import SubmissionError

__all__ = ["new_file", "whole_folder"]


@contextmanager
def whole_folder(into: Path, manifest: str | None = None) -> Iterator[Path]:
    """A hidden folder beside `into`, to be filled; it becomes `into` at the end, and is removed after an error.

    Where `manifest` is the name of a file, and all lies in one folder that holds it, that folder becomes `into`.

    Raises SubmissionError where `into` is a link, a file, or a folder that holds something.
    """
    if into.is_symlink() or (into.exists() and not (into.is_dir() and not any(into.iterdir()))):
        raise SubmissionError(f"{into} is there already; give a new or an empty folder")
    made = Path(tempfile.mkdtemp(prefix=".incoming-", dir=into.parent))
    try:
        yield made
        inside = list(made.iterdir())
        wrapped = manifest is not None and len(inside) == 1 and (inside[0] / manifest).is_file()
        (inside[0] if wrapped else made).replace(into)
    finally:
        shutil.rmtree(made, ignore_errors=True)  # after the move there is nothing, or an empty folder


@contextmanager
def new_file(folder: Path, path: PurePosixPath) -> Iterator[IO[bytes]]:
    """A new file in the folder, which no other user may read. It follows no link, and writes over nothing."""
    (folder / path.parent).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
