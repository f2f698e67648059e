"""Attacks made of a person's own recording: analysed, and made to sound again.

Copies keep speaker, words, timing and melody, so nothing but the traces of the vocoder tells them from the recording.
Each function takes and returns mono samples at `RATE`, float64 of shape (time,), of the same length.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from audiometry.benchmark.types import FloatArray
from audiometry.tasks.corpora.spoof.equalisation import RATE
from audiometry.tasks.metrics.extras import require

__all__ = [
    "cepstral_copy",
    "convert",
    "griffin_lim",
    "linear_prediction",
    "mel_inversion",
    "shift_pitch",
    "sinusoidal_copy",
    "world_copy",
]

WINDOW, HOP = 1024, 256
ITERATIONS = 32
MELS = 80

PEAKS = 40
"""Partials of a frame that the sinusoidal copy keeps."""

LIFTER = 0.002
"""Seconds of cepstrum that make an envelope: less than a period of any voice."""

NOISY_FROM = (2000.0, 4000.0)
"""Hz between which a voiced frame's excitation turns from pulses into noise."""

LPC_ORDER = 18
LPC_FRAME, LPC_HOP = 480, 160


def world_copy(samples: FloatArray) -> FloatArray:
    """Through the WORLD vocoder (Morise et al. 2016, "WORLD: a vocoder-based high-quality speech synthesis system")."""
    import pyworld

    pitch, envelope, aperiodicity = pyworld.wav2world(np.ascontiguousarray(samples), RATE)
    return _same_length(pyworld.synthesize(pitch, envelope, aperiodicity, RATE), len(samples))


def convert(samples: FloatArray, *, pitch: float, formants: float) -> FloatArray:
    """Another voice by WORLD: `pitch` times the F0, and formants `formants` times as high. 1 and 1 change nothing.

    A simple conversion: what a speaker does with time and melody stays.
    """
    import pyworld

    track, envelope, aperiodicity = pyworld.wav2world(np.ascontiguousarray(samples), RATE)
    bins = np.arange(envelope.shape[1], dtype=np.float64)
    source = np.clip(bins / formants, 0, len(bins) - 1)
    low = np.floor(source).astype(int)
    part = source - low
    high = np.minimum(low + 1, len(bins) - 1)
    warped = np.exp((1 - part) * np.log(envelope[:, low]) + part * np.log(envelope[:, high]))
    made = pyworld.synthesize(track * pitch, np.ascontiguousarray(warped), aperiodicity, RATE)
    return _same_length(made, len(samples))


def griffin_lim(samples: FloatArray, *, seed: int) -> FloatArray:
    """From magnitudes alone, the phase found by iteration from a random one (Griffin and Lim 1984)."""
    return _phase_found(np.abs(_transform(samples)), len(samples), seed)


def mel_inversion(samples: FloatArray, *, seed: int) -> FloatArray:
    """From 80 mel bands, spread over frequency again by least squares, the phase found as in `griffin_lim`."""
    bank = _librosa().filters.mel(sr=RATE, n_fft=WINDOW, n_mels=MELS).astype(np.float64)
    power = np.square(np.abs(_transform(samples)))
    spread = np.maximum(np.linalg.pinv(bank) @ (bank @ power), 0.0)
    return _phase_found(np.sqrt(spread), len(samples), seed)


def linear_prediction(samples: FloatArray, *, seed: int) -> FloatArray:
    """Order-18 linear prediction, driven by pulses where the voice has a pitch and by noise where not (Atal 1971).

    The F0 is WORLD's. Frames of 30 ms, every 10 ms, are overlapped and added.
    """
    import pyworld
    from scipy.signal import lfilter

    generator, predict = np.random.default_rng(seed), _librosa().lpc
    track, times = pyworld.harvest(np.ascontiguousarray(samples), RATE, frame_period=1000 * LPC_HOP / RATE)
    excitation = _excitation(track, times, len(samples), generator)
    window = np.hanning(LPC_FRAME)
    made, weights = np.zeros(len(samples) + LPC_FRAME), np.zeros(len(samples) + LPC_FRAME)
    padded, driven = np.pad(samples, (0, LPC_FRAME)), np.pad(excitation, (0, LPC_FRAME))
    for start in range(0, len(samples), LPC_HOP):
        frame = padded[start : start + LPC_FRAME] * window
        energy = np.sqrt(np.square(frame).mean())
        if energy < 1e-5:
            continue
        filtered = lfilter([1.0], predict(frame + 1e-9, order=LPC_ORDER), driven[start : start + LPC_FRAME])
        filtered *= energy / max(float(np.sqrt(np.square(filtered * window).mean())), 1e-9)
        made[start : start + LPC_FRAME] += filtered * window
        weights[start : start + LPC_FRAME] += window
    return np.asarray(made[: len(samples)] / np.maximum(weights[: len(samples)], 0.5))


