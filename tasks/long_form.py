"""Long recordings: an hour in one piece, and the same hour as twelve recordings of five minutes.

What is lost between the two is the price of length: stretches that are skipped, loops, and memory that grows.

A failed sample (time-out, error) counts as if nothing had been said: every reference word is a deletion, and all of
them are one run. It adds nothing to the speed; its memory counts where the worker that asked lived to tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.long_form import PART_SECONDS
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.metrics.latency import latency_counts
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser
from audiometry.tasks.metrics.normalise import normaliser_for
from audiometry.tasks.metrics.runs import added_loop, edit_runs
from audiometry.tasks.metrics.weighting import sample_weights
from audiometry.tasks.recognition import score_transcript

__all__ = ["METRICS", "RUN", "long_form_task", "reduce_long_form"]

VERSION = "2"

RUN = 5
"""Words deleted (or inserted) in a row that count as a run: a stretch that was skipped, not words misheard."""

METRICS = (
    Metric("wer", scale="log", events="errors"),
    Metric("skipped", high=1.0, scale="logit", events="skipped"),
    Metric("made_up", scale="log", events="made_up"),
    Metric("looped", scale="log", events="looped"),
    Metric("rtfx", unit="x real time", direction="higher", scale="log"),
    Metric("peak_memory", unit="GiB", scale="log"),
)


@task("long-form-en")
def long_form_en() -> Task:
    """An hour of English prompts in one recording: word error rate, skipped stretches, loops, speed and memory."""
    return long_form_task(open_corpus("long-form-en"), name="long-form-en", parts=False)


@task("long-form-parts-en")
def long_form_parts_en() -> Task:
    """The same hour as twelve recordings of five minutes: what length does is the difference."""
    return long_form_task(open_corpus("long-form-en"), name="long-form-parts-en", parts=True)


def long_form_task(corpus: SpeechCorpus, *, name: str, parts: bool) -> Task:
    """The task on a corpus of long recordings, whole or cut into `parts` of `PART_SECONDS`, one a line of the text."""
    chosen = normaliser_for(corpus.language)
    change = named_normaliser(chosen)

    def samples() -> Iterator[Sample]:
        for utterance in corpus.utterances():
            yield from _cut(utterance) if parts else [_sample(utterance)]

    def score(sample: Sample, output: Output) -> Score:
        return _score(sample, output, score_transcript(sample, output, change))

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_long_form,
        metrics=METRICS,
        exclusive=True,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": chosen, "run": str(RUN)},
    )


def reduce_long_form(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """WER; words in deletion runs, insertion runs and loops, each a reference word; RTFx; the highest peak, in GiB."""
    shares = {name: ratio_of_sums(table, weights, name, "reference") for name in ("skipped", "made_up", "looped")}
    peaks = np.where(table.counts["peak"] > 0, table.counts["peak"], np.nan) / 2**30
    highest = [
        np.nan if np.isnan(held := peaks[row > 0]).all() else float(np.nanmax(held))
        for row in sample_weights(table, weights)
    ]
    return {
        "wer": ratio_of_sums(table, weights, "errors", "reference"),
        **shares,
        "rtfx": ratio_of_sums(table, weights, "audio", "compute"),
        "peak_memory": np.array(highest),
    }


def _cut(utterance: Utterance) -> Iterator[Sample]:
    for place, text in enumerate(utterance.text.split("\n")):
        audio = replace(
            utterance.audio,
            start=float(place * PART_SECONDS),
            end=float((place + 1) * PART_SECONDS),
            seconds=float(PART_SECONDS),
        )
        yield _sample(replace(utterance, id=f"{utterance.id}+{place:02d}", audio=audio, text=text))


def _sample(utterance: Utterance) -> Sample:
    return Sample(
        id=utterance.id,
        request=Request("transcribe", {"input": utterance.audio}, language=utterance.language or None),
        target=" ".join(utterance.text.split()),
        slices={"language": utterance.language, "speaker": utterance.speaker},
        cluster=utterance.id,
    )


def _score(sample: Sample, output: Output, transcript: Score) -> Score:
    reference, hypothesis = (transcript.details[f"{side}_normalised"] for side in ("reference", "hypothesis"))
    runs = edit_runs(reference, hypothesis, shortest=RUN)
    loop = added_loop(reference, hypothesis)
    counts = {
        "errors": transcript.counts["errors"],
        "reference": transcript.counts["reference"],
        "skipped": float(sum(len(run.words) for run in runs if run.kind == "delete")),
        "made_up": float(sum(len(run.words) for run in runs if run.kind == "insert")),
        "looped": 0.0 if loop is None else float(loop.words),
        "peak": float(output.peak_bytes or 0),
        **latency_counts(output, sample.request.audios["input"].seconds or 0.0),
    }
    longest = max(runs, key=lambda run: len(run.words), default=None)
    details = dict(transcript.details)
    if longest is not None:
        details |= {"longest_run": f"{longest.kind}: {' '.join(longest.words)}"}
    if loop is not None:
        details |= {"loop": f"{loop.times} x {' '.join(loop.phrase)}"}
    return replace(transcript, counts=counts, details=details)
