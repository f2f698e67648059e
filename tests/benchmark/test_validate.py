"""Models that move in one way each are found to move in that way, and in no other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.errors import SettingError, UnfinishedRunError, UserError
from audiometry.benchmark.validate import Report, ValidateSettings, validate

PLUGIN = str(Path(__file__).with_name("moving.py"))


def found(model: str, **more: Any) -> Report:
    settings = {"task": "words", "samples": 12, "batch_size": 5, "plugins": (PLUGIN,), **more}
    return validate(ValidateSettings(model=model, **settings))


def verdicts(report: Report) -> list[str]:
    return [check.verdict for check in report.checks] + [report.memory.verdict]


@pytest.fixture(autouse=True)
def _home(home: Path) -> None:
    """No test sees another's home."""


def test_a_model_that_does_not_move() -> None:
    steps: list[str] = []
    settings = ValidateSettings("moving", task="words", samples=12, batch_size=5, plugins=(PLUGIN,))
    report = validate(settings, steps.append)
    assert verdicts(report)[:3] == ["same", "same", "same"]
    assert report.memory.verdict != "moves"
    assert report.problems == []
    assert report.statuses == {"ok": 12}
    assert [speed.batch_size for speed in report.speeds] == [1, 5]
    assert all(speed.samples_per_second > 0 and speed.rtfx is None for speed in report.speeds)
    assert len(report.load_seconds) == len(steps) == 6
    assert steps[2] == "shuffled, batch 1, 1 of 2"


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("stateful", ["same", "moves", "same"]),
        ("random", ["moves", "unclear", "unclear"]),
        ("batch", ["same", "same", "moves"]),
        ("leak", ["same", "same", "same"]),
    ],
)
def test_each_way_of_moving_is_told_from_the_others(way: str, expected: list[str]) -> None:
    report = found(f"moving:way={way}")
    assert verdicts(report)[:3] == expected
    assert (report.memory.verdict == "moves") is (way == "leak")
    moving = [check.name for check in report.checks if check.verdict == "moves"]
    assert report.problems == (moving or ["memory"])


def test_what_is_said_of_a_leak() -> None:
    memory = found("moving:way=leak").memory
    assert memory.growth == pytest.approx(100, rel=0.1)
    assert memory.low > 50
    assert memory.peak > 48


def test_a_model_that_is_seldom_random_is_not_blamed_for_state_or_batches() -> None:
    report = found("moving:way=seldom", samples=16)
    assert verdicts(report)[:3] == ["moves", "unclear", "unclear"]
    assert 0 < report.checks[1].hidden <= 16


def test_every_kind_of_answer_is_compared() -> None:
    report = found("moving:way=batch,kind=other", samples=4, batch_size=2)
    assert verdicts(report)[:3] == ["same", "same", "moves"]
    assert set(report.checks[2].largest) == {"score", "labels", "segments", "audio", "embedding"}
    assert all(size > 0 for size in report.checks[2].largest.values())
    assert not any(report.checks[1].largest.values())


def test_differences_within_the_tolerance_are_told_and_are_none() -> None:
    report = found("moving:way=batch,kind=other", samples=4, batch_size=2, tolerance=1000.0)
    assert verdicts(report)[:3] == ["same", "same", "same"]
    assert report.checks[2].largest["score"] > 0


def test_a_model_that_says_it_moves_may_move() -> None:
    report = found("moving:way=random,deterministic=false", samples=4)
    assert report.checks[0].verdict == "moves"
    assert report.problems == []


def test_failures_are_answers_that_may_not_move() -> None:
    report = found("moving:way=partly", samples=12)
    assert verdicts(report)[:3] == ["same", "same", "same"]
    assert report.statuses["error"] == 1


class TestModelsThatGoWrong:
    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ("absent", r"model 'absent' did not load: OSError: the weights are damaged \(moving.py:\d+\)"),
            ("dying", r"the process of model 'dying' died \(SIGKILL\) while it was loaded"),
            (
                "moving:way=die",
                r"the process of model '.*' died \(SIGSEGV\) when asked sample 'w05'; it last said: the sky is falling",
            ),
            ("moving:way=exit", r"died \(exit code 3\) when asked sample 'w00'"),
            ("moving:way=raise", r"answered none of 12 samples, the first: RuntimeError: nothing can be said"),
            ("unsendable", r"model 'unsendable', when asked sample 'w00': its answers cannot be sent: "),
        ],
    )
    def test_it_is_one_line(self, model: str, said: str) -> None:
        with pytest.raises(UnfinishedRunError, match=said) as raised:
            found(model, samples=16 if "die" in model else 12)
        assert "\n" not in str(raised.value)

    def test_a_model_that_hangs_is_given_up(self) -> None:
        with pytest.raises(UnfinishedRunError, match=r"gave no answer within 0\.5 s when asked sample 'w00'"):
            found("moving:way=hang", samples=16, sample_timeout=0.5)


