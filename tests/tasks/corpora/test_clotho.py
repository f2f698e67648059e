import csv
from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import clotho as module
from audiometry.tasks.corpora.clotho import clotho

HEADER = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
FILES = ["Rain, heavy.wav", "bells.WAV.wav", "steps.wav"]


def write_captions(path, rows):
    with path.open("w", newline="", encoding="utf-8") as out:
        csv.writer(out).writerows([HEADER, *rows])


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"evaluation": 3, "development": 3}))
    for split, place in {"evaluation": "evaluation", "development": "clotho_audio_development/development"}.items():
        (tmp_path / place).mkdir(parents=True)
        for number, name in enumerate(FILES):
            (tmp_path / place / name).write_bytes(tone(0.1 * (number + 1)))
        rows = [[name, *(f"Sound {number}, so café {name}." for number in range(5))] for name in FILES]
        write_captions(tmp_path / f"clotho_captions_{split}.csv", rows)
    return tmp_path


@pytest.mark.parametrize("split", ["evaluation", "development"])
def test_each_clip_has_five_references(folder, split):
    corpus = clotho(path=str(folder), split=split)
    assert [row.id for row in corpus.rows()] == ["Rain, heavy", "bells.WAV", "steps"]
    assert [len(row.references) for row in corpus.rows()] == [5, 5, 5]
    assert corpus.rows()[0].references[4] == "Sound 4, so café Rain, heavy.wav."
    assert read(corpus.rows()[2].audio).seconds == pytest.approx(0.3)
    assert corpus.describe()["clips"] == "3"


def test_missing_recordings_and_captions_are_counted(folder, tone):
    rows = [[name, *(["x"] * 5)] for name in FILES]
    write_captions(folder / "clotho_captions_evaluation.csv", [rows[0], [*rows[1][:-1], " "], rows[2]])
    (folder / "evaluation" / "steps.wav").unlink()
    (folder / "evaluation" / "new.wav").write_bytes(tone(0.1))
    with pytest.raises(DataError) as caught:
        clotho(path=str(folder)).rows()
    assert "4 clips found, 3 expected" in str(caught.value)
    assert "1 of 4 recordings missing or empty, first steps" in str(caught.value)
    assert "2 of 4 recordings without transcript or label, first bells.WAV" in str(caught.value)
    part = clotho(path=str(folder), partial=True)
    assert [row.id for row in part.rows()] == ["Rain, heavy"]
    assert "2 of 4 recordings without" in part.notes[-1]


def test_version_1_is_told_by_its_count(folder, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"development": 3_839}))
    with pytest.raises(DataError, match=r"3 clips found, 3,839 expected; .* \(version 2.1\)"):
        clotho(path=str(folder), split="development").rows()


def test_a_table_of_another_form_is_refused(folder):
    (folder / "clotho_captions_evaluation.csv").write_text("file_name,caption_1\na.wav,x\n")
    with pytest.raises(DataError, match="has no column 'caption_2' and no column 'caption_3'"):
        clotho(path=str(folder)).rows()
    write_captions(folder / "clotho_captions_evaluation.csv", [["a.wav", *"vwxyz"]] * 2)
    with pytest.raises(DataError, match=r"1 entries come more than once, first a\.wav"):
        clotho(path=str(folder)).rows()


def test_a_split_or_corpus_that_is_not_there_is_told(folder, tmp_path_factory):
    with pytest.raises(DataError, match="but not its split 'validation'; there is: evaluation, development"):
        clotho(path=str(folder), split="validation").rows()
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(DataError, match="does not hold Clotho: it is empty"):
        clotho(path=str(empty)).rows()
