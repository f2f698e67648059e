"""Conditions: what happens to every recording of a corpus before a model hears it, as one line of text.

A condition is steps joined by ``+``; a step is a transform's name and its settings, joined by ``/``::

    noise/kind=pink/snr=5
    reverberation/rt60=0.6/distance=2+babble/snr=10/corpus=asterisk-en+codec/name=amr-nb

or one of the names in `CONDITIONS`. Every recording draws anew, from its own id: the same in every run and process.
The draw does not depend on the settings, so one recording has one noise at every signal-to-noise ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance
from audiometry.tasks.transforms import Settings, convert, make_transform

__all__ = ["CONDITIONS", "Condition", "ConditionedCorpus", "apply_condition", "conditioned", "parse_condition"]

CONDITIONS: Mapping[str, str] = {
    "telephone": "band-limit/low=300/high=3400+codec/name=g711-mulaw",
    "mobile": "codec/name=amr-nb/bitrate=4.75",
    "video-call": "packet-loss/rate=0.05/burst=2/conceal=repeat+codec/name=opus/bitrate=12",
    "far": "reverberation/rt60=0.6/distance=2",
    "far-noisy": "reverberation/rt60=0.6/distance=2+noise/kind=pink/snr=10",
    "street": "noise/kind=pink/snr=5",
    "cafe": "babble/snr=5",
    "overdriven": "clipping/share=0.2",
}
"""Conditions with a name of their own."""

LENGTH_CHANGES = ("speed", "tempo")


@dataclass(frozen=True)
class Condition:
    """Steps of (transform, settings), in the order in which they happen. `text` is how it was written."""

    text: str
    steps: tuple[tuple[str, Settings], ...]


def parse_condition(text: str, *, babble: str = "") -> Condition:
    """Read a condition, as the module's docstring shows. `babble` is the corpus for babble that names none.

    Raises SettingError for what is no condition, a setting that a transform does not take or a value out of range,
    UnknownNameError for a transform that is not there, and a UserError where what it needs is missing.

    >>> parse_condition("gain/db=-6+noise/kind=white/snr=10").steps
    (('gain', {'db': -6.0}), ('noise', {'kind': 'white', 'snr': 10.0}))
    """
    steps = []
    for step in CONDITIONS.get(text, text).split("+"):
        name, *rest = step.strip().split("/")
        settings: dict[str, str] = {}
        for part in rest:
            key, equals, value = part.partition("=")
            if not equals or not key or key in settings:
                raise SettingError(
                    f"condition {text!r}: {part!r} is no setting, or is given twice; write NAME/key=value/key=value, "
                    f"steps joined by '+', or one of: {', '.join(CONDITIONS)}"
                )
            settings[key] = value
        if not name:
            raise SettingError(f"condition {text!r} has an empty step; write one of: {', '.join(CONDITIONS)}, or steps")
        if name == "babble":
            settings.setdefault("corpus", babble)
        steps.append((name, convert(name, settings)))
    return Condition(text, tuple(steps))


def apply_condition(condition: Condition, audio: Audio, *, key: str, seed: int = 0) -> Audio:
    """`audio` as it is heard in the condition; `key` (the utterance's id) and `seed` decide what is drawn.

    Raises a UserError where what a step needs is missing (the corpus of babble, say).
    """
    made = list(audio.transforms)
    seconds = audio.seconds
    for place, (name, settings) in enumerate(condition.steps):
        drawn = derive_seed(seed, "condition", name, str(place), key)
        made.append(make_transform(name, settings, audio=audio, seed=drawn))
        if name in LENGTH_CHANGES and seconds is not None:
            seconds /= float(settings["factor"])
    return replace(audio, transforms=tuple(made), seconds=seconds)


@dataclass(frozen=True)
class ConditionedCorpus:
    """A speech corpus whose every recording is heard in a condition. Everything else is the corpus' own."""

    corpus: SpeechCorpus
    condition: Condition
    seed: int = 0

    @property
    def name(self) -> str:
        """The corpus' name and the condition."""
        return f"{self.corpus.name} in {self.condition.text}"

    @property
    def language(self) -> str:
        """The corpus' language."""
        return self.corpus.language

    @property
    def licence(self) -> str:
        """The corpus' licence."""
        return self.corpus.licence

    @property
    def citation(self) -> str:
        """Whom to credit for the recordings."""
        return self.corpus.citation

    @property
    def synthetic(self) -> bool:
        """Whether a machine speaks."""
        return self.corpus.synthetic

    @property
    def notes(self) -> tuple[str, ...]:
        """The corpus' notes, and the condition."""
        return (*self.corpus.notes, f"condition: {self.condition.text}")

    def ready(self) -> bool:
        """Whether the recordings are there."""
        return self.corpus.ready()

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Prepare the corpus; conditions are made while a recording is read, and never kept."""
        self.corpus.prepare(source, report)

    def describe(self) -> Mapping[str, str]:
        """What is known of the corpus, and the condition."""
        return {**self.corpus.describe(), "condition": self.condition.text}

    def utterances(self) -> Iterator[Utterance]:
        """Every utterance of the corpus, under its own id, as it is heard in the condition.

        Raises DataError as the corpus does, and where what the condition needs is missing.
        """
        for one in self.corpus.utterances():
            audio = apply_condition(self.condition, one.audio, key=one.id, seed=self.seed)
            yield replace(one, audio=audio)


def conditioned(corpus: SpeechCorpus, condition: str, *, seed: int = 0) -> ConditionedCorpus:
    """`corpus` heard in a condition, named or written out. Babble is made of the corpus itself unless it names one.

    Raises what `parse_condition` raises.
    """
    return ConditionedCorpus(corpus, parse_condition(condition, babble=corpus.name), seed)
