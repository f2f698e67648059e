"""Declared training data against what a suite measures on."""

from __future__ import annotations

import pytest

from audiometry.benchmark.errors import DataError, UnknownNameError
from audiometry.benchmark.registry import TASKS
from audiometry.leaderboard.submissions.contamination import NONE_DECLARED, contamination, corpora_of


def test_the_corpora_of_a_suite_are_those_of_its_tasks() -> None:
    assert corpora_of("core") == ("asterisk-en", "asterisk-en-telephone", "non-speech")
    assert {"asterisk-fr", "matched-voices", "spoken-questions-en", "code-switched"} <= set(corpora_of("full"))


def test_a_task_whose_corpus_is_not_here_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unprepared(spec: object) -> None:
        raise DataError("not prepared")

    monkeypatch.setattr(TASKS, "create", unprepared)
    assert corpora_of("core") == ("asterisk-en", "non-speech")


def test_an_unknown_suite_is_told() -> None:
    with pytest.raises(UnknownNameError):
        corpora_of("nothing")


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        ("hibari-tts", ["matched-voices", "spoken-questions-en"]),
        ("asterisk-es", ["asterisk-es", "code-switched"]),
        ("ASTERISK", ["asterisk-en", "asterisk-ru"]),
        ("a mix with code-switched in it", ["code-switched"]),
    ],
)
def test_what_shares_voices_or_recordings_is_told(declared: str, found: list[str]) -> None:
    (warning,) = contamination([declared], "full")
    told = warning.partition(": ")[2].split(", ")
    assert set(found) <= set(told)
    assert repr(declared) in warning


@pytest.mark.parametrize("declared", ["LibriSpeech", "Common Voice 17", "speech", "en", "English voices", "…", "-"])
def test_other_and_general_names_are_no_match(declared: str) -> None:
    assert contamination([declared], "full") == ()


def test_nothing_declared_is_a_warning() -> None:
    assert contamination([], "core") == (NONE_DECLARED,)
