"""Readers of speech corpora. Importing this registers them."""

from audiometry.tasks.corpora import (
    asterisk,
    long_form,
    manifest,
    matched_voices,
    non_speech,
    questions,
    spoken_texts,
    stitched,
    synthetic,
    voice_commands,
)

__all__ = [
    "asterisk",
    "long_form",
    "manifest",
    "matched_voices",
    "non_speech",
    "questions",
    "spoken_texts",
    "stitched",
    "synthetic",
    "voice_commands",
]
