from dataclasses import replace

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora.librispeech import CHECKSUMS, LAYOUT, librispeech
from audiometry.tasks.corpora.utterance import SpeechCorpus, load_corpus

TEXTS = {"61-70968": ["HE BEGAN A CONFUSED COMPLAINT", "GIVE NOT SO EARNEST A MIND"], "121-121726": ["ALSO A POPULAR"]}


@pytest.fixture
def folder(tmp_path, write_sound):
    root = tmp_path / "LibriSpeech"
    for chapter, texts in TEXTS.items():
        place = root / "test-clean" / chapter.replace("-", "/")
        for number in range(len(texts)):
            write_sound(place / f"{chapter}-{number:04d}.flac", 0.5 + number)
        lines = [f"{chapter}-{number:04d} {text}\n" for number, text in enumerate(texts)]
        (place / f"{chapter}.trans.txt").write_text("".join(lines))
    (root / "SPEAKERS.TXT").write_text(
        ";ID |SEX| ...\n61   | M | test-clean | 8.1 | A\n121  | F | test-clean | 8.0 | B\n"
    )
    return root


def test_a_tiny_copy(folder):
    corpus = librispeech(path=str(folder), partial=True)
    assert isinstance(corpus, SpeechCorpus)
    rows = list(corpus.utterances())
    assert [row.id for row in rows] == [
        "librispeech/121-121726-0000", "librispeech/61-70968-0000", "librispeech/61-70968-0001",
    ]  # fmt: skip
    last = rows[-1]
    assert (last.text, last.speaker, last.gender, last.language) == (
        TEXTS["61-70968"][1],
        "librispeech-61",
        "male",
        "en",
    )
    assert last.slices == {"language": "en", "gender": "male", "speaker": "librispeech-61", "duration": "01-03 s"}
    assert last.audio.seconds == read(last.audio).seconds == 1.5
    assert corpus.name == "librispeech/test-clean"
    assert corpus.notes == ("part of librispeech/test-clean: 3 utterances found, 2,620 expected",)
    assert corpus.describe()["utterances"] == "3"
    assert corpus.describe()["prepared"] == "yes"


def test_the_folder_above_will_do_and_settings_are_converted(folder):
    corpus = CORPORA.create(Spec("librispeech", (("partial", "true"), ("path", str(folder.parent)))))
    assert len(corpus.rows()) == 3
    assert len(load_corpus("librispeech", path=str(folder), partial="true")) == 3


def test_a_whole_copy_needs_no_permission(folder):
    whole = replace(librispeech(path=str(folder)), layout=replace(LAYOUT, counts={"test-clean": 3}))
    assert whole.ready()
    assert whole.notes == ()


def test_a_copy_with_too_few(folder, refuses):
    message = refuses(librispeech(path=str(folder)), "3 utterances found, 2,620 expected", "partial=true")
    assert "https://www.openslr.org/12" in message


def test_missing_recordings(folder, refuses):
    (folder / "test-clean/61/70968/61-70968-0001.flac").unlink()
    (folder / "test-clean/121/121726/121-121726-0000.flac").write_bytes(b"")
    corpus = librispeech(path=str(folder))
    assert refuses(corpus, "2 of 3 recordings missing or empty, first 121-121726-0000")
    part = replace(corpus, partial=True)
    assert [row.text for row in part.utterances()] == [TEXTS["61-70968"][0]]
    assert "2 of 3 recordings missing or empty" in part.notes[0]


def test_missing_transcripts(folder, refuses):
    (folder / "test-clean/121/121726/121-121726.trans.txt").unlink()
    assert refuses(
        librispeech(path=str(folder)), "1 of 3 recordings without transcript or label, first 121-121726-0000"
    )
    (folder / "test-clean/61/70968/61-70968.trans.txt").write_text("61-70968-0000\n")
    assert refuses(librispeech(path=str(folder)), "'61-70968-0000' has no text")


def test_another_split_and_another_corpus(folder, tmp_path, refuses):
    assert refuses(librispeech(path=str(folder), split="dev-other"), "not its split 'dev-other'; there is: test-clean")
    other = tmp_path / "other"
    (other / "songs").mkdir(parents=True)
    assert refuses(librispeech(path=str(other)), "does not hold LibriSpeech: it holds 1 entries (songs)")
    assert refuses(
        librispeech(path=str(other / "gone")), "no folder", "audiometry data prepare librispeech:split=test-clean"
    )
    with pytest.raises(SettingError, match=r"no split 'test-claen'; did you mean 'test-clean'\?"):
        librispeech(path=str(folder), split="test-claen")


def test_without_the_list_of_speakers(folder):
    (folder / "SPEAKERS.TXT").unlink()
    rows = librispeech(path=str(folder), partial=True).rows()
    assert {row.gender for row in rows} == {""}
    assert "gender" not in rows[0].slices


def test_every_split_has_a_count_and_a_checksum():
    assert set(LAYOUT.splits) == set(LAYOUT.counts) == set(CHECKSUMS)
    assert sum(LAYOUT.counts.values()) == 292_367
    (source,) = librispeech(split="dev-clean").sources
    assert source.url == "https://www.openslr.org/resources/12/dev-clean.tar.gz"
    assert source.md5 == "42e2234ba48799c1f50f24a7926300a1"


def test_a_recording_that_cannot_be_read_has_no_length(folder):
    (folder / "test-clean/61/70968/61-70968-0000.flac").write_bytes(b"fLaC and nothing else")
    rows = list(librispeech(path=str(folder), partial=True).utterances())
    assert [row.audio.seconds for row in rows] == [0.5, None, 1.5]
    assert rows[1].slices["duration"] == "unknown"


def test_a_list_that_is_no_text(folder):
    (folder / "test-clean/61/70968/61-70968.trans.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not UTF-8; fetch it again"):
        librispeech(path=str(folder)).rows()
