import re
import sys

import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import synthetic
from audiometry.tasks.corpora.sentences import SENTENCES
from audiometry.tasks.corpora.synthetic import synthetic_en


def test_the_sentences_are_many_distinct_and_varied():
    texts = [text for kind in SENTENCES.values() for text in kind]
    assert len(texts) == len(set(texts)) == 120
    assert set(SENTENCES) == {"command", "question", "number", "name", "statement", "long"}
    assert all(re.fullmatch(r"[A-Z][\w ,.'-]*[.?]", text) for text in texts)
    assert all(text.endswith("?") for text in SENTENCES["question"])
    words = [len(text.split()) for text in texts]
    assert min(words) == 1
    assert max(words) > 20


@pytest.mark.slow
def test_it_speaks_the_same_twice(home, monkeypatch):
    few = {kind: texts[:1] for kind, texts in SENTENCES.items()}
    monkeypatch.setattr(synthetic, "SENTENCES", few)
    corpus, told = synthetic_en(), []
    corpus.prepare(None, told.append)
    assert told[0] == "speaking 6 sentences"
    utterances = corpus.utterances()
    assert [u.text for u in utterances] == [text for texts in few.values() for text in texts]
    first = utterances[0]
    assert first.id == "synthetic-en/command-01"
    assert first.slices["speech"] == "synthetic"
    assert (first.speaker, first.language) == ("hibari-heart", "en")
    for utterance in utterances:
        sound = read(utterance.audio)
        assert sound.rate == 24000
        assert sound.seconds == pytest.approx(utterance.audio.seconds)
        assert 0.05 < abs(sound.samples).max() <= 1.0
        assert 5 < len(utterance.text) / sound.seconds < 25
    monkeypatch.setenv("AUDIOMETRY_HOME", str(home / "other"))
    again = synthetic_en()
    again.prepare(None, print)
    assert [u.audio.digest for u in again.utterances()] == [u.audio.digest for u in utterances]
    assert corpus.describe()["notes"] == "synthetic speech"
    assert corpus.describe()["origin: hibari-tts"]


def test_a_source_is_refused(home):
    with pytest.raises(DataError, match="leave out --source"):
        synthetic_en().prepare("here", print)


def test_a_missing_voice_names_the_extra(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(DataError, match=r"pip install 'audiometry\[synthetic\]'"):
        synthetic_en().prepare(None, print)
