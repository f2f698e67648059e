"""`manifest`: your own recordings, listed in a JSONL, CSV, TSV or Parquet file.

Columns ``audio`` and ``text`` are needed; ``id``, ``speaker``, ``language``, ``gender``, ``start`` and ``end``
(seconds) are known; every other column becomes a slice. Everything is checked here, before any model is loaded. The
file is read again for each use and never held: a million rows take no more memory than a number or two for each.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from audiometry.benchmark.audio import probe_seconds
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.remote import beside, is_url, open_url, read_failure, suffix
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.utterance import Utterance, speech_slices

__all__ = ["ManifestCorpus", "manifest"]

NEEDED = ("audio", "text")
KNOWN = (*NEEDED, "id", "speaker", "language", "gender", "start", "end")
THREADS = 8
STRETCH = 4096
"""Rows that are held at a time, and parsed ahead of whoever uses them."""

Row = Mapping[str, Any]
T = TypeVar("T")
Rows = Iterator[tuple[int, T]]
"""Rows with their number; the first has number 1, a header is not counted."""


@corpus("manifest", language="as listed", licence="as its owner states")
def manifest(*, path: str, language: str = "") -> ManifestCorpus:
    """Your own recordings: path=FILE, a JSONL, CSV, TSV or Parquet list of audio, text and what becomes slices."""
    try:
        return ManifestCorpus(path if is_url(path) else str(Path(path).expanduser()), language)
    except RuntimeError as error:
        raise DataError(f"manifest {path}: {error}; give path=FILE in full") from None


@dataclass
class _Known:
    """What is remembered of a manifest that was read to its end: a number or two for each row."""

    state: object = None
    """The file as it was when it was checked; None before."""
    lengths: array[float] = field(default_factory=lambda: array("d"))
    """Seconds of each row's file, NaN where unknown, as far as rows have been used."""


