"""PocketSphinx: a hidden Markov model recogniser of US English with its models in the package (Huggins-Daines et al.
2006, "PocketSphinx: A free, real-time continuous speech recognition system for hand-held devices").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.common import (
    Recogniser,
    answer_one,
    fingerprint,
    needs_packages,
    speech,
    text_output,
)

__all__ = ["pocketsphinx"]

VERSION = "pocketsphinx 2"
RATE = 16_000

HISS_SECONDS = 0.1
HISS_LEVEL = 1000.0
"""Of the noise that is heard before each clip: seconds, and its deviation in 16-bit steps."""


def check() -> None:
    """Raise UserError if the package is not installed."""
    needs_packages("pocketsphinx", "asr", ("pocketsphinx",))


def identify() -> str:
    """The fingerprint of the recogniser, without loading it."""
    import pocketsphinx as library

    return fingerprint(
        VERSION,
        sorted(file for file in Path(library.get_model_path("en-us")).rglob("*") if file.is_file()),
        settings={},
        packages=("pocketsphinx", "soxr"),
    )


@model("pocketsphinx", abilities={"transcribe"}, check=check, fingerprint=identify, deterministic=True, needs="asr")
def pocketsphinx() -> Recogniser:
    """PocketSphinx with its packaged US English models."""
    import pocketsphinx as library

    decoder = library.Decoder(samprate=RATE, loglevel="FATAL")
    hiss = np.random.default_rng(0).normal(0.0, HISS_LEVEL, round(HISS_SECONDS * RATE)).astype("<i2").tobytes()

    def answer(requests: Sequence[Request]) -> list[Output]:
        return [_transcribe(decoder, hiss, request) for request in requests]

    return Recogniser(
        name="pocketsphinx",
        fingerprint=identify(),
        answer=answer,
    )


def _transcribe(decoder: Any, hiss: bytes, request: Request) -> Output:
    """What is heard, whatever was heard before.

    Where sound is digitally silent all words are alike to the decoder, and the last clip's best Gaussians chose between
    them: so the same noise comes before each clip.
    """

    def text() -> Output:
        samples = np.clip(speech(request, RATE), -1.0, 1.0)
        _hear(decoder, hiss)
        hypothesis = _hear(decoder, np.round(samples * 32767.0).astype("<i2").tobytes())
        return text_output(hypothesis.hypstr if hypothesis else "")

    return answer_one(text)


def _hear(decoder: Any, pcm: bytes) -> Any:
    decoder.reinit_feat()  # or the mean of the last clip's cepstra changes this clip's words
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()
    return decoder.hyp()
