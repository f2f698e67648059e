"""Reading what another system answered: JSONL, CSV, TSV, Parquet, score files and transcript files.

Every reader yields plain records with the line or row that they came from; one function checks them and makes
`Answer`s. What is wrong is told with file, row and mend, before any model runs.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import OutputStatus

__all__ = ["ANSWERS", "Answer", "AnswerFile", "Format", "read_answers", "resolve_format"]

Format = Literal["auto", "jsonl", "csv", "tsv", "parquet", "scores", "kaldi", "trn"]

ANSWERS = ("text", "score", "label", "audio", "rating")
"""The columns that hold answers."""

KNOWN = frozenset({"id", "file", "status", "error", *ANSWERS})
SUFFIXES: Mapping[str, Format] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
    ".score": "scores", ".scores": "scores", ".trn": "trn",
}  # fmt: skip
KEYS = ("bonafide", "spoof", "target", "nontarget")

Record: TypeAlias = tuple[str, Mapping[str, Any]]
"""Where it stands (``line 3``), and its columns."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other system said to one sample. `status` other than ``ok`` says why it said nothing."""

    where: str
    id: str
    text: str | None
    score: float | None
    label: str | None
    rating: float | None
    audio: str | None
    status: OutputStatus
    error: str | None


@dataclass(frozen=True)
class AnswerFile:
    """The answers of a file, which of `ANSWERS` it has, and whether its ids are names of sound files."""

    path: Path
    answers: tuple[Answer, ...]
    columns: frozenset[str]
    by_file: bool


