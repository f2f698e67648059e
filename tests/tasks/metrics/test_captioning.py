from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.captioning import ReferenceCorpus, caption_words, cider_d

REFERENCES = [
    ["a dog barks at night", "the dog is barking loudly in the dark"],
    ["rain falls on a tin roof", "heavy rain is falling on the roof", "it rains"],
    ["a man speaks while a dog barks", "a man is talking"],
    ["birds sing in the morning"],
]
CAPTIONS = ["a dog barks loudly at night", "rain rain rain falls on a roof", "a man speaks", "silence"]
AAC_METRICS = [2.19087739238412, 1.7404116517314383, 3.041226412708966, 0.0]
"""What `cider_d` of aac-metrics 0.6.0 gives for these."""

CORPUS = ReferenceCorpus.of(REFERENCES)


def test_values_are_those_of_aac_metrics() -> None:
    found = [cider_d(said, wanted, CORPUS) for said, wanted in zip(CAPTIONS, REFERENCES, strict=True)]
    assert found == pytest.approx(AAC_METRICS, abs=1e-12)


def test_by_hand() -> None:
    """One word each: only n = 1 counts, so a perfect caption has a quarter of 10; there are no bigrams to differ."""
    corpus = ReferenceCorpus.of([["rain"], ["dog"]])
    assert cider_d("rain", ["rain"], corpus) == pytest.approx(2.5)
    assert cider_d("dog", ["rain"], corpus) == 0.0
    assert cider_d("rain", ["rain", "dog"], corpus) == pytest.approx(1.25)


@given(st.lists(st.sampled_from(["a", "dog", "barks", "rain", "falls"]), min_size=4, max_size=10).map(" ".join))
def test_a_caption_that_is_its_reference_has_ten_unless_its_words_weigh_nothing(text: str) -> None:
    corpus = ReferenceCorpus.of([[text], ["something else entirely"]])
    assert cider_d(text, [text], corpus) == pytest.approx(10.0)
    assert cider_d(text.upper() + ".", [text], corpus) == pytest.approx(10.0)
    nothing = ReferenceCorpus.of([[text], [text]])
    assert cider_d(text, [text], nothing) == 0.0


@given(st.sampled_from(CAPTIONS), st.sampled_from(REFERENCES))
def test_range(said: str, wanted: list[str]) -> None:
    assert 0.0 <= cider_d(said, wanted, CORPUS) <= 10.0


def test_edges() -> None:
    assert cider_d("", ["a dog"], CORPUS) == 0.0
    assert caption_words("Rock-n-roll's  loud!") == ["rock-n-roll's", "loud"]
    with pytest.raises(DataError, match="at least two"):
        ReferenceCorpus.of([["one"]])
    with pytest.raises(DataError, match="reference captions"):
        cider_d("x", [], CORPUS)
