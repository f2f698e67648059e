from __future__ import annotations

from pathlib import Path

import pytest

from audiometry.benchmark import progress
from audiometry.benchmark.plan import Item, Plan, RunSettings, make_plan
from audiometry.benchmark.rows import Row

PLUGIN = str(Path(__file__).with_name("faulty.py"))


@pytest.fixture
def plan() -> Plan:
    return make_plan(RunSettings(models=("faulty",), tasks=("echo:count=4",), plugins=(PLUGIN,)))


def answers(plan: Plan, statuses: list[str], *, cached: bool = False) -> list[tuple[Item, Row]]:
    samples = list(plan.tasks[0].samples())
    return [
        (Item(at, sample), Row(0, at, sample.id, status, {"total_seconds": 0.1}, {}, cached=cached))
        for (at, sample), status in zip(samples, statuses, strict=False)
    ]


def test_plain_lines_tell_the_end_and_the_time_left(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    with progress.Progress(plan) as shown:
        shown.answered(0, answers(plan, ["ok", "error"]))
        assert "2 of 4 samples, about" in capsys.readouterr().err
        shown.answered(0, answers(plan, ["ok", "ok"], cached=True))
        said = capsys.readouterr().err
    assert "faulty · echo: 4 of 4, 1 failed, 2 cached" in said
    assert said.count("faulty") == 1


def test_the_time_left_is_that_of_the_slow_model(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 30.0, 60.0, 90.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    settings = RunSettings(
        models=("faulty", "faulty:label=slow", "parrot"), tasks=("echo:count=4", "echo-again"), plugins=(PLUGIN,)
    )
    plan = make_plan(settings)

    def some(model: int, task: int, count: int, seconds: float, *, cached: bool = False) -> None:
        samples = list(plan.tasks[task].samples())[:count]
        timing = {"total_seconds": seconds}
        shown.answered(
            model,
            [(Item(at, one), Row(task, at, one.id, "ok", timing, {}, cached=cached)) for at, one in samples],
        )

    with progress.Progress(plan) as shown:
        some(2, 0, 4, 0.0)  # nothing was asked: 4 of 72 samples took 30 s
        some(0, 0, 4, 1.0)  # 4 s of work took 60 s: so do 20 more, and 24 of the other model, unseen
        some(1, 0, 2, 5.0)  # 14 s of work took 90 s; left: 20 of 1 s, and 2 + 20 of 5 s
    said = [line for line in capsys.readouterr().err.splitlines() if "left" in line]
    assert said == [
        "4 of 72 samples, about 510 s left",
        "8 of 72 samples, about 660 s left",
        "10 of 72 samples, about 836 s left",
    ]


def test_bars_on_a_terminal(plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress.Progress(plan) as shown:
        shown.answered(0, answers(plan, ["ok", "ok", "timeout"]))
    said = capsys.readouterr().err
    assert "3/4" in said
    assert "1 failed" in said


def test_quiet_is_quiet(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    with progress.Progress(plan, quiet=True) as shown:
        shown.answered(0, answers(plan, ["ok"] * 4))
    assert capsys.readouterr().err == ""
