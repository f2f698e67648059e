from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError
from audiometry.models.baselines import feature_augmentation
from audiometry.models.baselines.feature_augmentation import Augmentation, augment, crop, gain, mask, mix, noise

BATCH, BANDS, FRAMES = 40, 20, 50


@pytest.fixture
def spectrograms() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, (BATCH, BANDS, FRAMES)).astype(np.float32)


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_everything_together_keeps_shape_and_input_and_follows_the_seed(spectrograms: np.ndarray) -> None:
    before, real = spectrograms.copy(), np.arange(BATCH) % 2 == 0
    first = augment(spectrograms, real, Augmentation(), random())
    assert first.shape == before.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert np.array_equal(before, spectrograms)
    assert np.array_equal(first, augment(spectrograms, real, Augmentation(), random()))
    assert not np.array_equal(first, augment(spectrograms, real, Augmentation(), random(2)))


def test_nothing_asked_for_changes_nothing(spectrograms: np.ndarray) -> None:
    none = Augmentation(gain_db=0, noise=0, band_mask=0, frame_mask=0, mix=0)
    assert np.allclose(augment(spectrograms, np.ones(BATCH, bool), none, random()), spectrograms)


def test_gain_is_one_smooth_curve_over_the_bands_of_the_deviation_asked_for() -> None:
    changed = gain(np.zeros((4000, BANDS, 3), np.float32), 3.0, random())
    assert np.array_equal(changed[:, :, 0], changed[:, :, 2])
    decibels = changed[:, :, 0] * 10 / np.log(10)
    assert np.sqrt(np.square(decibels).mean()) == pytest.approx(3.0, rel=0.05)
    assert np.abs(np.diff(decibels, axis=1)).mean() < np.abs(decibels).mean()


def test_noise_adds_the_power_asked_for_to_the_share_asked_for() -> None:
    flat = np.zeros((2000, BANDS, FRAMES), np.float32)
    changed = noise(flat, 0.25, (10.0, 10.0), random())
    touched = np.any(changed != 0, axis=(1, 2))
    assert touched.mean() == pytest.approx(0.25, abs=0.03)
    assert (np.exp(changed[touched]).mean() - 1) == pytest.approx(0.1, rel=0.03)


def test_masks_hide_neighbouring_bands_and_frames_by_the_mean(spectrograms: np.ndarray) -> None:
    changed = mask(spectrograms, 5, 7, random())
    for before, after in zip(spectrograms, changed, strict=True):
        hidden = after != before
        bands, frames = np.flatnonzero(hidden.all(axis=1)), np.flatnonzero(hidden.all(axis=0))
        assert len(bands) <= 5
        assert len(frames) <= 7
        for found in (bands, frames):
            assert len(found) == 0 or np.array_equal(found, np.arange(found[0], found[-1] + 1))
        assert np.allclose(after[hidden], before.mean(), atol=1e-6)
        assert hidden.sum() == len(bands) * FRAMES + len(frames) * BANDS - len(bands) * len(frames)
    assert np.any(changed != spectrograms)


def test_mixing_stays_in_the_class_and_joins_two_trials() -> None:
    real = np.arange(BATCH) % 2 == 0
    numbered = np.broadcast_to(np.arange(BATCH, dtype=np.float32)[:, None, None], (BATCH, BANDS, FRAMES))
    changed = mix(numbered, real, 0.5, random())
    joined = 0
    for number, trial in enumerate(changed):
        row = trial[0].astype(int)
        assert np.array_equal(trial, np.broadcast_to(trial[:1], trial.shape))
        assert row[0] == number
        assert all(real[other] == real[number] for other in row)
        assert len(np.flatnonzero(np.diff(row))) <= 1
        joined += len(set(row)) > 1
    assert 10 <= joined <= 30


@given(there=st.integers(1, 40), wanted=st.integers(1, 60), seed=st.integers(0, 9))
def test_windows_are_of_the_length_asked_for_and_hold_neighbours(there: int, wanted: int, seed: int) -> None:
    ramp = np.arange(there, dtype=np.float32)[None]
    window = crop(ramp, wanted, random(seed))
    assert window.shape == (1, wanted)
    assert np.all(np.diff(window[0]) % there == (1 if there > 1 else 0))


@pytest.mark.parametrize("wrong", [{"gain_db": -1.0}, {"noise": 1.5}, {"mix": 2.0}, {"band_mask": -1}])
def test_amounts_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="augmentation"):
        Augmentation(**wrong)  # type: ignore[arg-type]


def test_the_example_holds() -> None:
    assert doctest.testmod(feature_augmentation).failed == 0
