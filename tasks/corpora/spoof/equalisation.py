"""What is made equal between bona fide and spoofed recordings, level by level, so that a detector must hear the voice.

Recordings of people and of synthesisers differ in bandwidth, level, silence, length, noise, coding and tone colour,
and each of these alone tells them apart. A level takes away all that the levels before it do, and one thing more:

===== =====================================================================================================
E0    nothing but the sampling rate (16 kHz) and the peak (0.9)
E1    silence at the ends, level (active speech at -26 dBFS)
E2    length: 2 s
E3    bandwidth (300 to 3,400 Hz), noise (15 to 30 dB under the speech), coding (mu-law at 8 kHz)
E4    tone colour: the long-term spectrum becomes that of the training speakers
===== =====================================================================================================

The class is not known here: every choice (which 2 s, how much noise) is drawn from the generator alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import FloatArray, Waveform

__all__ = [
    "BANDS",
    "LEVELS",
    "RATE",
    "REVISED",
    "REVISION",
    "Level",
    "active_span",
    "equalise",
    "long_term_spectrum",
    "mu_law",
]

Level: TypeAlias = Literal["E0", "E1", "E2", "E3", "E4"]
LEVELS: tuple[Level, ...] = get_args(Level)

REVISION = "2"
"""Of what the levels do: 1 had a softer band limit, beside which E3 and E4 let the tone colour of a voice through."""

REVISED: tuple[Level, ...] = ("E3", "E4")
"""The levels that sound otherwise in one revision than in another; the band limit is theirs alone."""

RATE = 16_000
PEAK = 0.9
FRAME = 0.02
"""Seconds of a frame in which energy is looked at."""

SILENCE = -35.0
"""Decibels under the loudest tenth of the frames: quieter frames are no speech."""

SPEECH_LEVEL = -26.0
"""Level of the frames with speech, in dB of full scale (as ITU-T P.56 asks of test material)."""

SECONDS = 2.0
SHORTEST = 1.0
"""Seconds of speech that a recording must have; less would be the same sound three times over in 2 s."""

FADE = 0.01
PASS = (300.0, 3400.0)
EDGE = 20.0
SNR = (15.0, 30.0)
MU = 255.0

BANDS = np.geomspace(300.0, 3400.0, 25)
"""Edges in Hz of the bands of a long-term spectrum: 24, about a seventh of an octave each."""

LARGEST_GAIN = 30.0
"""Decibels that a band is raised or lowered by at most: what is not there cannot be raised."""


def equalise(
    waveform: Waveform, level: Level, generator: np.random.Generator, *, target: FloatArray | None = None
) -> Waveform:
    """`waveform` at 16 kHz as `level` leaves it.

    `target` of shape (24,), needed for E4 alone, is the long-term spectrum in dB that every recording is given
    (`long_term_spectrum`, averaged over training recordings).

    Raises AudioError for a recording without sound, or (from E1 on) with under a second of speech; ValueError for an
    unknown level or a missing target.
    """
    if level not in LEVELS:
        raise ValueError(f"there is no level {level!r}; give one of {', '.join(LEVELS)}")
    if level == "E4" and target is None:
        raise ValueError("level E4 needs the long-term spectrum to give to every recording")
    samples = resample(waveform, RATE).samples.astype(np.float64)
    if not np.any(samples):
        raise AudioError("the recording is silent")
    if level == "E0":
        return _waveform(samples * (PEAK / np.abs(samples).max()))
    first, last = active_span(samples)
    samples = samples[first:last]
    if len(samples) < SHORTEST * RATE:
        raise AudioError(f"the recording has {len(samples) / RATE:.2f} s of speech; at least {SHORTEST:g} s are needed")
    samples = _at_level(samples)
    if level == "E1":
        return _waveform(samples)
    samples = _cut(samples, generator)
    if level in ("E3", "E4"):
        if target is not None and level == "E4":
            samples = _recolour(samples, target)
        samples = _at_level(_band_pass(samples))
        samples = _coded(_noisy(samples, generator))
    return _waveform(_at_level(samples))


def active_span(samples: FloatArray) -> tuple[int, int]:
    """First sample of the first frame with speech, and one past the last of the last one.

    >>> quiet = np.zeros(1600)
    >>> active_span(np.concatenate([quiet, np.ones(3200), quiet]))
    (1600, 4800)
    """
    size = round(FRAME * RATE)
    loud = np.flatnonzero(_active(samples))
    return int(loud[0]) * size, min((int(loud[-1]) + 1) * size, len(samples))


def long_term_spectrum(samples: FloatArray) -> FloatArray:
    """Mean power of the frames with speech in each of `BANDS`, in dB, their mean over bands taken away; shape (24,)."""
    spectrum, frequencies = _power(samples)
    power = np.array([spectrum[(frequencies >= low) & (frequencies < high)].mean() for low, high in pairwise(BANDS)])
    decibels = 10 * np.log10(power + 1e-12)
    return np.asarray(decibels - decibels.mean(), dtype=np.float64)


def mu_law(samples: FloatArray) -> FloatArray:
    """Samples in [-1, 1] as 8-bit mu-law keeps them (ITU-T G.711's companding curve, mu = 255).

    >>> float(mu_law(np.array([0.0]))[0]), round(float(mu_law(np.array([0.5]))[0]), 2)
    (0.0, 0.5)
    """
    clipped = np.clip(samples, -1.0, 1.0)
    compressed = np.sign(clipped) * np.log1p(MU * np.abs(clipped)) / np.log1p(MU)
    kept = np.round(compressed * 127) / 127
    return np.asarray(np.sign(kept) * np.expm1(np.abs(kept) * np.log1p(MU)) / MU)


def _waveform(samples: FloatArray) -> Waveform:
    return Waveform(np.clip(samples, -1.0, 1.0).astype(np.float32), RATE)


def _frames(samples: FloatArray) -> FloatArray:
    size = round(FRAME * RATE)
    padded = np.pad(samples, (0, -len(samples) % size))
    return padded.reshape(-1, size)


def _active(samples: FloatArray) -> NDArray[np.bool_]:
    energy = 10 * np.log10(np.square(_frames(samples)).mean(axis=1) + 1e-12)
    return np.asarray(energy > np.quantile(energy, 0.9) + SILENCE)


def _at_level(samples: FloatArray) -> FloatArray:
    frames = _frames(samples)[_active(samples)]
    scale = 10 ** (SPEECH_LEVEL / 20) / np.sqrt(np.square(frames).mean())
    return np.asarray(samples * scale)


def _cut(samples: FloatArray, generator: np.random.Generator) -> FloatArray:
    """2 s from a place drawn at random; a shorter recording is said again, faded over, until it is long enough."""
    wanted, fade = round(SECONDS * RATE), round(FADE * RATE)
    rise = np.linspace(0.0, 1.0, fade)
    once = samples
    while len(samples) < wanted:
        seam = samples[-fade:] * rise[::-1] + once[:fade] * rise
        samples = np.concatenate([samples[:-fade], seam, once[fade:]])
    start = int(generator.integers(0, len(samples) - wanted + 1))
    return samples[start : start + wanted]


def _power(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean power spectrum of the frames with speech, and its frequencies in Hz."""
    frames = _frames(samples)[_active(samples)] * np.hanning(round(FRAME * RATE))
    spectrum = np.square(np.abs(np.fft.rfft(frames, 1024, axis=1))).mean(axis=0)
    return spectrum, np.asarray(np.fft.rfftfreq(1024, 1 / RATE), dtype=np.float64)


def _recolour(samples: FloatArray, target: FloatArray) -> FloatArray:
    """Filter so that the long-term spectrum becomes `target`, by one smooth zero-phase gain over frequency."""
    for _ in range(2):  # the bands overlap a little in the smooth gain; a second pass takes what is left
        gain = np.clip(target - long_term_spectrum(samples), -LARGEST_GAIN, LARGEST_GAIN)
        centres = np.sqrt(BANDS[:-1] * BANDS[1:])
        frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
        decibels = np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(centres), gain)
        samples = np.fft.irfft(np.fft.rfft(samples) * 10 ** (decibels / 20), len(samples))
    return samples


