from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.tasks.metrics.runs import LOOP_TIMES, LOOP_WORDS, added_loop, edit_runs, repetition_loop

WORDS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=14)


def brute_force(words: list[str]) -> int:
    """Words that the largest loop covers, by looking at every phrase at every place."""
    most = 0
    for start, length in itertools.product(range(len(words)), range(1, len(words) + 1)):
        phrase, times = words[start : start + length], 0
        while words[start + times * length : start + (times + 1) * length] == phrase and phrase:
            times += 1
        if times >= LOOP_TIMES and times * length >= LOOP_WORDS:
            most = max(most, times * length)
    return most


@given(WORDS)
def test_the_largest_loop_is_found(words: list[str]) -> None:
    loop = repetition_loop(" ".join(words))
    assert (loop.words if loop else 0) == brute_force(words)
    if loop:
        assert " ".join(loop.phrase * loop.times) in " ".join(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("thank you thank you", None),
        ("thank you thank you thank you", (("thank", "you"), 3)),
        ("no no no no no", None),
        ("no no no no no no", (("no",), 6)),
        ("well a b a b a b a then", (("a", "b"), 3)),
        ("x y z x y z x y z x y", (("x", "y", "z"), 3)),
    ],
)
def test_loops_by_hand(text: str, expected: tuple[tuple[str, ...], int] | None) -> None:
    loop = repetition_loop(text)
    assert (None if loop is None else (loop.phrase, loop.times)) == expected


def test_what_was_spoken_as_a_loop_is_none() -> None:
    spoken = "0 0 0 0 0 0"
    assert added_loop(spoken, spoken) is None
    assert added_loop("zero", spoken) is not None


def test_runs_by_hand() -> None:
    runs = edit_runs("press one to go back to the main menu", "hello there press one back to the main menu thank you")
    assert [(run.kind, run.words, run.place) for run in runs] == [
        ("insert", ("hello", "there"), "start"),
        ("delete", ("to", "go"), "inside"),
        ("insert", ("thank", "you"), "end"),
    ]
    assert [run.place for run in edit_runs("", "thank you")] == ["whole"]
    assert edit_runs("a b", "x a b", shortest=2) == []


@given(WORDS, WORDS)
def test_runs_add_up_to_the_difference_in_length(reference: list[str], hypothesis: list[str]) -> None:
    runs = edit_runs(" ".join(reference), " ".join(hypothesis))
    signs = {"insert": 1, "delete": -1}
    assert sum(signs[run.kind] * len(run.words) for run in runs) == len(hypothesis) - len(reference)
