from __future__ import annotations

import math

import numpy as np
import pytest
import pyworld
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.espeak_speech import speak
from audiometry.tasks.metrics.intonation import delivered, pitch_track, speech_seconds

RATE = 16_000


def buzz(frequency: np.ndarray, level: float = 0.1, rate: int = RATE) -> Waveform:
    """Harmonics 1/k of a fundamental that moves: frequency (time,) in Hz."""
    phase = 2 * np.pi * np.cumsum(frequency) / rate
    wave = sum(np.sin(k * phase) / k for k in range(1, 8))
    return Waveform((level * wave / np.sqrt(np.mean(wave**2))).astype(np.float32), rate)


@settings(max_examples=25, deadline=None)
@given(st.floats(75.0, 420.0), st.sampled_from([8_000, 16_000, 22_050]))
def test_a_steady_buzz_has_its_frequency(frequency: float, rate: int) -> None:
    track = pitch_track(buzz(np.full(rate // 2, frequency), rate=rate))
    assert np.nanmedian(track) == pytest.approx(frequency, rel=0.005)
    assert np.isfinite(track[2:-2]).all()


def test_a_glide_has_its_range_and_a_level_its_decibels() -> None:
    glide = 120 * 2 ** np.linspace(0, 1, 2 * RATE)
    found = delivered(buzz(glide, level=0.1))
    assert found.pitch == pytest.approx(120 * math.sqrt(2), rel=0.01)
    assert found.pitch_range == pytest.approx(12 * 0.8, abs=0.3)  # 10th to 90th percentile of an octave
    assert found.level == pytest.approx(-20.0, abs=0.1)
    assert delivered(buzz(glide, level=0.05)).level == pytest.approx(-26.02, abs=0.1)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert np.isfinite(pitch_track(Waveform(noise, RATE))).mean() < 0.05
    assert math.isnan(delivered(Waveform(noise, RATE)).pitch)
    silence = delivered(Waveform(np.zeros(RATE, np.float32), RATE))
    assert silence.seconds == 0.0
    assert math.isnan(silence.level)
    short = Waveform(np.ones(10, np.float32), RATE)
    assert len(pitch_track(short)) == 0
    assert delivered(short).seconds == 0.0


def test_silence_around_speech_is_no_speech() -> None:
    tone = buzz(np.full(RATE, 200.0)).samples
    padded = Waveform(np.concatenate([np.zeros(RATE), tone, np.zeros(2 * RATE)]).astype(np.float32), RATE)
    assert speech_seconds(padded) == pytest.approx(1.0, abs=0.08)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        delivered(Waveform(np.array([np.nan] * RATE, np.float32), RATE))


@pytest.mark.parametrize("voice", ["en-us", "en-us+f2", "en-us+m3"])
def test_speech_agrees_with_worlds_dio(voice: str) -> None:
    """An independent estimator: medians agree, and under a tenth of frames have a gross error (over 20 %)."""
    said = speak("The old clock runs fast, and nobody noticed.", voice).waveform
    samples = said.samples.astype(np.float64)
    rough, times = pyworld.dio(samples, said.rate, f0_floor=60.0, f0_ceil=500.0, frame_period=10.0)
    theirs = pyworld.stonemask(samples, rough, times, said.rate)[2:]  # our frame k is centred at 10 k + 20 ms
    frames = min(len(theirs), len(ours := pitch_track(said)))
    ours, theirs = ours[:frames], theirs[:frames]
    both = np.isfinite(ours) & (theirs > 0)
    assert both.sum() > 100
    assert np.nanmedian(ours) == pytest.approx(np.median(theirs[theirs > 0]), rel=0.05)
    assert np.mean(np.abs(ours[both] / theirs[both] - 1) > 0.2) < 0.1
