"""Who is understood worse: word errors by gender, accent, language, age, device, speaking rate and pitch.

A bias task is the `wer` task with groups. Its headline is the word error rate of the worst group, and each fact has
the gap between its worst and its best group. Both are cross-fitted: the group is picked on one half of the clusters
and measured on the other, and the reverse. The largest of several values that were measured on the data by which it
was picked is large by chance alone; the cross-fitted gap is 0 on average where groups are equal, and may come out
below 0.

A failed sample counts as all deletions, as in `wer`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
from audiometry.benchmark.stats.groups import MINIMUM_SAMPLES
from audiometry.benchmark.stats.weights import MIN_CLUSTERS
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.delivery import delivery_groups
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.metrics.normalise import normaliser, normaliser_for
from audiometry.tasks.recognition import score_transcript
from audiometry.tasks.row_corpora import given

__all__ = ["FACTS", "bias_task", "group_metrics", "reduce_groups"]

VERSION = "1"

FACTS = ("gender", "accent", "language", "age", "device", "rate", "pitch")
"""What utterances are grouped by. The last two are measured on the sound."""

MEASURED = ("rate", "pitch")

DEVICES: Mapping[str, str] = {
    f"asterisk-{language}{suffix}": device
    for language in ("en", "es", "fr", "it", "ru")
    for suffix, device in (("", "wideband"), ("-telephone", "telephone"))
}
"""What corpora were recorded for, where that is the corpus' own fact."""


