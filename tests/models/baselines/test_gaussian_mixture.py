from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request, Waveform
from audiometry.models.baselines.gaussian_mixture import fit, lfcc_gmm, log_density, restore
from audiometry.models.baselines.saved import SavedDetector, load, save
from audiometry.models.baselines.trial_data import TrialData, development_rates

SMALL = {"components": 4, "frames": 2000, "iterations": 20}


def made_trials(colours: Sequence[tuple[str, float]], number: int, seed: int = 0) -> TrialData:
    """Noise through a filter of one pole, its place by the attack: what the cepstra hear and a level does not tell."""
    from scipy.signal import lfilter

    generator = np.random.default_rng(seed)
    waveforms, attacks = [], []
    for name, pole in colours:
        for _ in range(number):
            sound = lfilter([1.0], [1.0, -pole], generator.normal(size=4800))
            waveforms.append((0.1 * sound / sound.std()).astype(np.float32))
            attacks.append(name)
    return TrialData(
        waveforms, np.array([not name for name in attacks]), attacks, [str(n) for n in range(len(attacks))]
    )


APART = (("", 0.6), ("A1", -0.6), ("A2", 0.0))
ALIKE = (("", 0.3), ("A1", 0.3), ("A2", 0.3))


@pytest.fixture(scope="module")
def trained() -> SavedDetector:
    return fit(made_trials(APART, 8), made_trials(APART, 8, 1), seed=0, report=print, level="E0", **SMALL)


def test_classes_of_another_colour_are_told_apart(trained: SavedDetector) -> None:
    data = made_trials(APART, 10, seed=2)
    score = restore(trained)
    rates = development_rates([score(samples) for samples in data.waveforms], data)
    assert rates.worst == 0.0


def test_equal_classes_are_chance() -> None:
    found = fit(made_trials(ALIKE, 30), made_trials(ALIKE, 10, 1), seed=0, report=print, level="E0", **SMALL)
    data = made_trials(ALIKE, 60, seed=2)
    score = restore(found)
    rates = development_rates([score(samples) for samples in data.waveforms], data)
    assert rates.macro == pytest.approx(0.5, abs=0.12)


def test_one_seed_gives_one_detector(trained: SavedDetector) -> None:
    again = fit(made_trials(APART, 8), made_trials(APART, 8, 1), seed=0, report=print, level="E0", **SMALL)
    assert again.facts == trained.facts
    assert all(np.array_equal(again.arrays[name], trained.arrays[name]) for name in trained.arrays)
    other = fit(made_trials(APART, 8), made_trials(APART, 8, 1), seed=1, report=print, level="E0", **SMALL)
    assert not np.array_equal(other.arrays["spoof_means"], trained.arrays["spoof_means"])


def test_progress_and_the_development_table_are_reported() -> None:
    told: list[str] = []
    fit(made_trials(APART, 8), made_trials(APART, 8, 1), seed=0, report=told.append, level="E4", **SMALL)
    assert told[0] == "lfcc-gmm: 4 components over 232 frames, bona fide"  # 8 trials of 29 frames
    assert told[1] == "lfcc-gmm: 4 components over 464 frames, spoof"
    assert "macro" in told[2]
    assert "pooled" in told[2]
    assert told[3].startswith("calibrated")


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), components=st.integers(1, 5), dimensions=st.integers(1, 4))
def test_densities_are_those_of_scipy_and_scikit_learn(seed: int, components: int, dimensions: int) -> None:
    generator = np.random.default_rng(seed)
    frames = generator.normal(size=(7, dimensions))
    weights = generator.dirichlet(np.ones(components))
    means, variances = generator.normal(size=(2, components, dimensions))
    variances = np.exp(variances)
    densities = sum(
        weight * multivariate_normal(mean, np.diag(variance)).pdf(frames)
        for weight, mean, variance in zip(weights, means, variances, strict=True)
    )
    found = log_density(frames, weights, means, variances)
    assert np.allclose(found, np.log(densities))
    theirs = GaussianMixture(components, covariance_type="diag")
    theirs.weights_, theirs.means_, theirs.covariances_ = weights, means, variances
    theirs.precisions_cholesky_ = 1 / np.sqrt(variances)
    assert np.allclose(found, theirs.score_samples(frames))


def test_far_frames_do_not_underflow() -> None:
    far = log_density(np.full((1, 60), 100.0), np.full(2, 0.5), np.zeros((2, 60)), np.ones((2, 60)))
    assert far[0] == pytest.approx(-0.5 * 60 * (1e4 + np.log(2 * np.pi)))


