"""`manifest`: your own recordings, listed in a JSONL, CSV, TSV or Parquet file.

Columns ``audio`` and ``text`` are needed; ``id``, ``speaker``, ``language``, ``gender``, ``start`` and ``end``
(seconds) are known; every other column becomes a slice. Everything is checked here, before any model is loaded.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audiometry.benchmark.audio import probe_seconds
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.utterance import Utterance, speech_slices

__all__ = ["ManifestCorpus", "manifest"]

NEEDED = ("audio", "text")
KNOWN = (*NEEDED, "id", "speaker", "language", "gender", "start", "end")
THREADS = 8

Row = Mapping[str, Any]
Rows = Iterator[tuple[int, Row]]
"""Rows with their number; the first has number 1, a header is not counted."""


@corpus("manifest", language="as listed", licence="as its owner states")
def manifest(*, path: str, language: str = "") -> ManifestCorpus:
    """Your own recordings: path=FILE, a JSONL, CSV, TSV or Parquet list of audio, text and what becomes slices."""
    try:
        return ManifestCorpus(Path(path).expanduser(), language)
    except RuntimeError as error:
        raise DataError(f"manifest {path}: {error}; give path=FILE in full") from None


@dataclass(frozen=True)
class ManifestCorpus:
    """The recordings that the file `path` lists; `language` holds where a row names none."""

    path: Path
    language: str = ""
    name: str = "manifest"
    licence: str = "as its owner states"
    citation: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def ready(self) -> bool:
        """Whether the file and every recording it lists are there."""
        try:
            self._listed()
        except DataError:
            return False
        return True

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Check the file; nothing is fetched or copied.

        Raises DataError as `utterances` does, and where `source` is given.
        """
        if source is not None:
            raise DataError("corpus 'manifest' reads the files that its path= lists; leave out --source")
        report(f"{self.path}: {len(self._listed())} recordings listed, all there")

    def describe(self) -> Mapping[str, str]:
        """The file and the language that holds where a row names none."""
        return {
            "path": str(self.path),
            "language": self.language or "as listed",
            "licence": self.licence,
            "prepared": "yes" if self.ready() else "no: the manifest or a recording that it lists is missing or wrong",
        }

    def utterances(self) -> list[Utterance]:
        """Every row, in the file's order. A recording whose length cannot be read has ``audio.seconds`` None.

        Raises DataError, naming the row, for an unknown format, an empty file, a missing column, an id that comes
        twice, a span that is none, and recordings that are missing. Recordings at a URL are not looked for.
        """
        listed = self._listed()
        lengths = _lengths(utterance.audio.path for utterance in listed)
        return [_with_length(utterance, lengths.get(utterance.audio.path)) for utterance in listed]

    def _listed(self) -> list[Utterance]:
        utterances: list[Utterance] = []
        first: dict[str, int] = {}
        for number, row in _read(self.path):
            utterance = self._utterance(row, f"{self.path}, row {number}")
            if utterance.id in first:
                raise DataError(
                    f"{self.path}, row {number}: id {utterance.id!r} stands in row {first[utterance.id]} already; "
                    "give each row an id of its own in a column id"
                )
            first[utterance.id] = number
            utterances.append(utterance)
        if not utterances:
            raise DataError(f"{self.path}: holds no rows; list a recording a row, with the columns audio and text")
        self._check_files(utterances, list(first.values()))
        return utterances

    def _utterance(self, row: Row, where: str) -> Utterance:
        for column in NEEDED:
            if column not in row:
                raise DataError(f"{where}: has no {column!r}; it has: {', '.join(row) or 'nothing'}")
            if not isinstance(row[column], str):
                raise DataError(f"{where}: {column!r} is {row[column]!r}; write it as text")
        if not row["audio"].strip():
            raise DataError(f"{where}: 'audio' is empty; name a file")
        start, end = (_seconds(row.get(column), column, where) for column in ("start", "end"))
        if end is not None and end <= (start or 0.0):
            raise DataError(f"{where}: the span {start or 0.0:g} to {end:g} s is empty; end must lie after start")
        span = "" if start is None and end is None else f"@{start or 0.0:g}-{'' if end is None else f'{end:g}'}"
        facts = {column: _text(row.get(column)) for column in ("language", "gender", "speaker")}
        facts["language"] = facts["language"] or self.language
        return Utterance(
            id=_text(row.get("id")) or f"{row['audio']}{span}",
            audio=Audio(self._resolve(row["audio"].strip()), start or 0.0, end),
            text=row["text"],
            **facts,
            slices={
                **{name: value for name, value in facts.items() if value},
                **{name: _text(value) for name, value in row.items() if name not in KNOWN and _text(value)},
            },
        )

    def _resolve(self, audio: str) -> str:
        return audio if "://" in audio else str(self.path.absolute().parent / audio)

    def _check_files(self, utterances: Sequence[Utterance], numbers: Sequence[int]) -> None:
        there = {path: _is_there(path) for path in {utterance.audio.path for utterance in utterances}}
        missing = [(n, u.audio.path) for n, u in zip(numbers, utterances, strict=True) if not there[u.audio.path]]
        if missing:
            number, path = missing[0]
            raise DataError(
                f"{self.path}, row {number}: recording {path} does not exist; {len(missing)} of {len(utterances)} rows "
                "name a missing file; paths are relative to the manifest's folder"
            )


