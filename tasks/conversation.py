"""Conversation: how long a model lets one wait, and what it does with speech as people speak.

Each question is asked in four forms: fluently; disfluently, with fillers, repeated words and a repair ("of Germany, no,
sorry, of France"); as an interruption, after an answer to something else that the user broke off; and as an
interruption that corrects the question itself. Every question has a short answer, and each form but the fluent one has
a wrong answer that tells that the model did not follow: it answered what was taken back, or went on with its talk.

The answer's text is searched for both. What a model says in sound alone is counted as unparsed, and as not correct.

A failed sample (time-out, error) is not correct and did not follow, and counts as slower than every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

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
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser

__all__ = ["FORMS", "QUESTIONS", "Form", "Question", "conversation_task", "phrase", "says"]

VERSION = "1"
NORMALISER = "whisper-english-1"
PERCENTILES = (50, 90, 95)
INSTRUCTION = "Answer in one short sentence."

Form = Literal["fluent", "disfluent", "interrupted", "corrected"]
FORMS: tuple[Form, ...] = ("fluent", "disfluent", "interrupted", "corrected")


@dataclass(frozen=True, slots=True)
class Question:
    """A frame with a place for the thing asked about; that thing, and its answer; another thing, and its answer."""

    frame: str
    asked: str
    answer: str
    other: str
    other_answer: str


QUESTIONS = (
    Question("what is the capital of {}", "France", "Paris", "Germany", "Berlin"),
    Question("what is the capital of {}", "Japan", "Tokyo", "Italy", "Rome"),
    Question("what is the capital of {}", "Egypt", "Cairo", "Spain", "Madrid"),
    Question("what is the capital of {}", "Norway", "Oslo", "Greece", "Athens"),
    Question("how many legs does {} have", "a spider", "8", "an ant", "6"),
    Question("how many days are there in {}", "June", "30", "July", "31"),
    Question("how many days are there in {}", "a week", "7", "a leap year", "366"),
    Question("how many minutes are there in {}", "two hours", "120", "half an hour", "30"),
    Question("what is {}", "seven plus five", "12", "seven times five", "35"),
    Question("what is {}", "nine times three", "27", "nine minus three", "6"),
    Question("what is {}", "one hundred minus ten", "90", "one hundred plus ten", "110"),
    Question("which month comes after {}", "March", "April", "September", "October"),
    Question("which month comes before {}", "August", "July", "March", "February"),
    Question("which day comes after {}", "Monday", "Tuesday", "Thursday", "Friday"),
    Question("what is the opposite of {}", "hot", "cold", "tall", "short"),
    Question("what is the opposite of {}", "empty", "full", "late", "early"),
    Question("what is the French word for {}", "cat", "chat", "dog", "chien"),
    Question("what is the Spanish word for {}", "house", "casa", "water", "agua"),
    Question("which planet is {}", "closest to the sun", "Mercury", "the largest of all", "Jupiter"),
    Question("what is the chemical symbol of {}", "oxygen", "O", "hydrogen", "H"),
    Question("who wrote {}", "Hamlet", "Shakespeare", "War and Peace", "Tolstoy"),
    Question("who wrote {}", "Faust", "Goethe", "Don Quixote", "Cervantes"),
    Question("what colour do you get from {}", "blue and yellow", "green", "red and yellow", "orange"),
    Question("what do you call a young {}", "dog", "puppy", "cat", "kitten"),
)

STORY = "Tell me how bread is made."
BROKEN_OFF = "Gladly. You begin with flour, water, salt and yeast. You knead the dough for ten minutes, then you let it"
CONTINUATION = ("dough", "oven", "yeast", "flour", "knead")
"""Words of the talk that was broken off; none of them is in any answer."""

METRICS = (
    Metric("accuracy", direction="higher", high=1.0, scale="logit", events="wrong"),
    Metric("not_followed", high=1.0, scale="logit", events="not_followed"),
    *(metric for metric in latency_metrics(PERCENTILES) if metric.name != "rtfx"),
)


@task("conversation")
def conversation() -> Task:
    """Short written questions, fluent, disfluent, interrupting and corrected: right answers and waiting times."""
    return conversation_task("conversation")


def conversation_task(name: str) -> Task:
    """The task on the written `QUESTIONS`. Slices: the form."""
    change = named_normaliser(NORMALISER)
    reduce_times = latency_reduce(PERCENTILES)

    def samples() -> Iterator[Sample]:
        for number, question in enumerate(QUESTIONS, 1):
            for form in FORMS:
                text, turns = phrase(question, form)
                yield Sample(
                    id=f"{number:02d}-{form}",
                    request=Request("respond", text=text, instruction=INSTRUCTION, turns=turns, language="en"),
                    target=question.answer,
                    slices={"form": form},
                    cluster=f"{number:02d}",
                )

    def score(sample: Sample, output: Output) -> Score:
        number, form = sample.id.split("-")
        question = QUESTIONS[int(number) - 1]
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
        details = {"reference": question.answer, "hypothesis": output.text or "", "asked": sample.request.text or ""}
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
        notes=("written questions",),
        settings={"normaliser": NORMALISER},
    )


def phrase(question: Question, form: Form) -> tuple[str, tuple[Turn, ...]]:
    """What the user says, and the turns before it.

    >>> phrase(QUESTIONS[0], "disfluent")[0]
    'Um, what what is the capital of, uh, Germany, no, sorry, I mean, uh, France?'
    """
    asked, other = question.frame.format(question.asked), question.frame.format(question.other)
    if form == "fluent":
        return f"{_capital(asked)}?", ()
    if form == "disfluent":
        return f"Um, {_disfluent(question)}?", ()
    if form == "interrupted":
        turns = (Turn("user", STORY), Turn("assistant", f"{BROKEN_OFF}—"))
        return f"Stop, that is enough. {_capital(asked)}?", turns
    turns = (Turn("user", f"{_capital(other)}?"), Turn("assistant", "Let me see. That is—"))
    return f"No, wait, I meant {question.asked}: {asked}?", turns


def says(text: str, answer: str) -> bool:
    """Whether the words of `answer` stand in `text` in a row, both normalised.

    >>> says("it is paris of course", "paris"), says("the parish", "paris"), says("", "paris")
    (True, False, False)
    """
    return f" {' '.join(answer.split())} " in f" {' '.join(text.split())} "


def _disfluent(question: Question) -> str:
    """The first word twice, a filler before the thing, and the wrong thing taken back."""
    first, rest = question.frame.split(" ", 1)
    repaired = f"uh, {question.other}, no, sorry, I mean, uh, {question.asked}"
    stuttered = f"{first} {first} {rest}"
    return stuttered.replace(" {}", f", {repaired}")


def _lost(text: str, question: Question, form: str, change: Callable[[str], str]) -> bool:
    """Whether the text answers what was taken back, or goes on with what was broken off."""
    if form == "interrupted":
        return any(says(text, word) for word in CONTINUATION)
    return says(text, change(question.other_answer)) and not says(text, change(question.answer))


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
