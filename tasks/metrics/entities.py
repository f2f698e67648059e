"""Entities: numbers, letters, dates and names, of which one wrong word spoils the whole.

A word error rate counts "press four" for "press five" as half right. To a caller it is all wrong. So the spans of a
reference that carry its facts are found by rule, and each is right or wrong as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.metrics.word_alignment import align_words

__all__ = ["ENTITY_KINDS", "Entity", "EntityKind", "entity_counts", "entity_words", "find_entities"]

EntityKind = Literal["number", "letter", "phonetic", "date", "name"]
ENTITY_KINDS: tuple[EntityKind, ...] = get_args(EntityKind)

PHONETIC = frozenset((
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima",
    "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey", "xray",
    "yankee", "zulu", "niner",
))  # fmt: skip
MONTHS = frozenset((
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
))  # fmt: skip
WEEKDAYS = frozenset((
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
))  # fmt: skip
ALSO_VERBS = frozenset({"march", "may"})
"""Months that are other words where they are not written with a capital, or begin the text."""

SPELLINGS = {("x", "ray"): "xray", ("alfa",): "alpha", ("juliett",): "juliet", ("whisky",): "whiskey"}
"""Other ways to write a phonetic letter."""

NOT_NUMBERS = (
    "one moment", "one another", "one other", "one of", "one or more", "one who", "one that", "no one", "any one",
    "every one", "the one",
)  # fmt: skip
"""Phrases, as normalised, whose "one" is no number."""

_NUMBER = re.compile(r"[-+£€$¢]?\d[\d.]*(?:%|st|nd|rd|th|s)?|zero|one|ones")
_CLOCK = re.compile(r"\bo['’]\s?clock\b", re.IGNORECASE)
_LEADING_ZERO = re.compile(r"(?<![\w.,])0\d+(?![\w]|[.,]\d)")
_CAPITALS = re.compile(r"\b[A-Z]+(?:-[A-Z]+)*-[A-Z\d]+\b")
_ORDINAL = re.compile(r"(?<=\d)(?:st|nd|rd|th)$")
_DIGITS = re.compile(r"\d+")
_ACRONYM = re.compile(r"(?<!\w)(?:(?:[A-Z](?:\.?\d+)?[. ]?){2,}|[A-Z]\.\d+)(?!\w)")
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Entity:
    """Words `start` to `end` (not included) of a reference, as `entity_words` gives them, and what they are."""

    kind: EntityKind
    start: int
    end: int


def entity_words(text: str) -> list[str]:
    """The words in which entities are compared: Whisper's English normaliser, then digits and letters in one form.

    How a digit string is cut into groups is no fact, nor is whether letters are spelled apart, nor whether a day of a
    month is a first or a one: neighbouring words of digits alone are joined, and so are neighbouring single letters and
    groups of capitals with hyphens between; an ordinal after a month loses its ending. Zeros at the start of a digit
    string stay, which the normaliser alone drops.

    >>> entity_words("Call 055 12-34, PIN four two; M I S D N or x-ray, May 2nd")
    ['call', '0551234', 'pin', '42', 'misdn', 'or', 'xray', 'may', '2']
    """
    text = _CLOCK.sub("oclock", text)  # else "three o'clock" is "30 clock"
    text = _LEADING_ZERO.sub(lambda match: f" {' '.join(match[0])} ", text)
    text = _CAPITALS.sub(lambda match: match[0].replace("-", ""), text)
    words = normaliser("whisper-english-1")(text).split()
    for parts, whole in SPELLINGS.items():
        words = _replaced(words, parts, whole)
    days = [_ORDINAL.sub("", word) if before in MONTHS else word for before, word in pairwise(["", *words])]
    return _joined(_joined(days, _is_digits, at_least=2), _is_letter, at_least=2)


def find_entities(text: str, names: Collection[str] = ()) -> list[Entity]:
    """Spans of an English reference that hold a number, letters, a date or a name, in order; they do not overlap.

    The rules, first match wins, over the words of `entity_words`:

    - name: a phrase of `names` (as written, longest first), where `text` holds it;
    - phonetic: a word of the radio alphabet, where the whole text is made of such words and numbers;
    - date: a weekday or month ("may" and "march" only with a capital after another word, and nowhere without);
    - letter: a spelled acronym (capitals in `text`, as in "IAX", "H.323", "M I S D N"), or a single letter other than
      "a" and "i", or any single letter that is the whole text;
    - number: a word with digits once numbers are written so ("first", "oh" and "o" are too), with its sign, currency
      or ending, and "one"; but not in phrases such as "one moment" and "one of".

    >>> words = entity_words("Dial 500 for Digium on Monday")
    >>> [(one.kind, words[one.start:one.end]) for one in find_entities("Dial 500 for Digium on Monday", ["Digium"])]
    [('number', ['500']), ('name', ['digium']), ('date', ['monday'])]
    """
    words = entity_words(text)
    kinds: list[EntityKind | None] = [None] * len(words)
    found = []
    phrases = sorted((name for name in names if _holds(text, name)), key=len, reverse=True)
    acronyms = [match[0] for match in _ACRONYM.finditer(text)]
    for kind, phrase in [*(("name", one) for one in phrases), *(("letter", one) for one in acronyms)]:
        for start, end in _places(words, entity_words(phrase)):
            if not any(kinds[start:end]):
                kinds[start:end] = [kind] * (end - start)  # type: ignore[list-item]  # the literals above
                found.append(Entity(kind, start, end))  # type: ignore[arg-type]
    rule = _single_word_rule(text, words)
    idle = {at for phrase in NOT_NUMBERS for start, end in _places(words, phrase.split()) for at in range(start, end)}
    for place, word in enumerate(words):
        if kinds[place] is None and place not in idle and (single := rule(word)):
            found.append(Entity(single, place, place + 1))
    return sorted(found, key=lambda one: one.start)


def entity_counts(reference: str, hypothesis: str, names: Collection[str] = ()) -> dict[str, float]:
    """How many entities of each kind a reference has, and how many the hypothesis gets wrong.

    An entity is right when each of its words stands in the hypothesis, in the alignment of the two texts with the
    fewest word errors, and nothing is added within it. An entity added where the reference has none is a word error
    and no entity error.

    >>> counts = entity_counts("Press 4, or dial 8500.", "press four or dial 8 600")
    >>> counts["entities"], counts["entities_wrong"], counts["number_wrong"]
    (2.0, 1.0, 1.0)
    """
    words = entity_words(reference)
    aligned = align_words(words, entity_words(hypothesis))
    counts = {f"{kind}_{part}": 0.0 for kind in ENTITY_KINDS for part in ("count", "wrong")}
    for one in find_entities(reference, names):
        inside = aligned.inserted[one.start + 1 : one.end]
        right = all(aligned.hit[one.start : one.end]) and not any(inside)
        counts[f"{one.kind}_count"] += 1
        counts[f"{one.kind}_wrong"] += not right
    totals = {
        "entities": sum(counts[f"{kind}_count"] for kind in ENTITY_KINDS),
        "entities_wrong": sum(counts[f"{kind}_wrong"] for kind in ENTITY_KINDS),
    }
    return {**totals, **counts}


def _single_word_rule(text: str, words: Sequence[str]) -> Callable[[str], EntityKind | None]:
    """The kind of a word by itself, in this text."""
    radio = any(word in PHONETIC for word in words) and all(
        word in PHONETIC or _NUMBER.fullmatch(word) for word in words
    )
    written = _WORD.findall(text)
    capitals = {word.lower() for word in written[1:] if word[0].isupper()} - {
        word for word in written if word.islower()
    }

    def kind(word: str) -> EntityKind | None:
        if radio and word in PHONETIC:
            return "phonetic"
        if word in MONTHS | WEEKDAYS and (word not in ALSO_VERBS or word in capitals):
            return "date"
        if _is_letter(word) and (word not in ("a", "i") or len(words) == 1):
            return "letter"
        return "number" if _NUMBER.fullmatch(word) else None

    return kind


def _holds(text: str, phrase: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None


def _places(words: Sequence[str], phrase: Sequence[str]) -> list[tuple[int, int]]:
    """Where `phrase` stands in `words`."""
    size = len(phrase)
    if not size:
        return []
    return [(at, at + size) for at in range(len(words) - size + 1) if list(words[at : at + size]) == list(phrase)]


def _replaced(words: list[str], parts: tuple[str, ...], whole: str) -> list[str]:
    """`words` with each run of `parts` written as one word."""
    for start, end in reversed(_places(words, parts)):
        words = [*words[:start], whole, *words[end:]]
    return words


def _joined(words: Sequence[str], member: Callable[[str], bool], *, at_least: int) -> list[str]:
    """`words` with runs of members put together; a lone "one" within a run of digits is the digit 1."""
    joined: list[str] = []
    run: list[str] = []
    for word in [*words, ""]:
        if word and member(word):
            run.append(word)
            continue
        if len(run) >= at_least:
            joined.append("".join("1" if part == "one" else part for part in run))
        else:
            joined += run
        run = []
        if word:
            joined.append(word)
    return joined


def _is_digits(word: str) -> bool:
    return word == "one" or _DIGITS.fullmatch(word) is not None


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()
