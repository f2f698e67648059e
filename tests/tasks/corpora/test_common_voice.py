import pytest

from audiometry.benchmark.audio import read
from audiometry.tasks.corpora.common_voice import common_voice
from audiometry.tasks.corpora.utterance import SpeechCorpus

HEADER = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tvariant\tlocale\tsegment"
ROWS = [
    'ab12\tcommon_voice_en_1.mp3\tHe said "no.\t2\t0\ttwenties\tmale_masculine\tScottish English\t\ten\t',
    "ab12\tcommon_voice_en_2.mp3\tSecond one.\t2\t0\ttwenties\tmale\t\t\ten\t",
    "cd34\tcommon_voice_en_3.mp3\tThird one.\t2\t0\t\t\t\t\ten\t",
]


@pytest.fixture
def folder(tmp_path, write_sound):
    root = tmp_path / "cv-corpus-17.0-2024-03-15"
    for number in (1, 2, 3):
        write_sound(root / "en" / "clips" / f"common_voice_en_{number}.mp3", number / 2)
    (root / "en" / "test.tsv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    return root


def test_a_tiny_copy(folder):
    corpus = common_voice(path=str(folder))
    assert isinstance(corpus, SpeechCorpus)
    assert (corpus.name, corpus.language, corpus.notes) == ("common-voice/en/test", "en", ())
    first, second, third = corpus.utterances()
    assert (first.id, first.text) == ("common-voice/en/common_voice_en_1", 'He said "no.')
    assert (first.gender, first.speaker) == ("male", "common-voice-ab12")
    assert first.slices == {
        "language": "en", "gender": "male", "age": "twenties", "accent": "Scottish English", "locale": "en",
        "duration": "00-01 s",
    }  # fmt: skip
    assert second.speaker == first.speaker
    assert second.audio.seconds == pytest.approx(read(second.audio).seconds, abs=0.1)
    assert set(third.slices) == {"language", "locale", "duration"}
    assert corpus.describe()["utterances"] == "3"


@pytest.mark.parametrize("place", ["", "en"])
def test_the_folder_above_and_that_of_the_language_will_do(folder, place):
    path = folder / place if place else folder.parent
    assert len(common_voice(path=str(path)).rows()) == 3


def test_lengths_are_taken_from_the_table(folder):
    (folder / "en" / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_1.mp3\t4200\nx.mp3\tnone\n")
    lengths = [row.audio.seconds for row in common_voice(path=str(folder)).rows()]
    assert lengths == [4.2, None, None]


def test_early_releases(folder):
    table = "client_id\tpath\tsentence\tage\tgender\taccent\nab\tcommon_voice_en_1\tOne.\tfifties\tother\tindian\n"
    (folder / "en" / "dev.tsv").write_text(table)
    (row,) = common_voice(path=str(folder), split="dev").rows()
    assert row.slices["accent"] == "indian"
    assert row.gender == "other"


def test_a_half_copied_one(folder, refuses):
    (folder / "en" / "clips" / "common_voice_en_2.mp3").unlink()
    corpus = common_voice(path=str(folder))
    assert refuses(corpus, "1 of 3 recordings missing or empty, first common_voice_en_2.mp3", "partial=true")
    part = common_voice(path=str(folder), partial=True)
    assert [row.text for row in part.rows()] == ['He said "no.', "Third one."]
    assert part.notes == ("part of common-voice/en/test: 1 of 3 recordings missing or empty, first "
                          "common_voice_en_2.mp3",)  # fmt: skip


def test_a_missing_transcript(folder, refuses):
    (folder / "en" / "test.tsv").write_text("\n".join([HEADER, ROWS[0], ROWS[1].replace("Second one.", " ")]))
    assert refuses(common_voice(path=str(folder)), "1 of 2 recordings without transcript", "common_voice_en_2.mp3")


def test_what_is_not_there(folder, refuses):
    assert refuses(common_voice(path=str(folder), split="train"), "not its split 'train' of 'en'; there is: test")
    assert refuses(common_voice(path=str(folder), language="de"), "not its split 'test' of 'de'; there is: none")
    assert refuses(
        common_voice(path=str(folder / "en"), language="de"), "holds the language 'en' where 'de' is asked for"
    )
    (folder / "en" / "test.tsv").write_text("path\tsentence\n")
    assert refuses(common_voice(path=str(folder)), "has no column 'client_id'; it has: path, sentence")


def test_another_corpus(tmp_path, write_sound, refuses):
    write_sound(tmp_path / "data/en_us/audio/test/1.wav")
    (tmp_path / "data/en_us/test.tsv").write_text("1\t1.wav\tOne\tone\to n e\t8000\tMALE\n")
    assert refuses(common_voice(path=str(tmp_path)), "does not hold Common Voice", "looks like FLEURS")


def test_a_row_that_is_cut_off(folder, refuses):
    (folder / "en" / "test.tsv").write_text("\n".join([HEADER, "ab12\tcommon_voice_en_1.mp3"]))
    assert refuses(common_voice(path=str(folder)), "test.tsv, row 1: has 2 fields of 11")
