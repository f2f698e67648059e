"""What the tasks share that ask for one label of a closed list: the question, strict parsing, counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from audiometry.benchmark.types import (
    Audio,
    FloatArray,
    Metric,
    Output,
    Request,
    Sample,
    Score,
    ScoreStatus,
    ScoreTable,
    Task,
)
from audiometry.tasks.metrics.classification import class_counts, classification_metrics, classification_reduce
from audiometry.tasks.parsing import label_of, offer

__all__ = ["Closed", "LabelledClip", "answered", "chance_note", "label_task", "read_status"]

Closed = Literal["classify", "respond"]
"""How a closed question may be asked: for labels with scores, or for an answer in words."""

SHOWN_CLASSES = 20
"""With more classes than these, the recall of each is not listed."""


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """A recording and its one right label."""

    id: str
    audio: Audio
    label: str
    cluster: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)


def label_task(
    *,
    name: str,
    version: str,
    clips: Callable[[], Iterable[LabelledClip]],
    classes: Sequence[str],
    question: str,
    ability: Closed = "classify",
    language: str | None = None,
    one_each: bool = False,
    notes: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> Task:
    """A task that asks for the one of `classes` that a recording is.

    `question` is put before the list of classes. The answer is the label with the highest score, or the text, read by
    `audiometry.tasks.parsing.label_of`; an answer that is not one class is `unparsed`, and wrong. A failed sample is
    wrong too. The note names the chance level.

    `one_each` tells that a class has one clip: then only `accuracy` is reported, over all clips alike. A resample
    within classes would change nothing, and a recall of one clip is no recall.

    Raises ValueError for a class that cannot be offered in a list.
    """
    instruction = f"{question}\n{offer(classes)}"
    every = classification_reduce(classes)
    metrics = _shown_metrics(classes, one_each)
    shown = tuple(metric.name for metric in metrics)

    def samples() -> Iterator[Sample]:
        for clip in clips():
            request = Request(ability, {"input": clip.audio}, instruction=instruction, language=language)
            yield Sample(
                clip.id, request, clip.label, clip.slices, clip.cluster, stratum="" if one_each else clip.label
            )

    def score(sample: Sample, output: Output) -> Score:
        label = label_of(output, classes) if output.status == "ok" else None
        counts = class_counts(str(sample.target), label, classes)
        details = {"reference": str(sample.target), "answer": answered(output), "label": label or ""}
        return Score(sample.id, counts, read_status(output, label is not None), details)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        values = every(table, weights)
        return {name: values[name] for name in shown}

    return Task(
        name=name,
        version=version,
        ability=ability,
        samples=samples,
        score=score,
        reduce=reduce,
        metrics=metrics,
        notes=(*notes, chance_note(len(classes))),
        settings={"classes": str(len(classes)), "ability": ability, **(settings or {})},
    )


def _shown_metrics(classes: Sequence[str], one_each: bool) -> tuple[Metric, ...]:
    metrics = classification_metrics(classes)
    if one_each:
        return metrics[1:2]
    return metrics[:2] if len(classes) > SHOWN_CLASSES else metrics


def chance_note(classes: int) -> str:
    """What a constant answer scores as unweighted average recall.

    >>> chance_note(4)
    'chance level: 25.0 %, 4 classes'
    """
    return f"chance level: {100 / classes:.1f} %, {classes} classes"


def read_status(output: Output, parsed: bool) -> ScoreStatus:
    """The output's status, or `unparsed` where an answer came and could not be read."""
    return output.status if output.status != "ok" or parsed else "unparsed"


def answered(output: Output) -> str:
    """An answer as evidence: its text, or its labels from the highest score down."""
    if output.text is not None or not output.labels:
        return output.text or ""
    ranked = sorted(output.labels.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{label} {value:.3g}" for label, value in ranked[:5])
