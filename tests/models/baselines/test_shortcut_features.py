from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.models.baselines.shortcut_features import FEATURES, shortcut_features

RATE = 16_000


def features(samples: np.ndarray) -> dict[str, float]:
    found = shortcut_features(samples.astype(np.float32))
    assert found.shape == (len(FEATURES),)
    return dict(zip(FEATURES, found.tolist(), strict=True))


def tone(hertz: float, seconds: float = 1.0, peak: float = 0.5) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hertz * np.arange(round(RATE * seconds)) / RATE)


def test_a_tone_by_hand() -> None:
    found = features(tone(1000.0))
    assert found["duration"] == pytest.approx(0.0)
    assert found["peak"] == pytest.approx(20 * np.log10(0.5), abs=1e-4)
    assert found["crest factor"] == pytest.approx(10 * np.log10(2), abs=1e-4)
    assert found["level"] == pytest.approx(found["peak"] - found["crest factor"])
    assert found["share of silence"] == found["longest pause"] == 0.0
    assert found["dynamic range"] == pytest.approx(0.0, abs=1e-6)
    assert np.exp(found["bandwidth"]) == pytest.approx(1000.0, abs=100.0)
    bands = {name: value for name, value in found.items() if name.startswith("band ")}
    assert max(bands, key=bands.__getitem__) == "band 1000 to 1500 Hz"
    assert sum(bands.values()) == pytest.approx(0.0, abs=1e-9)


def test_silences_are_placed() -> None:
    quiet = np.zeros(RATE)
    sound = tone(500.0)
    found = features(np.concatenate([quiet[:3200], sound, quiet[:6400], sound, quiet[:1600]]))
    assert found["silence before"] == pytest.approx(0.2)
    assert found["longest pause"] == pytest.approx(0.4)
    assert found["silence after"] == pytest.approx(0.1)
    assert found["share of silence"] == pytest.approx(0.7 / 2.7)
    assert found["digital silence"] == pytest.approx(0.7 / 2.7, abs=0.03)
    assert found["noise floor"] == -100.0


def test_the_noise_floor_and_the_tilt_are_found() -> None:
    noise = np.random.default_rng(0).normal(0.0, 1.0, 4 * RATE)
    found = features(np.concatenate([tone(300.0, 4.0), 1e-3 * noise]))
    assert found["noise floor"] == pytest.approx(-60.0, abs=1.0)
    assert features(0.1 * noise)["spectral tilt"] == pytest.approx(0.0, abs=0.3)
    # the sum of white noise falls by 6 dB an octave
    assert features(1e-3 * np.cumsum(noise))["spectral tilt"] == pytest.approx(-6.0, abs=0.7)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), decibels=st.floats(-20.0, 20.0))
def test_a_gain_moves_the_levels_alone(seed: int, decibels: float) -> None:
    samples = 0.05 * np.random.default_rng(seed).normal(size=RATE // 2)
    plain, louder = features(samples), features(samples * 10 ** (decibels / 20))
    for name in FEATURES:
        moved = decibels if name in ("level", "peak", "noise floor") else 0.0
        assert louder[name] - plain[name] == pytest.approx(moved, abs=2e-3), name


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_time_may_run_backwards_but_for_the_ends(seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = generator.normal(size=RATE) * np.repeat(generator.integers(0, 2, 50), 320)
    samples[:320] = 1.0
    plain, turned = features(samples), features(samples[::-1])
    assert plain["silence before"] == pytest.approx(turned["silence after"])
    for name in FEATURES:
        if name not in ("silence before", "silence after"):
            assert plain[name] == pytest.approx(turned[name], abs=1e-2), name


@pytest.mark.parametrize("length", [1, 100, 319, 320, 321, 700])
def test_any_length_has_finite_features(length: int) -> None:
    assert np.isfinite(shortcut_features(np.zeros(length, np.float32))).all()
    assert np.isfinite(shortcut_features(np.full(length, 0.1, np.float32))).all()


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros((2, 9)), np.array([np.nan]), np.array([0.0, np.inf])])
def test_what_is_no_sound_is_told(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        shortcut_features(samples.astype(np.float32))
