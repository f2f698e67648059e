from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import CORPORA, TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Request, Sample, ScoreTable
from audiometry.tasks.generation import generation_reduce
from audiometry.tasks.metrics.frechet import frechet_distance

PLUGIN = '''
"""A generator of noise and an embedding of sound and text, for tests of text-to-audio."""
import numpy as np
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Waveform

class _Made:
    deterministic = True
    def __init__(self, name, abilities, answer):
        self.name = self.fingerprint = name
        self.abilities = frozenset(abilities)
        self._answer = answer
    def generate(self, requests):
        return [self._answer(request) for request in requests]
    def close(self):
        pass

@model("noise-maker-of-tests", abilities={"synthesize"})
def noise_maker():
    """Noise, whatever is asked for."""
    def answer(request):
        noise = np.random.default_rng(len(request.text)).normal(0, 0.1, 16000).astype(np.float32)
        return Output(audio=Waveform(noise, 16000))
    return _Made("noise-maker-of-tests", {"synthesize"}, answer)

@model("embedder-of-tests", abilities={"embed"})
def embedder():
    """Level and zero crossings of sound; letters of text."""
    def answer(request):
        if request.text is not None:
            return Output(embedding=np.array([request.text.count("o"), 1.0], np.float32))
        samples = request.waveforms["input"].samples
        crossings = float(np.mean(np.diff(np.sign(samples)) != 0))
        return Output(embedding=np.array([float(np.std(samples)), crossings], np.float32))
    return _Made("embedder-of-tests", {"embed"}, answer)
'''


def table(candidates: np.ndarray, references: np.ndarray, embedded: np.ndarray) -> ScoreTable:
    counts = {f"candidate_{i}": column for i, column in enumerate(candidates.T)}
    counts |= {f"reference_{i}": column for i, column in enumerate(references.T)}
    counts |= {"embedded": embedded, "agreement": 0.5 * embedded, "prompts": np.ones(len(embedded))}
    size = len(embedded)
    return ScoreTable(counts, np.arange(size), np.zeros(size, int), np.zeros(size, int))


def test_values_are_those_of_the_sets() -> None:
    random = np.random.default_rng(0)
    sets = random.normal(size=(2, 30, 3)) + np.array([[[0.0]], [[1.0]]])
    found = generation_reduce(table(*sets, np.ones(30)), np.ones((1, 30)))
    assert found["frechet_distance"][0] == pytest.approx(frechet_distance(sets[1], sets[0]).value)
    assert (found["agreement"][0], found["answered"][0]) == (0.5, 1.0)
    same = generation_reduce(table(sets[0], sets[0], np.ones(30)), np.ones((1, 30)))
    assert same["frechet_distance"][0] == pytest.approx(0.0, abs=1e-9)


def test_more_dimensions_than_clips() -> None:
    sets = np.random.default_rng(2).normal(size=(2, 6, 40))
    found = generation_reduce(table(*sets, np.ones(6)), np.ones((1, 6)))
    assert found["frechet_distance"][0] == pytest.approx(frechet_distance(sets[1], sets[0]).value)


def test_a_judgement_is_counted() -> None:
    task = TASKS.create(Spec("text-to-audio", (("judge", "mel-statistics"),)))
    sample = Sample("s", Request("synthesize", text="a bell"), "bell.wav")
    assert task.score_judged is not None
    labels = {"candidate_0": 1.0, "reference_0": 2.0}
    score = task.score_judged(sample, Output(), {task.judges[0]: Output(score=0.25, labels=labels)})
    assert score.counts == {"prompts": 1.0, "embedded": 1.0, "agreement": 0.25, **labels}


def test_failures_are_in_neither_set_and_tell_in_answered() -> None:
    random = np.random.default_rng(1)
    sets = random.normal(size=(2, 10, 2))
    held = np.array([1.0] * 8 + [0.0] * 2)
    found = generation_reduce(table(*sets, held), np.ones((1, 10)))
    wanted = frechet_distance(sets[1][:8], sets[0][:8]).value
    assert found["frechet_distance"][0] == pytest.approx(wanted)
    assert found["answered"][0] == 0.8
    nothing = generation_reduce(table(*sets, np.zeros(10)), np.ones((1, 10)))
    assert np.isnan(nothing["frechet_distance"][0])
    assert np.isnan(nothing["agreement"][0])
    bare = {name: np.ones(2) for name in ("embedded", "agreement", "prompts")}
    assert np.isnan(
        generation_reduce(ScoreTable(bare, np.arange(2), *np.zeros((2, 2), int)), np.ones((1, 2)))["frechet_distance"][
            0
        ]
    )


def test_settings(measured: Callable[..., object]) -> None:
    with pytest.raises(SettingError, match="judge=MODEL"):
        TASKS.check(Spec("text-to-audio"))
    with pytest.raises(SettingError, match="comma"):
        TASKS.create(Spec("text-to-audio", (("judge", "a:b=1,c=2"),)))
    task = TASKS.create(Spec("text-to-audio", (("agreement", "false"), ("judge", "mel-statistics"))))
    assert task.judges == ("embedding-pair:model=mel-statistics,text=false",)
    assert [metric.name for metric in task.metrics] == ["frechet_distance", "answered"]
    sample = Sample("s", Request("synthesize", text="a bell"), "bell.wav")
    assert task.judge is not None
    assert task.score_judged is not None
    assert task.judge(sample, Output(text="words"), None) == {}
    asked = task.judge(sample, Output(), Audio("made.wav"))[task.judges[0]]
    assert asked.audios["reference"].path == "bell.wav"
    assert task.score(sample, Output(text="words")).status == "empty"
    with pytest.raises(DataError, match="no embeddings"):
        task.score_judged(sample, Output(), {task.judges[0]: Output(text="x")})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here", "home")
def test_end_to_end(tmp_path: Path) -> None:
    CORPORA.create(Spec("synthetic-sounds")).prepare(None, lambda _: None)
    plugin = tmp_path / "generating.py"
    plugin.write_text(textwrap.dedent(PLUGIN))
    settings = RunSettings(
        models=("noise-maker-of-tests", "reference-sound"), tasks=("text-to-audio:judge=embedder-of-tests",),
        plugins=(str(plugin),), limit=12, resamples=100,
    )  # fmt: skip
    done = evaluate(settings, output=tmp_path / "run", quiet=True)
    values = {(one.model, one.metric): one.value for one in done.results if one.slice == "all"}
    assert values["reference-sound", "frechet_distance"] == pytest.approx(0.0, abs=1e-6)
    assert (values["noise-maker-of-tests", "frechet_distance"] or 0) > 0.01
    for model in settings.models:
        assert values[model, "answered"] == 1.0
        assert -1.0 <= (values[model, "agreement"] or -2) <= 1.0
