"""Word error rate of speech recognisers: the `wer` task on any speech corpus.

A failed sample (time-out, error) counts as if nothing had been said: every reference word is a deletion. An empty
answer counts the same and is told apart by its status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser
from audiometry.tasks.metrics.normalise import normaliser_for
from audiometry.tasks.metrics.transcription import (
    EditCounts,
    count_pair,
    match_error_rate,
    word_error_rate,
    word_information_lost,
)

__all__ = ["METRICS", "recognition_task", "reduce_transcripts", "score_transcript"]

VERSION = "1"

METRICS = (
    Metric("wer", direction="lower", scale="log", events="errors"),
    Metric("cer", direction="lower", scale="log", events="character_errors"),
    Metric("mer", direction="lower", high=1.0, scale="logit", events="errors"),
    Metric("wil", direction="lower", high=1.0, scale="logit", events="errors"),
)

FIELDS = ("hits", "substitutions", "deletions", "insertions")


def recognition_task(corpus: SpeechCorpus, *, name: str, normaliser: str | None = None, clips: int = 0) -> Task:
    """The word error rate task on a corpus.

    `normaliser` names how texts are normalised on both sides before they are compared; by default Whisper's English
    normaliser for English and its basic one for other languages. `clips` takes the first so many in a fixed order
    (0: all).

    Raises UnknownNameError for a normaliser that is not there, SettingError for a negative number of clips.
    """
    if clips < 0:
        raise SettingError(f"task {name!r}, setting 'clips': {clips} is negative; give a number, or 0 for all")
    chosen = normaliser or normaliser_for(corpus.language)
    change = named_normaliser(chosen)

    def samples() -> Iterator[Sample]:
        for utterance in _first(corpus, clips):
            yield Sample(
                id=utterance.id,
                request=Request("transcribe", {"input": utterance.audio}, language=utterance.language or None),
                target=utterance.text,
                slices=utterance.slices,
                cluster=utterance.speaker,
            )

    def score(sample: Sample, output: Output) -> Score:
        return score_transcript(sample, output, change)

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_transcripts,
        metrics=METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": chosen} | ({"clips": str(clips)} if clips else {}),
    )


def _first(corpus: SpeechCorpus, clips: int) -> Iterable[Utterance]:
    if not clips:
        return corpus.utterances()
    utterances = list(corpus.utterances())
    return [utterances[place] for place in sorted(hash_order((one.id for one in utterances), first=clips))]


def score_transcript(sample: Sample, output: Output, change: Callable[[str], str]) -> Score:
    """Count word and character errors of one answer after `change` has normalised both sides.

    What is not ``ok`` is scored as an empty hypothesis: all deletions.
    """
    reference = str(sample.target)
    hypothesis = (output.text or "") if output.status == "ok" else ""
    texts = {"reference_normalised": change(reference), "hypothesis_normalised": change(hypothesis)}
    asked, said = texts["reference_normalised"].split(), texts["hypothesis_normalised"].split()
    counts = _columns("", count_pair(asked, said))
    counts |= _columns("character_", count_pair(" ".join(asked), " ".join(said)))
    details = {"reference": reference, "hypothesis": hypothesis, **texts}
    return Score(sample.id, counts, status=output.status, details=details)


def reduce_transcripts(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """WER, CER, MER and WIL of every resample: ratios of sums, shape (resamples,)."""
    words, characters = _weighted(table, weights)
    return {
        "wer": word_error_rate(words),
        "cer": word_error_rate(characters),
        "mer": match_error_rate(words),
        "wil": word_information_lost(words),
    }


def _columns(prefix: str, counts: tuple[int, int, int, int]) -> dict[str, float]:
    hits, substitutions, deletions, insertions = map(float, counts)
    return {
        f"{prefix}hits": hits,
        f"{prefix}substitutions": substitutions,
        f"{prefix}deletions": deletions,
        f"{prefix}insertions": insertions,
        f"{prefix}errors": substitutions + deletions + insertions,
        f"{prefix}reference": hits + substitutions + deletions,
    }


def _weighted(table: ScoreTable, weights: FloatArray) -> tuple[EditCounts, EditCounts]:
    """Word and character counts of every resample, by one product: the weights are the largest thing here."""
    names = [f"{prefix}{name}" for prefix in ("", "character_") for name in FIELDS]
    totals = (weights @ np.stack([table.cluster_sums(name) for name in names], axis=1)).T
    return EditCounts(*totals[:4]), EditCounts(*totals[4:])


def _check_path(*, corpus: str = "manifest", path: str | None = None, **_: object) -> None:
    if corpus == "manifest" and path is None:
        raise SettingError(
            "task 'wer' needs a list of recordings, as in wer:path=FILE, or a corpus, as in wer:corpus=NAME"
        )


@task("wer", check=_check_path)
def wer(
    *,
    corpus: str = "manifest",
    path: str | None = None,
    split: str | None = None,
    language: str | None = None,
    partial: str | None = None,
    hub: str | None = None,
    audio: str | None = None,
    text: str | None = None,
    speaker: str | None = None,
    microphone: str | None = None,
    normaliser: str | None = None,
    name: str | None = None,
) -> Task:
    """Word error rate on a list of your own (path=FILE) or on a registered corpus (corpus=NAME).

    All settings but `normaliser` and `name` (of the task) are the corpus' own; those that it does not take are refused.
    A task on one split of a public corpus is named after it: ``wer-librispeech-test-clean``.
    """
    _check_path(corpus=corpus, path=path)
    given = {
        "path": path, "split": split, "language": language, "partial": partial, "hub": hub, "audio": audio,
        "text": text, "speaker": speaker, "microphone": microphone,
    }  # fmt: skip
    opened = open_corpus(corpus, **{key: value for key, value in given.items() if value is not None})
    usual = f"wer-{opened.name.replace('/', '-')}" if "/" in opened.name else "wer"
    return recognition_task(opened, name=name or usual, normaliser=normaliser)


def _register(corpus: str, summary: str) -> None:
    def factory(*, normaliser: str | None = None, clips: int = 0) -> Task:
        return recognition_task(open_corpus(corpus), name=f"wer-{corpus}", normaliser=normaliser, clips=clips)

    factory.__doc__ = summary
    task(f"wer-{corpus}")(factory)


for _language in ("en", "es", "fr", "it", "ru"):
    _register(f"asterisk-{_language}", f"Word error rate on human prompts in {_language!r}, 16 kHz, one speaker.")
    _register(f"asterisk-{_language}-telephone", f"The same prompts in {_language!r} as 8 kHz telephone speech.")
_register("synthetic-en", "Word error rate on English sentences spoken by a packaged synthesiser.")
