"""Asterisk's prompts as parallel speech: the same prompt's recording and text in two languages.

The names are the alignment: ``vm-goodbye`` is what each language plays at that point. Not every name holds a
translation; which do was read entry by entry, and what is left out stands here with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from audiometry.tasks.corpora.utterance import Utterance, load_corpus

__all__ = ["LEAST_WORDS", "LEFT_OUT", "parallel_prompts", "why_left_out"]

LEAST_WORDS = 4
"""Words that both texts must have: below, prompts are words and beginnings of sentences, with many right renderings."""

NOT_TRANSLATIONS = re.compile(r"(?:digits|letters|phonetic)/.*")
"""Numbers, letters and spelling alphabets: each language has its own inventory under the same names."""

REPEATED = re.compile(r"confbridge-begin-glorious-[bc]")
"""Further recordings of a text that is there under another name."""

LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "*": {"vm-login": "a brand name and a keyword, worded anew in each language"},
    "es": {
        "vm-forwardoptions": "says something else (to leave a message pending)",
        "conf-roll-callcomplete": "says less (roll of calls complete)",
    },
    "fr": {
        "agent-newlocation": "says more (for immediate service, press pound)",
        "demo-moreinfo": "says that the message is not written yet",
        "tt-allbusy": "says something else (our staff, your call is important)",
        "tt-weasels": "says something else (snoopers)",
        "vm-nonumber": "says something else (this number is unknown to me)",
        "vm-num-i-have": "says something else (the number is)",
        "queue-youarenext": "says less (your call is next)",
    },
    "it": {
        "vm-then-pound": "has the currency for the key",
        "tt-allbusy": "says something else (the company, other clients)",
    },
    "ru": {
        "basic-pbx-ivr-main": "another company's text",
        "tt-weasels": "says something else (owls)",
        "confbridge-lock-out": "says only half (to unlock)",
        "demo-echotest": "says less than half",
        "followme/pls-hold-while-try": "says something else (you are being connected)",
        "followme/sorry": "says something else (no connection is possible)",
        "conf-onlyperson": "says something else (you are the first)",
        "priv-recordintro": "says something else (introduce yourself, please)",
    },
}
"""Names whose text in a language is no translation of the others, and why; ``*`` holds for every language."""


def why_left_out(name: str, source: str, target: str, texts: tuple[str, str]) -> str | None:
    """Why a prompt is no pair for these languages, or None if it is one. `texts` are those of source and target.

    >>> why_left_out("letters/a", "en", "fr", ("a", "a"))
    'numbers, letters and spelling alphabets'
    """
    if NOT_TRANSLATIONS.fullmatch(name):
        return "numbers, letters and spelling alphabets"
    if REPEATED.fullmatch(name):
        return "recorded again"
    for language in ("*", source, target):
        if name in LEFT_OUT.get(language, {}):
            return LEFT_OUT[language][name]
    if min(len(re.findall(r"\w+(?:['’-]\w+)*", text)) for text in texts) < LEAST_WORDS:
        return f"fewer than {LEAST_WORDS} words"
    return None


def parallel_prompts(source: str, target: str) -> list[tuple[Utterance, str]]:
    """Every usable pair: the recording in `source`, and the text in `target`, in the order of `source`'s corpus.

    Raises DataError if the prompts of either language are not prepared.
    """
    texts = {_name(one): one.text for one in load_corpus(f"asterisk-{target}")}
    pairs = ((one, texts.get(_name(one))) for one in load_corpus(f"asterisk-{source}"))
    return [
        (one, text)
        for one, text in pairs
        if text is not None and why_left_out(_name(one), source, target, (one.text, text)) is None
    ]


def _name(one: Utterance) -> str:
    return one.id.partition("/")[2]
