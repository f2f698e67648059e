"""Text normalisers, by name and version.

A word error rate means little without the name of what was done to both texts before. A name ends in a version: what
a version does never changes, so a result that names one can be compared with any other that does.

==================================  ==================================================================================
`whisper-english-1`                 Whisper's English rules: numbers, currencies, contractions, titles, spellings
`basic-1`                           Whisper's rules for any language: no brackets, symbols, capitals
`basic-no-diacritics-1`             the same, é → e
`basic-letters-1`                   the same as `basic-1`, with a space between letters (Chinese, Japanese, Thai, …)
`basic-letters-no-diacritics-1`     both
`none-1`                            texts as they are
==================================  ==================================================================================
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from audiometry.benchmark.errors import UnknownNameError
from audiometry.tasks.metrics.normalise_basic import basic_normaliser
from audiometry.tasks.metrics.normalise_english import english_normaliser

__all__ = ["NORMALISERS", "Normaliser", "normalise", "normaliser", "normaliser_for"]

Normaliser = Callable[[str], str]


def _as_it_is() -> Normaliser:
    return str


NORMALISERS: Mapping[str, Callable[[], Normaliser]] = MappingProxyType(
    {
        "whisper-english-1": english_normaliser,
        "basic-1": basic_normaliser,
        "basic-no-diacritics-1": functools.partial(basic_normaliser, remove_diacritics=True),
        "basic-letters-1": functools.partial(basic_normaliser, split_letters=True),
        "basic-letters-no-diacritics-1": functools.partial(
            basic_normaliser, remove_diacritics=True, split_letters=True
        ),
        "none-1": _as_it_is,
    }
)
"""Name → what makes the normaliser."""


@functools.cache
def normaliser(name: str) -> Normaliser:
    """The normaliser of that name: a function from text to text, safe to call from any thread, made once a process.

    >>> normaliser("whisper-english-1")("It's twenty-five per cent, Dr. Who!")
    'it is 25% doctor who'

    Raises UnknownNameError for a name that is not in `NORMALISERS`.
    """
    make = NORMALISERS.get(name)
    if make is None:
        near = difflib.get_close_matches(name, NORMALISERS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(f"unknown normaliser {name!r}; {hint}available: {', '.join(NORMALISERS)}")
    return make()


def normaliser_for(language: str) -> str:
    """The name of the normaliser that a language's transcripts are scored with, unless a task says otherwise.

    `language` is an ISO 639 code or a tag that begins with one (`en`, `eng`, `en-GB`, `pt_BR`). English has its own
    rules; every other language gets `basic-1`.

    >>> normaliser_for("en-GB"), normaliser_for("fr")
    ('whisper-english-1', 'basic-1')
    """
    code = language.strip().lower().replace("_", "-").partition("-")[0]
    return "whisper-english-1" if code in ("en", "eng") else "basic-1"


def normalise(texts: Iterable[str], name: str) -> list[str]:
    """Normalise many texts with the normaliser of that name.

    >>> normalise(["Bonjour !", "ÇA VA ?"], "basic-1")
    ['bonjour ', 'ça va ']

    Raises UnknownNameError as `normaliser` does.
    """
    return list(map(normaliser(name), texts))
