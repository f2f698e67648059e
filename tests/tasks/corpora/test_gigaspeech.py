import json

import pytest

from audiometry.benchmark.audio import read
from audiometry.tasks.corpora import gigaspeech as module
from audiometry.tasks.corpora.gigaspeech import gigaspeech
from audiometry.tasks.corpora.utterance import SpeechCorpus


def segment(number, text, begin, end, *, subsets=("{TEST}",), speaker="N/A"):
    return {
        "sid": f"POD1_S{number:07d}", "speaker": speaker, "begin_time": begin, "end_time": end, "text_tn": text,
        "subsets": list(subsets),
    }  # fmt: skip


SEGMENTS = [
    segment(1, "WELL <COMMA> HELLO <PERIOD>", 0.5, 1.25),
    segment(2, "<MUSIC>", 1.25, 1.5),
    segment(3, "SO WHAT <QUESTIONMARK>", 1.5, 2.0, speaker="ann"),
    segment(4, "NOT MINE", 1.5, 2.0, subsets=["{XL}"]),
]


def write_json(folder, audios):
    listed = {"dataset": "GigaSpeech", "language": "EN", "audios": audios, "version": "v1"}
    (folder / "GigaSpeech.json").write_text(json.dumps(listed, indent=1))


@pytest.fixture
def official(tmp_path, write_sound):
    write_sound(tmp_path / "audio/podcast/P0/POD1.opus", 2.5, rate=16_000)
    common = {"path": "audio/podcast/P0/POD1.opus", "source": "podcast", "aid": "POD1"}
    other = {
        "path": "audio/podcast/P0/POD2.opus",
        "source": "podcast",
        "aid": "POD2",
        "subsets": ["{XL}"],
        "segments": [],
    }
    write_json(tmp_path, [common | {"subsets": ["{TEST}"], "segments": SEGMENTS}, other])
    return tmp_path


@pytest.fixture
def hub(tmp_path, write_sound):
    table = tmp_path / "data/metadata/test_metadata/test_chunks_0000_metadata.csv"
    table.parent.mkdir(parents=True)
    rows = ["sid,speaker,begin_time,end_time,text_tn,source"]
    rows += [
        f"{one['sid']},{one['speaker']},{one['begin_time']},{one['end_time']},{one['text_tn']},1"
        for one in SEGMENTS[:3]
    ]
    table.write_text("\n".join(rows) + "\n")
    for number, seconds in ((1, 0.75), (3, 0.5)):
        write_sound(tmp_path / f"data/audio/test_files/test_chunks_0000/POD1_S{number:07d}.wav", seconds)
    return tmp_path


@pytest.mark.parametrize("layout", ["official", "hub"])
def test_a_tiny_copy(request, layout):
    corpus = gigaspeech(path=str(request.getfixturevalue(layout)), partial=True)
    assert isinstance(corpus, SpeechCorpus)
    first, second = corpus.utterances()
    assert (first.id, first.text, first.speaker) == ("gigaspeech/POD1_S0000001", "WELL, HELLO.", "gigaspeech-POD1")
    assert (second.text, second.speaker) == ("SO WHAT?", "gigaspeech-ann")
    assert first.slices == {"language": "en", "source": "podcast", "duration": "00-01 s"}
    assert first.audio.seconds == 0.75
    assert read(first.audio).seconds == pytest.approx(0.75, abs=0.001)
    assert corpus.describe()["excluded"] == "1 music"
    assert corpus.notes == ("part of gigaspeech/test: 3 utterances found, 25,619 expected",)


def test_the_official_list_is_read_in_pieces(official, monkeypatch):
    whole = gigaspeech(path=str(official), partial=True).rows()
    monkeypatch.setattr(module, "CHUNK", 7)
    assert gigaspeech(path=str(official), partial=True).rows() == whole


def test_what_is_not_whole(official, refuses):
    corpus = gigaspeech(path=str(official))
    assert refuses(corpus, "3 utterances found, 25,619 expected")
    (official / "audio/podcast/P0/POD1.opus").unlink()
    assert refuses(corpus, "2 of 3 recordings missing or empty, first POD1_S0000001")


def test_a_hub_copy_that_is_not_whole(hub, refuses):
    (hub / "data/audio/test_files/test_chunks_0000/POD1_S0000001.wav").unlink()
    table = hub / "data/metadata/test_metadata/test_chunks_0000_metadata.csv"
    table.write_text(table.read_text() + "POD1_S0000009,N/A,1.0,2.0,,1\n")
    assert refuses(
        gigaspeech(path=str(hub)),
        "1 of 4 recordings missing or empty, first POD1_S0000001",
        "1 of 4 recordings without transcript or label, first POD1_S0000009",
    )
    table.write_text(table.read_text() + "POD1_S0000010,N/A,soon,2.0,HELLO,1\n")
    assert refuses(gigaspeech(path=str(hub)), "'soon' is not a time in seconds")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", 'has no list "audios"'),
        ('{"audios": [{"subsets": ["{TEST}"]}]}', "is not as published"),
        ('{"audios": [{"subsets": ["{TE', "is cut off or damaged"),
        ('{"audios": []}', "0 utterances found, 25,619 expected"),
    ],
)
def test_a_damaged_list(official, refuses, text, message):
    (official / "GigaSpeech.json").write_text(text)
    assert refuses(gigaspeech(path=str(official), partial=True), message)


def test_a_list_that_is_no_text(official, refuses):
    (official / "GigaSpeech.json").write_bytes(b"\xff\xff")
    assert refuses(gigaspeech(path=str(official)), "GigaSpeech.json: cannot be read")


def test_a_training_set_is_the_smaller_one_and_more(hub, refuses, write_sound):
    table = (hub / "data/metadata/test_metadata/test_chunks_0000_metadata.csv").read_text()
    corpus = gigaspeech(path=str(hub), split="s")
    assert corpus.sources[0].patterns == (
        "data/metadata/xs_metadata/*", "data/audio/xs_files/*", "data/metadata/s_metadata_additional/*",
        "data/audio/s_files_additional/*",
    )  # fmt: skip
    more = hub / "data/metadata/s_metadata_additional/s_chunks_0000_metadata.csv"
    more.parent.mkdir()
    more.write_text(table.replace("POD1", "POD2"))
    assert refuses(corpus, "1 of 2 parts of 's' are missing, first data/metadata/xs_metadata")
    first = hub / "data/metadata/xs_metadata/xs_chunks_0000_metadata.csv"
    first.parent.mkdir()
    first.write_text(table)
    for place, name in (("xs_files", "POD1"), ("s_files_additional", "POD2")):
        for number in (1, 3):
            write_sound(hub / f"data/audio/{place}/chunks/{name}_S{number:07d}.wav")
    assert [row.id for row in corpus.rows()] == [f"gigaspeech/POD{pod}_S000000{n}" for pod in (1, 2) for n in (1, 3)]


def test_what_is_not_there(hub, tmp_path, refuses):
    assert refuses(gigaspeech(path=str(hub), split="dev"), "not its split 'dev'; there is: test")
    (tmp_path / "empty").mkdir()
    assert refuses(gigaspeech(path=str(tmp_path / "empty")), "does not hold GigaSpeech: it is empty")
