from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audiometry.tasks.metrics.transcription import count_tokens
from audiometry.tasks.metrics.word_alignment import align_words

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@given(WORDS, WORDS)
def test_counts_are_those_of_the_word_error_rate(reference: list[str], hypothesis: list[str]) -> None:
    found = align_words(reference, hypothesis)
    counts = count_tokens([reference], [hypothesis])
    assert sum(found.hit) == counts.hits[0]
    assert sum(one is None for one in found.partner) == counts.deletions[0]
    assert sum(found.inserted) == counts.insertions[0]
    partners = [one for one in found.partner if one is not None]
    assert partners == sorted(set(partners))
    assert len(partners) + sum(found.inserted) == len(hypothesis)
    for word, partner, hit in zip(reference, found.partner, found.hit, strict=True):
        assert hit == (partner is not None and hypothesis[partner] == word)


def test_nothing_to_align() -> None:
    assert align_words([], ["a"]).inserted == (1,)
    assert align_words(["a"], []).partner == (None,)