def _read(path: Path) -> Rows:
    readers: Mapping[str, Callable[[Path], Rows]] = {
        ".jsonl": _read_jsonl,
        ".csv": lambda file: _read_table(file, csv.reader, delimiter=",", strict=True),
        ".tsv": lambda file: _read_table(file, csv.reader, delimiter="\t", quoting=csv.QUOTE_NONE),
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: {path.suffix or 'no ending'!r} is no manifest format; use one of {', '.join(readers)}"
        )
    if not path.is_file():
        raise DataError(f"manifest {path} does not exist; give path=FILE")
    try:
        yield from reader(path)
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def _read_jsonl(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, row {number}: is not JSON ({error}); write one object a line") from None
            if not isinstance(row, dict):
                raise DataError(f'{path}, row {number}: is not an object; write {{"audio": …, "text": …}}')
            yield number, row


def _read_table(path: Path, reader: Callable[..., Iterable[list[str]]], **dialect: Any) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        number = 0
        try:
            lines = iter(reader(stream, **dialect))
            columns = [name.strip() for name in next(lines, [])]
            _check_columns(path, columns)
            for number, values in enumerate((line for line in lines if line), start=1):
                if len(values) != len(columns):
                    raise DataError(
                        f"{path}, row {number}: has {len(values)} fields and the header {len(columns)}; "
                        "quote a field that holds the separator"
                    )
                yield number, dict(zip(columns, values, strict=True))
        except csv.Error as error:
            raise DataError(f"{path}, row {number + 1}: {error}; mend the row's quotes") from error


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not a Parquet file: {' '.join(str(error).split())}") from error
    _check_columns(path, table.column_names)
    yield from enumerate(table.to_pylist(), start=1)


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    missing = [name for name in NEEDED if name not in columns]
    if not columns:
        raise DataError(f"{path}: is empty; give it a header with the columns audio and text, and a recording a row")
    if missing:
        raise DataError(
            f"{path}: has no column {' and no column '.join(map(repr, missing))}; it has: {', '.join(columns)}"
        )
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{path}: column {twice!r} comes twice; rename one")


def _seconds(value: object, column: str, where: str) -> float | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    try:
        seconds = float(value) if isinstance(value, (str, int, float)) else math.nan
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0.0):
        raise DataError(f"{where}: {column!r} is {value!r}; write seconds from the recording's begin, as in 1.5")
    return seconds


def _text(value: object) -> str:
    """A value as the name of a slice: whole numbers without a point, truth in small letters, nothing as nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _is_there(path: str) -> bool:
    try:
        return "://" in path or Path(path).is_file()
    except (OSError, ValueError):
        return False


def _lengths(paths: Iterable[str]) -> dict[str, float | None]:
    """Seconds of each local file, None where it cannot be told: that becomes the sample's error on the worker."""

    def length(path: str) -> float | None:
        try:
            return None if "://" in path else probe_seconds(path)
        except AudioError:
            return None

    distinct = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(THREADS) as pool:
        return dict(zip(distinct, pool.map(length, distinct), strict=True))


def _with_length(utterance: Utterance, total: float | None) -> Utterance:
    audio = utterance.audio
    end = total if audio.end is None else audio.end if total is None else min(audio.end, total)
    seconds = None if end is None or end <= audio.start else end - audio.start
    slices = speech_slices(language="", gender="", speaker="", seconds=seconds) | dict(utterance.slices)
    return replace(utterance, audio=replace(audio, seconds=seconds), slices=slices)
