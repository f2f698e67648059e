from __future__ import annotations

import ctypes
import json
import random
import subprocess
import sys
import threading
from pydoc_data.topics import topics
from types import SimpleNamespace

import espeakng_loader
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import UnknownNameError, UserError
from audiometry.tasks.metrics import phonemes as module
from audiometry.tasks.metrics.phonemes import count_phonemes, espeak_version, phoneme_error_rate, phonemes

LINES = [line.strip() for line in topics["yield"].splitlines() if line.strip()][:60]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Cheese, please!", "tʃ iː z p l iː z"),
        ("en-us", "the year 2 car", "ð ə j ɪɹ t uː k ɑːɹ"),
        ("en-gb", "car", "k ɑː"),
        ("es", "El perro corre.", "e l p e r o k o r e"),
        ("fr", "Un bon vin blanc", "œ̃ b ɔ̃ v ɛ̃ b l ɑ̃"),
        ("it", "Gli gnocchi", "ʎ ɪ ɲ o kː ɪ"),
        ("ru", "Как дела?", "k ɑ k dʲ e ɭ a"),
        ("de", "Züge", "ts yː ɡ ə"),
    ],
)
def test_phonemes_by_ear(language, text, expected):
    assert phonemes([text], language) == [expected.split()]


def test_stress_is_kept_on_demand():
    assert phonemes(["a potato"], "en", stress=True) == [["ɐ", "p", "ə", "t", "ˈeɪ", "ɾ", "oʊ"]]
    assert phonemes(["a potato"], "en") == [["ɐ", "p", "ə", "t", "eɪ", "ɾ", "oʊ"]]


def test_nothing_to_say_has_no_phonemes():
    assert phonemes(["", "  \n", "\x00", "…!?", "-"], "fr")[:4] == [[], [], [], []]
    assert phonemes([], "fr") == []


def test_every_clause_is_read():
    assert phonemes(["One. Two, three; four"], "en") == phonemes(["one two three four"], "en")
    assert phonemes(["one\x00two"], "en") == phonemes(["one two"], "en")
    many = phonemes(["one " * 2_000], "en")[0]
    assert many == ["w", "ʌ", "n"] * 2_000


def test_errors_are_counted():
    counts = count_phonemes(["their cat", "dog", ""], ["there cut", "", "a"], "en")
    assert counts.errors.tolist() == [1, 3, 1]
    assert phoneme_error_rate(counts.pooled()) == 5 / 8


@pytest.mark.parametrize("language", ["fr", "ru", "el"])
def test_a_text_sounds_the_same_whatever_was_read_before(language):
    """Foreign voices read English words by English rules, and there "was" makes the next "read" a past tense."""
    engine = module._engine()
    alone = phonemes(["read"], language)[0]
    engine._read("was")
    assert module._phonemes(engine._read("read"), False) != alone  # the library does remember
    engine._read("was")
    phonemes(["weekend"], language)
    assert phonemes(["was", "read", "read", "was", "read"], language)[1::3] == [alone, alone]


@pytest.mark.parametrize("language", ["en", "es", "fr", "it", "ru"])
def test_order_does_not_matter(language):
    expected = phonemes(LINES, language)
    order = list(range(len(LINES)))
    random.Random(0).shuffle(order)
    shuffled = phonemes([LINES[place] for place in order], language)
    assert shuffled == [expected[place] for place in order]
    assert all(expected)


def test_threads_and_languages_do_not_mix():
    texts = ["Bonjour le monde", "Read the label", "El perro", "Привет"] * 10
    languages = ["en", "es", "fr", "ru"]
    expected = {language: phonemes(texts, language) for language in languages}
    results: list[bool] = []

    def work(language: str) -> None:
        for _ in range(3):
            results.append(phonemes(texts, language) == expected[language])

    threads = [threading.Thread(target=work, args=(language,)) for language in languages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 12


def test_another_process_reads_the_same():
    code = (
        "import json; from audiometry.tasks.metrics.phonemes import phonemes; "
        "print(json.dumps([phonemes(['Read the label', 'was', 'read'], x) for x in ('fr', 'en')]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [phonemes(["Read the label", "was", "read"], x) for x in ("fr", "en")]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_can_be_read(text):
    (found,) = phonemes([text], "en")
    assert all(phoneme and not set(phoneme) & set(" ()\ue000ˈˌ") for phoneme in found)
    assert phonemes([text], "en") == [found]


@pytest.mark.parametrize("language", ["xx-yy", "../en", "en+f2", "", "EN US"])
def test_an_unknown_language_is_refused(language):
    expected = phonemes(["chat"], "fr")
    with pytest.raises(UnknownNameError, match=r"espeak-ng has no language '.*'; .*available: af, am"):
        phonemes(["chat"], language)
    assert phonemes(["chat"], "fr") == expected


def test_a_misspelt_language_is_guessed():
    with pytest.raises(UnknownNameError, match="did you mean 'pt-br'"):
        phonemes(["a"], "pt-bz")


def test_a_single_text_for_a_list_is_refused():
    with pytest.raises(UserError, match="wrap a single text in a list"):
        phonemes("hello", "en")


def test_the_version_is_the_librarys():
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Info.restype = ctypes.c_char_p
    assert espeak_version() == library.espeak_Info(None).decode()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"pip install 'audiometry\[text\]'"):
        module._Engine()


def test_a_library_that_does_not_load_is_named(monkeypatch):
    monkeypatch.setattr(espeakng_loader, "get_library_path", lambda: "/nowhere/libespeak-ng.so")
    with pytest.raises(UserError, match=r"espeak-ng does not load \(/nowhere.*reinstall the package"):
        module._Engine()


def test_a_library_that_does_not_start_is_named(monkeypatch):
    engine = module._engine()
    monkeypatch.setattr(engine, "_library", SimpleNamespace(espeak_Initialize=lambda *_: -1))
    with pytest.raises(UserError, match="espeak-ng does not start; reinstall the package"):
        engine._start()
