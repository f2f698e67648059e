"""Errors that come in runs: repetition loops, and words added or lost in a row.

A recogniser that stops listening does not err word by word: it says one phrase again and again, adds a sentence that
nobody spoke, or skips a stretch. Word error rates hide that; these functions find it. Texts are compared as they are:
bring both to one form first, see `audiometry.tasks.metrics.normalise`. Words are what `str.split()` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audiometry.tasks.metrics.transcription import align

__all__ = [
    "LONGEST_PHRASE",
    "LOOP_TIMES",
    "LOOP_WORDS",
    "EditRun",
    "RepetitionLoop",
    "added_loop",
    "edit_runs",
    "repetition_loop",
]

LOOP_TIMES = 3
"""A phrase must come so often in succession to be a loop."""

LOOP_WORDS = 6
"""A loop must hold so many words: people do say "no no no", and numbers "seven seven seven"."""

LONGEST_PHRASE = 30
"""Words of the longest phrase whose repetition is looked for: about a window of Whisper's at a quick speaking rate."""


@dataclass(frozen=True, slots=True)
class RepetitionLoop:
    """A phrase that is said `times` times in succession."""

    phrase: tuple[str, ...]
    times: int

    @property
    def words(self) -> int:
        """Words that the loop covers."""
        return len(self.phrase) * self.times


@dataclass(frozen=True, slots=True)
class EditRun:
    """Words added or left out in a row. `place` says whether an aligned word stands before and after it."""

    kind: Literal["insert", "delete"]
    words: tuple[str, ...]
    place: Literal["start", "inside", "end", "whole"]


def repetition_loop(text: str) -> RepetitionLoop | None:
    """The repetition loop that covers the most words of `text`, or None.

    A loop is a phrase of 1 to `LONGEST_PHRASE` words that stands at least `LOOP_TIMES` times in immediate succession
    and covers at least `LOOP_WORDS` words. For phrases of two words and more that is the rule of Holtzman et al.
    (2020, "The Curious Case of Neural Text Degeneration", ICLR: a phrase of at least two tokens, at least three
    times), here anywhere in the text and not at its end alone, because long recordings are read window by window; a
    single word must come six times. Of loops that cover as many words, that with the shortest phrase is given.

    >>> repetition_loop("so thank you thank you thank you very much")
    RepetitionLoop(phrase=('thank', 'you'), times=3)
    >>> repetition_loop("no no no")
    """
    words = text.split()
    best: RepetitionLoop | None = None
    for length in range(1, min(LONGEST_PHRASE, len(words) // LOOP_TIMES) + 1):
        start, times = _most_repeated(words, length)
        if times >= LOOP_TIMES and length * times >= max(LOOP_WORDS, best.words + 1 if best else 0):
            best = RepetitionLoop(tuple(words[start : start + length]), times)
    return best


def added_loop(reference: str, hypothesis: str) -> RepetitionLoop | None:
    """The repetition loop of `hypothesis`, unless `reference` holds one too: then somebody did speak so.

    >>> added_loop("dial 0 0 0 0 0 0", "dial 0 0 0 0 0 0 0")
    >>> added_loop("dial", "dial 0 0 0 0 0 0").times
    6
    """
    return None if repetition_loop(reference) else repetition_loop(hypothesis)


def edit_runs(reference: str, hypothesis: str, *, shortest: int = 1) -> list[EditRun]:
    """Runs of at least `shortest` inserted or deleted words in the alignment of the two texts, in order.

    The alignment is that of the word error rate (`align`). An insertion that stands beside a substitution is cut off
    where the substitution ends: of several shortest alignments one is taken, so a run's length is exact only up to
    that choice.

    >>> [(run.kind, run.words, run.place) for run in edit_runs("turn it off", "please do turn it off")]
    [('insert', ('please', 'do'), 'start')]
    """
    spans = align(reference, hypothesis)
    runs: list[EditRun] = []
    for at, span in enumerate(spans):
        if span.kind not in ("insert", "delete"):
            continue
        words = span.hypothesis if span.kind == "insert" else span.reference
        if len(words) >= shortest:
            runs.append(EditRun(span.kind, words, _place(at, len(spans))))
    return runs


def _place(at: int, spans: int) -> Literal["start", "inside", "end", "whole"]:
    if spans == 1:
        return "whole"
    if at == 0:
        return "start"
    return "end" if at == spans - 1 else "inside"


def _most_repeated(words: Sequence[str], length: int) -> tuple[int, int]:
    """Where the phrase of `length` words that comes most often in succession starts, and how often it comes.

    Words that equal the one `length` places on, m in a row, are m // length + 1 whole phrases.
    """
    best_start, best = 0, 0
    row = 0
    for at in range(len(words) - length):
        row = row + 1 if words[at] == words[at + length] else 0
        if row > best:
            best_start, best = at - row + 1, row
    return best_start, best // length + 1
