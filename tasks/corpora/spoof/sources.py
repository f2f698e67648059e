"""Whose recordings the embedded spoof corpus is made of, and which part of it each speaker belongs to.

A part is a language or two, and no language is in two parts: so neither a speaker nor a sentence can be in two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from audiometry.benchmark.audio import probe_seconds, read_file, resample
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.asterisk import LANGUAGES, asterisk
from audiometry.tasks.corpora.debian import apt_download, unpack_deb
from audiometry.tasks.corpora.prepared import Report
from audiometry.tasks.corpora.spoof.equalisation import RATE, active_span

__all__ = ["PACKS", "PARTS", "Part", "Recording", "Speaker", "beginning", "recordings", "speakers"]

Part: TypeAlias = Literal["train", "development", "evaluation"]

PARTS: Mapping[str, Part] = {"fr": "train", "ru": "train", "it": "development", "en": "evaluation", "es": "evaluation"}
"""The part of each language."""

SHORTEST_RECORDING = 1.2
"""Seconds of speech that a recording must have: an attack on it may come out shorter, and must have a second."""

LONGEST = 4.0
"""Seconds that are used of a recording, from its beginning."""


@dataclass(frozen=True)
class Speaker:
    """Who speaks, and on what terms. `package` is the Debian package of those whose words are not written down."""

    name: str
    language: str
    gender: str
    licence: str
    citation: str
    package: str = ""

    @property
    def part(self) -> Part:
        """Training, development or evaluation."""
        return PARTS[self.language]


PACKS: tuple[Speaker, ...] = (
    Speaker(
        "armelle-desjardins", "fr", "female", "BSD-3-Clause", "Armelle Desjardins for Indigen Solutions, 2006",
        "asterisk-prompt-fr-armelle",
    ),
    Speaker(
        "paola-dal-zot", "it", "female", "CC-BY-SA-3.0", "Marco Menardi and Paola Dal Zot, www.voip.ammdomus.it, "
        "2006-2011", "asterisk-prompt-it-menardi-wav",
    ),
    Speaker(
        "july-jimenez", "es", "female", "GPL-2.0", "July E. Jiménez for Avatar Ltda., 2006", "asterisk-prompt-es-co"
    ),
)  # fmt: skip
"""Further packages of prompts, at 8 kHz; two are GSM-coded, as are then the attacks that copy them."""


@dataclass(frozen=True)
class Recording:
    """A person's recording; `text` is empty where it is not known."""

    speaker: Speaker
    prompt: str
    path: Path
    text: str = ""
    speech: float = LONGEST
    """Seconds of speech in it."""

    @property
    def id(self) -> str:
        """Speaker, language (a speaker may speak two) and prompt."""
        return f"{self.speaker.name}-{self.speaker.language}/{self.prompt}"


def speakers() -> list[Speaker]:
    """Everybody, those with transcripts first."""
    known = [
        Speaker(voice.speaker, language, voice.gender, voice.licence, voice.citation)
        for language, voice in LANGUAGES.items()
    ]
    return [*known, *PACKS]


def recordings(scratch: Path, source: str | None, report: Report) -> tuple[list[Recording], dict[str, int]]:
    """Every recording with at least `SHORTEST_RECORDING` seconds of speech, in a fixed order; how many not, and why.

    Prepares the corpora ``asterisk-LANG`` where they are not; unpacks the other packages into `scratch`, fetched or out
    of the folder `source`.

    Raises DataError where something cannot be had.
    """
    found: list[Recording] = []
    for speaker in speakers():
        if not speaker.package:
            corpus = asterisk(speaker.language)
            corpus.prepare(source, report)
            found += [
                Recording(speaker, one.id.split("/", 1)[1], Path(one.audio.path), one.text)
                for one in corpus.utterances()
            ]
    files = _fetched([pack.package for pack in PACKS], scratch, source, report)
    for pack in PACKS:
        found += list(_unpacked(pack, files[pack.package], scratch))
    kept: list[Recording] = []
    left_out: Counter[str] = Counter()
    for one in found:
        try:
            speech = _speech_seconds(one.path)
        except AudioError:  # some packages hold files of no length
            left_out["recording cannot be read"] += 1
            continue
        if speech >= SHORTEST_RECORDING:
            kept.append(replace(one, speech=speech))
        else:
            left_out["recording too short"] += 1
    report(f"{len(kept)} recordings; left out: {', '.join(f'{n} ({why})' for why, n in left_out.items()) or 'none'}")
    return kept, dict(left_out)


def beginning(waveform: Waveform) -> Waveform:
    """At 16 kHz, the first `LONGEST` seconds of speech with the silence before."""
    samples = resample(waveform, RATE).samples
    first, _ = active_span(samples.astype("float64"))
    return Waveform(samples[: first + round(LONGEST * RATE)], RATE)


def _fetched(packages: list[str], scratch: Path, source: str | None, report: Report) -> dict[str, Path]:
    if source is None:
        mend = "fetch it elsewhere and give its folder: audiometry data build spoof --source DIR"
        return apt_download(packages, scratch, report, mend)
    found = {name: sorted(Path(source).glob(f"{name}_*.deb")) for name in packages}
    missing = [name for name, files in found.items() if not files]
    if missing:
        raise DataError(
            f"--source {source!r} holds no {', '.join(f'{name}_*.deb' for name in missing)}; put them there"
        )
    return {name: files[-1] for name, files in found.items()}


def _unpacked(pack: Speaker, package: Path, scratch: Path) -> Iterator[Recording]:
    """Prompts of a pack, by name; digits, letters and other single words lie in folders and are too short anyway."""

    def wanted(path: PurePosixPath) -> PurePosixPath | None:
        prompt = "sounds" in path.parts and path.suffix in (".gsm", ".wav")
        return PurePosixPath(pack.name) / path.name if prompt else None

    files = unpack_deb(package, wanted, scratch)
    for path in sorted(files.values()):
        yield Recording(pack, path.stem, path)


def _speech_seconds(path: Path) -> float:
    """Seconds of speech in a recording; 0 for one that is too short anyway.

    Raises AudioError for one that cannot be read.
    """
    if probe_seconds(path) < SHORTEST_RECORDING:
        return 0.0
    samples = resample(read_file(path), RATE).samples.astype("float64")
    if not samples.any():
        return 0.0
    first, last = active_span(samples)
    return (last - first) / RATE
