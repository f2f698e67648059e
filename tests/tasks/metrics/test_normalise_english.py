from __future__ import annotations

import ast
import itertools
import random
import warnings
from importlib.resources import files
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whisper_normalizer.english import EnglishNumberNormalizer, EnglishTextNormalizer

from audiometry.benchmark.errors import UserError
from audiometry.tasks.metrics import english_spelling, normalise_english
from audiometry.tasks.metrics.english_numbers import NUMBER_WORDS, numbers_as_digits
from audiometry.tasks.metrics.english_spelling import american_spellings
from audiometry.tasks.metrics.normalise_english import english_normaliser

PUBLIC = EnglishTextNormalizer()
OURS = english_normaliser()

ODDITIES = [
    "the", "cat", "a", "been", "gone", "done", "got", "half", "behalf", "cause", "o'clock", "mr.", "Mrs", "dr", "St.",
    "col's", "um", "uh", "hmm", "mm", "um'", "'um", "it's", "he'd", "she's", "won't", "can't", "ma'am", "i'ma", "y'all",
    "don't've", "'s's", "'sn't", "'s", "'d", "n't", "'ten", "let's", "gonna", "colour", "archaeology", "flyer",
    "centre", "5", "5th", "21", "st", "nd", "rd", "th", "s", "s.", "3.5", "$5", "$2.50", "€0.07", "$0", "50", "0.50",
    "£3", "¢7",
    "7¢", "¢15", "5%", "%", "$", ".", "..", "a.m.", "1,000", "1,2,3", "1", "1s", "1960s", "10", "b2b", "x1", "naïve",
    "café", "½", "²", "٣", "٣.٥", "ﬁ", "œuvre", "ß", "(hm)", "[x]", "<y>", ")", "(", "]", "[", "\x00", "\x85", "\u00a0",
    "\u200b", "ΑΣ", "İ", "-", "–", "'", "’", '"', "-five", "twenty-one", "one-two", "two/three",
    "and-a-half", "and a half", "nine'd", "been-fortieth",
]  # fmt: skip
CHARACTERS = [
    *"abcdeorstnm  ''..,,%$£€¢0123456789-()[]<>\t\n\x00\u00a0\u200béßœ½²٣’–",
    "um",
    "'s been",
    "and a half",
    "$0",
]


def generated(count: int, seed: int) -> list[str]:
    """Lines of everyday and odd words, of number words alone, and of characters at random."""
    chance = random.Random(seed)
    words, numbers = [*NUMBER_WORDS, *ODDITIES], list(NUMBER_WORDS)
    lines = []
    for _ in range(count):
        kind = chance.random()
        if kind < 0.6:
            joints = [" "] * 12 + ["", "-", ",", ". ", "  ", "\t"]
            line = "".join(chance.choice(words) + chance.choice(joints) for _ in range(chance.randint(1, 12)))
        elif kind < 0.8:
            line = " ".join(chance.choices(numbers, k=chance.randint(1, 8)))
        else:
            line = "".join(chance.choices(CHARACTERS, k=chance.randint(0, 30)))
        lines.append(line.upper() if chance.random() < 0.1 else line)
    return lines


