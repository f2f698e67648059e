from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio, Output, Sample, Task
from audiometry.models.adapters.controls import target_as_output
from audiometry.tasks.corpora import long_form as corpus_module
from audiometry.tasks.corpora.long_form import RATE, long_form_en, stitch
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.long_form import long_form_task

WORDS = ["one two three", "press  four", "five", "six seven eight nine ten"]


@pytest.fixture
def spoken(tmp_path: Path) -> list[Utterance]:
    """Tones of 0.5, 1, 1.5 and 2 s at 8 kHz, each at its own pitch."""
    found = []
    for number, text in enumerate(WORDS):
        seconds = 0.5 * (number + 1)
        path = tmp_path / f"{number}.wav"
        time = np.arange(int(seconds * 8000)) / 8000
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * 300 * (number + 1) * time), 8000)
        found.append(Utterance(f"said/{number}", Audio(str(path), seconds=seconds), text, "en", "ann", "female"))
    return found


def test_parts_are_exact_and_hold_their_words(spoken: list[Utterance]) -> None:
    parts = list(stitch(spoken, parts=3, seconds=20))
    assert [len(sound.samples) for sound, _ in parts] == [20 * RATE] * 3
    for sound, text in parts:
        loud = np.abs(sound.samples) > 0.05
        spoken_seconds = sum(0.5 * (i + 1) * text.count(" ".join(words.split())) for i, words in enumerate(WORDS))
        tones = np.convolve(loud, np.ones(400), "same") > 0
        assert tones.sum() / RATE == pytest.approx(spoken_seconds, rel=0.1)
        assert not sound.samples[: int(0.29 * RATE)].any()
    again = list(stitch(spoken, parts=3, seconds=20))
    assert [text for _, text in again] == [text for _, text in parts]
    np.testing.assert_array_equal(again[2][0].samples, parts[2][0].samples)
    every = " ".join(text for _, text in parts)
    assert all(" ".join(words.split()) in every for words in WORDS)


def test_prompts_that_do_not_fit_are_told(spoken: list[Utterance]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        next(stitch(spoken, parts=1, seconds=4))
    with pytest.raises(DataError, match="do not fit"):
        next(stitch([], parts=1, seconds=4))


def test_the_corpus_is_one_recording(home: Path, monkeypatch: pytest.MonkeyPatch, spoken: list[Utterance]) -> None:
    monkeypatch.setattr(corpus_module, "load_corpus", lambda _: spoken)
    monkeypatch.setattr(corpus_module, "PARTS", 2)
    monkeypatch.setattr(corpus_module, "PART_SECONDS", 15)
    monkeypatch.setattr("audiometry.tasks.long_form.PART_SECONDS", 15)
    corpus = long_form_en()
    with pytest.raises(DataError, match="asterisk-en"):
        corpus.prepare("somewhere", print)
    corpus.prepare(None, print)
    (hour,) = corpus.utterances()
    assert hour.audio.seconds == 30.0
    assert len(hour.text.split("\n")) == 2
    whole = long_form_task(corpus, name="long-form-made", parts=False)
    (one,) = whole.samples()
    assert one.target == " ".join(hour.text.split())
    parts = list(long_form_task(corpus, name="long-form-parts-made", parts=True).samples())
    assert [sample.target for sample in parts] == hour.text.split("\n")
    sound = [read(sample.request.audios["input"]).samples for sample in parts]
    np.testing.assert_array_equal(np.concatenate(sound), read(hour.audio).samples)


@dataclass
class Long:
    """A corpus of one long recording in two parts."""

    name: str = "long"
    language: str = "en"
    notes: tuple[str, ...] = ("made",)

    def utterances(self) -> list[Utterance]:
        letters = "abcdefghijklmnopqrst"
        text = "\n".join(" ".join(f"{word}{letter}x" for letter in letters) for word in ("ka", "lo"))
        return [Utterance("long/hour", Audio("hour.wav", seconds=600.0), text, "en", "ann")]


@pytest.fixture
def task() -> Task:
    return long_form_task(Long(), name="long-form-parts-long", parts=True)  # type: ignore[arg-type]


def test_controls(task: Task, measured: Callable[..., Any]) -> None:
    def answer(sample: Sample) -> Output:
        return replace(target_as_output("transcribe", sample.target), peak_bytes=0.5 * 2**30)

    values = measured(task, answer).values
    assert [values[name] for name in ("wer", "skipped", "made_up", "looped")] == [0.0] * 4
    assert values["peak_memory"] == 0.5
    for answer in (Output(status="empty", text=""), Output(status="error")):
        silent = measured(task, lambda _, answer=answer: answer).values  # type: ignore[misc]
        assert [silent[name] for name in ("wer", "skipped", "made_up", "looped")] == [1.0, 1.0, 0.0, 0.0]


def test_what_is_skipped_made_up_and_looped_is_told_apart(task: Task, measured: Callable[..., Any]) -> None:
    def answer(sample: Sample) -> Output:
        words = str(sample.target).split()
        kept = words[:5] + words[12:] + ["thank", "you"] * 4
        return Output(text=" ".join(kept), timings={"total": 3.0})

    values = measured(task, answer).values
    assert values["skipped"] == pytest.approx(7 / 20)
    assert values["made_up"] == values["looped"] == pytest.approx(8 / 20)
    assert values["wer"] == pytest.approx(15 / 20)
    assert values["rtfx"] == pytest.approx(100.0)
    sample = next(iter(task.samples()))
    details = task.score(sample, answer(sample)).details
    assert details["loop"] == "4 x thank you"
    assert details["longest_run"] == "insert: " + " ".join(["thank you"] * 4)


def test_memory_that_no_worker_told_is_unknown_and_not_that_of_whoever_scores(
    task: Task, measured: Callable[..., Any]
) -> None:
    for answer in (Output(text="x"), Output(status="error", error="the worker died")):
        assert np.isnan(measured(task, lambda _, answer=answer: answer).values["peak_memory"])  # type: ignore[misc]


def test_the_highest_peak_that_was_told_counts_of_failures_too(task: Task, measured: Callable[..., Any]) -> None:
    def answer(sample: Sample) -> Output:
        last = sample.id.endswith("01")
        return Output(status="error", peak_bytes=3 * 2**30) if last else Output(text="x", peak_bytes=2 * 2**30)

    assert measured(task, answer).values["peak_memory"] == 3.0
