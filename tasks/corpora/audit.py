"""Who is in a corpus: utterances, minutes and shares of each language, speaker and other group, and how even they are.

A corpus may list forty languages and hold one of them for 82 % of its time. The effective number of groups says how
many groups of equal size would be as diverse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["UNKNOWN", "Audit", "Dimension", "Group", "as_rows", "audit", "effective_numbers"]

UNKNOWN = "(unknown)"
"""The group of the utterances for which a fact is not known."""

FIRST = ("language", "speaker", "gender")
"""Facts that every utterance has a field for; they are told even where nothing is known."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group: how many utterances and speakers, its minutes, and its share of all minutes (0 to 1)."""

    name: str
    utterances: int
    speakers: int
    minutes: float
    share: float


@dataclass(frozen=True, slots=True)
class Dimension:
    """The groups by one fact, largest first. Effective numbers are over known groups, by their minutes."""

    name: str
    groups: tuple[Group, ...]
    known: float
    """Share of the minutes for which the fact is known (0 to 1)."""
    largest: float
    """Share of the largest known group in the known minutes; NaN where nothing is known."""
    effective_entropy: float
    effective_simpson: float


@dataclass(frozen=True, slots=True)
class Audit:
    """All that was counted. `unmeasured` utterances have no known length: they count as utterances, not as minutes."""

    utterances: int
    minutes: float
    unmeasured: int
    dimensions: tuple[Dimension, ...]


def effective_numbers(amounts: ArrayLike) -> tuple[float, float]:
    """Effective numbers of groups: the exponential of Shannon's entropy, and the inverse Simpson concentration.

    amounts: shape (groups,), at least 0: minutes or counts of each group. Both are between 1 and the number of groups
    that hold anything, and equal to it where all are equal; the second weighs the largest groups more and is never
    above the first. NaN for no amount at all. Source: M. O. Hill, "Diversity and evenness: a unifying notation and its
    consequences", Ecology 54, 1973 (the numbers of order 1 and 2).

    Raises DataError for a negative or infinite amount.

    >>> effective_numbers([5.0, 5.0, 5.0, 0.0])
    (3.0, 3.0)
    >>> [round(number, 2) for number in effective_numbers([82.0, 6.0, 6.0, 6.0])]
    [1.95, 1.46]
    """
    values = np.asarray(amounts, dtype=np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise DataError("amounts of groups must be finite and at least 0")
    values = values[values > 0]
    if not len(values):
        return math.nan, math.nan
    shares = values / values.sum()
    entropy = float(np.exp(-(shares * np.log(shares)).sum()))
    return round(entropy, 12), round(float(1.0 / (shares**2).sum()), 12)


def audit(utterances: Iterable[Utterance], *, by: Sequence[str] = ()) -> Audit:
    """Count a corpus, or several together, by language, speaker, gender and every slice that utterances have.

    `by` keeps only these dimensions, in this order. Minutes are those of ``audio.seconds``.

    Raises DataError for no utterance at all and for a dimension that none has.

    >>> from audiometry.benchmark.types import Audio
    >>> said = [Utterance(str(n), Audio("a.wav", seconds=60.0), "", "en" if n < 3 else "fr") for n in range(4)]
    >>> language = audit(said).dimensions[0]
    >>> [(group.name, group.minutes, group.share) for group in language.groups]
    [('en', 3.0, 0.75), ('fr', 1.0, 0.25)]
    """
    rows = [(_facts(one), one.speaker, one.audio.seconds) for one in utterances]
    if not rows:
        raise DataError("there is no utterance to audit; name a corpus that holds some")
    names = list(dict.fromkeys([*FIRST, *(name for facts, _, _ in rows for name in facts)]))
    missing = [name for name in by if name not in names]
    if missing:
        raise DataError(f"no utterance tells its {missing[0]!r}; they tell: {', '.join(names)}")
    measured = [seconds / 60 for _, _, seconds in rows if seconds is not None]
    return Audit(
        utterances=len(rows),
        minutes=math.fsum(measured),
        unmeasured=len(rows) - len(measured),
        dimensions=tuple(_dimension(name, rows) for name in by or names),
    )


def as_rows(found: Audit) -> list[dict[str, Any]]:
    """One plain dictionary a dimension, for JSON: what is not a number is None.

    >>> from audiometry.benchmark.types import Audio
    >>> as_rows(audit([Utterance("a", Audio("a.wav", seconds=6.0), "")]))[0]["effective_entropy"] is None
    True
    """
    return [_plain(asdict(dimension)) for dimension in found.dimensions]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


def _facts(utterance: Utterance) -> Mapping[str, str]:
    own = {"language": utterance.language, "speaker": utterance.speaker, "gender": utterance.gender}
    return {name: value for name, value in {**utterance.slices, **own}.items() if value}


def _dimension(name: str, rows: Sequence[tuple[Mapping[str, str], str, float | None]]) -> Dimension:
    utterances: dict[str, int] = {}
    speakers: dict[str, set[str]] = {}
    minutes: dict[str, float] = {}
    for facts, speaker, seconds in rows:
        group = facts.get(name, UNKNOWN)
        utterances[group] = utterances.get(group, 0) + 1
        speakers.setdefault(group, set()).update([speaker] if speaker else [])
        minutes[group] = minutes.get(group, 0.0) + (seconds or 0.0) / 60
    total = math.fsum(minutes.values())
    known = {group: amount for group, amount in minutes.items() if group != UNKNOWN}
    entropy, simpson = effective_numbers(list(known.values()))
    amount = math.fsum(known.values())
    groups = tuple(
        Group(group, utterances[group], len(speakers[group]), minutes[group], _share(minutes[group], total))
        for group in sorted(minutes, key=lambda group: (-minutes[group], group))
    )
    largest = _share(max(known.values()), amount) if known else math.nan
    return Dimension(name, groups, _share(amount, total), largest, entropy, simpson)


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan
