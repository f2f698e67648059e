from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.tasks.metrics.entities import ENTITY_KINDS, entity_counts, entity_words, find_entities


def kinds(text: str, *names: str) -> list[tuple[str, str]]:
    words = entity_words(text)
    return [(one.kind, " ".join(words[one.start : one.end])) for one in find_entities(text, names)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Press 4 or 6.", [("number", "4"), ("number", "6")]),
        ("Your code is six zero one three.", [("number", "6013")]),
        ("Press one.", [("number", "one")]),
        ("One moment, please.", []),
        ("Enter one or more keywords.", []),
        ("three o'clock", [("number", "3")]),
        ("It costs $21.50, or 5%.", [("number", "$21.50"), ("number", "5%")]),
        ("the nineteenth caller", [("number", "19th")]),
        ("USB Radio", [("letter", "usb")]),
        ("H.323", [("letter", "h.323")]),
        ("M I S D N", [("letter", "misdn")]),
        ("Use the 7 key for Q.", [("number", "7"), ("letter", "q")]),
        ("a", [("letter", "a")]),
        ("I have a message", []),
        ("niner alpha", [("phonetic", "niner"), ("phonetic", "alpha")]),
        ("the echo test", []),
        ("We meet on Monday, May second.", [("date", "monday"), ("date", "may"), ("number", "2")]),
        ("We may meet in May.", []),
        ("you may go", []),
        ("", []),
    ],
)
def test_spans_by_rule(text: str, expected: list[tuple[str, str]]) -> None:
    assert kinds(text) == expected


def test_names_are_those_given_and_the_longest_wins() -> None:
    assert kinds("Welcome to Comedian Mail.", "Mail", "Comedian Mail") == [("name", "comedian mail")]
    assert kinds("an asterisk", "Asterisk") == []
    assert kinds("Asterisks", "Asterisk") == []
    assert kinds("Mail", "!") == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("four two four two", "42-42"),
        ("five five five one two", "555 12"),
        ("one two three", "1, 2, 3"),
        ("I A X", "IAX"),
        ("x-ray", "xray"),
        ("zero five three three", "0533"),
        ("zero four, zero seven", "04-07"),
        ("code B S F nine six", "code BS-F96"),
        ("January eleventh", "January 11"),
    ],
)
def test_grouping_is_no_fact(one: str, other: str) -> None:
    assert entity_words(one) == entity_words(other)


def test_what_stays_as_it_is() -> None:
    assert entity_words("0.5 and T-Mobile 10,000 or 00") == ["0.5", "and", "t", "mobile", "10000", "or", "00"]
    assert entity_words("the eleventh") == ["the", "11th"]


def wrong(reference: str, hypothesis: str, *names: str) -> tuple[float, float]:
    counts = entity_counts(reference, hypothesis, names)
    return counts["entities"], counts["entities_wrong"]


def test_by_hand() -> None:
    assert wrong("Press 4 or 6", "press four or five") == (2, 1)
    assert wrong("Press 4 or 6", "") == (2, 2)
    assert wrong("Press 4", "Pressed 4") == (1, 0)  # another word's error is none of the entity
    assert wrong("Call Comedian Mail", "call comedian the mail", "Comedian Mail") == (1, 1)  # something within
    assert wrong("Call Comedian Mail", "call comedian mail now", "Comedian Mail") == (1, 0)
    assert wrong("Your code is 6013", "your code is 60 13") == (1, 0)
    assert wrong("Your code is 6013", "your code is 6031") == (1, 1)
    assert wrong("hello", "hello 5") == (0, 0)


def test_counts_by_kind_add_up() -> None:
    counts = entity_counts("Ann, press 4 on Monday for Q", "and press 4 on Tuesday for q", ["Ann"])
    assert {kind: counts[f"{kind}_wrong"] for kind in ENTITY_KINDS} == {
        "number": 0, "letter": 0, "phonetic": 0, "date": 1, "name": 1,
    }  # fmt: skip
    assert counts["entities"] == sum(counts[f"{kind}_count"] for kind in ENTITY_KINDS) == 4


TEXTS = st.lists(st.sampled_from(["press", "four", "2", "q", "Monday", "Ann", "or", "one", "oh"]), max_size=8).map(
    " ".join
)


@settings(max_examples=40, deadline=None)
@given(TEXTS, TEXTS)
def test_invariants(reference: str, hypothesis: str) -> None:
    same = entity_counts(reference, reference.upper() if reference else "", ["Ann"])
    assert same["entities_wrong"] == 0
    counts = entity_counts(reference, hypothesis, ["Ann"])
    assert 0 <= counts["entities_wrong"] <= counts["entities"]
    assert entity_counts(reference, "", ["Ann"])["entities_wrong"] == counts["entities"]
    spans = find_entities(reference, ["Ann"])
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(0 <= one.start < one.end <= len(entity_words(reference)) for one in spans)
