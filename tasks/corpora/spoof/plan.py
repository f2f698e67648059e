"""Which trials the embedded spoof corpus holds: who is attacked, how, in which set. Nothing is made here.

In training and development every recording is attacked equally often, so that neither the speaker nor the language nor
the text tells anything of the class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from audiometry.benchmark.seeds import derive_seed
from audiometry.tasks.corpora.spoof.attacks import PROTOCOL, Attack, attacks_of
from audiometry.tasks.corpora.spoof.sources import Part, Recording

__all__ = ["BONA_FIDE_NAME", "NAME", "PlannedTrial", "TrialSet", "plan_trials", "without_shared_texts"]

NAME = "spoof-embedded"

TrialSet: TypeAlias = Literal["train", "development", "bona-fide", "seen", "unseen"]
"""The sets of trials; the bona fide ones of evaluation belong to both protocols."""

TRAIN_EACH, DEVELOPMENT_EACH, SEEN_EACH = 4, 2, 2
"""How often each recording is attacked."""

UNSEEN_EACH = 280
"""Trials of each attack of the protocol `unseen-attack` that are made, where there are texts for as many."""

BONA_FIDE_NAME = "bona-fide"
BONA_FIDE_SETS: Mapping[Part, TrialSet] = {
    "train": "train", "development": "development", "evaluation": "bona-fide",
}  # fmt: skip


@dataclass(frozen=True)
class PlannedTrial:
    """A recording as it is (`attack` None), or as an attack remakes it."""

    set: TrialSet
    recording: Recording
    attack: Attack | None = None

    @property
    def id(self) -> str:
        """Corpus, set, attack, speaker with language, and prompt."""
        return f"{NAME}/{self.set}/{self.attack.name if self.attack else BONA_FIDE_NAME}/{self.recording.id}"

    @property
    def seed(self) -> int:
        """What the attack draws from."""
        return derive_seed(0, PROTOCOL, self.id)


def plan_trials(recordings: Iterable[Recording]) -> list[PlannedTrial]:
    """Every trial, in a fixed order."""
    by_part: dict[Part, list[Recording]] = {"train": [], "development": [], "evaluation": []}
    for one in without_shared_texts(recordings):
        by_part[one.speaker.part].append(one)
    seen = attacks_of("train")
    trials = _balanced("train", by_part["train"], seen, TRAIN_EACH)
    trials += _balanced("development", by_part["development"], attacks_of("development"), DEVELOPMENT_EACH)
    trials += _balanced("seen", by_part["evaluation"], seen, SEEN_EACH)
    for attack in attacks_of("unseen"):
        able = [one for one in by_part["evaluation"] if attack.can(one)]
        trials += [PlannedTrial("unseen", one, attack) for one in _shuffled(able, attack.name)[:UNSEEN_EACH]]
    for part, name in BONA_FIDE_SETS.items():
        trials += [PlannedTrial(name, one) for one in by_part[part]]
    return sorted(trials, key=lambda trial: trial.id)


def without_shared_texts(recordings: Iterable[Recording]) -> list[Recording]:
    """The recordings without those of training and development whose words are spoken in another part too."""
    recordings = list(recordings)
    parts: dict[str, set[Part]] = {}
    for one in recordings:
        parts.setdefault(_plain(one.text), set()).add(one.speaker.part)
    return [one for one in recordings if _keeps(one, parts[_plain(one.text)])]


def _keeps(recording: Recording, parts: set[Part]) -> bool:
    return not recording.text or len(parts) == 1 or recording.speaker.part == "evaluation"


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _balanced(
    name: TrialSet, recordings: Sequence[Recording], attacks: Sequence[Attack], each: int
) -> list[PlannedTrial]:
    """`each` attacks for every recording; those that few recordings can have go first, so that all become as many."""
    counts: Counter[str] = Counter()
    trials: list[PlannedTrial] = []
    choices = {id(one): [a for a in attacks if a.can(one)] for one in recordings}
    for one in sorted(_shuffled(recordings, name), key=lambda recording: len(choices[id(recording)])):
        chosen = sorted(choices[id(one)], key=lambda attack: (counts[attack.name], attack.name))[:each]
        counts.update(attack.name for attack in chosen)
        trials += [PlannedTrial(name, one, attack) for attack in chosen]
    return trials


def _shuffled(recordings: Sequence[Recording], salt: str) -> list[Recording]:
    return sorted(recordings, key=lambda one: derive_seed(0, PROTOCOL, salt, one.id))
