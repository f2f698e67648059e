"""Word errors of speech that changes its language within a recording: by language, and where the language changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.word_alignment import align_words

__all__ = ["switch_counts"]


def switch_counts(
    parts: Sequence[Sequence[str]], languages: Sequence[str], hypothesis: Sequence[str], known: Collection[str]
) -> dict[str, float]:
    """Word errors of one recording by the language in which each word is due, and errors at changes of language.

    parts: the reference words of each stretch in one language; languages: its language; hypothesis: all words of the
    answer. `known` names every language that counts are kept for (`LANG_errors`, `LANG_words`), so that all
    recordings have the same.

    The whole is aligned with the fewest word errors. A substitution or deletion counts for the language of its
    reference word, an insertion for that of the reference word before it (at the start, after it); so the errors by
    language add up to those of the whole. A switch point is wrong when the word before it or the word after it is
    wrong, or something is added between.

    A switch point looks at errors as the point-of-interest error rate does: Ugan and others, "PIER: a novel metric
    for evaluating what matters in code-switching" (2025).

    >>> switch_counts([["press", "one"], ["marque", "dos"]], ["en", "es"], "press one mark dos".split(), ["en", "es"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {'errors': 1.0, 'words': 4.0, 'switches': 1.0, 'switches_wrong': 1.0,
     'en_errors': 0.0, 'en_words': 2.0, 'es_errors': 1.0, 'es_words': 2.0}

    Raises DataError unless there is one language for each part, all of them known, and words in at least one part.
    """
    if len(parts) != len(languages) or not set(languages) <= set(known):
        raise DataError(f"{len(parts)} parts in {', '.join(languages)}: give each part one language of {sorted(known)}")
    words = [word for part in parts for word in part]
    spoken = [language for part, language in zip(parts, languages, strict=True) for _ in part]
    if not words:
        raise DataError("the parts hold no words; leave such a recording out")
    aligned = align_words(words, hypothesis)
    by_language = {f"{language}_{part}": 0.0 for language in known for part in ("errors", "words")}
    for place, (language, hit) in enumerate(zip(spoken, aligned.hit, strict=True)):
        by_language[f"{language}_words"] += 1
        by_language[f"{language}_errors"] += (not hit) + aligned.inserted[place + 1]
    by_language[f"{spoken[0]}_errors"] += aligned.inserted[0]
    points = [place for place in range(1, len(words)) if spoken[place - 1] != spoken[place]]
    wrong = [
        place for place in points if not (aligned.hit[place - 1] and aligned.hit[place]) or aligned.inserted[place] > 0
    ]
    return {
        "errors": sum(by_language[f"{language}_errors"] for language in known),
        "words": float(len(words)),
        "switches": float(len(points)),
        "switches_wrong": float(len(wrong)),
        **by_language,
    }
