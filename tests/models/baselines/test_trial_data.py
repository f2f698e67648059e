from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.types import Audio, Transform
from audiometry.models.baselines.trial_data import (
    TrialData,
    calibrate,
    development_rates,
    development_report,
    load_trials,
)
from audiometry.tasks.corpora.rows import SpoofingTrial


def trials(folder: Path, number: int = 4, rate: int = 16_000) -> list[SpoofingTrial]:
    found = []
    for index in range(number):
        path = folder / f"{index}.wav"
        soundfile.write(path, np.full(800 + index, (index + 1) / 64), rate, subtype="FLOAT")
        spoof = index % 2 == 1
        found.append(
            SpoofingTrial(
                f"t{index}", Audio(str(path)), "spoof" if spoof else "bona fide", "A1" if spoof else "",
                slices={"source": f"prompt {index // 2}"} if index < 2 else {},
            )
        )  # fmt: skip
    return found


def made(scores_of_attacks: dict[str, list[float]]) -> tuple[list[float], TrialData]:
    names = [name for name, values in scores_of_attacks.items() for _ in values]
    scores = [value for values in scores_of_attacks.values() for value in values]
    silence = [np.zeros(1, np.float32) for _ in names]
    return scores, TrialData(silence, np.array([not name for name in names]), names, names)


def test_trials_are_decoded_in_their_order(tmp_path: Path) -> None:
    data = load_trials(trials(tmp_path))
    assert len(data) == 4
    assert [len(one) for one in data.waveforms] == [800, 801, 802, 803]
    assert [one[0] for one in data.waveforms] == [1 / 64, 2 / 64, 3 / 64, 4 / 64]
    assert {one.dtype for one in data.waveforms} == {np.dtype(np.float32)}
    assert data.bona_fide.tolist() == [True, False, True, False]
    assert data.attacks == ["", "A1", "", "A1"]
    assert data.sources == ["prompt 0", "prompt 0", "t2", "t3"]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    asked = trials(tmp_path, number=5)
    one, two = load_trials(asked, processes=1), load_trials(asked, processes=2)
    assert all(np.array_equal(a, b) for a, b in zip(one.waveforms, two.waveforms, strict=True))


def test_transforms_are_applied_and_the_rate_is_made_16_khz(tmp_path: Path) -> None:
    [trial] = trials(tmp_path, number=1, rate=8000)
    quieter = Audio(trial.audio.path, transforms=(Transform("gain", (("db", -20.0),)),))
    [plain] = load_trials([trial]).waveforms
    [changed] = load_trials([SpoofingTrial("t", quieter, "bona fide")]).waveforms
    assert len(plain) == 1600
    assert changed[800] == pytest.approx(plain[800] / 10, rel=1e-3)


def test_what_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trials"):
        load_trials([])
    with pytest.raises(SettingError, match="processes -1"):
        load_trials(trials(tmp_path), processes=-1)
    with pytest.raises(AudioError, match=r"gone\.wav"):
        load_trials([SpoofingTrial("t", Audio(str(tmp_path / "gone.wav")), "spoof", "A1")])
    with pytest.raises(ValueError, match="differ in length"):
        TrialData([], np.array([True]), [""], [""])


def test_rates_are_by_attack() -> None:
    scores, data = made({"": [1.0, 2.0], "A1": [0.0, 0.5], "A2": [1.5, 3.0]})
    rates = development_rates(scores, data)
    assert {name: rate.value for name, rate in rates.groups.items()} == {"A1": 0.0, "A2": 0.5}
    assert (rates.macro, rates.worst, rates.worst_group) == (0.25, 0.5, "A2")
    lines = development_report(scores, data).splitlines()
    assert lines[0].endswith("beside 2 bona fide ones")
    assert [line.split() for line in lines[1:]] == [
        ["A1", "0.00", "2"],
        ["A2", "50.00", "2"],
        ["macro", "25.00", "4"],
        ["worst", "(A2)", "50.00"],
        ["pooled", f"{100 * rates.pooled.value:.2f}", "4"],
    ]


def test_calibrated_scores_are_log_likelihood_ratios() -> None:
    generator = np.random.default_rng(1)
    # two normal densities of variance 1 at ±1: the log-likelihood ratio of x is 2 x; here x is told as 3 x + 5
    raw = np.concatenate([generator.normal(1, 1, 20_000), generator.normal(-1, 1, 4_000)])
    scores, data = made({"": list(3 * raw[:20_000] + 5), "A1": list(3 * raw[20_000:] + 5)})
    calibration = calibrate(scores, data)
    assert calibration.slope == pytest.approx(2 / 3, rel=0.05)
    assert calibration(5.0) == pytest.approx(0.0, abs=0.1)


def test_classes_that_are_apart_have_a_finite_calibration() -> None:
    scores, data = made({"": [1.0, 2.0], "A1": [-1.0, -2.0]})
    calibration = calibrate(scores, data)
    assert 0 < calibration.slope < 100


@given(scores=st.lists(st.integers(-50, 50), min_size=4, max_size=30), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_a_calibration_always_rises(scores: list[int], scale: float) -> None:
    values = [scale * score for score in scores]
    _, data = made({"": [0.0] * (len(scores) // 2), "A1": [0.0] * (len(scores) - len(scores) // 2)})
    assert calibrate(values, data).slope > 0


def test_inverted_scores_keep_their_order_and_say_nothing() -> None:
    scores, data = made({"": [-1.0, -2.0, 0.5], "A1": [1.0, 2.0, -0.5]})
    ratios = calibrate(scores, data)(scores)
    assert np.array_equal(np.argsort(ratios), np.argsort(scores))
    assert np.abs(ratios).max() < 0.01


@pytest.mark.parametrize("values", [[1.0, np.nan, 0.0], [1.0, 0.0], [np.inf, 0.0, 0.0]])
def test_scores_that_are_none_are_told(values: list[float]) -> None:
    _, data = made({"": [1.0], "A1": [0.0, 0.0]})
    with pytest.raises(DataError):
        calibrate(values, data)
