"""`mel-statistics`: a clip as the mean and deviation of its log mel bands. A plain, documented point in an embedding
space, so that tasks on embeddings can be run where no learned embedding is at hand; it knows nothing of meaning.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters.common import fingerprint
from audiometry.models.adapters.one_by_one import OneByOne, sound_of

__all__ = ["BANDS", "mel_embedding", "mel_statistics"]

VERSION = "mel-statistics 1"
RATE, WINDOW, HOP, BANDS = 16_000, 512, 256, 20
FLOOR = 1e-10


def identify() -> str:
    """The fingerprint."""
    return fingerprint(VERSION, (), settings={}, packages=("numpy", "soxr"))


@model("mel-statistics", abilities={"embed"}, fingerprint=identify, deterministic=True)
def mel_statistics() -> OneByOne:
    """Means and deviations of 20 log mel bands as an embedding of sound: 40 numbers, nothing learned, no text."""

    def answer(request: Request) -> Output:
        return Output(embedding=mel_embedding(sound_of(request, "input", "candidate")))

    return OneByOne(name="mel-statistics", fingerprint=identify(), abilities=frozenset({"embed"}), answer=answer)


def mel_embedding(waveform: Waveform) -> NDArray[np.float32]:
    """Mean and standard deviation over time of the log10 power in 20 mel bands up to 8 kHz, shape (40,).

    Frames of 32 ms (Hann) every 16 ms; a shorter clip is padded with zeros to one frame.
    """
    samples = resample(waveform, RATE).samples.astype(np.float64)
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2  # (time, frequency)
    bands = np.log10(power @ _filters() + FLOOR)
    return np.concatenate([bands.mean(axis=0), bands.std(axis=0)]).astype(np.float32)


def _filters() -> NDArray[np.float64]:
    """Triangles evenly spaced in mel (O'Shaughnessy's formula), shape (frequency, bands)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / RATE)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0.0, None)
