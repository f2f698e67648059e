"""Conversation: how long a model lets one wait, and what it does with speech as people speak.

Each question is asked in four forms: fluently; disfluently, with fillers, repeated words and a repair ("of Germany, no,
sorry, of France"); as an interruption, after an answer to something else that the user broke off; and as an
interruption that corrects the question itself. Every question has a short answer, and each form but the fluent one has
a wrong answer that tells that the model did not follow: it answered what was taken back, or went on with its talk.

Requests are written (`conversation`) or spoken (`conversation-spoken`); spoken ones come in a fifth form, in which the
user cuts in while the assistant is still heard. What was said before is heard too where the user said it; the
assistant's own words are given as text.

The answer's text is searched for both. What a model says in sound alone is counted as unparsed, and as not correct.

A failed sample (time-out, error) is not correct and did not follow, and counts as slower than every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import (
    FloatArray,
    Metric,
    Output,
    Request,
    Sample,
    Score,
    ScoreStatus,
    ScoreTable,
    Task,
    Turn,
)
from audiometry.tasks.corpora.spoken_requests import (
    CONTINUATION,
    FORMS,
    QUESTIONS,
    SPOKEN_FORMS,
    STORY,
    Form,
    Question,
    phrase,
)
from audiometry.tasks.corpora.utterance import Utterance, open_corpus
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser

__all__ = ["says"]

VERSION = "1"
NORMALISER = "whisper-english-1"
PERCENTILES = (50, 90, 95)
INSTRUCTION = "Answer in one short sentence."

METRICS = (
    Metric("accuracy", direction="higher", high=1.0, scale="logit", events="wrong"),
    Metric("not_followed", high=1.0, scale="logit", events="not_followed"),
    *(metric for metric in latency_metrics(PERCENTILES) if metric.name != "rtfx"),
)


@task("conversation")
def conversation() -> Task:
    """Short written questions, fluent, disfluent, interrupting and corrected: right answers and waiting times."""
    return _task("conversation", _written, ("written questions",), {})


@task("conversation-spoken")
def conversation_spoken() -> Task:
    """The same questions spoken, interrupting with both voices at once too: right answers and waiting times."""
    corpus = open_corpus("spoken-requests-en")

    def samples() -> Iterator[Sample]:
        return _spoken({one.id.rpartition("/")[2]: one for one in corpus.utterances()})

    return _task("conversation-spoken", samples, corpus.notes, {"corpus": corpus.name})


def _written() -> Iterator[Sample]:
    for number, question in enumerate(QUESTIONS, 1):
        for form in FORMS:
            text, turns = phrase(question, form)
            yield _sample(number, question, form, Request("respond", text=text, turns=turns))


def _spoken(clips: Mapping[str, Utterance]) -> Iterator[Sample]:
    for number, question in enumerate(QUESTIONS, 1):
        for form in SPOKEN_FORMS:
            turns = tuple(_heard(turn, number, clips) for turn in phrase(question, form)[1])
            audios = {"input": clips[f"{number:02d}-{form}"].audio}
            yield _sample(number, question, form, Request("respond", audios, turns=turns))


def _sample(number: int, question: Question, form: Form, request: Request) -> Sample:
    return Sample(
        id=f"{number:02d}-{form}",
        request=replace(request, instruction=INSTRUCTION, language="en"),
        target=question.answer,
        slices={"form": form},
        cluster=f"{number:02d}",
    )


def _heard(turn: Turn, number: int, clips: Mapping[str, Utterance]) -> Turn:
    """A turn of the user in sound alone; the assistant's own stays in words."""
    if turn.role != "user":
        return turn
    name = "story" if turn.text == STORY else f"{number:02d}-taken-back"
    return replace(turn, text=None, audio=clips[name].audio)


def _task(
    name: str, samples: Callable[[], Iterable[Sample]], notes: tuple[str, ...], settings: Mapping[str, str]
) -> Task:
    """The task on `QUESTIONS`, as `samples` put them. Slices: the form."""
    change = named_normaliser(NORMALISER)
    reduce_times = latency_reduce(PERCENTILES)

    def score(sample: Sample, output: Output) -> Score:
        question, form = QUESTIONS[int(sample.cluster) - 1], cast("Form", sample.slices["form"])
        text = change(output.text or "") if output.status == "ok" else ""
        unparsed = output.status == "ok" and not text.strip()
        status: ScoreStatus = "unparsed" if unparsed else output.status
        correct = says(text, change(question.answer))
        lost = output.status in ("timeout", "error") or (form != "fluent" and _lost(text, question, form, change))
        counts = {
            "correct": float(correct and not lost),
            "wrong": float(not correct or lost),
            "not_followed": float(lost) if form != "fluent" else 0.0,
            "followable": float(form != "fluent"),
            **latency_counts(output, 0.0),
        }
        details = {
            "reference": question.answer, "hypothesis": output.text or "", "asked": phrase(question, form)[0],
        }  # fmt: skip
        return Score(sample.id, counts, status=status, details=details)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        times = reduce_times(table, weights)
        return {
            "accuracy": mean_of(table, weights, "correct"),
            "not_followed": ratio_of_sums(table, weights, "not_followed", "followable"),
            **{name: value for name, value in times.items() if name != "rtfx"},
        }

    return Task(
        name=name,
        version=VERSION,
        ability="respond",
        samples=samples,
        score=score,
        reduce=reduce,
        metrics=METRICS,
        exclusive=True,
        notes=notes,
        settings={"normaliser": NORMALISER, **settings},
    )


def says(text: str, answer: str) -> bool:
    """Whether the words of `answer` stand in `text` in a row, both normalised.

    >>> says("it is paris of course", "paris"), says("the parish", "paris"), says("", "paris")
    (True, False, False)
    """
    return f" {' '.join(answer.split())} " in f" {' '.join(text.split())} "


def _lost(text: str, question: Question, form: str, change: Callable[[str], str]) -> bool:
    """Whether the text answers what was taken back, or goes on with what was broken off."""
    if form in ("interrupted", "talked-over"):
        return any(says(text, word) for word in CONTINUATION)
    return says(text, change(question.other_answer)) and not says(text, change(question.answer))
