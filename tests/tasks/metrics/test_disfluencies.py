from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.disfluencies import (
    DISFLUENCIES,
    as_spoken,
    disfluency_counts,
    find_disfluencies,
    fluent,
    insert_disfluency,
)
from audiometry.tasks.metrics.transcription import count_words

VOCABULARY = ["turn", "the", "light", "off", "kitchen", "now", "please", "again"]
SENTENCES = st.lists(st.sampled_from(VOCABULARY), min_size=3, unique=True).map(" ".join)
"""Words that come once: a text that repeats a word by itself cannot say which one was given up."""


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.sampled_from(DISFLUENCIES), st.integers(0, 1 << 40))
def test_what_is_put_in_is_found_and_taken_out(text: str, kind: str, seed: int) -> None:
    verbatim = insert_disfluency(text, kind, seed)
    assert verbatim == insert_disfluency(text, kind, seed)
    assert fluent(verbatim) == text
    assert {one.kind for one in find_disfluencies(verbatim)} == {kind}
    assert "--" not in as_spoken(verbatim)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.sampled_from(DISFLUENCIES), st.integers(0, 1 << 40))
def test_each_reference_is_perfect_on_its_own_side(text: str, kind: str, seed: int) -> None:
    verbatim = insert_disfluency(text, kind, seed)
    spoken = disfluency_counts(verbatim, verbatim.replace("--", " "))
    assert spoken["verbatim_errors"] == 0
    assert spoken[f"{kind}_kept"] == spoken[f"{kind}_count"] >= 1
    cleaned = disfluency_counts(verbatim, text)
    assert cleaned["cleaned_errors"] == 0
    assert cleaned["verbatim_errors"] == cleaned["verbatim_words"] - cleaned["cleaned_words"]
    assert cleaned[f"{kind}_kept"] == 0
    silent = disfluency_counts(verbatim, "")
    assert silent["verbatim_errors"] == silent["verbatim_words"]
    assert silent["cleaned_errors"] == silent["cleaned_words"]


@settings(max_examples=40, deadline=None)
@given(SENTENCES, SENTENCES)
def test_fluent_text_has_the_plain_word_error_rate(text: str, said: str) -> None:
    counts = disfluency_counts(text, said)
    errors = count_words([text], [said]).errors[0]
    assert counts["verbatim_errors"] == counts["cleaned_errors"] == errors


@pytest.mark.parametrize(
    ("transcript", "kinds", "cleaned"),
    [
        ("Turn um off the uh light.", ["filler", "filler"], "Turn off the light."),
        ("Er, turn it off, mm.", ["filler", "filler"], "turn it off,"),
        ("Turn off the -- the light.", ["repeat"], "Turn off the light."),
        ("Turn off, -- turn off the light.", ["repeat"], "turn off the light."),
        ("What I -- Close it.", ["false_start"], "Close it."),
        ("It is late. So we -- Close it.", ["false_start"], "It is late. Close it."),
        ("So the -- um Close it.", ["false_start", "filler"], "Close it."),
        ("-- Close it.", [], "Close it."),
        ("The hummer hums uh-huh.", [], "The hummer hums uh-huh."),
        ("", [], ""),
    ],
)
def test_the_marks_of_a_transcript(transcript: str, kinds: list[str], cleaned: str) -> None:
    assert [one.kind for one in find_disfluencies(transcript)] == kinds
    assert fluent(transcript) == cleaned


def test_by_hand() -> None:
    counts = disfluency_counts("Turn off uh the -- the light.", "turn off um the lights")
    # verbatim: "off hesitation the the light": one "the" left out, one word confused; any filler will do
    assert (counts["verbatim_errors"], counts["verbatim_words"]) == (2, 6)
    assert (counts["filler_kept"], counts["repeat_kept"]) == (1, 0)
    assert (counts["cleaned_errors"], counts["cleaned_words"]) == (1, 4)


def test_numbers_are_read_as_everywhere() -> None:
    assert disfluency_counts("Dial um twenty five", "dial 25")["cleaned_errors"] == 0


@pytest.mark.parametrize(("text", "kind"), [("two words", "filler"), ("one two three", "cough")])
def test_what_cannot_be_made_is_refused(text: str, kind: str) -> None:
    with pytest.raises(DataError, match="can be put"):
        insert_disfluency(text, kind, 0)
