"""hibari: a small neural English voice on onnxruntime, distilled from Kokoro-82M, its weights in the package.

Each voice is one network from phonemes to the parameters of a harmonics-plus-noise vocoder. The noise is drawn with the
request's seed.
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters.common import (
    check_at_least,
    fingerprint,
    needs_packages,
    shown_name,
    thread_count,
)
from audiometry.models.adapters.one_by_one import OneByOne, text_of

__all__ = ["hibari"]

VERSION = "hibari 1"
VOICE = "heart"
SPEEDS = (0.5, 2.0)


def check(*, voice: str = VOICE, speed: float = 1.0, threads: int = 0) -> None:
    """Check the settings. A voice that is not on this machine yet is fetched here, once.

    Raises SettingError for a value out of range or a voice that cannot be had, UserError for a missing package.
    """
    needs_packages("hibari", "synthetic", ("hibari", "onnxruntime"))
    check_at_least("hibari", "threads", threads, 0)
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise SettingError(f"model 'hibari', setting 'speed': {speed:g} is outside {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    _voice_file(voice)


def identify(*, voice: str = VOICE, speed: float = 1.0, threads: int = 0) -> str:  # noqa: ARG001  (no answer changes)
    """The fingerprint of the voice with these settings, without loading it."""
    import hibari as library

    assets = Path(library.tts.ASSETS)
    files = [file for file in sorted(assets.iterdir()) if file.is_file() and file.name != "hibari.onnx"]
    return fingerprint(
        VERSION,
        [_voice_file(voice), *files],
        settings={"voice": voice, "speed": speed},
        packages=("hibari-tts", "onnxruntime", "numpy"),
    )


@model("hibari", abilities={"synthesize"}, check=check, fingerprint=identify, waveforms=False, needs="synthetic")
def hibari(*, voice: str = VOICE, speed: float = 1.0, threads: int = 0) -> OneByOne:
    """Neural English voice hibari, 24 kHz, its weights in the package."""
    import hibari as library

    engine = library.Hibari(voice=voice, threads=thread_count(threads))
    engine("Ready.", seed=0)  # loads its dictionaries, which is not the first request's to pay

    def answer(request: Request) -> Output:
        if request.language not in (None, "", "en"):
            raise ValueError(f"hibari speaks English only, and the request is in {request.language!r}")
        text = text_of(request)
        if not text:
            return Output(status="empty")
        return Output(audio=Waveform(engine(text, speed, seed=request.seed), library.SAMPLE_RATE))

    return OneByOne(
        name=shown_name("hibari", hibari, {"voice": voice, "speed": speed}),
        fingerprint=identify(voice=voice, speed=speed),
        abilities=frozenset({"synthesize"}),
        answer=answer,
        deterministic=False,
    )


def _voice_file(voice: str) -> str:
    """The voice's weights, fetched if need be."""
    from hibari.voices import VOICES, voice_path

    if voice not in VOICES:
        raise SettingError(
            f"model 'hibari', setting 'voice': there is no voice {voice!r}; there are: {', '.join(sorted(VOICES))}"
        )
    try:
        return str(voice_path(voice))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise SettingError(
            f"model 'hibari', setting 'voice': {voice!r} is not in the package and cannot be fetched ({reason[:150]}); "
            f"use {VOICE!r}, or put the file under HIBARI_HOME"
        ) from error
