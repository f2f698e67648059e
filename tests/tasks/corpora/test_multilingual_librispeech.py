import pytest

from audiometry.benchmark.errors import SettingError
from audiometry.tasks.corpora.multilingual_librispeech import LANGUAGES, LAYOUT, multilingual_librispeech
from audiometry.tasks.corpora.utterance import SpeechCorpus

TEXTS = {"10_20_000001": "der erste", "10_20_000002": "der zweite", "30_40_000001": "das dritte"}


def fill(root, write_sound, suffix):
    place = root / f"mls_german{'_opus' if suffix == '.opus' else ''}"
    for number, name in enumerate(TEXTS):
        speaker, book, _ = name.split("_")
        write_sound(place / "test" / "audio" / speaker / book / f"{name}{suffix}", 0.5 + number)
    (place / "test" / "transcripts.txt").write_text("".join(f"{name}\t{text}\n" for name, text in TEXTS.items()))
    (place / "metainfo.txt").write_text(
        "SPEAKER | GENDER | PARTITION | MINUTES\n10 | M | test | 1\n30 | F | test | 1\n"
    )
    return place


@pytest.mark.parametrize("suffix", [".opus", ".flac"])
def test_a_tiny_copy(tmp_path, write_sound, suffix):
    fill(tmp_path, write_sound, suffix)
    corpus = multilingual_librispeech(path=str(tmp_path), partial=True)
    assert isinstance(corpus, SpeechCorpus)
    assert (corpus.name, corpus.language) == ("multilingual-librispeech/german/test", "de")
    rows = list(corpus.utterances())
    assert [row.text for row in rows] == list(TEXTS.values())
    assert [row.audio.seconds for row in rows] == [pytest.approx(0.5 + number, abs=0.01) for number in range(3)]
    assert rows[2].slices == {"language": "de", "gender": "female", "speaker": "mls-30", "duration": "01-03 s"} | {
        "duration": rows[2].slices["duration"]
    }
    assert rows[0].id == "multilingual-librispeech/german/10_20_000001"


def test_what_is_not_whole(tmp_path, write_sound, refuses):
    place = fill(tmp_path, write_sound, ".opus")
    corpus = multilingual_librispeech(path=str(tmp_path))
    assert refuses(corpus, "3 utterances found, 3,394 expected")
    (place / "test/audio/10/20/10_20_000001.opus").unlink()
    (place / "test/transcripts.txt").write_text("10_20_000001\tder erste\n10_20_000002\tder zweite\n30_40_000001\t\n")
    (place / "metainfo.txt").unlink()
    assert refuses(
        corpus,
        "1 of 3 recordings missing or empty, first 10_20_000001",
        "1 of 3 recordings without transcript or label, first 30_40_000001",
    )
    part = multilingual_librispeech(path=str(tmp_path), partial=True)
    assert [row.text for row in part.rows()] == ["der zweite"]


def test_what_is_not_there(tmp_path, write_sound, refuses):
    fill(tmp_path, write_sound, ".opus")
    assert refuses(multilingual_librispeech(path=str(tmp_path), language="polish"), "not its split 'test' of 'polish'")
    assert refuses(
        multilingual_librispeech(path=str(tmp_path), split="dev"), "not its split 'dev' of 'german'; there is: test"
    )
    (tmp_path / "songs").mkdir()
    assert refuses(
        multilingual_librispeech(path=str(tmp_path / "songs")), "does not hold Multilingual LibriSpeech: it is empty"
    )
    with pytest.raises(SettingError, match="no language 'klingon'; it has: dutch, english"):
        multilingual_librispeech(language="klingon")


def test_every_language_has_counts():
    assert {name.partition("/")[0] for name in LAYOUT.counts} == set(LANGUAGES)
    assert len(LAYOUT.counts) == 2 * len(LANGUAGES)
