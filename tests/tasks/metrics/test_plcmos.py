from __future__ import annotations

import numpy as np
import pytest

from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.metrics.plcmos import plcmos

RATE = 16000


def lossy(samples, seed=0):
    """Noise under an envelope, with packets of 20 ms missing."""
    generator = np.random.default_rng(seed)
    sound = 0.2 * generator.normal(size=samples) * np.sin(np.arange(samples) / 2000) ** 2
    lost = np.repeat(generator.random(samples // 320 + 1) < 0.1, 320)[:samples]
    return np.where(lost, 0, sound).clip(-1, 1).astype(np.float32)


def peer(samples, seed):
    import speechmos.plcmos

    state = np.random.get_state()
    np.random.seed(seed)
    try:
        return speechmos.plcmos.run(samples, RATE)["plcmos"]
    finally:
        np.random.set_state(state)


@pytest.mark.parametrize("samples", [1281, 1535, 1536, 1537, 16000, 50001])
@pytest.mark.parametrize("seed", [0, 7])
def test_scores_equal_those_of_speechmos(samples, seed):
    sound = lossy(samples)
    assert plcmos(Waveform(sound, RATE), seed=seed) == pytest.approx(peer(sound, seed), abs=1e-4)


def test_silence_equals_that_of_speechmos():
    silence = np.zeros(8000, np.float32)
    half = np.concatenate((silence, lossy(8000)))
    for sound in (silence, half):
        assert plcmos(Waveform(sound, RATE)) == pytest.approx(peer(sound, 0), abs=1e-4)


def test_the_seed_chooses_the_raters_and_leaves_the_global_generator_alone():
    sound = Waveform(lossy(16000), RATE)
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    first, second = plcmos(sound, seed=1), plcmos(sound, seed=2)
    assert np.random.random() == expected
    assert first == plcmos(sound, seed=1)
    assert first != second
    assert first == pytest.approx(second, abs=0.3)


def test_the_number_of_threads_hardly_matters():
    sound = Waveform(lossy(32000), RATE)
    assert plcmos(sound, threads=1) == pytest.approx(plcmos(sound, threads=2), abs=1e-5)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(1280), RATE, "PLCMOS takes one channel of 1281 samples at least"),
        (np.zeros(4000), 48000, "resample"),
        (np.full(4000, np.nan), RATE, "not finite"),
        (np.full(4000, 2.0), RATE, "beyond -1 to 1"),
    ],
)
def test_what_cannot_be_scored_is_an_error(samples, rate, said):
    with pytest.raises(AudioError, match=said):
        plcmos(Waveform(samples.astype(np.float32), rate))


def test_threads_are_checked():
    with pytest.raises(SettingError, match="threads is -1"):
        plcmos(Waveform(lossy(4000), RATE), threads=-1)
