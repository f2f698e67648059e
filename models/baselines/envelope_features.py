"""Numbers on the fine structure of speech: how the envelopes of ten narrow bands move, alone and together.

A person's voice excites all bands by the same glottal pulses, each with its own delay and its own roughness. Vocoders
are driven by pulses that are too much alike, or too little; joined and played-back speech has other slow modulations.
None of it depends on the level, and little on the colour of the sound.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.tasks.corpora.spoof.equalisation import RATE

__all__ = ["COUNT", "envelope_features"]

NARROW = 8000
"""Hz: nothing above 3,400 Hz is looked at."""

EDGES = np.geomspace(320.0, 3350.0, 11)
"""Hz between the bands."""

SLOPE = 0.1
"""Width of a band's edge, as a share of its frequency."""

SMOOTH = 160
"""Samples of the slow envelope, 20 ms."""

QUIET = 0.3
"""Share of the sound, its quietest, in which the fine structure is not looked at."""

HIGHEST = 8.0
"""The fast envelope over the slow one is cut off there."""

LAGS = (4, 8, 16)
"""Samples by which one band may run ahead of its neighbour: 0.5 to 2 ms."""

SLOW = ((1.0, 3.0), (3.0, 6.0), (6.0, 12.0), (12.0, 25.0))
FAST = ((40.0, 90.0), (90.0, 150.0), (150.0, 220.0), (220.0, 320.0), (320.0, 450.0))
"""Hz of the modulations: syllables and roughness, and the pitch."""

BANDS = len(EDGES) - 1
PAIRS = BANDS * (BANDS - 1) // 2
COUNT = 3 * BANDS + PAIRS + 2 * len(LAGS) * (BANDS - 1) + (len(SLOW) + len(FAST)) * BANDS + 3 * BANDS
"""Numbers that `envelope_features` gives."""


def envelope_features(samples: NDArray[np.float32]) -> FloatArray:
    """What the envelopes of samples at 16 kHz are like, shape (`COUNT`,). Sound of under 0.1 s is repeated.

    Deviation, skewness and kurtosis of the fast envelopes, their correlation between bands, at once and with a lag,
    power of slow and fast modulations, and how much the slow envelopes move.
    """
    heard = resample(Waveform(np.resize(samples, max(len(samples), RATE // 10)), RATE), NARROW).samples
    power = float(np.sqrt(np.mean(np.square(heard, dtype=np.float64))))
    envelopes = _envelopes(heard.astype(np.float64) / max(power, 1e-9))
    slow = _smooth(envelopes)
    loudness = slow.mean(axis=0)
    active = loudness > np.quantile(loudness, QUIET)
    if active.sum() < SMOOTH:  # a tone, or silence
        active = np.ones(len(loudness), dtype=bool)
    fast = np.clip(envelopes / (slow + 1e-6), 0.0, HIGHEST)
    parts = [
        _moments(fast[:, active]), _correlations(fast, active), _lagged(fast, active),
        _modulations(slow / (slow.mean(axis=1, keepdims=True) + 1e-9), SLOW), _modulations(fast - 1.0, FAST),
        _movement(np.log(slow[:, :: SMOOTH // 2] + 1e-5)),
    ]  # fmt: skip
    return np.nan_to_num(np.concatenate(parts))


def _envelopes(samples: FloatArray) -> FloatArray:
    """Magnitudes of the analytic signal in each band, shape (bands, time)."""
    from scipy.fft import ifft

    spectrum = np.fft.rfft(samples - samples.mean())
    frequencies = np.fft.rfftfreq(len(samples), 1 / NARROW)
    analytic = np.zeros((BANDS, len(samples)), dtype=np.complex128)
    for band, (low, high) in enumerate(pairwise(EDGES)):
        rise = np.clip((frequencies - low * (1 - SLOPE / 2)) / (low * SLOPE), 0, 1)
        fall = np.clip((high * (1 + SLOPE / 2) - frequencies) / (high * SLOPE), 0, 1)
        analytic[band, : len(spectrum)] = 2 * spectrum * rise * fall
    return np.asarray(np.abs(ifft(analytic, axis=1)), dtype=np.float64)


def _smooth(envelopes: FloatArray) -> FloatArray:
    """Mean over `SMOOTH` samples about each one, as if there were silence before and after."""
    time = envelopes.shape[1]
    sums = np.zeros((len(envelopes), time + 1))
    np.cumsum(envelopes, axis=1, out=sums[:, 1:])
    at, half = np.arange(time), SMOOTH // 2
    inside = sums.take(np.minimum(at + half, time), axis=1) - sums.take(np.maximum(at - half, 0), axis=1)
    return np.asarray(inside / SMOOTH)


def _moments(fast: FloatArray) -> FloatArray:
    deviation = fast.std(axis=1)
    scaled = (fast - fast.mean(axis=1, keepdims=True)) / (deviation[:, None] + 1e-9)
    square = scaled * scaled  # a power of NumPy takes ten times as long
    return np.concatenate([deviation, (square * scaled).mean(axis=1), (square * square).mean(axis=1) - 3])


def _correlations(fast: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    scaled = _scaled(fast[:, active])
    return np.asarray((scaled @ scaled.T / scaled.shape[1])[np.triu_indices(BANDS, 1)], dtype=np.float64)


def _lagged(fast: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """Correlation of each band with its neighbour a little before and a little after."""
    found = []
    for lag in LAGS:
        at = np.flatnonzero(active[lag:])
        (now, now_spread), (before, before_spread) = (_centred(fast.take(at + move, axis=1)) for move in (lag, 0))
        for first, second, spread in (
            (now[:-1], before[1:], now_spread[:-1] * before_spread[1:]),
            (now[1:], before[:-1], now_spread[1:] * before_spread[:-1]),
        ):
            found.append(np.einsum("bt,bt->b", first, second) / len(at) / spread)
    return np.concatenate(found)


def _scaled(values: FloatArray) -> FloatArray:
    centred, spread = _centred(values)
    return centred / spread[:, None]


def _centred(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Each row less its mean, and its deviation."""
    centred = values - values.mean(axis=1, keepdims=True)
    return centred, np.sqrt(np.einsum("bt,bt->b", centred, centred) / values.shape[1]) + 1e-9


def _modulations(envelopes: FloatArray, ranges: tuple[tuple[float, float], ...]) -> FloatArray:
    """Logarithm of the mean power of each band's envelope in each range of modulation frequencies."""
    from scipy.fft import rfft

    power = np.square(np.abs(rfft(envelopes, axis=1))) / envelopes.shape[1]
    frequencies = np.fft.rfftfreq(envelopes.shape[1], 1 / NARROW)
    means = []
    for low, high in ranges:
        inside = (frequencies >= low) & (frequencies < high)
        means.append(power[:, inside].mean(axis=1) if inside.any() else np.zeros(BANDS))
    return np.log(np.concatenate(means) + 1e-9)


def _movement(decays: FloatArray) -> FloatArray:
    """Deviation of the slow envelopes' logarithms, and deviation and kurtosis of their steps of 10 ms."""
    steps = _scaled(np.diff(decays, axis=1))
    fourth = np.square(np.square(steps))
    return np.concatenate([decays.std(axis=1), np.diff(decays, axis=1).std(axis=1), fourth.mean(axis=1) - 3])
