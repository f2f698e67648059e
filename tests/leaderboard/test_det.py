"""DET curves and their operating points: against scikit-learn's, against the task's own numbers, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from sklearn.metrics import roc_curve

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable
from audiometry.leaderboard import det
from audiometry.tasks.metrics.detection import ASVSPOOF5_COSTS
from audiometry.tasks.spoof_reduce import SpoofPlan, spoof_reduce, trial_counts

SCORES = st.lists(st.integers(-6, 6).map(float), min_size=3, max_size=40)


def trials(bona_fide: list[float], spoof: list[float]) -> det.Trials:
    return det.Trials("mine", np.array(bona_fide), {"A01": np.array(spoof)})


def task_values(bona_fide: list[float | None], spoof: list[float | None]) -> dict[str, float]:
    """The numbers of the spoof task on the same trials; None stands for a failed one."""
    plan = SpoofPlan(("A01",))
    counts = [trial_counts(plan, "", (), score) for score in bona_fide]
    counts += [trial_counts(plan, "A01", (), score) for score in spoof]
    columns = {name: np.array([count[name] for count in counts]) for name in counts[0]}
    table = ScoreTable(columns, np.arange(len(counts)), np.zeros(len(counts), int), np.zeros(len(counts), int))
    return {name: float(value[0]) for name, value in spoof_reduce(plan)(table, np.ones((1, len(counts)))).items()}


@given(SCORES, SCORES)
def test_operating_points_are_the_numbers_of_the_task(bona_fide: list[float], spoof: list[float]) -> None:
    found = {row["metric"]: row for row in det.operating_points(trials(bona_fide, spoof))}
    expected = task_values(list(bona_fide), list(spoof))
    for metric, row in found.items():
        assert row["value"] == pytest.approx(expected[metric], abs=1e-12), metric
        assert 0 <= row["misses"] <= row["bona_fide"] == len(bona_fide)
        assert 0 <= row["false_alarms"] <= row["spoof"] == len(spoof)
    least = found["min_dcf"]
    assert ASVSPOOF5_COSTS.normalised(least["miss_rate"], least["false_alarm_rate"]) == pytest.approx(least["value"])


@given(SCORES, SCORES)
def test_the_curve_is_that_of_an_independent_roc(bona_fide: list[float], spoof: list[float]) -> None:
    curve = det.curve_of(trials(bona_fide, spoof))
    truth = [1] * len(bona_fide) + [0] * len(spoof)
    false_alarm, hit, _ = roc_curve(truth, [*bona_fide, *spoof], drop_intermediate=False)
    ours = sorted(zip(curve.false_alarm_rate.round(9), curve.miss_rate.round(9), strict=True))
    assert ours == sorted(zip(false_alarm.round(9), (1 - hit).round(9), strict=True))


def test_failed_trials_are_wrong_at_every_threshold() -> None:
    some = trials([-np.inf, 1.0, 2.0, 3.0], [np.inf, -1.0, -2.0, -3.0])
    found = {row["metric"]: row for row in det.operating_points(some)}
    expected = task_values([None, 1.0, 2.0, 3.0], [None, -1.0, -2.0, -3.0])
    for metric in ("eer", "min_dcf", "actual_dcf", "false_alarms_at_1_percent_miss"):
        assert found[metric]["value"] == pytest.approx(expected[metric]), metric
    assert found["eer"]["value"] == 0.25
    assert (found["false_alarms_at_1_percent_miss"]["miss_rate"], found["eer"]["misses"]) == (0.0, 1)


def test_one_miss_in_a_hundred_may_be_lost() -> None:
    bona_fide = [float(i) for i in range(200)]
    found = det.operating_points(trials(bona_fide, [1.5, 2.5, -1.0]))[-1]
    assert (found["misses"], found["false_alarms"]) == (2, 1)  # 0 and 1 are refused, 2.5 is above the threshold
    assert 1.5 < found["threshold"] < 2.0


def write(folder: Path, **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    frame = pd.DataFrame({
        "model": "mine", "task": "spoof", "sample_id": list("abcde"), "status": "ok",
        "stratum": ["bona fide"] * 2 + ["s"] * 3,
        "count.score": [1.0, 2.0, -1.0, 0.5, 9.0], "count.bona_fide": [1.0, 1.0, 0.0, 0.0, 0.0],
        "count.failed": [0.0, 1.0, 0.0, 0.0, 0.0], "detail.attack": ["", "", "A01", "A02", "A02"],
    })  # fmt: skip
    frame.assign(**changes).to_parquet(folder / "scores.parquet")  # type: ignore[arg-type]
    return folder


def test_trials_are_read_by_attack(tmp_path: Path) -> None:
    found = det.read_trials(str(write(tmp_path)), "mine", "spoof")
    assert found.bona_fide.tolist() == [1.0, -np.inf]  # the second one failed
    assert {name: scores.tolist() for name, scores in found.spoof.items()} == {"A01": [-1.0], "A02": [0.5, 9.0]}
    assert sorted(found.of()[1]) == [-1.0, 0.5, 9.0]
    assert found.of("A02")[1].tolist() == [0.5, 9.0]
    with pytest.raises(DataError, match="no trials of attack 'A09'; it has: A01, A02"):
        found.of("A09")


def test_what_is_no_detection_task_says_so(tmp_path: Path) -> None:
    folder = str(write(tmp_path))
    with pytest.raises(DataError, match="hold no trials; choose a detection task"):
        det.read_trials(folder, "other", "spoof")
    with pytest.raises(DataError, match="put the run's folder back"):
        det.read_trials(f"{folder}/gone", "mine", "spoof")
    with pytest.raises(DataError, match="hold one class alone"):
        det.read_trials(str(write(tmp_path / "one", **{"count.bona_fide": 1.0})), "mine", "spoof")
    frame = pd.read_parquet(tmp_path / "scores.parquet").drop(columns="count.score")
    frame.to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(DataError, match="lack count 'score'"):
        det.read_trials(folder, "mine", "spoof")


def test_attacks_without_names_are_told_by_their_stratum(tmp_path: Path) -> None:
    folder = write(tmp_path)
    pd.read_parquet(folder / "scores.parquet").drop(columns="detail.attack").to_parquet(folder / "scores.parquet")
    assert list(det.read_trials(str(folder), "mine", "spoof").spoof) == ["s"]


def test_axes_are_of_the_normal_deviate_and_marks_lie_at_the_rates() -> None:
    rng = np.random.default_rng(0)
    mine = det.Trials("a<b>", rng.normal(2, 1, 500), {"A01": rng.normal(0, 1, 500)})
    other = det.Trials("other", rng.normal(1, 1, 500), {"A01": rng.normal(0, 1, 500)})
    figure = det.det_figure([mine, other], dark=True)
    curves = [trace for trace in figure.data if trace.mode == "lines"]
    assert [trace.name for trace in curves] == ["a&lt;b&gt;", "other"]
    assert len({trace.line.dash for trace in curves}) == 2  # told apart without colour
    low, high = det.axis_range([det.curve_of(one) for one in (mine, other)])
    assert list(figure.layout.xaxis.range) == pytest.approx(ndtri([low, high]))
    marks = next(trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None)
    for x, y, row in zip(marks.x, marks.y, det.operating_points(mine), strict=True):
        assert x == pytest.approx(float(ndtri(np.clip(row["false_alarm_rate"], low, high))))
        assert y == pytest.approx(float(ndtri(np.clip(row["miss_rate"], low, high))))
    eer = det.operating_points(mine)[0]["value"]
    assert 0.12 < eer < 0.2  # the classes are two deviations apart: 16 %
    line = np.polyfit(*(np.array(values)[20:-20] for values in (curves[0].x, curves[0].y)), 1)
    assert line[0] == pytest.approx(-1.0, abs=0.15)  # normal scores of equal spread give a line of slope -1


def test_axes_without_curves_and_of_useless_detectors() -> None:
    low, high = det.axis_range([])
    assert 0 < low < high < 1
    flat = det.Trials("flat", np.zeros(10), {"A01": np.zeros(10)})
    low, high = det.axis_range([det.curve_of(flat)])
    assert 0 < low < high < 1
    assert det.det_figure([flat]).data
