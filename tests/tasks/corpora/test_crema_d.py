from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import crema_d as module
from audiometry.tasks.corpora.crema_d import crema_d

NAMES = ["1001_DFA_ANG_XX", "1001_IEO_HAP_HI", "1002_TIE_NEU_XX", "1040_ITH_SAD_X"]
DEMOGRAPHICS = """ActorID,Age,Sex,Race,Ethnicity
1001,51,Male,Caucasian,Not Hispanic
1002,21,Female,African American,
1040,,Female,Asian,Hispanic
"""
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 73246\n".format("0" * 64)


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"all": 4}))
    root = tmp_path / "CREMA-D"
    (root / "AudioWAV").mkdir(parents=True)
    (root / "VideoDemographics.csv").write_text(DEMOGRAPHICS)
    for number, name in enumerate(NAMES):
        (root / "AudioWAV" / f"{name}.wav").write_bytes(tone(0.1 * (number + 1)))
    return root


def test_names_and_demographics_come_together(folder):
    corpus = crema_d(path=str(folder.parent))
    assert [(row.id, row.emotion, row.intensity, row.actor, row.gender) for row in corpus.rows()] == [
        ("1001_DFA_ANG_XX", "angry", "unspecified", "1001", "male"),
        ("1001_IEO_HAP_HI", "happy", "high", "1001", "male"),
        ("1002_TIE_NEU_XX", "neutral", "unspecified", "1002", "female"),
        ("1040_ITH_SAD_X", "sad", "unspecified", "1040", "female"),
    ]
    assert corpus.rows()[1].text == "It's eleven o'clock."
    assert corpus.rows()[0].slices == {
        "emotion": "angry", "intensity": "unspecified", "gender": "male", "age": "50s", "race": "Caucasian",
        "ethnicity": "Not Hispanic",
    }  # fmt: skip
    assert "ethnicity" not in corpus.rows()[2].slices
    assert "age" not in corpus.rows()[3].slices
    assert read(corpus.rows()[1].audio).seconds == pytest.approx(0.2)
    assert corpus.describe()["utterances"] == "4"


def test_a_clone_without_lfs_is_told_with_counts(folder):
    for name in NAMES[1:3]:
        (folder / "AudioWAV" / f"{name}.wav").write_text(POINTER)
    with pytest.raises(DataError, match="2 of 4 recordings are pointers of Git LFS without sound, first 1001_IEO"):
        crema_d(path=str(folder), partial=True).rows()


def test_a_half_copied_corpus_is_told_by_its_count(folder):
    (folder / "AudioWAV" / f"{NAMES[0]}.wav").unlink()
    with pytest.raises(DataError, match="3 utterances found, 4 expected"):
        crema_d(path=str(folder)).rows()
    assert len(crema_d(path=str(folder), partial=True).rows()) == 3


def test_actors_and_names_that_are_not_known_are_counted(folder, tone):
    (folder / "VideoDemographics.csv").write_text(DEMOGRAPHICS.replace("1002", "1003"))
    (folder / "AudioWAV" / "1001_XYZ_ANG_XX.wav").write_bytes(tone(0.1))
    with pytest.raises(DataError, match="2 of 5 recordings without transcript or label, first 1001_XYZ_ANG_XX"):
        crema_d(path=str(folder)).rows()


def test_demographics_that_are_not_there_are_named(folder):
    (folder / "VideoDemographics.csv").unlink()
    with pytest.raises(DataError, match=r"VideoDemographics\.csv: cannot be read: No such file"):
        crema_d(path=str(folder)).rows()
    (folder / "VideoDemographics.csv").write_text("ActorID,Age\n1001,51\n")
    with pytest.raises(DataError, match="has no column 'Sex' and no column 'Race'"):
        crema_d(path=str(folder)).rows()


def test_another_corpus_is_named(tmp_path):
    (tmp_path / "Actor_01").mkdir()
    with pytest.raises(DataError, match=r"does not hold CREMA-D: it holds 1 entries \(Actor_01\)"):
        crema_d(path=str(tmp_path)).rows()
