"""Corpora kept under the home folder: built once, installed by one rename, checked against their manifest.

A prepared corpus is a folder ``corpora/NAME`` with

- ``audio/…``, the recordings,
- ``manifest.jsonl``, one `Clip` a line,
- ``corpus.json``, written last: counts, minutes, what was left out and why, where it came from, and the sha256 of
  the manifest.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.paths import corpora_folder
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.utterance import Utterance, speech_slices

__all__ = ["Built", "Clip", "PreparedCorpus", "read_manifest", "sha256_of", "write_manifest"]

FORMAT = 1
"""Version of the folder's layout and of the rules by which clips are left out; another one is prepared anew."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A line of the manifest. `file` is relative to the corpus' folder; `seconds` is the recording's length."""

    id: str
    file: str
    sha256: str
    bytes: int
    seconds: float
    text: str
    speaker: str
    language: str
    gender: str
    licence: str


@dataclass(frozen=True)
class Built:
    """What a builder leaves behind: its clips, how many entries were left out for which reason, and the origin."""

    clips: list[Clip]
    excluded: Mapping[str, int] = field(default_factory=dict)
    origin: Mapping[str, str] = field(default_factory=dict)


Report = Callable[[str], None]
Builder = Callable[[Path, "str | None", Report], Built]
"""(empty folder to fill, ``--source`` or None, report) → what was built."""


