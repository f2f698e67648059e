from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, model, parse_spec
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters.one_by_one import OneByOne, sound_of
from audiometry.models.baselines.fusion import fit, spoof_fusion
from audiometry.models.baselines.saved import SavedDetector, save
from audiometry.models.baselines.trial_data import TrialData, development_rates

VERSIONS = {"fused-first-sample": "1", "fused-second-sample": "1", "fused-silent": "1"}
MEMBERS = "fused-first-sample+fused-second-sample"


def reader(name: str, place: int) -> OneByOne:
    def answer(request: Request) -> Output:
        samples = sound_of(request, "input").samples
        return Output(score=float(samples[place]))

    return OneByOne(name, f"{name} {VERSIONS[name]}", frozenset({"detect"}), answer)


@model(
    "fused-first-sample",
    abilities={"detect"},
    fingerprint=lambda: f"fused-first-sample {VERSIONS['fused-first-sample']}",
)
def first_sample() -> OneByOne:
    """Detector that reads its score off the sound."""
    return reader("fused-first-sample", 0)


@model("fused-second-sample", abilities={"detect"})
def second_sample() -> OneByOne:
    """Detector that reads its score off the sound; its fingerprint is known once it is made."""
    return reader("fused-second-sample", 1)


@model("fused-silent", abilities={"detect"})
def silent() -> OneByOne:
    """Detector that never has a score."""
    return OneByOne("fused-silent", "s", frozenset({"detect"}), lambda _: Output(status="refused"))


def made_trials(number: int, seed: int = 0, noise: float = 1.0) -> TrialData:
    """Two samples a trial: both tell the class, each with noise of its own, the second on another scale."""
    generator = np.random.default_rng(seed)
    attacks = [("", "A1", "", "A2")[index % 4] for index in range(4 * number)]
    bona_fide = np.array([not name for name in attacks])
    values = np.where(bona_fide, 1.0, -1.0)[:, None] + noise * generator.normal(size=(4 * number, 2))
    values[:, 1] = 10 * values[:, 1] + 3
    return TrialData(
        [row.astype(np.float32) for row in values], bona_fide, attacks, [str(n) for n in range(4 * number)]
    )


@pytest.fixture(scope="module")
def trained() -> SavedDetector:
    return fit(made_trials(1), made_trials(500), seed=0, report=print, members=MEMBERS)


def ask(made: object, data: TrialData) -> list[Output]:
    asked = [Request("detect", waveforms={"input": Waveform(one, 16_000)}) for one in data.waveforms]
    return made.generate(asked)  # type: ignore[attr-defined]


def scores_of(outputs: Sequence[Output]) -> np.ndarray:
    return np.array([output.score for output in outputs], dtype=float)


def test_the_weights_are_those_of_the_best_linear_sum(trained: SavedDetector) -> None:
    # normal densities of variance 1 at ±1: the ratio is 2 a + 2 b, and b is told as 10 b + 3
    first, second = float(trained.facts["slope"]) * trained.arrays["weights"]
    assert first == pytest.approx(2.0, rel=0.15)
    assert second == pytest.approx(0.2, rel=0.15)


def test_together_they_are_better_than_the_better_one(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained)
    data = made_trials(1000, seed=1)
    spec = parse_spec(f"spoof-fusion:path={path}")
    MODELS.check(spec)
    made = MODELS.create(spec)
    fused = scores_of(ask(made, data))
    assert made.fingerprint == MODELS.fingerprint(spec)
    assert made.abilities == {"detect"}
    assert made.deterministic
    assert made.name == str(spec)
    made.close()
    alone = [development_rates([float(one[place]) for one in data.waveforms], data).macro for place in (0, 1)]
    # Φ(-√2) = 7.9 % together, Φ(-1) = 15.9 % each
    assert development_rates(fused, data).macro == pytest.approx(0.079, abs=0.012)
    assert min(alone) > 0.14
    # and the sum is a log-likelihood ratio: 2 (a + b)
    expected = [2 * one[0] + 2 * (one[1] - 3) / 10 for one in data.waveforms]
    assert np.abs(fused - expected).mean() < 0.4


def test_classes_that_are_apart_have_finite_weights(tmp_path: Path) -> None:
    data = made_trials(20, noise=0.01)
    found = fit(data, data, seed=0, report=print, members=MEMBERS)
    assert np.isfinite(found.arrays["weights"]).all()
    save(tmp_path / "own.safetensors", found)
    scores = scores_of(ask(spoof_fusion(path=str(tmp_path / "own.safetensors")), data))
    assert scores[data.bona_fide].min() > 0 > scores[~data.bona_fide].max()


