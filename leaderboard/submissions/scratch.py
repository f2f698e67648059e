"""How much a run that nobody trusts has written: in a folder, and in files that it deleted and still holds open."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from audiometry.leaderboard.submissions.errors import SubmissionError

__all__ = ["check_written"]

BLOCK = 512
"""Bytes in a unit of ``st_blocks``, whatever the file system's own are."""


def check_written(folder: Path, skipped: Path, pids: Iterable[int], *, most_bytes: int, most_files: int) -> None:
    """Make sure that no more is in `folder`, `skipped` left out, and in deleted files that the processes hold.

    Links are not followed. A file without content counts as a file, and so does a folder.

    Raises SubmissionError for more than so many bytes on the disk or so many files, and for a folder that cannot be
    looked into.
    """
    deleted = {(found.st_dev, found.st_ino): found.st_blocks for pid in pids for found in _held_open(pid)}
    size, files = sum(deleted.values()) * BLOCK, len(deleted)
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            facts = _facts(entry)
            if facts is None or entry.path == str(skipped):
                continue
            size, files = size + facts.st_blocks * BLOCK, files + 1
            if size > most_bytes:
                raise SubmissionError(
                    f"the run wrote more than {most_bytes / 2**30:g} GiB; submit one that writes less"
                )
            if files > most_files:
                raise SubmissionError(f"the run made more than {most_files:,} files; submit one that makes fewer")
            if stat.S_ISDIR(facts.st_mode):
                waiting.append(Path(entry.path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except (FileNotFoundError, NotADirectoryError):  # it is gone, or was replaced
        return []
    except OSError as error:  # too deep, or closed to everybody
        raise SubmissionError(f"the run made a folder that cannot be looked into: {error.strerror}") from error


def _facts(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SubmissionError(f"the run made a file that cannot be looked at: {error.strerror}") from error


def _held_open(pid: int) -> Iterable[os.stat_result]:
    """Plain files that a process holds open and nobody can find any more."""
    try:
        held = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or there is no /proc
        return
    for one in held:
        try:
            facts = one.stat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and not facts.st_nlink:
            yield facts
