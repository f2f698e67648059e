"""Word error rates of several languages, and how far they lie above the best one: the low-resource gap.

A failed sample (time-out, error, refusal) and an empty answer have every word deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, Metric, Output, Reduce, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.normalise import normaliser, normaliser_for
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.recognition import score_transcript
from audiometry.tasks.transcripts import ask

__all__ = ["METRICS", "language_gap", "multilingual_task"]

VERSION = "1"
DEFAULT = "asterisk-en+asterisk-es+asterisk-fr+asterisk-it+asterisk-ru"

METRICS = (
    Metric("wer_macro", scale="log", events="errors"),
    Metric("gap", unit="ratio", scale="linear"),
    Metric("gap_worst", unit="ratio", scale="linear"),
    Metric("wer_best", scale="log"),
    Metric("wer_worst", scale="log"),
)


def multilingual_task(corpora: Sequence[SpeechCorpus], *, name: str, low: Sequence[str] = ()) -> Task:
    """Word error rates over corpora of one language each, told apart by language.

    `low` names the low-resource languages, whose mean `gap` compares with the best language; by default all others.

    Raises SettingError for fewer than two languages, a corpus without a language, or a `low` that is not there.
    """
    languages = tuple(sorted({corpus.language for corpus in corpora}))
    if "" in languages or len(languages) < 2:
        raise SettingError(f"task {name!r} needs corpora of two languages or more; it was given {', '.join(languages)}")
    if unknown := set(low) - set(languages):
        raise SettingError(f"task {name!r}, setting 'low': no corpus in {', '.join(sorted(unknown))}; there are "
                           f"{', '.join(languages)}")  # fmt: skip
    changes = {language: normaliser_for(language) for language in languages}

    def samples() -> Iterator[Sample]:
        for corpus in corpora:
            for one in ask(corpus.utterances()):
                yield replace(one, slices={**one.slices, "language": corpus.language}, stratum=corpus.language)

    def score(sample: Sample, output: Output) -> Score:
        own = sample.slices["language"]
        found = score_transcript(sample, output, normaliser(changes[own]))
        counts = {"errors": found.counts["errors"], "words": found.counts["reference"]}
        for language in languages:
            counts |= {f"{part}_{language}": counts[part] * (language == own) for part in ("errors", "words")}
        return replace(found, counts=counts)

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=_reduce(languages, low),
        metrics=METRICS,
        notes=tuple(dict.fromkeys(note for corpus in corpora for note in corpus.notes)),
        settings={
            "corpora": "+".join(corpus.name for corpus in corpora),
            "low": "+".join(low) or "all but the best",
            "normaliser": "+".join(f"{language}={changes[language]}" for language in languages),
        },
    )


def language_gap(rates: FloatArray, low: Sequence[int] = ()) -> Mapping[str, FloatArray]:
    """Relative word error rate above the best language's.

    rates: word error rates of shape (languages, resamples), NaN where a resample has no words of a language. `low` are
    the rows of the low-resource languages. With b the lowest rate, `gap` is the mean over `low` (by default over all
    other languages) of rate / b - 1, `gap_worst` that of the highest rate. In [0, ∞), lower is better: 0.5 is half as
    many errors again. `wer_macro` is the plain mean of the languages' rates, `wer_best` and `wer_worst` are the ends.
    Gaps are NaN with fewer than two languages, or where the best rate is 0. The best of several noisy rates is on
    average too low, and so a gap measured on few words too high.

    >>> found = language_gap(np.array([[0.10], [0.14], [0.16]]))
    >>> found["gap"].round(3).tolist(), found["gap_worst"].round(3).tolist()
    ([0.5], [0.6])
    """
    there = np.isfinite(rates)
    several = there.sum(axis=0) >= 2
    best = np.where(there, rates, np.inf).min(axis=0)
    worst = np.where(there, rates, -np.inf).max(axis=0)
    if low:
        chosen = np.zeros(rates.shape, dtype=bool)
        chosen[list(low)] = True
    else:
        chosen = np.arange(len(rates))[:, None] != np.where(there, rates, np.inf).argmin(axis=0)
    mean = ratio(np.where(chosen & there, rates, 0.0).sum(axis=0), (chosen & there).sum(axis=0))
    some = there.any(axis=0)
    return {
        "wer_macro": ratio(np.where(there, rates, 0.0).sum(axis=0), there.sum(axis=0)),
        "gap": np.where(several, ratio(mean, np.where(some, best, 0.0)) - 1, np.nan),
        "gap_worst": np.where(several, ratio(np.where(some, worst, 0.0), np.where(some, best, 0.0)) - 1, np.nan),
        "wer_best": np.where(some, best, np.nan),
        "wer_worst": np.where(some, worst, np.nan),
    }


def _reduce(languages: Sequence[str], low: Sequence[str]) -> Reduce:
    rows = [languages.index(language) for language in low]

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        sums = {
            part: weights @ np.stack([table.cluster_sums(f"{part}_{language}") for language in languages], axis=1)
            for part in ("errors", "words")
        }
        return language_gap(ratio(sums["errors"], sums["words"]).T, rows)

    return reduce


@task("multilingual")
def multilingual(*, corpora: str = DEFAULT, low: str = "", name: str | None = None) -> Task:
    """Word error rates of several languages and the gap above the best; corpora=A+B+C, low=LANG+LANG."""
    opened = [open_corpus(one) for one in corpora.split("+")]
    return multilingual_task(opened, name=name or "multilingual", low=[one for one in low.split("+") if one])