def group_metrics(by: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of a bias task: the worst group's error, the whole's, and a gap for each fact.

    >>> [metric.name for metric in group_metrics(["gender", "age"])]
    ['worst_group_wer', 'wer', 'gap_gender', 'gap_age']
    """
    return (
        Metric("worst_group_wer", direction="lower", scale="log"),
        Metric("wer", direction="lower", scale="log", events="errors"),
        *(Metric(f"gap_{fact}", direction="lower", low=-1.0) for fact in by),
    )


def reduce_groups(by: Sequence[str]) -> Callable[[ScoreTable, FloatArray], Mapping[str, FloatArray]]:
    """The reduction of a bias task, by the facts `by`: every value has shape (resamples,).

    Counts: `errors` and `reference` words of each sample, and `by_FACT`, a code for its group (0 for none). The two
    halves are the table's strata. Groups of under 20 samples are left out. `wer` is a ratio of sums. For the others
    the worst and the best group are those of one half, their rates those of the other, and the mean of both ways is
    taken; NaN where no fact has two groups with words in both halves.

    >>> counts = {"errors": np.repeat([1.0, 3.0], 20), "reference": np.full(40, 10.0),
    ...           "by_gender": np.repeat([5.0, 9.0], 20)}
    >>> table = ScoreTable(counts, np.arange(40), np.tile([0, 1], 20), np.tile([0, 1], 20))
    >>> values = reduce_groups(["gender"])(table, np.ones((1, 40)))
    >>> {name: round(float(value[0]), 3) for name, value in values.items()}
    {'worst_group_wer': 0.3, 'wer': 0.2, 'gap_gender': 0.2}
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        errors, words = (weights @ table.cluster_sums(name) for name in ("errors", "reference"))
        values: dict[str, FloatArray] = {"worst_group_wer": np.empty(0), "wer": _divide(errors, words)}
        rates = [_rates(table, weights, table.counts[f"by_{fact}"]) for fact in by]
        for fact, halves in zip(by, rates, strict=True):
            values[f"gap_{fact}"] = _crossed(halves, lambda rates: (_worst(rates), _best(rates)))
        values["worst_group_wer"] = _crossed(np.concatenate(rates, axis=2), lambda rates: (_worst(rates), None))
        return values

    return reduce


def bias_task(
    corpora: Sequence[SpeechCorpus], *, name: str, by: Sequence[str], normalise: str | None = None, clips: int = 0
) -> Task:
    """Word errors of a recogniser on one or several corpora, by groups.

    `by` names the facts to group by, of `FACTS`. Gender, accent, language and age come from the corpus' own labels,
    the device from the corpus; `rate` and `pitch` are thirds of what is measured (`delivery_groups`), of
    speakers, or of recordings where there are fewer than five speakers. `normalise`
    names the normaliser; by default each utterance gets the one for its language. `clips` takes so many recordings, the
    first in a fixed order, each for all its devices (0: all).

    The clusters are speakers. Where there are fewer than five, they are recordings, and one recording that is there
    for several devices is one cluster.

    Raises SettingError for a fact that is none, or a negative number of clips.
    """
    if clips < 0:
        raise SettingError(f"task {name!r}, setting 'clips': {clips} is negative; give a number, or 0 for all")
    unknown = [fact for fact in by if fact not in FACTS]
    if unknown or not by:
        raise SettingError(f"task {name!r}, setting 'by': {unknown[0] if unknown else 'nothing'!r}; give some of: "
                           f"{', '.join(FACTS)}")  # fmt: skip

    def samples() -> Iterator[Sample]:
        listed = [_labelled(one, corpus.name) for corpus in corpora for one in corpus.utterances()]
        if clips:
            names = sorted({_recording(one) for one in listed})
            taken = {names[place] for place in hash_order(names, first=clips)}
            listed = [one for one in listed if _recording(one) in taken]
        few = len({one.speaker for one in listed}) < MIN_CLUSTERS
        clusters = [_recording(one) if few or not one.speaker else one.speaker for one in listed]
        groups = delivery_groups(listed, [fact for fact in by if fact in MEASURED], clusters)
        halves = _halves(clusters)
        for one, measured, cluster in zip(listed, groups, clusters, strict=True):
            yield Sample(
                id=one.id,
                request=Request("transcribe", {"input": one.audio}, language=one.language or None),
                target=one.text,
                slices={**one.slices, **measured},
                cluster=cluster,
                stratum=halves[cluster],
            )

    def score(sample: Sample, output: Output) -> Score:
        language = str(sample.request.language or "")
        scored = score_transcript(sample, output, normaliser(normalise or normaliser_for(language)))
        kept = {count: scored.counts[count] for count in ("errors", "reference")}
        codes = {f"by_{fact}": _code(sample.slices.get(fact, "")) for fact in by}
        return replace(scored, counts={**kept, **codes})

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_groups(by),
        metrics=group_metrics(by),
        notes=tuple(dict.fromkeys(note for corpus in corpora for note in corpus.notes)),
        settings={
            "corpus": "+".join(corpus.name for corpus in corpora),
            "by": "+".join(by),
            "normaliser": normalise or "by language",
            **({"clips": str(clips)} if clips else {}),
        },
    )


def _labelled(utterance: Utterance, corpus: str) -> Utterance:
    device = {"device": DEVICES[corpus]} if corpus in DEVICES else {}
    return replace(utterance, slices={**device, **utterance.slices})


def _recording(utterance: Utterance) -> str:
    """The recording's name without its corpus, so that both qualities of one speaker's prompt are one."""
    name = utterance.id.partition("/")[2] or utterance.id
    return f"{utterance.language} {utterance.speaker} {name}"


def _halves(clusters: Sequence[str]) -> dict[str, str]:
    """Half "a" or "b" of each cluster: dealt in turn in a fixed order, so that the halves are equal.

    Halves are strata: each resample has as many of both.
    """
    names = sorted(set(clusters))
    return {names[place]: "ab"[turn % 2] for turn, place in enumerate(hash_order(names))}


def _code(group: str) -> float:
    """A whole number for a group's name that is the same on every worker; 0 for none."""
    return float(zlib.crc32(group.encode()) + 1) if group else 0.0