def real(count: int) -> list[str]:
    """Sentences of Python's documentation, and lines of the documentation strings of its standard library."""
    lines = [line.strip() for text in topics.values() for line in text.replace(".\n", ".\0").split("\0")]
    lines = [" ".join(sentence.split()) for line in lines for sentence in line.split(". ")]
    for file in sorted(Path(ast.__file__).parent.glob("*.py")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sources written for older versions
            tree = ast.parse(file.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                lines += (ast.get_docstring(node) or "").splitlines()
    distinct = list(dict.fromkeys(line for line in lines if line.strip()))
    assert len(distinct) >= count
    return distinct[:count]


def assert_equal(lines: list[str]) -> None:
    for line in lines:
        assert OURS(line) == PUBLIC(line), line


@pytest.mark.slow
def test_ten_thousand_real_lines_equal_the_public_normalisers():
    assert_equal(real(10_000))


@pytest.mark.slow
def test_ten_thousand_generated_lines_equal_the_public_normalisers():
    assert_equal(generated(10_000, seed=1))


@pytest.mark.slow
def test_all_pairs_of_number_words_equal_the_public_normalisers():
    public = EnglishNumberNormalizer()
    for pair in itertools.product([*NUMBER_WORDS, "cat", "7", "2.5", "£4"], repeat=2):
        line = " ".join(pair)
        assert numbers_as_digits(line) == public(line), line


def test_every_spelling_and_title_equals_the_public_normalisers():
    assert_equal([f"The {word}, {word.upper()}'s {word}s." for word in american_spellings()])
    assert_equal([f"{word}. {word}'s x{word} {word}-{word}" for word in PUBLIC_WORDS])


PUBLIC_WORDS = sorted(
    {pattern.replace(r"\b", "") for pattern in PUBLIC.replacers} | {"hmm", "mm", "mhm", "mmm", "uh", "um"}
)

tokens = st.one_of(
    st.sampled_from(sorted(NUMBER_WORDS)),
    st.sampled_from(ODDITIES),
    st.sampled_from(PUBLIC_WORDS),
    st.text(st.sampled_from("abst'.,$0159%-"), max_size=8),
    st.integers(0, 10**9).map(str),
)
joints = st.sampled_from([" ", " ", " ", "  ", "-", ", ", ". ", "\n", "\u00a0", ""])


@settings(max_examples=500)
@given(st.lists(st.tuples(tokens, joints), max_size=10))
def test_any_tokens_equal_the_public_normalisers(parts):
    line = "".join(itertools.chain.from_iterable(parts))
    assert OURS(line) == PUBLIC(line)


@given(st.text(max_size=60))
def test_any_text_equals_the_public_normalisers(line):
    assert OURS(line) == PUBLIC(line)


@pytest.mark.parametrize(
    "line",
    [
        "", " ", "\n\t", "cost $", "% of it", "a.. b", "one . two", "hundred and", "minus and x",
        "minus point minus seven", "he's um been there", "x um'y", " 'tis", "'tis", "um 'um um", "two and a half",
        "cat and a half", "and a half", "one and-a-half and a half", "$2 and 7 cents", "five pounds and two cents",
        "$0 50", "twenty\x00one", "\x00", "one - two", "nine'd  been-fortieth", "nineth ninth", "5 th 5 s",
        "1.2.3 hundred", "double oh seven",
        "one point two point three hundred", "1.2345 hundred", "1.2345 thousandths",
        "he's been", "MR.JONES", "a (b) c [d] <e>", "a (b", "20,000.50%", "٣ hundred", "half past two and a half",
        "a " * 30_000, "twenty one " * 5_000, "it's 5 o'clock, Mr. Colby. " * 3_000, "x" * 50_000, "7" * 4_000,
    ],
)  # fmt: skip
def test_odd_lines_equal_the_public_normalisers(line):
    assert OURS(line) == PUBLIC(line)


def test_what_it_does_by_hand():
    assert OURS("She's got twenty-five dollars and 7 cents [coughs]") == "she has got $25.07"
    assert (
        OURS("Um, Dr. Zhou wasn't there; y'all can't organise it.")
        == "doctor zhou was not there you all can not organize it"
    )
    assert OURS("room one oh one, nineteen eighty-four: 5 % of the 1960 s") == "room 1011984 5 of the 1960s"


def test_numbers_too_long_for_python_stay_as_they_are():
    """The public normaliser fails on these: Python converts no more than 4,300 digits."""
    digits = "7" * 5_000
    assert OURS(f"cat {digits} colour") == f"cat {digits} color"
    with pytest.raises(AssertionError):
        PUBLIC(digits)


def test_the_memory_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(normalise_english, "_REMEMBERED", 10)
    forgetful = english_normaliser()
    lines = generated(300, seed=2)
    assert [forgetful(line) for line in lines] == [OURS(line) for line in lines]


def test_another_spelling_table_is_refused(monkeypatch, tmp_path):
    american_spellings.cache_clear()
    (tmp_path / "normalizers").mkdir()
    (tmp_path / "normalizers" / "english.json").write_text('{"colour": "couleur"}')
    monkeypatch.setattr(english_spelling, "files", lambda package: tmp_path)
    with pytest.raises(
        UserError, match=r"not that of whisper-english-1; install it with: pip install 'whisper-normalizer"
    ):
        american_spellings()
    monkeypatch.setattr(english_spelling, "files", files)
    assert american_spellings()["colour"] == "color"
