"""Digits and names: the share of numbers, letters, dates and names that a recogniser gets wrong.

A failed sample (time-out, error, refusal) and an empty answer have every entity wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.spoken_texts import NAMES
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.entities import ENTITY_KINDS, entity_counts, entity_words, find_entities
from audiometry.tasks.metrics.transcription import count_tokens
from audiometry.tasks.transcripts import ask, check_source, heard, named_corpus

__all__ = ["ASTERISK_NAMES", "METRICS", "entities_task", "reduce_entities"]

VERSION = "1"

ASTERISK_NAMES = ("Asterisk", "Digium", "Waldo", "Comedian Mail", "Super Awesome Company", "Bluetooth", "Internet")
"""Proper names in the English prompts, found by reading all 540 texts."""

METRICS = (
    Metric("entity_error_rate", high=1.0, scale="logit", events="entities_wrong"),
    *(Metric(f"{kind}_error_rate", high=1.0, scale="logit", events=f"{kind}_wrong") for kind in ENTITY_KINDS),
    Metric("wer", scale="log", events="errors"),
)


def entities_task(corpus: SpeechCorpus, *, name: str, names: Collection[str] = ()) -> Task:
    """The entity error rate on an English corpus; utterances without an entity are left out.

    `names` are the proper names to look for, as they are written in the transcripts.
    """

    def samples() -> Iterator[Sample]:
        held = {one.id: find_entities(one.text, names) for one in corpus.utterances()}
        kinds = {key: "+".join(sorted({one.kind for one in found})) for key, found in held.items() if found}
        chosen = (one for one in corpus.utterances() if one.id in kinds)
        return ask(chosen, slices={key: {"entities": value} for key, value in kinds.items()})

    def score(sample: Sample, output: Output) -> Score:
        return _score(sample, output, names)

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_entities,
        metrics=METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": "whisper-english-1", "names": "+".join(sorted(names))},
    )


def reduce_entities(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Share of wrong entities, of all and of each kind (NaN where a resample has none), and the word error rate."""
    kinds = {
        f"{kind}_error_rate": ratio_of_sums(table, weights, f"{kind}_wrong", f"{kind}_count") for kind in ENTITY_KINDS
    }
    return {
        "entity_error_rate": ratio_of_sums(table, weights, "entities_wrong", "entities"),
        **kinds,
        "wer": ratio_of_sums(table, weights, "errors", "words"),
    }


def _score(sample: Sample, output: Output, names: Collection[str]) -> Score:
    reference, hypothesis = str(sample.target), heard(output)
    words, said = entity_words(reference), entity_words(hypothesis)
    edits = count_tokens([words], [said])
    counts = {
        **entity_counts(reference, hypothesis, names),
        "errors": float(np.sum(edits.errors)),
        "words": float(len(words)),
    }
    found = (" ".join(words[one.start : one.end]) for one in find_entities(reference, names))
    details = {
        "reference": reference,
        "hypothesis": hypothesis,
        "reference_normalised": " ".join(words),
        "hypothesis_normalised": " ".join(said),
        "entities": "; ".join(found),
    }
    return Score(sample.id, counts, status=output.status, details=details)


def _check(*, corpus: str = "manifest", path: str | None = None, names: str | None = None, **_: object) -> None:
    check_source("entities", corpus, path)
    _read_names(names)


@task("entities", check=_check)
def entities(
    *,
    corpus: str = "manifest",
    path: str | None = None,
    split: str | None = None,
    partial: str | None = None,
    names: str | None = None,
    name: str | None = None,
) -> Task:
    """Numbers, letters, dates and names got wrong, on an English list of your own (path=FILE) or a corpus."""
    _check(corpus=corpus, path=path, names=names)
    language = "en" if corpus == "manifest" else None
    opened = named_corpus(corpus, path=path, split=split, language=language, partial=partial)
    return entities_task(opened, name=name or "entities", names=_read_names(names))


def _read_names(path: str | None) -> tuple[str, ...]:
    """Proper names, one a line."""
    if path is None:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"task 'entities', setting 'names': {path!r} cannot be read ({error}); give a text file with a "
                        "name on each line") from error  # fmt: skip
    return tuple(line.strip() for line in lines if line.strip())


@task("entities-asterisk-en")
def entities_asterisk() -> Task:
    """Numbers, letters, dates and names got wrong in human English prompts, 16 kHz, one speaker."""
    return entities_task(open_corpus("asterisk-en"), name="entities-asterisk-en", names=ASTERISK_NAMES)


@task("entities-spoken")
def entities_spoken() -> Task:
    """Digit strings, spelled codes, amounts, dates and names got wrong, spoken by two synthesisers."""
    return entities_task(open_corpus("spoken-entities"), name="entities-spoken", names=NAMES)