class TestModelsElsewhere:
    def test_one_that_does_not_move(self) -> None:
        report = found("elsewhere")
        assert verdicts(report)[:3] == ["same", "same", "same"]
        slow, fast = (speed.samples_per_second for speed in report.speeds)
        assert fast > 2 * slow

    def test_one_whose_answers_depend_on_how_many_are_under_way(self) -> None:
        assert verdicts(found("elsewhere:way=batch"))[:3] == ["same", "same", "moves"]

    @pytest.mark.parametrize(("way", "status"), [("raise", "error"), ("hang", "timeout")])
    def test_one_that_fails(self, way: str, status: str) -> None:
        report = found(f"elsewhere:way={way}", samples=16, batch_size=16, sample_timeout=0.3)
        assert report.statuses == {"ok": 15, status: 1}
        assert verdicts(report)[:3] == ["same", "same", "same"]


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"), [("samples", 1), ("batch_size", 1), ("tolerance", -1.0), ("tolerance", float("nan"))]
    )
    def test_out_of_range(self, name: str, value: float) -> None:
        with pytest.raises(SettingError, match=f"--{name.replace('_', '-')} .* is out of range"):
            found("moving", **{name: value})

    def test_one_model_and_one_task_and_two_samples(self) -> None:
        with pytest.raises(SettingError, match="one model is validated at a time, not 2"):
            found("moving,absent")
        with pytest.raises(SettingError, match="one task is asked at a time"):
            found("moving", task="words,words-again")
        with pytest.raises(SettingError, match="'words' has one sample"):
            found("moving", task="words:count=1")

    def test_no_task_that_fits(self) -> None:
        with pytest.raises(UserError, match=r"no task that is ready asks for what model 'mute' can do \(watermark\)"):
            found("mute", task=None)


class TestCommand:
    WORDS = ("-t", "words", "--samples", "6", "-b", "3", "--plugin", PLUGIN)

    def test_a_table_with_examples_and_exit_code_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["validate", "moving:way=batch", *self.WORDS]) == 1
        told = capsys.readouterr()
        assert told.err.count("validate: ") == 6
        for line in ("batch 3, in order (batch variance)", "MOVE", "6 of 6", "text 1 characters edited",
                     "says that it is deterministic; found to move: batch"):  # fmt: skip
            assert line in told.out
        assert " of 1\n" in told.out
        assert " of 3\n" in told.out

    def test_json_and_exit_code_0(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["validate", "moving:way=random,deterministic=false", "--json", "-q", *self.WORDS]) == 0
        told = capsys.readouterr()
        assert told.err == ""
        document = json.loads(told.out)
        assert document["problems"] == []
        assert [check["verdict"] for check in document["checks"]] == ["moves", "unclear", "unclear"]
        assert document["memory"].keys() == {"growth", "low", "high", "peak", "verdict"}

    def test_long_answers_are_shown_from_where_they_differ(self) -> None:
        from audiometry.benchmark.cli_validate import _from_difference

        before, after = _from_difference("a" * 500 + "b" + "c" * 500, "a" * 500)
        assert before.startswith("…" + "a" * 30 + "bccc")
        assert before.endswith("c…")
        assert after == "…" + "a" * 30
        assert _from_difference("a", "b") == ["a", "b"]

    def test_what_has_no_size_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["validate", "moving:way=batch,kind=length", "-q", *self.WORDS]) == 1
        told = capsys.readouterr().out
        assert "audio of another kind or length" in told
        assert " samples at 8000 Hz" in told

    def test_what_changes_by_itself_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["validate", "moving:way=random,deterministic=false", "-q", *self.WORDS]) == 0
        told = capsys.readouterr().out
        assert "0 of 6; 6 change by themselves" in told
        assert "cannot be told" in told
        assert "says that it is not deterministic; nothing contradicts it" in told

    def test_the_first_task_that_fits(self) -> None:
        command = [sys.executable, "-m", "audiometry.benchmark.cli", "validate", "moving", "-q", "--json"]
        command += ["--samples", "2", "-b", "2", "--plugin", PLUGIN]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert json.loads(ran.stdout)["task"] == "words"

    def test_a_crash_is_one_line_and_exit_code_2(self) -> None:
        command = [sys.executable, "-m", "audiometry.benchmark.cli", "validate", "moving:way=exit", "-q", *self.WORDS]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert ran.stdout == ""
        assert len(ran.stderr.strip().splitlines()) == 1
