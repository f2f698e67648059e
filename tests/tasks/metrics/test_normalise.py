from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

from audiometry.benchmark.errors import UnknownNameError
from audiometry.tasks.metrics.normalise import NORMALISERS, normalise, normaliser, normaliser_for

BASIC = {
    "basic-1": BasicTextNormalizer(),
    "basic-no-diacritics-1": BasicTextNormalizer(remove_diacritics=True),
    "basic-letters-1": BasicTextNormalizer(split_letters=True),
    "basic-letters-no-diacritics-1": BasicTextNormalizer(remove_diacritics=True, split_letters=True),
}
LINES = [
    "", " ", "\t\n", "Привет, МИР!", "¿Qué tal? [risas] (bajo) <x]", "Ça va – l’été", "北京 東京", "ΟΔΥΣΣΕΥΣ Σ",
    "İstanbul", "नमस्ते दुनिया", "a\u00a0b\u200bc\x85d", "ﬁne ½ ①", "ß ẞ œ Æ ø Đ þ ł", "e\u0301 👩‍👩‍👧 🇫🇷",
    "((a) b", "[a (b] c)", "<", "a(b",
]  # fmt: skip


@pytest.mark.parametrize("name", BASIC)
@pytest.mark.parametrize("line", LINES)
def test_basic_strings_equal_the_public_ones(name, line):
    assert normaliser(name)(line) == BASIC[name](line)


@pytest.mark.parametrize("name", BASIC)
@given(st.one_of(st.text(max_size=60), st.text(st.sampled_from("aÉé\u0301 .,-()[]<>\t\u00a0ßœ½中"), max_size=40)))
def test_basic_strings_equal_the_public_ones_on_any_text(name, line):
    assert normaliser(name)(line) == BASIC[name](line)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BASIC, "whisper-english-1"])
def test_every_character_is_treated_as_in_the_public_package(name):
    """All of the basic multilingual plane, and every 31st character beyond it."""
    public = BASIC.get(name) or EnglishTextNormalizer()
    codes = [*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, 31)]
    for start in range(0, len(codes), 500):
        line = " ".join(f"x{chr(code)}y {chr(code)}" for code in codes[start : start + 500] if chr(code) not in "<[(")
        assert normaliser(name)(line) == public(line)


def test_none_changes_nothing():
    assert normalise(["  Mr. X\t", ""], "none-1") == ["  Mr. X\t", ""]


def test_many_texts_are_as_one_by_one():
    texts = ["Bonjour !", "IT'S two", ""]
    for name in NORMALISERS:
        assert normalise(texts, name) == [normaliser(name)(text) for text in texts]


@pytest.mark.parametrize(
    ("language", "name"),
    [("en", "whisper-english-1"), ("EN_us", "whisper-english-1"), ("eng", "whisper-english-1"),
     ("en-GB-x-rp", "whisper-english-1"), ("fr", "basic-1"), ("enm", "basic-1"), ("zh", "basic-1"), ("", "basic-1")],
)  # fmt: skip
def test_the_language_chooses(language, name):
    assert normaliser_for(language) == name
    assert name in NORMALISERS


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"unknown normaliser 'whisper-english'; did you mean 'whisper-english-1'\?"
    ):
        normaliser("whisper-english")
    with pytest.raises(UnknownNameError, match=r"unknown normaliser '§'; available: whisper-english-1, basic-1"):
        normaliser("§")


def test_threads_share_a_normaliser():
    lines = [f"It's {number} o'clock, Mr. Café{number % 7}" for number in range(3_000)]
    expected = normalise(lines, "whisper-english-1")
    results: dict[int, list[str]] = {}
    change = NORMALISERS["whisper-english-1"]()

    def work(place: int) -> None:
        results[place] = [change(line) for line in lines]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[place] == expected for place in range(4))
