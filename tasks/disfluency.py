"""Disfluent speech: fillers, repeats and false starts, scored against what was said and against what was meant.

A failed sample (time-out, error, refusal) and an empty answer have every word of both references deleted, and keep no
disfluency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.disfluencies import DISFLUENCIES, disfluency_counts, find_disfluencies, fluent
from audiometry.tasks.transcripts import ask, check_source, heard, named_corpus

__all__ = ["METRICS", "disfluency_task", "reduce_disfluency"]

VERSION = "1"

METRICS = (
    Metric("wer_verbatim", scale="log", events="verbatim_errors"),
    Metric("wer_cleaned", scale="log", events="cleaned_errors"),
    *(Metric(f"{kind}_kept", direction="higher", high=1.0, scale="logit") for kind in DISFLUENCIES),
)


def disfluency_task(corpus: SpeechCorpus, *, name: str) -> Task:
    """Disfluent speech of a corpus whose transcripts are verbatim, with ``--`` after what was given up."""

    def samples() -> Iterator[Sample]:
        utterances = list(corpus.utterances())
        return ask(utterances, slices={one.id: {"disfluency": _kind(one.text)} for one in utterances})

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=_score,
        reduce=reduce_disfluency,
        metrics=METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": "whisper-english-1"},
    )


def reduce_disfluency(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Word error rates against both references, and the share of each kind of disfluency that was written down."""
    return {
        "wer_verbatim": ratio_of_sums(table, weights, "verbatim_errors", "verbatim_words"),
        "wer_cleaned": ratio_of_sums(table, weights, "cleaned_errors", "cleaned_words"),
        **{f"{kind}_kept": ratio_of_sums(table, weights, f"{kind}_kept", f"{kind}_count") for kind in DISFLUENCIES},
    }


def _kind(transcript: str) -> str:
    return "+".join(sorted({one.kind for one in find_disfluencies(transcript)})) or "none"


def _score(sample: Sample, output: Output) -> Score:
    reference, hypothesis = str(sample.target), heard(output)
    details = {"reference": reference, "reference_cleaned": fluent(reference), "hypothesis": hypothesis}
    return Score(sample.id, disfluency_counts(reference, hypothesis), status=output.status, details=details)


def _check(*, corpus: str = "spoken-disfluencies", path: str | None = None, **_: object) -> None:
    check_source("disfluency", corpus, path)


@task("disfluency", check=_check)
def disfluency(*, corpus: str = "spoken-disfluencies", path: str | None = None, name: str | None = None) -> Task:
    """Errors on disfluent English against the verbatim and the cleaned text; by default spoken by a synthesiser."""
    opened = named_corpus("manifest", path=path, language="en") if path is not None else open_corpus(corpus)
    return disfluency_task(opened, name=name or "disfluency")
