"""Names of files: a property over what an archive may call its members."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.names import Names, check_name, shown


@pytest.mark.parametrize("name", ["audiometry.yaml", "a/b/c.json", "Größe-3 (final).txt", "模型.safetensors", "a..b"])
def test_usual_names_are_let_in(name: str) -> None:
    assert str(check_name(name)) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute"),
        ("C:/x", "absolute"),
        ("c:x", "absolute"),
        ("a\\..\\b", "absolute or not written with '/'"),
        ("..", "leads out"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("a/..", "leads out"),
        ("", "an empty part"),
        ("a//b", "an empty part"),
        ("a/", "an empty part"),
        ("a.", "ending in a dot"),
        ("a /b", "ending in a dot or space"),
        (".", "ending in a dot"),
        ("./a", "ending in a dot"),
        (".hidden", "is hidden"),
        ("a/.git/config", "is hidden"),
        ("ab:c", "holds one of"),
        ("a*", "holds one of"),
        ("a\nb", "control or invisible"),
        ("a\0b", "control or invisible"),
        ("a\x1b[2J", "control or invisible"),
        ("gpj\u202etxt", "control or invisible"),
        ("a\u200bb", "control or invisible"),
        ("a\udcff", "control or invisible"),
        ("a" * 201, "more than 200 bytes"),
        ("é" * 101, "more than 200 bytes"),
        ("a" * 10_000, "has 10000 characters"),
        ("/".join("a" * 9), "more than 8 folders deep"),
    ],
)
def test_other_names_are_refused_in_a_short_line(name: str, reason: str) -> None:
    with pytest.raises(SubmissionError) as error:
        check_name(name)
    assert reason in str(error.value)
    assert len(str(error.value)) < 250
    assert str(error.value).isprintable()


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "", "a", "b c", "~", "C:", "\\"])).map("/".join))
def test_a_name_that_is_let_in_stays_inside_and_is_shown_as_it_is(name: str) -> None:
    try:
        path = check_name(name)
    except SubmissionError:
        return
    folder = Path("/srv/submission")
    assert os.path.normpath(folder / path) == f"/srv/submission/{name}"
    assert name.isprintable()
    assert str(path) == name


@given(st.lists(st.text(alphabet="aAäÄßsSbB/é\u0301e", min_size=1, max_size=5), max_size=8))
def test_names_that_are_let_in_together_mean_different_files_everywhere(given_names: list[str]) -> None:
    names, kept = Names(), []
    for name in given_names:
        try:
            names.add(name)
        except SubmissionError:
            break
        kept.append(name)
        assert len(names) == len(kept)
    for form in ("NFC", "NFD"):
        forms = {unicodedata.normalize(form, name).casefold() for name in kept}
        assert len(forms) == len(kept)
        assert not any(str(parent).casefold() in forms for name in kept for parent in Path(name).parents)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("a.txt", "a.txt", "stands there twice"),
        ("a.txt", "A.TXT", "collides with 'a.txt'"),
        ("é.txt", "e\u0301.txt", "collides"),
        ("straße", "STRASSE", "collides"),
        ("a", "a/b", "is a file and a folder"),
        ("a/b", "a", "is a file and a folder"),
        ("a/b", "A/c", "the folder name 'A' collides with 'a'"),
        ("a/b", "A", "is a file and a folder"),
    ],
)
def test_names_that_collide_somewhere_are_refused(first: str, second: str, reason: str) -> None:
    names = Names()
    names.add(first)
    with pytest.raises(SubmissionError, match=reason):
        names.add(second)


def test_folders_take_part() -> None:
    names = Names()
    names.add_folder("a/b")
    names.add_folder("a/b")
    names.add("a/b/c")
    with pytest.raises(SubmissionError, match="a file and a folder"):
        names.add("a/b")


def test_a_shown_name_is_one_printable_line() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) < 90
    assert shown("<b>") == "'<b>'"
