"""Forced alignment by PocketSphinx, and the controls of alignment tasks.

PocketSphinx takes the text as a grammar of one sentence, with silences and other pronunciations allowed, finds the best
path of its hidden Markov models through the sound (Huggins-Daines et al. 2006), and tells at which frame of 10 ms each
word begins and ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request, Segment, Target
from audiometry.models.adapters.common import Recogniser, answer_one, fingerprint, needs_packages, speech
from audiometry.tasks.alignment import segments_of

__all__ = ["align_oracle", "align_uniform", "pocketsphinx_align", "uniform_words"]

VERSION = "pocketsphinx-align 1"
RATE, FRAMES = 16_000, 100.0
ALIGN: frozenset[Ability] = frozenset({"align"})

PADDING, NOISE = 0.2, 1e-3
"""Seconds of quiet put around the sound, and noise over all of it, of full scale. Recordings that begin and end with
speech, or hold digital silence, often leave no path that reaches the text's end: of 60, 43 had one without this and 59
with it. Wider beams made it fewer."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def check() -> None:
    """Raise UserError if the package is not installed."""
    needs_packages("pocketsphinx-align", "asr", ("pocketsphinx",))


def identify() -> str:
    """The fingerprint of the aligner, without loading it."""
    import pocketsphinx as library

    return fingerprint(
        VERSION,
        sorted(file for file in Path(library.get_model_path("en-us")).rglob("*") if file.is_file()),
        settings={"padding": PADDING, "noise": NOISE},
        packages=("pocketsphinx", "soxr"),
    )


@model("pocketsphinx-align", abilities={"align"}, check=check, fingerprint=identify, deterministic=True, needs="asr")
def pocketsphinx_align() -> Recogniser:
    """Forced alignment of words by PocketSphinx with its packaged US English models."""
    import pocketsphinx as library

    decoders = [
        library.Decoder(samprate=RATE, lm=None, loglevel="FATAL", fsgusefiller=silences) for silences in (True, False)
    ]

    def answer(requests: Sequence[Request]) -> list[Output]:
        return [answer_one(lambda request=request: _align(decoders, request)) for request in requests]  # type: ignore[misc]

    return Recogniser(name="pocketsphinx-align", fingerprint=identify(), answer=answer, abilities=ALIGN)


def _align(decoders: Sequence[Any], request: Request) -> Output:
    """Segments of the request's words, from the first decoder whose path reaches the end of the text.

    Raises AudioError for an unknown word, or where no path reaches the end.
    """
    words = _words(request)
    unknown = [word for word in words if decoders[0].lookup_word(word) is None]
    if unknown:
        raise AudioError(f"words that are not in PocketSphinx's dictionary: {', '.join(unknown)}")
    samples = speech(request, RATE)
    longest = len(samples) / RATE
    pcm = _pcm(samples)
    for decoder in decoders:
        found = _path(decoder, words, pcm)
        if len(found) == len(words):
            times = [(one.start_frame / FRAMES, (one.end_frame + 1) / FRAMES) for one in found]
            inside = np.clip(np.array(times) - PADDING, 0.0, longest).tolist()
            return Output(
                segments=tuple(Segment(start, end, word) for (start, end), word in zip(inside, words, strict=True))
            )
    raise AudioError(f"no path through the sound reaches the end of the text: {len(found)} of {len(words)} words")


def _path(decoder: Any, words: Sequence[str], pcm: bytes) -> list[Any]:
    """The words on the best path; silence and noise are left out."""
    decoder.reinit_feat()  # or the mean of the last clip's cepstra moves this clip's boundaries
    decoder.set_align_text(" ".join(words))
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, no_search=False, full_utt=True)
    finally:
        decoder.end_utt()
    return [one for one in decoder.seg() or () if not one.word.startswith(("<", "["))]


def _pcm(samples: NDArray[np.float32]) -> bytes:
    quiet = np.zeros(round(PADDING * RATE), np.float32)
    padded = np.concatenate([quiet, samples, quiet])
    noise = np.random.default_rng(0).normal(0.0, NOISE, len(padded))
    return np.round(np.clip(padded + noise, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def _words(request: Request) -> list[str]:
    words = [word.replace("’", "'") for word in _WORD.findall((request.text or "").lower())]
    if not words:
        raise AudioError("the request has no text with words to align")
    return words


def uniform_words(words: Sequence[str], seconds: float) -> tuple[Segment, ...]:
    """Words side by side over all of the sound, each as long as its letters' share.

    >>> [(one.label, one.start, one.end) for one in uniform_words(["a", "cat"], 2.0)]
    [('a', 0.0, 0.5), ('cat', 0.5, 2.0)]
    """
    edges = np.concatenate([[0.0], np.cumsum([len(word) for word in words], dtype=np.float64)])
    edges *= seconds / edges[-1]
    return tuple(
        Segment(float(start), float(end), word) for start, end, word in zip(edges, edges[1:], words, strict=False)
    )


@model("align-uniform", abilities={"align"}, control=True)
def align_uniform() -> Recogniser:
    """Control that spaces the words evenly by their letters, without hearing."""

    def spaced(request: Request) -> Output:
        waveform = request.waveforms.get("input")
        if waveform is None:
            raise AudioError("the request has no sound in the role 'input'")
        return Output(segments=uniform_words(_words(request), waveform.seconds))

    def answer(requests: Sequence[Request]) -> list[Output]:
        return [answer_one(lambda request=request: spaced(request)) for request in requests]  # type: ignore[misc]

    return Recogniser(
        name="align-uniform",
        fingerprint=fingerprint(f"align-uniform, {VERSION}", (), settings={}),
        answer=answer,
        abilities=ALIGN,
    )


@dataclass(frozen=True)
class AlignOracle:
    """A control that is handed each sample's boundaries."""

    fingerprint: str
    name: str = "align-oracle"
    abilities: frozenset[Ability] = ALIGN
    deterministic: bool = True

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """Answer each request with the segments given for it."""
        return [
            answer_one(lambda target=target: Output(segments=segments_of(target)))  # type: ignore[misc]
            for _, target in zip(requests, given, strict=True)
        ]

    def close(self) -> None:
        """Nothing to give back."""


@model("align-oracle", abilities={"align"}, control=True, given="own target")
def align_oracle() -> AlignOracle:
    """Control that answers with the known boundaries."""
    return AlignOracle(fingerprint(f"align-oracle, {VERSION}", (), settings={}))
