import pytest

from audiometry.tasks.corpora.fleurs import fleurs
from audiometry.tasks.corpora.utterance import SpeechCorpus, load_corpus

ROWS = [
    "1904\t100.wav\tHowever, he is 30.\thowever he is 30\th o w\t8000\tMALE",
    "1904\t200.wav\tHowever, he is 30.\thowever he is 30\th o w\t24000\tFEMALE",
    "1675\t300.wav\tTwo.\ttwo\tt w o\t0\tNONE",
]


@pytest.fixture
def fill(write_sound):
    def fill(root, language="en_us", rows=ROWS):
        for number in range(1, len(rows) + 1):
            write_sound(root / language / "audio" / "test" / f"{number}00.wav", 0.5)
        (root / language / "test.tsv").write_text("\n".join(rows) + "\n")
        return root

    return fill


@pytest.mark.parametrize("place", ["data", "."])
def test_a_tiny_copy(tmp_path, fill, place):
    fill(tmp_path / place, "fr_fr")
    corpus = fleurs(path=str(tmp_path), language="fr_fr")
    assert isinstance(corpus, SpeechCorpus)
    assert (corpus.name, corpus.language) == ("fleurs/fr_fr/test", "fr")
    first, second, third = corpus.utterances()
    assert (first.id, first.text, first.language) == ("fleurs/fr_fr/test/1904-100", "However, he is 30.", "fr")
    assert first.slices == {"language": "fr", "locale": "fr_fr", "gender": "male", "duration": "00-01 s"}
    assert (second.gender, second.audio.seconds) == ("female", 1.5)
    assert (third.gender, third.audio.seconds) == ("", 0.5)


def test_the_official_count_of_english(tmp_path, fill, refuses):
    fill(tmp_path / "data")
    assert refuses(fleurs(path=str(tmp_path)), "3 utterances found, 647 expected")
    assert len(load_corpus("fleurs", path=str(tmp_path), partial="true")) == 3


def test_a_half_copied_one_and_a_missing_transcript(tmp_path, fill, refuses):
    root = fill(tmp_path / "data", "fr_fr", [*ROWS, "9\t400.wav\t \t \t\t8000\tMALE"])
    corpus = fleurs(path=str(tmp_path), language="fr_fr")
    assert refuses(corpus, "1 of 4 recordings without transcript or label, first 400.wav")
    (root / "fr_fr/audio/test/200.wav").unlink()
    assert refuses(corpus, "1 of 4 recordings missing or empty, first 200.wav; 1 of 4 recordings without transcript")


def test_what_is_not_there(tmp_path, fill, refuses):
    fill(tmp_path / "data")
    assert refuses(fleurs(path=str(tmp_path), split="train"), "not its split 'train' of 'en_us'; there is: test")
    other = tmp_path / "other"
    (other / "test-clean/1/2").mkdir(parents=True)
    (other / "test-clean/1/2/1-2.trans.txt").write_text("1-2-0000 A\n")
    assert refuses(fleurs(path=str(other)), "does not hold FLEURS", "looks like LibriSpeech")
    (tmp_path / "data/en_us/test.tsv").write_text("1\t2\n")
    assert refuses(fleurs(path=str(tmp_path)), "row 1: has 2 fields of 7")


def test_it_is_fetched_from_the_hub_and_unpacked(tmp_path, fill, monkeypatch):
    import shutil

    asked = []

    def download(repository, **options):
        asked.append((repository, options["repo_type"], options["allow_patterns"]))
        made = fill(tmp_path / "made")
        place = options["local_dir"] / "data" / "en_us"
        place.mkdir(parents=True)
        shutil.copy(made / "en_us" / "test.tsv", place / "test.tsv")
        shutil.make_archive(str(place / "audio" / "test"), "gztar", made / "en_us" / "audio", "test")

    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    corpus = fleurs(partial=True)
    assert not corpus.ready()
    told = []
    corpus.prepare(None, told.append)
    assert asked == [("google/fleurs", "dataset", ["data/en_us/test.tsv", "data/en_us/audio/test.tar.gz"])]
    assert corpus.ready()
    assert told[1:] == [
        "unpacking test.tar.gz",
        f"fleurs/en_us/test: 3 utterances, in {tmp_path / 'home/corpora/fleurs'}",
    ]
    assert not list((tmp_path / "home").rglob("*.tar.gz"))
    corpus.prepare(None, told.append)
    assert len(asked) == 1
