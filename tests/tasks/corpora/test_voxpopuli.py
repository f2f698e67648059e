import pytest

from audiometry.tasks.corpora.utterance import SpeechCorpus
from audiometry.tasks.corpora.voxpopuli import voxpopuli

HEADER = "id\traw_text\tnormalized_text\tspeaker_id\tsplit\tgender\tis_gold_transcript\taccent"
ROWS = [
    "20180206-0900-PLENARY-en_1\tThank you.\tthank you\t124\ttest\tfemale\tTrue\tNone",
    "20190312-0900-PLENARY-en_7\t\tmister president\tNone\ttest\tNone\tTrue\ten_fr",
]


def fill(root, write_sound, *, hub, language="sk"):
    place = root / ("data" if hub else "transcribed_data") / language
    for row in ROWS:
        name = row.split("\t")[0]
        write_sound(place / ("test/test_part_0" if hub else name[:4]) / f"{name}.{'wav' if hub else 'ogg'}")
    (place / "asr_test.tsv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    return place


@pytest.mark.parametrize("hub", [True, False])
def test_a_tiny_copy(tmp_path, write_sound, hub):
    fill(tmp_path, write_sound, hub=hub)
    corpus = voxpopuli(path=str(tmp_path), language="sk")
    assert isinstance(corpus, SpeechCorpus)
    first, second = corpus.utterances()
    assert (first.id, first.text) == ("voxpopuli/sk/20180206-0900-PLENARY-en_1", "thank you")
    assert (first.speaker, first.gender, first.audio.seconds) == ("voxpopuli-124", "female", 0.5)
    assert first.slices == {"language": "sk", "gender": "female", "duration": "00-01 s"}
    assert (second.speaker, second.gender) == ("", "")
    assert second.slices["accent"] == "en_fr"


def test_accented_english_is_english(tmp_path, write_sound):
    fill(tmp_path, write_sound, hub=True, language="en_accented")
    corpus = voxpopuli(path=str(tmp_path), language="en_accented")
    assert corpus.language == "en"
    assert {row.language for row in corpus.rows()} == {"en"}


def test_what_is_not_whole(tmp_path, write_sound, refuses):
    place = fill(tmp_path, write_sound, hub=True, language="en")
    assert refuses(voxpopuli(path=str(tmp_path)), "2 utterances found, 1,842 expected")
    (place / "test/test_part_0/20180206-0900-PLENARY-en_1.wav").unlink()
    (place / "asr_test.tsv").write_text("\n".join([HEADER, ROWS[0], ROWS[1].replace("mister president", " ")]))
    assert refuses(
        voxpopuli(path=str(tmp_path), partial=True), "1 of 2 recordings missing or empty", "without transcript or label"
    )


def test_what_is_not_there(tmp_path, write_sound, refuses):
    fill(tmp_path, write_sound, hub=True)
    assert refuses(
        voxpopuli(path=str(tmp_path), language="sk", split="dev"), "not its split 'dev' of 'sk'; there is: test"
    )
    other = tmp_path / "other"
    (other / "mls_german" / "test").mkdir(parents=True)
    (other / "mls_german" / "test" / "transcripts.txt").write_text("1_2_3\tEins\n")
    assert refuses(voxpopuli(path=str(other)), "does not hold VoxPopuli", "looks like Multilingual LibriSpeech")


def test_what_is_fetched():
    (source,) = voxpopuli(language="de", split="dev").sources
    assert source.patterns == ("data/de/asr_dev.tsv", "data/de/dev/*.tar.gz")
