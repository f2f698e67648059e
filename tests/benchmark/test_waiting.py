"""Models that work elsewhere: many at once from one process, without Ray."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest

from audiometry.benchmark.errors import AudiometryError, UserError
from audiometry.benchmark.evaluate import Evaluation, evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.waiting import PROGRAM, WaitingPool

PLUGIN = str(Path(__file__).with_name("faulty.py"))
REMOTE = RunSettings(models=("remote",), tasks=("echo",), plugins=(PLUGIN,), batch_size=4, resamples=200)

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Ray fails: nothing here may need it."""
    monkeypatch.setattr("audiometry.benchmark.runner.ray_cluster", lambda *_: pytest.fail("Ray was started"))


def run(settings: RunSettings, folder: Path) -> Evaluation:
    return evaluate(settings, output=folder, quiet=True)


def outputs(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "outputs.parquet").set_index("sample_id")


def test_many_answers_are_under_way_at_once(tmp_path: Path) -> None:
    done = run(replace(REMOTE, models=("remote:concurrency=8",)), tmp_path / "run")
    overall = next(result for result in done.results if result.slice == "all")
    assert (done.status, overall.value, overall.n, overall.failed) == ("complete", 0.0, 20, 0)
    under_way = [json.loads(text)["under_way"] for text in outputs(done.folder)["usage"]]
    assert max(under_way) == 8


def test_what_answers_used_and_said_of_themselves_is_added_up_over_the_run(tmp_path: Path) -> None:
    done = run(replace(REMOTE, models=("remote:concurrency=1",)), tmp_path / "run")
    timings = json.loads((done.folder / "run.json").read_text())["timings"][0]
    assert timings["usage"] == {"under_way": 20.0}
    assert timings["facts"] == {"version": {"3": 20}}
    assert json.loads(outputs(done.folder)["facts"].iloc[0]) == {"version": "3"}


def test_what_a_model_can_do_may_depend_on_its_settings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot respond, which task 'echo' asks; it can: embed"):
        run(replace(REMOTE, models=("remote:fault=unable",)), tmp_path / "run")


def test_tasks_with_the_machine_to_themselves_are_asked_one_at_a_time(tmp_path: Path) -> None:
    done = run(replace(REMOTE, tasks=("alone",)), tmp_path / "run")
    assert {json.loads(text)["under_way"] for text in outputs(done.folder)["usage"]} == {1.0}


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("raise", "error", "no such model at the endpoint"),
        ("type", "error", "in place of an Output"),
        ("hang", "timeout", "no answer within 1 s"),
        ("die", "error", "died (signal 9)"),
    ],
)
def test_a_fault_costs_only_its_own_sample(tmp_path: Path, fault: str, status: str, reason: str) -> None:
    settings = replace(REMOTE, models=(f"remote:fault={fault}",), sample_timeout=1.0)
    found = outputs(run(settings, tmp_path / "run").folder)
    assert dict(found["status"]) == {name: status if name == "s007" else "ok" for name in found.index}
    assert reason in found.loc["s007", "error"]


def test_a_process_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiometry.benchmark.waiting.GRACE_SECONDS", 0.5)
    settings = replace(REMOTE, models=("remote:fault=block,concurrency=2",), sample_timeout=1.0)
    found = outputs(run(settings, tmp_path / "run").folder)
    assert dict(found["status"]) == {name: "error" if name == "s007" else "ok" for name in found.index}
    assert "was silent for" in found.loc["s007", "error"]


def test_a_killed_process_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = []
    collect = WaitingPool.collect

    def collect_and_kill(pool: WaitingPool, ready: set[object]) -> list[object]:
        pairs = collect(pool, ready)
        if pairs and not killed:
            (process,) = [p for p in psutil.Process().children() if PROGRAM in p.cmdline()]
            killed.append(process.pid)
            process.kill()
        return pairs

    monkeypatch.setattr(WaitingPool, "collect", collect_and_kill)
    done = run(replace(REMOTE, tasks=("echo:count=200",)), tmp_path / "run")
    overall = next(result for result in done.results if result.slice == "all")
    assert (overall.n, overall.failed, overall.value, len(killed)) == (200, 0, 0.0, 1)


def test_a_model_that_does_not_load_is_told(tmp_path: Path) -> None:
    done = run(replace(REMOTE, models=("unreachable",)), tmp_path / "run")
    assert done.status == "too many failures"
    assert "the model did not load: OSError: no route to the endpoint" in done.problems[0]


def test_a_process_that_cannot_start_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    done = run(REMOTE, tmp_path / "run")
    assert done.status == "too many failures"
    assert "the process that asks the model died (exit code 1)" in done.problems[0]


def test_a_fault_in_scoring_is_not_the_models(tmp_path: Path) -> None:
    with pytest.raises(AudiometryError, match="task 'unscorable' cannot score sample 's00"):
        run(replace(REMOTE, tasks=("unscorable",)), tmp_path / "run")


def test_answers_are_cached_and_their_age_is_told(tmp_path: Path) -> None:
    before = time.time()
    first = run(REMOTE, tmp_path / "first")
    again = run(replace(REMOTE, models=("remote:concurrency=3",)), tmp_path / "again")
    assert [result.value for result in again.results] == [result.value for result in first.results]
    timings = json.loads((again.folder / "run.json").read_text())["timings"][0]
    assert timings["cached"] == 20
    assert timings["usage"] == {}
    oldest = pd.Timestamp(timings["oldest_answer"]).timestamp()
    assert before - 1 <= oldest <= time.time()
