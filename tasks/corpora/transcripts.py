"""What readers of transcribed speech share: lists of transcripts, and recordings matched with them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from audiometry.benchmark.errors import DataError

__all__ = ["is_present", "match", "read_lines", "read_table", "recordings", "tidy_gender"]

T = TypeVar("T")

GENDERS = {
    "f": "female",
    "m": "male",
    "female": "female",
    "male": "male",
    "female_feminine": "female",
    "male_masculine": "male",
    "other": "other",
    "non-binary": "non-binary",
    "transgender": "transgender",
}


def is_present(path: Path) -> bool:
    """Whether `path` is a file with something in it; a copy that broke off may leave an empty one."""
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def recordings(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """The files under `folder` with one of the endings and something in them, by their name without the ending.

    Of two with one name the later in the order of paths is taken. Links are followed.
    """
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(files):
            path = Path(place, name)
            if path.suffix.lower() in suffixes and is_present(path):
                found[path.stem] = path
    return found


def match(texts: Mapping[str, T], files: Mapping[str, Path]) -> tuple[list[str], list[str], list[str]]:
    """Names that have a text and a file, that lack their file, and that lack their text; each sorted.

    >>> match({"a": "One.", "b": "Two."}, {"a": Path("a.wav"), "c": Path("c.wav")})
    (['a'], ['b'], ['c'])
    """
    there, known = set(files), set(texts)
    return sorted(known & there), sorted(known - there), sorted(there - known)


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file that are not blank, without their line ends.

    Raises DataError for a file that cannot be read or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if line.strip():
                    yield line.rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; fetch it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; fetch it again") from error


def read_table(
    path: Path, needed: Sequence[str], *, separator: str = "\t", columns: Sequence[str] = (), quotes: bool = False
) -> Iterator[dict[str, str]]:
    """The rows of a table, by column. Without `columns` its first line names them. `quotes`: as in CSV.

    Raises DataError for a file that cannot be read, lacks one of the `needed` columns, or has a row that is too short.
    """
    text = read_lines(path)
    plain = csv.reader(text, delimiter=separator, quoting=csv.QUOTE_NONE)
    lines = _split(path, csv.reader(text, delimiter=separator) if quotes else plain)
    names = [name.strip() for name in (columns or next(lines, []))]
    lacking = [name for name in needed if name not in names]
    if lacking:
        raise DataError(f"{path}: has no column {', '.join(map(repr, lacking))}; it has: {', '.join(names) or 'none'}")
    most = max((names.index(name) for name in needed), default=0)
    for number, values in enumerate(lines, start=1):
        if len(values) <= most:
            raise DataError(f"{path}, row {number}: has {len(values)} fields of {len(names)}; fetch it again")
        yield dict(zip(names, values, strict=False))


def _split(path: Path, lines: Iterator[list[str]]) -> Iterator[list[str]]:
    try:
        yield from lines
    except csv.Error as error:
        raise DataError(f"{path}: is no table: {error}; fetch it again") from error


def tidy_gender(text: str) -> str:
    """A gender label as this project writes it, the empty string where it is not told.

    >>> [tidy_gender(text) for text in ("F", "male_masculine", " FEMALE ", "do_not_wish_to_say", "None")]
    ['female', 'male', 'female', '', '']
    """
    return GENDERS.get(text.strip().lower(), "")
