"""What corpora share that are made on this machine: speaking texts, and writing clips with their manifest's lines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import encode_wav, read, resample
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio, Waveform
from audiometry.tasks.corpora.prepared import Clip

__all__ = [
    "HIBARI",
    "RATE",
    "hibari_speaker",
    "levelled",
    "no_source",
    "package_versions",
    "sound",
    "trimmed",
    "write_clip",
]

HIBARI = "hibari-heart"
"""The speaker's label, as in `synthetic-en`."""

RATE = 16_000
LEVEL = 0.05
"""Root mean square of a levelled clip: -26 dBFS."""

SILENCE = 10 ** (-50 / 20)


def hibari_speaker(corpus: str) -> Callable[[str, int], Waveform]:
    """A function (text, seed) → speech by the packaged neural voice.

    Raises DataError, naming `corpus`, if the package is not installed.
    """
    try:
        import hibari
    except ImportError as error:
        raise DataError(
            f"corpus {corpus!r} needs the package hibari-tts ({error}); "
            "install it with: pip install 'audiometry[synthetic]'"
        ) from error
    voice = hibari.Hibari(voice="heart")
    return lambda text, seed: Waveform(voice(text, seed=seed), hibari.SAMPLE_RATE)


def no_source(corpus: str, source: str | None) -> None:
    """Raise DataError if a folder of recordings is given for a corpus that needs none."""
    if source is not None:
        raise DataError(f"corpus {corpus!r} is made on this machine; leave out --source")


def package_versions(*packages: str) -> dict[str, str]:
    """Versions of what spoke, for the corpus' origin."""
    return {name: version(name) for name in packages}


def sound(audio: Audio) -> NDArray[np.float32]:
    """A recording's samples at 16 kHz, at a common level."""
    return levelled(read(audio, RATE))


def levelled(waveform: Waveform) -> NDArray[np.float32]:
    """Samples at 16 kHz, scaled to -26 dBFS root mean square; silence stays as it is."""
    samples = resample(waveform, RATE).samples
    power = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return (samples * np.float32(LEVEL / power)) if power > 0 else samples


def trimmed(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples at 16 kHz without the silence at both ends: frames of 20 ms under -50 dBFS. All silence stays whole."""
    frame = RATE // 50
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    loud = np.flatnonzero(np.sqrt(np.mean(whole**2, axis=1)) > SILENCE)
    return samples[loud[0] * frame : (loud[-1] + 1) * frame] if len(loud) else samples


def write_clip(
    folder: Path, corpus: str, name: str, waveform: Waveform, *, text: str, speaker: str, language: str, gender: str,
    licence: str,
) -> Clip:  # fmt: skip
    """Write a WAV file under ``audio/`` and return its line of the manifest."""
    file = folder / "audio" / f"{name}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    data = encode_wav(waveform)
    file.write_bytes(data)
    return Clip(
        id=f"{corpus}/{name}",
        file=file.relative_to(folder).as_posix(),
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        seconds=waveform.seconds,
        text=text,
        speaker=speaker,
        language=language,
        gender=gender,
        licence=licence,
    )
