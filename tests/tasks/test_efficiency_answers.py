from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audiometry.benchmark.errors import SettingError, UnfinishedRunError
from audiometry.benchmark.registry import Spec, load_plugin_file
from audiometry.tasks import efficiency_answers, efficiency_command
from audiometry.tasks.efficiency_answers import Line, side_by_side

PLUGIN = '''"""A task of twenty words on tones, and recognisers that know their share of them."""

import time
from pathlib import Path

import numpy as np

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.registry import model, task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import Audio, Metric, Output, Request, Sample, Score, Task, Waveform

SOUND = Path(__file__).parent / "tone.wav"
SOUND.write_bytes(encode_wav(Waveform(np.full(8000, 0.1, np.float32), 16000)))


class Knows:
    abilities = frozenset({"transcribe"})
    deterministic = True

    def __init__(self, wrong, seconds, megabytes):
        self.name = self.fingerprint = f"knows {wrong}"
        self._wrong, self._seconds = wrong, seconds
        self._held = np.ones(megabytes * 2**20, np.uint8)

    def generate(self, requests):
        assert all(request.waveforms["input"].seconds == 0.5 for request in requests)
        until = time.process_time() + self._seconds * len(requests)
        while time.process_time() < until:
            pass
        return [self._answer(int(request.instruction)) for request in requests]

    def _answer(self, number):
        if number == 19 and self._wrong == 20:
            return Output(status="error", error="not this one")
        return Output(text="wrong" if number < self._wrong else "right", facts={"knows": str(20 - self._wrong)})

    def close(self):
        pass


@model("side-knows", abilities={"transcribe"})
def side_knows(*, wrong: int = 0, seconds: float = 0.0, megabytes: int = 0):
    """Gets the first words wrong."""
    return Knows(wrong, seconds, megabytes)


@model("side-fails", abilities={"transcribe"})
def side_fails():
    """Fails."""
    made = Knows(0, 0.0, 0)
    made._answer = lambda number: Output(status="error", error="no")
    return made


@model("side-endpoint", abilities={"transcribe"}, waits=True)
def side_endpoint():
    """Works elsewhere."""
    raise AssertionError("it is not asked")


def _task(name, judges=()):
    def samples():
        for number in range(20):
            audio = {"input": Audio(str(SOUND), seconds=0.5)}
            yield Sample(f"{number:02d}", Request("transcribe", audio, instruction=str(number)), "right")

    def score(sample, output):
        errors = float(output.text != sample.target)
        return Score(sample.id, {"errors": errors, "words": 1.0}, status=output.status)

    return Task(
        name=name, version="1", ability="transcribe", samples=samples, score=score, judges=judges,
        reduce=lambda table, weights: {"wer": ratio_of_sums(table, weights, "errors", "words")},
        metrics=(Metric("wer", scale="log", events="errors"),),
    )


@task("side-words")
def side_words():
    """Twenty words."""
    return _task("side-words")


@task("side-judged")
def side_judged():
    """Needs a judge."""
    return _task("side-judged", judges=("side-knows",))
'''

LINE = Line(
    model="plain", task="words", metric="wer", n=20, failed=0, value=0.1, low=0.05, high=0.2, difference=None,
    difference_low=None, difference_high=None, p=None, rtfx=12.34, cpu_per_hour=300.0, idle_memory=200 * 2**20,
    peak_memory=300 * 2**20, facts={},
)  # fmt: skip


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("side") / "side_models.py"
    path.write_text(PLUGIN)
    load_plugin_file(path)
    return str(path)


def knows(**settings: object) -> Spec:
    return Spec("side-knows", tuple(sorted((name, str(value)) for name, value in settings.items())))


