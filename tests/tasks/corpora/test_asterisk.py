import gzip
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.asterisk import LANGUAGES, asterisk, exclusion, parse_transcript
from audiometry.tasks.corpora.debian import unpack_deb
from audiometry.tasks.corpora.utterance import load_corpus, open_corpus

LEFT_OUT = {
    "empty transcript": 1, "no recording": 1, "no transcript": 1, "not speech": 2, "note in the transcript": 1,
}  # fmt: skip


def reasons(text: str) -> dict[str, int]:
    return {reason: int(count) for count, reason in re.findall(r"(\d+) ([^,]+)", text)}


@pytest.mark.parametrize(("name", "rate"), [("asterisk-en", 16000), ("asterisk-en-telephone", 8000)])
def test_packages_become_a_corpus(packages, home, name, rate):
    corpus, told = open_corpus(name), []
    corpus.prepare(str(packages), told.append)
    first, second = corpus.utterances()
    assert (first.id, first.text, first.language) == (f"{name}/digits/1", "One ring.", "en")
    assert (first.speaker, first.gender) == ("allison-smith", "female")
    assert (second.id, second.text) == (f"{name}/hello", "Hello there.")
    assert first.slices["duration"] == "01-03 s"
    for utterance in (first, second):
        sound = read(utterance.audio)
        assert sound.rate == rate
        assert sound.seconds == pytest.approx(utterance.audio.seconds, abs=0.002)
    facts = corpus.describe()
    assert reasons(facts["excluded"]) == LEFT_OUT
    assert facts["licence"] == "CC-BY-SA-3.0"
    assert re.fullmatch(
        r"asterisk-core-sounds-en_1.0-1_all.deb sha256:[0-9a-f]{64}", facts["origin: asterisk-core-sounds-en"]
    )
    assert (corpus.folder / "copyright").read_bytes() == b"terms"
    suffix = ".g722" if rate == 16000 else ".wav"
    files = {file.relative_to(corpus.folder).as_posix() for file in corpus.folder.rglob(f"*{suffix}")}
    assert files == {f"audio/digits/1{suffix}", f"audio/hello{suffix}"}
    shutil.rmtree(packages)
    corpus.prepare(str(packages), told.append)
    assert corpus.verify() == 2


def test_unpacked_folders_are_read_too(packages, home, tmp_path):
    place = tmp_path / "unpacked"
    for package in packages.glob("*.deb"):
        unpack_deb(package, lambda path: path, place)
    other = place / "usr/share/asterisk/sounds/fr_CA_f_June/digits"
    other.mkdir(parents=True)
    (other / "1.g722").write_bytes(b"\0" * 800)
    asterisk("en").prepare(str(place), print)
    assert [u.text for u in load_corpus("asterisk-en")] == ["One ring.", "Hello there."]
    assert asterisk("en").describe()["origin: folder"] == str(place)


def test_a_flat_folder_with_a_plain_transcript_is_read(home, tmp_path):
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "core-sounds-it.txt").write_text("\ufeff; Italian\nciao: Ciao!\n", encoding="utf-8")
    (tmp_path / "flat" / "ciao.g722").write_bytes(b"\0" * 800)
    asterisk("it").prepare(str(tmp_path / "flat"), print)
    assert [(u.text, u.gender) for u in asterisk("it").utterances()] == [("Ciao!", "male")]


def test_recordings_without_sound_are_left_out(home, tmp_path, tone):
    place = tmp_path / "flat"
    (place / "d.wav").mkdir(parents=True)
    (place / "core-sounds-en.txt").write_text("a: One.\nb: Two.\nc: Three.\nd: Four.\n")
    (place / "a.wav").write_bytes(tone(0.5))
    (place / "b.wav").write_bytes(b"")
    (place / "c.wav").write_bytes(b"no sound at all")
    corpus = asterisk("en", telephone=True)
    corpus.prepare(str(place), print)
    assert [u.text for u in corpus.utterances()] == ["One."]
    assert reasons(corpus.describe()["excluded"]) == {"no sound in the recording": 2, "no recording": 1}


def test_each_bad_source_is_named_with_its_mend(packages, home, tmp_path):
    corpus = asterisk("en")
    mend = "audiometry data prepare asterisk-en --source DIR, or use the corpus synthetic-en"
    empty = tmp_path / "empty"
    empty.mkdir()

    def fails(source, what):
        with pytest.raises(DataError, match=what) as caught:
            corpus.prepare(str(source), print)
        assert mend in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list((home / "corpora").iterdir()) == []

    fails(tmp_path / "nowhere", "is not a folder")
    fails(empty, r"holds no core-sounds-en.txt or .txt.gz")
    (empty / "core-sounds-en.txt").write_text("a: One.\n")
    fails(empty, r"holds no folder of .g722 files where one for 'en' is due")
    for folder in ("x", "y"):
        (empty / folder).mkdir()
        (empty / folder / "a.g722").write_bytes(b"\0" * 800)
    fails(empty, r"holds 2 folders of .g722 files")
    shutil.copy(packages / "asterisk-core-sounds-en_1.0-1_all.deb", packages / "asterisk-core-sounds-en_2.0-1_all.deb")
    fails(packages, r"holds 2 packages asterisk-core-sounds-en_\*.deb")
    for package in packages.glob("asterisk-core-sounds-en_*.deb"):
        package.unlink()
    fails(packages, r"holds no package asterisk-core-sounds-en_\*.deb")


