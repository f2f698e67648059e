"""What task families share that look at one side of a transcript: opening a corpus, and asking for its transcripts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.types import Output, Request, Sample
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.row_corpora import given

__all__ = ["ask", "check_source", "heard", "named_corpus"]


def check_source(task: str, corpus: str, path: str | None) -> None:
    """Raise SettingError if a list of recordings is asked for without its path."""
    if corpus == "manifest" and path is None:
        raise SettingError(
            f"task {task!r} needs a list of recordings, as in {task}:path=FILE, or a corpus, as in {task}:corpus=NAME"
        )


def named_corpus(corpus: str, **settings: str | None) -> SpeechCorpus:
    """The corpus of that name, opened with those of `settings` that are given.

    Raises what `open_corpus` raises.
    """
    return open_corpus(corpus, **given(**settings))


def ask(
    utterances: Iterable[Utterance],
    *,
    targets: Mapping[str, str] | None = None,
    slices: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Sample]:
    """A request to transcribe each utterance. `targets` and further `slices`, by the utterance's id, may differ."""
    for one in utterances:
        yield Sample(
            id=one.id,
            request=Request("transcribe", {"input": one.audio}, language=one.language or None),
            target=one.text if targets is None else targets[one.id],
            slices={**one.slices, **(slices or {}).get(one.id, {})},
            cluster=one.speaker,
        )


def heard(output: Output) -> str:
    """The answer's text; whatever is not ``ok`` heard nothing."""
    return (output.text or "") if output.status == "ok" else ""