def _band_pass(samples: FloatArray) -> FloatArray:
    """What lies within `PASS`, with edges of 20 Hz: what a softer filter lets through beside it tells voices apart."""
    low, high = PASS
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    inside = np.clip(np.minimum(hertz - low, high - hertz) / EDGE, 0.0, 1.0)
    return np.fft.irfft(np.fft.rfft(samples) * np.sin(np.pi / 2 * inside) ** 2, len(samples))


def _noisy(samples: FloatArray, generator: np.random.Generator) -> FloatArray:
    """White noise within the pass band, so far under the speech as the generator says."""
    noise = _band_pass(generator.standard_normal(len(samples)))
    distance = generator.uniform(*SNR)
    wanted = 10 ** ((SPEECH_LEVEL - distance) / 20)
    return np.asarray(samples + noise * (wanted / np.sqrt(np.square(noise).mean())))


def _coded(samples: FloatArray) -> FloatArray:
    """Through 8 kHz and mu-law, as over a telephone line, and back to 16 kHz."""
    narrow = resample(Waveform(samples.astype(np.float32), RATE), RATE // 2)
    coded = mu_law(narrow.samples.astype(np.float64))
    return resample(Waveform(coded.astype(np.float32), RATE // 2), RATE).samples.astype(np.float64)
