from __future__ import annotations

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.answers import answer_counts, answer_reduce, normalise_answer

WORDS = st.lists(
    st.sampled_from(["the", "a", "green", "box", "Box!", "under", "of", "it's", "7", ","]), max_size=6
).map(" ".join)


def squad_f1(prediction: str, truth: str) -> float:
    """The definition, written from the paper: precision and recall of the multiset of tokens."""

    def tokens(text: str) -> list[str]:
        kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return [word for word in re.sub(r"\b(a|an|the)\b", " ", kept).split() if word]

    said, wanted = tokens(prediction), tokens(truth)
    if not said or not wanted:
        return float(said == wanted)
    left = Counter(wanted)
    same = 0
    for word in said:
        if left[word] > 0:
            left[word] -= 1
            same += 1
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


@given(WORDS, WORDS)
def test_f1_is_squads(answer: str, reference: str) -> None:
    counts = answer_counts(answer, [reference])
    assert counts["f1"] == pytest.approx(squad_f1(answer, reference), abs=1e-12)
    assert counts["exact"] <= counts["f1"] <= 1.0
    assert answer_counts(reference, [answer])["f1"] == pytest.approx(counts["f1"])


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Green Box.", ["green box"], 1.0, 1.0),
        ("green", ["green box", "box"], 0.0, 2 / 3),
        ("box box", ["box"], 0.0, 2 / 3),
        ("", ["box"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
    ],
)
def test_by_hand(answer: str, references: list[str], exact: float, f1: float) -> None:
    counts = answer_counts(answer, references)
    assert (counts["exact"], counts["f1"]) == (exact, pytest.approx(f1))


def test_normalised_as_the_script_does() -> None:
    assert normalise_answer("An  apple, a day\tkeeps THE doctor-away") == "apple day keeps doctoraway"


def test_means_over_questions_under_weights() -> None:
    counts = {"exact": np.array([1.0, 0.0, 0.0]), "f1": np.array([1.0, 0.5, 0.0]), "questions": np.ones(3)}
    table = ScoreTable(counts, np.array([0, 1, 1]), np.zeros(3, int), np.zeros(2, int))
    values = answer_reduce(table, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(values["f1"], [0.5, 1.0, 0.25])
    np.testing.assert_allclose(values["exact_match"], [1 / 3, 1.0, 0.0])


def test_a_reference_is_needed() -> None:
    for wrong in ([], "text"):
        with pytest.raises(DataError, match="right answers"):
            answer_counts("x", wrong)
