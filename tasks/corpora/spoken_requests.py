"""`spoken-requests-en`: short questions as people ask them, fluently, with slips, and cutting in.

Each question is put together by rule in several forms, and spoken on the user's machine by one neural voice. The clips
are named ``NN-FORM``; ``story`` and ``NN-taken-back`` are what the user had said before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Turn, Waveform
from audiometry.tasks.corpora.espeak_speech import speak
from audiometry.tasks.corpora.making import (
    HIBARI,
    RATE,
    hibari_speaker,
    levelled,
    no_source,
    package_versions,
    trimmed,
    write_clip,
)
from audiometry.tasks.corpora.prepared import Built, PreparedCorpus, Report
from audiometry.tasks.corpora.spoken import LICENCE

__all__ = [
    "BROKEN_OFF",
    "CONTINUATION",
    "FORMS",
    "GOING_ON",
    "QUESTIONS",
    "SPOKEN_FORMS",
    "STORY",
    "Form",
    "Question",
    "phrase",
    "spoken_requests",
    "spoken_texts",
    "talked_over",
]

NAME = "spoken-requests-en"

Form = Literal["fluent", "disfluent", "interrupted", "corrected", "talked-over"]
FORMS: tuple[Form, ...] = ("fluent", "disfluent", "interrupted", "corrected")
SPOKEN_FORMS: tuple[Form, ...] = (*FORMS, "talked-over")
"""Those that can be written, and one that can only be heard: an interruption with both voices at once."""


@dataclass(frozen=True, slots=True)
class Question:
    """A frame with a place for the thing asked about; that thing, and its answer; another thing, and its answer."""

    frame: str
    asked: str
    answer: str
    other: str
    other_answer: str


QUESTIONS = (
    Question("what is the capital of {}", "France", "Paris", "Germany", "Berlin"),
    Question("what is the capital of {}", "Japan", "Tokyo", "Italy", "Rome"),
    Question("what is the capital of {}", "Egypt", "Cairo", "Spain", "Madrid"),
    Question("what is the capital of {}", "Norway", "Oslo", "Greece", "Athens"),
    Question("how many legs does {} have", "a spider", "8", "an ant", "6"),
    Question("how many days are there in {}", "June", "30", "July", "31"),
    Question("how many days are there in {}", "a week", "7", "a leap year", "366"),
    Question("how many minutes are there in {}", "two hours", "120", "half an hour", "30"),
    Question("what is {}", "seven plus five", "12", "seven times five", "35"),
    Question("what is {}", "nine times three", "27", "nine minus three", "6"),
    Question("what is {}", "one hundred minus ten", "90", "one hundred plus ten", "110"),
    Question("which month comes after {}", "March", "April", "September", "October"),
    Question("which month comes before {}", "August", "July", "March", "February"),
    Question("which day comes after {}", "Monday", "Tuesday", "Thursday", "Friday"),
    Question("what is the opposite of {}", "hot", "cold", "tall", "short"),
    Question("what is the opposite of {}", "empty", "full", "late", "early"),
    Question("what is the French word for {}", "cat", "chat", "dog", "chien"),
    Question("what is the Spanish word for {}", "house", "casa", "water", "agua"),
    Question("which planet is {}", "closest to the sun", "Mercury", "the largest of all", "Jupiter"),
    Question("what is the chemical symbol of {}", "oxygen", "O", "hydrogen", "H"),
    Question("who wrote {}", "Hamlet", "Shakespeare", "War and Peace", "Tolstoy"),
    Question("who wrote {}", "Faust", "Goethe", "Don Quixote", "Cervantes"),
    Question("what colour do you get from {}", "blue and yellow", "green", "red and yellow", "orange"),
    Question("what do you call a young {}", "dog", "puppy", "cat", "kitten"),
)

STORY = "Tell me how bread is made."
BROKEN_OFF = "Gladly. You begin with flour, water, salt and yeast. You knead the dough for ten minutes, then you let it"
CONTINUATION = ("dough", "oven", "yeast", "flour", "knead")
"""Words of the talk that was broken off; none of them is in any answer."""

GOING_ON = "rest for an hour, and then you shape the loaf"
"""What the assistant still says while it is interrupted."""

ASSISTANT_VOICE = "en-us"
LEAD_SECONDS, OVERLAP_SECONDS, FADE_SECONDS = 0.4, 1.2, 0.1
ASSISTANT_LEVEL = 10 ** (-10 / 20)
"""The assistant is heard 10 dB below the user: through a loudspeaker, not at the microphone."""


def phrase(question: Question, form: Form) -> tuple[str, tuple[Turn, ...]]:
    """What the user says, and the turns before it.

    >>> phrase(QUESTIONS[0], "disfluent")[0]
    'Um, what what is the capital of, uh, Germany, no, sorry, I mean, uh, France?'
    """
    asked, other = question.frame.format(question.asked), question.frame.format(question.other)
    if form == "fluent":
        return f"{_capital(asked)}?", ()
    if form == "disfluent":
        return f"Um, {_disfluent(question)}?", ()
    if form in ("interrupted", "talked-over"):
        turns = (Turn("user", STORY), Turn("assistant", f"{BROKEN_OFF}—"))
        return f"Stop, that is enough. {_capital(asked)}?", turns
    turns = (Turn("user", f"{_capital(other)}?"), Turn("assistant", "Let me see. That is—"))
    return f"No, wait, I meant {question.asked}: {asked}?", turns


def _disfluent(question: Question) -> str:
    """The first word twice, a filler before the thing, and the wrong thing taken back."""
    first, rest = question.frame.split(" ", 1)
    repaired = f"uh, {question.other}, no, sorry, I mean, uh, {question.asked}"
    stuttered = f"{first} {first} {rest}"
    return stuttered.replace(" {}", f", {repaired}")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def spoken_texts() -> Iterator[tuple[str, str]]:
    """(clip's name, what the user says) of every clip.

    >>> dict(spoken_texts())["01-taken-back"]
    'What is the capital of Germany?'
    """
    yield "story", STORY
    for number, question in enumerate(QUESTIONS, 1):
        yield f"{number:02d}-taken-back", phrase(question, "corrected")[1][0].text or ""
        for form in SPOKEN_FORMS:
            yield f"{number:02d}-{form}", phrase(question, form)[0]


def talked_over(user: Waveform, assistant: Waveform) -> Waveform:
    """The user cutting in on the assistant: both at once, at 16 kHz.

    The assistant is heard alone for 0.4 s and then for another 1.2 s under the user, 10 dB below, and fades out in
    the last 0.1 s. Silence at the ends of both is cut away first.
    """
    said, other = (trimmed(levelled(voice)) for voice in (user, assistant))
    lead, fade = round(LEAD_SECONDS * RATE), round(FADE_SECONDS * RATE)
    heard = ASSISTANT_LEVEL * other[: lead + round(OVERLAP_SECONDS * RATE)]
    fade = min(fade, len(heard))
    heard[len(heard) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    mixed = np.zeros(max(lead + len(said), len(heard)), np.float32)
    mixed[lead : lead + len(said)] += said
    mixed[: len(heard)] += heard
    return Waveform(mixed / max(1.0, float(np.abs(mixed).max())), RATE)


@corpus(NAME, needs="synthetic", language="en", licence=LICENCE, package="hibari-tts", speech="synthetic")
def spoken_requests() -> PreparedCorpus:
    """Synthetic English: 24 questions asked fluently, with slips, and as interruptions; one neural voice."""
    return PreparedCorpus(
        name=NAME,
        language="en",
        licence=LICENCE,
        citation="spoken by the hibari-tts voice heart (distilled from Kokoro-82M); espeak-ng where two voices meet",
        build=_build,
        synthetic=True,
        notes=("synthetic speech",),
        slices={"speech": "synthetic"},
    )


def _build(folder: Path, source: str | None, report: Report) -> Built:
    no_source(NAME, source)
    voice = hibari_speaker(NAME)
    assistant = speak(GOING_ON, ASSISTANT_VOICE).waveform
    said = list(spoken_texts())
    report(f"speaking {len(said)} texts")
    clips = []
    for seed, (name, text) in enumerate(said):
        waveform = voice(text, seed)
        clips.append(
            write_clip(
                folder, NAME, name, talked_over(waveform, assistant) if name.endswith("talked-over") else waveform,
                text=text, speaker=HIBARI, language="en", gender="female", licence=LICENCE,
            )
        )  # fmt: skip
    return Built(clips, origin=package_versions("hibari-tts", "onnxruntime", "espeakng-loader"))
