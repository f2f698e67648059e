"""Each level takes away what it says, whatever the recording was before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.tasks.corpora.spoof.equalisation import (
    BANDS,
    LEVELS,
    RATE,
    active_span,
    equalise,
    long_term_spectrum,
    mu_law,
)

TARGET = np.linspace(6.0, -6.0, 24)


def voice(seconds: float, *, tilt: float = 0.0, level: float = 0.1, silence: float = 0.3, seed: int = 0) -> Waveform:
    """Noise with a tilted spectrum, in syllables, between silences."""
    generator = np.random.default_rng(seed)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(generator.standard_normal(count))
    frequencies = np.fft.rfftfreq(count, 1 / RATE)
    shaped = np.fft.irfft(spectrum * np.maximum(frequencies / 1000, 0.05) ** tilt, count)
    shaped *= 0.6 + 0.4 * np.sin(2 * np.pi * 4 * np.arange(count) / RATE)
    ends = np.zeros(round(silence * RATE))
    samples = np.concatenate([ends, level * shaped / np.abs(shaped).max(), ends])
    return Waveform(samples.astype(np.float32), RATE)


def made(waveform: Waveform, level: str, seed: int = 1) -> FloatArray:
    equal = equalise(waveform, level, np.random.default_rng(seed), target=TARGET)  # type: ignore[arg-type]
    assert equal.rate == RATE
    assert equal.samples.dtype == np.float32
    return equal.samples.astype(np.float64)


def speech_level(samples: FloatArray) -> float:
    first, last = active_span(samples)
    return float(10 * np.log10(np.square(samples[first:last]).mean()))


def test_e0_sets_rate_and_peak_alone() -> None:
    narrow = resample(voice(1.5), 8000)
    samples = made(narrow, "E0")
    assert np.abs(samples).max() == pytest.approx(0.9, abs=1e-6)
    assert len(samples) == pytest.approx(2 * len(narrow.samples), abs=2)


@given(level=st.floats(0.01, 0.9), silence=st.floats(0.0, 2.0))
def test_e1_takes_away_silence_and_level(level: float, silence: float) -> None:
    samples = made(voice(1.5, level=level, silence=silence), "E1")
    assert len(samples) / RATE == pytest.approx(1.5, abs=0.05)
    assert speech_level(samples) == pytest.approx(-26.0, abs=0.6)


@pytest.mark.parametrize("seconds", [1.1, 1.9, 2.0, 2.1, 7.0])
@pytest.mark.parametrize("level", ["E2", "E3", "E4"])
def test_from_e2_on_all_have_one_length(level: str, seconds: float) -> None:
    assert len(made(voice(seconds), level)) == 2 * RATE


def test_e3_takes_away_band_and_silence_within() -> None:
    samples = made(voice(3.0), "E3")
    spectrum = np.square(np.abs(np.fft.rfft(samples)))
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    inside = spectrum[(frequencies > 400) & (frequencies < 3300)].mean()
    for outside in (frequencies < 150, frequencies > 4100):
        assert 10 * np.log10(spectrum[outside].mean() / inside) < -25


def test_e4_gives_all_one_tone_colour() -> None:
    spectra = {
        level: [long_term_spectrum(made(voice(2.5, tilt=tilt), level)) for tilt in (-1.0, 0.0, 0.8)]
        for level in ("E3", "E4")
    }
    spread = {level: np.ptp(np.stack(found), axis=0)[2:-2].max() for level, found in spectra.items()}
    assert spread["E3"] > 10
    assert spread["E4"] < 3


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_generator_gives_the_same_samples(level: str) -> None:
    np.testing.assert_array_equal(made(voice(3.0), level), made(voice(3.0), level))
    if level not in ("E0", "E1"):
        assert not np.array_equal(made(voice(3.0), level, seed=1), made(voice(3.0), level, seed=2))


def test_what_cannot_be_equalised_is_told() -> None:
    with pytest.raises(AudioError, match=r"the recording has 0\.\d\d s of speech; at least 1 s are needed"):
        made(voice(0.5), "E1")
    with pytest.raises(AudioError, match="the recording is silent"):
        made(Waveform(np.zeros(RATE, np.float32), RATE), "E0")
    with pytest.raises(ValueError, match="no level 'E9'"):
        made(voice(2.0), "E9")
    with pytest.raises(ValueError, match="level E4 needs the long-term spectrum"):
        equalise(voice(2.0), "E4", np.random.default_rng(0))


def test_the_long_term_spectrum_of_white_noise_is_flat() -> None:
    noise = np.random.default_rng(0).standard_normal(20 * RATE)
    assert np.abs(long_term_spectrum(noise)).max() < 1.0
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    loudest = int(np.argmax(long_term_spectrum(tone)))
    assert BANDS[loudest] <= 1000 < BANDS[loudest + 1]


def test_mu_law_is_that_of_the_codec() -> None:
    """FFmpeg's encoder follows G.711's segments, which differ from the curve by less than a step."""
    import av

    ramp = np.linspace(-0.99, 0.99, 4001)
    encoder = av.CodecContext.create("pcm_mulaw", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(np.round(ramp * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
    frame.sample_rate = 8000
    decoder = av.CodecContext.create("pcm_mulaw", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoded = np.concatenate([out.to_ndarray().ravel() for packet in packets for out in decoder.decode(packet)])
    step = np.maximum(np.abs(ramp), 0.01) / 16
    assert np.all(np.abs(decoded / 32768 - mu_law(ramp)) < step + 0.005)
