"""Exact match and F1 of short answers, as SQuAD counts them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable

__all__ = ["ANSWER_METRICS", "answer_counts", "answer_reduce", "normalise_answer"]

ANSWER_METRICS = (
    Metric("f1", direction="higher", high=1.0, scale="logit"),
    Metric("exact_match", direction="higher", high=1.0, scale="logit"),
)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, white space joined.

    Source: P. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", EMNLP 2016; the rules
    are those of its evaluation script, version 1.1.

    >>> normalise_answer("The  U.S. Senate!")
    'us senate'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_counts(answer: str, references: Sequence[str]) -> dict[str, float]:
    """The counts of one question: `exact` (0 or 1), `f1` (0 to 1, higher is better), and `questions` (1).

    answer: what was said; empty for a failed sample, which is wrong. references: one or more right answers; the one
    that fits best counts. F1 is that of the bags of words after `normalise_answer`; where either side has no words it
    is 1 if both have none, else 0.

    Raises DataError for no reference. Source: as `normalise_answer`, and for answers without words P. Rajpurkar, R.
    Jia and P. Liang, "Know what you don't know", ACL 2018.

    >>> answer_counts("in the green box", ["the green box", "box"])
    {'exact': 0.0, 'f1': 0.8, 'questions': 1.0}
    """
    if isinstance(references, str) or len(references) == 0:
        raise DataError("give a list of one or more right answers")
    said = normalise_answer(answer)
    wanted = [normalise_answer(reference) for reference in references]
    best = max(_f1(said.split(), reference.split()) for reference in wanted)
    return {"exact": float(said in wanted), "f1": best, "questions": 1.0}


def answer_reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    """`f1` and `exact_match` of every resample: means over questions, shape (resamples,).

    >>> import numpy as np
    >>> counts = {"exact": np.array([1.0, 0.0]), "f1": np.array([1.0, 0.5]), "questions": np.ones(2)}
    >>> table = ScoreTable(counts, np.arange(2), np.zeros(2, int), np.zeros(2, int))
    >>> {name: float(value[0]) for name, value in answer_reduce(table, np.ones((1, 2))).items()}
    {'f1': 0.75, 'exact_match': 0.5}
    """
    return {
        "f1": ratio_of_sums(table, weights, "f1", "questions"),
        "exact_match": ratio_of_sums(table, weights, "exact", "questions"),
    }


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    shared = (Counter(said) & Counter(wanted)).total()
    return 2 * shared / (len(said) + len(wanted))
