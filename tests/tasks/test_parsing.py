from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.types import Output
from audiometry.tasks.parsing import (
    LETTERS,
    label_of,
    offer,
    offered,
    parse_choice,
    parse_label,
    parse_labels,
    parse_object,
    takes_several,
)

EMOTIONS = ["happy", "sad", "angry"]
CITIES = ["Oslo", "Bergen", "The Hague", "Rome"]
WORDS = st.lists(
    st.text("abcdeXYZéя", min_size=1, max_size=8), min_size=1, max_size=6, unique_by=lambda word: word.casefold()
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("happy", "happy"), ("Happy.", "happy"), (' "SAD" ', "sad"), ("**angry**", "angry"),
        ("The emotion is sad.", "sad"), ("Answer: happy", "happy"), ("label = angry", "angry"),
        ("happy or sad", None), ("not happy", None), ("unhappy", None), ("", None),
        ("I think the emotion is sad", None),
        ("happy, sad", None), ("The speaker sounds happy", None), ("joyful", None),
    ],
)  # fmt: skip
def test_one_label_or_none(text: str, label: str | None) -> None:
    assert parse_label(text, EMOTIONS) == label


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("sad, happy", ["happy", "sad"]), ("- Sad\n- angry", ["sad", "angry"]), ("1. sad; 2. happy", ["happy", "sad"]),
        ("none", []), ("None.", []), ("The sounds are: happy, sad", ["happy", "sad"]), ("happy, happy", ["happy"]),
        ("happy and sad", None), ("happy, joyful", None), ("", None), (",", None), ("none, happy", None),
    ],
)  # fmt: skip
def test_all_labels_or_nothing(text: str, labels: list[str] | None) -> None:
    assert parse_labels(text, EMOTIONS) == labels


def test_labels_with_commas_are_listed_with_semicolons() -> None:
    classes = ["Male speech, man speaking", "Dog"]
    assert offered(offer(classes)) == classes
    assert parse_labels("dog; Male speech, man speaking", classes) == classes
    assert parse_labels("Dog, Male speech", classes) is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A", 0), ("b", 1), ("(C)", 2), ("d.", 3), ("B) Bergen", 1), ("(b) bergen", 1), ("A: Oslo", 0), ("Rome", 3),
        ("The answer is C.", 2), ("The correct answer is: B) Bergen", 1), ("Answer: the hague", 2), ("**D**", 3),
        ("E", None), ("B) Oslo", None), ("A or B", None), ("A, B", None), ("", None), ("Paris", None),
        ("I would say A", None), ("Oslo Bergen", None), ("A B", None), ("AB", None),
    ],
)  # fmt: skip
def test_one_choice_or_none(text: str, place: int | None) -> None:
    assert parse_choice(text, CITIES) == place


def test_an_option_that_stands_twice_is_no_answer_in_words() -> None:
    assert parse_choice("Oslo", ["Oslo", "Oslo"]) is None
    assert parse_choice("B", ["Oslo", "Oslo"]) == 1
    with pytest.raises(ValueError, match="27 options"):
        parse_choice("A", ["x"] * 27)


@pytest.mark.parametrize("text", ["", "intent: stop", "[1]", '"x"', '{"a": 1} and more', "{'a': 1}", "{" * 100_000])
def test_what_is_no_object(text: str) -> None:
    assert parse_object(text) is None


def test_an_object_alone_or_fenced() -> None:
    assert (
        parse_object(' {"a": 1}\n')
        == parse_object('```JSON\n{"a": 1}\n```')
        == parse_object('```{"a": 1}```')
        == {"a": 1}
    )


@given(WORDS)
def test_what_is_offered_is_read_back_and_parsed(labels: list[str]) -> None:
    for several in (False, True):
        instruction = f"Listen.\n{offer(labels, several=several)}"
        assert offered(instruction) == labels
        assert takes_several(instruction) == several
    for label in labels:
        for said in (label, f" {label.upper()}. ", f"The answer is **{label.lower()}**"):
            assert parse_label(said, labels) == label
    assert parse_labels(", ".join(labels), labels) == labels


@given(st.text(max_size=30))
def test_nothing_but_an_answer_is_an_answer(text: str) -> None:
    """Whatever parses names a label, and what names none does not parse."""
    found = parse_label(text, EMOTIONS)
    assert found is None or found in text.casefold()
    choice = parse_choice(text, CITIES)
    said = text.casefold()
    assert choice is None or LETTERS[choice].casefold() in said or CITIES[choice].casefold() in said


@pytest.mark.parametrize("label", ["a; b", "ends.", " padded", "", "two\nlines"])
def test_labels_that_cannot_be_read_back_are_not_offered(label: str) -> None:
    with pytest.raises(ValueError, match="cannot be offered"):
        offer(["fine", label])


def test_nothing_is_offered_in_other_words() -> None:
    assert offered(None) == offered("Which word is it?") == []


def test_the_label_of_an_answer() -> None:
    assert label_of(Output(text="Sad"), EMOTIONS) == "sad"
    assert label_of(Output(labels={"The emotion is sad.": 1.0}), EMOTIONS) == "sad"
    assert label_of(Output(labels={"sad": 0.5, "happy": 0.5}), EMOTIONS) is None
    assert label_of(Output(labels={"bored": 0.9, "happy": 0.5}), EMOTIONS) is None
    assert label_of(Output(), EMOTIONS) is None
