from __future__ import annotations

import random

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import UserError
from audiometry.tasks.metrics import transcription
from audiometry.tasks.metrics.transcription import (
    EditCounts,
    align,
    character_error_rate,
    confusions,
    count_characters,
    count_tokens,
    count_words,
    match_error_rate,
    word_error_rate,
    word_information_lost,
)

FIELDS = ("hits", "substitutions", "deletions", "insertions")
WORDS = ["a", "b", "the", "cat", "naïve", "été", "ÉTÉ", "привет", "你好", "ß", "🙂", "e\u0301", "\u200b", "x-y", "it's"]
SPACES = [" ", " ", " ", "  ", "\t", "\u00a0", "\n", " \u3000"]


def random_pairs(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Short and long, alike and unrelated, empty, blank, with all kinds of white space and letters."""
    chance = random.Random(seed)
    references, hypotheses = [], []
    for _ in range(count):
        words = chance.choices(WORDS[: chance.randint(1, len(WORDS))], k=chance.choice([0, 1, 2, 5, 12, 30]))
        if chance.random() < 0.3:
            said = chance.choices(WORDS, k=chance.choice([0, 1, 2, 5, 12]))
        else:
            said = [w if chance.random() < 0.8 else chance.choice(WORDS) for w in words if chance.random() < 0.9]
            said.insert(chance.randint(0, len(said)), chance.choice(WORDS))
        references.append(join(words, chance))
        hypotheses.append(join(said, chance))
    return references, hypotheses


def join(words: list[str], chance: random.Random) -> str:
    text = "".join(word + chance.choice(SPACES) for word in words)
    return chance.choice(SPACES) + text if chance.random() < 0.2 else text


def single_spaced(texts: list[str]) -> list[str]:
    """The form in which jiwer's words are our words: it splits at the ASCII space only."""
    return [" ".join(text.split()) for text in texts]


def counts_of(output: jiwer.WordOutput | jiwer.CharacterOutput) -> list[int]:
    return [output.hits, output.substitutions, output.deletions, output.insertions]


def rows(counts: EditCounts) -> list[list[int]]:
    return np.stack([getattr(counts, name) for name in FIELDS], axis=-1).tolist()


def test_words_and_ratios_equal_jiwers_on_ten_thousand_pairs():
    references, hypotheses = random_pairs(10_000, seed=1)
    counts = count_words(references, hypotheses)
    wer, mer, wil = word_error_rate(counts), match_error_rate(counts), word_information_lost(counts)
    found = rows(counts)
    empty = 0
    for i, pair in enumerate(zip(single_spaced(references), single_spaced(hypotheses), strict=True)):
        expected = jiwer.process_words(*pair)
        assert found[i] == counts_of(expected), pair
        if pair[0]:
            assert abs(wer[i] - expected.wer) <= 1e-12
        else:  # jiwer gives the number of insertions
            empty += 1
            assert np.isnan(wer[i])
            assert expected.wer == expected.insertions
        if any(pair):
            assert abs(mer[i] - expected.mer) <= 1e-12
            assert abs(wil[i] - expected.wil) <= 1e-12
        else:
            assert np.isnan([mer[i], wil[i]]).all()
    assert empty > 500


def test_characters_equal_jiwers_on_three_thousand_pairs():
    references, hypotheses = map(single_spaced, random_pairs(3_000, seed=2))
    counts = count_characters(references, hypotheses)
    cer, found = character_error_rate(counts), rows(counts)
    for i, pair in enumerate(zip(references, hypotheses, strict=True)):
        expected = jiwer.process_characters(*pair)
        assert found[i] == counts_of(expected), pair
        if pair[0]:
            assert abs(cer[i] - expected.cer) <= 1e-12


def test_the_corpus_ratios_equal_jiwers():
    references, hypotheses = random_pairs(500, seed=3)
    expected = jiwer.process_words(single_spaced(references), single_spaced(hypotheses))
    counts = count_words(references, hypotheses).pooled()
    assert abs(word_error_rate(counts) - expected.wer) <= 1e-12
    assert abs(match_error_rate(counts) - expected.mer) <= 1e-12
    assert abs(word_information_lost(counts) - expected.wil) <= 1e-12


@pytest.mark.parametrize("length", [63, 64, 65, 300, 6_000])
def test_long_texts_equal_jiwers(length):
    """rapidfuzz changes its method with the length: words of 64 bits, then blocks, then divide and conquer."""
    chance = random.Random(length)
    words = chance.choices(["a", "b", "c", "d", "e"], k=length)
    said = [w if chance.random() < 0.7 else chance.choice("abcdef") for w in words if chance.random() < 0.9]
    expected = jiwer.process_words(" ".join(words), " ".join(said))
    assert rows(count_words([" ".join(words)], [" ".join(said)])) == [counts_of(expected)]


def straightforward_distance(reference: list[str], hypothesis: list[str]) -> int:
    """Wagner and Fischer (1974), row by row."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, said in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != said))
    return row[-1]


sentences = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


@given(sentences, sentences)
def test_the_alignment_is_a_shortest_one(reference, hypothesis):
    counts = count_tokens([reference], [hypothesis])
    assert counts.errors.tolist() == [straightforward_distance(reference, hypothesis)]
    assert counts.reference_length.tolist() == [len(reference)]
    assert counts.hypothesis_length.tolist() == [len(hypothesis)]
    assert min(map(min, rows(counts))) >= 0


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8))
def test_counts_do_not_depend_on_the_batch(pairs):
    references, hypotheses = [a for a, _ in pairs], [b for _, b in pairs]
    together = rows(count_words(references, hypotheses))
    assert together == [row for a, b in pairs for row in rows(count_words([a], [b]))]
    assert rows(count_words(references, references)) == [[len(text.split()), 0, 0, 0] for text in references]


@given(st.lists(st.tuples(sentences, sentences), min_size=1, max_size=6))
def test_alignments_and_confusions_agree_with_counts(pairs):
    references, hypotheses = [" ".join(a) for a, _ in pairs], [" ".join(b) for _, b in pairs]
    pooled = count_words(references, hypotheses).pooled()
    found = confusions(references, hypotheses)
    assert found.substituted.total() == pooled.substitutions
    assert found.deleted.total() == pooled.deletions
    assert found.inserted.total() == pooled.insertions
    assert all(word != said for word, said in found.substituted)
    for (reference, hypothesis), texts in zip(pairs, zip(references, hypotheses, strict=True), strict=True):
        spans = align(*texts)
        assert [word for span in spans for word in span.reference] == reference
        assert [word for span in spans for word in span.hypothesis] == hypothesis
        assert all((span.kind == "equal") == (span.reference == span.hypothesis) for span in spans)


def test_counts_by_hand():
    counts = count_words(["the cat sat on the mat", "yes", "", "gone"], ["a cat sat the mat now", "yes", "oh no", ""])
    assert counts.hits.tolist() == [4, 1, 0, 0]
    assert counts.substitutions.tolist() == [1, 0, 0, 0]
    assert counts.deletions.tolist() == [1, 0, 0, 1]
    assert counts.insertions.tolist() == [1, 0, 2, 0]
    np.testing.assert_array_equal(word_error_rate(counts), [0.5, 0.0, np.nan, 1.0])
    np.testing.assert_array_equal(match_error_rate(counts), [3 / 7, 0.0, 1.0, 1.0])
    np.testing.assert_allclose(word_information_lost(counts), [1 - (4 / 6) * (4 / 6), 0.0, 1.0, 1.0], atol=1e-15)
    assert word_error_rate(counts.pooled()) == 6 / 8  # what was added to the empty reference counts here


def test_the_confused_words_by_hand():
    found = confusions(["turn it off", "turn it on", "now go"], ["turn it of", "turn it on please", "go"])
    assert dict(found.substituted) == {("off", "of"): 1}
    assert dict(found.deleted) == {"now": 1}
    assert dict(found.inserted) == {"please": 1}


def test_any_white_space_separates_words():
    counts = count_words(["one two three four"], ["one\ttwo\u00a0three\n\u3000four "])
    assert counts.hits.tolist() == [4]
    assert count_characters(["one two"], [" one \t\u00a0 two\n"]).errors.tolist() == [0]


def test_ratios_of_weighted_counts():
    weighted = EditCounts(*np.array([[[8.0, 0.0]], [[1.5, 0.0]], [[0.5, 0.0]], [[1.0, 0.0]]]))
    np.testing.assert_array_equal(word_error_rate(weighted), [[0.3, np.nan]])
    assert word_information_lost(weighted)[0, 0] == 1 - (8 / 10) * (8 / 10.5)
    half = EditCounts(*(np.array(x) for x in (0.25, 0.0, 0.25, 0.0)))  # weights below one, too
    assert word_information_lost(half) == 0.5


def test_no_pairs():
    counts = count_words([], [])
    assert rows(counts) == []
    assert np.isnan(word_error_rate(counts.pooled()))


def test_batches_are_joined_in_order(monkeypatch):
    references, hypotheses = random_pairs(23, seed=4)
    expected = rows(count_words(references, hypotheses))
    monkeypatch.setattr(transcription, "_BATCH", 5)
    assert rows(count_words(references, hypotheses)) == expected


@pytest.mark.parametrize("count", [count_words, count_characters, count_tokens, confusions])
def test_bad_input_is_refused(count):
    with pytest.raises(UserError, match="2 references and 1 hypotheses; give one hypothesis for each reference"):
        count(["a", "b"], ["a"])
    with pytest.raises(UserError, match="wrap a single text in a list"):
        count("a b", "a b")
