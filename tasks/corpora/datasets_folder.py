"""`datasets`: a Hugging Face ``datasets`` folder with audio and transcripts, on disk.

Two kinds are read: what ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` leaves (Arrow streams that
``state.json`` lists), and Parquet files as the hub keeps them (``data/test-00000-of-00002.parquet``). The audio column
holds a file's bytes, a path, or both. Bytes are written to files once, by their sha256, under
``AUDIOMETRY_HOME/corpora/datasets-audio``, as workers read files.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.paths import corpora_folder
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.arrow_files import column_names, read_rows, split_files
from audiometry.tasks.corpora.fetch import Hub, fetch
from audiometry.tasks.corpora.layout import with_lengths
from audiometry.tasks.corpora.transcripts import is_present, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["DatasetsFolder", "datasets_folder"]

TEXTS = ("text", "sentence", "transcription", "transcript", "raw_transcription", "normalized_text", "raw_text")
SPEAKERS = ("speaker", "speaker_id", "client_id")
GROUPS = ("gender", "age", "accent", "accents", "locale", "dialect")
ENDINGS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3"}
STRETCH = 256
"""Rows whose sound is written and measured at a time."""


@corpus("datasets", language="as set", licence="as its owner states")
def datasets_folder(
    *,
    path: str | None = None,
    hub: str | None = None,
    split: str = "test",
    audio: str = "audio",
    text: str | None = None,
    speaker: str | None = None,
    language: str = "",
) -> DatasetsFolder:
    """A Hugging Face datasets folder: path=DIR (saved to disk, or Parquet files), or hub=OWNER/NAME once prepared."""
    if (path is None) == (hub is None):
        raise SettingError("corpus 'datasets' needs path=DIR, or hub=OWNER/NAME, and not both")
    if hub is not None and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", hub):
        raise SettingError(f"corpus 'datasets': hub={hub!r} is no repository; write OWNER/NAME")
    place = Path(path).expanduser() if path else corpora_folder() / "datasets" / str(hub).replace("/", "--")
    return DatasetsFolder(place.absolute(), split, hub, audio, text, speaker, language)


@dataclass(frozen=True)
class DatasetsFolder:
    """One split of a folder. `audio`, `text` and `speaker` name columns; None: the first of the usual names."""

    folder: Path
    split: str = "test"
    hub: str | None = None
    audio: str = "audio"
    text: str | None = None
    speaker: str | None = None
    language: str = ""
    licence: str = "as its owner states"
    citation: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    _known: dict[tuple[tuple[str, int, int], ...], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The folder or repository, and the split."""
        return f"datasets/{self.hub or self.folder.name}/{self.split}"

    def ready(self) -> bool:
        """Whether every file of the split is there and can be read, with the columns that are needed."""
        try:
            self._check()
        except DataError:
            return False
        return True

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Fetch the repository `hub`; a folder is checked.

        Raises DataError where it cannot be had or is not whole, and where `source` is given.
        """
        if source is not None:
            raise DataError("corpus 'datasets' reads the folder that its path= names; leave out --source")
        if self.hub and not self.ready():
            by_hand = f"fetch https://huggingface.co/datasets/{self.hub} elsewhere and name its folder with path=DIR"
            fetch((Hub(self.hub, ("*.parquet", "*.json", "*.arrow")),), self.folder, report, by_hand)
        report(f"{self.name}: {self._check():,} utterances, in {self.folder}")

    def describe(self) -> Mapping[str, str]:
        """The folder, the split, and how many rows it has."""
        facts = {"language": self.language or "as listed", "licence": self.licence, "folder": str(self.folder)}
        try:
            return {**facts, "split": self.split, "prepared": "yes", "utterances": str(self._check())}
        except DataError as error:
            return {**facts, "split": self.split, "prepared": f"no: {error}"}

    def utterances(self) -> Iterator[Utterance]:
        """Every row, in the files' order.

        Raises DataError, at once, for a folder of another kind, a split or file that is not there, a file that is cut
        off, a column that is lacking, and rows without audio or transcript (with counts).
        """
        self._check()
        return self._stream()

    def _stream(self) -> Iterator[Utterance]:
        number = 0
        for file in split_files(self.folder, self.split):
            rows = read_rows(file, self._columns(file), self.audio, sound=True)
            while stretch := [self._utterance(number + at, row) for at, row in enumerate(islice(rows, STRETCH))]:
                number += len(stretch)
                yield from with_lengths(stretch)

    def _check(self) -> int:
        """Read all but the sound; returns how many rows there are."""
        files = split_files(self.folder, self.split)
        state = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        if state not in self._known:
            self._known[state] = self._count(files)
        return self._known[state]

    def _count(self, files: Sequence[Path]) -> int:
        total = 0
        silent: list[int] = []
        untold: list[int] = []
        for file in files:
            for row in read_rows(file, self._columns(file), self.audio, sound=False):
                if not (row["embedded"] or (row["heard"] and is_present(self._file(row["path"])))):
                    silent.append(total)
                elif not _text(row["text"]):
                    untold.append(total)
                total += 1
        if silent or untold or not total:
            wrong = [
                f"{len(rows):,} of {total:,} rows without {what}, first row {rows[0]}"
                for rows, what in ((silent, "recording"), (untold, "transcript"))
                if rows
            ]
            raise DataError(f"{self.folder}, split {self.split!r}: {'; '.join(wrong) or 'no rows'}; save it again")
        return total

    def _columns(self, file: Path) -> dict[str, str]:
        """The name of the column for each role but the sound's."""
        names = column_names(file)
        speaker = next((name for name in ((self.speaker,) if self.speaker else SPEAKERS) if name in names), "")
        text = next((name for name in ((self.text,) if self.text else TEXTS) if name in names), "")
        lacking = {"audio": self.audio not in names, "text": not text, "speaker": bool(self.speaker) and not speaker}
        for role, lacks in lacking.items():
            if lacks:
                asked = getattr(self, role) or " or ".join(TEXTS)
                raise DataError(
                    f"{file}: has no column {asked}; it has: {', '.join(names) or 'none'}; "
                    f"name the right one with {role}=COLUMN"
                )
        roles = {"text": text} | ({"speaker": speaker} if speaker else {})
        return roles | {name: name for name in GROUPS if name in names}

    def _file(self, path: str) -> Path:
        return self.folder / path

    def _utterance(self, number: int, row: Mapping[str, Any]) -> Utterance:
        groups = {name: _text(row.get(name)) for name in GROUPS}
        groups["gender"] = tidy_gender(groups["gender"]) or groups["gender"]
        slices = {"language": self.language} | groups
        speaker = _text(row.get("speaker"))
        embedded = row["bytes"] is not None
        return Utterance(
            id=f"{self.name}/{number:07d}",
            audio=_keep(row["bytes"], row["path"]) if embedded else Audio(str(self._file(row["path"]))),
            text=_text(row["text"]),
            language=self.language,
            speaker=f"{self.name}-{speaker}" if speaker else "",
            gender=groups["gender"],
            slices={key: value for key, value in slices.items() if value},
        )


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _keep(data: bytes, path: str | None) -> Audio:
    """A file with these bytes, written unless it is there."""
    digest = hashlib.sha256(data).hexdigest()
    told = PurePath(path or "").suffix.lower()
    ending = told or next((ending for mark, ending in ENDINGS.items() if data.startswith(mark)), ".bin")
    file = corpora_folder() / "datasets-audio" / digest[:2] / f"{digest}{ending}"
    try:
        if not (file.is_file() and file.stat().st_size == len(data)):
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as out:
                out.write(data)
            Path(out.name).replace(file)
    except OSError as error:
        raise DataError(
            f"{file}: cannot be written: {error.strerror}; set AUDIOMETRY_HOME to a folder with space"
        ) from error
    return Audio(str(file), digest=digest)
