"""`vctk`: English read by 110 speakers with many accents.

The layout is that of https://datashare.ed.ac.uk/handle/10283/3443:
``wav48_silence_trimmed/SPEAKER/SPEAKER_NUMBER_MICROPHONE.flac`` with ``txt/SPEAKER/SPEAKER_NUMBER.txt`` (version 0.92),
or ``wav48/SPEAKER/SPEAKER_NUMBER.wav`` (0.80); ``speaker-info.txt`` tells age, gender, accent and region. There are no
official splits: ``all``.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import match, read_lines, recordings, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "vctk"]

UNTOLD = ("p315",)
"""Speakers whose transcripts the makers lost."""

UNHEARD = {"mic1": ("p362",), "mic2": ("p280", "p315", "p362")}
"""Speakers of whom the makers lack some or all recordings of a microphone."""

LAYOUT = Layout(
    name="vctk",
    title="VCTK",
    licence="CC-BY-4.0",
    citation="Yamagishi, Veaux, MacDonald: CSTR VCTK Corpus, English multi-speaker corpus for CSTR voice cloning "
    "toolkit, University of Edinburgh, version 0.92, 2019",
    homepage="https://datashare.ed.ac.uk/handle/10283/3443",
    signs=("wav48_silence_trimmed/*/*.flac", "wav48/*/*.wav"),
    also=("speaker-info.txt", "txt"),
    splits=("all",),
    nested=("VCTK-Corpus-0.92", "VCTK-Corpus"),
    how="fetch VCTK-Corpus-0.92.zip from https://datashare.ed.ac.uk/handle/10283/3443, unpack it",
)


@corpus("vctk", language="en", licence=LAYOUT.licence)
def vctk(
    *, path: str | None = None, split: str = "all", microphone: Literal["mic1", "mic2"] = "mic1", partial: bool = False
) -> SpeechFolder:
    """VCTK: English read by 110 speakers with many accents, 48 kHz, with age, gender and accent."""

    def scan(root: Path, split: str) -> Scan[Utterance]:  # noqa: ARG001  # there is one split
        return _scan(root, microphone)

    sources = (Archive("https://datashare.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip"),)
    return SpeechFolder(LAYOUT, scan, split, path, partial, language="en", sources=sources)


@dataclass(frozen=True, slots=True)
class _Speaker:
    gender: str = ""
    age: str = ""
    accent: str = ""
    region: str = ""


def _scan(root: Path, microphone: str) -> Scan[Utterance]:
    speakers = _speakers(root / "speaker-info.txt")
    texts = {file.stem: file for file in sorted((root / "txt").glob("*/*.txt"))}
    files = _files(root, microphone)
    both, missing, unlabelled = match(texts, files)
    excluded: Counter[str] = Counter()
    excluded["recording never published"] = sum(_speaker(name) in UNHEARD[microphone] for name in missing)
    excluded["transcript lost by the makers"] = sum(_speaker(name) in UNTOLD for name in unlabelled)
    missing = [name for name in missing if _speaker(name) not in UNHEARD[microphone]]
    unlabelled = [name for name in unlabelled if _speaker(name) not in UNTOLD]
    known = {*map(_speaker, texts), *UNTOLD}
    missing += [f"all of {speaker}" for speaker in sorted(set(speakers) - known)]
    rows: list[Utterance] = []
    for name in both:
        text = " ".join(" ".join(read_lines(texts[name])).split())
        if text:
            rows.append(_utterance(name, files[name], text, speakers.get(_speaker(name), _Speaker())))
        else:
            unlabelled.append(name)
    listed = len(rows) + len(missing) + len(unlabelled)
    return Scan(rows, listed, missing, unlabelled, {reason: number for reason, number in excluded.items() if number})


def _files(root: Path, microphone: str) -> dict[str, Path]:
    """Recordings by utterance; the older version has one microphone and does not name it."""
    trimmed = root / "wav48_silence_trimmed"
    if trimmed.is_dir():
        ending = f"_{microphone}"
        found = recordings(trimmed, (".flac",))
        return {name.removesuffix(ending): file for name, file in found.items() if name.endswith(ending)}
    return recordings(root / "wav48", (".wav",))


def _speaker(name: str) -> str:
    return name.partition("_")[0]


def _utterance(name: str, file: Path, text: str, told: _Speaker) -> Utterance:
    speaker = f"vctk-{_speaker(name)}"
    known = {"language": "en", "gender": told.gender, "speaker": speaker, "age": told.age, "accent": told.accent}
    slices = {key: value for key, value in (known | {"region": told.region}).items() if value}
    return Utterance(f"vctk/{name}", Audio(str(file)), text, "en", speaker, told.gender, slices)


def _speakers(file: Path) -> dict[str, _Speaker]:
    """What is known of each speaker: ``ID AGE GENDER ACCENTS REGION (REMARK)``; nothing without the file."""
    if not file.is_file():
        return {}
    found = {}
    for line in read_lines(file):
        fields = re.sub(r"\(.*", "", line).split()
        if len(fields) >= 4 and fields[1].isdigit():
            name = fields[0] if fields[0][0].isalpha() else f"p{fields[0]}"
            found[name] = _Speaker(tidy_gender(fields[2]), fields[1], fields[3], " ".join(fields[4:]))
    return found
