"""Rules that Whisper's English and basic normalisers share: brackets, and what becomes of each character."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["KEPT_SYMBOLS", "SYMBOLS_AND_DIACRITICS", "SYMBOLS_AND_MARKS", "SYMBOLS_BUT_KEPT", "without_brackets"]

KEPT_SYMBOLS = ".%$¢€£"
"""What may belong to a number and so stays until numbers are read."""

_BRACKETS = re.compile(r"[<\[][^>\]]*[>\]]")
_PARENTHESES = re.compile(r"\([^)]+?\)")

_LETTERS = {
    "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ß": "ss", "ẞ": "SS", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "th", "ł": "l", "Ł": "L",
}  # fmt: skip
"""Letters that no Unicode normal form takes apart."""


class _Translation(dict[int, str]):
    """Code point → replacement for `str.translate`, looked up in Unicode's tables at first sight."""

    def __init__(self, *, keep: str = "", fold: bool = True) -> None:
        super().__init__()
        self.keep = keep
        self.fold = fold

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in self.keep:
            replacement = character
        elif self.fold and character in _LETTERS:
            replacement = _LETTERS[character]
        elif self.fold and category == "Mn":
            replacement = ""
        else:
            replacement = " " if category[0] in "MSP" else character
        self[code] = replacement
        return replacement


SYMBOLS_AND_MARKS = _Translation(fold=False)
"""Marks, symbols and punctuation → a space."""
SYMBOLS_AND_DIACRITICS = _Translation()
"""Non-spacing marks → nothing, letters that do not decompose → ASCII, other marks, symbols, punctuation → a space."""
SYMBOLS_BUT_KEPT = _Translation(keep=KEPT_SYMBOLS)
"""The same, but for the symbols that numbers need."""


def without_brackets(text: str) -> str:
    """Remove what stands in square, angle or round brackets, brackets included.

    >>> without_brackets("yes (laughs) no <noise] [x]")
    'yes  no  '
    """
    if "[" in text or "<" in text:
        text = _BRACKETS.sub("", text)
    return _PARENTHESES.sub("", text) if "(" in text else text
