"""Whisper's English normaliser, string for string, a word at a time.

What the rules do to a word hardly ever depends on its neighbours. So each distinct word goes through the rules once,
and a line is put together from remembered pieces. The exceptions are recognised and handled apart:

- brackets span words: removed from the line first, as the rules do;
- an apostrophe after white space, and "'s been" and its like: the line goes through the rules whole;
- numbers: words that may belong to one are marked, and each run of neighbouring marked words is read together;
- "and a half", which looks further back: the line goes through the rules whole;
- symbols at the end or start of a line count differently: the last rules see the line whole.

Source of the rules: Radford and others, "Robust speech recognition via large-scale weak supervision" (2022), appendix
C, as in the package whisper-normalizer 0.1.15, to which the tests compare every string.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from audiometry.tasks.metrics.english_numbers import NUMBER_WORDS, numbers_as_digits
from audiometry.tasks.metrics.english_spelling import american_spellings
from audiometry.tasks.metrics.normalise_rules import KEPT_SYMBOLS, SYMBOLS_BUT_KEPT, without_brackets

__all__ = ["english_normaliser"]

_FILLERS = frozenset({"hmm", "mm", "mhm", "mmm", "uh", "um"})
_FILLER = re.compile(rf"\b(?:{'|'.join(sorted(_FILLERS))})\b")
_LOOSE_APOSTROPHE = re.compile(r"\s+'")

_EXPANSIONS = {
    "won't": "will not", "can't": "can not", "let's": "let us", "ain't": "aint", "y'all": "you all",
    "wanna": "want to", "kinda": "kind of", "sorta": "sort of", "dunno": "do not know", "gotta": "got to",
    "gonna": "going to", "i'ma": "i am going to", "imma": "i am going to", "woulda": "would have",
    "coulda": "could have", "shoulda": "should have", "cause": "because", "ma'am": "madam",
    "mr": "mister ", "mrs": "missus ", "st": "saint ", "dr": "doctor ", "prof": "professor ", "capt": "captain ",
    "gov": "governor ", "ald": "alderman ", "gen": "general ", "sen": "senator ", "rep": "representative ",
    "pres": "president ", "rev": "reverend ", "hon": "honorable ", "asst": "assistant ", "assoc": "associate ",
    "lt": "lieutenant ", "col": "colonel ", "jr": "junior ", "sr": "senior ", "esq": "esquire ",
}  # fmt: skip
_EXPANSION = re.compile(rf"\b(?:{'|'.join(map(re.escape, _EXPANSIONS))})\b")
_PERFECT = (("'d", "been", "had"), ("'s", "been", "has"), ("'d", "gone", "had"), ("'s", "gone", "has"),
            ("'d", "done", "had"), ("'s", "got", "has"))  # fmt: skip
_PERFECTS = [(re.compile(rf"{short} {verb}\b"), f" {full} {verb}") for short, verb, full in _PERFECT]
_NOT = re.compile(r"n't\b")
_CONTRACTIONS = {"re": " are", "s": " is", "d": " would", "ll": " will", "t": " not", "ve": " have", "m": " am"}
_CONTRACTION = re.compile(rf"'({'|'.join(_CONTRACTIONS)})\b")

_ACROSS_WORDS = re.compile(rf"\s(?:{'|'.join(sorted(_FILLERS))})?'|'[ds] (?:been|gone|done|got)\b")
"""An apostrophe that white space precedes, now or once a filler is gone; or a perfect tense."""

_COMMA_IN_NUMBER = re.compile(r"(\d),(\d)")
_FULL_STOP = re.compile(r"\.([^0-9]|$)")
_SYMBOL = re.compile(f"[{re.escape(KEPT_SYMBOLS)}]")
_SYMBOL_BEFORE_NO_DIGIT = re.compile(r"[.$¢€£]([^0-9])")
_PERCENT_AFTER_NO_DIGIT = re.compile(r"([^0-9])%")
_WHITE_SPACE = re.compile(r"\s+")

_IN_NUMBERS = re.compile(rf"[\d{re.escape(KEPT_SYMBOLS)}]|\A(?:st|nd|rd|th|s)\b")
"""A word that holds such, or begins so, may be part of a number or attach itself to one ("5 th")."""

_PUNCTUATION = frozenset(",.?!;:")  # after a word of plain letters these change nothing
_MARK = "\x00"
_REMEMBERED = 1 << 18  # words; beyond, all are forgotten, so that a worker's memory stays bounded
_LONGEST = 64  # characters; longer words are not remembered, for the same reason


def english_normaliser() -> Callable[[str], str]:
    """Make the normaliser `whisper-english-1`; each has its own memory of words, and any thread may call it.

    >>> english_normaliser()("Mr. Colby's got twenty-one (or so) colours, um, that cost £5 and 20 pence!")
    'mister colby has got 21 colors that cost £5 and 20 pence'
    """
    spellings = american_spellings()
    pieces = _Pieces(spellings.get)
    remembered = pieces.__getitem__

    def normalise(text: str) -> str:
        text = without_brackets(text.lower())
        if ("'" in text and _ACROSS_WORDS.search(text)) or _MARK in text:
            return _finish(pieces.read(_clean(text)))
        words = text.split()
        line = " ".join(filter(None, map(remembered, words)))
        if "half" in line:
            return _finish(pieces.read(_clean(text)))
        if _MARK in line:
            if f"{_MARK} {_MARK}" in line:
                line = pieces.join(words)
            line = _finish(line.replace(_MARK, ""))
        return line

    return normalise


class _Pieces(dict[str, str]):
    """Word → what the rules make of it alone, between marks if it may be part of a number."""

    def __init__(self, spelling: Callable[[str, str], str]) -> None:
        super().__init__()
        self.spelling = spelling

    def __missing__(self, word: str) -> str:
        stem = word[:-1]
        plain = word[-1] in _PUNCTUATION and stem.isascii() and stem.isalpha()
        piece = self[stem] if plain else self._make(word)
        if len(self) >= _REMEMBERED:
            self.clear()
        if len(word) <= _LONGEST:
            self[word] = piece
        return piece

    def _make(self, word: str) -> str:
        text = _clean(word)
        parts = text.split()
        if not any(part in NUMBER_WORDS or _IN_NUMBERS.search(part) for part in parts):
            return " ".join([self.spelling(part, part) for part in parts])
        if "half" in text:  # keeps the word in the line, where it is looked for
            return f"{_MARK}{text}{_MARK}"
        return f"{_MARK}{self.read(text)}{_MARK}"

    def read(self, text: str) -> str:
        """Numbers as digits and American spellings, of a cleaned text."""
        words = numbers_as_digits(text).split()
        return " ".join([self.spelling(word, word) for word in words])

    def join(self, words: list[str]) -> str:
        """The line with each run of marked words read together."""
        line: list[str] = []
        run: list[str] = []
        for word in words:
            piece = self[word]
            if piece.startswith(_MARK):
                run.append(word)
            elif piece:
                self._read_run(run, line)
                line.append(piece)
        self._read_run(run, line)
        return " ".join(line)

    def _read_run(self, run: list[str], line: list[str]) -> None:
        if len(run) == 1:
            line.append(self[run[0]])
        elif run:
            line.append(self.read(" ".join(map(_clean, run))))
        run.clear()


def _clean(text: str) -> str:
    """All rules up to numbers, for a whole line in lower case or for one word of it."""
    if text.isascii() and text.isalpha():
        return "" if text in _FILLERS else _EXPANSIONS.get(text, text)
    text = _FILLER.sub("", text)
    if "'" in text:
        text = _LOOSE_APOSTROPHE.sub("'", text)
    text = _EXPANSION.sub(lambda match: _EXPANSIONS[match[0]], text)
    if "'" in text:
        for pattern, replacement in _PERFECTS:
            text = pattern.sub(replacement, text)
        text = _NOT.sub(" not", text)
        text = _CONTRACTION.sub(lambda match: _CONTRACTIONS[match[1]], text)
    if "," in text:
        text = _COMMA_IN_NUMBER.sub(r"\1\2", text)
    if "." in text:
        text = _FULL_STOP.sub(r" \1", text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return text.translate(SYMBOLS_BUT_KEPT)


def _finish(line: str) -> str:
    """Remove symbols that belong to no number. White space at the ends can remain, as it does in the public package."""
    if _SYMBOL.search(line) is None:
        return line
    line = _SYMBOL_BEFORE_NO_DIGIT.sub(r" \1", line)
    line = _PERCENT_AFTER_NO_DIGIT.sub(r"\1 ", line)
    return _WHITE_SPACE.sub(" ", line)
