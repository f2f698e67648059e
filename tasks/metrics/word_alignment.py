"""Which word of the hypothesis stands for which word of the reference: what counts of parts of a text rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

__all__ = ["WordAlignment", "align_words"]


@dataclass(frozen=True, slots=True)
class WordAlignment:
    """An alignment with the fewest errors, seen from the reference.

    `partner[i]` is the hypothesis word that stands for reference word i, or None where it was left out. `hit[i]`
    says whether the two are equal. `inserted[i]` is how many words were added before reference word i; the last
    element, at i = number of reference words, counts those added at the end.
    """

    partner: tuple[int | None, ...]
    hit: tuple[bool, ...]
    inserted: tuple[int, ...]


def align_words(reference: Sequence[str], hypothesis: Sequence[str]) -> WordAlignment:
    """Align two sequences of words with the fewest substitutions, deletions and insertions.

    Of several shortest alignments the one that rapidfuzz (and so jiwer) picks is taken: the counts of errors are those
    of `count_words`. Either sequence may be empty.

    >>> align_words("press 4 or 6".split(), "press for or six 6".split())
    WordAlignment(partner=(0, 1, 2, 4), hit=(True, False, True, True), inserted=(0, 0, 0, 1, 0))
    """
    partner: list[int | None] = [None] * len(reference)
    hit = [False] * len(reference)
    inserted = [0] * (len(reference) + 1)
    for step in Levenshtein.opcodes(reference, hypothesis):
        if step.tag == "insert":
            inserted[step.src_start] += step.dest_end - step.dest_start
        elif step.tag in ("equal", "replace"):
            for offset in range(step.src_end - step.src_start):
                partner[step.src_start + offset] = step.dest_start + offset
                hit[step.src_start + offset] = step.tag == "equal"
    return WordAlignment(tuple(partner), tuple(hit), tuple(inserted))
