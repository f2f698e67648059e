"""Answers that other models judge, on real Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark import runner
from audiometry.benchmark.errors import UnknownNameError
from audiometry.benchmark.evaluate import Evaluation, evaluate
from audiometry.benchmark.plan import PlannedModel, RunSettings
from audiometry.benchmark.rescore import rescore

PLUGIN = str(Path(__file__).with_name("judged.py"))
LOUD = RunSettings(models=("tone",), tasks=("loudness",), plugins=(PLUGIN,), batch_size=4, resamples=200)
MEAN = sum(range(1, 13)) / 12 / 100

pytestmark = pytest.mark.usefixtures("ray_here", "home")


def run(settings: RunSettings, folder: Path) -> Evaluation:
    return evaluate(settings, output=folder, quiet=True)


def outputs(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "outputs.parquet").set_index("sample_id")


@pytest.mark.parametrize("judge", ["loudness-judge", "known-judge", "remote-judge"])
def test_answers_are_scored_by_what_the_judge_says(tmp_path: Path, judge: str) -> None:
    done = run(replace(LOUD, tasks=(f"loudness:judges={judge}",)), tmp_path / "run")
    overall = done.results[0]
    assert (done.status, overall.n, overall.failed) == ("complete", 12, 0)
    assert overall.value == pytest.approx(MEAN, abs=1e-4)
    fingerprint = {"loudness-judge": "loudness-judge-"}.get(judge, judge)
    assert overall.judges == (f"{judge} {fingerprint}",)
    said = json.loads(outputs(done.folder).loc["s004", "judged"])
    assert said[judge]["score"] == pytest.approx(0.05, abs=1e-4)


def test_several_judges_hear_each_answer(tmp_path: Path) -> None:
    done = run(replace(LOUD, tasks=("loudness:judges=loudness-judge+known-judge",)), tmp_path / "run")
    assert done.results[0].value == pytest.approx(MEAN, abs=1e-4)
    assert all(len(json.loads(text)) == 2 for text in outputs(done.folder)["judged"])


def test_a_judge_that_fails_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    settings = replace(LOUD, tasks=("loudness:judges=loudness-judge:fail=7",), max_failures=0.5)
    done = run(settings, tmp_path / "run")
    scores = pd.read_parquet(done.folder / "scores.parquet").set_index("sample_id")
    assert dict(scores["status"]) == {name: "error" if name == "s006" else "ok" for name in scores.index}
    assert "deaf to this" in outputs(done.folder).loc["s006", "error"]
    assert (done.results[0].n, done.results[0].failed) == (12, 1)


def test_an_answer_that_is_none_is_not_judged(tmp_path: Path) -> None:
    done = run(replace(LOUD, models=("tone:mute=3",)), tmp_path / "run")
    assert (done.results[0].n, done.results[0].empty) == (12, 1)
    assert list(outputs(done.folder)["judged"].isna()) == [name == "s002" for name in outputs(done.folder).index]


def test_what_was_judged_is_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(LOUD, tasks=("loudness:judges=known-judge",))
    first = run(settings, tmp_path / "first")
    starter = runner._starter

    def never_a_judge(started: object, model: PlannedModel) -> object:
        assert model.label != "known-judge", "a judge was started"
        return starter(started, model)

    monkeypatch.setattr(runner, "_starter", never_a_judge)
    again = run(settings, tmp_path / "again")
    assert [result.value for result in again.results] == [result.value for result in first.results]


def test_answers_wait_where_the_judge_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "BACKLOG", 10)
    most = []
    take = runner.Judging.take

    def taken(judging, model, pairs):
        final = take(judging, model, pairs)
        most.append(judging.open)
        return final

    monkeypatch.setattr(runner.Judging, "take", taken)
    settings = replace(LOUD, tasks=("loudness:judges=loudness-judge:seconds=0.02,count=90",), batch_size=1, workers=1)
    monkeypatch.setattr("audiometry.benchmark.pool.PARCEL_ITEMS", 4)
    done = run(settings, tmp_path / "run")
    assert done.results[0].n == 90
    assert 10 <= max(most) <= 10 + 2 * 4  # what two messages hold may still come


def test_scoring_again_asks_no_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(LOUD, tmp_path / "run")
    monkeypatch.setattr(runner, "ray_cluster", lambda *_: pytest.fail("Ray was started"))
    again = rescore(done.folder, output=tmp_path / "again", quiet=True)
    assert [result.value for result in again.results] == [result.value for result in done.results]
    assert again.results[0].judges == done.results[0].judges


def test_a_judge_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'nobody'"):
        run(replace(LOUD, tasks=("loudness:judges=nobody",)), tmp_path / "run")
