"""Features of envelopes on sounds whose envelopes are known, and the detector that rests on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request, Waveform
from audiometry.models.baselines.envelope_features import BANDS, COUNT, FAST, PAIRS, SLOW, envelope_features
from audiometry.models.baselines.envelope_trees import fit, restore
from audiometry.models.baselines.saved import save
from audiometry.models.baselines.trial_data import TrialData, development_rates

RATE = 16_000
TIMES = np.arange(2 * RATE) / RATE


def noise(seed: int, seconds: float = 2.0) -> NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def pulses(pitch: float, seed: int = 0) -> NDArray[np.float32]:
    """One pulse a period in all bands at once, in a little noise."""
    beats = np.diff(np.floor(np.cumsum(np.full(len(TIMES), pitch / RATE))), prepend=0.0)
    return (0.5 * beats + 0.001 * np.random.default_rng(seed).standard_normal(len(TIMES))).astype(np.float32)


def correlations(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return features[3 * BANDS : 3 * BANDS + PAIRS]


def modulations(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithmic powers, shape (ranges, bands)."""
    end = COUNT - 3 * BANDS
    return features[end - (len(SLOW) + len(FAST)) * BANDS : end].reshape(-1, BANDS)


def test_pulses_go_together_in_all_bands_and_noise_does_not() -> None:
    together, alone = correlations(envelope_features(pulses(100.0))), correlations(envelope_features(noise(0)))
    assert together[-6:].min() > 0.6  # the four highest bands: lower ones hold a single harmonic each
    assert np.abs(alone[-6:]).max() < 0.2


def test_the_pitch_is_seen_in_its_range_of_modulations() -> None:
    for pitch, place in ((70.0, 0), (120.0, 1), (180.0, 2), (270.0, 3), (400.0, 4)):
        fast = modulations(envelope_features(pulses(pitch)))[len(SLOW) :, -1]  # wide enough for two harmonics
        assert int(np.argmax(fast)) == place


def test_slow_beats_are_seen_in_their_range() -> None:
    for beat, place in ((2.0, 0), (4.0, 1), (9.0, 2), (20.0, 3)):
        sound = noise(1) * (1.0 + np.sin(2 * np.pi * beat * TIMES)).astype(np.float32)
        slow = modulations(envelope_features(sound))[: len(SLOW)].mean(axis=1)
        assert int(np.argmax(slow)) == place


def test_moments_of_noise_are_those_of_a_rayleigh_envelope() -> None:
    skewness = envelope_features(noise(2, 8.0))[2 * BANDS - 1]  # of the widest band, whose slow envelope is steady
    assert skewness == pytest.approx(0.63, abs=0.25)  # the envelope of Gaussian noise is Rayleigh distributed


@pytest.mark.parametrize("gain", [0.01, 0.3, 3.0])
def test_the_level_changes_nothing(gain: float) -> None:
    whole, scaled = envelope_features(pulses(150.0)), envelope_features(np.float32(gain) * pulses(150.0))
    assert np.allclose(whole, scaled, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("length", [1, 100, 1600, 8000])
def test_any_length_gives_finite_numbers(length: int) -> None:
    for sound in (noise(3)[:length], np.zeros(length, np.float32), np.ones(length, np.float32)):
        features = envelope_features(sound)
        assert features.shape == (COUNT,)
        assert np.isfinite(features).all()


def made_trials(number: int, seed: int) -> TrialData:
    """Bona fide: jittered pulses; spoofs: regular ones, or noise."""
    generator = np.random.default_rng(seed)
    waveforms, attacks = [], []
    for index in range(3 * number):
        attack = ("", "regular", "noise")[index % 3]
        pitch = generator.uniform(90, 200)
        jitter = generator.normal(0, 0.4, len(TIMES)) if attack == "" else 0.0
        track = np.cumsum(pitch / RATE * (1 + np.convolve(jitter * np.ones(len(TIMES)), np.ones(80) / 8, mode="same")))
        sound = 0.5 * (np.diff(np.floor(track), prepend=0.0) > 0)
        sound = sound + 0.002 * generator.standard_normal(len(TIMES))
        waveforms.append(noise(index + seed) if attack == "noise" else sound.astype(np.float32))
        attacks.append(attack)
    return TrialData(waveforms, np.array([not name for name in attacks]), attacks, [str(n) for n in range(3 * number)])


def test_it_learns_scores_and_travels_as_a_file(tmp_path: Path) -> None:
    trained = fit(made_trials(20, 0), made_trials(15, 100), seed=0, report=print, trees=30, depth=2, rate=0.2)
    data = made_trials(15, 200)
    score = restore(trained)
    assert development_rates([score(samples) for samples in data.waveforms], data).macro < 0.15
    path = tmp_path / "own.safetensors"
    save(path, trained)
    made = MODELS.create(parse_spec(f"envelope-trees:path={path}"))
    (output,) = made.generate([Request("detect", waveforms={"input": Waveform(data.waveforms[0], RATE)})])
    assert output.score is not None
    assert np.isfinite(output.score)
    with pytest.raises(UserError, match="audiometry train envelope-trees"):
        MODELS.check(parse_spec("envelope-trees:level=E2"))
