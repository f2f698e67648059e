"""Errors of transcripts: counts of hits, substitutions, deletions and insertions, and the ratios made of them.

Definitions follow jiwer 4, and so do the choices among alignments of equal length: both rest on rapidfuzz's
Levenshtein alignment. Two rules differ, because a harness scores what strangers' models print:

- Words are separated by any Unicode white space. jiwer splits at the ASCII space alone, so a lone tab or no-break
  space joins two words there. Given texts with single ASCII spaces the two agree.
- A ratio with nothing below the line is NaN. jiwer gives the number of insertions for an empty reference, and 0 for
  two empty texts. The insertions are counted here too, and so enter the ratio of the corpus.

Counts are arrays with one element a pair; `EditCounts.pooled` sums them. Ratios divide last: of pooled counts they
are the corpus ratio, of unpooled counts one ratio a pair. The mean of the latter is not the former.

Texts are compared as they are: bring both to one form first, see `audiometry.tasks.metrics.normalise`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.types import FloatArray

__all__ = [
    "AlignedSpan",
    "Confusions",
    "EditCounts",
    "align",
    "character_error_rate",
    "confusions",
    "count_characters",
    "count_pair",
    "count_tokens",
    "count_words",
    "match_error_rate",
    "word_error_rate",
    "word_information_lost",
]

Kind = Literal["equal", "substitute", "delete", "insert"]
Counts: TypeAlias = NDArray[Any]  # int64 as counted, float64 once weighted
_T = TypeVar("_T")

_KINDS: dict[str, Kind] = {"equal": "equal", "replace": "substitute", "delete": "delete", "insert": "insert"}
_BATCH = 1_000  # pairs split into words at a time: few enough for the processor's cache and the garbage collector


@dataclass(frozen=True)
class EditCounts:
    """What it takes to turn references into hypotheses; arrays of one shape, (pairs,) or any other.

    Sums weighted by a resample are as good as counts of pairs: every ratio below works element by element.
    """

    hits: Counts
    substitutions: Counts
    deletions: Counts
    insertions: Counts

    @property
    def errors(self) -> Counts:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> Counts:
        """Words (or characters, or phonemes) in the reference."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_length(self) -> Counts:
        """Words (or characters, or phonemes) in the hypothesis."""
        return self.hits + self.substitutions + self.insertions

    def pooled(self) -> EditCounts:
        """Sum over all pairs; the arrays have shape ()."""
        return EditCounts(
            hits=np.asarray(np.sum(self.hits)),
            substitutions=np.asarray(np.sum(self.substitutions)),
            deletions=np.asarray(np.sum(self.deletions)),
            insertions=np.asarray(np.sum(self.insertions)),
        )


def count_words(references: Sequence[str], hypotheses: Sequence[str]) -> EditCounts:
    """Count word errors of many pairs at once.

    `references` and `hypotheses` hold (pairs,) texts; words are what `str.split()` gives. Of several shortest
    alignments the one that rapidfuzz (and so jiwer) picks is counted. Either text may be empty.

    >>> counts = count_words(["the cat sat", "a dog"], ["the cat sat down", "dog"])
    >>> counts.insertions.tolist(), counts.deletions.tolist()
    ([1, 0], [0, 1])
    >>> float(word_error_rate(counts.pooled()))
    0.4

    Raises UserError if there are not as many hypotheses as references, or a single text is given for a list.
    """
    _check(references, hypotheses)
    return _count_batches(references, hypotheses, str.split)


def count_characters(references: Sequence[str], hypotheses: Sequence[str]) -> EditCounts:
    """Count character errors of many pairs at once.

    A character is a Unicode code point. White space at the ends is dropped and each run of it inside counts as one
    space, which is a character like any other (as in jiwer, which does not shorten the runs).

    >>> counts = count_characters(["one  two"], ["one too "])
    >>> int(counts.hits[0]), int(counts.substitutions[0]), float(character_error_rate(counts)[0])
    (6, 1, 0.14285714285714285)

    Raises UserError as `count_words` does.
    """
    _check(references, hypotheses)
    return _count_batches(references, hypotheses, _single_spaced)


