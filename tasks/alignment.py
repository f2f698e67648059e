"""Forced alignment: how far the word boundaries that an aligner finds lie from where they are known to be.

The recordings are synthetic: espeak-ng reports when each word begins and ends, to the sample. An aligner gets the sound
and the text and answers with segments. A failed sample has no segment: its boundaries count as missed, outside every
tolerance, and have no error that could enter the mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Segment, Task
from audiometry.tasks.corpora.matched_voices import MatchedVoices, matched_voices
from audiometry.tasks.metrics.alignment import BOUNDARY_METRICS, boundary_counts, boundary_reduce

__all__ = ["METRICS", "alignment_task", "as_target", "joined", "segments_of"]

VERSION = "1"

LONGEST = 10.0
"""Seconds by which a boundary may be thought to lie early."""

_NAMES = ("under_50ms", "mean_absolute_error", "mean_error", "under_20ms", "under_100ms", "matched")
METRICS: tuple[Metric, ...] = tuple(
    replace(metric, low=max(metric.low, -LONGEST))  # results are JSON, which knows no infinity
    for name in _NAMES
    for metric in BOUNDARY_METRICS
    if metric.name == name
)
"""The share of boundaries under 50 ms comes first: it counts what an aligner leaves out, as the mean cannot."""

_OUTSIDE = re.compile(r"^\W+|\W+$")
_VARIANT = re.compile(r"\(\d+\)$")


def as_target(segments: Sequence[Segment]) -> dict[str, list[list[Any]]]:
    """Segments as a sample's target: ``{"segments": [[start, end, label], …]}``, in seconds.

    >>> as_target([Segment(0.0, 0.5, "good")])
    {'segments': [[0.0, 0.5, 'good']]}
    """
    return {"segments": [[one.start, one.end, one.label] for one in segments]}


def segments_of(target: Any) -> tuple[Segment, ...]:
    """The segments of a sample's target, as `as_target` made it.

    Raises DataError for a target of another kind.

    >>> segments_of({"segments": [[0.0, 0.5, "good"]]})
    (Segment(start=0.0, end=0.5, label='good', score=None),)
    """
    if not isinstance(target, Mapping) or "segments" not in target:
        raise DataError(f"a target of type {type(target).__name__} holds no segments; an alignment task's targets do")
    return tuple(Segment(*row) for row in target["segments"])


def joined(reference: Sequence[Segment], hypothesis: Sequence[Segment]) -> list[Segment]:
    """The hypothesis with those neighbours joined that are one segment in the reference.

    A synthesiser may say two words as one ("in the") and know only where the pair begins and ends. From left to right,
    each time that the hypothesis' next words spell a reference label of several words, they become one segment.

    >>> pair = joined([Segment(0.0, 0.3, "in the")], [Segment(0.0, 0.1, "in"), Segment(0.1, 0.28, "the")])
    >>> pair
    [Segment(start=0.0, end=0.28, label='in the', score=None)]
    """
    pairs = {tuple(one.label.split()) for one in reference if " " in one.label}
    longest = max((len(words) for words in pairs), default=1)
    found: list[Segment] = []
    place = 0
    while place < len(hypothesis):
        for size in range(min(longest, len(hypothesis) - place), 1, -1):
            run = hypothesis[place : place + size]
            if tuple(one.label for one in run) in pairs:
                found.append(Segment(run[0].start, run[-1].end, " ".join(one.label for one in run)))
                place += size
                break
        else:
            found.append(hypothesis[place])
            place += 1
    return found


def alignment_task(corpus: MatchedVoices, *, name: str) -> Task:
    """The alignment task on recordings whose word boundaries are known.

    The request holds the sound (role ``input``) and the text. An answer's segments carry words as labels; case,
    punctuation around a word and the number of a pronunciation, as in ``the(2)``, make no difference, nor do labels
    in brackets, which name silence and noise.
    """

    def samples() -> Iterator[Sample]:
        known = corpus.boundaries()
        for one in corpus.utterances():
            if one.id in known:
                yield Sample(
                    id=one.id,
                    request=Request("align", {"input": one.audio}, text=one.text, language=one.language or None),
                    target=as_target(known[one.id]),
                    slices=one.slices,
                    cluster=one.speaker,
                )

    return Task(
        name=name,
        version=VERSION,
        ability="align",
        samples=samples,
        score=score_alignment,
        reduce=boundary_reduce(),
        metrics=METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "unit": "words"},
    )


def score_alignment(sample: Sample, output: Output) -> Score:
    """Count how far each boundary lies off. What is not ``ok``, or has segments out of order, is scored as nothing."""
    reference = [Segment(one.start, one.end, _label(one.label)) for one in segments_of(sample.target)]
    status = output.status
    answered = output.segments if status == "ok" else ()
    hypothesis = [Segment(one.start, one.end, _label(one.label)) for one in answered]
    hypothesis = [one for one in hypothesis if one.label]
    try:
        counts = boundary_counts(reference, joined(reference, hypothesis))
    except DataError as error:
        counts = boundary_counts(reference, ())
        return Score(sample.id, counts, status="unparsed", details={"reference": _shown(reference), "why": str(error)})
    details = {"reference": _shown(reference), "hypothesis": _shown(hypothesis)}
    return Score(sample.id, counts, status=status, details=details)


def _label(label: str) -> str:
    """A word without case, what is around its letters, and the number of its pronunciation; "" for silence."""
    bare = label.strip()
    if bare[:1] + bare[-1:] in ("<>", "[]"):
        return ""
    return _OUTSIDE.sub("", _VARIANT.sub("", bare)).lower()


def _shown(segments: Sequence[Segment]) -> str:
    return " ".join(f"{one.label}[{one.start:.3f}-{one.end:.3f}]" for one in segments)


@task("align-matched-voices")
def align_matched_voices() -> Task:
    """Word boundaries of synthetic speech by 72 voices, against those that the synthesiser reports."""
    return alignment_task(matched_voices(), name="align-matched-voices")
