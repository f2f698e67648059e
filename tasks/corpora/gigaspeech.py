"""`gigaspeech`: English audiobooks, podcasts and videos, in two layouts.

That of https://github.com/SpeechColab/GigaSpeech: ``GigaSpeech.json`` lists long recordings (``audio/…/*.opus``) with
their segments. That of https://huggingface.co/datasets/speechcolab/gigaspeech: ``data/metadata/SPLIT_metadata/*.csv``
lists segments that lie as files under ``data/audio/SPLIT_files``, once the archives are unpacked beside themselves.
There a training set is the smaller one and more: ``s`` is ``xs`` and ``s_…_additional``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Hub
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import is_present, read_table, recordings
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "gigaspeech", "tidy_text"]

MARKS = {"<COMMA>": ",", "<PERIOD>": ".", "<QUESTIONMARK>": "?", "<EXCLAMATIONPOINT>": "!"}
NO_SPEECH = {"<SIL>": "silence", "<MUSIC>": "music", "<NOISE>": "noise", "<OTHER>": "other sound"}
SOURCES = ("audiobook", "podcast", "youtube")
TRAINING = ("xs", "s", "m", "l", "xl")
CHUNK = 2**20

LAYOUT = Layout(
    name="gigaspeech",
    title="GigaSpeech",
    licence="for research and education, under its own terms",
    citation="Chen et al.: GigaSpeech, an evolving, multi-domain ASR corpus with 10,000 hours of transcribed audio, "
    "Interspeech 2021",
    homepage="https://github.com/SpeechColab/GigaSpeech",
    signs=("GigaSpeech.json", "data/metadata/{split}_metadata*/*.csv"),
    splits=("test", "dev", "xs", "s", "m", "l", "xl"),
    counts={"test": 25619, "dev": 6750},
    how="accept its terms at https://huggingface.co/datasets/speechcolab/gigaspeech, fetch "
    "data/metadata/SPLIT_metadata and data/audio/SPLIT_files, unpack the archives beside themselves",
)


@corpus("gigaspeech", language="en", licence=LAYOUT.licence)
def gigaspeech(*, path: str | None = None, split: str = "test", partial: bool = False) -> SpeechFolder:
    """GigaSpeech: English audiobooks, podcasts and videos, 16 kHz; fetching asks for the hub's access token."""
    files = [f"data/{folder}/*" for part in _parts(split) for folder in part]
    sources = (Hub("speechcolab/gigaspeech", tuple(files)),)
    return SpeechFolder(LAYOUT, _scan, split, path, partial, language="en", sources=sources)


def tidy_text(text: str) -> str:
    """A transcript with its tags written as punctuation marks.

    >>> tidy_text("AS THEY'RE LEAVING <COMMA> CAN KASH PULL ZAHRA ASIDE <QUESTIONMARK>")
    "AS THEY'RE LEAVING, CAN KASH PULL ZAHRA ASIDE?"
    """
    for tag, mark in MARKS.items():
        text = text.replace(f" {tag}", mark).replace(tag, mark)
    return " ".join(text.split())


@dataclass(frozen=True, slots=True)
class _Segment:
    """`file` is None where it is not there. A segment that is a file of its own ends where that ends (`end` None)."""

    id: str
    file: Path | None
    start: float
    end: float | None
    seconds: float
    text: str
    speaker: str
    recording: str
    source: str


def _scan(root: Path, split: str) -> Scan[Utterance]:
    whole = root / "GigaSpeech.json"
    rows: list[Utterance] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    excluded: Counter[str] = Counter()
    for one in _from_json(whole, split) if whole.is_file() else _from_tables(root, split):
        if reason := NO_SPEECH.get(one.text):
            excluded[reason] += 1
        elif not one.text:
            unlabelled.append(one.id)
        elif one.file is None:
            missing.append(one.id)
        else:
            rows.append(_utterance(one, one.file))
    listed = len(rows) + len(missing) + len(unlabelled) + excluded.total()
    return Scan(rows, listed, missing, unlabelled, excluded)