def count_tokens(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> EditCounts:
    """Count errors between sequences of tokens (words, phonemes, units), of which each is equal or not.

    >>> count_tokens([["k", "æ", "t"]], [["k", "ʌ", "t"]]).substitutions.tolist()
    [1]

    Raises UserError if there are not as many hypotheses as references.
    """
    _check(references, hypotheses)
    return _count_batches(references, hypotheses, list)


def count_pair(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int, int, int]:
    """Hits, substitutions, deletions and insertions of one pair of token sequences (or texts: of their characters).

    Without arrays: a task scores one by one, and they would take longer than the counting.

    >>> count_pair(["the", "cat"], ["a", "cat", "sat"]), count_pair("cat", "cut")
    ((1, 1, 0, 1), (2, 1, 0, 0))
    """
    surplus = len(reference) - len(hypothesis)
    distance = Levenshtein.distance(reference, hypothesis)
    substitutions = distance - abs(surplus)
    if substitutions > 1:
        edits = Levenshtein.editops(reference, hypothesis, score_hint=distance)
        substitutions = [kind for kind, _, _ in edits.as_list()].count("replace")
    deletions = (distance - substitutions + surplus) // 2
    return len(reference) - substitutions - deletions, substitutions, deletions, deletions - surplus


def word_error_rate(counts: EditCounts) -> FloatArray:
    """(S + D + I) / (H + S + D): errors per reference word. In [0, ∞), lower is better, NaN for an empty reference.

    The result has the shape of the counts. Source: NIST's sclite; jiwer 4, `process_words`.

    >>> word_error_rate(count_words(["a b c d", ""], ["a x c d", "hm"])).tolist()
    [0.25, nan]
    """
    return _divide(counts.errors, counts.reference_length)


def character_error_rate(counts: EditCounts) -> FloatArray:
    """Errors per reference character, of counts by `count_characters`: else as `word_error_rate`.

    >>> character_error_rate(count_characters(["abcd"], ["abxd"])).tolist()
    [0.25]
    """
    return word_error_rate(counts)


def match_error_rate(counts: EditCounts) -> FloatArray:
    """(S + D + I) / (H + S + D + I): share of aligned places that are wrong. In [0, 1], lower is better.

    NaN if both texts are empty, 1 if only one is. Source: Morris, Maier and Green, "From WER and RIL to MER and WIL"
    (Interspeech 2004), eq. 4.

    >>> match_error_rate(count_words(["a b"], ["a b c d"])).tolist()
    [0.5]
    """
    return _divide(counts.errors, counts.hits + counts.errors)


def word_information_lost(counts: EditCounts) -> FloatArray:
    """1 - (H / reference words) (H / hypothesis words). In [0, 1], lower is better.

    NaN if both texts are empty, 1 if only one is. Source: Morris, Maier and Green (2004), eq. 8, as in jiwer 4.

    >>> word_information_lost(count_words(["a b c d"], ["a b"])).tolist()
    [0.5]
    """
    reference, hypothesis = counts.reference_length, counts.hypothesis_length
    kept = _divide(counts.hits, reference, empty=0.0) * _divide(counts.hits, hypothesis, empty=0.0)
    return np.where((reference == 0) & (hypothesis == 0), np.nan, 1.0 - kept)


@dataclass(frozen=True, slots=True)
class AlignedSpan:
    """A stretch of words that were recognised, confused (as many on both sides), left out or added."""

    kind: Kind
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]


def align(reference: str, hypothesis: str) -> list[AlignedSpan]:
    """Align two texts word by word, for display; the spans join up to the whole of both texts.

    >>> for span in align("turn the light off", "turn a light off now"):
    ...     print(span.kind, span.reference, span.hypothesis)
    equal ('turn',) ('turn',)
    substitute ('the',) ('a',)
    equal ('light', 'off') ('light', 'off')
    insert () ('now',)
    """
    return list(_spans(reference.split(), hypothesis.split()))