def test_the_score_is_a_mean_over_frames(trained: SavedDetector) -> None:
    score = restore(trained)
    sound = made_trials(APART, 1).waveforms[0][:3200]  # 19 frames, and a period of 20 once it is repeated
    twice, four = score(np.tile(sound, 2)), score(np.tile(sound, 4))
    assert twice == pytest.approx(four, rel=0.1)


def test_a_saved_detector_scores_the_same(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, dataclasses.replace(trained, facts={**trained.facts, "corpus": "made"}))
    data = made_trials(APART, 1, seed=3)
    spec = parse_spec(f"lfcc-gmm:level=E0,path={path}")
    MODELS.check(spec)
    made = MODELS.create(spec)
    assert made.fingerprint == MODELS.fingerprint(spec)
    assert made.name == str(spec)
    assert made.abilities == {"detect"}
    outputs = made.generate([Request("detect", waveforms={"input": Waveform(one, 16_000)}) for one in data.waveforms])
    made.close()
    slope, offset = (float(trained.facts[name]) for name in ("slope", "offset"))
    score = restore(trained)
    assert [output.score for output in outputs] == [
        pytest.approx(slope * score(samples) + offset) for samples in data.waveforms
    ]
    assert outputs[0].score is not None
    assert outputs[0].score > 0 > max(output.score or 0.0 for output in outputs[1:])


def test_what_is_no_sound_is_an_error(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained)
    made = lfcc_gmm(level="E0", path=str(path))
    broken = [np.array([0.0, np.nan], np.float32), np.zeros(0, np.float32)]
    outputs = made.generate([Request("detect", waveforms={"input": Waveform(one, 16_000)}) for one in broken])
    outputs += made.generate([Request("detect")])
    assert [output.status for output in outputs] == ["error"] * 3
    assert "not finite" in (outputs[0].error or "")
    assert "no sound in the role 'input'" in (outputs[2].error or "")


def test_silence_has_a_score(trained: SavedDetector) -> None:
    assert np.isfinite(restore(trained)(np.zeros(16_000, np.float32)))


def test_a_file_that_does_not_fit_is_told(trained: SavedDetector, tmp_path: Path) -> None:
    arrays = dict(trained.arrays)
    del arrays["spoof_means"]
    with pytest.raises(DataError, match="no array 'spoof_means'"):
        restore(dataclasses.replace(trained, arrays=arrays))
    arrays["spoof_means"] = trained.arrays["spoof_means"][:, :5]
    with pytest.raises(DataError, match="mixture 'spoof' whose parts do not fit"):
        restore(dataclasses.replace(trained, arrays=arrays))
    for band in ("wide", json.dumps([1.0]), json.dumps(3)):
        with pytest.raises(DataError, match="does not say its band"):
            restore(dataclasses.replace(trained, facts={**trained.facts, "band": band}))
    path = tmp_path / "other.safetensors"
    save(path, dataclasses.replace(trained, kind="shortcut"))
    with pytest.raises(DataError, match="'shortcut', not 'lfcc-gmm'"):
        MODELS.check(parse_spec(f"lfcc-gmm:level=E0,path={path}"))
    save(path, trained)
    assert load(path, kind="lfcc-gmm").facts == trained.facts
    with pytest.raises(DataError, match="give level=E0"):
        MODELS.check(parse_spec(f"lfcc-gmm:path={path}"))


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(UserError, match="audiometry train lfcc-gmm --level E1"):
        MODELS.check(parse_spec("lfcc-gmm:level=E1"))


@pytest.mark.parametrize("name", ["components", "frames", "iterations"])
def test_settings_out_of_range_are_told(name: str) -> None:
    data = made_trials(APART, 1)
    with pytest.raises(SettingError, match=f"'{name}': 0 is less than 1"):
        fit(data, data, seed=0, report=print, **{**SMALL, name: 0})


def test_data_that_cannot_be_trained_on_is_told() -> None:
    data, real = made_trials(APART, 1), made_trials(APART[:1], 2)
    with pytest.raises(DataError, match="development part has no spoofed trials"):
        fit(data, real, seed=0, report=print)
    with pytest.raises(DataError, match="train part has no bona fide trials"):
        fit(made_trials(APART[1:], 2), data, seed=0, report=print)
    with pytest.raises(DataError, match="29 frames are too few for 64"):
        fit(data, data, seed=0, report=print)
