"""The task `wer` and the command line on public corpora."""

import doctest
import importlib
import json

import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import CORPORA, TASKS, parse_spec
from audiometry.tasks.corpora.layout import LAYOUTS, SpeechFolder

SPEECH = (
    "common-voice", "fleurs", "gigaspeech", "librispeech", "multilingual-librispeech", "tedlium", "vctk", "voxpopuli",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, write_sound):
    place = tmp_path / "LibriSpeech" / "test-other" / "1" / "2"
    write_sound(place / "1-2-0000.flac")
    (place / "1-2.trans.txt").write_text("1-2-0000 HELLO WORLD\n")
    return place.parents[2]


@pytest.mark.parametrize("name", ["fleurs", "gigaspeech", "tedlium", "transcripts"])
def test_the_examples_run(name):
    found = doctest.testmod(importlib.import_module(f"audiometry.tasks.corpora.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", SPEECH)
def test_every_reader_is_registered_as_it_is_described(name):
    corpus = CORPORA.create(parse_spec(f"{name}:path=/nowhere/at/all"))
    assert isinstance(corpus, SpeechFolder)
    assert corpus.layout is LAYOUTS[name]
    assert CORPORA.get(name).facts["licence"] == corpus.licence
    assert not corpus.ready()
    task = TASKS.create(parse_spec(f"wer:corpus={name},path=/nowhere/at/all"))
    assert task.name == f"wer-{corpus.name.replace('/', '-')}"
    assert task.settings["corpus"] == corpus.name


def test_wer_on_a_split(folder):
    task = TASKS.create(parse_spec(f"wer:corpus=librispeech,path={folder},split=test-other,partial=true"))
    (sample,) = task.samples()
    assert (task.name, sample.target, sample.cluster) == ("wer-librispeech-test-other", "HELLO WORLD", "librispeech-1")
    assert task.notes == ("part of librispeech/test-other: 1 utterances found, 2,939 expected",)
    assert task.settings["normaliser"] == "whisper-english-1"
    named = TASKS.create(parse_spec(f"wer:corpus=librispeech,path={folder},name=mine"))
    assert named.name == "mine"


def test_settings_that_a_corpus_does_not_take():
    with pytest.raises(SettingError, match="corpus 'librispeech' takes no setting 'language'"):
        TASKS.create(parse_spec("wer:corpus=librispeech,language=de"))


def test_the_command_line_lists_and_prepares(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))
    spec = "librispeech:split=test-other"
    assert cli.main(["data", "prepare", spec, "--source", str(folder)]) == 2
    assert "1 utterances found, 2,939 expected" in capsys.readouterr().err
    assert cli.main(["data", "prepare", f"{spec},partial=true", "--source", str(folder)]) == 0
    place = tmp_path / "home" / "corpora" / "librispeech"
    assert f"librispeech/test-other: 1 utterances, in {place}" in capsys.readouterr().err
    assert place.resolve() == folder
    assert cli.main(["ls", "corpora", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    for name in SPEECH:
        assert listed[name]["ready"] is False
        assert listed[name]["where"] == listed[name]["get"]
        assert "https://" in listed[name]["where"]
    assert listed["librispeech"]["folder"] == str(place)
    assert listed["datasets"]["ready"] is None
    assert listed["common-voice"]["language"] == "over 100"
    assert listed["asterisk-en"]["where"] == "run: audiometry data prepare asterisk-en"
