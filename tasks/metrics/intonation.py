"""Pitch, level and tempo of speech, measured from its sound: how a sentence was said, whatever its words.

Pitch is found by the autocorrelation of windowed frames, divided by that of the window: P. Boersma, "Accurate
short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound", IFA Proceedings
17, 1993, without its search for the best path from frame to frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, Waveform

__all__ = ["Delivered", "delivered", "pitch_track", "speech_seconds"]

RATE = 16_000
FRAME, HOP = 640, 160  # 40 ms and 10 ms
LOWEST, HIGHEST = 60.0, 500.0  # Hz; 40 ms hold three periods of 75 Hz, and a little over two of 60 Hz
VOICED = 0.5
"""Autocorrelation from which a frame is voiced (1 is a perfectly periodic one)."""

FLOOR_DB = -40.0
"""Frames this far below the loudest are silence."""

OCTAVE = 0.02
"""How much the autocorrelation must gain for each octave downwards: a period is preferred to its multiples."""

MIN_VOICED = 5
BLOCK = 4096
"""Frames at a time."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """How a sentence was said. What cannot be measured (no voiced frame, no sound) is NaN.

    `pitch` is the median fundamental frequency (Hz) and `pitch_range` the distance of its 10th and 90th percentiles
    (semitones); `level` is the mean power of the frames that are not silent (dB of full scale); `seconds` is from the
    first frame that is not silent to the last.
    """

    pitch: float
    pitch_range: float
    level: float
    seconds: float


def pitch_track(waveform: Waveform) -> FloatArray:
    """Fundamental frequency of each 10 ms, in Hz, shape (frames,); NaN where there is no voice.

    Frames last 40 ms; between 60 and 500 Hz the highest peak of the normalised autocorrelation is taken, a little in
    favour of short periods, and sharpened by a parabola. A frame below 0.5 there, or 40 dB below the loudest, has no
    voice. Sound shorter than a frame has none.

    >>> time = np.arange(16_000) / 16_000
    >>> buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9))
    >>> track = pitch_track(Waveform((0.1 * buzz).astype(np.float32), 16_000))
    >>> len(track), round(float(np.median(track)), 1)
    (97, 120.0)
    """
    samples = resample(waveform, RATE).samples.astype(np.float64)
    if len(samples) < FRAME:
        return np.empty(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    loud = _decibels(frames) > max(float(_decibels(frames).max()) + FLOOR_DB, -100.0)
    found = [_pitches(frames[start : start + BLOCK]) for start in range(0, len(frames), BLOCK)]
    return np.where(loud, np.concatenate(found), np.nan)


def speech_seconds(waveform: Waveform) -> float:
    """Seconds from the first frame that is not silent to the last; 0 for silence.

    >>> sound = np.concatenate([np.zeros(8_000), np.full(16_000, 0.1), np.zeros(8_000)]).astype(np.float32)
    >>> round(speech_seconds(Waveform(sound, 16_000)), 2)
    1.06
    """
    return delivered(waveform).seconds


def delivered(waveform: Waveform) -> Delivered:
    """Measure how `waveform` was said.

    `pitch` and `pitch_range` need five voiced frames. Raises DataError for samples that are not finite.

    >>> delivered(Waveform(np.zeros(16_000, np.float32), 16_000))
    Delivered(pitch=nan, pitch_range=nan, level=nan, seconds=0.0)
    """
    if not np.isfinite(waveform.samples).all():
        raise DataError("the sound holds samples that are not finite numbers")
    samples = resample(waveform, RATE).samples.astype(np.float64)
    if len(samples) < FRAME:
        return Delivered(math.nan, math.nan, math.nan, 0.0)
    decibels = _decibels(np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP])
    loud = np.flatnonzero(decibels > max(float(decibels.max()) + FLOOR_DB, -100.0))
    if not len(loud):
        return Delivered(math.nan, math.nan, math.nan, 0.0)
    level = 10 * math.log10(float(np.mean(10 ** (decibels[loud] / 10))))
    seconds = float(loud[-1] - loud[0]) * HOP / RATE + FRAME / RATE
    track = pitch_track(waveform)
    voiced = track[np.isfinite(track)]
    if len(voiced) < MIN_VOICED:
        return Delivered(math.nan, math.nan, level, seconds)
    low, high = np.percentile(voiced, [10, 90])
    return Delivered(float(np.median(voiced)), 12 * math.log2(high / low), level, seconds)


def _decibels(frames: FloatArray) -> FloatArray:
    """Power of each frame without its mean, dB of full scale; -200 for none."""
    power = np.var(frames, axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-20)))


def _pitches(frames: FloatArray) -> FloatArray:
    """Pitch of each frame (frames, FRAME) → (frames,) in Hz, NaN without voice."""
    size = 2 * FRAME
    window = np.hanning(FRAME + 2)[1:-1]
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[:FRAME]
    centred = (frames - frames.mean(axis=1, keepdims=True)) * window
    correlation = np.fft.irfft(np.abs(np.fft.rfft(centred, size, axis=1)) ** 2, axis=1)[:, :FRAME]
    whole = correlation[:, :1]
    normal = np.divide(correlation, whole, out=np.zeros_like(correlation), where=whole > 0) / (of_window / of_window[0])
    first, last = int(RATE / HIGHEST), math.ceil(RATE / LOWEST)
    lags = np.arange(first, last + 1)
    inner = normal[:, first : last + 1]
    peak = (inner >= normal[:, first - 1 : last]) & (inner > normal[:, first + 1 : last + 2])
    cost = OCTAVE * np.log2(lags / first)
    place = np.argmax(np.where(peak, inner - cost, -np.inf), axis=1)
    rows = np.arange(len(frames))
    height = inner[rows, place]
    voiced = peak[rows, place] & (height >= VOICED)
    before, after = normal[rows, first + place - 1], normal[rows, first + place + 1]
    bend = before - 2 * height + after
    shift = np.divide(0.5 * (before - after), bend, out=np.zeros_like(bend), where=bend < 0)
    return np.where(voiced, RATE / (lags[place] + np.clip(shift, -0.5, 0.5)), np.nan)
