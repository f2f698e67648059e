"""Sound event classification: `events-synthetic`, and `events` on ESC-50 or AudioSet.

A model gives a score for every class, or names events in words. A class without a score has 0. An answer that names
anything but classes is `unparsed`; it and a failed sample rank below every other in every class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.rows import SoundClip
from audiometry.tasks.corpora.sounds import CLASSES, labelled_sounds
from audiometry.tasks.labelling import Closed, answered, chance_note, read_status
from audiometry.tasks.metrics.multilabel import multilabel_counts, multilabel_metrics, multilabel_reduce
from audiometry.tasks.parsing import offer, parse_label, parse_labels
from audiometry.tasks.row_corpora import must_name, named_after, open_rows

__all__ = ["event_scores", "event_task"]

QUESTION = "Which sounds are heard in this recording?"
SHOWN_CLASSES = 20
"""With more classes than these, the average precision of each is not listed."""


def event_task(
    *,
    name: str,
    clips: Callable[[], Iterable[SoundClip]],
    classes: Sequence[str],
    ability: Closed = "classify",
    notes: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> Task:
    """mAP, ROC area and accuracy of `classes` on `clips`.

    Accuracy is the share of clips whose one class with the highest score is heard in them; a tie is wrong.
    """
    instruction = f"{QUESTION}\n{offer(classes, several=True)}"
    every = multilabel_reduce(classes)
    accuracy = Metric("accuracy", direction="higher", high=1.0, scale="logit")
    shown = multilabel_metrics(classes)[: None if len(classes) <= SHOWN_CLASSES else 2]

    def samples() -> Iterator[Sample]:
        joint = "; " if any("," in one for one in classes) else ", "
        for clip in clips():
            request = Request(ability, {"input": clip.audio}, instruction=instruction)
            yield Sample(clip.id, request, joint.join(clip.events), clip.slices, stratum=clip.events[0])

    def score(sample: Sample, output: Output) -> Score:
        events = parse_labels(str(sample.target), classes) or []
        scores = event_scores(output, classes) if output.status == "ok" else None
        counts = multilabel_counts(scores, events, classes)
        counts |= {"right": _right(scores, events), "clips": 1.0}
        details = {"reference": str(sample.target), "answer": answered(output)}
        return Score(sample.id, counts, read_status(output, scores is not None), details)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        values = {**every(table, weights), "accuracy": ratio_of_sums(table, weights, "right", "clips")}
        return {metric.name: values[metric.name] for metric in metrics}

    metrics = (shown[0], accuracy, *shown[1:])
    return Task(
        name=name, version="1", ability=ability, samples=samples, score=score, reduce=reduce, metrics=metrics,
        notes=(*notes, chance_note(len(classes))),
        settings={"classes": str(len(classes)), "ability": ability, **(settings or {})},
    )  # fmt: skip


def event_scores(output: Output, classes: Sequence[str]) -> dict[str, float] | None:
    """A score for every class from an answer, or None where it names what is no class, or nothing.

    Several labels are classes with scores; one label may be a whole reply, as chat models give it. In words every
    class that is named has 1.

    >>> event_scores(Output(labels={"dog": 0.9, "rain": 0.3}), ["dog", "rain", "wind"])
    {'dog': 0.9, 'rain': 0.3, 'wind': 0.0}
    >>> event_scores(Output(text="a dog"), ["dog", "rain"]) is None
    True
    """
    if len(output.labels) > 1:
        read = {parse_label(label, classes): value for label, value in output.labels.items()}
        return None if None in read else {name: read.get(name, 0.0) for name in classes}
    named = parse_labels(next(iter(output.labels), output.text or ""), classes)
    if named is None:
        return None
    value = next(iter(output.labels.values()), 1.0)
    return {name: value if name in named else 0.0 for name in classes}


def _right(scores: Mapping[str, float] | None, events: Sequence[str]) -> float:
    if scores is None:
        return 0.0
    best = max(scores.values())
    first = [name for name, value in scores.items() if value == best]
    return float(len(first) == 1 and first[0] in events)


@task("events-synthetic")
def events_synthetic(*, ability: Closed = "classify") -> Task:
    """Twelve classes of sounds made from seeds: mAP and accuracy."""
    notes = ("synthetic sounds",)
    return event_task(name="events-synthetic", clips=labelled_sounds, classes=CLASSES, ability=ability, notes=notes)


_check_corpus = must_name("events", "a corpus of sound events", "corpus=esc50,path=FOLDER")


@task("events", check=_check_corpus)
def events(
    *,
    corpus: str = "",
    path: str | None = None,
    split: str | None = None,
    partial: str | None = None,
    ability: Closed = "classify",
) -> Task:
    """Sound events of a public corpus, corpus=esc50 or corpus=audioset: mAP and accuracy."""
    _check_corpus(corpus=corpus)
    opened = open_rows(corpus, path=path, split=split, partial=partial)
    if not callable(getattr(opened, "classes", None)) or not callable(getattr(opened, "rows", None)):
        raise DataError(f"corpus {corpus!r} holds no sound events with their classes; name esc50 or audioset")
    return event_task(
        name=named_after("events", corpus, opened), clips=opened.rows, classes=opened.classes(), ability=ability,
        notes=opened.notes, settings={"corpus": opened.name},
    )  # fmt: skip