def test_one_seed_gives_one_fusion(trained: SavedDetector) -> None:
    told: list[str] = []
    again = fit(made_trials(1), made_trials(500), seed=0, report=told.append, members=MEMBERS)
    assert again.facts == trained.facts
    assert np.array_equal(again.arrays["weights"], trained.arrays["weights"])
    assert sum("times the log-likelihood ratio of fused-" in line for line in told) == 2
    assert any("pooled" in line for line in told)


def test_a_member_that_fails_is_named(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained)
    made = spoof_fusion(path=str(path))
    [output] = made.generate([Request("detect", waveforms={"input": Waveform(np.ones(1, np.float32), 16_000)})])
    assert output.status == "error"
    assert (output.error or "").startswith("fused-second-sample: IndexError")
    data = made_trials(2)
    with pytest.raises(DataError, match=r"fused-silent gives development trial 0 \(made of '0'\) no score: refused"):
        fit(data, data, seed=0, report=print, members="fused-first-sample+fused-silent")


def test_other_weights_of_a_member_are_told(
    trained: SavedDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.safetensors"
    save(path, trained)
    monkeypatch.setitem(VERSIONS, "fused-second-sample", "2")
    MODELS.check(parse_spec(f"spoof-fusion:path={path}"))
    with pytest.raises(DataError, match="for another fused-second-sample than is here"):
        spoof_fusion(path=str(path))
    monkeypatch.setitem(VERSIONS, "fused-first-sample", "2")
    with pytest.raises(DataError, match="for another fused-first-sample than is here"):
        MODELS.check(parse_spec(f"spoof-fusion:path={path}"))


@pytest.mark.parametrize("members", ["fused-silent", "fused-silent+fused-silent"])
def test_one_member_is_no_fusion(members: str) -> None:
    data = made_trials(2)
    with pytest.raises(SettingError, match="not two or more different"):
        fit(data, data, seed=0, report=print, members=members)


@pytest.mark.parametrize("member", ["oracle", "whisper", "spoof-fusion", "openai", "outputs:path=x"])
def test_only_detectors_of_their_own_are_members(member: str) -> None:
    data = made_trials(2)
    with pytest.raises(SettingError, match="not a detector that works here by itself"):
        fit(data, data, seed=0, report=print, members=f"fused-silent+{member}")


def test_members_get_the_level_and_their_files_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = made_trials(2)
    with pytest.raises(UserError, match="audiometry train lfcc-gmm --level E1"):
        fit(data, data, seed=0, report=print, members="fused-silent+lfcc-gmm", level="E1")
    with pytest.raises(DataError, match=str(tmp_path / "gone")):
        fit(data, data, seed=0, report=print, members="fused-silent+lfcc-gmm:path=gone")


def test_a_file_that_does_not_fit_is_told(trained: SavedDetector, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    for members in ("no json", "3", "[3]", '[{"model": "fused-silent"}]'):
        save(path, dataclasses.replace(trained, facts={**trained.facts, "members": members}))
        with pytest.raises(DataError, match="does not say whom it holds"):
            MODELS.check(parse_spec(f"spoof-fusion:path={path}"))
    for member in ("fused-silent", "spoof-fusion"):
        one = json.dumps([{"model": member, "fingerprint": "s"}] * (1 if member == "fused-silent" else 2))
        save(path, dataclasses.replace(trained, facts={**trained.facts, "members": one}))
        with pytest.raises(DataError, match="has 2 weights for"):
            spoof_fusion(path=str(path))
    save(path, dataclasses.replace(trained, arrays={}))
    with pytest.raises(DataError, match="no array 'weights'"):
        MODELS.check(parse_spec(f"spoof-fusion:path={path}"))


def test_missing_weights_name_the_command() -> None:
    with pytest.raises(UserError, match="audiometry train spoof-fusion --level E1"):
        MODELS.check(parse_spec("spoof-fusion:level=E1"))


def test_development_trials_of_one_class_are_told() -> None:
    data = made_trials(2)
    real = TrialData(data.waveforms, np.ones(8, bool), [""] * 8, data.sources)
    with pytest.raises(DataError, match="no spoofed trials"):
        fit(data, real, seed=0, report=print, members=MEMBERS)
