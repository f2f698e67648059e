from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request, Waveform
from audiometry.models.baselines.saved import SavedDetector, save
from audiometry.models.baselines.shortcut import fit, restore
from audiometry.models.baselines.trial_data import TrialData, development_rates

SMALL = {"trees": 30, "depth": 2}


def made_trials(number: int, *, leak: bool, seed: int = 0) -> TrialData:
    """Noise of a random length and level; where there is a leak, spoofs begin with silence or end early."""
    generator = np.random.default_rng(seed)
    waveforms, attacks = [], []
    for index in range(3 * number):
        attack = ("", "padded", "short")[index % 3]
        sound = generator.uniform(0.02, 0.1) * generator.normal(size=generator.integers(8000, 12000))
        if leak and attack == "padded":
            sound[: generator.integers(2000, 4000)] = 0.0
        if leak and attack == "short":
            sound = sound[:6000]
        waveforms.append(sound.astype(np.float32))
        attacks.append(attack)
    return TrialData(waveforms, np.array([not name for name in attacks]), attacks, [str(n) for n in range(3 * number)])


@pytest.fixture(scope="module")
def trained() -> SavedDetector:
    train, development = made_trials(30, leak=True), made_trials(20, leak=True, seed=1)
    return fit(train, development, seed=0, report=print, level="E0", **SMALL)


def error_rates(found: SavedDetector, data: TrialData) -> float:
    score = restore(found)
    return development_rates([score(samples) for samples in data.waveforms], data).macro


def test_a_leak_is_found(trained: SavedDetector) -> None:
    assert error_rates(trained, made_trials(40, leak=True, seed=2)) < 0.02


def test_without_a_leak_it_is_at_chance() -> None:
    train, development = made_trials(100, leak=False), made_trials(30, leak=False, seed=1)
    found = fit(train, development, seed=0, report=print, **SMALL)
    assert error_rates(found, made_trials(100, leak=False, seed=2)) == pytest.approx(0.5, abs=0.1)


def test_one_seed_gives_one_control(trained: SavedDetector) -> None:
    train, development = made_trials(30, leak=True), made_trials(20, leak=True, seed=1)
    again = fit(train, development, seed=0, report=print, level="E0", **SMALL)
    assert again.facts == trained.facts
    assert all(np.array_equal(again.arrays[name], trained.arrays[name]) for name in trained.arrays)


def test_it_is_registered_as_a_control_and_scores_from_a_file(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained)
    spec = parse_spec(f"shortcut:level=E0,path={path}")
    entry = MODELS.check(spec)
    assert entry.control
    assert entry.given is None
    made = MODELS.create(spec)
    assert made.fingerprint == MODELS.fingerprint(spec)
    data = made_trials(5, leak=True, seed=4)
    asked = [Request("detect", waveforms={"input": Waveform(one, 16_000)}) for one in data.waveforms]
    scores = np.array([output.score for output in made.generate(asked)], dtype=float)
    made.close()
    assert scores[data.bona_fide].min() > 0 > scores[~data.bona_fide].max()


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(UserError, match="audiometry train shortcut --level E2"):
        MODELS.check(parse_spec("shortcut:level=E2"))


def test_a_file_that_does_not_fit_is_told(trained: SavedDetector) -> None:
    with pytest.raises(DataError, match="other features"):
        restore(dataclasses.replace(trained, facts={**trained.facts, "features": "duration"}))
    with pytest.raises(DataError, match="no array 'leaf'"):
        restore(dataclasses.replace(trained, arrays={name: trained.arrays[name] for name in ("feature", "threshold")}))
    changes = [
        {"leaf": trained.arrays["leaf"][:, :2]},
        {"threshold": trained.arrays["threshold"][1:]},
        {"feature": trained.arrays["feature"] + 25},
        {"feature": trained.arrays["feature"] - 25},
    ]
    for change in changes:
        with pytest.raises(DataError, match="parts do not fit"):
            restore(dataclasses.replace(trained, arrays={**trained.arrays, **change}))


@pytest.mark.parametrize("change", [{"trees": 0}, {"depth": 0}, {"depth": 9}, {"rate": 0.0}, {"rate": 1.5}])
def test_settings_out_of_range_are_told(change: dict[str, float]) -> None:
    data = made_trials(2, leak=True)
    with pytest.raises(SettingError, match="training 'shortcut'"):
        fit(data, data, seed=0, report=print, **change)


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> str:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    return rf"'{package}'; install it with: pip install 'audiometry\[spoof\]'"


def test_what_training_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made_trials(2, leak=True)
    with pytest.raises(UserError, match=without("sklearn", monkeypatch)):
        fit(data, data, seed=0, report=print)


def test_what_scoring_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=without("safetensors", monkeypatch)):
        MODELS.check(parse_spec("shortcut"))


def test_a_class_without_trials_is_told() -> None:
    data = made_trials(2, leak=True)
    empty = TrialData(data.waveforms, np.ones(6, bool), [""] * 6, data.sources)
    with pytest.raises(DataError, match="train part has no spoofed trials"):
        fit(empty, data, seed=0, report=print)
