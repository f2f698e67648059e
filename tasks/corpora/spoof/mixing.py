"""Attacks that play or cut: a recording played back in a room, and synthetic speech spliced into a real sentence.

Mono samples at `RATE`, float64 of shape (time,).
"""

from __future__ import annotations

import numpy as np

from audiometry.benchmark.types import FloatArray
from audiometry.tasks.corpora.spoof.equalisation import RATE

__all__ = ["replay", "splice"]

REVERBERATION = (0.2, 0.6)
"""Seconds until a room's sound has fallen by 60 dB."""

DIRECT_TO_REVERBERANT = (0.0, 10.0)
"""Decibels."""

LOUDSPEAKER = ((150.0, 400.0), (5000.0, 7500.0))
"""Ranges of a small loudspeaker's lower and upper limit in Hz."""

RESONANCES = 4
DRIVE = (0.05, 0.3)
"""How much of the third harmonic's curve the loudspeaker adds at full swing."""

SPLICE = (0.3, 0.6)
"""Share of the sentence that is synthetic."""

SEARCH = 0.08
"""Seconds around a cut within which the quietest place is taken."""

FADE = 0.01


def replay(samples: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Played by a small loudspeaker in a room and recorded again; everything is drawn anew for each recording.

    The loudspeaker limits the band, has resonances and a soft saturation; the room is noise that dies away
    exponentially (Polack's model of late reverberation) after the direct sound.
    """
    from scipy.signal import butter, fftconvolve, iirpeak, lfilter, sosfilt

    low, high = (generator.uniform(*limits) for limits in LOUDSPEAKER)
    heard = sosfilt(butter(2, (low, high), btype="bandpass", fs=RATE, output="sos"), samples)
    for _ in range(RESONANCES):
        numerator, denominator = iirpeak(generator.uniform(low, min(high, 6000.0)), generator.uniform(2.0, 8.0), RATE)
        heard = heard + generator.uniform(-0.4, 0.4) * lfilter(numerator, denominator, heard)
    swing = max(float(np.abs(heard).max()), 1e-9)
    heard = heard / swing
    heard = heard - generator.uniform(*DRIVE) * heard**3
    decay = generator.uniform(*REVERBERATION)
    times = np.arange(round(decay * RATE)) / RATE
    tail = generator.standard_normal(len(times)) * 10 ** (-3 * times / decay)
    tail *= 10 ** (-generator.uniform(*DIRECT_TO_REVERBERANT) / 20) / np.sqrt(np.square(tail).sum())
    response = np.concatenate([[1.0], np.zeros(round(0.002 * RATE)), tail])
    return np.asarray(fftconvolve(heard, response)[: len(samples)] * swing)


def splice(genuine: FloatArray, synthetic: FloatArray, generator: np.random.Generator) -> tuple[FloatArray, float]:
    """`genuine` with a stretch of `synthetic` (the same sentence by a machine) in place of its own.

    The stretch is between two quiet places, at the same share of both sentences, at the level of what it replaces.
    Returns the samples and the share of them that is synthetic.
    """
    share = generator.uniform(*SPLICE)
    start = generator.uniform(0.15, 0.85 - share)
    ends = [_quiet(genuine, place) for place in (start, start + share)]
    theirs = [_quiet(synthetic, place) for place in (start, start + share)]
    part, replaced = synthetic[theirs[0] : theirs[1]], genuine[ends[0] : ends[1]]
    part = part * np.sqrt(np.square(replaced).mean() / max(float(np.square(part).mean()), 1e-12))
    joined = _joined(_joined(genuine[: ends[0]], part), genuine[ends[1] :])
    return joined, len(part) / len(joined)


def _quiet(samples: FloatArray, share: float) -> int:
    """The sample with the least energy around it, near that share of the sentence."""
    reach, width = round(SEARCH * RATE), round(FADE * RATE)
    middle = round(share * len(samples))
    first = max(0, middle - reach)
    window = np.square(samples[first : middle + reach])
    energy = np.convolve(window, np.ones(width), mode="same")
    return first + int(np.argmin(energy))


def _joined(before: FloatArray, after: FloatArray) -> FloatArray:
    """One after the other, faded over `FADE` seconds."""
    fade = min(round(FADE * RATE), len(before), len(after))
    rise = np.linspace(0.0, 1.0, fade)
    seam = before[len(before) - fade :] * rise[::-1] + after[:fade] * rise
    return np.concatenate([before[: len(before) - fade], seam, after[fade:]])
