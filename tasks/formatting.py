"""Punctuation and case of transcripts, on words aligned with the reference.

A failed sample (time-out, error, refusal) and an empty answer miss every mark and every word.
"""

from __future__ import annotations

from collections.abc import Iterator

from audiometry.benchmark.registry import task
from audiometry.benchmark.types import Output, Sample, Score, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.formatting import FORMATTING_METRICS, formatting_counts, formatting_reduce
from audiometry.tasks.transcripts import ask, check_source, heard, named_corpus

__all__ = ["formatting_task", "is_written_out"]

VERSION = "1"


def formatting_task(corpus: SpeechCorpus, *, name: str, only_written_out: bool = False) -> Task:
    """Punctuation and case on a corpus whose transcripts have both.

    With `only_written_out`, utterances whose transcript is no whole written sentence (`is_written_out`) are left out.
    """

    def samples() -> Iterator[Sample]:
        return ask(one for one in corpus.utterances() if not only_written_out or is_written_out(one.text))

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=_score,
        reduce=formatting_reduce,
        metrics=FORMATTING_METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": "none"},
    )


def is_written_out(text: str) -> bool:
    """Whether a transcript begins with a capital, ends with one closing mark, has two words or more, and no ellipsis.

    >>> [is_written_out(text) for text in ("Thank you.", "thank you", "...to exit.", "Goodbye!", "Is set to...")]
    [True, False, False, False, False]
    """
    words = text.split()
    return len(words) > 1 and text[0].isupper() and text[-1] in ".?!" and "..." not in text


def _score(sample: Sample, output: Output) -> Score:
    reference, hypothesis = str(sample.target), heard(output)
    details = {"reference": reference, "hypothesis": hypothesis}
    return Score(sample.id, formatting_counts(reference, hypothesis), status=output.status, details=details)


def _check(*, corpus: str = "manifest", path: str | None = None, **_: object) -> None:
    check_source("formatting", corpus, path)


@task("formatting", check=_check)
def formatting(
    *,
    corpus: str = "manifest",
    path: str | None = None,
    split: str | None = None,
    language: str | None = None,
    partial: str | None = None,
    name: str | None = None,
) -> Task:
    """Punctuation and case, on a list of your own (path=FILE) or on a registered corpus (corpus=NAME)."""
    _check(corpus=corpus, path=path)
    opened = named_corpus(corpus, path=path, split=split, language=language, partial=partial)
    return formatting_task(opened, name=name or "formatting")


@task("formatting-asterisk-en")
def formatting_asterisk() -> Task:
    """Punctuation and case on the human English prompts that are written as sentences."""
    return formatting_task(open_corpus("asterisk-en"), name="formatting-asterisk-en", only_written_out=True)


@task("formatting-synthetic-en")
def formatting_synthetic() -> Task:
    """Punctuation and case on English sentences spoken by a packaged synthesiser."""
    return formatting_task(open_corpus("synthetic-en"), name="formatting-synthetic-en")
