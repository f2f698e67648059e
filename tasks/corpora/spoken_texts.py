"""Corpora of texts made by rule and spoken by machines: `spoken-entities` and `spoken-disfluencies`.

The texts depend on nothing but this file. Numbers on them say how a model does on these synthetic voices.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.seeds import derive_seed
from audiometry.tasks.corpora.espeak_speech import speak
from audiometry.tasks.corpora.making import HIBARI, hibari_speaker, no_source, package_versions, write_clip
from audiometry.tasks.corpora.prepared import Built, PreparedCorpus, Report
from audiometry.tasks.corpora.sentences import SENTENCES
from audiometry.tasks.metrics.disfluencies import DISFLUENCIES, as_spoken, insert_disfluency

__all__ = ["NAMES", "disfluent_texts", "entity_texts", "spoken_disfluencies", "spoken_entities"]

ESPEAK_VOICE = "en-us"
ESPEAK = "espeak-en-us"
NOTES = ("synthetic speech",)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = ("January", "February", "April", "June", "July", "August", "October", "December")
ORDINALS = ("second", "fourth", "eleventh", "thirteenth", "nineteenth", "thirtieth")
PEOPLE = ("Margaret", "Oliver", "Hannah", "Marcus", "Sofia", "Henderson", "Patel", "Bennett", "Isabel", "Fitzgerald")
PLACES = ("Dublin", "Boston", "Lisbon", "Cardiff", "Denver", "Valencia", "Vienna", "Oslo", "Nairobi", "Melbourne")
NAMES = (*PEOPLE, *PLACES)
"""The proper names in `spoken-entities`."""

EACH = 12
FLUENT_SENTENCES = 24


def entity_texts() -> dict[str, str]:
    """Texts by name: digit strings of 4, 7 and 10, amounts, codes of letters and digits, dates, names; 12 of each.

    >>> texts = entity_texts()
    >>> len(texts), texts["digits-04-01"]
    (84, 'Your code is six zero one three.')
    """
    texts = {}
    for kind in ("digits-04", "digits-07", "digits-10", "amount", "letters", "date", "name"):
        for number in range(1, EACH + 1):
            name = f"{kind}-{number:02d}"
            texts[name] = _entity_text(kind, Random(derive_seed(0, "spoken-entities", name)))
    return texts


def _entity_text(kind: str, random: Random) -> str:
    if kind.startswith("digits"):
        size = int(kind[-2:])
        carrier = {4: "Your code is", 7: "Please dial", 10: "The account number is"}[size]
        return f"{carrier} {' '.join(random.choices(DIGITS, k=size))}."
    if kind == "amount":
        return f"The total comes to {random.choice(TENS)} {random.choice(DIGITS[1:])} dollars."
    if kind == "letters":
        code = [*random.choices(LETTERS, k=3), *random.choices(DIGITS, k=2)]
        return f"The booking reference is {' '.join(code)}."
    if kind == "date":
        return f"We meet on {random.choice(DAYS)}, {random.choice(MONTHS)} {random.choice(ORDINALS)}."
    return f"My name is {random.choice(PEOPLE)} and I am calling from {random.choice(PLACES)}."


def disfluent_texts() -> Iterator[tuple[str, str]]:
    """(name, transcript) of 24 sentences, each fluent and with each kind of disfluency.

    >>> dict(disfluent_texts())["repeat-01"]
    'Turn off the -- off the kitchen light.'
    """
    fluent = [text for kind in ("command", "question", "statement") for text in SENTENCES[kind] if _plain(text)]
    step = len(fluent) / FLUENT_SENTENCES
    for number in range(1, FLUENT_SENTENCES + 1):
        text = fluent[int((number - 1) * step)]
        for kind in ("fluent", *DISFLUENCIES):
            name = f"{kind}-{number:02d}"
            seed = derive_seed(0, "spoken-disfluencies", name)
            yield name, text if kind == "fluent" else insert_disfluency(text, kind, seed)


def _plain(text: str) -> bool:
    """Whether a sentence is long enough to stumble in, and has no number, which can be written in two ways."""
    words = text.lower().strip(".?").split()
    numbers = {*DIGITS, *TENS, "ten", "eleven", "twelve", "first", "second", "third", "half", "quarter"}
    return len(words) >= 5 and not numbers & set(words)


@corpus("spoken-entities", needs="synthetic", language="en", licence="see voices", speech="synthetic")
def spoken_entities() -> PreparedCorpus:
    """Synthetic English: 84 texts of digits, codes, amounts, dates and names, each spoken by two synthesisers."""
    return _made("spoken-entities", _build_entities, "spoken by hibari-tts (voice heart) and espeak-ng (en-us)")


@corpus("spoken-disfluencies", needs="synthetic", language="en", licence="Apache-2.0", speech="synthetic")
def spoken_disfluencies() -> PreparedCorpus:
    """Synthetic English: 24 sentences spoken fluently and with fillers, repeats and false starts, one neural voice."""
    return _made("spoken-disfluencies", _build_disfluencies, "spoken by the hibari-tts voice heart")


def _made(name: str, build: object, citation: str) -> PreparedCorpus:
    return PreparedCorpus(
        name=name, language="en", licence="Apache-2.0", citation=citation, build=build, synthetic=True,  # type: ignore[arg-type]
        notes=NOTES, slices={"speech": "synthetic"},
    )  # fmt: skip


def _build_entities(folder: Path, source: str | None, report: Report) -> Built:
    no_source("spoken-entities", source)
    neural = hibari_speaker("spoken-entities")
    texts = entity_texts()
    report(f"speaking {len(texts)} texts by two synthesisers")
    clips = []
    for seed, (name, text) in enumerate(texts.items()):
        spoken = {HIBARI: neural(text, seed), ESPEAK: speak(text, ESPEAK_VOICE).waveform}
        for speaker, waveform in spoken.items():
            gender = "female" if speaker == HIBARI else "male"
            clips.append(
                write_clip(
                    folder, "spoken-entities", f"{speaker}/{name}", waveform, text=text, speaker=speaker,
                    language="en", gender=gender, licence="Apache-2.0",
                )
            )  # fmt: skip
    return Built(clips, origin=package_versions("hibari-tts", "onnxruntime", "espeakng-loader"))


def _build_disfluencies(folder: Path, source: str | None, report: Report) -> Built:
    no_source("spoken-disfluencies", source)
    neural = hibari_speaker("spoken-disfluencies")
    texts = list(disfluent_texts())
    report(f"speaking {len(texts)} sentences")
    clips = [
        write_clip(
            folder, "spoken-disfluencies", name, neural(as_spoken(text), seed), text=text, speaker=HIBARI,
            language="en", gender="female", licence="Apache-2.0",
        )
        for seed, (name, text) in enumerate(texts)
    ]  # fmt: skip
    return Built(clips, origin=package_versions("hibari-tts", "onnxruntime"))
