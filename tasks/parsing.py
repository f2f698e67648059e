"""Strict parsing of what models answer in words. What does not parse is None: no guess stands in for it.

A closed question offers its answers in one line of the instruction (`offer`), which `offered` reads back, so that
models and wrappers see the same list that the task scores by. A parser accepts the answer alone, or the answer after
a short lead-in ("The answer is …"). Two answers, or an answer inside other words, do not parse: which one was meant
would be a guess.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from audiometry.benchmark.types import Output

__all__ = [
    "LETTERS",
    "label_of",
    "offer",
    "offered",
    "parse_choice",
    "parse_label",
    "parse_labels",
    "parse_object",
    "takes_several",
]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

OFFER = "Answer with exactly one of:"
OFFER_ALL = "Answer with every one that applies, one after the other as in this list, or with none:"
_OFFERED = re.compile(rf"^(?:{re.escape(OFFER)}|{re.escape(OFFER_ALL)}) (.+)\.$", re.MULTILINE)
_LEAD = re.compile(
    r"(?:the\s+)?(?:correct\s+|final\s+|best\s+)?(?:answer|option|choice|label|class|category|emotion|style|word|keyword"
    r"|sound|event|intent)s?\s*(?:is|are|was|:|=)\s*:?\s*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL | re.IGNORECASE)
_CHOICE = re.compile(r"\(?([A-Za-z])(?:[).:](?:\s+(.+))?|\)\s*[.:]?\s*(.*))?", re.DOTALL)
_NONE = "none"


def offer(labels: Sequence[str], *, several: bool = False) -> str:
    """The line of an instruction that offers `labels`; `several` asks for all that apply.

    They stand between commas, or between semicolons where a label holds a comma. Raises ValueError for a label that
    holds a semicolon or line break, or ends in a full stop: it could not be read back.

    >>> offer(["happy", "sad"])
    'Answer with exactly one of: happy, sad.'
    """
    for label in labels:
        if ";" in label or "\n" in label or label.endswith(".") or label != label.strip() or not label:
            raise ValueError(f"label {label!r} cannot be offered in a list")
    joint = "; " if any("," in label for label in labels) else ", "
    return f"{OFFER_ALL if several else OFFER} {joint.join(labels)}."


def takes_several(instruction: str | None) -> bool:
    """Whether an instruction asks for every label that applies.

    >>> takes_several(offer(["dog", "rain"], several=True)), takes_several("What is it?")
    (True, False)
    """
    return OFFER_ALL in (instruction or "")


def offered(instruction: str | None) -> list[str]:
    """The labels that an instruction offers (`offer`), in their order; none if it offers nothing.

    >>> offered("Listen. " + chr(10) + offer(["happy", "sad"]))
    ['happy', 'sad']
    """
    found = _OFFERED.search(instruction or "")
    if found is None:
        return []
    return found.group(1).split("; " if ";" in found.group(1) else ", ")


def parse_label(text: str, labels: Sequence[str]) -> str | None:
    """The one of `labels` that the answer is, or None.

    Case, quotes, marks of emphasis and a full stop around it do not matter; a lead-in such as "The emotion is" may
    stand before it.

    >>> parse_label("The emotion is **Happy**.", ["happy", "sad"]), parse_label("happy or sad", ["happy", "sad"])
    ('happy', None)
    """
    known = {_plain(label): label for label in labels}
    plain = _plain(text)
    return known.get(plain) or known.get(_plain(_unled(text)))


def parse_labels(text: str, labels: Sequence[str]) -> list[str] | None:
    """All of `labels` that the answer lists, in the order of `labels`; an empty list for the answer "none".

    The answer is a list with commas, semicolons or line breaks between (no commas where a label holds one); one item
    that is no label, and the whole does not parse (None).

    >>> parse_labels("dog, Rain", ["rain", "dog"]), parse_labels("None.", ["dog"]), parse_labels("a dog", ["dog"])
    (['rain', 'dog'], [], None)
    """
    body = _unled(text)
    if _plain(body) == _NONE and _NONE not in labels:
        return []
    between = r"[;\n]" if any("," in label for label in labels) else r"[,;\n]"
    items = [re.sub(r"^(?:[-*•]|\d+[.)])\s+", "", part.strip()) for part in re.split(between, body)]
    found = [parse_label(item, labels) for item in items if _plain(item)]
    if not found or None in found:
        return None
    return [label for label in labels if label in found]


def parse_choice(text: str, options: Sequence[str]) -> int | None:
    """Which option of a multiple-choice question the answer names, from 0, or None.

    The answer is a letter ("B", "(b)", "B."), a letter with its option ("B) Rome"), or the words of exactly one
    option; a lead-in ("The answer is") may stand before it. A letter beside the words of another option does not
    parse.

    >>> options = ["Oslo", "Rome"]
    >>> [parse_choice(text, options) for text in ("B", "The answer is (b) Rome.", "rome", "B) Oslo", "C", "both")]
    [1, 1, 1, None, None, None]

    Raises ValueError for more options than letters.
    """
    if len(options) > len(LETTERS):
        raise ValueError(f"{len(options)} options; there are {len(LETTERS)} letters")
    for body in dict.fromkeys((_stripped(text), _stripped(_unled(text)))):
        said = [place for place, option in enumerate(options) if _plain(option) == _plain(body)]
        if len(said) == 1:
            return said[0]
        lettered = _CHOICE.fullmatch(body)
        if lettered is None:
            continue
        place = LETTERS.index(lettered.group(1).upper())
        words = lettered.group(2) or lettered.group(3)
        if place < len(options) and (not words or _plain(words) == _plain(options[place])):
            return place
    return None


def parse_object(text: str) -> Mapping[str, Any] | None:
    """The JSON object that the answer is, alone or in one fenced block, or None.

    >>> parse_object('```json' + chr(10) + '{"intent": "stop"}' + chr(10) + '```'), parse_object("intent: stop")
    ({'intent': 'stop'}, None)
    """
    body = text.strip()
    fenced = _FENCE.fullmatch(body)
    try:
        found = json.loads(fenced.group(1) if fenced else body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def label_of(output: Output, labels: Sequence[str]) -> str | None:
    """The one of `labels` that an answer gives: its text, or the label with the highest score, read by `parse_label`.

    None where there is neither, where it does not parse, and where two labels share the highest score.

    >>> label_of(Output(labels={"sad": 0.2, "Happy": 0.7}), ["happy", "sad"])
    'happy'
    """
    if not output.labels:
        return None if output.text is None else parse_label(output.text, labels)
    best = max(output.labels.values())
    first = [name for name, value in output.labels.items() if value == best]
    return parse_label(first[0], labels) if len(first) == 1 else None


def _stripped(text: str) -> str:
    """Without white space, quotes, emphasis and closing marks around it."""
    return re.sub(r"^[\s\"'“”‘’*_`]+|[\s\"'“”‘’*_`.!]+$", "", text)


def _unled(text: str) -> str:
    """Without a lead-in at its beginning."""
    stripped = _stripped(text)
    led = _LEAD.match(stripped)
    return stripped[led.end() :] if led else stripped


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", _stripped(text)).casefold().split())