@pytest.mark.parametrize(
    ("suffix", "data"), [("", b"\xff\xfe\xfd"), (".gz", gzip.compress(b"a: b" * 99)[:-9])], ids=["text", "gzip"]
)
def test_a_transcript_that_cannot_be_read_is_named(home, tmp_path, suffix, data):
    (tmp_path / f"core-sounds-en.txt{suffix}").write_bytes(data)
    (tmp_path / "a.g722").write_bytes(b"\0" * 800)
    with pytest.raises(DataError, match="transcript cannot be read"):
        asterisk("en").prepare(str(tmp_path), print)


def test_without_source_the_package_client_is_asked(packages, home, tmp_path, monkeypatch):
    script = tmp_path / "bin" / "apt-get"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nimport shutil, sys\nfrom pathlib import Path\n"
                      f"for name in sys.argv[sys.argv.index('download') + 1:]:\n"
                      f"    shutil.copy({str(packages)!r} + f'/{{name}}_1.0-1_all.deb', '.')\n")  # fmt: skip
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    asterisk("en").prepare(None, print)
    assert len(asterisk("en").utterances()) == 2
    monkeypatch.setenv("PATH", str(tmp_path))
    asterisk("en").prepare(None, print)
    with pytest.raises(DataError, match=r"no apt-get .* asterisk-core-sounds-ru-wav .* --source DIR"):
        asterisk("ru", telephone=True).prepare(None, print)


def test_the_rules_in_order():
    assert exclusion("a", ["Hello."], has_audio=False) == "no recording"
    assert exclusion("silence/10", []) == "not speech"
    assert exclusion("beep", ["un suono beep"]) == "not speech"
    assert exclusion("beeps", ["Beeps are loud."]) is None
    assert exclusion("a", ["(ahooga)"]) == "not speech"
    assert exclusion("a", []) == "no transcript"
    assert exclusion("a", ["cero", "diez"]) == "conflicting transcripts"
    assert exclusion("a", ["cero", "cero"]) is None
    assert exclusion("a", ["..."]) == "empty transcript"
    assert exclusion("a", ["at [@]"]) == "note in the transcript"
    assert exclusion("a", ["Premi uno.vm-then-pound: poi premi due."]) == "lines joined in the transcript"
    assert exclusion("a", ["Il tempo sar? esatto."]) == "letters lost in the transcript"
    assert exclusion("a", ["What? No. Really?"]) is None
    assert exclusion("a", ["Что? Да."]) is None


def test_a_transcript_keeps_what_follows_the_first_colon():
    found = parse_transcript("a: one: two\n  ;c: no\nno colon\nb:\nb: x\n")
    assert found == {"a": ["one: two"], "b": ["", "x"]}


@pytest.fixture(scope="module")
def english():
    """The real corpus in the home folder of whoever runs the tests; `audiometry data prepare asterisk-en` makes it."""
    return asterisk("en")


@pytest.mark.speech
def test_the_real_english_corpus(english):
    utterances = english.utterances()
    assert len(utterances) == pytest.approx(540, abs=5)
    assert sum(u.audio.seconds for u in utterances) / 60 == pytest.approx(24.0, abs=0.3)
    assert len({u.id for u in utterances}) == len({u.audio.digest for u in utterances}) == len(utterances)
    assert {(u.language, u.gender, u.speaker) for u in utterances} == {("en", "female", "allison-smith")}
    known = {u.id: u.text for u in utterances}
    assert known["asterisk-en/activated"] == "Activated."
    assert known["asterisk-en/conf-enteringno"] == "You are entering conference number"
    assert not [u.id for u in utterances if re.search(r"[\[\](){}<>]", u.text) or "silence" in u.id]
    assert set(Counter(u.slices["duration"] for u in utterances)) == {"00-01 s", "01-03 s", "03-10 s", "10+ s"}
    for utterance in utterances[::60]:
        sound = read(utterance.audio)
        assert sound.rate == 16000
        assert sound.seconds == pytest.approx(utterance.audio.seconds, abs=0.01)


@pytest.mark.speech
def test_the_real_english_recordings_equal_their_manifest(english):
    assert english.verify() == len(english.utterances())
    facts = english.describe()
    assert reasons(facts["excluded"])["not speech"] == 17
    assert "Creative Commons" in (english.folder / "copyright").read_text(encoding="utf-8")


def test_licences_are_those_of_the_copyright_files():
    assert {language: voice.licence for language, voice in LANGUAGES.items()} == {
        "en": "CC-BY-SA-3.0", "es": "CC-BY-SA-3.0", "fr": "CC-BY-SA-3.0", "it": "CC-BY-3.0", "ru": "CC-BY-3.0",
    }  # fmt: skip
    assert LANGUAGES["en"].speaker == LANGUAGES["es"].speaker


def test_listing_the_corpora_loads_nothing_heavy():
    code = (
        "import sys, audiometry.tasks.corpora; "
        "print([name for name in ('pandas', 'pyarrow', 'av', 'onnxruntime', 'soundfile') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
