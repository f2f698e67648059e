"""Speech that changes its language within a recording: word errors by language, and at the changes.

A failed sample (time-out, error, refusal) and an empty answer have every word deleted and every switch point wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.asterisk import LANGUAGES
from audiometry.tasks.corpora.utterance import open_corpus
from audiometry.tasks.metrics.code_switching import switch_counts
from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.transcripts import ask, heard

__all__ = ["METRICS", "reduce_switches", "score_switched"]

VERSION = "1"
NORMALISER = "basic-no-diacritics-1"
"""One for both languages, as an answer does not say in which language a word is; the Spanish prompts lack accents."""

METRICS = (
    Metric("wer", scale="log", events="errors"),
    Metric("switch_error_rate", high=1.0, scale="logit", events="switches_wrong"),
    *(Metric(f"wer_{language}", scale="log", events=f"{language}_errors") for language in LANGUAGES),
)


@task("code-switching")
def code_switching() -> Task:
    """Errors on recordings that change between English and another language, by language and at the changes."""
    corpus = open_corpus("code-switched")

    def samples() -> Iterator[Sample]:
        utterances = list(corpus.utterances())
        slices = {}
        for one in utterances:
            path = PurePosixPath(one.id)
            languages = path.name.split("-")[:-1]
            speech = "human" if path.parent.name == "prompts" else "synthetic"
            pair = "-".join(languages[:2])
            slices[one.id] = {"languages": " ".join(languages), "pair": pair, "speech": speech}
        return (replace(one, cluster=one.id) for one in ask(utterances, slices=slices))

    return Task(
        name="code-switching",
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score_switched,
        reduce=reduce_switches,
        metrics=METRICS,
        notes=(*corpus.notes, "recordings of five voices: says nothing of others"),
        settings={"corpus": corpus.name, "normaliser": NORMALISER},
    )


def score_switched(sample: Sample, output: Output) -> Score:
    """Score one answer. The target has a line for each stretch; the slice ``languages`` names theirs, in order."""
    change = normaliser(NORMALISER)
    reference, hypothesis = str(sample.target), heard(output)
    parts = [change(line).split() for line in reference.split("\n")]
    counts = switch_counts(parts, sample.slices["languages"].split(), change(hypothesis).split(), tuple(LANGUAGES))
    return Score(sample.id, counts, status=output.status, details={"reference": reference, "hypothesis": hypothesis})


def reduce_switches(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Word error rate, share of wrong switch points, and the word error rate of each language's words (or NaN)."""
    return {
        "wer": ratio_of_sums(table, weights, "errors", "words"),
        "switch_error_rate": ratio_of_sums(table, weights, "switches_wrong", "switches"),
        **{
            f"wer_{language}": ratio_of_sums(table, weights, f"{language}_errors", f"{language}_words")
            for language in LANGUAGES
        },
    }
