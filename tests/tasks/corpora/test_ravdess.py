from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import ravdess as module
from audiometry.tasks.corpora.ravdess import parse_name, ravdess

SPEECH = ["03-01-01-01-01-01-01", "03-01-05-02-02-02-01", "03-01-08-01-01-01-24"]
SONG = ["03-02-04-02-02-01-24"]


@pytest.fixture
def folder(tmp_path, tone, monkeypatch):
    monkeypatch.setattr(module, "LAYOUT", replace(module.LAYOUT, counts={"speech": 3, "song": 1}))
    for number, name in enumerate([*SPEECH, *SONG]):
        path = tmp_path / f"Actor_{name[-2:]}" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tone(0.1 * (number + 1)))
    return tmp_path


def test_the_name_tells_everything(folder):
    corpus = ravdess(path=str(folder))
    rows = {row.id: row for row in corpus.rows()}
    assert sorted(rows) == SPEECH
    second = rows["03-01-05-02-02-02-01"]
    assert (second.emotion, second.intensity, second.text, second.actor, second.gender) == (
        "angry", "strong", "Dogs are sitting by the door.", "01", "male",
    )  # fmt: skip
    assert second.slices == {
        "emotion": "angry", "intensity": "strong", "gender": "male", "actor": "01", "repetition": "02",
    }  # fmt: skip
    assert (rows[SPEECH[2]].emotion, rows[SPEECH[2]].gender) == ("surprised", "female")
    assert read(second.audio).seconds == pytest.approx(0.2)
    assert corpus.describe()["utterances"] == "3"


def test_song_is_a_split(folder):
    (row,) = ravdess(path=str(folder), split="song").rows()
    assert (row.id, row.emotion) == (SONG[0], "sad")
    assert [source.url.rpartition("/")[2] for source in ravdess(split="song").sources] == [
        "Audio_Song_Actors_01-24.zip"
    ]


def test_both_archives_may_lie_in_folders_of_their_names(folder):
    for name in ("Audio_Speech_Actors_01-24", "Audio_Song_Actors_01-24"):
        (folder / name).mkdir()
    (folder / "Actor_01").rename(folder / "Audio_Speech_Actors_01-24" / "Actor_01")
    (folder / "Actor_24").rename(folder / "Audio_Song_Actors_01-24" / "Actor_24")
    assert len(ravdess(path=str(folder)).rows()) == 3


def test_a_half_copied_corpus_is_told_by_its_count(folder):
    (folder / "Actor_24" / f"{SPEECH[2]}.wav").write_bytes(b"")
    with pytest.raises(DataError, match="2 utterances found, 3 expected; set partial=true"):
        ravdess(path=str(folder)).rows()
    assert len(ravdess(path=str(folder), partial=True).rows()) == 2


@pytest.mark.parametrize("name", ["01-01-01-01-01-01-01", "03-01-09-01-01-01-01", "03-01-01-01-01-01-25", "speech"])
def test_a_name_that_tells_nothing_is_counted(folder, name, tone):
    assert parse_name(name) is None
    (folder / "Actor_01" / f"{name}.wav").write_bytes(tone(0.1))
    with pytest.raises(DataError, match=f"1 of 4 recordings without transcript or label, first {name}"):
        ravdess(path=str(folder)).rows()


def test_another_corpus_is_named(tmp_path):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "esc50.csv").touch()
    with pytest.raises(DataError, match=r"does not hold RAVDESS: it holds 1 entries \(meta\)"):
        ravdess(path=str(tmp_path)).rows()
