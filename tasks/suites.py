"""Suites: which tasks belong together, and how much each counts.

A family's weight is shared by its tasks, so that a family does not count more because it asks more. A change of a list
or of a weight is a new version.
"""

from __future__ import annotations

from collections.abc import Mapping

from audiometry.benchmark.registry import suite
from audiometry.benchmark.types import Suite

__all__ = ["asr", "bias", "core", "full", "robustness", "safety", "smoke", "spoof", "tts"]

LANGUAGES = ("es", "fr", "it", "ru")


def _family(*tasks: str, weight: float = 1.0) -> Mapping[str, float]:
    return {task: weight / len(tasks) for task in tasks}


RECOGNITION = _family(
    "wer-asterisk-en", "wer-asterisk-en-telephone", *(f"wer-asterisk-{language}" for language in LANGUAGES)
)
CONTENT = _family("entities-asterisk-en", "entities-spoken", "formatting-asterisk-en", "disfluency", "code-switching")
NOISE = _family("wer-noisy-asterisk-en", "wer-far-asterisk-en", "wer-codec-asterisk-en")
HALLUCINATION = _family("hallucination-non-speech", "hallucination-padded-asterisk-en")
SPEAKERS = _family("diarisation", "speaker-attributed")
WAITING = _family("speed-asterisk-en", "streaming-latency-asterisk-en")
SYNTHESIS = _family(
    "synthesis-naturalness", "synthesis-intelligibility", "synthesis-similarity", "synthesis-prosody",
    "synthesis-robustness", "synthesis-speed",
)  # fmt: skip
GROUPS = _family("bias-matched-voices", "bias-device-en", "bias-languages")
UNDERSTANDING = _family(
    "keywords-asterisk-en", "spotting-asterisk-en", "spoken-qa-choice", "spoken-qa-short", "spoken-intent"
)
SPOOF = {
    **_family("spoof-embedded", "spoof-embedded:protocol=seen-attack"), **_family("spoof-robustness", "spoof-latency"),
}  # fmt: skip
SOUNDS = _family("emotion-synthetic", "events-synthetic", "captioning-synthetic", "retrieval-synthetic")
TRANSLATION = _family(
    *(f"translation-asterisk-en-{language}" for language in LANGUAGES),
    *(f"translation-asterisk-{language}-en" for language in LANGUAGES),
)


@suite("smoke")
def smoke() -> Suite:
    """Under a minute: whether a model works at all."""
    return Suite(
        "1",
        {
            "wer-asterisk-en:clips=20": 1.0,
            "wer-noisy-asterisk-en:clips=2": 1.0,
            "hallucination-padded-asterisk-en:clips=4": 1.0,
            "synthesis-robustness": 1.0,
        },
    )


@suite("core")
def core() -> Suite:
    """What runs everywhere on human speech, in minutes: words, entities, format, noise, rooms, codecs, invention."""
    ladders = _family(*(f"{name}:clips=20" for name in NOISE))
    content = _family("entities-asterisk-en", "formatting-asterisk-en")
    invented = _family("hallucination-non-speech:seconds=3", "hallucination-padded-asterisk-en:clips=20")
    return Suite("3", {"wer-asterisk-en": 1.0, **content, **ladders, **invented, "bias-device-en:clips=150": 1.0})


@suite("asr")
def asr() -> Suite:
    """Speech recognition: languages, content, long recordings, who spoke, speed."""
    long = _family("long-form-en", "long-form-parts-en")
    return Suite("1", {**RECOGNITION, **CONTENT, **long, **SPEAKERS, **WAITING, "multilingual": 1.0})


@suite("tts")
def tts() -> Suite:
    """Speech synthesis: naturalness, intelligibility, similarity, prosody, hard texts, speed."""
    return Suite("1", {**SYNTHESIS})


@suite("safety")
def safety() -> Suite:
    """What a model makes up, whether it asks back where an instruction is ambiguous, and whether it hears a fake."""
    return Suite("2", {**HALLUCINATION, "ambiguity": 1.0, "spoof-embedded": 1.0})


@suite("spoof")
def spoof() -> Suite:
    """Spoof detection: attacks that were and were not trained on, codecs and noise, speed."""
    return Suite("1", SPOOF)


@suite("bias")
def bias() -> Suite:
    """Who fares worse: by voice, accent, gender, age, language and device."""
    return Suite("1", {**GROUPS})


@suite("robustness")
def robustness() -> Suite:
    """Noise, rooms, codecs, disfluent speech, and what is heard where nobody speaks."""
    return Suite("1", {**NOISE, **HALLUCINATION, "disfluency": 1.0})


@suite("full")
def full() -> Suite:
    """Everything above, and what is heard and made besides speech: all without a corpus of your own."""
    return Suite(
        "3",
        {
            **asr().weights, **SYNTHESIS, **HALLUCINATION, **NOISE, **GROUPS, **UNDERSTANDING, **TRANSLATION,
            **SPOOF, **SOUNDS, **_family("conversation", "conversation-spoken"), "ambiguity": 1.0,
            "align-matched-voices": 1.0,
        },
    )  # fmt: skip