@dataclass(frozen=True)
class Confusions:
    """How often each word was taken for which other, left out, or added."""

    substituted: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(reference word, hypothesis word) → times."""
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)


def confusions(references: Sequence[str], hypotheses: Sequence[str]) -> Confusions:
    """Count which words were confused, over many pairs. Totals equal those of `count_words`.

    >>> found = confusions(["call me a cab", "a cab please"], ["call me a cap", "a cap"])
    >>> found.substituted.most_common(1), dict(found.deleted)
    ([(('cab', 'cap'), 2)], {'please': 1})

    Raises UserError as `count_words` does.
    """
    _check(references, hypotheses)
    found = Confusions()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        for span in _spans(reference.split(), hypothesis.split()):
            if span.kind == "substitute":
                found.substituted.update(zip(span.reference, span.hypothesis, strict=True))
            elif span.kind == "delete":
                found.deleted.update(span.reference)
            elif span.kind == "insert":
                found.inserted.update(span.hypothesis)
    return found


def _check(references: Sequence[object], hypotheses: Sequence[object]) -> None:
    if isinstance(references, str) or isinstance(hypotheses, str):
        raise UserError("references and hypotheses are lists of texts; wrap a single text in a list")
    if len(references) != len(hypotheses):
        raise UserError(
            f"{len(references)} references and {len(hypotheses)} hypotheses; give one hypothesis for each reference"
        )


def _count_batches(
    references: Sequence[_T], hypotheses: Sequence[_T], tokens: Callable[[_T], Sequence[str]]
) -> EditCounts:
    """Edit counts between sequences of `tokens`, a batch at a time."""
    parts = []
    for start in range(0, max(len(references), 1), _BATCH):
        batch = slice(start, start + _BATCH)
        parts.append(_count(list(map(tokens, references[batch])), list(map(tokens, hypotheses[batch]))))
    if len(parts) == 1:
        return parts[0]
    return EditCounts(
        hits=np.concatenate([part.hits for part in parts]),
        substitutions=np.concatenate([part.substitutions for part in parts]),
        deletions=np.concatenate([part.deletions for part in parts]),
        insertions=np.concatenate([part.insertions for part in parts]),
    )


def _count(references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]) -> EditCounts:
    """Edit counts between sequences. rapidfuzz tells tokens apart by their 64-bit hashes, characters by themselves.

    With n and m the lengths and d the distance, D - I = n - m and S + D + I = d. So S = d - |n - m| - 2 min(D, I):
    where d exceeds |n - m| by at most one, min(D, I) is 0 and the distance alone settles all counts. Elsewhere the
    alignment is asked.
    """
    pairs = len(references)
    lengths = np.fromiter(map(len, references), np.int64, pairs)
    surplus = lengths - np.fromiter(map(len, hypotheses), np.int64, pairs)
    distances = cpdist(references, hypotheses, scorer=Levenshtein.distance, dtype=np.int64)
    substitutions = distances - np.abs(surplus)
    for pair in np.flatnonzero(substitutions > 1).tolist():
        edits = Levenshtein.editops(references[pair], hypotheses[pair], score_hint=int(distances[pair]))
        substitutions[pair] = sum(edit[0] == "replace" for edit in edits)
    deletions = (distances - substitutions + surplus) // 2
    insertions = deletions - surplus
    return EditCounts(lengths - substitutions - deletions, substitutions, deletions, insertions)


def _single_spaced(text: str) -> str:
    return " ".join(text.split())


def _divide(above: Counts, below: Counts, *, empty: float = np.nan) -> FloatArray:
    quotient: FloatArray = np.full(np.shape(below), empty)
    np.divide(above, below, out=quotient, where=np.asarray(below) != 0)
    return quotient


def _spans(reference: list[str], hypothesis: list[str]) -> Iterator[AlignedSpan]:
    for step in Levenshtein.opcodes(reference, hypothesis):
        yield AlignedSpan(
            _KINDS[step.tag],
            tuple(reference[step.src_start : step.src_end]),
            tuple(hypothesis[step.dest_start : step.dest_end]),
        )
