"""The way a sample goes, on real Ray, with models that misbehave."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark.errors import AudiometryError, RunInterruptedError, SettingError, StoreError, UserError
from audiometry.benchmark.evaluate import Evaluation, evaluate, resume
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.rescore import rescore
from audiometry.benchmark.store import Store
from audiometry.benchmark.tally import Tally

PLUGIN = str(Path(__file__).with_name("faulty.py"))
ECHO = RunSettings(models=("faulty",), tasks=("echo",), plugins=(PLUGIN,), batch_size=4, resamples=200)

pytestmark = [pytest.mark.usefixtures("ray_here", "home")]


def run(settings: RunSettings, folder: Path) -> Evaluation:
    return evaluate(settings, output=folder, quiet=True)


def statuses(folder: Path) -> dict[str, str]:
    frame = pd.read_parquet(folder / "outputs.parquet")
    return dict(zip(frame["sample_id"], frame["status"], strict=True))


def test_undisturbed_run_leaves_everything(tmp_path: Path) -> None:
    done = run(ECHO, tmp_path / "run")
    overall = next(result for result in done.results if result.slice == "all")
    assert (done.status, overall.value, overall.n, overall.failed) == ("complete", 0.0, 20, 0)
    assert {path.name for path in done.folder.iterdir()} == {
        "run.json", "results.json", "outputs.parquet", "scores.parquet", "log.jsonl",
    }  # fmt: skip
    document = json.loads((done.folder / "run.json").read_text())
    assert document["models"][0]["fingerprint"] == "faulty-none-007-"
    assert document["versions"]["ray"]
    assert json.loads((done.folder / "results.json").read_text())["run"] == document["fingerprint"]
    stored = Store.open().results()
    assert len(stored) == len(done.results)


def test_slices_are_reported_and_twins_are_marked(tmp_path: Path) -> None:
    done = run(ECHO, tmp_path / "run")
    by_slice = {result.slice: result for result in done.results}
    assert list(by_slice) == ["all", "every=one", "parity=even", "parity=odd"]
    assert "same samples as all" in by_slice["every=one"].notes
    assert by_slice["parity=even"].n == 10


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise", "a poisonous sample"),
        ("few", "outputs for"),
        ("type", "in place of an Output"),
        ("nan", "not a finite number"),
    ],
)
def test_poison_costs_only_itself(tmp_path: Path, fault: str, reason: str) -> None:
    done = run(replace(ECHO, models=(f"faulty:fault={fault}",)), tmp_path / "run")
    found = statuses(done.folder)
    expected = {name: "error" if name == "s007" else "ok" for name in found}
    assert found == expected
    outputs = pd.read_parquet(done.folder / "outputs.parquet").set_index("sample_id")
    assert reason in outputs.loc["s007", "error"]
    overall = done.results[0]
    assert (overall.failed, overall.n, overall.value) == (1, 20, 1 / 20)


def test_a_dying_worker_is_replaced_and_the_poison_is_marked(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("faulty:fault=die",)), tmp_path / "run")
    found = statuses(done.folder)
    assert {name for name, status in found.items() if status == "error"} == {"s007"}
    assert len(found) == 20


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    calm = run(ECHO, tmp_path / "calm")
    once = tmp_path / "once"
    done = run(replace(ECHO, models=(f"faulty:fault=die,once={once}",)), tmp_path / "run")
    assert once.exists()
    assert [result.value for result in done.results] == [result.value for result in calm.results]
    assert set(statuses(done.folder).values()) == {"ok"}


def test_a_hanging_sample_times_out(tmp_path: Path) -> None:
    settings = replace(ECHO, models=("faulty:fault=hang",), sample_timeout=0.7, workers=1)
    found = statuses(run(settings, tmp_path / "run").folder)
    assert {name for name, status in found.items() if status == "timeout"} == {"s007"}
    assert len(found) == 20


def test_blank_answers_are_empty_and_not_failures(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("faulty:fault=blank",)), tmp_path / "run")
    overall = done.results[0]
    assert (overall.empty, overall.failed, overall.value) == (1, 0, 1 / 20)


def test_a_model_that_does_not_load_is_told(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("stillborn", "faulty")), tmp_path / "run")
    assert done.status == "too many failures"
    assert "the weights are damaged" in done.problems[0]
    outcome = {result.model: result for result in done.results if result.slice == "all"}
    assert (outcome["stillborn"].failed, outcome["faulty"].failed) == (20, 0)
    assert Store.open().results().empty


def test_results_do_not_depend_on_workers_or_batches(tmp_path: Path) -> None:
    settings = replace(ECHO, models=("faulty:fault=blank", "parrot"), limit=11, seed=5)
    first = run(settings, tmp_path / "a").folder
    second = run(replace(settings, workers=2, batch_size=3), tmp_path / "b").folder
    assert (first / "results.json").read_bytes() == (second / "results.json").read_bytes()
    columns = ["model", "sample_id", "status", "text"]
    frames = [pd.read_parquet(folder / "outputs.parquet")[columns] for folder in (first, second)]
    frames = [frame.sort_values(columns[:2], ignore_index=True) for frame in frames]
    pd.testing.assert_frame_equal(*frames)


def test_controls_are_given_another_target(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("parrot",)), tmp_path / "run")
    assert (done.results[0].value, done.results[0].control) == (1.0, True)


def test_a_fault_in_scoring_is_not_the_models(tmp_path: Path) -> None:
    with pytest.raises(AudiometryError, match=r"task 'unscorable' cannot score sample 's00\d'.*a fault in the task"):
        run(replace(ECHO, tasks=("unscorable",)), tmp_path / "run")


def test_bad_plans_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot respond, which task 'echo' asks; it can: transcribe"):
        run(replace(ECHO, models=("deaf",)), tmp_path / "run")
    with pytest.raises(SettingError, match="needs at least two samples"):
        run(replace(ECHO, models=("parrot",), limit=1), tmp_path / "run")
    with pytest.raises(SettingError, match="--limit 0 is out of range"):
        run(replace(ECHO, limit=0), tmp_path / "run")
    with pytest.raises(UserError, match="needs 64 CPUs and the cluster has 2"):
        run(replace(ECHO, cpus=64), tmp_path / "run")
    with pytest.raises(SettingError, match="two models are called 'faulty'"):
        run(replace(ECHO, models=("faulty", "faulty:fault=none,label=faulty")), tmp_path / "run")


def test_answers_are_cached_between_runs_and_ray_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(ECHO, models=("known:fault=blank",))
    first = run(settings, tmp_path / "first")
    monkeypatch.setattr("audiometry.benchmark.runner.ray_cluster", lambda *_: pytest.fail("Ray was started"))
    second = run(replace(settings, workers=2, batch_size=7), tmp_path / "second")
    assert (first.folder / "results.json").read_bytes() == (second.folder / "results.json").read_bytes()
    assert pd.read_parquet(second.folder / "outputs.parquet")["cached"].all()
    timing = json.loads((second.folder / "run.json").read_text())["timings"][0]
    assert timing["cached"] == 20


def test_a_changed_setting_never_hits(tmp_path: Path) -> None:
    run(replace(ECHO, models=("known",)), tmp_path / "first")
    done = run(replace(ECHO, models=("known:fault=blank",)), tmp_path / "second")
    assert not pd.read_parquet(done.folder / "outputs.parquet")["cached"].any()


def test_a_model_that_tells_its_fingerprint_late_is_cached_too(tmp_path: Path) -> None:
    run(replace(ECHO, limit=8), tmp_path / "first")
    done = run(ECHO, tmp_path / "second")
    assert pd.read_parquet(done.folder / "outputs.parquet")["cached"].sum() == 8
    fresh = run(replace(ECHO, cache=False), tmp_path / "third")
    assert not pd.read_parquet(fresh.folder / "outputs.parquet")["cached"].any()


def test_failures_are_asked_again(tmp_path: Path) -> None:
    once = tmp_path / "once"
    models = (f"known:fault=nan,once={once}",)
    first = run(replace(ECHO, models=models), tmp_path / "first")
    second = run(replace(ECHO, models=models), tmp_path / "second")
    assert (first.results[0].failed, second.results[0].failed) == (1, 0)
    assert pd.read_parquet(second.folder / "outputs.parquet")["cached"].sum() == 19


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(ECHO, cache=False)
    whole = run(settings, tmp_path / "whole")
    answered = Tally.answered

    def stop_after_some(self: Tally, model: int, pairs: list[Any]) -> None:
        answered(self, model, pairs[:3])
        raise RunInterruptedError("stopped by a test")

    monkeypatch.setattr(Tally, "answered", stop_after_some)
    with pytest.raises(RunInterruptedError, match=r"3 samples are in .*; go on with: audiometry run --resume"):
        run(settings, tmp_path / "stopped")
    monkeypatch.undo()
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))
    stopped = json.loads((tmp_path / "stopped" / "results.json").read_text())["results"][0]
    assert stopped["n"] == 3
    done = resume(tmp_path / "stopped", quiet=True)
    assert (done.folder / "results.json").read_bytes() == (whole.folder / "results.json").read_bytes()
    assert pd.read_parquet(done.folder / "outputs.parquet")["sample_id"].is_unique
    with pytest.raises(StoreError, match="is complete; there is nothing to go on with"):
        resume(tmp_path / "stopped")


def test_tasks_with_the_same_requests_share_one_inference(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("known",), tasks=("echo", "echo-again"), batch_size=20), tmp_path / "run")
    outputs = pd.read_parquet(done.folder / "outputs.parquet")
    assert not outputs[outputs["task"] == "echo"]["cached"].any()
    assert len(outputs) == 40


def test_exclusive_tasks_are_never_cached(tmp_path: Path) -> None:
    settings = replace(ECHO, models=("known", "faulty"), tasks=("alone", "echo"))
    run(settings, tmp_path / "first")
    done = run(settings, tmp_path / "second")
    outputs = pd.read_parquet(done.folder / "outputs.parquet")
    assert outputs.groupby("task")["cached"].all().to_dict() == {"alone": False, "echo": True}


def test_scoring_again_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(replace(ECHO, models=("faulty:fault=blank", "faulty:fault=raise")), tmp_path / "first")
    monkeypatch.setattr("audiometry.benchmark.runner.ray_cluster", lambda *_: pytest.fail("Ray was started"))
    again = rescore(first.folder, output=tmp_path / "again", quiet=True)
    assert (first.folder / "results.json").read_bytes() == (again.folder / "results.json").read_bytes()
    document = json.loads((again.folder / "run.json").read_text())
    assert document["rescored"] == json.loads((first.folder / "run.json").read_text())["id"]
    with pytest.raises(StoreError, match="holds no run; give the folder of one"):
        rescore(tmp_path / "nothing")


def test_the_workers_peak_travels_with_the_answer(tmp_path: Path) -> None:
    first = run(replace(ECHO, models=("faulty:fault=die,at=003",), tasks=("alone",)), tmp_path / "first")
    told = pd.read_parquet(first.folder / "outputs.parquet").set_index("sample_id")["peak_bytes"]
    assert told.isna().to_dict() == {name: name == "s003" for name in told.index}  # its worker died
    assert (told.dropna() > 2**20).all()
    again = rescore(first.folder, output=tmp_path / "again", quiet=True)
    kept = pd.read_parquet(again.folder / "outputs.parquet").set_index("sample_id")["peak_bytes"]
    pd.testing.assert_series_equal(kept, told)


def batch_size(folder: Path) -> int:
    (model,) = json.loads((folder / "run.json").read_text())["models"]
    return model["utilisation"]["batch_size"]


def test_the_batch_size_grows_while_that_makes_the_model_quicker(tmp_path: Path) -> None:
    settings = replace(ECHO, models=("crowded",), tasks=("echo:count=600",), batch_size="auto", workers=1)
    done = run(settings, tmp_path / "run")
    assert (done.results[0].value, done.results[0].n, done.results[0].failed) == (0.0, 600, 0)
    assert batch_size(done.folder) >= 32


@pytest.mark.parametrize("fault", ["raise", "die"])
def test_a_batch_that_is_too_large_costs_no_sample(tmp_path: Path, fault: str) -> None:
    model = f"crowded:most=6,fault={fault}"
    done = run(
        replace(ECHO, models=(model,), tasks=("echo:count=120",), batch_size="auto", workers=1), tmp_path / "run"
    )
    assert (done.results[0].value, done.results[0].n, done.results[0].failed) == (0.0, 120, 0)
    assert 1 <= batch_size(done.folder) <= 4


def test_where_the_time_went_is_told(tmp_path: Path) -> None:
    done = run(replace(ECHO, models=("slow:seconds=0.01",), workers=1), tmp_path / "run")
    (model,) = json.loads((done.folder / "run.json").read_text())["models"]
    used = model["utilisation"]
    assert used["workers"] == 1
    assert 0.2 <= used["model_seconds"] < 5
    assert used["score_seconds"] >= 0
    assert used["idle_seconds"] >= 0
    assert "batch_size" not in used
