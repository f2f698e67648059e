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
