"""Tasks hand `split` and `partial` on to the readers of public corpora, as `wer` does."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Task
from audiometry.tasks.row_corpora import named_after

TEXTS = ("I HAVE FOUR DOGS", "TWO OF THEM BARK", "COME ON MONDAY")
SPEECH_TASKS: Mapping[str, Mapping[str, str]] = {
    "formatting": {},
    "entities": {},
    "bias": {"by": "gender"},
    "wer-condition": {"condition": "gain/db=-3"},
}


def made(name: str, corpus: str, folder: Path, **more: str) -> Task:
    given = {"corpus": corpus, "path": str(folder), **more}
    return TASKS.create(Spec(name, tuple(sorted(given.items()))))


def sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(1600) / 5), 16_000)


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    """Three sentences of test-other, which has 2,939."""
    place = tmp_path / "test-other" / "61" / "70968"
    for number in range(len(TEXTS)):
        sound(place / f"61-70968-{number:04d}.flac")
    lines = [f"61-70968-{number:04d} {text}\n" for number, text in enumerate(TEXTS)]
    (place / "61-70968.trans.txt").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def clotho(tmp_path: Path) -> Path:
    """Two of the 1,045 clips of validation."""
    names = ("bells.wav", "steps.wav")
    for name in names:
        sound(tmp_path / "validation" / name)
    with (tmp_path / "clotho_captions_validation.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["file_name", *(f"caption_{number}" for number in range(1, 6))])
        rows.writerows([[name, *(f"Sound {number} of {name}." for number in range(5))] for name in names])
    return tmp_path


@pytest.fixture
def ravdess(tmp_path: Path) -> Path:
    """Two of the 1,012 songs."""
    for name in ("03-02-03-01-01-01-01", "03-02-04-01-01-01-01"):
        sound(tmp_path / "Actor_01" / f"{name}.wav")
    return tmp_path


@pytest.fixture
def esc50(tmp_path: Path) -> Path:
    """Two of the 400 clips of the second fold."""
    (tmp_path / "meta").mkdir()
    lines = ["filename,fold,target,category,esc10,src_file,take"]
    for name, target, category in (("2-1-A-0.wav", 0, "dog"), ("2-2-A-10.wav", 10, "rain")):
        lines.append(f"{name},2,{target},{category},True,{name[2]},A")
        sound(tmp_path / "audio" / name)
    (tmp_path / "meta" / "esc50.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("name", SPEECH_TASKS)
def test_speech_tasks_do_as_wer_does(name: str, librispeech: Path) -> None:
    own = SPEECH_TASKS[name]
    with pytest.raises(SettingError, match=r"no split 'test-othre'; did you mean 'test-other'\?"):
        made(name, "librispeech", librispeech, split="test-othre", **own)
    with pytest.raises(DataError, match="3 utterances found, 2,939 expected; set partial=true"):
        list(made(name, "librispeech", librispeech, split="test-other", **own).samples())
    task = made(name, "librispeech", librispeech, split="test-other", partial="true", **own)
    words = made("wer", "librispeech", librispeech, split="test-other", partial="true")
    assert words.notes == ("part of librispeech/test-other: 3 utterances found, 2,939 expected",)
    assert set(words.notes) <= set(task.notes)
    assert task.settings["corpus"].startswith(words.settings["corpus"])
    assert {one.id for one in task.samples()} <= {one.id for one in words.samples()}
    assert list(task.samples())


@pytest.mark.parametrize("name", [*SPEECH_TASKS, "wer"])
def test_a_corpus_without_splits_says_so(name: str) -> None:
    given = {"corpus": "synthetic-en", "split": "test", **SPEECH_TASKS.get(name, {})}
    with pytest.raises(SettingError, match="corpus 'synthetic-en' takes no setting 'split'"):
        TASKS.create(Spec(name, tuple(sorted(given.items()))))
    with pytest.raises(SettingError, match="setting 'partial': 'some' is not true or false"):
        made(name, "librispeech", Path("none"), partial="some", **SPEECH_TASKS.get(name, {}))


@pytest.mark.parametrize(
    ("name", "corpus", "split", "expected"),
    [
        ("captioning", "clotho", "validation", "2 clips found, 1,045 expected"),
        ("retrieval", "clotho", "validation", "2 clips found, 1,045 expected"),
        ("events", "esc50", "fold2", "2 clips found, 400 expected"),
        ("emotion", "ravdess", "song", "2 utterances found, 1,012 expected"),
    ],
)
def test_a_part_of_a_split(
    name: str, corpus: str, split: str, expected: str, request: pytest.FixtureRequest, measured: Callable[..., Any]
) -> None:
    folder = request.getfixturevalue(corpus)
    with pytest.raises(DataError, match=f"{expected}; set partial=true"):
        list(made(name, corpus, folder, split=split).samples())
    with pytest.raises(SettingError, match=f"corpus '{corpus}' has no split 'nosuch'"):
        list(made(name, corpus, folder, split="nosuch").samples())
    task = made(name, corpus, folder, split=split, partial="true")
    assert task.name == f"{name}-{corpus}-{split}"
    assert task.settings["corpus"] == f"{corpus}/{split}"
    assert f"part of {corpus}/{split}: {expected}" in task.notes
    if name != "retrieval":  # which has a control of its own
        assert measured(task, "oracle").values[task.metrics[0].name] > 0.9


def test_the_default_split_keeps_the_plain_name(clotho: Path) -> None:
    (clotho / "validation").rename(clotho / "evaluation")
    (clotho / "clotho_captions_validation.csv").rename(clotho / "clotho_captions_evaluation.csv")
    plain = made("captioning", "clotho", clotho, partial="true")
    named = made("captioning", "clotho", clotho, partial="true", split="evaluation")
    assert plain.name == named.name == "captioning-clotho"
    assert named_after("captioning", "mine", object()) == "captioning-mine"


def test_a_corpus_of_one_split_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="corpus 'crema-d' takes no setting 'split'"):
        made("emotion", "crema-d", tmp_path, split="all")


def test_two_splits_are_two_protocols(ravdess: Path) -> None:
    sound(ravdess / "Actor_01" / "03-01-03-01-01-01-01.wav")
    spoken = made("emotion", "ravdess", ravdess, partial="true")
    sung = made("emotion", "ravdess", ravdess, partial="true", split="song")
    assert (spoken.name, sung.name) == ("emotion-ravdess", "emotion-ravdess-song")
    assert spoken.settings["corpus"] != sung.settings["corpus"]
