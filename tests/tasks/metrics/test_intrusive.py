from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pesq import pesq as package_pesq

from audiometry.benchmark.errors import AudioError, UserError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.metrics.intrusive import match_lengths, pesq, si_sdr, stoi


def speechlike(seconds, rate, seed=0):
    """Noise under a slow envelope with pauses: enough like speech for PESQ to find utterances and STOI envelopes."""
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 0.8 * time), 0, None) * (1.2 + np.sin(2 * np.pi * 4 * time))
    return Waveform((0.1 * envelope * generator.normal(size=len(time))).astype(np.float32), rate)


def noisy(waveform, decibels, seed=1):
    noise = np.random.default_rng(seed).normal(size=len(waveform.samples))
    gain = np.sqrt((waveform.samples.astype(float) ** 2).mean() / (noise**2).mean()) * 10 ** (-decibels / 20)
    return Waveform((waveform.samples + gain * noise).astype(np.float32), waveform.rate)


def silent(waveform):
    return Waveform(np.zeros_like(waveform.samples), waveform.rate)


def plain_stoi(clean, other, extended):
    """STOI from its paper's text, frame by frame, for sound at 10 kHz: Taal 2011 and Jensen & Taal 2016."""
    window, hop = np.hanning(258)[1:-1], 128
    starts = range(0, len(clean) - 256, hop)
    frames = [(window * clean[i : i + 256], window * other[i : i + 256]) for i in starts]
    level = [20 * np.log10(np.linalg.norm(x) + 1e-300) for x, _ in frames]
    frames = [pair for pair, decibels in zip(frames, level, strict=True) if decibels > max(level) - 40]
    joined = np.zeros((2, (len(frames) - 1) * hop + 256))
    for i, pair in enumerate(frames):
        joined[:, i * hop : i * hop + 256] += pair
    spectra = [
        [np.abs(np.fft.rfft(window * x[i : i + 256], 512)) ** 2 for i in range(0, len(x) - 256, hop)] for x in joined
    ]
    bins = np.arange(257) * 10000 / 512
    bands = []
    for k in range(15):
        low, high = (int(np.argmin((bins - 150 * 2 ** (k / 3) * 2 ** (side / 6)) ** 2)) for side in (-1, 1))
        bands.append(slice(low, high))
    x, y = (np.sqrt([[frame[band].sum() for band in bands] for frame in spectrum]) for spectrum in spectra)
    values = []
    for m in range(30, len(x) + 1):
        a, b = x[m - 30 : m].T, y[m - 30 : m].T  # (bands, 30 frames)
        if extended:
            for axis in (1, 0):
                a, b = (z - z.mean(axis, keepdims=True) for z in (a, b))
                a, b = (z / np.linalg.norm(z, axis=axis, keepdims=True) for z in (a, b))
            values.append((a * b).sum() / 30)
            continue
        b = np.minimum(b * np.linalg.norm(a, axis=1, keepdims=True) / np.linalg.norm(b, axis=1, keepdims=True),
                       a * (1 + 10 ** (15 / 20)))  # fmt: skip
        values += [np.corrcoef(a[j], b[j])[0, 1] for j in range(15)]
    return np.mean(values)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("decibels", [-5, 5])
def test_stoi_equals_the_papers_formula(extended, decibels):
    clean = speechlike(3, 10000)
    other = noisy(clean, decibels)
    expected = plain_stoi(clean.samples.astype(float), other.samples.astype(float), extended)
    assert stoi(clean, other, extended=extended) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("extended", [False, True])
def test_stoi_falls_with_noise_and_is_1_for_a_copy(extended):
    clean = speechlike(3, 16000)
    values = [stoi(clean, noisy(clean, decibels), extended=extended) for decibels in (30, 10, 0, -10)]
    assert values == sorted(values, reverse=True)
    assert stoi(clean, clean, extended=extended) == pytest.approx(1.0, abs=1e-6)
    quiet = Waveform(clean.samples * np.float32(0.01), clean.rate)
    assert stoi(clean, quiet, extended=extended) == pytest.approx(1.0, abs=1e-6)


