"""`librispeech`: read English from audiobooks, in the layout of https://www.openslr.org/12.

``SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac`` with ``SPEAKER-CHAPTER.trans.txt`` beside the recordings (a name
and its transcript a line), and ``SPEAKERS.TXT`` with the speakers' sex at the root.
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import match, read_lines, recordings, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "librispeech"]

CHECKSUMS = {
    "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
}
"""MD5 of each split's archive, as published with them."""

LAYOUT = Layout(
    name="librispeech",
    title="LibriSpeech",
    licence="CC-BY-4.0",
    citation="Panayotov, Chen, Povey, Khudanpur: Librispeech, an ASR corpus based on public domain audio books, "
    "ICASSP 2015",
    homepage="https://www.openslr.org/12",
    signs=("{split}/*/*/*.trans.txt",),
    splits=tuple(CHECKSUMS),
    counts={
        "test-clean": 2620,
        "test-other": 2939,
        "dev-clean": 2703,
        "dev-other": 2864,
        "train-clean-100": 28539,
        "train-clean-360": 104014,
        "train-other-500": 148688,
    },
    nested=("LibriSpeech",),
    how="fetch the split's archive from https://www.openslr.org/12, unpack it",
)


@corpus("librispeech", language="en", licence=LAYOUT.licence)
def librispeech(*, path: str | None = None, split: str = "test-clean", partial: bool = False) -> SpeechFolder:
    """LibriSpeech: read English from audiobooks, 16 kHz, with clean and other test sets."""
    sources = (Archive(f"{LAYOUT.homepage.replace('/12', '/resources/12')}/{split}.tar.gz", CHECKSUMS.get(split, "")),)
    return SpeechFolder(LAYOUT, _scan, split, path, partial, language="en", sources=sources)


def _scan(root: Path, split: str) -> Scan[Utterance]:
    genders = _genders(root / "SPEAKERS.TXT")
    texts: dict[str, str] = {}
    for file in sorted((root / split).glob("*/*/*.trans.txt")):
        for line in read_lines(file):
            name, _, text = line.partition(" ")
            if not text.strip():
                raise DataError(f"{file}: {name!r} has no text; fetch it again")
            texts[name] = text.strip()
    files = recordings(root / split, (".flac",))
    both, missing, unlabelled = match(texts, files)
    rows = [_utterance(name, files[name], texts[name], genders.get(name.partition("-")[0], "")) for name in both]
    return Scan(rows, len(texts) + len(unlabelled), missing, unlabelled)


def _utterance(name: str, file: Path, text: str, gender: str) -> Utterance:
    speaker = f"librispeech-{name.partition('-')[0]}"
    known = {"language": "en", "gender": gender, "speaker": speaker}
    slices = {key: value for key, value in known.items() if value}
    return Utterance(f"librispeech/{name}", Audio(str(file)), text, "en", speaker, gender, slices)


def _genders(file: Path) -> dict[str, str]:
    """The sex of each reader, ``ID | SEX | SUBSET | MINUTES | NAME`` a line; nothing without the file."""
    if not file.is_file():
        return {}
    fields = [line.split("|") for line in read_lines(file) if not line.startswith(";")]
    return {line[0].strip(): tidy_gender(line[1]) for line in fields if len(line) > 1}
