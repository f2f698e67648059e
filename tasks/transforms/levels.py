"""How loud speech is while it is spoken, and sounds put together at a signal-to-noise ratio."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import FloatArray, Waveform

__all__ = ["active_speech_level", "add_at_snr", "rms_level", "within_full_scale"]

TIME_CONSTANT = 0.03
HANGOVER = 0.2
MARGIN = 15.9
"""Seconds, seconds and dB, as P.56's method B states them."""

STEP, RANGE = 2.0, 80.0
"""Thresholds lie every 2 dB, from 80 dB below the envelope's peak up to it."""


def rms_level(samples: NDArray[np.floating]) -> float:
    """Root mean square in dB relative to full scale (a square wave of amplitude 1 has 0 dB); -inf for silence.

    >>> round(rms_level(np.full(100, 0.1)), 6)
    -20.0
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * math.log10(power) if power > 0 else -math.inf


def active_speech_level(waveform: Waveform) -> float:
    """Active speech level in dB relative to full scale: the level of the speech without its pauses.

    ITU-T P.56 (12/2011), method B: the rectified signal is smoothed twice with 30 ms; at each threshold the signal is
    active while the envelope is above it and 200 ms after; the level is the power over the active time, at the
    threshold that lies 15.9 dB below it. The thresholds are relative to the envelope's peak, and not P.56's fixed
    powers of two: so louder speech is exactly as much louder here.

    Raises AudioError for digital silence.

    >>> tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    >>> paused = Waveform(np.concatenate([tone, np.zeros(48000)]).astype(np.float32), 16000)
    >>> round(rms_level(tone), 1), round(rms_level(paused.samples), 1), round(active_speech_level(paused), 1)
    (-3.0, -9.0, -4.1)

    (The hangover of 200 ms and the envelope's decay count as active: 1.1 dB of a burst of one second.)
    """
    from scipy.signal import lfilter

    samples = waveform.samples.astype(np.float64)
    energy = float(np.sum(samples**2))
    if energy == 0:
        raise AudioError("the recording is silent: it has no speech level")
    decay = math.exp(-1 / (waveform.rate * TIME_CONSTANT))
    envelope = np.abs(samples)
    for _ in range(2):
        envelope = lfilter([1 - decay], [1, -decay], envelope)
    hangover = math.ceil(HANGOVER * waveform.rate)
    top = 20 * math.log10(float(envelope.max()))
    before = (0.0, math.inf)
    for below in np.arange(RANGE, 0.0, -STEP):
        threshold = top - float(below)
        level = 10 * math.log10(energy / _active_samples(envelope, 10 ** (threshold / 20), hangover))
        margin = level - threshold
        if margin <= MARGIN:
            if math.isinf(before[1]):
                break
            share = (before[1] - MARGIN) / (before[1] - margin)
            return before[0] + share * (level - before[0])
        before = level, margin
    raise AudioError("the recording has no speech level: it is less than a click")


def _active_samples(envelope: FloatArray, threshold: float, hangover: int) -> int:
    """Samples at or above the threshold, or no more than the hangover after one that is."""
    places = np.arange(len(envelope))
    last = np.maximum.accumulate(np.where(envelope >= threshold, places, -hangover - 1))
    return max(int(np.count_nonzero(places - last <= hangover)), 1)


def add_at_snr(speech: Waveform, noise: NDArray[np.floating], snr: float) -> Waveform:
    """Speech plus noise (both of shape (time,), one rate) so that their ratio is `snr` dB.

    The ratio is the active speech level (P.56) over the noise's mean power in the whole recording. A sum beyond full
    scale is turned down as a whole: that changes the level and not the ratio, and clips nothing.

    Raises AudioError if either is silent.
    """
    loudness = rms_level(noise)
    if math.isinf(loudness):
        raise AudioError("the noise is silent: no signal-to-noise ratio can be set")
    gain = 10 ** ((active_speech_level(speech) - snr - loudness) / 20)
    return within_full_scale(speech.samples + gain * np.asarray(noise, dtype=np.float64), speech.rate)


def within_full_scale(samples: NDArray[np.floating], rate: int) -> Waveform:
    """As a waveform; beyond full scale it is turned down until its peak is 1, and never clipped.

    >>> within_full_scale(np.array([0.5, -2.0]), 8000).samples.tolist()
    [0.25, -1.0]
    """
    peak = float(np.max(np.abs(samples), initial=0.0))
    return Waveform(np.asarray(samples / peak if peak > 1 else samples, dtype=np.float32), rate)
