from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.errors import SettingError
from audiometry.models.baselines import aasist_training, saved
from audiometry.models.baselines.aasist import AasistSettings, restore
from audiometry.models.baselines.aasist_training import WaveformAugmentation, change, fit_aasist, fit_aasist_l
from audiometry.models.baselines.trial_data import TrialData

TINY = AasistSettings(
    samples=4000, filters=12, filter_taps=32, filter_stride=2, time_pool=6, channels=(4, 8), graph_width=8,
    stack_width=8,
)  # fmt: skip
SMALL: dict[str, Any] = {
    "network": "aasist-small", "steps": 60, "batch": 16, "evaluate_every": 20, "threads": 1, "rate": 0.01,
}  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aasist_training, "aasist_settings", lambda _name: TINY)


def made(seed: int, count: int = 32) -> TrialData:
    generator = np.random.default_rng(seed)
    bona_fide = np.arange(count) % 2 == 0
    attacks = ["" if real else "AB"[number // 2 % 2] for number, real in enumerate(bona_fide)]
    time = np.arange(6000) / 16_000
    tones = {"": 0.0, "A": np.sin(2 * np.pi * 1000 * time), "B": np.sin(2 * np.pi * 2000 * time)}
    waveforms = [(generator.normal(0, 0.05, 6000) + 0.3 * tones[name]).astype(np.float32) for name in attacks]
    return TrialData(waveforms, bona_fide, attacks, [str(number) for number in range(count)])


def test_a_made_difference_is_learnt_and_read_back(tmp_path: Path) -> None:
    lines: list[str] = []
    found = fit_aasist_l(made(0), made(1), seed=0, report=lines.append, **SMALL)
    assert float(found.facts["development_macro_eer"]) <= 0.15
    assert found.kind == "aasist-l"
    assert any(line.startswith("EER") for line in lines)
    saved.save(tmp_path / "w.safetensors", found)
    network = restore(saved.load(tmp_path / "w.safetensors", kind="aasist-l"))
    assert network.settings == TINY
    for name, value in network.state_dict().items():
        assert not value.is_floating_point() or np.array_equal(value.numpy(), found.arrays[name])


def test_the_same_seed_gives_the_same_weights() -> None:
    quick = {**SMALL, "steps": 3, "evaluate_every": 3}
    first, again, other = (
        fit_aasist(made(0), made(1), seed=seed, report=lambda _line: None, **quick) for seed in (0, 0, 1)
    )
    assert first.kind == "aasist"
    assert all(np.array_equal(first.arrays[name], again.arrays[name]) for name in first.arrays)
    assert any(not np.array_equal(first.arrays[name], other.arrays[name]) for name in first.arrays)


def test_a_network_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="aasist-small"):
        fit_aasist(made(0), made(1), seed=0, report=lambda _line: None, network="rawnet")


def test_nothing_asked_for_changes_but_the_polarity() -> None:
    clips = np.random.default_rng(0).normal(0, 1, (50, 100)).astype(np.float32)
    none = WaveformAugmentation(gain_db=0, noise=0, mix=0)
    changed = change(clips, np.ones(50, bool), none, np.random.default_rng(1))
    sign = (changed / clips)[:, 0]
    assert set(np.unique(sign)) == {-1.0, 1.0}
    assert np.allclose(changed, sign[:, None] * clips)


def test_noise_has_the_ratio_asked_for_and_mixing_stays_in_the_class() -> None:
    loud = np.ones((500, 400), np.float32)
    noisy = change(loud, np.ones(500, bool), WaveformAugmentation(0, 1, 20, 20, 0), np.random.default_rng(0))
    noise = np.abs(noisy.mean(axis=1, keepdims=True)) - np.abs(noisy)
    assert noise.std() == pytest.approx(0.1, rel=0.03)
    real = np.arange(500) % 2 == 0
    parts = np.where(real, 1.0, 2.0).astype(np.float32)[:, None] * loud
    mixed = change(parts, real, WaveformAugmentation(0, 0, 20, 20, 1), np.random.default_rng(0))
    assert np.allclose(np.abs(mixed), parts)


def test_windows_are_anywhere_in_the_clip() -> None:
    ramp, generator = np.arange(10, dtype=np.float32), np.random.default_rng(0)
    longer = [aasist_training._window(ramp, 4, generator) for _ in range(200)]
    assert {int(window[0]) for window in longer} == set(range(7))
    assert all(np.array_equal(np.diff(window), [1, 1, 1]) for window in longer)
    shorter = [aasist_training._window(ramp, 25, generator) for _ in range(200)]
    assert {int(window[0]) for window in shorter} == set(range(10))
    assert all(len(window) == 25 and set(np.diff(window) % 10) == {1} for window in shorter)


def test_raw_boost_changes_as_many_clips_as_it_is_asked_to() -> None:
    clips = np.random.default_rng(0).normal(0, 0.1, (40, 800)).astype(np.float32)
    kept = clips.copy()
    for chance, least, most in ((0.0, 0, 0), (0.5, 10, 30), (1.0, 40, 40)):
        how = WaveformAugmentation(gain_db=0, noise=0, mix=0, raw_boost=chance)
        changed = change(clips, np.ones(40, bool), how, np.random.default_rng(1))
        assert (
            least <= sum(not np.allclose(abs(one), abs(was)) for one, was in zip(changed, clips, strict=True)) <= most
        )
        assert changed.dtype == np.float32
        assert np.abs(changed).max() <= 1
    assert np.array_equal(clips, kept)


def test_a_training_takes_raw_boost() -> None:
    quick = {**SMALL, "steps": 2, "evaluate_every": 2}
    without, given = (
        fit_aasist(made(0), made(1), seed=0, report=lambda _line: None, **quick, raw_boost=chance)
        for chance in ("0", "1")
    )
    assert any(not np.array_equal(without.arrays[name], given.arrays[name]) for name in given.arrays)


@pytest.mark.parametrize(
    "wrong", [{"noise": 2.0}, {"raw_boost": 1.1}, {"mix": -1.0}, {"lowest_snr": 50.0}, {"gain_db": -1.0}]
)
def test_amounts_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match="augmentation"):
        WaveformAugmentation(**wrong)
