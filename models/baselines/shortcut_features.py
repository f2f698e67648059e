"""What tells recordings apart without listening to the voice: length, level, silence, noise floor, bandwidth, colour.

A corpus whose spoofs differ from its bona fide speech in these has a leak: a detector can be right for a wrong reason
(Müller et al. 2021, "Speech is Silver, Silence is Golden: What do ASVspoof-trained Models Really Learn?").
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import FloatArray
from audiometry.tasks.corpora.spoof.equalisation import RATE

__all__ = ["FEATURES", "shortcut_features"]

FRAME = 320
"""Samples, 20 ms."""

SILENCE = -35.0
"""Decibels under the loudest tenth of the frames."""

LOWEST = 1e-10
"""Power of silence: -100 dB of full scale, below what 16 bits hold."""

EDGES = (0.0, 120.0, 300.0, 600.0, 1000.0, 1500.0, 2200.0, 3000.0, 3600.0, 4500.0, 5500.0, 6800.0, 8000.0)
"""Of the coarse bands, in Hz."""

FEATURES: tuple[str, ...] = (
    "duration", "level", "peak", "crest factor", "digital silence", "share of silence", "silence before",
    "silence after", "longest pause", "noise floor", "dynamic range", "bandwidth", "spectral tilt",
    *(f"band {low:g} to {high:g} Hz" for low, high in pairwise(EDGES)),
)  # fmt: skip


def shortcut_features(samples: NDArray[np.float32]) -> FloatArray:
    """One number for each of `FEATURES` (25) of `samples` of shape (time,) at 16 kHz.

    Duration is a natural logarithm of seconds, as is the bandwidth of Hz; silences are in seconds, shares fractions,
    and all else decibels (tilt: for each octave from 125 Hz up). Bands are relative to their mean. Sound shorter than
    one frame is filled up with zeros to one.

    >>> dict(zip(FEATURES, shortcut_features(np.full(16000, 0.1, np.float32)).round(3).tolist()))["peak"]
    -20.0

    Raises ValueError for samples that are none at all or not finite.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or len(signal) == 0 or not np.isfinite(signal).all():
        raise ValueError(
            f"samples of shape {signal.shape} must have shape (time,), at least one, and be finite numbers"
        )
    frames = np.pad(signal, (0, max(0, FRAME - len(signal))))
    frames = frames[: len(frames) // FRAME * FRAME].reshape(-1, FRAME)
    level, peak = _decibels(np.square(signal).mean()), _decibels(np.square(signal).max())
    return np.concatenate(
        [
            [np.log(len(signal) / RATE), level, peak, peak - level, (signal == 0).mean()],
            _silence(_decibels(np.square(frames).mean(axis=1))),
            _colour(frames),
        ]
    )


def _decibels(power: FloatArray | np.floating) -> FloatArray:
    return np.asarray(10 * np.log10(np.maximum(power, LOWEST)), dtype=np.float64)


def _silence(energy: FloatArray) -> FloatArray:
    """Share of silence, seconds of it before, after and in the longest pause; noise floor and dynamic range in dB."""
    loud = np.flatnonzero(energy > np.quantile(energy, 0.9) + SILENCE)
    seconds = FRAME / RATE
    pauses = np.diff(loud) - 1
    floor, top = np.quantile(energy, [0.05, 0.95])
    return np.array(
        [
            1 - len(loud) / len(energy),
            loud[0] * seconds,
            (len(energy) - 1 - loud[-1]) * seconds,
            pauses.max(initial=0) * seconds,
            floor,
            top - floor,
        ]
    )


def _colour(frames: FloatArray) -> FloatArray:
    """Bandwidth, tilt and coarse bands of the mean power spectrum of all frames."""
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(FRAME), 512, axis=1))).mean(axis=0) / FRAME
    hertz = np.fft.rfftfreq(512, 1 / RATE)
    share = np.cumsum(power) / max(float(power.sum()), LOWEST)
    bandwidth = hertz[np.searchsorted(share, 0.99 * share[-1])]
    heard = hertz >= 125
    octaves = np.log2(hertz[heard])
    tilt = np.polyfit(octaves - octaves.mean(), _decibels(power[heard]), 1)[0]
    which = np.clip(np.searchsorted(EDGES, hertz, side="right") - 1, 0, len(EDGES) - 2)
    bands = _decibels(np.bincount(which, power) / np.bincount(which))
    return np.concatenate([[np.log(max(bandwidth, 1.0)), tilt], bands - bands.mean()])
