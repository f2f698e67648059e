from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Output, Sample, Task, Waveform
from audiometry.models.adapters.controls import target_as_output
from audiometry.models.adapters.talking import SENTENCE
from audiometry.tasks.conversation import CONTINUATION, FORMS, QUESTIONS, STORY, phrase, says
from audiometry.tasks.metrics.normalise import normaliser


@pytest.fixture
def task() -> Task:
    return TASKS.create(Spec("conversation"))


def test_every_question_comes_in_every_form(task: Task) -> None:
    samples = list(task.samples())
    assert len(samples) == len(QUESTIONS) * len(FORMS) == 96
    assert len({sample.id for sample in samples}) == 96
    interrupted = next(sample for sample in samples if sample.slices["form"] == "interrupted")
    assert [turn.role for turn in interrupted.request.turns] == ["user", "assistant"]
    assert interrupted.request.turns[0].text == STORY
    assert str(interrupted.request.text) == "Stop, that is enough. What is the capital of France?"
    assert phrase(QUESTIONS[0], "corrected")[0] == "No, wait, I meant France: what is the capital of France?"


def test_no_question_gives_its_answer_away() -> None:
    change = normaliser("whisper-english-1")
    for question in QUESTIONS:
        answers = [change(question.answer), change(question.other_answer)]
        assert answers[0] != answers[1]
        for form in FORMS:
            text, turns = phrase(question, form)
            heard = change(" ".join([text, *(turn.text or "" for turn in turns)]))
            assert not any(says(heard, answer) for answer in answers), (question, form)
        assert not any(says(answer, word) for answer in answers for word in CONTINUATION)


def test_controls(task: Task, measured: Callable[..., Any]) -> None:
    best = measured(task, lambda sample: target_as_output("respond", sample.target)).values
    assert (best["accuracy"], best["not_followed"]) == (1.0, 0.0)
    silent = measured(task, lambda _: Output(status="empty", text="")).values
    assert (silent["accuracy"], silent["not_followed"]) == (0.0, 0.0)
    assert measured(task, lambda _: Output(text=SENTENCE)).values["accuracy"] == 0.0
    failed = measured(task, lambda _: Output(status="timeout")).values
    assert (failed["accuracy"], failed["not_followed"]) == (0.0, 1.0)
    assert np.isnan(failed["latency_p50"])


def test_a_model_that_does_not_follow_is_found_out(task: Task, measured: Callable[..., Any]) -> None:
    """It answers the first thing it was asked, and goes on with what it was saying."""

    def stubborn(sample: Sample) -> Output:
        question = QUESTIONS[int(sample.id[:2]) - 1]
        said = {"fluent": question.answer, "interrupted": "...rest for an hour and put the dough into the oven"}
        return Output(text=said.get(sample.slices["form"], f"That is {question.other_answer}."))

    values = measured(task, stubborn).values
    assert (values["accuracy"], values["not_followed"]) == (0.25, 1.0)

    def wordy(sample: Sample) -> Output:
        question = QUESTIONS[int(sample.id[:2]) - 1]
        return Output(text=f"Not {question.other_answer} then, but {question.answer}!")

    assert measured(task, wordy).values["accuracy"] == 1.0


def test_an_answer_in_sound_alone_is_unparsed(task: Task) -> None:
    sample = next(iter(task.samples()))
    score = task.score(sample, Output(audio=Waveform(np.ones(10, np.float32), 16000)))
    assert (score.status, score.counts["correct"]) == ("unparsed", 0.0)


def test_waiting_times_are_percentiles(task: Task, measured: Callable[..., Any]) -> None:
    times = iter(np.linspace(0.0, 1.0, 96))

    def timed(sample: Sample) -> Output:
        total = float(next(times))
        return Output(text=str(sample.target), timings={"first": total / 2, "total": total})

    values = measured(task, timed).values
    assert values["latency_p50"] == pytest.approx(0.5)
    assert values["first_latency_p90"] == pytest.approx(0.45)


@pytest.mark.slow
def test_an_endpoint_is_asked(task: Task, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server = endpoint_server()
    with server.Running(server.Endpoint(message={"content": "It is Paris."}, delay=0.01)) as endpoint:
        spec = f"openai:model=tiny,url={endpoint.url},concurrency=1"
        done = evaluate(
            RunSettings(models=(spec,), tasks=("conversation",), resamples=100), output=tmp_path / "run", quiet=True
        )
        turns = [message["role"] for message in endpoint.seen[0]["messages"]]
    found = {(result.metric, result.slice): result for result in done.results}
    assert done.status == "complete"
    assert found["accuracy", "all"].value == pytest.approx(4 / 96)  # France, in each form
    assert found["accuracy", "form=fluent"].value == pytest.approx(1 / 24)
    assert (found["latency_p50", "all"].value or 0.0) > 0.01
    assert found["first_latency_p50", "all"].value is None  # the endpoint does not stream
    assert endpoint.most_under_way == 1
    assert set(turns) <= {"user", "assistant"}


def endpoint_server() -> Any:
    if "endpoint_server" in sys.modules:
        return sys.modules["endpoint_server"]
    path = Path(__file__).parents[1] / "models" / "endpoint_server.py"
    spec = importlib.util.spec_from_file_location("endpoint_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
