from __future__ import annotations

import sys

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics import translation
from audiometry.tasks.metrics.translation import (
    BLEU_METRICS,
    CHRF_METRICS,
    TOKENIZERS,
    bleu_counts,
    bleu_reduce,
    bleu_signature,
    chrf_counts,
    chrf_reduce,
    chrf_signature,
)

VOCABULARY = ["the", "a", "cat", "dog", "sat,", "lay", "on", "mat.", "é", "你好"]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=9).map(" ".join)
CORPUS = st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=6)


def table_of(rows, cluster=None):
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    cluster = np.arange(len(rows)) if cluster is None else cluster
    return ScoreTable(columns, cluster, np.zeros(len(rows), int), np.zeros(int(cluster.max()) + 1, int))


@given(CORPUS, st.data())
@settings(deadline=None, max_examples=200)
def test_bleu_equals_sacrebleus_corpus_of_repeated_samples(corpus, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(corpus), max_size=len(corpus)))
    tokenize = data.draw(st.sampled_from(TOKENIZERS))
    lowercase = data.draw(st.booleans())
    options = {"tokenize": tokenize, "lowercase": lowercase}
    rows = [bleu_counts(h, [r, s], **options) for h, r, s in corpus]
    value = bleu_reduce()(table_of(rows), np.array([weights], float))[BLEU_METRICS[0].name][0]
    again = [row for row, weight in zip(corpus, weights, strict=True) for _ in range(weight)]
    if not again:
        assert value == 0.0
        return
    hypotheses, first, second = map(list, zip(*again, strict=True))
    expected = sacrebleu.corpus_bleu(hypotheses, [first, second], force=True, **options)
    assert value == pytest.approx(expected.score, abs=1e-9)


@given(CORPUS, st.data())
@settings(deadline=None, max_examples=200)
def test_chrf_equals_sacrebleus_corpus_of_repeated_samples(corpus, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(corpus), max_size=len(corpus)))
    word_order = data.draw(st.sampled_from([0, 2]))
    rows = [chrf_counts(h, [r, s], word_order=word_order) for h, r, s in corpus]
    value = chrf_reduce(word_order=word_order)(table_of(rows), np.array([weights], float))[CHRF_METRICS[0].name][0]
    again = [row for row, weight in zip(corpus, weights, strict=True) for _ in range(weight)]
    if not again:
        assert value == 0.0
        return
    hypotheses, first, second = map(list, zip(*again, strict=True))
    expected = sacrebleu.corpus_chrf(hypotheses, [first, second], word_order=word_order)
    assert value == pytest.approx(expected.score, abs=1e-9)


def test_bleu_by_hand():
    # 6 words each; 1-grams 5/6, 2-grams 3/5, 3-grams 2/4, 4-grams 1/3: their geometric mean, no penalty
    rows = [bleu_counts("the cat sat on a mat", ["the cat sat on the mat"])]
    value = bleu_reduce()(table_of(rows), np.ones((1, 1)))["bleu"][0]
    assert value == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


def test_a_short_hypothesis_pays_the_brevity_penalty():
    rows = [bleu_counts("a b c d", ["a b c d e"], tokenize="none")]
    assert bleu_reduce()(table_of(rows), np.ones((1, 1)))["bleu"][0] == pytest.approx(100 * np.exp(1 - 5 / 4))


def test_a_failed_sample_still_adds_its_reference():
    counts = bleu_counts("", ["the cat sat on the mat"])
    assert counts["reference_length"] == 6.0
    assert counts["hypothesis_length"] == counts["ngrams_1"] == 0.0
    full = [bleu_counts("the cat sat on the mat", ["the cat sat on the mat"]), counts]
    assert bleu_reduce()(table_of(full), np.ones((1, 2)))["bleu"][0] == pytest.approx(100 * np.exp(1 - 12 / 6))


def test_many_resamples_at_once_equal_one_at_a_time():
    generator = np.random.default_rng(0)
    texts = [[" ".join(generator.choice(VOCABULARY, 7)) for _ in range(2)] for _ in range(30)]
    weights = generator.integers(0, 3, (50, 10)).astype(float)
    for counts, reduce in ((bleu_counts, bleu_reduce()), (chrf_counts, chrf_reduce())):
        table = table_of([counts(hypothesis, [reference]) for hypothesis, reference in texts], np.arange(30) // 3)
        (together,) = reduce(table, weights).values()
        apart = [next(iter(reduce(table, row[None]).values()))[0] for row in weights]
        np.testing.assert_allclose(together, apart, rtol=1e-12)


def test_signatures_are_sacrebleus():
    metric = sacrebleu.BLEU(lowercase=True, tokenize="char")
    metric.corpus_score(["x"], [["x"], ["y"]])
    assert bleu_signature(references=2, tokenize="char", lowercase=True) == str(metric.get_signature())
    metric = sacrebleu.CHRF(word_order=2)
    metric.corpus_score(["x"], [["x"]])
    assert chrf_signature(word_order=2) == str(metric.get_signature())


@pytest.mark.parametrize("references", ["one string", []])
def test_references_are_a_list(references):
    for counts in (bleu_counts, chrf_counts):
        with pytest.raises(DataError, match="list of one or more reference"):
            counts("a", references)


def test_a_tokeniser_that_would_fetch_a_model_is_refused():
    with pytest.raises(SettingError, match="'flores200' is not one of 13a"):
        bleu_counts("a", ["a"], tokenize="flores200")


def test_without_sacrebleu_the_extra_is_named(monkeypatch):
    translation._bleu.cache_clear()  # what another test made may not answer
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"pip install 'audiometry\[text\]'"):
        bleu_counts("a", ["a"])
