"""Speaker verification: does one person speak in both recordings of a trial?

A model of ability `embed` embeds every utterance that the list of trials names, once; a trial's score is the cosine of
its two embeddings. A trial of which an utterance has no usable embedding is wrong at every threshold: with one speaker
it lies below every score, with two above. Nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.rows import SpeakerUtterance, VerificationTrial
from audiometry.tasks.corpora.voxceleb import VoxCelebFolder
from audiometry.tasks.metrics.detection import DetectionCosts
from audiometry.tasks.metrics.detection_resampling import resampled_equal_error_rate, resampled_min_dcf
from audiometry.tasks.metrics.frechet import embedding_counts
from audiometry.tasks.row_corpora import named_after, open_rows_of

__all__ = ["COSTS", "METRICS", "TrialList", "trial_list", "verification_reduce", "verification_task"]

VERSION = "1"

COSTS = {
    f"min_dcf_{prior:g}": DetectionCosts(spoof_prior=1 - prior, miss_cost=1.0, false_alarm_cost=1.0)
    for prior in (0.01, 0.05)
}
"""Costs by metric: a prior of target trials of 0.01 as in VoxCeleb's papers, of 0.05 as in its later challenges."""

METRICS = tuple(Metric(name, high=1.0, scale="logit") for name in ("eer", *COSTS))

CELLS = 1 << 24
"""Weights of pairs of clusters that are held at once, 128 MiB: trials are sorted anew for each such part."""

GATHERED = 1 << 22
"""Numbers of embeddings that are multiplied at once: 32 MiB a side."""

ROUNDING = 12
"""Decimals of a cosine: beyond lies rounding, which would part scores that are equal."""


@dataclass(frozen=True)
class TrialList:
    """Trials as places in a list of utterances: `first`, `second` and `target` have shape (trials,)."""

    first: IntArray
    second: IntArray
    target: NDArray[np.bool_]
    utterances: int


def trial_list(name: str, trials: Sequence[VerificationTrial], utterances: Mapping[str, int]) -> TrialList:
    """The trials, with each utterance's place by its id.

    Raises DataError where all trials are of one class, which have no error rate, or there is none.
    """
    target = np.array([trial.target for trial in trials], dtype=np.bool_)
    if target.all() or not target.any():
        raise DataError(
            f"task {name!r}: of {len(trials):,} trials {int(target.sum()):,} have one speaker; an equal error rate "
            "needs both kinds: check the list, or take another split"
        )
    first, second = (
        np.array([utterances[getattr(trial, side)] for trial in trials], dtype=np.int64)
        for side in ("enrolment", "test")
    )
    return TrialList(first, second, target, len(utterances))


def verification_task(
    *,
    name: str,
    trials: Sequence[VerificationTrial],
    utterances: Iterable[SpeakerUtterance],
    notes: tuple[str, ...] = (),
    corpus: str = "",
) -> Task:
    """Equal error rate and minimum costs of a list of trials.

    The samples are the utterances; clusters are speakers. A slice holds the trials whose utterances are both in it.

    Raises DataError as `trial_list` does.
    """
    heard = list(utterances)
    places = {one.id: place for place, one in enumerate(heard)}
    known = trial_list(name, trials, places)

    def samples() -> Iterator[Sample]:
        for one in heard:
            yield Sample(one.id, Request("embed", {"input": one.audio}), one.speaker, one.slices, one.speaker)

    def score(sample: Sample, output: Output) -> Score:
        counts = {"utterance": float(places[sample.id])}
        if output.status != "ok" or output.embedding is None:
            status = "empty" if output.status == "ok" else output.status
            return Score(sample.id, {**counts, "embedded": 0.0, "dimensions": 0.0}, status)
        wrong = _unusable(output)
        if wrong:
            return Score(sample.id, {**counts, "embedded": 0.0, "dimensions": 0.0}, "unparsed", {"wrong": wrong})
        size = float(len(output.embedding))
        return Score(sample.id, {**counts, **embedding_counts(output.embedding), "dimensions": size})

    counted = f"{len(trials):,} trials of {len(heard):,} utterances; samples are utterances"
    return Task(
        name=name, version=VERSION, ability="embed", samples=samples, score=score, reduce=verification_reduce(known),
        metrics=METRICS, notes=(*notes, counted), settings={"corpus": corpus, "trials": str(len(trials))},
    )  # fmt: skip


