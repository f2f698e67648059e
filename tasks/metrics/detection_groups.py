"""Equal error rates by attack and by condition, with their macro average and the worst one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.detection import EqualErrorRate, equal_error_rate_of_sorted
from audiometry.tasks.metrics.trials import SortedTrials, sorted_trials

__all__ = ["GroupedEqualErrorRate", "equal_error_rate_by_attack", "equal_error_rate_by_condition"]


@dataclass(frozen=True, slots=True)
class GroupedEqualErrorRate:
    """Equal error rates of groups of trials and of all trials together.

    `pooled` uses one threshold for all groups, `macro` is the unweighted mean over groups with a threshold for each,
    and `worst` the highest of the groups' values, reached in `worst_group`.
    """

    pooled: EqualErrorRate
    groups: Mapping[str, EqualErrorRate]
    macro: float
    worst: float
    worst_group: str


def equal_error_rate_by_attack(
    bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, attacks: ArrayLike
) -> GroupedEqualErrorRate:
    """Return the equal error rate of each attack against all bona fide trials, as the ASVspoof packages break it down.

    `attacks` of shape (spoofed trials,) names each spoofed trial's attack. See `equal_error_rate` for range and ties.

    >>> rates = equal_error_rate_by_attack([1.0, 2.0], [0.0, 0.5, 1.5, 3.0], ["A1", "A1", "A2", "A2"])
    >>> {name: rate.value for name, rate in rates.groups.items()}, rates.macro, rates.worst_group
    ({'A1': 0.0, 'A2': 0.5}, 0.25, 'A2')

    Raises DataError for an empty class, NaN, or names that do not fit the scores.
    """
    spoof, names = _named(spoof_scores, attacks, "spoof")
    pooled = sorted_trials(bona_fide_scores, spoof)
    return _grouped(pooled, names, lambda name: SortedTrials(pooled.bona_fide, np.sort(spoof[names == name])))


def equal_error_rate_by_condition(
    bona_fide_scores: ArrayLike,
    spoof_scores: ArrayLike,
    bona_fide_conditions: ArrayLike,
    spoof_conditions: ArrayLike,
) -> GroupedEqualErrorRate:
    """Return the equal error rate within each condition (codec, language, …), which trials of both classes have.

    >>> rates = equal_error_rate_by_condition([1.0, 5.0], [0.0, 6.0], ["mp3", "opus"], ["mp3", "opus"])
    >>> rates.pooled.value, rates.macro, rates.worst, rates.worst_group
    (0.5, 0.5, 1.0, 'opus')

    Raises DataError for a condition without trials of both classes, NaN, or names that do not fit the scores.
    """
    bona_fide, bona_fide_names = _named(bona_fide_scores, bona_fide_conditions, "bona fide")
    spoof, spoof_names = _named(spoof_scores, spoof_conditions, "spoof")
    lone = sorted(set(bona_fide_names.tolist()) ^ set(spoof_names.tolist()))
    if lone:
        raise DataError(f"condition {lone[0]!r} has trials of one class only; leave it out or add the other class")
    pooled = sorted_trials(bona_fide, spoof)
    return _grouped(
        pooled,
        spoof_names,
        lambda name: sorted_trials(bona_fide[bona_fide_names == name], spoof[spoof_names == name]),
    )


def _named(scores: ArrayLike, names: ArrayLike, kind: str) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    array, labels = np.asarray(scores, dtype=np.float64), np.asarray(names, dtype=np.str_)
    if array.shape != labels.shape:
        raise DataError(
            f"{kind} scores have shape {array.shape} and their groups {labels.shape}; give one name a trial"
        )
    return array, labels


def _grouped(
    pooled: SortedTrials, names: NDArray[np.str_], trials_of: Callable[[str], SortedTrials]
) -> GroupedEqualErrorRate:
    groups = {str(name): equal_error_rate_of_sorted(trials_of(str(name))) for name in np.unique(names)}
    values = {name: rate.value for name, rate in groups.items()}
    worst_group = max(values, key=lambda name: values[name])
    return GroupedEqualErrorRate(
        pooled=equal_error_rate_of_sorted(pooled),
        groups=groups,
        macro=sum(values.values()) / len(values),
        worst=values[worst_group],
        worst_group=worst_group,
    )
