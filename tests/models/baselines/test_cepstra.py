from __future__ import annotations

import math

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct
from scipy.signal import lfilter

from audiometry.models.baselines.cepstra import band_of, deltas, lfcc, linear_filters, log_filter_bank


def noise(seconds: float = 0.3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 0.1, round(16_000 * seconds)).astype(np.float32)


def by_definition(samples: np.ndarray, low: float, high: float, filters: int, coefficients: int) -> list[list[float]]:
    """One frame, one bin, one filter and one coefficient at a time, with the discrete Fourier sum itself."""
    emphasised = [float(samples[0])] + [
        float(samples[n]) - 0.97 * float(samples[n - 1]) for n in range(1, len(samples))
    ]
    step = (high - low) / (filters + 1)
    rows = []
    for start in range(0, len(samples) - 320 + 1, 160):
        frame = [emphasised[start + n] * (0.54 - 0.46 * math.cos(2 * math.pi * n / 319)) for n in range(320)]
        energies = [0.0] * filters
        for k in range(257):
            turn = -2 * math.pi * k / 512
            power = (
                abs(sum(value * complex(math.cos(turn * n), math.sin(turn * n)) for n, value in enumerate(frame))) ** 2
            )
            for m in range(filters):
                below, centre, above = low + m * step, low + (m + 1) * step, low + (m + 2) * step
                hertz = k * 16_000 / 512
                if below < hertz <= centre:
                    energies[m] += power * (hertz - below) / step
                elif centre < hertz < above:
                    energies[m] += power * (above - hertz) / step
        logs = [math.log10(energy + 2.220446049250313e-16) for energy in energies]
        rows.append(
            [
                math.sqrt((1 if k == 0 else 2) / filters)
                * sum(value * math.cos(math.pi * k * (2 * m + 1) / (2 * filters)) for m, value in enumerate(logs))
                for k in range(coefficients)
            ]
        )
    return rows


@pytest.mark.parametrize("band", [(0.0, 8000.0), (300.0, 3400.0)])
def test_against_the_definition_written_out(band: tuple[float, float]) -> None:
    samples = noise(0.05)
    expected = by_definition(samples, *band, filters=20, coefficients=12)
    found = lfcc(samples, band=band, coefficients=12, with_deltas=False)
    assert np.allclose(found, expected, atol=1e-9)


def test_against_librosa_and_scipy() -> None:
    samples = noise(0.5).astype(np.float64)
    emphasised = lfilter([1, -0.97], [1], samples)
    frames = librosa.util.frame(emphasised, frame_length=320, hop_length=160, axis=0) * np.hamming(320)
    power = np.abs(np.fft.fft(frames, 512)[:, :257]) ** 2
    edges = np.linspace(0, 8000, 22)
    ramps = np.subtract.outer(edges, np.fft.rfftfreq(512, 1 / 16_000))
    bank = np.maximum(0, np.minimum(-ramps[:-2], ramps[2:]) / (edges[1] - edges[0]))
    expected = dct(np.log10(power @ bank.T + np.finfo(float).eps), norm="ortho", axis=1)
    found = lfcc(samples)
    assert np.allclose(found[:, :20], expected, atol=1e-9)
    padded = np.pad(expected, ((1, 1), (0, 0)), mode="edge")
    assert np.allclose(found[:, 20:40], padded[2:] - padded[:-2], atol=1e-9)
    assert np.allclose(found[:, 40:], deltas(found[:, 20:40]), atol=1e-12)


def test_a_tone_lies_in_its_filter() -> None:
    times = np.arange(16_000) / 16_000
    # the peaks of 20 filters over 0 to 8,000 Hz stand every 8,000 / 21 Hz
    tone = np.sin(2 * np.pi * 7 * (8000 / 21) * times)
    assert set(log_filter_bank(tone).argmax(axis=1).tolist()) == {6}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), gain=st.floats(0.01, 10.0))
def test_a_gain_moves_the_level_alone(seed: int, gain: float) -> None:
    samples = noise(0.1, seed).astype(np.float64)
    plain, louder = lfcc(samples), lfcc(gain * samples)
    assert np.allclose(louder[:, 0] - plain[:, 0], math.sqrt(20) * 2 * math.log10(gain), atol=1e-6)
    assert np.allclose(louder[:, 1:], plain[:, 1:], atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(frames=st.integers(1, 8))
def test_a_delay_of_whole_hops_moves_the_frames(frames: int) -> None:
    samples = noise(0.2)
    whole, later = log_filter_bank(samples), log_filter_bank(samples[160 * frames :])
    # the very first sample has no sample before it to subtract
    assert np.allclose(whole[frames + 1 :], later[1:])


def test_the_sign_does_not_matter() -> None:
    assert np.allclose(lfcc(noise()), lfcc(-noise()))


def test_what_is_shorter_than_a_window_is_one_frame() -> None:
    assert lfcc(noise()[:10]).shape == (1, 60)
    assert np.allclose(lfcc(noise()[:10])[0, 20:], 0.0)
    assert lfcc(noise()[:479]).shape == (1, 60)
    assert lfcc(noise()[:480]).shape == (2, 60)


def test_silence_is_finite() -> None:
    found = log_filter_bank(np.zeros(1000))
    assert np.allclose(found, math.log10(2**-52))


def test_the_filters_are_not_to_be_written_to() -> None:
    bank = linear_filters(16_000, 512, (0.0, 8000.0), 20)
    assert bank.shape == (20, 257)
    with pytest.raises(ValueError, match="read-only"):
        bank[0, 0] = 1.0


def test_each_level_has_its_band() -> None:
    assert [band_of(level) for level in ("E0", "E2", "E3")] == [(0.0, 8000.0), (0.0, 8000.0), (300.0, 3400.0)]


@pytest.mark.parametrize(
    ("samples", "more", "message"),
    [
        (np.zeros((2, 100)), {}, "shape"),
        (np.zeros(0), {}, "at least one"),
        (np.array([0.0, np.nan]), {}, "not finite"),
        (np.zeros(400), {"band": (0.0, 9000.0)}, "not within 0 to 8000"),
        (np.zeros(400), {"band": (500.0, 400.0)}, "not within"),
        (np.zeros(400), {"filters": 900}, "narrower"),
        (np.zeros(400), {"coefficients": 0}, "give 1 to 20"),
        (np.zeros(400), {"coefficients": 21}, "give 1 to 20"),
    ],
)
def test_what_cannot_be_computed_is_told(samples: np.ndarray, more: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lfcc(samples, **more)


def test_a_bank_needs_a_filter() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        log_filter_bank(np.zeros(400), filters=0)
