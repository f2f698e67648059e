"""One spoken utterance with what is known of it, and how a corpus of them is opened by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import CORPORA, Spec
from audiometry.benchmark.types import Audio

__all__ = ["SpeechCorpus", "Utterance", "duration_bucket", "load_corpus", "open_corpus", "speech_slices"]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A recording (with its length and digest where known) and its transcript.

    `language` is an ISO 639-1 code; `speaker` is a label that stays the same across corpora; an unknown fact is the
    empty string. `slices` are the groups that results are shown for.
    """

    id: str
    audio: Audio
    text: str
    language: str = ""
    speaker: str = ""
    gender: str = ""
    slices: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class SpeechCorpus(Protocol):
    """A corpus of utterances. `notes` are shown wherever results on it are (for example ``synthetic speech``)."""

    @property
    def name(self) -> str:
        """The registered name."""
        ...

    @property
    def language(self) -> str:
        """ISO 639-1 code, or the empty string where the utterances tell it."""
        ...

    @property
    def licence(self) -> str:
        """SPDX identifier, or how to find out."""
        ...

    @property
    def citation(self) -> str:
        """Whom to credit."""
        ...

    @property
    def synthetic(self) -> bool:
        """Whether a machine speaks."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What qualifies every number measured on it."""
        ...

    def ready(self) -> bool:
        """Whether the recordings are on this machine and whole."""
        ...

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Fetch, or read from the folder `source`."""
        ...

    def describe(self) -> Mapping[str, str]:
        """What is known without reading the recordings."""
        ...

    def utterances(self) -> Iterable[Utterance]:
        """Every usable utterance, in a fixed order. What is wrong is raised here, not in the middle.

        Raises DataError if the corpus is not prepared or not whole.
        """
        ...


def open_corpus(name: str, **settings: str) -> SpeechCorpus:
    """Open the speech corpus registered under `name`.

    Raises UnknownNameError for an unknown name, SettingError for a bad setting, and DataError for a corpus of
    another kind.
    """
    opened = CORPORA.create(Spec(name, tuple(sorted(settings.items()))))
    if not isinstance(opened, SpeechCorpus):
        raise DataError(f"corpus {name!r} holds no utterances with transcripts; name a speech corpus")
    return opened


def load_corpus(name: str, **settings: str) -> list[Utterance]:
    """Every usable utterance of the speech corpus registered under `name`.

    Raises what `open_corpus` raises, and DataError if the corpus is not prepared or not whole.
    """
    return list(open_corpus(name, **settings).utterances())


def duration_bucket(seconds: float | None) -> str:
    """Name of the duration group; the lower bound belongs to it. The names sort by length.

    >>> [duration_bucket(s) for s in (0.4, 1.0, 9.9, 10.0, None)]
    ['00-01 s', '01-03 s', '03-10 s', '10+ s', 'unknown']
    """
    if seconds is None:
        return "unknown"
    for bound, name in ((1.0, "00-01 s"), (3.0, "01-03 s"), (10.0, "03-10 s")):
        if seconds < bound:
            return name
    return "10+ s"


def speech_slices(*, language: str, gender: str, speaker: str, seconds: float | None) -> dict[str, str]:
    """The slices that every speech corpus has; a fact that is not known makes no slice.

    >>> speech_slices(language="en", gender="", speaker="ann", seconds=2.5)
    {'language': 'en', 'speaker': 'ann', 'duration': '01-03 s'}
    """
    known = {"language": language, "gender": gender, "speaker": speaker}
    return {name: value for name, value in known.items() if value} | {"duration": duration_bucket(seconds)}
