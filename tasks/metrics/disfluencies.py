"""Disfluent speech: putting disfluencies into a text, taking them out again, and counting what was kept of them.

Transcripts follow the custom of conversational corpora: fillers are written as words, and two hyphens end what the
speaker gave up ("Turn -- turn off the light"). So a verbatim transcript says by itself what its fluent form is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Literal, get_args

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.normalise import normaliser
from audiometry.tasks.metrics.transcription import count_tokens
from audiometry.tasks.metrics.word_alignment import align_words

__all__ = [
    "DISFLUENCIES",
    "Disfluency",
    "as_spoken",
    "disfluency_counts",
    "find_disfluencies",
    "fluent",
    "insert_disfluency",
]

Kind = Literal["filler", "repeat", "false_start"]
DISFLUENCIES: tuple[Kind, ...] = get_args(Kind)

FILLERS = ("um", "uh")
"""What is inserted."""

HESITATION = "hesitation"
_FILLER = re.compile(r"\b(?:u+h*m+|u+h+|e+rm*|h+m+|m+h*m+|a+h+)\b(?![.'’-]\w)", re.IGNORECASE)
_GIVEN_UP = ("I think we", "What I", "Maybe you should", "So the", "Well we could")
"""Beginnings that lead nowhere; each is followed by the whole sentence."""


@dataclass(frozen=True, slots=True)
class Disfluency:
    """Words `start` to `end` (not included) of a verbatim transcript that a fluent speaker would not have said."""

    kind: Kind
    start: int
    end: int


def insert_disfluency(text: str, kind: str, seed: int) -> str:
    """A verbatim transcript of `text` with one kind of disfluency, at a seeded place.

    A filler is put between two words (two fillers from eight words on); a repeat gives up one or two words and says
    them again; a false start gives up another beginning and starts over.

    >>> insert_disfluency("Turn off the kitchen light.", "filler", 3)
    'Turn off um the kitchen light.'

    Raises DataError for an unknown kind, or for a text of fewer than three words.
    """
    words = text.split()
    if kind not in DISFLUENCIES or len(words) < 3:
        raise DataError(f"no {kind} can be put into {text!r}; give three words or more and one of {DISFLUENCIES}")
    random = Random(seed)
    if kind == "false_start":
        first = words[0].casefold()
        return f"{random.choice([one for one in _GIVEN_UP if one.split()[-1].casefold() != first])} -- {text}"
    if kind == "filler":
        places = sorted(random.sample(range(1, len(words)), 2 if len(words) >= 8 else 1), reverse=True)
        for place in places:
            words.insert(place, random.choice(FILLERS))
        return " ".join(words)
    size = min(random.choice((1, 2)), len(words) - 2)
    start = random.randrange(1, len(words) - size)
    return " ".join([*words[: start + size], "--", *words[start:]])


def as_spoken(transcript: str) -> str:
    """What to hand to a synthesiser: pauses as commas.

    >>> as_spoken("Turn off uh the -- the light."), as_spoken("So the -- Close it.")
    ('Turn off, uh, the, the light.', 'So the, Close it.')
    """
    text = re.sub(r"[,;]?\s+--", ",", transcript)
    return re.sub(r",?\s+(um|uh)\s", r", \1, ", text)


def find_disfluencies(transcript: str) -> list[Disfluency]:
    """The disfluencies of a verbatim transcript, over the words that `str.split` gives without the marks ``--``.

    A filler is a word such as "um", "uh", "er" or "hmm". Before ``--`` stands a repeat, if the words before it are
    those after it (as many as agree, apart from case and marks), or else a false start, back to the sentence's start.

    >>> find_disfluencies("Turn off -- turn off um the light.")
    [Disfluency(kind='repeat', start=0, end=2), Disfluency(kind='filler', start=4, end=5)]
    """
    words, breaks = _words_and_breaks(transcript)
    plain = [word.strip(".,?!;:").casefold() for word in words]
    found = [Disfluency("filler", at, at + 1) for at, word in enumerate(plain) if _FILLER.fullmatch(word)]
    for place in breaks:
        agreeing = [
            size
            for size in range(1, min(place, len(words) - place) + 1)
            if plain[place - size : place] == plain[place : place + size]
        ]
        if agreeing:
            found.append(Disfluency("repeat", place - agreeing[-1], place))
        else:
            ends = [at + 1 for at in range(place - 1) if words[at][-1] in ".?!"]
            found.append(Disfluency("false_start", max(ends, default=0), place))
    return sorted(found, key=lambda one: (one.start, one.end))


def fluent(transcript: str) -> str:
    """The transcript without its disfluencies.

    >>> fluent("Turn off -- turn off um the light."), fluent("So we -- Close the door.")
    ('turn off the light.', 'Close the door.')
    """
    words, _ = _words_and_breaks(transcript)
    dropped = {at for one in find_disfluencies(transcript) for at in range(one.start, one.end)}
    return " ".join(word for at, word in enumerate(words) if at not in dropped)


def disfluency_counts(transcript: str, hypothesis: str) -> dict[str, float]:
    """Word errors of a hypothesis against the verbatim and against the fluent transcript, and disfluencies kept.

    Texts are normalised by Whisper's English rules. Against the verbatim transcript every filler, on both sides, is
    one and the same word, so that "um" for "uh" is right and a filler left out is a deletion. Against the fluent one
    fillers are dropped on both sides, and a repeat or false start that was written down is insertions. A disfluency
    is kept when all its words, and for a repeat those said again too, stand in the alignment with the verbatim
    transcript.

    >>> counts = disfluency_counts("Turn um off -- off the light", "turn off the light")
    >>> counts["verbatim_errors"], counts["verbatim_words"], counts["cleaned_errors"], counts["cleaned_words"]
    (2.0, 6.0, 0.0, 4.0)
    >>> counts["filler_kept"], counts["filler_count"], counts["repeat_kept"], counts["repeat_count"]
    (0.0, 1.0, 0.0, 1.0)
    """
    spans = find_disfluencies(transcript)
    verbatim, starts = _verbatim(transcript, spans)
    said = _with_fillers(hypothesis)
    cleaned, without = _without_fillers(fluent(transcript)), _without_fillers(hypothesis)
    edits = count_tokens([verbatim, cleaned], [said, without])
    counts = {
        "verbatim_errors": float(edits.errors[0]),
        "verbatim_words": float(len(verbatim)),
        "cleaned_errors": float(edits.errors[1]),
        "cleaned_words": float(len(cleaned)),
    }
    counts |= {f"{kind}_{part}": 0.0 for kind in DISFLUENCIES for part in ("count", "kept")}
    aligned = align_words(verbatim, said)
    for one in spans:
        counts[f"{one.kind}_count"] += 1
        counts[f"{one.kind}_kept"] += all(aligned.hit[starts[one.start] : starts[_last(one)]])
    return counts


def _words_and_breaks(transcript: str) -> tuple[list[str], list[int]]:
    """Words without the marks ``--``, and before which word each mark stands."""
    words: list[str] = []
    breaks = []
    for word in transcript.split():
        if word == "--":
            breaks.append(len(words))
        else:
            words.append(word)
    return words, [place for place in breaks if place]


def _last(one: Disfluency) -> int:
    """Where the words end that must be heard for it to be kept: those said again belong to a repeat."""
    return one.end + (one.end - one.start if one.kind == "repeat" else 0)


def _verbatim(transcript: str, spans: list[Disfluency]) -> tuple[list[str], dict[int, int]]:
    """Normalised words, and where in them each edge of a disfluency is; texts between edges are normalised alone."""
    words, _ = _words_and_breaks(transcript)
    edges = sorted({0, len(words)} | {edge for one in spans for edge in (one.start, one.end, _last(one))})
    normalised: list[str] = []
    starts = {0: 0}
    for start, end in pairwise(edges):
        normalised += _with_fillers(" ".join(words[start:end]))
        starts[end] = len(normalised)
    return normalised, starts


def _with_fillers(text: str) -> list[str]:
    return normaliser("whisper-english-1")(_FILLER.sub(HESITATION, text)).split()


def _without_fillers(text: str) -> list[str]:
    return normaliser("whisper-english-1")(_FILLER.sub(" ", text)).split()
