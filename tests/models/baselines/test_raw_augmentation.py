from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError
from audiometry.models.baselines.raw_augmentation import (
    KINDS,
    RawBoost,
    convolutive_noise,
    impulsive_noise,
    notch_filter,
    raw_boost,
    stationary_noise,
)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def speechlike(count: int = 4_000, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    noise = seeded(seed).normal(0, 0.1, count)
    return np.convolve(noise, [0.5, 1.0, 0.5], mode="same")


def test_convolution_is_what_loops_give() -> None:
    how = RawBoost(notches=2, taps=(5, 9), orders=3, gain_db=(-3.0, 0.0))
    signal = speechlike(60)
    draws, expected = seeded(4), np.zeros(60)
    for order in (1, 2, 3):
        decibels = draws.uniform(-3.0, 0.0) + (draws.uniform(-20.0, -5.0) if order > 1 else 0.0)
        taps = notch_filter(draws, how)
        middle = (len(taps) - 1) // 2
        for place in range(60):
            for tap, value in enumerate(taps):
                if 0 <= place + middle - tap < 60:
                    expected[place] += 10 ** (decibels / 20) * value * signal[place + middle - tap] ** order
    expected -= expected.mean()
    np.testing.assert_allclose(convolutive_noise(signal, seeded(4), how), expected, atol=1e-12)


def test_orders_above_the_first_make_harmonics() -> None:
    tone = 0.9 * np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000)
    for orders, harmonics in ((1, False), (3, True)):
        how = RawBoost(notches=0, orders=orders, nonlinear_db=(-6.0, -6.0))
        spectrum = np.abs(np.fft.rfft(convolutive_noise(tone, seeded(), how)))
        assert bool(spectrum[3_000] > 0.01 * spectrum[1_000]) is harmonics


def test_a_notch_lies_where_it_is_asked_for() -> None:
    how = RawBoost(notches=1, centre=(2_000.0, 2_000.0), width=(800.0, 800.0), taps=(400, 400))
    taps = notch_filter(seeded(), how)
    response = np.abs(np.fft.rfft(taps, 16_000))
    assert len(taps) == 401
    np.testing.assert_allclose(taps, taps[::-1], atol=1e-15)
    assert response[1_700:2_300].max() < 0.01
    assert response[:1_400].min() > 0.98
    assert response[2_600:].min() > 0.98
    assert response.max() == pytest.approx(1.0, abs=1e-3)


@given(st.integers(0, 2**32 - 1))
def test_a_filter_never_amplifies(seed: int) -> None:
    taps = notch_filter(seeded(seed))
    assert len(taps) % 2 == 1
    assert np.abs(np.fft.rfft(taps, 1 << 14)).max() <= 1.02


def test_impulses_change_a_share_of_the_samples_by_a_bounded_part() -> None:
    signal = 0.2 + np.abs(speechlike(20_000)) / 4
    how = RawBoost(impulse_share=0.2, impulse_gain=1.5)
    shares = []
    for seed in range(30):
        changed = impulsive_noise(signal, seeded(seed), how)
        part = changed / signal - 1
        assert np.abs(part).max() <= 1.5
        shares.append(float((part != 0).mean()))
    assert 0 <= min(shares) < 0.05
    assert 0.15 < max(shares) <= 0.2
    every = impulsive_noise(signal, seeded(3), RawBoost(impulse_share=0.0))
    np.testing.assert_array_equal(every, signal)


@pytest.mark.parametrize("decibels", [0.0, 10.0, 25.0])
def test_the_noise_has_the_ratio_that_is_asked_for(decibels: float) -> None:
    signal = speechlike()
    noise = stationary_noise(signal, seeded(), RawBoost(snr_db=(decibels, decibels))) - signal
    assert 20 * np.log10(np.linalg.norm(signal) / np.linalg.norm(noise)) == pytest.approx(decibels, abs=1e-9)


def test_the_noise_has_the_colour_of_its_filter() -> None:
    how = RawBoost(notches=1, centre=(3_000.0, 3_000.0), width=(1_000.0, 1_000.0), taps=(300, 300), snr_db=(0.0, 0.0))
    signal = np.zeros(16_000)
    signal[0] = 0.9
    power = np.abs(np.fft.rfft(stationary_noise(signal, seeded(), how) - signal)) ** 2
    assert power[2_700:3_300].mean() < 1e-3 * power[4_000:7_000].mean()


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 400), loud=st.floats(0.0, 5.0))
def test_length_range_and_seed_hold(seed: int, count: int, loud: float) -> None:
    signal = loud * speechlike(count, seed)
    before = signal.copy()
    changed = raw_boost(signal, seeded(seed))
    np.testing.assert_array_equal(signal, before)
    assert changed.shape == signal.shape
    assert changed.dtype == np.float32
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1.0
    np.testing.assert_array_equal(raw_boost(signal, seeded(seed)), changed)


def test_kinds_are_done_in_order_and_are_different() -> None:
    signal = speechlike()
    generator = seeded(2)
    one_by_one = stationary_noise(impulsive_noise(convolutive_noise(signal, generator), generator), generator)
    np.testing.assert_array_equal(raw_boost(signal, seeded(2)), one_by_one.astype(np.float32))
    alone = [raw_boost(signal, seeded(2), kinds=(kind,)) for kind in KINDS]
    assert all(not np.allclose(one, other) for one in alone for other in alone if one is not other)
    np.testing.assert_array_equal(raw_boost(signal, seeded(2), kinds=()), signal.astype(np.float32))


def test_silence_stays_silence() -> None:
    assert not raw_boost(np.zeros(500), seeded()).any()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"centre": (500.0, 100.0)}, "'centre'"), ({"taps": (0, 10)}, "'taps'"), ({"width": (-5.0, 10.0)}, "'width'"),
        ({"snr_db": (40.0, 10.0)}, "'snr_db'"), ({"centre": (20.0, 9_000.0)}, "up to 8000 Hz"),
        ({"orders": 0}, "'orders' 1 or more"), ({"impulse_share": 1.5}, "from 0 to 1"), ({"notches": -1}, "'notches'"),
        ({"impulse_gain": -1.0}, "'impulse_gain'"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_told(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        RawBoost(**change)


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(SettingError, match="no noise called 'loud'; give some of convolutive, impulsive, stationary"):
        raw_boost(np.ones(4), seeded(), kinds=("loud",))  # type: ignore[arg-type]