def test_extended_stoi_repeats_and_leaves_the_global_generator_alone():
    clean = speechlike(2, 10000)
    np.random.seed(11)
    expected = np.random.random()
    np.random.seed(11)
    first = stoi(clean, noisy(clean, 0), extended=True)
    assert np.random.random() == expected
    assert stoi(clean, noisy(clean, 0), extended=True) == first


def test_stoi_needs_speech_once_silence_is_out():
    clean = speechlike(2, 10000)
    mostly = Waveform(np.concatenate([clean.samples[:3000], np.zeros(17000, np.float32)]), 10000)
    with pytest.raises(AudioError, match=r"under 0.4 s of speech is left"):
        stoi(mostly, clean)
    with pytest.raises(AudioError, match=r"0.200 s; it takes 0.4 s"):
        stoi(speechlike(0.2, 10000), speechlike(0.2, 10000))


@pytest.mark.parametrize(
    ("band", "rate", "mode"), [("wide", 16000, "wb"), ("narrow", 16000, "nb"), ("narrow", 8000, "nb")]
)
def test_pesq_is_the_packages_and_falls_with_noise(band, rate, mode):
    clean = speechlike(4, rate)
    values = [pesq(clean, noisy(clean, decibels), band) for decibels in (40, 20, 0)]
    assert values == sorted(values, reverse=True)
    assert values[1] == pytest.approx(package_pesq(rate, clean.samples, noisy(clean, 20).samples, mode), abs=1e-6)


def test_pesq_of_a_copy_is_the_top_of_the_recommendations_scales():
    # P.862.1: 0.999 + 4 / (1 + exp(-1.4945 * 4.5 + 4.6607)); P.862.2: with -1.3669 * 4.5 + 3.8224
    clean = speechlike(4, 16000)
    assert pesq(clean, clean, "narrow") == pytest.approx(0.999 + 4 / (1 + np.exp(-1.4945 * 4.5 + 4.6607)), abs=1e-4)
    assert pesq(clean, clean, "wide") == pytest.approx(0.999 + 4 / (1 + np.exp(-1.3669 * 4.5 + 3.8224)), abs=1e-4)


def test_pesq_aligns_a_delay_that_si_sdr_does_not():
    clean = speechlike(4, 16000)
    late = Waveform(np.concatenate([np.zeros(800, np.float32), clean.samples]), 16000)
    assert pesq(clean, late) > 4.4
    assert si_sdr(*match_lengths(clean, late)) < 0


@pytest.mark.parametrize(
    ("reference", "degraded", "band", "message"),
    [
        (speechlike(1, 24000), speechlike(1, 24000), "wide", "wide band, takes 16000 Hz and got 24000"),
        (speechlike(1, 8000), speechlike(1, 8000), "wide", "takes 16000 Hz and got 8000"),
        (speechlike(1, 48000), speechlike(1, 48000), "narrow", "takes 8000 or 16000 Hz and got 48000"),
        (speechlike(1, 8000), speechlike(1, 16000), "narrow", "reference at 8000 Hz and degraded at 16000 Hz"),
        (speechlike(0.2, 16000), speechlike(1, 16000), "wide", "reference of 0.200 s; it takes 0.25 to 20 s"),
        (speechlike(1, 16000), speechlike(21, 16000), "wide", "degraded of 21.000 s; it takes 0.25 to 20 s"),
    ],
)
def test_pesq_refuses_what_the_recommendation_does_not_cover(reference, degraded, band, message):
    with pytest.raises(AudioError, match=message):
        pesq(reference, degraded, band)


def test_pesq_says_where_it_finds_no_speech():
    # bursts too short to be speech, with pauses too long to join them
    time = np.arange(5 * 16000) / 16000
    bursts = (time % 0.35 < 0.06) * np.random.default_rng(0).normal(0, 0.1, len(time))
    clicks = Waveform(bursts.astype(np.float32), 16000)
    with pytest.raises(AudioError, match="PESQ: no utterances detected"):
        pesq(clicks, clicks)


