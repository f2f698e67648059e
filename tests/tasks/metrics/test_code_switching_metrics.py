from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.code_switching import switch_counts
from audiometry.tasks.metrics.transcription import count_tokens

KNOWN = ("en", "es")


def counted(parts: list[str], said: str, *languages: str) -> dict[str, float]:
    return switch_counts([part.split() for part in parts], languages, said.split(), KNOWN)


def test_by_hand() -> None:
    parts = ["press one", "marque dos", "thank you"]
    perfect = counted(parts, "press one marque dos thank you", "en", "es", "en")
    assert (perfect["errors"], perfect["switches"], perfect["switches_wrong"]) == (0, 2, 0)
    # "mark" for "marque" spoils the first change; the second has "uh" within
    found = counted(parts, "press one mark dos uh thank you", "en", "es", "en")
    assert (found["en_errors"], found["en_words"], found["es_errors"], found["es_words"]) == (0, 4, 2, 2)
    assert found["switches_wrong"] == 2
    # an error away from the changes spoils none
    assert counted(parts, "dress one marque dos thank you", "en", "es", "en")["switches_wrong"] == 0
    # what is added at the start belongs to the first language
    assert counted(["uno", "two"], "uh uno two", "es", "en")["es_errors"] == 1
    silent = counted(parts, "", "en", "es", "en")
    assert (silent["errors"], silent["words"], silent["switches_wrong"]) == (6, 6, 2)


def test_a_part_without_words_is_no_change() -> None:
    found = switch_counts([["a"], [], ["b"]], ["en", "es", "en"], ["a", "b"], KNOWN)
    assert (found["switches"], found["words"], found["es_words"]) == (0, 2, 0)


WORDS = st.lists(st.sampled_from("abc"), max_size=4)


@given(st.lists(st.tuples(WORDS, st.sampled_from(KNOWN)), min_size=1, max_size=4), WORDS)
def test_parts_add_up_to_the_whole(rows: list[tuple[list[str], str]], said: list[str]) -> None:
    parts, languages = [row[0] for row in rows], [row[1] for row in rows]
    words = [word for part in parts for word in part]
    if not words:
        return
    found = switch_counts(parts, languages, said, KNOWN)
    assert found["errors"] == count_tokens([words], [said]).errors[0]
    assert found["en_words"] + found["es_words"] == len(words)
    assert 0 <= found["switches_wrong"] <= found["switches"] < len(words)
    assert switch_counts(parts, languages, words, KNOWN)["errors"] == 0


@pytest.mark.parametrize(("parts", "languages"), [([["a"]], ["en", "es"]), ([["a"]], ["de"]), ([[]], ["en"]), ([], [])])
def test_what_cannot_be_counted_is_refused(parts: list[list[str]], languages: list[str]) -> None:
    with pytest.raises(DataError):
        switch_counts(parts, languages, ["a"], KNOWN)