@pytest.mark.slow
def test_models_are_compared_on_the_same_samples(plugin: str) -> None:
    told: list[str] = []
    models = [knows(wrong=2, seconds=0.005), knows(wrong=8, seconds=0.02, megabytes=200), knows(wrong=20)]
    first, worse, failing = side_by_side(models, "side-words", plugins=[plugin], report=told.append)
    assert told[-1] == "20 of 20 samples"
    assert [line.value for line in (first, worse, failing)] == [0.1, 0.4, 1.0]
    assert [line.failed for line in (first, worse, failing)] == [0, 0, 1]
    assert (first.difference, first.p) == (None, None)
    assert worse.difference == pytest.approx(0.3)
    assert worse.difference_low is not None
    assert worse.difference_high is not None
    assert worse.difference_low < 0.3 < worse.difference_high
    assert worse.p is not None
    assert worse.p < 0.05
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.1 < first.high
    # four times the computing, within what a busy machine and the clock's steps of 10 ms allow
    assert first.cpu_per_hour is not None
    assert worse.cpu_per_hour is not None
    assert worse.cpu_per_hour * 10 / 3600 > 0.35
    assert 0.05 < first.cpu_per_hour * 10 / 3600 < 0.6 * worse.cpu_per_hour * 10 / 3600
    assert first.rtfx is not None
    assert worse.rtfx is not None
    assert worse.rtfx < 10 / 0.4
    assert worse.rtfx < first.rtfx < 10 / 0.1
    assert 150 < (worse.idle_memory - first.idle_memory) / 2**20 < 250
    assert worse.peak_memory is not None
    assert worse.peak_memory >= worse.idle_memory
    assert worse.facts == {"knows": "12"}
    few = side_by_side([knows(wrong=20)], "side-words", limit=5, plugins=[plugin])
    assert few[0].n == 5


@pytest.mark.slow
def test_a_model_that_fails_on_everything_is_no_result(plugin: str) -> None:
    with pytest.raises(UnfinishedRunError, match="failed on every sample of 'side-words'"):
        side_by_side([Spec("side-fails")], "side-words", plugins=[plugin])


@pytest.mark.parametrize(
    ("models", "task", "says"),
    [
        ([Spec("side-endpoint")], "side-words", "process of ours"),
        ([Spec("oracle")], "side-words", "process of ours"),
        ([Spec("espeak-ng")], "side-words", "cannot transcribe"),
        ([Spec("side-knows"), Spec("side-knows")], "side-words", "named twice"),
        ([Spec("side-knows")], "side-judged", "needs judges"),
        ([Spec("side-knows")], "side-words,side-judged", "suite"),
        ([], "side-words", "no model is named"),
    ],
)
def test_what_cannot_be_measured_is_told(plugin: str, models: list[Spec], task: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        side_by_side(models, task, plugins=[plugin])


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def answered(models: list[Spec], task: str, **more: object) -> list[Line]:
        asked.append(([str(one) for one in models], task, more["limit"]))
        other = replace(
            LINE, model="small", difference=0.01, difference_low=-0.01, difference_high=0.03, p=0.25, failed=1,
            rtfx=None, cpu_per_hour=None, peak_memory=None, facts={"weights": "4 MiB, now 1 MiB"},
        )  # fmt: skip
        return [LINE, other]

    monkeypatch.setattr(efficiency_answers, "side_by_side", answered)
    app = typer.Typer()
    efficiency_command.register(app)
    runner = CliRunner()
    shown = runner.invoke(app, ["-m", "whisper", "-m", "whisper:beam=2", "--task", "words", "--limit", "9"])
    assert shown.exit_code == 0
    assert asked == [(["whisper", "whisper:beam=2"], "words", 9)]
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("words: wer with 95 % intervals")
    assert lines[2].split() == ["plain", "0.1000", "[0.0500,", "0.2000]", "–", "–", "12.3", "300", "200", "300"]
    assert "0.0100 [-0.0100, 0.0300]  0.250" in lines[3]
    assert lines[4] == "  small: 1 of 20 failed; weights 4 MiB, now 1 MiB"
    told = runner.invoke(app, ["-m", "whisper", "--task", "words", "--json"])
    assert [line["model"] for line in json.loads(told.stdout)["lines"]] == ["plain", "small"]
    wrong = runner.invoke(app, ["-m", "whisper", "--limit", "9"])
    assert isinstance(wrong.exception, SettingError)


def test_a_plugin_file_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficiency_answers, "side_by_side", lambda *_, **more: [LINE] if more["plugins"] else [])
    brought = tmp_path / "brought_by_file.py"
    brought.write_text('"""Nothing."""\n')
    app = typer.Typer()
    efficiency_command.register(app)
    ran = CliRunner().invoke(app, ["-m", "x", "--plugin", str(brought), "--task", "words"])
    assert ran.exit_code == 0
