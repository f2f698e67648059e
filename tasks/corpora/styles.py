"""`synthetic-styles`: sentences that espeak-ng says with its rate, volume, pitch and pitch range set by rule.

The rules follow what the literature finds in emotional speech (K. R. Scherer, "Vocal communication of emotion", Speech
Communication 40, 2003, table 2): joy and anger fast, loud and varied, sadness slow, soft and flat, fear fast and high.
Nobody feels anything here. A model that does badly hears no prosody; one that does well hears prosody, and may still
know nothing of emotion.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.tasks.corpora.espeak_speech import Delivery, speak
from audiometry.tasks.corpora.making import no_source, package_versions, write_clip
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report
from audiometry.tasks.corpora.rows import EmotionalUtterance
from audiometry.tasks.corpora.utterance import open_corpus

__all__ = ["SENTENCES", "STYLES", "VOICES", "delivery", "styled_utterances", "synthetic_styles"]

NAME = "synthetic-styles"
LICENCE = "CC0-1.0"

NEUTRAL = Delivery()
STYLES: Mapping[str, Delivery] = {
    "neutral": NEUTRAL,
    "happy": Delivery(rate=215, volume=125, pitch=72, range=95),
    "sad": Delivery(rate=120, volume=60, pitch=32, range=10),
    "angry": Delivery(rate=225, volume=180, pitch=50, range=80),
    "fearful": Delivery(rate=260, volume=80, pitch=90, range=35),
}
"""How each style is said where it is `strong`; `normal` is half way from neutral."""

VOICES = {"en-us": "male", "en-us+f2": "female", "en-us+m3": "male", "en-us+f4": "female"}
SENTENCES = (
    "The letters are on the table by the window.",
    "She will be here at the end of the week.",
    "They have moved the meeting to the other room.",
    "There is somebody waiting at the door.",
)


def delivery(style: str, intensity: str) -> Delivery:
    """How a style is said at an intensity, `normal` or `strong`.

    >>> delivery("sad", "normal")
    Delivery(rate=147, volume=80, pitch=41, range=30)

    Raises KeyError for an unknown style.
    """
    share = 1.0 if intensity == "strong" else 0.5
    full = STYLES[style]
    pairs = {name: (getattr(NEUTRAL, name), getattr(full, name)) for name in ("rate", "volume", "pitch", "range")}
    return Delivery(**{name: int(plain + share * (strong - plain)) for name, (plain, strong) in pairs.items()})


@corpus(NAME, needs="text", language="en", licence=LICENCE, package="espeakng-loader", speech="synthetic")
def synthetic_styles() -> PreparedCorpus:
    """Four sentences by four voices of espeak-ng in five styles of prosody by rule: 144 clips."""
    return PreparedCorpus(
        name=NAME,
        language="en",
        licence=LICENCE,
        citation="spoken by espeak-ng",
        build=_build,
        synthetic=True,
        notes=("synthetic speech, prosody by rule",),
        slices={"speech": "synthetic"},
    )


def _build(folder: Path, source: str | None, report: Report) -> Built:
    no_source(NAME, source)
    report("speaking 144 sentences")
    clips: list[Clip] = []
    for voice, gender in VOICES.items():
        for number, text in enumerate(SENTENCES, 1):
            for style in STYLES:
                for intensity in ("normal",) if style == "neutral" else ("normal", "strong"):
                    name = f"{voice.replace('+', '-')}_{number}_{style}_{intensity}"
                    sound = speak(text, voice, delivery(style, intensity)).waveform
                    facts = {"speaker": f"espeak-{voice}", "language": "en", "gender": gender, "licence": LICENCE}
                    clips.append(write_clip(folder, NAME, name, sound, text=text, **facts))
    return Built(clips, origin=package_versions("espeakng-loader"))


def styled_utterances() -> Iterator[EmotionalUtterance]:
    """Every clip with its style, intensity and voice. Raises DataError if the corpus is not prepared."""
    for one in open_corpus(NAME).utterances():
        style, intensity = one.id.rsplit("_", 2)[1:]
        yield EmotionalUtterance(one.id, one.audio, style, intensity, one.text, one.speaker, one.gender)