def _rates(table: ScoreTable, weights: FloatArray, codes: FloatArray) -> FloatArray:
    """Error rates of the groups in each half: shape (2, resamples, groups); NaN where a half has no words of one."""
    names, group, sizes = np.unique(codes, return_inverse=True, return_counts=True)
    kept = np.flatnonzero((names != 0) & (sizes >= MINIMUM_SAMPLES))
    cell = table.cluster * len(names) + group
    shape = table.clusters, len(names)
    half = table.cluster_strata
    sums = [
        np.bincount(cell, table.counts[count], minlength=shape[0] * shape[1]).reshape(shape)[:, kept]
        for count in ("errors", "reference")
    ]
    rates = [_divide(*(weights[:, half == side] @ one[half == side] for one in sums)) for side in (0, 1)]
    return np.stack(rates)


Pick = Callable[[FloatArray], tuple[IntArray, IntArray | None]]


def _crossed(rates: FloatArray, pick: Pick) -> FloatArray:
    """Mean over both halves of what the groups picked in the other half have here: shape (resamples,)."""
    _, resamples, groups = rates.shape
    both = np.isfinite(rates).all(axis=0)
    if groups < 2:
        return np.full(resamples, np.nan)
    total = np.zeros(resamples)
    for side in (0, 1):
        top, bottom = pick(np.where(both, rates[side], np.nan))
        rows, other = np.arange(resamples), rates[1 - side]
        total += other[rows, top] - (0.0 if bottom is None else other[rows, bottom])
    return np.where(both.sum(axis=1) >= 2, total / 2, np.nan)


def _worst(rates: FloatArray) -> IntArray:
    return np.asarray(np.argmax(np.nan_to_num(rates, nan=-np.inf), axis=1), dtype=np.int64)


def _best(rates: FloatArray) -> IntArray:
    return np.asarray(np.argmin(np.nan_to_num(rates, nan=np.inf), axis=1), dtype=np.int64)


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.asarray(np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0))


def _facts(by: str) -> list[str]:
    return [fact for fact in by.split("+") if fact]


@task("bias")
def bias(
    *,
    corpus: str = "manifest",
    path: str | None = None,
    split: str | None = None,
    language: str | None = None,
    partial: str | None = None,
    by: str = "+".join(FACTS),
    normaliser: str | None = None,
    name: str | None = None,
) -> Task:
    """Word errors by groups of speakers, on a list of your own (path=FILE) or corpora (corpus=NAME+NAME).

    Each of several corpora gets all the settings.
    """
    if corpus == "manifest" and path is None:
        raise SettingError("task 'bias' needs a list of recordings, as in bias:path=FILE, or bias:corpus=NAME+NAME")
    settings = given(path=path, split=split, language=language, partial=partial)
    opened = [open_corpus(one, **settings) for one in corpus.split("+")]
    return bias_task(opened, name=name or "bias", by=_facts(by), normalise=normaliser)


@task("bias-matched-voices")
def bias_matched_voices() -> Task:
    """Word errors by gender, accent, age and pitch, on the same sentences by 73 synthetic voices."""
    return bias_task(
        [open_corpus("matched-voices")], name="bias-matched-voices", by=("gender", "accent", "age", "pitch")
    )


@task("bias-device-en")
def bias_device_en(*, clips: int = 0) -> Task:
    """Word errors by device, speaking rate and pitch, on English prompts at 16 kHz and over the telephone band."""
    corpora = [open_corpus(name) for name in ("asterisk-en", "asterisk-en-telephone")]
    return bias_task(corpora, name="bias-device-en", by=("device", "rate", "pitch"), clips=clips)


@task("bias-languages")
def bias_languages() -> Task:
    """Word errors by language and gender, on human prompts in five languages, four speakers in all."""
    corpora = [open_corpus(f"asterisk-{language}") for language in ("en", "es", "fr", "it", "ru")]
    return bias_task(corpora, name="bias-languages", by=("language", "gender"))
