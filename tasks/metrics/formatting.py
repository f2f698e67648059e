"""Punctuation and capitals of a transcript: what makes it readable and what a word error rate leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable
from audiometry.tasks.metrics.transcription import count_tokens
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.metrics.word_alignment import align_words

__all__ = ["FORMATTING_METRICS", "MARKS", "WrittenWord", "formatting_counts", "formatting_reduce", "written_words"]

MARKS: Mapping[str, str] = {"full_stop": ".", "comma": ",", "question_mark": "?", "other_mark": "!:;"}
"""Classes of marks; of `other_mark` any stands for any."""

FORMATTING_METRICS = (
    Metric("formatted_wer", scale="log", events="formatted_errors"),
    Metric("punctuation_f1", direction="higher", high=1.0, scale="logit"),
    *(Metric(f"{name}_f1", direction="higher", high=1.0, scale="logit") for name in MARKS),
    Metric("case_error_rate", high=1.0, scale="logit", events="case_errors"),
)
"""What `formatting_reduce` reports."""

_TRAILING = re.compile(r"[.,?!:;…]+$")
_AROUND = "\"'“”‘’«»()[]{}¿¡*#<>…—–-"


@dataclass(frozen=True, slots=True)
class WrittenWord:
    """A word with its capitals, without quotes and brackets around it, and the class of the mark after it or ``""``."""

    word: str
    mark: str


def written_words(text: str) -> list[WrittenWord]:
    """Words of a text with the mark that follows each.

    Words are separated by white space. Of several marks after a word the last counts, and a run of dots is a full
    stop. Marks within a word ("10:30", "don't", "re-enter") belong to it. A dash or a mark that stands alone is given
    to the word before it, if that has none yet.

    >>> [(one.word, one.mark) for one in written_words('Well, "is it" 10:30 ... now?')]
    [('Well', 'comma'), ('is', ''), ('it', ''), ('10:30', 'full_stop'), ('now', 'question_mark')]
    """
    found: list[WrittenWord] = []
    for token in text.replace("…", "...").split():
        mark = ""
        word = token.strip(_AROUND)
        while ending := _TRAILING.search(word):
            mark = mark or _class_of(ending[0][-1])
            word = word[: ending.start()].strip(_AROUND)
        word = word.lstrip(".,?!:;").strip(_AROUND)
        if word:
            found.append(WrittenWord(word, mark))
        elif found and mark and not found[-1].mark:
            found[-1] = WrittenWord(found[-1].word, mark)
    return found


def formatting_counts(reference: str, hypothesis: str) -> dict[str, float]:
    """Counts of marks and capitals that agree, over the words of two texts aligned without regard to case and marks.

    Each word carries the mark after it. For a class of marks, a true positive is an aligned pair of words (equal or
    confused) that both carry it; a mark of the reference is otherwise missed, one of the hypothesis otherwise added, on
    words without a partner too. Case is compared on words that are equal but for case: an error is any letter in the
    other case. `formatted_errors` are the fewest edits between the two sequences of words and marks, each mark a
    token of its own, with case; `formatted_reference` is the length of the reference sequence.

    Source of the marks' precision and recall on aligned words: Guerreiro, Rei and Batista, "Towards better subtitles"
    (2021); of the error rate with case and marks: Meister and others, "LibriSpeech-PC" (2023).

    >>> counts = formatting_counts("Hello, Ann. Is it you?", "Hello ann. Is it, you?")
    >>> [counts[f"comma_{part}"] for part in ("hit", "missed", "added")]
    [0.0, 1.0, 1.0]
    >>> counts["case_errors"], counts["formatted_errors"]
    (1.0, 3.0)
    """
    told, said = written_words(reference), written_words(hypothesis)
    aligned = align_words([one.word.casefold() for one in told], [one.word.casefold() for one in said])
    counts = {f"{name}_{part}": 0.0 for name in MARKS for part in ("hit", "missed", "added")}
    counts |= {"case_errors": 0.0, "case_words": 0.0}
    left = set(range(len(said)))
    for one, partner, hit in zip(told, aligned.partner, aligned.hit, strict=True):
        other = WrittenWord("", "") if partner is None else said[partner]
        left.discard(-1 if partner is None else partner)
        _count_marks(counts, one.mark, other.mark)
        if hit:
            counts["case_words"] += 1
            counts["case_errors"] += one.word != other.word
    for place in left:
        _count_marks(counts, "", said[place].mark)
    edits = count_tokens([_tokens(told)], [_tokens(said)])
    return {
        **counts,
        "formatted_errors": float(edits.errors[0]),
        "formatted_reference": float(edits.reference_length[0]),
    }


def formatting_reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """F1 of each class of marks and of all together, case error rate, and error rate with case and marks.

    `X_f1` is 2 hits / (2 hits + missed + added), in [0, 1], higher is better; NaN where neither text has the mark.
    `punctuation_f1` is the same of the classes' sums. `case_error_rate` is the share of recognised words in the wrong
    case, in [0, 1]. `formatted_wer` is in [0, ∞). Source of F1: van Rijsbergen, "Information Retrieval" (1979).

    >>> counts = formatting_counts("Yes, Ann. Go!", "yes, Ann go!")
    >>> columns = {name: np.array([value]) for name, value in counts.items()}
    >>> table = ScoreTable(columns, np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))
    >>> found = formatting_reduce(table, np.ones((1, 1)))
    >>> {name: round(float(found[name][0]), 2) for name in ("punctuation_f1", "case_error_rate", "formatted_wer")}
    {'punctuation_f1': 0.8, 'case_error_rate': 0.67, 'formatted_wer': 0.5}
    """
    sums = {name: _sums(table, weights, name) for name in MARKS}
    whole = np.sum([*sums.values()], axis=0)
    return {
        "formatted_wer": ratio_of_sums(table, weights, "formatted_errors", "formatted_reference"),
        "punctuation_f1": _f1(whole),
        **{f"{name}_f1": _f1(parts) for name, parts in sums.items()},
        "case_error_rate": ratio_of_sums(table, weights, "case_errors", "case_words"),
    }


def _class_of(mark: str) -> str:
    return next(name for name, marks in MARKS.items() if mark in marks)


def _count_marks(counts: dict[str, float], told: str, said: str) -> None:
    if told and told == said:
        counts[f"{told}_hit"] += 1
        return
    if told:
        counts[f"{told}_missed"] += 1
    if said:
        counts[f"{said}_added"] += 1


def _tokens(words: list[WrittenWord]) -> list[str]:
    """Words and, as tokens of their own, marks; a mark's class stands in a form that no word has."""
    return [token for one in words for token in (one.word, f" {one.mark}") if token.strip()]


def _sums(table: ScoreTable, weights: FloatArray, name: str) -> FloatArray:
    """Hits, missed and added of every resample, shape (3, resamples)."""
    columns = [table.cluster_sums(f"{name}_{part}") for part in ("hit", "missed", "added")]
    return np.asarray(weights @ np.stack(columns, axis=1)).T


def _f1(parts: FloatArray) -> FloatArray:
    hit, missed, added = parts
    return ratio(2 * hit, 2 * hit + missed + added)