def test_many_pauses_in_the_longest_sound_do_not_overflow_pesqs_table():
    # bursts and pauses as short as its detector tells apart: the most utterances that 20 s can hold
    generator = np.random.default_rng(0)
    time = np.arange(20 * 16000)
    for period in (0.40, 0.42, 0.45):
        bursts = (time / 16000 % period < period / 2) * generator.normal(0, 0.1, len(time))
        clean = Waveform(bursts.astype(np.float32), 16000)
        assert 1 <= pesq(clean, noisy(clean, 10)) <= 4.65


def plain_si_sdr(target, estimate):
    scale = (estimate @ target) / (target @ target)
    return 10 * np.log10(np.sum((scale * target) ** 2) / np.sum((scale * target - estimate) ** 2))


@given(st.integers(0, 2**32 - 1), st.floats(-30, 30), st.floats(0.001, 1000))
@settings(deadline=None)
def test_si_sdr_equals_the_formula_and_ignores_scale(seed, decibels, scale):
    generator = np.random.default_rng(seed)
    clean = Waveform(generator.normal(size=400).astype(np.float32), 8000)
    other = noisy(clean, decibels, seed + 1)
    value = si_sdr(clean, other)
    assert value == pytest.approx(plain_si_sdr(clean.samples.astype(float), other.samples.astype(float)), abs=1e-9)
    scaled = Waveform((other.samples * np.float32(scale)).astype(np.float32), 8000)
    assert si_sdr(clean, scaled) == pytest.approx(value, abs=1e-3)


def test_si_sdr_by_hand():
    # estimate = target + an orthogonal tenth: 20 dB; the plain mean removal changes the geometry
    target, estimate = (Waveform(row, 8000) for row in np.array([[1, 0, 0, 0], [1, 0.1, 0, 0]], np.float32))
    assert si_sdr(target, estimate) == pytest.approx(20.0, abs=1e-5)
    centred = [w.samples.astype(float) - w.samples.astype(float).mean() for w in (target, estimate)]
    assert si_sdr(target, estimate, zero_mean=True) == pytest.approx(plain_si_sdr(*centred))


def test_si_sdr_is_bounded_where_the_formula_is_infinite():
    one, other = Waveform(np.array([1, 0], np.float32), 8000), Waveform(np.array([0, 1], np.float32), 8000)
    assert (si_sdr(one, one), si_sdr(one, other)) == (100.0, -100.0)
    assert (si_sdr(one, one, limit=np.inf), si_sdr(one, other, limit=np.inf)) == (np.inf, -np.inf)


@pytest.mark.parametrize("metric", [pesq, stoi, si_sdr])
def test_silence_is_a_failure_and_no_low_score(metric):
    clean = speechlike(1, 16000)
    with pytest.raises(AudioError, match="reference is silent"):
        metric(silent(clean), clean)
    with pytest.raises(AudioError, match="degraded is silent"):
        metric(clean, silent(clean))
    broken = Waveform(np.where(np.arange(16000) == 5, np.nan, clean.samples).astype(np.float32), 16000)
    with pytest.raises(AudioError, match="degraded holds samples that are not finite"):
        metric(clean, broken)


def test_a_constant_is_silent_without_its_mean():
    clean = speechlike(1, 16000)
    with pytest.raises(AudioError, match="constant signal"):
        si_sdr(clean, Waveform(np.ones(16000, np.float32), 16000), zero_mean=True)


@pytest.mark.parametrize("metric", [stoi, si_sdr])
def test_lengths_are_matched_by_the_caller(metric):
    clean, longer = speechlike(1, 16000), speechlike(1.05, 16000)
    with pytest.raises(AudioError, match="16000 samples and degraded of 16800: match their lengths"):
        metric(clean, longer)
    assert np.isfinite(metric(*match_lengths(clean, longer)))


def test_matching_lengths_does_not_hide_what_is_missing():
    with pytest.raises(AudioError, match=r"differ by more than 0\.1 s"):
        match_lengths(speechlike(1, 16000), speechlike(1.2, 16000))


@pytest.mark.parametrize(("metric", "package"), [(pesq, "pesq"), (stoi, "pystoi")])
def test_without_the_package_the_extra_is_named(metric, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    clean = speechlike(1, 16000)
    with pytest.raises(UserError, match=rf"'{package}'.*audiometry\[quality\]"):
        metric(clean, clean)
