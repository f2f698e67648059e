"""espeak-ng: formant synthesis in over a hundred languages and accents, from the package espeakng-loader.

The library itself is driven by `audiometry.tasks.corpora.espeak_speech`, which makes a text sound alike whatever was
said before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from audiometry.benchmark.errors import SettingError, UnknownNameError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Segment
from audiometry.models.adapters.common import fingerprint, needs_packages, shown_name
from audiometry.models.adapters.one_by_one import OneByOne, text_of
from audiometry.tasks.corpora.espeak_speech import Delivery, speak

__all__ = ["espeak_ng"]

VERSION = "espeak-ng 1"
VOICES = {"en": "en-us", "en-gb": "en-gb-x-rp", "zh": "cmn"}
"""What espeak-ng calls a language, where it has not the language's own name or another accent is meant."""


def check(*, voice: str = "", rate: int = 175, pitch: int = 50, pitch_range: int = 50) -> None:
    """Raise SettingError for a value out of range or a voice that is not there, UserError for a missing package."""
    needs_packages("espeak-ng", "text", ("espeakng_loader",))
    try:
        speak("a", _voice(voice, "en"), Delivery(rate=rate, pitch=pitch, range=pitch_range))
    except (SettingError, UnknownNameError) as error:
        raise SettingError(f"model 'espeak-ng': {error}") from error


def identify(*, voice: str = "", rate: int = 175, pitch: int = 50, pitch_range: int = 50) -> str:
    """The fingerprint of the library, its data and the settings."""
    import espeakng_loader

    data = sorted(file for file in Path(espeakng_loader.get_data_path()).rglob("*") if file.is_file())
    return fingerprint(
        VERSION,
        [espeakng_loader.get_library_path(), *data],
        settings={"voice": voice, "rate": rate, "pitch": pitch, "pitch_range": pitch_range},
    )


@model(
    "espeak-ng", abilities={"synthesize"}, check=check, fingerprint=identify, deterministic=True, waveforms=False,
    needs="text",
)  # fmt: skip
def espeak_ng(*, voice: str = "", rate: int = 175, pitch: int = 50, pitch_range: int = 50) -> OneByOne:
    """espeak-ng, formant synthesis in many languages, with the times of its words and phonemes."""
    delivery = Delivery(rate=rate, pitch=pitch, range=pitch_range)

    def answer(request: Request) -> Output:
        text = text_of(request)
        if not text:
            return Output(status="empty")
        said = speak(text, _voice(voice, request.language or "en"), delivery)
        segments = (*_labelled("word", said.words), *_labelled("phoneme", said.phonemes))
        return Output(audio=said.waveform, segments=tuple(sorted(segments, key=lambda one: one.start)))

    settings = {"voice": voice, "rate": rate, "pitch": pitch, "pitch_range": pitch_range}
    return OneByOne(
        name=shown_name("espeak-ng", espeak_ng, settings),
        fingerprint=identify(voice=voice, rate=rate, pitch=pitch, pitch_range=pitch_range),
        abilities=frozenset({"synthesize"}),
        answer=answer,
    )


def _voice(voice: str, language: str) -> str:
    return voice or VOICES.get(language.lower(), language)


def _labelled(kind: str, segments: Iterable[Segment]) -> list[Segment]:
    """Segments with their kind before the label, so that words and phonemes can be told apart: ``word:Hello``."""
    return [replace(one, label=f"{kind}:{one.label}") for one in segments]
