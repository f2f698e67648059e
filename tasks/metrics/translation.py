"""BLEU and chrF through sacrebleu: counts of each sample, summed before anything is divided.

sacrebleu tokenises and counts n-grams; here the counts are kept a sample, so that a bootstrap can sum them again two
thousand times, and the closing formulas are applied to all resamples at once. With weights of one the values equal
`sacrebleu.corpus_bleu` and `corpus_chrf`. Both are 0 to 100, as sacrebleu prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.extras import require
from audiometry.tasks.metrics.weighting import ratio

__all__ = [
    "BLEU_METRICS",
    "CHRF_METRICS",
    "TOKENIZERS",
    "bleu_counts",
    "bleu_reduce",
    "bleu_signature",
    "chrf_counts",
    "chrf_reduce",
    "chrf_signature",
]

TOKENIZERS = ("13a", "intl", "char", "zh", "none")
"""sacrebleu's tokenisers that need no further package and fetch no model."""

BLEU_METRICS = (Metric("bleu", unit="points", direction="higher", high=100.0),)
CHRF_METRICS = (Metric("chrf", unit="points", direction="higher", high=100.0),)

BLEU_ORDER = 4
CHRF_CHARACTERS = 6
CHRF_BETA = 2


def bleu_counts(
    hypothesis: str, references: Sequence[str], *, tokenize: str = "13a", lowercase: bool = False
) -> dict[str, float]:
    """The counts of one sample for BLEU: lengths in tokens, and n-grams of 1 to 4 tokens.

    hypothesis: the translation, not tokenised; an empty one (a failed sample) matches nothing and still adds to the
    reference's length. references: one or more; each n-gram may be matched as often as the reference that holds it
    most often, and the length is that of the reference nearest in length (the shorter of two as near).

    Returns `hypothesis_length`, `reference_length`, `matched_1` … `matched_4` and `ngrams_1` … `ngrams_4`. Raises
    DataError for no reference, SettingError for a tokeniser that is not in `TOKENIZERS`, UserError without sacrebleu.
    Source: K. Papineni et al., "BLEU", ACL 2002; M. Post, "A call for clarity in reporting BLEU scores", WMT 2018.

    >>> counts = bleu_counts("the cat sat down", ["the cat sat"])
    >>> [counts[name] for name in ("hypothesis_length", "reference_length", "matched_3", "ngrams_3")]
    [4.0, 3.0, 1.0, 2.0]
    """
    score = _bleu(tokenize, lowercase, True).sentence_score(hypothesis, _references(references))
    counts = {"hypothesis_length": float(score.sys_len), "reference_length": float(score.ref_len)}
    counts |= {f"matched_{n}": float(value) for n, value in enumerate(score.counts, start=1)}
    return counts | {f"ngrams_{n}": float(value) for n, value in enumerate(score.totals, start=1)}


def bleu_reduce() -> Reduce:
    """A reduction of `bleu_counts` to corpus `bleu`, 0 to 100, higher is better.

    The brevity penalty times the geometric mean of the four precisions; an order without matches counts half a match,
    then a quarter and so on (sacrebleu's `exp` smoothing). 0 if no word matches, or where all hypotheses are shorter
    than four tokens. It depends on the tokeniser: keep `bleu_signature` beside it.

    Source: as `bleu_counts`; sacrebleu's `compute_bleu` with `exp` smoothing and without effective order.

    >>> counts = bleu_counts("the cat sat on a mat", ["the cat sat on the mat"])
    >>> table = ScoreTable({k: np.array([v]) for k, v in counts.items()}, *np.zeros((3, 1), int))
    >>> bleu_reduce()(table, np.ones((1, 1)))["bleu"].round(2)
    array([53.73])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        matched, ngrams = (_sums(table, weights, name, BLEU_ORDER) for name in ("matched", "ngrams"))
        length, wanted = (weights @ table.cluster_sums(f"{side}_length") for side in ("hypothesis", "reference"))
        return {"bleu": _bleu_of(matched, ngrams, length, wanted)}

    return reduce


def bleu_signature(*, references: int = 1, tokenize: str = "13a", lowercase: bool = False) -> str:
    """sacrebleu's signature of these settings, which makes a BLEU value comparable. Raises as `bleu_counts`.

    >>> bleu_signature().rpartition("|")[0]
    'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp'
    """
    return _signature(_bleu(tokenize, lowercase, False), references)


def chrf_counts(
    hypothesis: str, references: Sequence[str], *, word_order: int = 0, lowercase: bool = False
) -> dict[str, float]:
    """The counts of one sample for chrF: n-grams of 1 to 6 characters (without spaces), and of words for chrF++.

    hypothesis, references: as for `bleu_counts`; of several references the one that gives this sample the highest
    chrF counts. word_order: 0 for chrF, 2 for chrF++.

    Returns for each order n, characters first and words after, `hypothesis_n`, `reference_n` and `matched_n`. Raises
    DataError for no reference, UserError without sacrebleu.
    Source: M. Popović, "chrF", WMT 2015, and "chrF++", WMT 2017.

    >>> counts = chrf_counts("cats", ["cat"])
    >>> counts["hypothesis_1"], counts["reference_1"], counts["matched_1"]
    (4.0, 3.0, 3.0)
    """
    metric = _chrf(word_order, lowercase)
    # sacrebleu's own way to the counts of a corpus, here of one sample; its scores do not carry them
    row = metric._extract_corpus_statistics([hypothesis], [[text] for text in _references(references)])[0]
    names = ("hypothesis", "reference", "matched")
    return {f"{names[i % 3]}_{i // 3 + 1}": float(value) for i, value in enumerate(row)}


def chrf_reduce(*, word_order: int = 0) -> Reduce:
    """A reduction of `chrf_counts` to corpus `chrf`, 0 to 100, higher is better.

    F-score with beta 2 (recall weighs twice as much as precision) of the mean precision and the mean recall over the
    orders that occur on both sides; 0 if none does. Source: as `chrf_counts`; sacrebleu's corpus score without epsilon
    smoothing.

    >>> counts = chrf_counts("the cat sat on a mat", ["the cat sat on the mat"])
    >>> table = ScoreTable({k: np.array([v]) for k, v in counts.items()}, *np.zeros((3, 1), int))
    >>> chrf_reduce()(table, np.ones((1, 1)))["chrf"].round(2)
    array([65.98])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        sides = ("hypothesis", "reference", "matched")
        return {"chrf": _chrf_of(*(_sums(table, weights, side, CHRF_CHARACTERS + word_order) for side in sides))}

    return reduce


