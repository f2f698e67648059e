from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.non_speech import KINDS, RATE, SECONDS, make_clip, non_speech


def level(sound: Waveform) -> float:
    return 10 * np.log10(np.mean(sound.samples.astype(np.float64) ** 2))


def slope(sound: Waveform) -> float:
    """Change of power with frequency between 100 Hz and 6 kHz, in dB an octave."""
    power = np.abs(np.fft.rfft(sound.samples)) ** 2
    frequency = np.fft.rfftfreq(len(sound.samples), 1 / RATE)
    octaves = np.arange(np.log2(100), np.log2(6000))
    means = [power[(frequency >= 2**low) & (frequency < 2 ** (low + 1))].mean() for low in octaves]
    return float(np.polyfit(octaves, 10 * np.log10(means), 1)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_what_its_name_says(kind: str) -> None:
    sound = make_clip(f"{kind}-x", kind, 2.0)
    assert (sound.rate, len(sound.samples), sound.samples.dtype) == (RATE, 2 * RATE, np.float32)
    assert np.abs(sound.samples).max() <= 0.9901
    low, high = (-80.1, -59.9) if kind == "silence" else (-40.1, -14.9)
    assert low < level(sound) < high
    np.testing.assert_array_equal(sound.samples, make_clip(f"{kind}-x", kind, 2.0).samples)
    assert not np.array_equal(sound.samples, make_clip(f"{kind}-y", kind, 2.0).samples)


@pytest.mark.parametrize(("kind", "per_octave"), [("white-noise", 0.0), ("pink-noise", -3.01), ("brown-noise", -6.02)])
def test_noise_has_its_colour(kind: str, per_octave: float) -> None:
    assert slope(make_clip("colour", kind, 10.0)) == pytest.approx(per_octave, abs=0.4)


def test_hum_is_at_the_mains() -> None:
    sound = make_clip("hum", "hum", 4.0)
    peak = np.fft.rfftfreq(len(sound.samples), 1 / RATE)[np.argmax(np.abs(np.fft.rfft(sound.samples)))]
    assert min(abs(peak - 50.0), abs(peak - 60.0)) < 0.5


def test_digital_silence_is_nothing() -> None:
    assert not make_clip("silence", "silence", 1.0, silent=True).samples.any()


def test_the_corpus_is_200_clips(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiometry.tasks.corpora.non_speech.SECONDS", (0.1, 0.2, 0.3, 0.4))
    corpus = non_speech()
    told: list[str] = []
    with pytest.raises(DataError, match="leave out --source"):
        corpus.prepare("somewhere", told.append)
    corpus.prepare(None, told.append)
    utterances = corpus.utterances()
    assert len(utterances) == len({u.audio.digest for u in utterances}) == 200
    assert Counter(u.id.split("/")[1].split("-")[0] for u in utterances)["babble"] == 20
    assert {u.text for u in utterances} == {""}
    assert corpus.verify() == 200
    assert all(abs(read(u.audio).seconds - (u.audio.seconds or 0)) < 1e-6 for u in utterances[:10])
    assert corpus.describe()["origin: numpy"]
    assert SECONDS == (1, 3, 10, 32)