def cepstral_copy(samples: FloatArray, *, seed: int) -> FloatArray:
    """The cepstrum's first 2 ms as envelope, pulses below and noise above 2 to 4 kHz to drive it (Oppenheim 1969)."""
    import pyworld

    generator = np.random.default_rng(seed)
    contiguous = np.ascontiguousarray(samples)
    rough, times = pyworld.dio(contiguous, RATE, frame_period=5.0)
    track = pyworld.stonemask(contiguous, rough, times, RATE)
    pulses = _transform(_excitation(track, times, len(samples), generator))
    noise = _transform(generator.standard_normal(len(samples)))
    frequencies = np.fft.rfftfreq(WINDOW, 1 / RATE)
    noisy = np.clip((frequencies - NOISY_FROM[0]) / (NOISY_FROM[1] - NOISY_FROM[0]), 0, 1)[:, None]
    driven = pulses * np.sqrt(1 - noisy) + noise * np.sqrt(noisy)
    return _heard(_envelope(np.abs(_transform(samples))) * driven / _envelope(np.abs(driven)), len(samples))


def sinusoidal_copy(samples: FloatArray, *, seed: int) -> FloatArray:
    """The 40 strongest partials of each frame, with phases of their own (after McAulay and Quatieri 1986)."""
    spectrum = _transform(samples)
    size = np.abs(spectrum)
    peaks = np.zeros(size.shape, dtype=bool)
    peaks[1:-1] = (size[1:-1] > size[:-2]) & (size[1:-1] >= size[2:])
    floor = -np.sort(-np.where(peaks, size, 0.0), axis=0)[PEAKS]
    kept = peaks & (size > floor)
    around = kept.copy()
    around[1:] |= kept[:-1]
    around[:-1] |= kept[1:]  # a partial is three bins wide under a Hann window
    start = np.random.default_rng(seed).uniform(0, 2 * np.pi, (len(size), 1))
    advance = 2 * np.pi * np.arange(len(size))[:, None] * HOP / WINDOW * np.arange(size.shape[1])
    return _heard(np.where(around, size, 0.0) * np.exp(1j * (start + advance)), len(samples))


def shift_pitch(samples: FloatArray, *, semitones: float) -> FloatArray:
    """Higher or lower, formants and all, at the same speed, by a phase vocoder (Flanagan and Golden 1966)."""
    return np.asarray(_librosa().effects.pitch_shift(samples, sr=RATE, n_steps=semitones), dtype=np.float64)


def _envelope(magnitudes: FloatArray) -> FloatArray:
    """Magnitudes smoothed over frequency by keeping the first `LIFTER` seconds of the cepstrum."""
    cepstrum = np.fft.irfft(np.log(magnitudes + 1e-8), axis=0)
    keep = round(LIFTER * RATE)
    cepstrum[keep : len(cepstrum) - keep + 1] = 0.0
    return np.asarray(np.exp(np.fft.rfft(cepstrum, axis=0).real))


def _heard(spectrum: np.ndarray[tuple[int, ...], np.dtype[np.complex128]], length: int) -> FloatArray:
    return np.asarray(_librosa().istft(spectrum, hop_length=HOP, n_fft=WINDOW, length=length), dtype=np.float64)


def _excitation(track: FloatArray, times: FloatArray, length: int, generator: np.random.Generator) -> FloatArray:
    """Pulses at the pitch where there is one, noise elsewhere; both of unit power."""
    pitch = np.interp(np.arange(length) / RATE, times, track)
    voiced = np.interp(np.arange(length) / RATE, times, (track > 0).astype(np.float64)) > 0.5
    phase = np.cumsum(np.where(voiced, pitch, 0.0) / RATE)
    pulses = np.zeros(length)
    beats = np.flatnonzero(np.diff(np.floor(phase)) > 0) + 1
    pulses[beats] = np.sqrt(RATE / np.maximum(pitch[beats], 50.0))
    return np.where(voiced, pulses, generator.standard_normal(length))


def _transform(samples: FloatArray) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    return np.asarray(_librosa().stft(samples, n_fft=WINDOW, hop_length=HOP))


def _phase_found(magnitudes: FloatArray, length: int, seed: int) -> FloatArray:
    made = _librosa().griffinlim(
        magnitudes, n_iter=ITERATIONS, hop_length=HOP, n_fft=WINDOW, length=length, random_state=seed
    )
    return np.asarray(made, dtype=np.float64)


def _librosa() -> Any:
    return require("librosa", "quality")


def _same_length(samples: FloatArray, length: int) -> FloatArray:
    return np.asarray(np.pad(samples[:length], (0, max(0, length - len(samples)))), dtype=np.float64)
