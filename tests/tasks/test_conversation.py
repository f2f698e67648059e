from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, Task, Waveform
from audiometry.models.adapters.controls import target_as_output
from audiometry.models.adapters.talking import SENTENCE
from audiometry.tasks import conversation
from audiometry.tasks.conversation import says
from audiometry.tasks.corpora import spoken_requests
from audiometry.tasks.corpora.making import RATE
from audiometry.tasks.corpora.spoken_requests import (
    BROKEN_OFF,
    CONTINUATION,
    FORMS,
    GOING_ON,
    QUESTIONS,
    SPOKEN_FORMS,
    STORY,
    phrase,
    spoken_texts,
    talked_over,
)
from audiometry.tasks.corpora.utterance import Utterance
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


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Task:
    """The spoken task, its clips a tenth of a second of their own number."""
    import soundfile

    said = []
    for number, (name, text) in enumerate(spoken_texts()):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.full(1600, number / 1000), 16000)
        said.append(Utterance(f"spoken-requests-en/{name}", Audio(str(path), seconds=0.1), text, "en"))
    corpus = SimpleNamespace(name="spoken-requests-en", notes=("synthetic speech",), utterances=lambda: said)
    monkeypatch.setattr(conversation, "open_corpus", lambda _: corpus)
    return TASKS.create(Spec("conversation-spoken"))


def test_spoken_requests_are_heard_and_not_read(spoken: Task) -> None:
    samples = list(spoken.samples())
    assert len(samples) == len(QUESTIONS) * len(SPOKEN_FORMS) == 120
    names = [Path(sample.request.audios["input"].path).stem for sample in samples]
    assert names == [sample.id for sample in samples]
    for sample in samples:
        assert sample.request.text is None
        for turn in sample.request.turns:
            assert (turn.text is None) == (turn.audio is not None) == (turn.role == "user")
    by_id = {sample.id: sample.request.turns for sample in samples}
    assert by_id["03-fluent"] == by_id["03-disfluent"] == ()
    assert [Path(by_id[name][0].audio.path).stem for name in ("03-interrupted", "03-talked-over", "03-corrected")] == [
        "story", "story", "03-taken-back",
    ]  # fmt: skip
    assert by_id["03-talked-over"][1].text == f"{BROKEN_OFF}—"


def test_controls_of_the_spoken_task(spoken: Task, measured: Callable[..., Any]) -> None:
    best = measured(spoken, lambda sample: target_as_output("respond", sample.target)).values
    assert (best["accuracy"], best["not_followed"]) == (1.0, 0.0)
    silent = measured(spoken, lambda _: Output(status="empty", text="")).values
    assert (silent["accuracy"], silent["not_followed"]) == (0.0, 0.0)
    assert measured(spoken, lambda _: Output(text=SENTENCE)).values["accuracy"] == 0.0
    failed = measured(spoken, lambda _: Output(status="error", error="no")).values
    assert (failed["accuracy"], failed["not_followed"]) == (0.0, 1.0)
    bread = measured(spoken, lambda _: Output(text="Then the dough goes into the oven.")).values
    assert (bread["accuracy"], bread["not_followed"]) == (0.0, 0.5)  # interrupted and talked over, of four forms
    answered = spoken.score(next(iter(spoken.samples())), Output(text="Paris"))
    assert answered.details["asked"] == "What is the capital of France?"
    assert "synthetic speech" in spoken.notes


def test_both_voices_are_heard_where_the_user_cuts_in() -> None:
    at = np.arange(3 * RATE) / RATE
    user, assistant = (np.sin(2 * np.pi * pitch * at).astype(np.float32) for pitch in (300.0, 1000.0))
    mixed = talked_over(Waveform(user[: 2 * RATE], RATE), Waveform(assistant, RATE)).samples

    def level(part: np.ndarray, pitch: float) -> float:
        time = np.arange(len(part)) / RATE
        return float(20 * np.log10(abs(np.mean(part * np.exp(-2j * np.pi * pitch * time))) + 1e-9))

    alone, both, after = mixed[: int(0.4 * RATE)], mixed[RATE : int(1.4 * RATE)], mixed[int(1.7 * RATE) :]
    assert len(mixed) == int(2.4 * RATE)
    assert level(alone, 1000) > level(alone, 300) + 20
    assert level(both, 300) - level(both, 1000) == pytest.approx(10, abs=0.5)
    assert level(after, 300) > level(after, 1000) + 40
    short = talked_over(Waveform(user[: RATE // 2], RATE), Waveform(assistant[: RATE // 100], RATE))
    assert short.seconds == pytest.approx(0.9)


@pytest.mark.slow
def test_the_corpus_is_spoken(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [pair for pair in spoken_texts() if pair[0] in ("story", "01-interrupted", "01-talked-over")]
    monkeypatch.setattr(spoken_requests, "spoken_texts", lambda: few)
    corpus = spoken_requests.spoken_requests()
    corpus.prepare(None, lambda _: None)
    clips = {one.id.rpartition("/")[2]: one for one in corpus.utterances()}
    assert {name: one.text for name, one in clips.items()} == dict(few)
    assert clips["01-interrupted"].text == clips["01-talked-over"].text
    assert clips["01-interrupted"].audio.digest != clips["01-talked-over"].audio.digest
    assert all(1.0 < (one.audio.seconds or 0.0) < 8.0 for one in clips.values())


def test_no_question_gives_its_answer_away() -> None:
    change = normaliser("whisper-english-1")
    for question in QUESTIONS:
        answers = [change(question.answer), change(question.other_answer)]
        assert answers[0] != answers[1]
        for form in SPOKEN_FORMS:
            text, turns = phrase(question, form)
            heard = change(" ".join([text, GOING_ON, *(turn.text or "" for turn in turns)]))
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
