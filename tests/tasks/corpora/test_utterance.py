import doctest
import importlib

import pytest

from audiometry.benchmark.errors import DataError, SettingError, UnknownNameError
from audiometry.benchmark.registry import CORPORA, Entry
from audiometry.benchmark.types import Corpus
from audiometry.tasks.corpora.utterance import SpeechCorpus, duration_bucket, load_corpus, open_corpus

LANGUAGES = ("en", "es", "fr", "it", "ru")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("suffix", ["", "-telephone"])
def test_every_language_is_registered_in_both_qualities(language, suffix, home):
    name = f"asterisk-{language}{suffix}"
    corpus = open_corpus(name)
    assert isinstance(corpus, SpeechCorpus)
    assert isinstance(corpus, Corpus)
    assert (corpus.name, corpus.language, corpus.synthetic) == (name, language, False)
    assert any("accents" in note for note in corpus.notes) == (language == "es")
    assert corpus.citation
    entry = CORPORA.get(name)
    assert entry.facts["licence"] == corpus.licence
    assert entry.summary


def test_synthetic_speech_says_so(home):
    corpus = open_corpus("synthetic-en")
    assert isinstance(corpus, Corpus)
    assert (corpus.synthetic, corpus.notes) == (True, ("synthetic speech",))


def test_an_unprepared_corpus_names_the_mend(home):
    with pytest.raises(DataError, match=r"'asterisk-en' is not prepared; run: audiometry data prepare asterisk-en$"):
        load_corpus("asterisk-en")


def test_an_unknown_corpus_or_setting_is_named(home):
    with pytest.raises(UnknownNameError, match="asterisk-en"):
        load_corpus("asterix-en")
    with pytest.raises(SettingError, match="voice"):
        load_corpus("asterisk-en", voice="x")


def test_a_corpus_of_another_kind_holds_no_utterances(monkeypatch):
    CORPORA.names()
    other = Entry(name="images", factory=object, summary="", origin="here")
    monkeypatch.setitem(CORPORA._entries, "images", other)
    with pytest.raises(DataError, match="'images' holds no utterances"):
        open_corpus("images")


def test_duration_buckets_sort_by_length():
    names = [duration_bucket(seconds) for seconds in (0.0, 0.999, 1.0, 2.999, 3.0, 9.999, 10.0, 1e6)]
    assert names == sorted(names)
    assert len(set(names)) == 4


@pytest.mark.parametrize("module", ["utterance", "asterisk"])
def test_the_examples_in_the_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(f"audiometry.tasks.corpora.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