def read_answers(path: str, format: Format = "auto") -> AnswerFile:
    """Read and check a whole file.

    Raises DataError, naming file, row and mend, for a missing, empty or malformed file, a file without ids or answers,
    a duplicate id, a score or rating that is not a finite number, an unknown status and a sound file that is not
    there; SettingError for a format that the file's ending does not tell.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"outputs: the file {path!r} does not exist; give outputs:path=FILE")
    if file.stat().st_size == 0:
        raise DataError(f"outputs: {path} is empty; write one answer a line")
    chosen = resolve_format(file, format)
    try:
        records = list(_READERS[chosen](file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"outputs: {path} cannot be read as {chosen}: {error}; give format= or save it as UTF-8"
        ) from error
    if not records:
        raise DataError(f"outputs: {path} holds no answers; write one answer a line")
    columns = frozenset(name for _, record in records for name in record) & KNOWN
    key = next((name for name in ("id", "file", "audio") if name in columns), None)
    if key is None:
        raise DataError(f"outputs: {path} has no column 'id' (nor 'file' nor 'audio'); name each answer's sample")
    answering = columns & frozenset(ANSWERS)
    if key == "audio" and len(answering) > 1:
        answering -= {"audio"}  # it names the recordings that were heard; the answers are in the other columns
    if not answering and "status" not in columns:
        raise DataError(f"outputs: {path} has no column of answers; add one of {', '.join(ANSWERS)}")
    answers = tuple(_answer(file, where, record, key, answering) for where, record in records)
    _check_unique(file, answers)
    return AnswerFile(file, answers, answering, by_file=key != "id")


def resolve_format(file: Path, format: Format) -> Format:
    """The format of `file` by the setting, its ending, or for ``.txt`` what its lines look like.

    Raises SettingError where neither tells.
    """
    if format != "auto":
        return format
    suffix = file.suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    choices = ", ".join(name for name in get_args(Format) if name != "auto")
    if suffix != ".txt":
        raise SettingError(f"outputs: the ending of {file.name!r} tells no format; give format=, one of {choices}")
    return _score_or_text(file)


def _score_or_text(file: Path) -> Format:
    """Scores if at least half of the lines end in a decimal number or hold a key; text if they end in words.

    Raises SettingError where all end in whole numbers, which may be scores or spoken digits.
    """
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"outputs: {file} is not UTF-8 text: {error}; save it as UTF-8") from error
    scores = sum(_looks_scored(fields) for fields in lines)
    whole = sum(len(fields) == 2 and fields[1].isdigit() for fields in lines)
    if lines and whole == len(lines):
        raise SettingError(
            f"outputs: the lines of {file.name!r} may be scores or spoken digits; give format=scores or format=kaldi"
        )
    return "scores" if 2 * scores >= len(lines) else "kaldi"


def _looks_scored(fields: Sequence[str]) -> bool:
    if len(fields) == 4:
        return fields[2].lower() in KEYS
    return len(fields) == 2 and not fields[1].isdigit() and _number(fields[1]) is not None


def _number(text: Any) -> float | None:
    """A float, NaN and infinities included, or None if it is no number."""
    if isinstance(text, bool):
        return None
    try:
        return float(text)
    except (TypeError, ValueError, OverflowError):
        return None


def _read_jsonl(file: Path) -> Iterator[Record]:
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"outputs: {file} line {number} is not JSON: {error}; write one object a line"
                ) from error
            if not isinstance(record, dict):
                raise DataError(f"outputs: {file} line {number} is not a JSON object; write one object a line")
            yield f"line {number}", record


def _read_csv(file: Path) -> Iterator[Record]:
    return _read_separated(file, ",")


def _read_tsv(file: Path) -> Iterator[Record]:
    return _read_separated(file, "\t")


def _read_separated(file: Path, delimiter: str) -> Iterator[Record]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(reader, [])]
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"outputs: {file} has two columns {twice!r}; rename one")
        for fields in reader:
            where = f"line {reader.line_num}"
            if not fields:
                continue
            if len(fields) != len(header):
                raise DataError(
                    f"outputs: {file} {where} has {len(fields)} fields and the header {len(header)}; "
                    "quote fields that hold the separator"
                )
            yield where, dict(zip(header, fields, strict=True))


def _read_parquet(file: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = [name for name in pq.read_schema(file).names if name in KNOWN]
        rows = pq.read_table(file, columns=names).to_pylist()
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"outputs: {file} cannot be read as Parquet: {reason[:150]}; write it again") from error
    for number, row in enumerate(rows, 1):
        yield f"row {number}", row


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    with file.open(encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                yield f"line {number}", line.strip()


def _read_scores(file: Path) -> Iterator[Record]:
    """``UTT score``, or ``UTT attack key score`` as in ASVspoof; a first line that names the columns is passed over."""
    for position, (where, line) in enumerate(_lines(file)):
        fields = line.split()
        if position == 0 and fields[-1].lower().endswith("score"):
            continue
        if len(fields) not in (2, 4):
            raise DataError(
                f"outputs: {file} {where} has {len(fields)} fields; write 'UTTERANCE SCORE' or "
                "'UTTERANCE ATTACK KEY SCORE', or give format="
            )
        yield where, {"id": fields[0], "score": fields[-1]}


def _read_kaldi(file: Path) -> Iterator[Record]:
    """``UTT the words``."""
    for where, line in _lines(file):
        name, *text = line.split(maxsplit=1)
        yield where, {"id": name, "text": "".join(text)}


def _read_trn(file: Path) -> Iterator[Record]:
    """``the words (UTT)``, as NIST's sclite has it; or else every line in Kaldi's order."""
    lines = list(_lines(file))
    found = [re.fullmatch(r"(.*?)\s*\(([^()\s]+)\)", line) for _, line in lines]
    if not any(found):
        yield from _read_kaldi(file)
        return
    for (where, _), match in zip(lines, found, strict=True):
        if match is None:
            raise DataError(f"outputs: {file} {where} does not end in (UTTERANCE) as other lines do; add it")
        yield where, {"id": match[2], "text": match[1]}


_READERS: dict[Format, Callable[[Path], Iterator[Record]]] = {
    "jsonl": _read_jsonl,
    "csv": _read_csv,
    "tsv": _read_tsv,
    "parquet": _read_parquet,
    "scores": _read_scores,
    "kaldi": _read_kaldi,
    "trn": _read_trn,
}


def _answer(file: Path, where: str, record: Mapping[str, Any], key: str, answering: frozenset[str]) -> Answer:
    place = f"outputs: {file} {where}"
    name = record.get(key)
    if name is None or isinstance(name, bool | float | dict | list) or not str(name).strip():
        raise DataError(f"{place}: has no {key}; name the sample that it answers")
    status, error = _status(place, record)

    def text(column: str) -> str | None:
        return _text(place, record, column) if column in answering else None

    def number(column: str) -> float | None:
        return _finite(place, record, column, status) if column in answering else None

    return Answer(
        where=where,
        id=_sample_name(str(name).strip(), key),
        text=text("text"),
        score=number("score"),
        label=text("label"),
        rating=number("rating"),
        audio=_audio(place, file, record, status) if "audio" in answering else None,
        status=status,
        error=error,
    )


def _sample_name(name: str, key: str) -> str:
    """The id itself; of a sound file its path without the ending."""
    if key == "id":
        return name
    path = PurePosixPath(name.replace("\\", "/"))
    return str(path.parent / path.stem)


def _status(place: str, record: Mapping[str, Any]) -> tuple[OutputStatus, str | None]:
    error = _text(place, record, "error") or None
    told = (_text(place, record, "status") or "").strip() or ("error" if error else "ok")
    for status in get_args(OutputStatus):
        if told == status:
            return status, error
    raise DataError(f"{place}: status {told!r} is not one of {', '.join(get_args(OutputStatus))}")


def _text(place: str, record: Mapping[str, Any], column: str) -> str | None:
    value = record.get(column)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{place}: {column} {value!r} is not a text; write it as a string")
    return value


def _finite(place: str, record: Mapping[str, Any], column: str, status: OutputStatus) -> float | None:
    value = record.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        if status == "ok":
            raise DataError(f"{place}: has no {column}; give a number, or a status such as error")
        return None
    number = _number(value)
    if number is None or not math.isfinite(number):
        raise DataError(f"{place}: {column} {value!r} is not a finite number; mend it, or give a status such as error")
    return number


def _audio(place: str, file: Path, record: Mapping[str, Any], status: OutputStatus) -> str | None:
    name = (_text(place, record, "audio") or "").strip()
    if not name:
        if status == "ok":
            raise DataError(f"{place}: has no audio; give a sound file, or a status such as error")
        return None
    if "://" in name:
        raise DataError(f"{place}: audio {name!r} is a URL; fetch it and give a path relative to the file")
    made = file.parent / name
    if status == "ok" and not made.is_file():
        raise DataError(f"{place}: the sound file {name!r} is not there; paths are relative to {file.parent}")
    return str(made)


def _check_unique(file: Path, answers: Iterable[Answer]) -> None:
    seen: dict[str, str] = {}
    for answer in answers:
        if answer.id in seen:
            raise DataError(
                f"outputs: {file} answers {answer.id!r} twice, in {seen[answer.id]} and {answer.where}; keep one"
            )
        seen[answer.id] = answer.where
