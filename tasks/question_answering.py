"""Spoken question answering: `spoken-qa-choice` and `spoken-qa-short`.

A failed sample is wrong. An answer to a multiple-choice question that names no option is `unparsed`, and wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random

from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.questions import CHOICES, PASSAGES, ChoiceQuestion
from audiometry.tasks.corpora.utterance import Utterance, open_corpus
from audiometry.tasks.labelling import chance_note, read_status
from audiometry.tasks.metrics.answers import ANSWER_METRICS, answer_counts, answer_reduce
from audiometry.tasks.parsing import LETTERS, parse_choice

__all__ = ["CHOICE_INSTRUCTION", "SHORT_INSTRUCTION", "options_of", "spoken_qa_choice", "spoken_qa_short"]

CORPUS = "spoken-questions-en"
CHOICE_INSTRUCTION = "Listen to the question and choose the right answer. Answer with its letter only."
SHORT_INSTRUCTION = (
    "Listen to the passage and to the question at its end. Answer in as few words as possible, as they stand in the "
    "passage, and say nothing else."
)


def options_of(question: ChoiceQuestion) -> tuple[list[str], int]:
    """The options in the order in which they are offered, and the place of the right one.

    The order depends on the question alone. Over the corpus each place is right equally often, so that the same letter
    each time scores exactly chance.
    """
    place = _PLACES[question.id]
    options = list(question.wrong)
    Random(derive_seed(0, CORPUS, question.id)).shuffle(options)
    return [*options[:place], question.right, *options[place:]], place


def _places() -> dict[str, int]:
    places = [number % 4 for number in range(len(CHOICES))]
    Random(derive_seed(0, CORPUS, "places")).shuffle(places)
    return {question.id: place for question, place in zip(CHOICES, places, strict=True)}


_PLACES = _places()


@task("spoken-qa-choice")
def spoken_qa_choice() -> Task:
    """Spoken questions of common knowledge with four options: accuracy, chance is 25 %."""
    corpus = open_corpus(CORPUS)

    def samples() -> Iterator[Sample]:
        spoken = _by_name(corpus.utterances())
        for question in CHOICES:
            options, place = options_of(question)
            listed = "\n".join(f"{LETTERS[i]}) {option}" for i, option in enumerate(options))
            yield _sample(spoken[question.id], f"{CHOICE_INSTRUCTION}\n{listed}", LETTERS[place], question.topic)

    return Task(
        name="spoken-qa-choice",
        version="1",
        ability="respond",
        samples=samples,
        score=_score_choice,
        reduce=_reduce_choice,
        metrics=(Metric("accuracy", direction="higher", high=1.0, scale="logit"),),
        notes=(*corpus.notes, chance_note(4)),
        settings={"corpus": CORPUS},
    )


@task("spoken-qa-short")
def spoken_qa_short() -> Task:
    """Questions on spoken passages, short answers: F1 and exact match as in SQuAD."""
    corpus = open_corpus(CORPUS)

    def samples() -> Iterator[Sample]:
        spoken = _by_name(corpus.utterances())
        for passage in PASSAGES:
            for number, one in enumerate(passage.questions, 1):
                yield _sample(spoken[f"{passage.id}-{number}"], SHORT_INSTRUCTION, one.answers[0], "", passage.id)

    return Task(
        name="spoken-qa-short",
        version="1",
        ability="respond",
        samples=samples,
        score=_score_short,
        reduce=answer_reduce,
        metrics=ANSWER_METRICS,
        notes=corpus.notes,
        settings={"corpus": CORPUS},
    )


_ANSWERS = {
    f"{passage.id}-{number}": one.answers
    for passage in PASSAGES
    for number, one in enumerate(passage.questions, 1)
}  # fmt: skip
_OPTIONS = {question.id: options_of(question)[0] for question in CHOICES}


def _by_name(utterances: Iterable[Utterance]) -> dict[str, Utterance]:
    return {_name(one.id): one for one in utterances}


def _name(sample_id: str) -> str:
    return sample_id.rpartition("/")[2]


def _sample(spoken: Utterance, instruction: str, target: str, topic: str, cluster: str = "") -> Sample:
    request = Request("respond", {"input": spoken.audio}, instruction=instruction, language=spoken.language)
    slices = dict(spoken.slices) | ({"topic": topic} if topic else {})
    return Sample(spoken.id, request, target, slices, cluster)


def _score_choice(sample: Sample, output: Output) -> Score:
    options = _OPTIONS[_name(sample.id)]
    chosen = parse_choice(output.text or "", options) if output.status == "ok" else None
    right = chosen is not None and LETTERS[chosen] == sample.target
    details = {
        "reference": str(sample.target),
        "answer": output.text or "",
        "chosen": "" if chosen is None else LETTERS[chosen],
    }
    counts = {"right": float(right), "questions": 1.0}
    return Score(sample.id, counts, read_status(output, chosen is not None), details)


def _reduce_choice(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    return {"accuracy": ratio_of_sums(table, weights, "right", "questions")}


def _score_short(sample: Sample, output: Output) -> Score:
    said = (output.text or "") if output.status == "ok" else ""
    answers = _ANSWERS[_name(sample.id)]
    details = {"reference": " / ".join(answers), "answer": said}
    return Score(sample.id, answer_counts(said, answers), read_status(output, bool(said)), details)