@dataclass(frozen=True)
class PreparedCorpus:
    """A speech corpus that `build` makes once under the home folder."""

    name: str
    language: str
    licence: str
    citation: str
    build: Builder
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    slices: Mapping[str, str] = field(default_factory=dict)
    """Slices that every utterance has beside language, gender, speaker and duration."""

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return corpora_folder() / self.name

    def ready(self) -> bool:
        """Whether every file is there with the size that the manifest states."""
        try:
            self._clips()
        except DataError:
            return False
        return True

    def prepare(self, source: str | None, report: Report) -> None:
        """Build it, from the folder `source` if given. A corpus that is ready is left as it is.

        Raises DataError where the recordings cannot be had; what was there before stays as it was.
        """
        if not self.ready():
            try:
                self._make(source, report)
            except OSError as error:
                raise DataError(
                    f"corpus {self.name!r} cannot be prepared in {self.folder}: {' '.join(str(error).split())}; "
                    "mend this, or set AUDIOMETRY_HOME to a folder with space that you may write"
                ) from error
        header = self._header()
        report(f"{self.name}: {_summary(header)}, in {self.folder}")
        if header["excluded"]:
            report(f"{self.name}: left out {_reasons(header['excluded'])}")

    def describe(self) -> Mapping[str, str]:
        """Language, licence, credits, folder, and the counts where it is prepared."""
        facts = {
            "language": self.language,
            "licence": self.licence,
            "citation": self.citation,
            "synthetic": "yes" if self.synthetic else "no",
            "notes": "; ".join(self.notes),
            "folder": str(self.folder),
        }
        try:
            header = self._header()
        except DataError as error:
            return {**facts, "prepared": f"no: {error}"}
        return {
            **facts,
            "prepared": "yes",
            "clips": str(header["clips"]),
            "minutes": f"{header['seconds'] / 60:.1f}",
            "excluded": _reasons(header["excluded"]),
            **{f"origin: {key}": str(value) for key, value in header["origin"].items()},
        }

    def utterances(self) -> list[Utterance]:
        """Every clip, in the manifest's order.

        Raises DataError if the corpus is not prepared, or if a file is missing or has another size.
        """
        return [
            Utterance(
                id=clip.id,
                audio=Audio(str(self.folder / clip.file), seconds=clip.seconds, digest=clip.sha256),
                text=clip.text,
                language=clip.language,
                speaker=clip.speaker,
                gender=clip.gender,
                slices={
                    **speech_slices(
                        language=clip.language, gender=clip.gender, speaker=clip.speaker, seconds=clip.seconds
                    ),
                    **self.slices,
                },
            )
            for clip in self._clips()
        ]

    def verify(self) -> int:
        """Read every recording and compare its sha256 with the manifest; the number of recordings.

        Raises DataError naming the first that differs.
        """
        clips = self._clips()
        changed = [clip for clip in clips if sha256_of(self.folder / clip.file) != clip.sha256]
        if changed:
            raise self._damaged([clip.file for clip in changed], len(clips))
        return len(clips)

    def _make(self, source: str | None, report: Report) -> None:
        corpora_folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{self.name}-", dir=corpora_folder()) as scratch:
            fresh = Path(scratch) / "new"
            fresh.mkdir()
            built = self.build(fresh, source, report)
            if not built.clips:
                raise DataError(f"corpus {self.name!r}: no usable recording was found; {_reasons(built.excluded)}")
            _write(fresh, self.name, built)
            self._install(fresh, Path(scratch))

    def _header(self) -> dict[str, Any]:
        try:
            text = (self.folder / "corpus.json").read_text(encoding="utf-8")
        except OSError:
            raise DataError(f"corpus {self.name!r} is not prepared; {self._mend()}") from None
        try:
            header: dict[str, Any] = json.loads(text)
            known = header["format"]
        except (ValueError, TypeError, KeyError):
            raise DataError(f"corpus {self.name!r}: {self.folder / 'corpus.json'} is damaged; {self._mend()}") from None
        if known != FORMAT:
            raise DataError(f"corpus {self.name!r} was prepared by another version of Audiometry; {self._mend()}")
        return header

    def _clips(self) -> list[Clip]:
        header = self._header()
        manifest = self.folder / "manifest.jsonl"
        if not manifest.is_file() or sha256_of(manifest) != header["manifest_sha256"]:
            raise DataError(f"corpus {self.name!r}: {manifest} is missing or changed; {self._mend()}")
        clips = read_manifest(manifest)
        wrong = [clip.file for clip in clips if _size(self.folder / clip.file) != clip.bytes]
        if wrong:
            raise self._damaged(wrong, len(clips))
        return clips

    def _damaged(self, files: list[str], total: int) -> DataError:
        return DataError(
            f"corpus {self.name!r}: {len(files)} of {total} recordings in {self.folder} are missing or changed, "
            f"first {files[0]}; remove the folder, then {self._mend()}"
        )

    def _mend(self) -> str:
        return f"run: audiometry data prepare {self.name}"

    def _install(self, fresh: Path, scratch: Path) -> None:
        """Put `fresh` in place; keep what another process put there meanwhile, if it is whole."""
        attempts = 0
        while not self.ready():
            try:
                if self.folder.exists():
                    self.folder.rename(scratch / f"old-{attempts}")
                fresh.rename(self.folder)
            except OSError:
                attempts += 1
                if attempts == 3:
                    raise
            else:
                return


def write_manifest(path: Path, clips: Iterable[Clip]) -> None:
    """Write one JSON object a line."""
    lines = [json.dumps(asdict(clip), ensure_ascii=False) for clip in clips]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def read_manifest(path: Path) -> list[Clip]:
    """Read what `write_manifest` wrote.

    Raises DataError naming the line that is not a clip.
    """
    clips = []
    names = {item.name for item in fields(Clip)}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or set(row) != names:
            raise DataError(f"{path}, line {number}: is no entry of a prepared corpus; remove its folder, prepare anew")
        clips.append(Clip(**row))
    return clips


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(folder: Path, name: str, built: Built) -> None:
    manifest = folder / "manifest.jsonl"
    write_manifest(manifest, built.clips)
    header = {
        "format": FORMAT,
        "name": name,
        "clips": len(built.clips),
        "seconds": sum(clip.seconds for clip in built.clips),
        "excluded": dict(sorted(built.excluded.items())),
        "origin": dict(built.origin),
        "manifest_sha256": sha256_of(manifest),
    }
    (folder / "corpus.json").write_text(json.dumps(header, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _summary(header: Mapping[str, Any]) -> str:
    return f"{header['clips']} clips, {header['seconds'] / 60:.1f} minutes"


def _reasons(excluded: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in excluded.items()) or "none"
