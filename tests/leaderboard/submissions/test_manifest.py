"""The manifest: what it takes, and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.registry import parse_spec
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.manifest import FILE, Manifest, from_document, read_manifest, spec_of

WHOLE = """
name: Small but mine
adapter: whisper
settings: {model: ./ckpt, beam: 5, language: en}
licence: Apache-2.0
training_data: [LibriSpeech, Common Voice 17]
contact: me@example.org
suite: asr
"""


def write(folder: Path, text: str) -> Path:
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_manifest_is_read_and_goes_through_its_document(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, WHOLE))
    assert manifest == Manifest(
        "Small but mine", "whisper", {"model": "./ckpt", "beam": 5, "language": "en"}, "Apache-2.0",
        ("LibriSpeech", "Common Voice 17"), "me@example.org", "asr",
    )  # fmt: skip
    assert from_document(manifest.as_document() | {"warnings": ["x"]}) == manifest
    assert read_manifest(tmp_path / FILE) == manifest


def test_suite_and_settings_have_defaults(tmp_path: Path) -> None:
    text = "name: a\nadapter: pocketsphinx\nlicence: MIT\ntraining_data: []\ncontact: b\n"
    manifest = read_manifest(write(tmp_path, text))
    assert manifest.suite == "core"
    assert manifest.settings == {}
    assert spec_of(manifest, tmp_path) == "pocketsphinx"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a" * 10_000, "模型 ☃ نموذج", "a: b # c"])
def test_a_name_may_be_any_text(tmp_path: Path, name: str) -> None:
    document = {"name": name, "adapter": "a", "licence": "b", "training_data": [], "contact": "c"}
    assert from_document(document).name == name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("name: Small but mine", "name: no"), "name must be text, not true or false"),
        (("name: Small but mine", "name: 2024-01-01"), "name must be text, not a date"),
        (("name: Small but mine", "name: 12"), "name must be text, not a number"),
        (("name: Small but mine", "name:"), "name must be text, not nothing"),
        (("name: Small but mine", "name: ''"), "name is empty"),
        (("name: Small but mine", "name: ' a'"), "white space at an end"),
        (("name: Small but mine", f"name: {'a' * 10_001}"), "name has 10001 characters; 10000 is the most"),
        (("name: Small but mine", 'name: "a\\nb"'), "name holds a line break or another control character"),
        (("name: Small but mine", 'name: "a\\x1b[2Jb"'), "control character"),
        (("name: Small but mine", 'name: "a\\u202Eb"'), "control character"),
        (("name: Small but mine", 'name: "a\\u200Bb"'), "name holds an invisible or unassigned character"),
        (("name: Small but mine", 'name: "a\\uFEFFb"'), "name holds an invisible or unassigned character"),
        (("name: Small but mine", 'name: "a\\U000E0041"'), "name holds an invisible or unassigned character"),
        (("name: Small but mine", 'name: "a\\u0378"'), "name holds an invisible or unassigned character"),
        (("name: Small but mine", 'name: "\\u3164"'), "name holds an invisible or unassigned character"),
        (("name: Small but mine\n", ""), "lacks name"),
        (("licence:", "license:"), "did you mean 'licence'"),
        (("name: Small but mine", "name: a\nname: b"), "the key 'name' stands there twice"),
        (("{model: ./ckpt, beam: 5, language: en}", "{beam: 1, beam: 2}"), "the key 'beam' stands there twice"),
        (("{model: ./ckpt, beam: 5, language: en}", "[1]"), "settings must be a mapping"),
        (("{model: ./ckpt, beam: 5, language: en}", "{beam: [1]}"), "setting 'beam' must be text"),
        (("{model: ./ckpt, beam: 5, language: en}", "{beam: .nan}"), "setting 'beam' must be text, a finite number"),
        (("{model: ./ckpt, beam: 5, language: en}", "{beam: 99999999999999999999}"), "too large a number"),
        (("{model: ./ckpt, beam: 5, language: en}", "{'a b': 1}"), "is not the name of a setting"),
        (("{model: ./ckpt, beam: 5, language: en}", "{1: 1}"), "is not the name of a setting"),
        (("{model: ./ckpt, beam: 5, language: en}", f"{{model: {'a' * 2_001}}}"), "has 2001 characters"),
        (("[LibriSpeech, Common Voice 17]", "LibriSpeech"), "training_data must be a list"),
        (("[LibriSpeech, Common Voice 17]", "[1]"), "a name in training_data must be text"),
        (("[LibriSpeech, Common Voice 17]", f"[{', '.join(['a'] * 201)}]"), "200 names of corpora at most"),
        (("me@example.org", "&x me@example.org\nsuite2: *x"), "an alias"),
        (("me@example.org", "!!python/object/apply:os.system ['true']"), "is not plain YAML"),
        (("me@example.org", "[" * 1500), "is not plain YAML"),
        (
            ("{model: ./ckpt, beam: 5, language: en}", "{" + "".join(f"a{i}: 1, " for i in range(99)) + "}"),
            "of 50 names",
        ),
        (("name: Small but mine", "? [a]\n: b"), "is not plain YAML"),
        (("adapter: whisper", f"adapter: {'9' * 5000}"), "is not plain YAML"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tmp_path: Path, change: tuple[str, str], reason: str) -> None:
    assert change[0] in WHOLE
    with pytest.raises(SubmissionError) as error:
        read_manifest(write(tmp_path, WHOLE.replace(*change)))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("text", ["", "- a\n", "text", "42"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SubmissionError, match="holds no mapping"):
        read_manifest(write(tmp_path, text))


def test_a_manifest_that_is_missing_a_link_too_large_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=f"there is no {re.escape(FILE)}"):
        read_manifest(tmp_path)
    write(tmp_path, WHOLE + "#" * 2**16)
    with pytest.raises(SubmissionError, match="larger than 64 KiB"):
        read_manifest(tmp_path)
    (tmp_path / FILE).write_bytes(b"name: \xff")
    with pytest.raises(SubmissionError, match="not UTF-8"):
        read_manifest(tmp_path)
    (tmp_path / FILE).rename(tmp_path / "elsewhere")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SubmissionError, match=f"there is no {re.escape(FILE)}"):
        read_manifest(tmp_path)


def a_manifest(**settings: str | float | bool) -> Manifest:
    return Manifest("n", "whisper", settings, "MIT", (), "c")


def test_a_spec_has_paths_inside_the_folder_and_is_read_back(tmp_path: Path) -> None:
    spec = parse_spec(spec_of(a_manifest(model="./", beam=2, quiet=True, share=0.5), tmp_path))
    assert dict(spec.settings) == {"model": str(tmp_path), "beam": "2", "quiet": "true", "share": "0.5"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("./../../etc", "leaves the folder"),
        ("./a/..", "leaves the folder"),
        ("./a,threads=99", "no comma"),
        ("a,model=/etc", "no comma"),
        (" ./a", "no white space"),
    ],
)
def test_a_setting_cannot_leave_the_folder_or_add_another(tmp_path: Path, value: str, reason: str) -> None:
    with pytest.raises(SubmissionError, match=reason):
        spec_of(a_manifest(model=value), tmp_path)


@given(st.text(max_size=40))
def test_whatever_a_setting_says_it_stays_that_setting(value: str) -> None:
    folder = Path("/srv/submission")
    try:
        spec = parse_spec(spec_of(a_manifest(model=value), folder))
    except SubmissionError:
        return
    assert list(dict(spec.settings)) == ["model"]
    given_back = dict(spec.settings)["model"]
    assert given_back == (str(folder / value) if value.startswith("./") else value)
    assert ".." not in given_back.split("/") or not value.startswith("./")


@given(st.text(max_size=200))
def test_any_text_is_a_manifest_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("m")
    (folder / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SubmissionError):
        read_manifest(folder)
