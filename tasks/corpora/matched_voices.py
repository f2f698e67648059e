"""`matched-voices`: the same sentences by many voices, so that between groups only the voice differs.

Five sentences by 72 voices of espeak-ng (six accents of English, in each five male and five female voices and one old
of each gender) and by the packaged neural voice. The times of words and phonemes that espeak-ng reports are kept in
``boundaries.json``: the reference of the alignment task.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Segment, Waveform
from audiometry.tasks.corpora.espeak_speech import speak
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of
from audiometry.tasks.corpora.sentences import SENTENCES
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["ACCENTS", "VOICES", "MatchedVoices", "Voice", "matched_voices"]

NAME = "matched-voices"
LICENCE = "Apache-2.0"
BOUNDARIES = "boundaries.json"

TEXTS = tuple(SENTENCES["statement"][place] for place in (0, 1, 3, 4, 5))

ACCENTS: Mapping[str, str] = {
    "american": "en-us",
    "new york": "en-us-nyc",
    "received pronunciation": "en-gb-x-rp",
    "scottish": "en-gb-scotland",
    "lancashire": "en-gb-x-gbclan",
    "caribbean": "en-029",
}
"""Accents by their language in espeak-ng."""

VARIANTS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("m1", "m2", "m3", "m4", "m7"), ("male", "adult")),
    **dict.fromkeys(("f1", "f2", "f3", "f4", "f5"), ("female", "adult")),
    "grandpa": ("male", "old"),
    "grandma": ("female", "old"),
}
"""Gender and age that espeak-ng's voice variants imitate."""


@dataclass(frozen=True)
class Voice:
    """A voice: the speaker's label, the groups it belongs to, and how the synthesiser calls it."""

    speaker: str
    synthesiser: Literal["espeak-ng", "hibari"]
    call: str
    accent: str
    gender: str
    age: str

    @property
    def slices(self) -> dict[str, str]:
        """The groups that results are shown for."""
        return {"accent": self.accent, "age": self.age, "synthesiser": self.synthesiser}


VOICES: tuple[Voice, ...] = (
    *(
        Voice(f"espeak-{language}-{variant}", "espeak-ng", f"{language}+{variant}", accent, gender, age)
        for accent, language in ACCENTS.items()
        for variant, (gender, age) in VARIANTS.items()
    ),
    Voice("hibari-heart", "hibari", "heart", "american", "female", "adult"),
)


@dataclass(frozen=True)
class MatchedVoices(PreparedCorpus):
    """The prepared corpus, with the accent, age and synthesiser of each voice, and the times of words."""

    def utterances(self) -> list[Utterance]:
        """Every clip, in the manifest's order, with its voice's groups as slices.

        Raises DataError if the corpus is not prepared, or if a file is missing or has another size.
        """
        known = {voice.speaker: voice for voice in VOICES}
        return [
            replace(one, slices={**one.slices, **known[one.speaker].slices}) if one.speaker in known else one
            for one in super().utterances()
        ]

    def boundaries(self, unit: Literal["words", "phonemes"] = "words") -> dict[str, tuple[Segment, ...]]:
        """Where the words or phonemes of each espeak-ng clip are, by its id, in seconds.

        Raises DataError if the corpus is not prepared or its list of boundaries is missing or damaged.
        """
        place = self.folder / BOUNDARIES
        try:
            told: dict[str, dict[str, list[Any]]] = json.loads(place.read_text(encoding="utf-8"))
            return {name: tuple(Segment(*row) for row in units[unit]) for name, units in told.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"corpus {self.name!r}: {place} cannot be read ({error}); remove {self.folder}, then run: "
                f"audiometry data prepare {self.name}"
            ) from error


@corpus(
    NAME, needs="synthetic", language="en", licence=LICENCE, package="espeakng-loader, hibari-tts", speech="synthetic"
)
def matched_voices() -> MatchedVoices:
    """Synthetic English: five sentences by 73 voices of six accents, so that only the voice differs."""
    return MatchedVoices(
        name=NAME,
        language="en",
        licence=LICENCE,
        citation="spoken by espeak-ng (its voices and variants) and by the hibari-tts voice heart",
        build=_speak,
        synthetic=True,
        notes=("synthetic speech",),
        slices={"speech": "synthetic"},
    )


def _speak(folder: Path, source: str | None, report: Report) -> Built:
    """Say every sentence by every voice; write the sound, and the boundaries that espeak-ng reports."""
    if source is not None:
        raise DataError(f"corpus {NAME!r} is spoken on this machine; leave out --source")
    try:
        import espeakng_loader  # noqa: F401  (missed now, or in the middle of the work)
        import hibari
    except ImportError as error:
        raise DataError(
            f"corpus {NAME!r} needs the packages espeakng-loader and hibari-tts ({error}); "
            "install them with: pip install 'audiometry[text,synthetic]'"
        ) from error
    report(f"speaking {len(TEXTS)} sentences by {len(VOICES)} voices")
    (folder / "audio").mkdir()
    neural = hibari.Hibari(voice="heart")
    clips: list[Clip] = []
    boundaries: dict[str, dict[str, list[tuple[float, float, str]]]] = {}
    for voice in VOICES:
        for number, text in enumerate(TEXTS, 1):
            name = f"{voice.speaker}/{number}"
            if voice.synthesiser == "hibari":
                sound = Waveform(neural(text, seed=number), hibari.SAMPLE_RATE)
            else:
                said = speak(text, voice.call)
                sound = said.waveform
                units = {"words": said.words, "phonemes": said.phonemes}
                boundaries[f"{NAME}/{name}"] = {
                    unit: [(one.start, one.end, one.label) for one in segments] for unit, segments in units.items()
                }
            clips.append(_clip(folder, name, voice, text, sound))
    (folder / BOUNDARIES).write_text(json.dumps(boundaries, ensure_ascii=False), encoding="utf-8")
    packages = ("espeakng-loader", "hibari-tts", "onnxruntime")
    return Built(clips, origin={package: version(package) for package in packages})


def _clip(folder: Path, name: str, voice: Voice, text: str, sound: Waveform) -> Clip:
    file = folder / "audio" / f"{name.replace('/', '-')}.wav"
    file.write_bytes(encode_wav(sound))
    return Clip(
        id=f"{NAME}/{name}",
        file=file.relative_to(folder).as_posix(),
        sha256=sha256_of(file),
        bytes=file.stat().st_size,
        seconds=sound.seconds,
        text=text,
        speaker=voice.speaker,
        language="en",
        gender=voice.gender,
        licence=LICENCE,
    )