def chrf_signature(*, references: int = 1, word_order: int = 0, lowercase: bool = False) -> str:
    """sacrebleu's signature of these settings, which makes a chrF value comparable. Raises as `chrf_counts`.

    >>> chrf_signature(word_order=2).rpartition("|")[0]
    'nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no'
    """
    return _signature(_chrf(word_order, lowercase), references)


def _sums(table: ScoreTable, weights: FloatArray, name: str, orders: int) -> FloatArray:
    """Sums of the counts NAME_1 … NAME_orders, shape (orders, resamples)."""
    return np.stack([weights @ table.cluster_sums(f"{name}_{n}") for n in range(1, orders + 1)])


def _bleu_of(matched: FloatArray, ngrams: FloatArray, length: FloatArray, wanted: FloatArray) -> FloatArray:
    """BLEU from sums: matched and ngrams of shape (orders, resamples), lengths of shape (resamples,)."""
    halvings = np.cumsum(matched == 0, axis=0)  # each order without a match halves once more
    found = np.where(matched == 0, 0.5**halvings, matched)
    defined = (ngrams > 0).all(axis=0) & (matched > 0).any(axis=0)
    precision = np.divide(found, ngrams, out=np.ones_like(found), where=ngrams > 0)
    short = np.divide(wanted, length, out=np.ones_like(length), where=length > 0)
    penalty = np.exp(np.minimum(1.0 - short, 0.0))
    return np.where(defined, 100.0 * penalty * np.exp(np.log(precision).mean(axis=0)), 0.0)


def _chrf_of(hypothesis: FloatArray, reference: FloatArray, matched: FloatArray) -> FloatArray:
    """chrF from sums of shape (orders, resamples)."""
    both = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(both.sum(axis=0), 1)
    precision = np.divide(matched, hypothesis, out=np.zeros_like(matched), where=both).sum(axis=0) / orders
    recall = np.divide(matched, reference, out=np.zeros_like(matched), where=both).sum(axis=0) / orders
    factor = CHRF_BETA**2
    return 100.0 * np.nan_to_num(ratio((1 + factor) * precision * recall, factor * precision + recall))


@lru_cache(maxsize=16)
def _bleu(tokenize: str, lowercase: bool, effective_order: bool) -> Any:
    # effective order changes no count; it only silences a warning about scores of single sentences
    if tokenize not in TOKENIZERS:
        raise SettingError(f"tokeniser {tokenize!r} is not one of {', '.join(TOKENIZERS)}")
    sacrebleu = require("sacrebleu", "text")
    return sacrebleu.BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=effective_order)


@lru_cache(maxsize=16)
def _chrf(word_order: int, lowercase: bool) -> Any:
    sacrebleu = require("sacrebleu", "text")
    return sacrebleu.CHRF(char_order=CHRF_CHARACTERS, word_order=word_order, beta=CHRF_BETA, lowercase=lowercase)


def _signature(metric: Any, references: int) -> str:
    metric.corpus_score(["a"], [["a"]] * references)  # sacrebleu learns the number of references by scoring
    return str(metric.get_signature())


def _references(references: Sequence[str]) -> list[str]:
    if isinstance(references, str) or len(references) == 0:
        raise DataError("give a list of one or more reference translations")
    return list(references)
