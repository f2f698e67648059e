import pytest

from audiometry.benchmark.audio import read
from audiometry.tasks.corpora.tedlium import tedlium
from audiometry.tasks.corpora.utterance import SpeechCorpus

STM = """;; a remark
AimeeMullins_2009P 1 AimeeMullins 0.00 0.50 <o,f0,male> ignore_time_segment_in_scoring
AimeeMullins_2009P 1 AimeeMullins 0.50 1.25 <o,f0,female> i 'd like to <unk> share {NOISE} what we do n't know
AimeeMullins_2009P 1 AimeeMullins 1.25 2.00 <o,f0,female> and so it 's
AimeeMullins_2009P 1 AimeeMullins 2.00 2.10 <o,f0,female>
"""


@pytest.fixture
def folder(tmp_path, write_sound):
    place = tmp_path / "TEDLIUM_release-3" / "legacy" / "test"
    write_sound(place / "sph" / "AimeeMullins_2009P.sph", 2.5)
    (place / "stm").mkdir()
    (place / "stm" / "AimeeMullins_2009P.stm").write_text(STM)
    return tmp_path


def test_a_tiny_copy(folder):
    corpus = tedlium(path=str(folder), partial=True)
    assert isinstance(corpus, SpeechCorpus)
    first, second = corpus.utterances()
    assert (first.text, second.text) == ("i'd like to share what we don't know", "and so it's")
    assert (first.id, first.speaker) == ("tedlium/AimeeMullins_2009P/0000050-0000125", "tedlium-AimeeMullins")
    assert (first.audio.start, first.audio.end, first.audio.seconds) == (0.5, 1.25, 0.75)
    assert read(first.audio).seconds == 0.75
    assert first.slices["duration"] == "00-01 s"
    assert corpus.notes == ("part of tedlium/test: 2 utterances found, 1,155 expected",)
    assert corpus.describe()["excluded"] == "1 not to be scored, 1 without words"


def test_lists_and_recordings_in_one_folder(folder):
    place = folder / "TEDLIUM_release-3/legacy/test"
    for part in ("sph", "stm"):
        (place / part / f"AimeeMullins_2009P.{part}").rename(place / f"AimeeMullins_2009P.{part}")
        (place / part).rmdir()
    assert len(tedlium(path=str(folder), partial=True).rows()) == 2


def test_what_is_not_whole(folder, refuses, write_sound):
    corpus = tedlium(path=str(folder))
    assert refuses(corpus, "2 utterances found, 1,155 expected")
    place = folder / "TEDLIUM_release-3/legacy/test"
    write_sound(place / "sph" / "BillGates_2010.sph")
    assert refuses(corpus, "1 of 3 recordings without transcript or label, first BillGates_2010")
    (place / "sph" / "AimeeMullins_2009P.sph").unlink()
    assert refuses(corpus, "2 of 3 recordings missing or empty, first AimeeMullins_2009P")


@pytest.mark.parametrize("line", ["Talk 1 Ann x 2.0 words", "Talk 1 Ann 2.0 2.0 words", "Talk 1 Ann"])
def test_a_list_of_another_form(folder, refuses, line):
    (folder / "TEDLIUM_release-3/legacy/test/stm/AimeeMullins_2009P.stm").write_text(f"{line}\n")
    assert refuses(
        tedlium(path=str(folder)), "AimeeMullins_2009P.stm, line 1: is not talk, channel, speaker, start, end"
    )


def test_what_is_not_there(folder, refuses):
    assert refuses(tedlium(path=str(folder), split="dev"), "not its split 'dev'; there is: test")
    assert refuses(
        tedlium(path=str(folder / "TEDLIUM_release-3/legacy/test")), "does not hold TED-LIUM 3: it holds 2 entries"
    )


def test_what_is_fetched():
    assert tedlium().sources[0].patterns == ("TEDLIUM_release3/legacy/test.tar.gz",)
    assert tedlium(split="train").sources[0].url.endswith("/51/TEDLIUM_release-3.tgz")