@dataclass(frozen=True)
class ManifestCorpus:
    """The recordings that the file, or URL, `path` lists; `language` holds where a row names none."""

    path: str
    language: str = ""
    name: str = "manifest"
    licence: str = "as its owner states"
    citation: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    _known: _Known = field(default_factory=_Known, repr=False, compare=False)

    def ready(self) -> bool:
        """Whether the file and every recording it lists are there."""
        try:
            self._check()
        except DataError:
            return False
        return True

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Check the file; nothing is fetched or copied.

        Raises DataError as `utterances` does, and where `source` is given.
        """
        if source is not None:
            raise DataError("corpus 'manifest' reads the files that its path= lists; leave out --source")
        report(f"{self.path}: {self._check()} recordings listed, all there")

    def describe(self) -> Mapping[str, str]:
        """The file and the language that holds where a row names none."""
        return {
            "path": self.path,
            "language": self.language or "as listed",
            "licence": self.licence,
            "prepared": "yes" if self.ready() else "no: the manifest or a recording that it lists is missing or wrong",
        }

    def utterances(self) -> Iterator[Utterance]:
        """Every row, in the file's order. A recording whose length cannot be read has ``audio.seconds`` None.

        The whole file is checked before the first row is given, once while it stays as it is.

        Raises DataError, naming the row, for an unknown format, an empty file, a missing column, an id that comes
        twice, a span that is none, and recordings that are missing. Recordings at a URL are not looked for.
        """
        state = _state(self.path)
        if state is None or state != self._known.state:
            self._check()
            self._known.state, self._known.lengths = state, array("d")
        return self._stream()

    def _stream(self) -> Iterator[Utterance]:
        listed = self._listed()
        lengths = self._known.lengths
        place = 0
        with ThreadPoolExecutor(THREADS) as pool:
            while stretch := [utterance for _, utterance in islice(listed, STRETCH)]:
                new = [utterance.audio.path for utterance in stretch[max(len(lengths) - place, 0) :]]
                lengths.extend(_lengths(new, pool))
                for utterance in stretch:
                    yield _with_length(utterance, lengths[place])
                    place += 1

    def _check(self) -> int:
        """Read every row; returns how many there are."""
        there = functools.lru_cache(STRETCH)(_is_there)  # rows that are spans of one file stand together
        ids = array("Q")
        missing: tuple[int, str] | None = None
        lost = 0
        for number, utterance in self._listed():
            ids.append(_hashed(utterance.id))
            if not there(utterance.audio.path):
                missing = missing or (number, utterance.audio.path)
                lost += 1
        if not ids:
            raise DataError(f"{self.path}: holds no rows; list a recording a row, with the columns audio and text")
        if len(np.unique(np.frombuffer(ids, dtype=np.uint64))) != len(ids):
            self._name_twins()
        if missing is not None:
            raise DataError(
                f"{self.path}, row {missing[0]}: recording {missing[1]} does not exist; {lost} of {len(ids)} rows "
                "name a missing file; paths are relative to the manifest's folder"
            )
        return len(ids)

    def _name_twins(self) -> None:
        """Raise DataError for the first id that comes twice."""
        first: dict[str, int] = {}
        for number, utterance in self._listed():
            if utterance.id in first:
                raise DataError(
                    f"{self.path}, row {number}: id {utterance.id!r} stands in row {first[utterance.id]} already; "
                    "give each row an id of its own in a column id"
                )
            first[utterance.id] = number

    def _listed(self) -> Rows[Utterance]:
        for number, row in _read(self.path):
            yield number, self._utterance(row, f"{self.path}, row {number}")

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
        if is_url(audio):
            return audio
        if is_url(self.path):
            return audio if Path(audio).is_absolute() else beside(self.path, audio)
        return str(Path(self.path).absolute().parent / audio)


def _read(path: str) -> Rows[Row]:
    readers: Mapping[str, Callable[[str, BinaryIO], Rows[Row]]] = {
        ".jsonl": _read_jsonl,
        ".csv": lambda name, file: _read_table(name, file, csv.reader, delimiter=",", strict=True),
        ".tsv": lambda name, file: _read_table(name, file, csv.reader, delimiter="\t", quoting=csv.QUOTE_NONE),
        ".parquet": _read_parquet,
    }
    reader = readers.get(suffix(path))
    if reader is None:
        raise DataError(
            f"{path}: {suffix(path) or 'no ending'!r} is no manifest format; use one of {', '.join(readers)}"
        )
    if not is_url(path) and not Path(path).is_file():
        raise DataError(f"manifest {path} does not exist; give path=FILE")
    try:
        with open_url(path) if is_url(path) else Path(path).open("rb") as stream:
            try:
                yield from reader(path, stream)
            finally:
                if failure := read_failure(stream):
                    raise DataError(f"{path}: cannot be read: {failure}")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def _read_jsonl(path: str, stream: BinaryIO) -> Rows[Row]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig") as lines:
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


def _read_table(path: str, stream: BinaryIO, reader: Callable[..., Iterable[list[str]]], **dialect: Any) -> Rows[Row]:
    with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        number = 0
        try:
            lines = iter(reader(text, **dialect))
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


def _read_parquet(path: str, stream: BinaryIO) -> Rows[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(stream)
        _check_columns(path, file.schema_arrow.names)
        rows = (row for batch in file.iter_batches(STRETCH) for row in batch.to_pylist())
        yield from enumerate(rows, start=1)
    except pa.ArrowException as error:
        raise DataError(f"{path}: is not a Parquet file: {' '.join(str(error).split())}") from error


def _check_columns(path: str, columns: Sequence[str]) -> None:
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
        return is_url(path) or Path(path).is_file()
    except (OSError, ValueError):
        return False


def _state(path: str) -> object:
    """What changes when the file does; None where that cannot be told."""
    with suppress(OSError):
        if is_url(path):
            return None
        known = Path(path).stat()
        return known.st_mtime_ns, known.st_size
    return None


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _lengths(paths: Sequence[str], pool: ThreadPoolExecutor) -> Iterator[float]:
    """Seconds of each local file, NaN where it cannot be told: that becomes the sample's error on the worker."""

    def length(path: str) -> float:
        try:
            return math.nan if is_url(path) else probe_seconds(path)
        except AudioError:
            return math.nan

    distinct = list(dict.fromkeys(paths))
    known = dict(zip(distinct, pool.map(length, distinct), strict=True))
    return map(known.__getitem__, paths)


def _with_length(utterance: Utterance, length: float) -> Utterance:
    audio, total = utterance.audio, None if math.isnan(length) else length
    end = total if audio.end is None else audio.end if total is None else min(audio.end, total)
    seconds = None if end is None or end <= audio.start else end - audio.start
    slices = speech_slices(language="", gender="", speaker="", seconds=seconds) | dict(utterance.slices)
    return replace(utterance, audio=replace(audio, seconds=seconds), slices=slices)
