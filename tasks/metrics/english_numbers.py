"""Spoken English numbers as digits, in the way of Whisper's English normaliser.

"twenty one dollars" becomes "$21", "one oh one" "101", "nineteen twenty" "1920", "five point two million" "5200000".
The rules, oddities included, are those of OpenAI's normaliser: numbers made from transcripts are compared with other
people's, so what it does is what is right. The code here is another: words are looked up once, in one table, and one
small state (the number so far, and the sign that waits for it) is moved along.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from fractions import Fraction
from typing import Final, NamedTuple

__all__ = ["NUMBER_WORDS", "numbers_as_digits"]


class _Kind(Enum):
    ZERO = auto()
    ONE = auto()  # 1 to 19
    TEN = auto()  # 20, 30, … 90
    POWER = auto()  # 100, 1000, 1000000, …
    SIGN = auto()  # before a number
    CURRENCY = auto()  # after a number
    PERCENT = auto()
    PER = auto()
    AND = auto()
    REPEAT = auto()  # double, triple
    POINT = auto()


class _Word(NamedTuple):
    kind: _Kind
    value: int = 0
    ending: str = ""  # of plurals and ordinals, which close their number
    symbol: str = ""


_ONES = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_POWERS = (
    "hundred", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion", "septillion",
    "octillion", "nonillion", "decillion",
)  # fmt: skip
_IRREGULAR = {
    "one": ("first", "st"), "two": ("second", "nd"), "three": ("third", "rd"), "five": ("fifth", "th"),
    "eight": ("eighth", "th"), "twelve": ("twelfth", "th"),
}  # fmt: skip


def _vocabulary() -> dict[str, _Word]:
    words = {name: _Word(_Kind.ZERO) for name in ("o", "oh", "zero")}
    words["zeroth"] = _Word(_Kind.ONE, 0, "th")
    for value, name in enumerate(_ONES, start=1):
        ordinal, ending = _IRREGULAR.get(name, (f"{name}th", "th"))
        words[name] = _Word(_Kind.ONE, value)
        words["sixes" if name == "six" else f"{name}s"] = _Word(_Kind.ONE, value, "s")
        words[ordinal] = _Word(_Kind.ONE, value, ending)
    for value, name in enumerate(_TENS, start=2):
        words[name] = _Word(_Kind.TEN, 10 * value)
        words[f"{name[:-1]}ies"] = _Word(_Kind.TEN, 10 * value, "s")
        words[f"{name[:-1]}ieth"] = _Word(_Kind.TEN, 10 * value, "th")
    for power, name in enumerate(_POWERS):
        value = 1000**power if power else 100
        words[name] = _Word(_Kind.POWER, value)
        words[f"{name}s"] = _Word(_Kind.POWER, value, "s")
        words[f"{name}th"] = _Word(_Kind.POWER, value, "th")
    for name, symbol in {"minus": "-", "negative": "-", "plus": "+", "positive": "+"}.items():
        words[name] = _Word(_Kind.SIGN, symbol=symbol)
    for name, symbol in {"pound": "£", "euro": "€", "dollar": "$", "cent": "¢"}.items():
        words[name] = words[f"{name}s"] = _Word(_Kind.CURRENCY, symbol=symbol)
    words["percent"] = _Word(_Kind.PERCENT)
    words["per"] = _Word(_Kind.PER)
    words["and"] = _Word(_Kind.AND)
    words["double"] = _Word(_Kind.REPEAT, 2)
    words["triple"] = _Word(_Kind.REPEAT, 3)
    words["point"] = _Word(_Kind.POINT)
    return words


NUMBER_WORDS: Final = _vocabulary()
"""Every word that may take part in a number."""

_SPOKEN_DIGITS = (_Kind.ZERO, _Kind.ONE, _Kind.TEN)
_NUMERAL = re.compile(r"\d+(?:\.\d+)?")
_SYMBOLS = frozenset("-+£€$¢")

_AND_A_HALF = re.compile(r"\band\s+a\s+half\b")
_BEFORE_DIGIT = re.compile(r"([a-z])([0-9])")
_AFTER_DIGIT = re.compile(r"([0-9])([a-z])")
_LOOSE_ENDING = re.compile(r"([0-9])\s+(st|nd|rd|th|s)\b")
_WITH_CENTS = re.compile(r"([€£$])([0-9]+) (?:and )?¢([0-9]{1,2})\b")
_CENTS_ONLY = re.compile(r"[€£$]0.([0-9]{1,2})\b")
_LONE_ONE = re.compile(r"\b1(s?)\b")
_DIGIT = re.compile(r"[0-9]")


def numbers_as_digits(text: str) -> str:
    """Write the numbers of a cleaned lower-case text in digits.

    Words are joined by single spaces in the result. A text whose numbers Python refuses to convert (more than 4,300
    digits) is returned with its white space normalised and nothing else changed.

    >>> numbers_as_digits("twenty five point oh three per cent of nineteen oh one")
    '25.03% of 1901'
    """
    if "half" in text:
        text = _halves(text)
    if _DIGIT.search(text):
        text = _BEFORE_DIGIT.sub(r"\1 \2", text)
        text = _AFTER_DIGIT.sub(r"\1 \2", text)
        text = _LOOSE_ENDING.sub(r"\1\2", text)
    words = text.split()
    try:
        text = " ".join(_Reader(words).read())
    except ValueError:  # Python's limit on the length of a number, see sys.set_int_max_str_digits
        return " ".join(words)
    if "¢" in text:
        text = _WITH_CENTS.sub(lambda match: f"{match[1]}{match[2]}.{int(match[3]):02d}", text)
    if "0" in text:
        text = _CENTS_ONLY.sub(lambda match: f"¢{int(match[1])}", text)
    if "1" in text:
        text = _LONE_ONE.sub(r"one\1", text)
    return text


def _halves(text: str) -> str:
    """ "two and a half" → "two point five"; left as it is after other words, dropped where nothing precedes."""
    *parts, last = _AND_A_HALF.split(text)
    pieces = []
    for part in parts:
        words = part.split()
        if words:
            countable = _plain_kind(NUMBER_WORDS.get(words[-1])) in (*_SPOKEN_DIGITS, _Kind.POWER)
            pieces += [part, "point five" if countable else "and a half"]
    if last.strip():
        pieces.append(last)
    return " ".join(pieces)


class _Reader:
    """Goes through the words once. `number` is an int while it can grow, a str once its digits are fixed."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self.written: list[str] = []
        self.sign = ""
        self.number: int | str | None = None

    def read(self) -> list[str]:
        place = 0
        while place < len(self.words):
            place += self._step(place)
        self._close()
        return self.written

    def _write(self, text: str) -> None:
        self.written.append(self.sign + text)
        self.sign = ""

    def _close(self, ending: str = "") -> None:
        """Write the number so far, if there is one."""
        if self.number is not None:
            self._write(f"{self.number}{ending}")
            self.number = None

    def _digits(self) -> str:
        """What has been said so far as digits to append to; a zero alone does not count."""
        return str(self.number or "")

    def _step(self, place: int) -> int:
        """Take the word at `place`; the answer is how many words were taken."""
        current = self.words[place]
        word = NUMBER_WORDS.get(current)
        if word is None:
            self._other(current)
            return 1
        previous = NUMBER_WORDS.get(self.words[place - 1]) if place else None
        following = self.words[place + 1] if place + 1 < len(self.words) else ""
        if word.kind is _Kind.ZERO:
            self.number = self._digits() + "0"
        elif word.kind in (_Kind.ONE, _Kind.TEN):
            self.number = _append(self.number, word.value, previous)
            if word.ending:
                self._close(word.ending)
        elif word.kind is _Kind.POWER:
            self._multiply(word)
        else:
            return self._connect(current, word, previous, following)
        return 1

    def _other(self, current: str) -> None:
        """A numeral, or a word that has nothing to do with numbers."""
        symbol = current[0] if current[0] in _SYMBOLS else ""
        numeral = current[len(symbol) :]
        if not _NUMERAL.fullmatch(numeral):
            self._close()
            self._write(current)
        elif isinstance(self.number, str) and self.number.endswith("."):
            self.number += current
        else:
            self._close()
            self.sign = symbol or self.sign
            value = Fraction(numeral)
            self.number = value.numerator if value.denominator == 1 else numeral

    def _multiply(self, word: _Word) -> None:
        """ "five thousand", "two hundred", "1.5 million": the last three digits said are multiplied."""
        product: int | None = word.value
        if isinstance(self.number, int):
            last = self.number % 1000
            product = self.number - last + last * word.value
        elif self.number is not None:
            product = _times(self.number, word.value)
            if product is None:
                self._close()
                product = word.value
        self.number = product
        if word.ending:
            self._close(word.ending)

    def _connect(self, current: str, word: _Word, previous: _Word | None, following: str) -> int:
        """A word that is no number itself: signs, currencies, per cent, "and", "double", "point"."""
        after = NUMBER_WORDS.get(following)
        number_follows = after is not None or _NUMERAL.fullmatch(following) is not None
        following_kind = _plain_kind(after)
        match word.kind:
            case _Kind.CURRENCY if self.number is not None:
                self.sign = word.symbol
                self._close()
            case _Kind.PERCENT if self.number is not None:
                self._close("%")
            case _Kind.PER if self.number is not None and following == "cent":
                self._close("%")
                return 2
            case _Kind.SIGN if number_follows:
                self._close()
                self.sign = word.symbol
            case _Kind.AND if number_follows and _plain_kind(previous) is _Kind.POWER:
                pass  # "two hundred and five"
            case _Kind.REPEAT if after is not None and following_kind in (_Kind.ZERO, _Kind.ONE):
                self.number = self._digits() + str(after.value) * word.value
                return 2
            case _Kind.POINT if number_follows:
                if after is None or following_kind in _SPOKEN_DIGITS:
                    self.number = self._digits() + "."
            case _:
                self._close()
                self._write(current)
        return 1


def _plain_kind(word: _Word | None) -> _Kind | None:
    """The kind of a word that is neither plural nor ordinal."""
    return None if word is None or word.ending else word.kind


def _append(number: int | str | None, value: int, previous: _Word | None) -> int | str:
    """Say `value` (0 to 19, or a multiple of ten) after `number`: "twenty" "one" → 21, "nineteen" "twenty" → "1920"."""
    before = _plain_kind(previous)
    if number is None:
        return value
    if isinstance(number, int):
        room = 10 if value < 10 else 100
        if number % room == 0 and not (before is _Kind.ONE and value < 20):
            return number + value
    elif before is _Kind.TEN and value < 10:
        return f"{number[:-1]}{value}"
    return f"{number}{value}"


def _times(number: str, factor: int) -> int | None:
    """A decimal times a power of ten, if that is a whole number."""
    try:
        product = Fraction(number) * factor
    except ValueError:
        return None
    return product.numerator if product.denominator == 1 else None
