from dataclasses import FrozenInstanceError

import pytest

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import LAYOUTS, CorpusFolder, Layout, Scan, SpeechFolder, with_lengths
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance

LAYOUT = Layout(
    name="made-up",
    title="Made Up",
    licence="CC0-1.0",
    citation="Nobody",
    homepage="https://host",
    signs=("{split}.list",),
    splits=("test", "train"),
    how="fetch it from https://host",
    counts={"test": 3},
    nested=("MadeUp-*",),
    unit="rows",
    notes=("made up",),
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AUDIOMETRY_CORPUS_MADE_UP", raising=False)
    yield
    LAYOUTS.pop("made-up", None)


def scan(root, split):
    rows = (root / f"{split}.list").read_text().split()
    return Scan(rows, len(rows) + 1, excluded={"too loud": 1})


def made_up(**settings):
    return CorpusFolder(LAYOUT, scan, **settings)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "MadeUp-1.0").mkdir()
    (tmp_path / "MadeUp-1.0" / "test.list").write_text("a b")
    return tmp_path / "MadeUp-1.0"


def test_what_is_told_of_a_whole_one(folder):
    corpus = made_up(path=str(folder))
    assert corpus.rows() == ["a", "b"]
    assert (corpus.name, corpus.licence, corpus.citation, corpus.notes) == (
        "made-up/test",
        "CC0-1.0",
        "Nobody",
        ("made up",),
    )
    facts = corpus.describe()
    assert (facts["rows"], facts["excluded"], facts["prepared"], facts["splits"]) == (
        "2",
        "1 too loud",
        "yes",
        "test, train",
    )
    assert facts["get"] == "fetch it from https://host, and name its folder with path=DIR or AUDIOMETRY_CORPUS_MADE_UP"
    assert not isinstance(corpus, SpeechCorpus)
    with pytest.raises(FrozenInstanceError):
        corpus.split = "train"


def test_where_it_is_looked_for(folder, tmp_path, monkeypatch):
    assert made_up().folder == tmp_path / "home" / "corpora" / "made-up"
    assert not made_up().ready()
    monkeypatch.setenv("AUDIOMETRY_CORPUS_MADE_UP", str(folder))
    assert made_up().ready()
    assert made_up(path="~/x").folder.is_absolute()
    assert not made_up(path=str(tmp_path / "x")).ready()


def test_splits():
    assert made_up().split == "test"
    with pytest.raises(
        SettingError, match=r"corpus 'made-up' has no split 'tran'; did you mean 'train'\? it has: test, "
    ):
        made_up(split="tran")


def test_a_folder_is_linked_to(folder, tmp_path):
    told = []
    made_up().prepare(str(folder), told.append)
    place = tmp_path / "home" / "corpora" / "made-up"
    assert place.resolve() == folder
    assert told == [f"made-up/test: 2 rows (left out: 1 too loud), in {place}"]
    made_up().prepare(str(folder.parent), told.append)
    assert place.resolve() == folder.parent
    with pytest.raises(DataError, match="does not hold Made Up"):
        made_up().prepare(str(tmp_path / "home"), told.append)
    assert made_up().ready()
    place.unlink()
    place.mkdir()
    with pytest.raises(DataError, match="is there already; remove it"):
        made_up().prepare(str(folder), told.append)


def test_a_link_that_cannot_be_made(folder, tmp_path):
    (tmp_path / "home").write_text("")
    with pytest.raises(DataError, match=r"cannot be linked to .*; use path="):
        made_up().prepare(str(folder), lambda _: None)


def test_what_cannot_be_fetched_is_told(tmp_path):
    with pytest.raises(DataError, match=r"is not there: no folder .*; fetch it from https://host, and name its folder"):
        made_up().prepare(None, lambda _: None)
    sources = (Archive("https://host/a.zip"),)
    with pytest.raises(DataError, match="run: audiometry data prepare made-up:split=test, or fetch it"):
        made_up(path=str(tmp_path / "x"), sources=sources).prepare(None, lambda _: None)


def test_a_whole_copy_is_prepared_already(folder):
    told = []
    made_up(path=str(folder), sources=(Archive("http://never/asked"),)).prepare(None, told.append)
    assert len(told) == 1


def test_more_than_official_is_wrong_too(folder, refuses):
    (folder / "test.list").write_text("a b c")
    assert refuses(made_up(path=str(folder)), "4 rows found, 3 expected")
    part = made_up(path=str(folder), partial=True)
    assert part.notes == ("made up", "part of made-up/test: 4 rows found, 3 expected")
    (folder / "train.list").write_text("x")
    assert made_up(path=str(folder), split="train").expected is None
    assert made_up(path=str(folder), split="train").ready()
    assert made_up(path=str(folder / "gone"), partial=True).notes == ("made up",)


def test_nothing_usable(folder, refuses):
    (folder / "train.list").write_text("")
    assert refuses(made_up(path=str(folder), split="train", partial=True), "none of 1 rows can be used")


def test_what_was_found_whole_is_remembered(folder):
    corpus = made_up(path=str(folder))
    assert corpus.ready()
    (folder / "test.list").write_text("")
    assert corpus.rows() == ["a", "b"]
    assert not made_up(path=str(folder)).ready()


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch, refuses):
    def fail(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", fail)
    assert refuses(made_up(path=str(tmp_path)), "does not hold Made Up: it cannot be read: Permission denied")


def test_lengths(tmp_path, write_sound):
    path = str(write_sound(tmp_path / "a.wav", 2.0))
    audios = [
        Audio(path), Audio(path, 0.5, 1.0), Audio(path, 1.5, 9.0), Audio(path, 5.0), Audio(path, seconds=7.0),
        Audio(str(tmp_path / "gone.wav")),
    ]  # fmt: skip
    (tmp_path / "test.list").write_text("")
    spoken = [Utterance(str(number), audio, "x", slices={"a": "b"}) for number, audio in enumerate(audios)]
    known = list(with_lengths(spoken))
    assert [one.audio.seconds for one in known] == [2.0, 0.5, 0.5, None, 7.0, None]
    assert known[4].slices == {"duration": "03-10 s", "a": "b"}
    corpus = SpeechFolder(LAYOUT, lambda *_: Scan(spoken, 3), path=str(tmp_path), partial=True)
    assert isinstance(corpus, SpeechCorpus)
    assert [one.audio.seconds for one in corpus.utterances()] == [2.0, 0.5, 0.5, None, 7.0, None]
    (tmp_path / "a.wav").unlink()
    assert [one.audio.seconds for one in corpus.utterances()] == [2.0, 0.5, 0.5, None, 7.0, None]
