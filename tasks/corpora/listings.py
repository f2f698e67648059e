"""Lists and folders of public corpora: lines with their fields, tables with their columns, recordings by name.

A list with lines that are not of its form is refused, with how many there are and the first of them: a list that is
cut off or belongs to another corpus shows so.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from audiometry.benchmark.errors import DataError

__all__ = ["check_unique", "find_recordings", "parse_lines", "read_table", "refuse", "split_lines"]

Parsed = TypeVar("Parsed")


def split_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, from 1; empty ones are passed over.

    Raises DataError for a file that is not there, cannot be read or is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline=None) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; copy it anew") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; copy it anew") from error


def parse_lines(
    path: Path,
    parse: Callable[[list[str]], Parsed | None],
    form: str,
    *,
    separator: str | None = None,
) -> list[Parsed]:
    """Every line of a list without header, split at white space (or at `separator`), as `parse` reads its fields.

    `parse` returns None for fields that are not of the list's `form`, which is told in the error.

    Raises DataError for a list that cannot be read, is empty, or has lines that are not of its form.
    """
    parsed: list[Parsed] = []
    wrong: list[tuple[int, str]] = []
    for number, line in split_lines(path):
        one = parse([part.strip() for part in line.split(separator)])
        if one is None:
            wrong.append((number, line))
        else:
            parsed.append(one)
    refuse(path, wrong, len(parsed) + len(wrong), form)
    return parsed


def refuse(path: Path, wrong: Sequence[tuple[int, str]], total: int, form: str) -> None:
    """Raise DataError where there are lines that are not of their list's form, or none at all."""
    if wrong:
        number, line = wrong[0]
        raise DataError(
            f"{path}: {len(wrong):,} of {total:,} lines are not of the form {form!r}, first line {number}: "
            f"{line[:80]!r}; copy the list anew"
        )
    if not total:
        raise DataError(f"{path}: is empty; copy the list anew")


def read_table(
    path: Path, columns: Sequence[str], *, delimiter: str = ",", encoding: str = "utf-8-sig"
) -> list[Mapping[str, str]]:
    """Every row of a table with a header, by column; `columns` must be there, others may.

    Raises DataError for a table that cannot be read, is empty, lacks a column, or has rows that are cut off.
    """
    rows: list[Mapping[str, str]] = []
    wrong: list[tuple[int, str]] = []
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            # some published tables have a lone carriage return within a text: it ends no row
            whole = (line.removesuffix("\n").removesuffix("\r").replace("\r", " ") + "\n" for line in file)
            lines = csv.reader(whole, delimiter=delimiter, skipinitialspace=True)
            header = [name.strip() for name in next(lines, [])]
            missing = [name for name in columns if name not in header]
            if missing:
                raise DataError(
                    f"{path}: has no column {' and no column '.join(map(repr, missing))}; it has: "
                    f"{', '.join(header) or 'nothing'}; copy the table anew"
                )
            for fields in lines:
                if len(fields) == len(header):
                    rows.append(dict(zip(header, fields, strict=True)))
                elif fields:
                    wrong.append((lines.line_num, delimiter.join(fields)))
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not {encoding.removesuffix('-sig').upper()} text; copy it anew") from None
    except csv.Error as error:
        raise DataError(f"{path}: is no table: {error}; copy it anew") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; copy it anew") from error
    refuse(path, wrong, len(rows) + len(wrong), delimiter.join(header))
    return rows


def check_unique(path: Path, names: Iterable[str]) -> None:
    """Raise DataError where an entry of a list comes twice."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise DataError(f"{path}: {len(twice):,} entries come more than once, first {twice[0]}; copy the list anew")


def find_recordings(folders: Iterable[Path], suffixes: tuple[str, ...]) -> dict[str, str]:
    """Path of each recording under `folders`, by its place there without its ending, sorted by that.

    Files without a byte in them count as not there. Folders that are not there are passed over.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for place, path in _walk(str(folder), ""):
            stem, dot, suffix = place.rpartition(".")
            if dot + suffix.lower() in suffixes:
                found.setdefault(stem, path)
    return dict(sorted(found.items()))


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Every file under a folder that is not empty: its place there, and its path."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    yield from _walk(entry.path, f"{prefix}{entry.name}/")
                elif entry.is_file() and entry.stat().st_size:
                    yield f"{prefix}{entry.name}", entry.path
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}; mend its permissions") from error
