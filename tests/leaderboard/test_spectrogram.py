"""A sound as a picture, in words and in numbers, against sounds whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from audiometry.benchmark.types import Waveform
from audiometry.leaderboard import spectrogram as pictures


def tone(frequency: float, seconds: float = 1.0, rate: int = 16_000, level: float = 0.5) -> Waveform:
    time = np.arange(int(seconds * rate)) / rate
    return Waveform((level * np.sin(2 * np.pi * frequency * time)).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_tone_lies_at_its_frequency_and_level(rate: int) -> None:
    found = pictures.spectrogram(tone(1000, rate=rate))
    where = found.frequencies[found.power.mean(axis=1).argmax()]
    assert where == pytest.approx(1000, abs=rate / 512)
    assert found.level == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    assert found.peak == pytest.approx(0.5, rel=1e-3)
    rows = pictures.parts(found)
    assert len(rows) == 10
    for row in rows[1:-1]:
        assert row["level"] == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.3)
        assert row["half_below"] == pytest.approx(1000, abs=rate / 256)


def test_the_power_is_that_of_an_independent_transform() -> None:
    rng = np.random.default_rng(1)
    sound = Waveform(rng.normal(0, 0.1, 16_000).astype(np.float32), 16_000)
    found = pictures.spectrogram(sound)
    window = hann(400, sym=False)
    theirs = ShortTimeFFT(window, hop=40, fs=16_000, mfft=512, fft_mode="onesided")  # frames around multiples of 40
    power = np.abs(theirs.stft(sound.samples.astype(np.float64), p0=0)) ** 2 / (window.sum() ** 2 / 2)
    assert found.power.shape == (257, 196)
    np.testing.assert_allclose(found.power, power[:, 5 : 5 + 2 * 196 : 2], rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(found.times, (np.arange(196) * 80 + 200) / 16_000)


def test_a_full_scale_sine_has_half_power() -> None:
    found = pictures.spectrogram(tone(1000, level=1.0))
    assert found.power.max() == pytest.approx(0.5, rel=0.02)


def test_stretches_of_sound_are_told_and_quiet_is_not() -> None:
    samples = np.concatenate([np.zeros(8000), tone(500, 0.5).samples, np.zeros(8000), tone(3000, 0.5).samples])
    found = pictures.spectrogram(Waveform(samples.astype(np.float32), 16_000))
    said = pictures.describe(found)
    assert said.startswith("2.00 s of sound at 16,000 Hz. Level ")
    assert "2 stretches of sound: 0.49 to 1.01 s, 1.49 to 1.9" in said
    rows = pictures.parts(found)
    assert rows[0]["level"] is None
    assert rows[0]["most_below"] is None
    assert rows[4]["half_below"] == pytest.approx(500, abs=40)
    assert rows[-1]["half_below"] == pytest.approx(3000, abs=40)


def test_a_long_sound_fits_the_picture_and_says_what_is_left_out() -> None:
    found = pictures.spectrogram(Waveform(np.full(90 * 8000, 0.1, np.float32), 8000))
    assert found.power.shape[1] <= pictures.FRAMES
    assert found.times[-1] <= 60
    assert "90.00 s of sound at 8,000 Hz, of which the first 60 s are shown" in pictures.describe(found)


def test_averaging_frames_keeps_the_energy() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, 16_000 * 20).astype(np.float32)
    found = pictures.spectrogram(Waveform(samples, 16_000))
    # of white noise each of the 512 bins of both halves has the same share of the power, spread by the window
    window = np.hanning(401)[:-1]
    expected = 2 * 0.01 * (window**2).sum() / window.sum() ** 2
    assert found.power[1:-1].mean() == pytest.approx(expected, rel=0.02)


@given(st.integers(0, 900), st.sampled_from([8_000, 16_000, 22_050]), st.booleans())
def test_every_length_has_a_picture_words_and_numbers(length: int, rate: int, silent: bool) -> None:
    samples = np.zeros(length) if silent else np.random.default_rng(length).uniform(-1, 1, length)
    found = pictures.spectrogram(Waveform(samples.astype(np.float32), rate))
    assert found.power.shape == (len(found.frequencies), len(found.times))
    assert np.isfinite(found.decibels).all()
    assert found.decibels.max(initial=-80) <= 0
    assert ("It is silent." in pictures.describe(found)) == (silent or length == 0)
    assert len(pictures.parts(found)) >= 1


def test_the_figure_holds_the_decibels_and_reads_on_both_grounds() -> None:
    found = pictures.spectrogram(tone(2000))
    figures = [pictures.spectrogram_figure(found, dark=dark) for dark in (False, True)]
    (heat,) = figures[0].data
    assert np.array_equal(heat.z, found.decibels.round())
    assert np.asarray(heat.z).dtype == np.int8  # a byte a point: the page stays small
    assert figures[0].layout.font.color != figures[1].layout.font.color