def _utterance(one: _Segment, file: Path) -> Utterance:
    # most speakers are not known: segments of one recording belong together then
    speaker = one.recording if one.speaker in ("", "N/A") else one.speaker
    audio = Audio(str(file), one.start, one.end, seconds=one.seconds)
    slices = {"language": "en"} | ({"source": one.source} if one.source else {})
    return Utterance(f"gigaspeech/{one.id}", audio, tidy_text(one.text), "en", f"gigaspeech-{speaker}", "", slices)


def _parts(split: str) -> list[tuple[str, str]]:
    """The hub's folders of lists and of recordings that make up a split."""
    names = TRAINING[: TRAINING.index(split) + 1] if split in TRAINING else (split,)
    more = dict.fromkeys(TRAINING[1:], "_additional")
    return [(f"metadata/{n}_metadata{more.get(n, '')}", f"audio/{n}_files{more.get(n, '')}") for n in names]


def _from_tables(root: Path, split: str) -> Iterator[_Segment]:
    """Segments of the hub's layout."""
    tables = [sorted((root / "data" / lists).glob("*.csv")) for lists, _ in _parts(split)]
    lost = [lists for (lists, _), there in zip(_parts(split), tables, strict=True) if not there]
    if lost:
        raise DataError(f"{root}: {len(lost)} of {len(tables)} parts of {split!r} are missing, first data/{lost[0]}")
    files: dict[str, Path] = {}
    for _, sounds in _parts(split):
        files |= recordings(root / "data" / sounds, (".wav",))
    for table in (one for there in tables for one in there):
        for row in read_table(table, ("sid", "text_tn", "begin_time", "end_time"), separator=",", quotes=True):
            seconds = _number(row["end_time"], table) - _number(row["begin_time"], table)
            recording = row.get("aid") or row["sid"].rpartition("_")[0]
            # the table's source is a number of the hub's own
            kind = row.get("source", "")
            source = SOURCES[int(kind)] if kind in ("0", "1", "2") else kind.lower()
            speaker = row.get("speaker", "")
            yield _Segment(
                row["sid"],
                files.get(row["sid"]),
                0.0,
                None,
                seconds,
                row["text_tn"].strip(),
                speaker,
                recording,
                source,
            )


def _from_json(whole: Path, split: str) -> Iterator[_Segment]:
    """Segments of the official layout, in the list's order."""
    wanted = f"{{{split.upper()}}}"
    for recording in _recordings(whole):
        try:
            if wanted not in recording["subsets"]:
                continue
            file = whole.parent / recording["path"]
            there = file if is_present(file) else None
            for segment in recording["segments"]:
                if wanted in segment["subsets"]:
                    start, end = float(segment["begin_time"]), float(segment["end_time"])
                    yield _Segment(
                        id=segment["sid"],
                        file=there,
                        start=start,
                        end=end,
                        seconds=end - start,
                        text=segment["text_tn"].strip(),
                        speaker=segment.get("speaker", ""),
                        recording=recording["aid"],
                        source=recording.get("source", "").lower(),
                    )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{whole}: a recording's entry is not as published ({error!r}); fetch it again") from error


def _recordings(whole: Path) -> Iterator[dict[str, Any]]:
    """The entries under ``audios``, one at a time: the file has over a gigabyte."""
    decoder = json.JSONDecoder()
    try:
        with whole.open(encoding="utf-8") as file:
            text = ""
            while (begin := re.search(r'"audios"\s*:\s*\[', text)) is None:
                if not (more := file.read(CHUNK)):
                    raise DataError(f'{whole}: has no list "audios"; fetch it again')
                text += more
            text = text[begin.end() :]
            while True:
                text = text.lstrip(", \r\n\t")
                try:
                    entry, end = decoder.raw_decode(text) if text[:1] != "]" else (None, 0)
                except ValueError:
                    if not (more := file.read(CHUNK)):
                        raise DataError(f"{whole}: is cut off or damaged; fetch it again") from None
                    text += more
                    continue
                if entry is None:
                    return
                yield entry
                text = text[end:]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{whole}: cannot be read: {' '.join(str(error).split())}; fetch it again") from error


def _number(text: str, table: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{table}: {text!r} is not a time in seconds; fetch it again") from None
