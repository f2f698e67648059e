import pytest

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.tasks.corpora.utterance import SpeechCorpus
from audiometry.tasks.corpora.vctk import vctk

SPEAKERS = """ID  AGE  GENDER  ACCENTS  REGION COMMENTS
p225  23  F    English    Southern  England
p280  25  F    Unknown    France  (mic2 files unavailable)
p315  18  M    American    New  England  (text transcripts unavailable)
s5  24  F    British
"""
NAMES = ("p225_001", "p225_002", "p280_001", "s5_001")


@pytest.fixture
def folder(tmp_path, write_sound):
    for name in NAMES:
        speaker = name.split("_")[0]
        for microphone in ("mic1",) if speaker == "p280" else ("mic1", "mic2"):
            write_sound(tmp_path / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac", 0.5, rate=48_000)
        text = tmp_path / "txt" / speaker / f"{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(f"Please call {name}.\n")
    write_sound(tmp_path / "wav48_silence_trimmed" / "p315" / "p315_001_mic1.flac", 0.5, rate=48_000)
    (tmp_path / "speaker-info.txt").write_text(SPEAKERS)
    return tmp_path


def test_a_tiny_copy(folder):
    corpus = vctk(path=str(folder))
    assert isinstance(corpus, SpeechCorpus)
    rows = list(corpus.utterances())
    assert [row.id for row in rows] == [f"vctk/{name}" for name in NAMES]
    assert (rows[0].text, rows[0].gender) == ("Please call p225_001.", "female")
    assert rows[0].slices == {
        "language": "en", "gender": "female", "speaker": "vctk-p225", "age": "23", "accent": "English",
        "region": "Southern England", "duration": "00-01 s",
    }  # fmt: skip
    assert rows[2].slices["region"] == "France"
    assert "region" not in rows[3].slices
    assert corpus.describe()["excluded"] == "1 transcript lost by the makers"
    assert corpus.notes == ()


def test_the_other_microphone(folder):
    corpus = CORPORA.create(Spec("vctk", (("microphone", "mic2"), ("path", str(folder)))))
    assert [row.id for row in corpus.rows()] == [f"vctk/{name}" for name in NAMES if not name.startswith("p280")]
    assert corpus.describe()["excluded"] == "1 recording never published"
    with pytest.raises(SettingError, match="'mic3' is not one of mic1, mic2"):
        CORPORA.create(Spec("vctk", (("microphone", "mic3"),)))


def test_the_older_version(tmp_path, write_sound):
    write_sound(tmp_path / "VCTK-Corpus" / "wav48" / "p225" / "p225_001.wav", 0.5, rate=48_000)
    (tmp_path / "VCTK-Corpus" / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "VCTK-Corpus" / "txt" / "p225" / "p225_001.txt").write_text("Please.")
    (tmp_path / "VCTK-Corpus" / "speaker-info.txt").write_text(
        "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F  English  Surrey"
    )
    (row,) = vctk(path=str(tmp_path)).rows()
    assert (row.id, row.gender, row.slices["region"]) == ("vctk/p225_001", "female", "Surrey")


def test_what_is_not_whole(folder, refuses):
    (folder / "wav48_silence_trimmed/p225/p225_001_mic1.flac").unlink()
    corpus = vctk(path=str(folder))
    assert refuses(corpus, "1 of 4 recordings missing or empty, first p225_001")
    (folder / "txt/s5/s5_001.txt").write_text("")
    assert refuses(corpus, "1 of 4 recordings without transcript or label, first s5_001")
    (folder / "txt/s5/s5_001.txt").unlink()
    (folder / "wav48_silence_trimmed/s5/s5_001_mic1.flac").unlink()
    assert refuses(corpus, "2 of 4 recordings missing or empty")
    assert len(vctk(path=str(folder), partial=True).rows()) == 2


def test_another_corpus(tmp_path, refuses, write_sound):
    (tmp_path / "legacy/test/stm").mkdir(parents=True)
    (tmp_path / "legacy/test/stm/talk.stm").write_text("x")
    assert refuses(
        vctk(path=str(tmp_path)), "does not hold VCTK: it holds 1 entries (legacy), which looks like TED-LIUM 3"
    )


def test_without_the_list_of_speakers(folder):
    (folder / "speaker-info.txt").unlink()
    assert {row.gender for row in vctk(path=str(folder)).rows()} == {""}
