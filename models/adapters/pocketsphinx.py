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

VERSION = "pocketsphinx 1"
RATE = 16_000


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

    def answer(requests: Sequence[Request]) -> list[Output]:
        return [_transcribe(decoder, request) for request in requests]

    return Recogniser(
        name="pocketsphinx",
        fingerprint=identify(),
        answer=answer,
    )


def _transcribe(decoder: Any, request: Request) -> Output:
    def text() -> Output:
        samples = np.clip(speech(request, RATE), -1.0, 1.0)
        pcm = np.round(samples * 32767.0).astype("<i2").tobytes()
        decoder.reinit_feat()  # or the mean of the last clip's cepstra changes this clip's words
        decoder.start_utt()
        try:
            decoder.process_raw(pcm, no_search=False, full_utt=True)
        finally:
            decoder.end_utt()
        hypothesis = decoder.hyp()
        return text_output(hypothesis.hypstr if hypothesis else "")

    return answer_one(text)
