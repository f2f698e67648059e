"""Linear-frequency cepstral coefficients (LFCC), the features of the ASVspoof challenges' baselines.

Filters stand at equal distances in Hz rather than in mel, so that the upper frequencies, where vocoders leave traces,
count as much as the lower ones (Sahidullah, Kinnunen and Hanilçi 2015, "A Comparison of Features for Synthetic Speech
Detection"; ASVspoof 2019 evaluation plan, section on the baselines: 20 ms windows, 10 ms hop, 20 coefficients with
their deltas and double deltas).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import FloatArray
from audiometry.tasks.corpora.spoof.equalisation import PASS, RATE, Level

__all__ = ["FULL_BAND", "band_of", "deltas", "lfcc", "linear_filters", "log_filter_bank"]

FULL_BAND = (0.0, 8000.0)
WINDOW, HOP = 0.02, 0.01
"""Seconds."""

PRE_EMPHASIS = 0.97
FLOOR = 2.0**-52
"""Added to energies before the logarithm, as the baselines do (Matlab's eps)."""


def band_of(level: Level) -> tuple[float, float]:
    """The band in Hz that an equalisation level leaves: 300 to 3,400 Hz from E3 on, else 0 to 8,000 Hz.

    >>> band_of("E1"), band_of("E4")
    ((0.0, 8000.0), (300.0, 3400.0))
    """
    return PASS if level in ("E3", "E4") else FULL_BAND


def lfcc(
    samples: NDArray[Any],
    rate: int = RATE,
    *,
    band: tuple[float, float] = FULL_BAND,
    filters: int = 20,
    coefficients: int = 20,
    with_deltas: bool = True,
) -> FloatArray:
    """Linear-frequency cepstral coefficients of `samples` of shape (time,): shape (frames, coefficients).

    The orthonormal discrete cosine transform (type II) of `log_filter_bank`, its first `coefficients` (the 0th, the
    level, among them). With deltas three times as many columns: the coefficients, then `deltas`, then theirs.

    >>> lfcc(np.ones(16000)).shape, lfcc(np.ones(1600), coefficients=12, with_deltas=False).shape
    ((99, 60), (9, 12))

    Raises ValueError as `log_filter_bank` does, and for more coefficients than filters.
    """
    if not 1 <= coefficients <= filters:
        raise ValueError(f"{coefficients} coefficients of {filters} filters: give 1 to {filters}")
    static = log_filter_bank(samples, rate, band=band, filters=filters) @ _cosines(filters, coefficients)
    if not with_deltas:
        return static
    first = deltas(static)
    return np.hstack([static, first, deltas(first)])


def log_filter_bank(
    samples: NDArray[Any],
    rate: int = RATE,
    *,
    band: tuple[float, float] = FULL_BAND,
    filters: int = 20,
    window: float = WINDOW,
    hop: float = HOP,
) -> FloatArray:
    """Decadic logarithm of the energies in `filters` linear bands: shape (frames, filters).

    Pre-emphasis, Hamming windows of `window` seconds every `hop` seconds, power spectrum, triangles. Only whole
    windows count; what is shorter than one window is filled up with zeros to one.

    >>> log_filter_bank(np.zeros(16000), filters=40).shape
    (99, 40)

    Raises ValueError for samples that are not of shape (time,), are none at all or not finite, and for a band or a
    number of filters that the rate cannot hold.
    """
    signal = np.asarray(samples, dtype=np.float64)
    if signal.ndim != 1 or len(signal) == 0:
        raise ValueError(f"samples have shape {signal.shape}; give (time,), at least one")
    if not np.isfinite(signal).all():
        raise ValueError("samples are not finite numbers")
    size, step = round(window * rate), round(hop * rate)
    width = 2 ** (size - 1).bit_length()
    emphasised = np.append(signal[:1], signal[1:] - PRE_EMPHASIS * signal[:-1])
    emphasised = np.pad(emphasised, (0, max(0, size - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, size)[::step] * np.hamming(size)
    power = np.square(np.abs(np.fft.rfft(frames, width, axis=1)))
    return np.asarray(np.log10(power @ linear_filters(rate, width, band, filters).T + FLOOR))


def deltas(features: FloatArray) -> FloatArray:
    """The next frame less the one before, along the first axis; at the ends the last frame stands for the missing one.

    >>> deltas(np.array([[1.0], [2.0], [4.0]])).ravel().tolist()
    [1.0, 3.0, 2.0]
    """
    padded = np.concatenate([features[:1], features, features[-1:]])
    return np.asarray(padded[2:] - padded[:-2])


@lru_cache(maxsize=8)
def linear_filters(rate: int, width: int, band: tuple[float, float], filters: int) -> FloatArray:
    """Triangles over the bins of a transform of `width` samples: shape (filters, width // 2 + 1), read-only.

    Their edges stand at equal distances over `band`: each begins at the peak of the one before, has height 1, and
    ends at the peak of the next.

    >>> linear_filters(16, 8, (0.0, 8.0), 3).tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]]

    Raises ValueError for a band outside 0 to rate / 2, and for filters so narrow that one holds no bin.
    """
    low, high = band
    if not 0 <= low < high <= rate / 2:
        raise ValueError(f"the band {low:g} to {high:g} Hz is not within 0 to {rate / 2:g} Hz")
    if filters < 1:
        raise ValueError(f"{filters} filters: give at least 1")
    edges = np.linspace(low, high, filters + 2)
    bins = np.fft.rfftfreq(width, 1 / rate)
    step = edges[1] - edges[0]
    bank = np.maximum(0.0, 1.0 - np.abs(bins - edges[1:-1, None]) / step)
    if not bank.any(axis=1).all():
        raise ValueError(
            f"{filters} filters over {low:g} to {high:g} Hz are narrower than the {rate / width:g} Hz of a bin"
        )
    bank.flags.writeable = False
    return np.asarray(bank)


@lru_cache(maxsize=8)
def _cosines(filters: int, coefficients: int) -> FloatArray:
    """The orthonormal DCT-II as a matrix of shape (filters, coefficients)."""
    angles = np.pi / filters * np.outer(np.arange(filters) + 0.5, np.arange(coefficients))
    matrix = np.sqrt(2 / filters) * np.cos(angles)
    matrix[:, 0] /= np.sqrt(2)
    return np.asarray(matrix)
