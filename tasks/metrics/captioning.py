"""CIDEr-D of captions: how much a caption says what several people's captions of the same sound say.

The document frequencies come from the references of the whole task and stay as they are, so that each sample has a
score of its own: samples may be scored one by one, in any order, and resampled.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from audiometry.benchmark.errors import DataError

__all__ = ["ReferenceCorpus", "caption_words", "cider_d"]

ORDERS = 4
SIGMA = 6.0
SCALE = 10.0

_WORD = re.compile(r"\w+(?:['’-]\w+)*")


def caption_words(text: str) -> list[str]:
    """Words in lower case, punctuation left out, words with inner hyphens and apostrophes whole.

    The reference tools use the Penn Treebank tokeniser of a Java package and drop punctuation after it. On captions of
    plain words both agree; it splits "dog's" in two, which this does not.

    >>> caption_words("A dog barks, twice.")
    ['a', 'dog', 'barks', 'twice']
    """
    return _WORD.findall(text.lower())


NGrams = Counter[tuple[str, ...]]


@dataclass(frozen=True)
class ReferenceCorpus:
    """In how many clips' references each n-gram of 1 to 4 words occurs, and how many clips there are."""

    documents: int
    frequency: Mapping[tuple[str, ...], int]

    @classmethod
    def of(cls, references: Iterable[Sequence[str]]) -> ReferenceCorpus:
        """Count the references of every clip.

        Raises DataError for under two clips: no n-gram would weigh anything.
        """
        frequency: NGrams = Counter()
        documents = 0
        for texts in references:
            frequency.update({gram for text in texts for gram in _ngrams(text)})
            documents += 1
        if documents < 2:
            raise DataError(f"{documents} clips with captions: CIDEr weighs words by how few of at least two have them")
        return cls(documents, dict(frequency))


def cider_d(caption: str, references: Sequence[str], corpus: ReferenceCorpus) -> float:
    """CIDEr-D of one caption: tf-idf weighted n-gram agreement with each reference, in the mean; higher is better.

    For n of 1 to 4: the dot product of the clipped vector of the caption with that of the reference, over the product
    of their norms, times a Gaussian penalty of the difference in length (sigma 6, length in bigrams as in the
    authors' code); the mean over references and n, times 10. An n-gram that occurs in no reference of the corpus has
    the weight of one that occurs in a single clip's. 0 for a caption without words; at most 10, reached by a caption
    that is its only reference and has four words or more.

    Raises DataError for no reference.
    Source: R. Vedantam, C. L. Zitnick and D. Parikh, "CIDEr: consensus-based image description evaluation", CVPR 2015,
    equations 1 to 4 and the section on CIDEr-D; the evaluation of audio captions (DCASE) takes it over.

    >>> corpus = ReferenceCorpus.of([["a dog barks at night"], ["rain falls on a roof"]])
    >>> cider_d("a dog barks at night", ["a dog barks at night"], corpus), cider_d("", ["a dog"], corpus)
    (10.0, 0.0)
    """
    if isinstance(references, str) or len(references) == 0:
        raise DataError("give a list of one or more reference captions")
    said = _ngrams(caption)
    weighed = _weigh(said, corpus)
    total = 0.0
    for text in references:
        wanted = _ngrams(text)
        gap = _bigrams(said) - _bigrams(wanted)
        total += _agreement(weighed, _weigh(wanted, corpus)) * math.exp(-(gap**2) / (2 * SIGMA**2))
    return SCALE * total / (ORDERS * len(references))


def _ngrams(text: str) -> NGrams:
    words = caption_words(text)
    return Counter(tuple(words[at : at + n]) for n in range(1, ORDERS + 1) for at in range(len(words) - n + 1))


def _bigrams(grams: NGrams) -> int:
    return sum(count for gram, count in grams.items() if len(gram) == 2)


def _weigh(grams: NGrams, corpus: ReferenceCorpus) -> dict[tuple[str, ...], float]:
    log_documents = math.log(corpus.documents)
    return {gram: count * (log_documents - math.log(corpus.frequency.get(gram, 1))) for gram, count in grams.items()}


def _agreement(said: Mapping[tuple[str, ...], float], wanted: Mapping[tuple[str, ...], float]) -> float:
    """Sum over n of the clipped cosine."""
    dots, norms, others = [0.0] * ORDERS, [0.0] * ORDERS, [0.0] * ORDERS
    for gram, weight in said.items():
        other = wanted.get(gram, 0.0)
        dots[len(gram) - 1] += min(weight, other) * other
        norms[len(gram) - 1] += weight**2
    for gram, weight in wanted.items():
        others[len(gram) - 1] += weight**2
    pairs = zip(dots, norms, others, strict=True)
    return sum(dot / math.sqrt(one * other) for dot, one, other in pairs if one > 0 and other > 0)