def _unusable(output: Output) -> str:
    """Why an embedding has no cosine with others; nothing where it has one."""
    row = np.asarray(output.embedding, np.float64)
    if row.ndim != 1 or len(row) == 0:
        return f"the embedding has shape {row.shape}; give one row"
    if not np.isfinite(row).all():
        return "the embedding is not of finite numbers"
    return "" if row.any() else "the embedding is all zeros and has no direction"


def verification_reduce(trials: TrialList) -> Callable[[ScoreTable, FloatArray], Mapping[str, FloatArray]]:
    """The reduction of embeddings to `METRICS`; every value has shape (resamples,).

    Counts of each utterance: `utterance` (its place), `embedded`, `dimensions` and `embedding_0` … . A trial between
    two clusters stands in a resample as often as the product of their weights says, a trial within one as often as its
    weight: a speaker that was drawn twice is two speakers. Trials of which an utterance is not in the table are left
    out (a slice, or ``--limit``); NaN where a class has none.

    Raises DataError where embeddings differ in length.
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        weights = np.atleast_2d(weights)
        row = np.full(trials.utterances, -1, dtype=np.int64)
        row[table.counts["utterance"].astype(np.int64)] = np.arange(len(table))
        first, second = row[trials.first], row[trials.second]
        there = (first >= 0) & (second >= 0)
        first, second, target = first[there], second[there], trials.target[there]
        scores = _scores(table, first, second, target)
        pairs, code = np.unique(table.cluster[first] * table.clusters + table.cluster[second], return_inverse=True)
        one, other = np.divmod(pairs, table.clusters)
        step = max(1, CELLS // max(len(pairs), 1))
        parts = []
        for start in range(0, len(weights), step):
            drawn = weights[start : start + step]
            held = drawn[:, one]
            held *= np.where(one == other, 1.0, drawn[:, other])
            rates = resampled_equal_error_rate(scores, target, code, held)
            parts.append(np.vstack([rates, resampled_min_dcf(scores, target, code, held, tuple(COSTS.values()))]))
        values = np.concatenate(parts, axis=1)
        return {metric.name: value for metric, value in zip(METRICS, values, strict=True)}

    return reduce


def _scores(table: ScoreTable, first: IntArray, second: IntArray, target: NDArray[np.bool_]) -> FloatArray:
    """The cosine of every trial; one that lacks an embedding is infinitely wrong."""
    embedded = table.counts["embedded"] > 0
    sizes = np.unique(table.counts["dimensions"][embedded]).astype(int)
    if len(sizes) > 1:
        raise DataError(f"embeddings of {sizes[0]} and of {sizes[-1]} numbers cannot be compared; check the model")
    scores = np.where(target, -np.inf, np.inf)
    if len(sizes) == 0:
        return scores
    vectors = np.stack([table.counts[f"embedding_{place}"] for place in range(sizes[0])], axis=1)
    vectors[embedded] /= np.linalg.norm(vectors[embedded], axis=1, keepdims=True)
    usable = np.flatnonzero(embedded[first] & embedded[second])
    step = max(1, GATHERED // sizes[0])
    for start in range(0, len(usable), step):
        part = usable[start : start + step]
        scores[part] = np.einsum("ij,ij->i", vectors[first[part]], vectors[second[part]]).round(ROUNDING)
    return scores


@task("speaker-verification")
def speaker_verification(
    *, corpus: str = "voxceleb1", path: str | None = None, split: str | None = None, partial: str | None = None
) -> Task:
    """Speaker verification over VoxCeleb1's trials by the cosine of two embeddings: EER and min DCF."""
    what = "verification trials; name voxceleb1"
    opened: VoxCelebFolder
    opened = open_rows_of(VerificationTrial, what, corpus, path=path, split=split, partial=partial)
    return verification_task(
        name=named_after("speaker-verification", corpus, opened), trials=opened.rows(), utterances=opened.utterances(),
        notes=tuple(opened.notes), corpus=opened.name,
    )  # fmt: skip
