"""Whisper's basic normaliser, for any language: no brackets, symbols or capitals.

Source of the rules: Radford and others, "Robust speech recognition via large-scale weak supervision" (2022), appendix
C, as in the package whisper-normalizer 0.1.15, to which the tests compare every string.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Literal

from audiometry.tasks.metrics.normalise_rules import SYMBOLS_AND_DIACRITICS, SYMBOLS_AND_MARKS, without_brackets

__all__ = ["basic_normaliser"]


def basic_normaliser(*, remove_diacritics: bool = False, split_letters: bool = False) -> Callable[[str], str]:
    """Make a normaliser for any language.

    `remove_diacritics` strips combining marks (é → e); otherwise marks that do not compose become spaces, as in
    Whisper, which splits words of scripts that write vowels as marks (Hindi, Thai). `split_letters` puts a space
    between graphemes, for scripts that put none between words. White space at the ends can remain.

    >>> basic_normaliser()("¿Qué tal, Señor? [risas]")
    ' qué tal señor '
    >>> basic_normaliser(remove_diacritics=True, split_letters=True)("Čau!")
    'c a u '
    """
    form: Literal["NFKD", "NFKC"] = "NFKD" if remove_diacritics else "NFKC"
    translation = SYMBOLS_AND_DIACRITICS if remove_diacritics else SYMBOLS_AND_MARKS

    def normalise(text: str) -> str:
        text = without_brackets(text.lower())
        if not text.isascii():
            text = unicodedata.normalize(form, text)
        text = text.translate(translation).lower()
        if split_letters:
            import regex

            text = " ".join(regex.findall(r"\X", text))
        line = " ".join(text.split())
        if not line:
            return " " if text else ""
        return f"{' ' if text[0].isspace() else ''}{line}{' ' if text[-1].isspace() else ''}"

    return normalise
