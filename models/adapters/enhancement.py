"""Functions that clean speech: spectral subtraction, and cutting out what two voice activity detectors call silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.types import Waveform

__all__ = ["energy_vad", "silero_vad", "spectral_subtraction"]

WINDOW, HOP = 0.032, 0.008
"""Seconds of the Hann windows of spectral subtraction, and between them."""

FRAME = 0.02
"""Seconds of a frame of the energy detector."""

SILERO_RATE = 16_000
SMALLEST = 1e-12


def spectral_subtraction(
    waveform: Waveform, *, over: float = 4.0, floor: float = 0.02, quantile: float = 0.5
) -> Waveform:
    """Power spectral subtraction with over-subtraction and a spectral floor; the phase stays.

    Boll 1979, "Suppression of acoustic noise in speech using spectral subtraction", with Berouti, Schwartz and Makhoul
    1979, "Enhancement of speech corrupted by acoustic noise": P = max(|Y|² - α|N|², β|N|²). β is `floor`. α is `over`
    (4 as there) in a frame whose signal-to-noise ratio is 0 dB; it falls in a straight line to 1 at 20 dB, rises the
    other way to -5 dB, and stays beyond both. The noise's spectrum |N|² is, in each band, the `quantile` over time of
    |Y|² (Stahl, Fischer and Bippus 2000, "Quantile based noise estimation"), scaled to the mean that normal noise has:
    the recordings have no stretch that is known to be noise alone. An `over` of 0 subtracts nothing.

    Returns sound of the same length. Recordings shorter than a window come back as they are.

    >>> rng = np.random.default_rng(0)
    >>> noise = Waveform(rng.normal(0, 0.1, 16000).astype(np.float32), 16000)
    >>> bool(np.std(spectral_subtraction(noise).samples) < 0.5 * np.std(noise.samples))
    True
    """
    from scipy.signal import istft, stft

    size = round(WINDOW * waveform.rate)
    step = max(round(HOP * waveform.rate), 1)
    if len(waveform.samples) < size:
        return waveform
    samples = waveform.samples.astype(np.float64)
    _, _, spectrum = stft(samples, nperseg=size, noverlap=size - step, boundary="even")
    power = np.abs(spectrum) ** 2  # (bands, frames)
    # |Y|² of normal noise is exponential: its quantile q is -ln(1 - q) times its mean
    noise = np.quantile(power, quantile, axis=1, keepdims=True) / -np.log1p(-quantile) + SMALLEST
    ratio = 10 * np.log10(np.maximum(power.sum(axis=0) / noise.sum() - 1, SMALLEST))
    slope = (over - 1) / 20 if over > 1 else 0.0
    alpha = over - slope * np.clip(ratio, -5, 20)
    kept = np.maximum(power - alpha * noise, floor * noise)
    gain = np.sqrt(np.minimum(kept / (power + SMALLEST), 1.0))
    _, cleaned = istft(spectrum * gain, nperseg=size, noverlap=size - step, boundary=True)
    return Waveform(np.asarray(cleaned[: len(samples)], dtype=np.float32), waveform.rate)


def energy_vad(waveform: Waveform, *, threshold: float = -40.0, padding: float = 0.0) -> Waveform:
    """The frames of 20 ms whose level is at or above `threshold` dB relative to full scale, one after the other.

    `padding` seconds on either side of such a frame are kept too. Where no frame is that loud nothing is left: the
    result then has no samples.

    >>> sound = np.concatenate([np.zeros(1600), np.full(1600, 0.1), np.zeros(1600)]).astype(np.float32)
    >>> energy_vad(Waveform(sound, 16000)).seconds
    0.1
    """
    size = max(round(FRAME * waveform.rate), 1)
    count = -(-len(waveform.samples) // size)
    frames = np.pad(waveform.samples.astype(np.float64), (0, count * size - len(waveform.samples))).reshape(count, size)
    loud = 10 * np.log10(np.mean(frames**2, axis=1) + SMALLEST) >= threshold
    around = round(padding / FRAME)
    kept = np.convolve(loud, np.ones(2 * around + 1), mode="full")[around : around + count] > 0
    return Waveform(waveform.samples[np.repeat(kept, size)[: len(waveform.samples)]], waveform.rate)


def silero_vad(waveform: Waveform, *, padding: float = 0.1) -> Waveform:
    """What Silero VAD 6 (Silero Team 2024, the network inside faster-whisper) calls speech, one piece after the other.

    Pieces less than 0.1 s apart are one, and `padding` seconds on either side are kept. Where there is none nothing
    is left.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(min_silence_duration_ms=100, speech_pad_ms=round(1000 * padding))
    heard = np.ascontiguousarray(resample(waveform, SILERO_RATE).samples)
    spans = get_speech_timestamps(heard, options, sampling_rate=SILERO_RATE)
    return _joined(waveform, [(span["start"] / SILERO_RATE, span["end"] / SILERO_RATE) for span in spans])


def _joined(waveform: Waveform, spans: list[tuple[float, float]]) -> Waveform:
    pieces: list[NDArray[np.float32]] = [
        waveform.samples[round(start * waveform.rate) : round(end * waveform.rate)] for start, end in spans
    ]
    return Waveform(np.concatenate(pieces) if pieces else np.zeros(0, np.float32), waveform.rate)
