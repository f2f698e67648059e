"""Noise as telephone lines and recorders make it, put into waveforms in training (Tak et al. 2022, "RawBoost: A Raw
Data Boosting and Augmentation Method Applied to Automatic Speaker Verification Anti-Spoofing", section 2).

Three kinds that need no recordings: convolutive noise, linear and not, as of codecs, amplifiers and microphones;
impulsive noise that follows the signal, as of clipping and bad synchronisation; stationary coloured noise, as of the
thermal noise of a line. Waveforms are of shape (time,), and left as they are; every answer is within [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.types import FloatArray

__all__ = ["KINDS", "RawBoost", "convolutive_noise", "impulsive_noise", "notch_filter", "raw_boost", "stationary_noise"]

Samples: TypeAlias = NDArray[np.floating]
Kind: TypeAlias = Literal["convolutive", "impulsive", "stationary"]
Range: TypeAlias = tuple[float, float]

RATE = 16_000
KINDS: tuple[Kind, ...] = ("convolutive", "impulsive", "stationary")
EDGE = 1.0
"""Hertz that a notch stays away from 0 and from half the sampling rate."""

POINTS = 512
"""Frequencies at which a filter's largest gain is looked for."""


@dataclass(frozen=True)
class RawBoost:
    """How much is changed; each range is drawn from evenly. The defaults are those of the authors' program.

    A filter has `notches`, with centre and width in Hz and a number of taps. `orders` powers of the signal are
    filtered and summed (1: a linear change); the linear part has `gain_db`, each other one `nonlinear_db` more. At
    most `impulse_share` of the samples change by impulses, by up to `impulse_gain` times themselves. `snr_db` is the
    ratio of the signal to the stationary noise.
    """

    notches: int = 5
    centre: Range = (20.0, 8_000.0)
    width: Range = (100.0, 1_000.0)
    taps: tuple[int, int] = (10, 100)
    orders: int = 5
    gain_db: Range = (0.0, 0.0)
    nonlinear_db: Range = (-20.0, -5.0)
    impulse_share: float = 0.1
    impulse_gain: float = 2.0
    snr_db: Range = (10.0, 40.0)

    def __post_init__(self) -> None:
        """Raise SettingError for a number out of its range, or a range whose ends are the wrong way round."""
        for name in ("centre", "width", "taps", "gain_db", "nonlinear_db", "snr_db"):
            low, high = getattr(self, name)
            if low > high or (name in ("centre", "width", "taps") and low <= 0):
                raise SettingError(f"augmentation, setting {name!r}: {low} to {high} is no range; give the lower first")
        if self.centre[1] > RATE / 2 or self.notches < 0 or self.orders < 1:
            raise SettingError("augmentation: 'centre' is up to 8000 Hz, 'notches' 0 or more, 'orders' 1 or more")
        if not 0 <= self.impulse_share <= 1 or self.impulse_gain < 0:
            raise SettingError("augmentation: 'impulse_share' is from 0 to 1, 'impulse_gain' 0 or more")


def raw_boost(
    samples: Samples, generator: np.random.Generator, *, how: RawBoost = RawBoost(), kinds: Sequence[Kind] = KINDS
) -> NDArray[np.float32]:
    """The changes in `kinds`, one after the other; 16 kHz.

    >>> changed = raw_boost(np.sin(np.arange(100)), np.random.default_rng(0))
    >>> changed.shape, bool(abs(changed).max() <= 1)
    ((100,), True)

    Raises SettingError for a kind that there is not.
    """
    changes = {"convolutive": convolutive_noise, "impulsive": impulsive_noise, "stationary": stationary_noise}
    changed = np.asarray(samples, np.float64)
    for kind in kinds:
        if kind not in changes:
            raise SettingError(f"augmentation: there is no noise called {kind!r}; give some of {', '.join(KINDS)}")
        changed = changes[kind](changed, generator, how)
    return changed.astype(np.float32)


def convolutive_noise(samples: Samples, generator: np.random.Generator, how: RawBoost = RawBoost()) -> FloatArray:
    """Powers of the signal, each through a filter of its own, summed (equation 1); the mean is taken away.

    With one order and no notch that is all that happens:

    >>> convolutive_noise(np.array([0.2, 0.4]), np.random.default_rng(0), RawBoost(notches=0, orders=1)).round(6)
    array([-0.1,  0.1])
    """
    from scipy.signal import oaconvolve

    signal = np.asarray(samples, np.float64)
    summed, power = np.zeros_like(signal), np.ones_like(signal)
    for order in range(1, how.orders + 1):
        decibels = generator.uniform(*how.gain_db) + (generator.uniform(*how.nonlinear_db) if order > 1 else 0.0)
        taps = 10 ** (decibels / 20) * notch_filter(generator, how)
        power = power * signal
        around = oaconvolve(power, taps)  # as long as both together; the filter's middle is no delay
        summed += around[len(taps) // 2 :][: len(signal)]
    return _within(summed - summed.mean())


def impulsive_noise(samples: Samples, generator: np.random.Generator, how: RawBoost = RawBoost()) -> FloatArray:
    """Some samples, anywhere, more or less by a random part of themselves (equation 2).

    The part is the product of two numbers that are even in [-1, 1], times `impulse_gain`.
    """
    changed = np.array(samples, np.float64)
    count = int(len(changed) * generator.uniform(0.0, how.impulse_share))
    places = generator.choice(len(changed), count, replace=False)
    part = generator.uniform(-1.0, 1.0, count) * generator.uniform(-1.0, 1.0, count)
    changed[places] *= 1.0 + how.impulse_gain * part
    return _within(changed)


def stationary_noise(samples: Samples, generator: np.random.Generator, how: RawBoost = RawBoost()) -> FloatArray:
    """White noise through a notch filter, added at a ratio drawn from `snr_db` (equation 3). Silence stays silence."""
    from scipy.signal import oaconvolve

    signal = np.asarray(samples, np.float64)
    taps = notch_filter(generator, how)
    noise = oaconvolve(generator.standard_normal(len(signal) + len(taps) - 1), taps, mode="valid")
    ratio = 10 ** (generator.uniform(*how.snr_db) / 20)
    return _within(signal + noise * np.sqrt(np.square(signal).sum() / np.square(noise).sum()) / ratio)


def notch_filter(generator: np.random.Generator, how: RawBoost = RawBoost()) -> FloatArray:
    """The taps, an odd number of them and symmetric, of band-stops in a row; its largest gain is 1."""
    from scipy.signal import firwin

    taps = np.ones(1)
    for _ in range(how.notches):
        centre, width = generator.uniform(*how.centre), generator.uniform(*how.width)
        edges = np.clip([centre - width / 2, centre + width / 2], EDGE, RATE / 2 - EDGE)
        count = int(generator.integers(how.taps[0], how.taps[1], endpoint=True))
        stop = firwin(count + (count + 1) % 2, edges, window="hamming", pass_zero=True, scale=False, fs=RATE)
        taps = np.convolve(taps, stop)
    size = max(2 * POINTS, 1 << len(taps).bit_length())
    return np.asarray(taps / np.abs(np.fft.rfft(taps, size)).max(), np.float64)


def _within(signal: FloatArray) -> FloatArray:
    """The signal, quieter where it would be over full scale."""
    return signal / max(1.0, float(np.abs(signal).max(initial=0.0)))
