"""What one entry of a corpus is where it is no transcribed speech: a spoofing trial, a captioned clip, a rated one, …

Every row has an `id`, that stays the same from run to run, its `audio`, and `slices`, the groups that results are
shown for. An unknown fact is the empty string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from audiometry.benchmark.types import Audio

__all__ = [
    "BONA_FIDE",
    "SPOOF",
    "CaptionedClip",
    "EmotionalUtterance",
    "Label",
    "RatedUtterance",
    "Rating",
    "SoundClip",
    "SpeakerUtterance",
    "SpoofingTrial",
    "VerificationTrial",
    "rating_columns",
]

Label: TypeAlias = Literal["bona fide", "spoof"]

BONA_FIDE: Label = "bona fide"
SPOOF: Label = "spoof"


@dataclass(frozen=True, slots=True)
class SpoofingTrial:
    """A recording that is bona fide or a spoof.

    `attack` names how a spoof was made, and is empty for bona fide speech. `codec` names the coding or transmission
    that the recording went through (``none``: none).
    """

    id: str
    audio: Audio
    label: Label
    attack: str = ""
    speaker: str = ""
    gender: str = ""
    codec: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpeakerUtterance:
    """A recording of a known speaker."""

    id: str
    audio: Audio
    speaker: str
    gender: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VerificationTrial:
    """Two utterances by their ids, and whether one speaker says both (`target`).

    A list of trials names each utterance many times; it is encoded once.
    """

    enrolment: str
    test: str
    target: bool
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaptionedClip:
    """A recording and what people wrote of it: one or several `references`, in the corpus' order."""

    id: str
    audio: Audio
    references: tuple[str, ...]
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SoundClip:
    """A recording and the events that are heard in it, by name: one or several."""

    id: str
    audio: Audio
    events: tuple[str, ...]
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmotionalUtterance:
    """A sentence spoken with an emotion: `emotion` and `intensity` are what the actor was asked for."""

    id: str
    audio: Audio
    emotion: str
    intensity: str
    text: str
    actor: str
    gender: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rating:
    """One rater's number for one utterance of one system; `slices` are what is known of the rater (age, gender, …)."""

    rater: str
    value: float
    slices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RatedUtterance:
    """A recording by a system, and every rating that people gave it."""

    id: str
    audio: Audio
    system: str
    utterance: str
    ratings: tuple[Rating, ...]
    slices: Mapping[str, str] = field(default_factory=dict)

    @property
    def mos(self) -> float:
        """Mean opinion score: the mean of the ratings, on their scale."""
        return sum(rating.value for rating in self.ratings) / len(self.ratings)


def rating_columns(rows: Iterable[RatedUtterance]) -> dict[str, list[str] | list[float]]:
    """The ratings of `rows` as the columns that `metrics.opinion.read_ratings` takes, one entry a rater and stimulus.

    Where a rater rated a stimulus several times, the mean of these ratings stands: they are not independent.

    >>> twice = (Rating("ann", 3.0), Rating("ann", 4.0), Rating("bob", 5.0))
    >>> rating_columns([RatedUtterance("a-u", Audio("u.wav"), "a", "u", twice)])
    {'rater': ['ann', 'bob'], 'system': ['a', 'a'], 'utterance': ['u', 'u'], 'rating': [3.5, 5.0]}
    """
    raters: list[str] = []
    systems: list[str] = []
    utterances: list[str] = []
    ratings: list[float] = []
    for row in rows:
        by_rater: dict[str, list[float]] = {}
        for rating in row.ratings:
            by_rater.setdefault(rating.rater, []).append(rating.value)
        for rater, values in by_rater.items():
            raters.append(rater)
            systems.append(row.system)
            utterances.append(row.utterance)
            ratings.append(sum(values) / len(values))
    return {"rater": raters, "system": systems, "utterance": utterances, "rating": ratings}
