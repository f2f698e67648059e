"""Attacks made of recordings: what each keeps, what it changes, and that it repeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audiometry.benchmark.types import FloatArray
from audiometry.tasks.corpora.spoof import mixing, resynthesis
from audiometry.tasks.corpora.spoof.equalisation import RATE, long_term_spectrum

COPIES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "world": resynthesis.world_copy,
    "griffin-lim": lambda samples: resynthesis.griffin_lim(samples, seed=3),
    "mel": lambda samples: resynthesis.mel_inversion(samples, seed=3),
    "linear prediction": lambda samples: resynthesis.linear_prediction(samples, seed=3),
    "cepstral": lambda samples: resynthesis.cepstral_copy(samples, seed=3),
    "sinusoidal": lambda samples: resynthesis.sinusoidal_copy(samples, seed=3),
}


def vowel(pitch: float, formants: tuple[float, ...], seconds: float = 1.2) -> FloatArray:
    """Pulses through resonances, in two syllables."""
    from scipy.signal import lfilter

    count = round(seconds * RATE)
    phase = np.cumsum(np.full(count, pitch / RATE))
    samples = np.diff(np.floor(phase), prepend=0.0)
    for formant in formants:
        radius = np.exp(-np.pi * 90 / RATE)
        samples = lfilter([1.0], [1.0, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], samples)
    samples = samples * np.abs(np.sin(2 * np.pi * np.arange(count) / count)) + 1e-4 * np.random.default_rng(
        0
    ).standard_normal(count)
    return np.asarray(0.3 * samples / np.abs(samples).max())


def pitch_of(samples: FloatArray) -> float:
    """Median F0 by an autocorrelation of our own: independent of the vocoder's."""
    found = []
    for start in range(0, len(samples) - 1024, 512):
        frame = samples[start : start + 1024]
        if np.square(frame).mean() < 1e-4:
            continue
        lags = np.correlate(frame, frame, mode="full")[1023:]
        low, high = RATE // 400, RATE // 70
        found.append(RATE / (low + int(np.argmax(lags[low:high]))))
    return float(np.median(found))


@pytest.fixture(scope="module")
def said() -> FloatArray:
    return vowel(120.0, (700.0, 1200.0, 2500.0))


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_keeps_length_pitch_and_colour(name: str, said: FloatArray) -> None:
    copy = COPIES[name](said)
    assert copy.shape == said.shape
    assert np.isfinite(copy).all()
    assert not np.allclose(copy, said, atol=1e-3)
    assert pitch_of(copy) == pytest.approx(pitch_of(said), rel=0.03)
    assert np.corrcoef(long_term_spectrum(copy), long_term_spectrum(said))[0, 1] > 0.9
    np.testing.assert_array_equal(COPIES[name](said), copy)


@pytest.mark.parametrize("pitch", [0.8, 1.4])
def test_conversion_moves_the_pitch(pitch: float, said: FloatArray) -> None:
    made = resynthesis.convert(said, pitch=pitch, formants=1.0)
    assert pitch_of(made) == pytest.approx(pitch * pitch_of(said), rel=0.04)


def test_conversion_moves_the_formants() -> None:
    low, high = vowel(110.0, (600.0,)), vowel(110.0, (600.0 * 1.25,))
    made = resynthesis.convert(low, pitch=1.0, formants=1.25)

    def peak(samples: FloatArray) -> float:
        spectrum = np.abs(np.fft.rfft(samples)) ** 2
        frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
        near = (frequencies > 300) & (frequencies < 1500)
        return float(np.sum(frequencies[near] * spectrum[near]) / spectrum[near].sum())

    assert abs(peak(made) - peak(high)) < 0.4 * abs(peak(low) - peak(high))


def test_replay_reverberates_and_repeats(said: FloatArray) -> None:
    click = np.zeros(RATE)
    click[100] = 1.0
    heard = mixing.replay(click, np.random.default_rng(5))
    energy = np.square(heard)
    assert energy[100:200].sum() > energy[:100].sum()
    assert energy[500:3000].sum() > 1e-3 * energy.sum()
    assert energy[-1000:].sum() < 1e-3 * energy.sum()
    np.testing.assert_array_equal(
        mixing.replay(said, np.random.default_rng(1)), mixing.replay(said, np.random.default_rng(1))
    )
    assert not np.allclose(mixing.replay(said, np.random.default_rng(1)), mixing.replay(said, np.random.default_rng(2)))


@pytest.mark.parametrize("seed", range(5))
def test_a_splice_is_part_of_each(said: FloatArray, seed: int) -> None:
    other = vowel(200.0, (500.0, 1800.0), seconds=1.5)
    joined, share = mixing.splice(said, other, np.random.default_rng(seed))
    assert 0.15 < share < 0.8
    start = round(0.05 * RATE)
    np.testing.assert_array_equal(joined[:start], said[:start])
    np.testing.assert_array_equal(joined[-start:], said[-start:])
    middle = len(joined) // 2
    assert pitch_of(joined[middle - 4000 : middle + 4000]) == pytest.approx(200.0, rel=0.05)
