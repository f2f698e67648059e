"""Suites: named lists of tasks with weights; a model is asked those that it is able to do, and told of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings, Skipped, make_plan, named_suites
from audiometry.benchmark.rescore import rescore
from audiometry.benchmark.types import Suite

PLUGIN = """
from dataclasses import replace

from audiometry.benchmark.registry import model, suite, task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Suite, Task


def _task(name, ability):
    def samples():
        for i in range(4):
            yield Sample(f"s{i}", Request(ability, text=f"word{i}"), f"word{i}", cluster=f"c{i}")

    def score(sample, output):
        return Score(sample.id, {"wrong": float(output.text != sample.target)}, status=output.status)

    def reduce(table, weights):
        return {"wrong_share": (weights @ table.cluster_sums("wrong")) / weights.sum(axis=1)}

    return Task(name, "1", ability, samples, score, reduce, (Metric("wrong_share", high=1.0),))


@task("suite-respond")
def suite_respond():
    "Say it again."
    return _task("suite-respond", "respond")


@task("suite-classify")
def suite_classify():
    "Say which it is."
    return _task("suite-classify", "classify")


@suite("suite-both")
def suite_both():
    "Both."
    return Suite("3", {"suite-respond": 2.0, "suite-classify": 1.0})


class Parrot:
    name = "suite-parrot"
    abilities = frozenset({"respond"})
    fingerprint = "suite-parrot 1"
    deterministic = True

    def generate(self, requests):
        return [Output(text=request.text) for request in requests]

    def close(self):
        pass


@model("suite-parrot", abilities={"respond"})
def suite_parrot():
    "Answers with the question."
    return Parrot()
"""


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "suites_plugin.py"
    path.write_text(PLUGIN)
    return str(path)


def settings(plugin: str, *tasks: str, models: tuple[str, ...] = ("suite-parrot",)) -> RunSettings:
    return RunSettings(models=models, tasks=tasks, plugins=(plugin,), resamples=100)


def test_a_model_is_asked_the_tasks_that_it_is_able_to_do(plugin: str) -> None:
    plan = make_plan(settings(plugin, "suite-both"))
    assert [planned.task.name for planned in plan.tasks] == ["suite-respond"]
    assert plan.pairs == ((0, 0),)
    assert plan.skipped == (Skipped("suite-parrot", "suite-classify", "classify"),)
    assert named_suites(plan.settings) == {"suite-both": Suite("3", {"suite-respond": 2.0, "suite-classify": 1.0})}


def test_models_of_different_abilities_share_a_suite(plugin: str) -> None:
    plan = make_plan(settings(plugin, "suite-both", models=("suite-parrot", "oracle")))
    asked = {(plan.models[m].label, plan.tasks[t].task.name) for m, t in plan.pairs}
    assert asked == {("suite-parrot", "suite-respond"), ("oracle", "suite-respond"), ("oracle", "suite-classify")}


def test_a_task_that_is_named_must_be_possible(plugin: str) -> None:
    for tasks in (("suite-classify",), ("suite-both", "suite-classify")):
        with pytest.raises(UserError, match="model 'suite-parrot' cannot classify, which task 'suite-classify' asks"):
            make_plan(settings(plugin, *tasks))


def test_a_model_that_can_do_nothing_of_a_suite(plugin: str) -> None:
    with pytest.raises(UserError, match="model 'pocketsphinx' can do no task of these suites; it can: transcribe"):
        make_plan(settings(plugin, "suite-both", models=("pocketsphinx",)))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here", "home")
def test_what_was_skipped_is_told_and_kept(plugin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = settings(plugin, "suite-both", models=("suite-parrot", "oracle"))
    done = evaluate(asked, output=tmp_path / "run")
    assert "suite-parrot cannot classify, so it is not asked: suite-classify\n" in capsys.readouterr().err
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    assert document["skipped"] == [{"model": "suite-parrot", "task": "suite-classify", "ability": "classify"}]
    assert document["suites"] == {
        "suite-both": {"version": "3", "weights": {"suite-respond": 2.0, "suite-classify": 1.0}}
    }
    found = {(one.model, one.task): one.value for one in done.results if one.slice == "all"}
    assert set(found) == {("suite-parrot", "suite-respond"), ("oracle", "suite-respond"), ("oracle", "suite-classify")}
    assert found["suite-parrot", "suite-respond"] == 0.0
    again = rescore(tmp_path / "run", quiet=True)
    assert {(one.model, one.task): one.value for one in again.results if one.slice == "all"} == found
