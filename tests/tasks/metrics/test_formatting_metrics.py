from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from audiometry.benchmark.types import ScoreTable
from audiometry.tasks.metrics.formatting import (
    FORMATTING_METRICS,
    MARKS,
    formatting_counts,
    formatting_reduce,
    written_words,
)

WORDS = ("press", "one", "now", "Ann")
ENDINGS = ("", ".", ",", "?", "!")
PAIRS = st.lists(
    st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDINGS), st.sampled_from(ENDINGS)), min_size=1, max_size=10
)
TEXTS = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDINGS)).map("".join), max_size=8).map(" ".join)


def values(*pairs: tuple[str, str]) -> dict[str, float]:
    rows = [formatting_counts(*pair) for pair in pairs]
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    size = len(rows)
    table = ScoreTable(columns, np.arange(size), np.zeros(size, int), np.zeros(size, int))
    return {name: float(value[0]) for name, value in formatting_reduce(table, np.ones((1, size))).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, Ann.", [("Hello", "comma"), ("Ann", "full_stop")]),
        ("...to exit.", [("to", ""), ("exit", "full_stop")]),
        ("Well...", [("Well", "full_stop")]),
        ("Well… no", [("Well", "full_stop"), ("no", "")]),
        ('He said "stop!" twice', [("He", ""), ("said", ""), ("stop", "other_mark"), ("twice", "")]),
        ("one - two", [("one", ""), ("two", "")]),
        ("stop ! now", [("stop", "other_mark"), ("now", "")]),
        ("really?!", [("really", "other_mark")]),
        ("at 10:30, www.x.org", [("at", ""), ("10:30", "comma"), ("www.x.org", "")]),
        ("(yes).", [("yes", "full_stop")]),
        ("...", []),
    ],
)
def test_words_and_marks(text: str, expected: list[tuple[str, str]]) -> None:
    assert [(one.word, one.mark) for one in written_words(text)] == expected


def test_by_hand() -> None:
    found = values(("Hello, Ann. Is it you?", "hello Ann. Is it, you?"))
    # marks: comma missed at Hello and added at it; full stop and question mark right
    assert found["comma_f1"] == 0
    assert found["full_stop_f1"] == found["question_mark_f1"] == 1
    assert np.isnan(found["other_mark_f1"])
    assert found["punctuation_f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["case_error_rate"] == pytest.approx(1 / 5)
    assert found["formatted_wer"] == pytest.approx(3 / 8)  # hello, no comma, a comma too many


def test_words_without_partner_and_confused_words() -> None:
    left_out = formatting_counts("Press one. Now.", "Press one.")
    assert (left_out["full_stop_hit"], left_out["full_stop_missed"]) == (1, 1)
    added = formatting_counts("Press one", "Press one. Now.")
    assert added["full_stop_added"] == 2
    confused = formatting_counts("Press one.", "Press won.")
    assert (confused["full_stop_hit"], confused["case_words"]) == (1, 1)
    assert formatting_counts("Yes.", "")["full_stop_missed"] == 1


@settings(max_examples=20, deadline=None)
@given(PAIRS)
def test_f1_is_scikit_learns_where_the_words_agree(rows: list[tuple[str, str, str]]) -> None:
    reference = " ".join(word + told for word, told, _ in rows)
    hypothesis = " ".join(word + said for word, _, said in rows)
    found = values((reference, hypothesis))
    classes = [next((name for name, marks in MARKS.items() if mark and mark in marks), "") for mark in ENDINGS]
    by_mark = dict(zip(ENDINGS, classes, strict=True))
    told, said = [by_mark[told] for _, told, _ in rows], [by_mark[said] for _, _, said in rows]
    for name in MARKS:
        expected = f1_score(told, said, labels=[name], average="macro", zero_division=np.nan)
        np.testing.assert_allclose(found[f"{name}_f1"], expected)
    expected = f1_score(told, said, labels=list(MARKS), average="micro", zero_division=np.nan)
    np.testing.assert_allclose(found["punctuation_f1"], expected)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_invariants(reference: str, hypothesis: str) -> None:
    counts = formatting_counts(reference, hypothesis)
    told, said = written_words(reference), written_words(hypothesis)
    for name in MARKS:
        assert counts[f"{name}_hit"] + counts[f"{name}_missed"] == sum(one.mark == name for one in told)
        assert counts[f"{name}_hit"] + counts[f"{name}_added"] == sum(one.mark == name for one in said)
    assert 0 <= counts["case_errors"] <= counts["case_words"] <= len(told)
    same = formatting_counts(reference, reference)
    assert same["formatted_errors"] == same["case_errors"] == 0
    assert not any(same[f"{name}_{part}"] for name in MARKS for part in ("missed", "added"))


def test_every_metric_is_reduced() -> None:
    assert set(values(("A.", "a"))) == {metric.name for metric in FORMATTING_METRICS}
