"""Which trials a batch holds: as many bona fide as spoofs, and every attack alike often."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import IntArray

__all__ = ["balanced_sampler", "partners", "spread"]


def balanced_sampler(
    bona_fide: NDArray[np.bool_], attacks: Sequence[str]
) -> Callable[[int, np.random.Generator], IntArray]:
    """Draw trials with replacement: the first half bona fide, the others spoofs with every attack alike likely.

    >>> draw = balanced_sampler(np.array([True, False, False, False]), ["", "A", "B", "B"])
    >>> draw(6, np.random.default_rng(0))[:3].tolist()
    [0, 0, 0]

    Raises DataError where one of the two classes has no trial.
    """
    real = np.flatnonzero(bona_fide)
    names = sorted({name for name, label in zip(attacks, bona_fide, strict=True) if not label})
    if not len(real) or not names:
        raise DataError(
            f"the training trials have {len(real)} bona fide and {len(bona_fide) - len(real)} spoofs; both are needed"
        )
    made_by = np.array([names.index(name) if not label else -1 for name, label in zip(attacks, bona_fide, strict=True)])
    groups = [np.flatnonzero(made_by == number) for number in range(len(names))]

    def draw(count: int, generator: np.random.Generator) -> IntArray:
        half = count // 2
        which = generator.integers(len(groups), size=count - half)
        spoofs = [int(generator.choice(groups[number])) for number in which]
        return np.concatenate([generator.choice(real, half), np.array(spoofs)]).astype(np.int64)

    return draw


def partners(bona_fide: NDArray[np.bool_], generator: np.random.Generator) -> IntArray:
    """For each trial of a batch another one of its class, or itself, to be mixed with; every one is taken once.

    Mixing the classes would leave marks by which they are told apart.

    >>> partners(np.array([True, False, True]), np.random.default_rng(1))[1]
    np.int64(1)
    """
    chosen = np.arange(len(bona_fide))
    for label in (True, False):
        members = np.flatnonzero(bona_fide == label)
        chosen[members] = generator.permutation(members)
    return chosen


def spread(bona_fide: NDArray[np.bool_], attacks: Sequence[str], most: int) -> IntArray:
    """Numbers of at most about `most` trials in rising order: half of them bona fide, the others alike many an attack.

    What a class or an attack has too few of is not made up for. The same trials every time, whatever the seed.

    >>> spread(np.array([True, True, True, False, False, False]), ["", "", "", "A", "A", "B"], 4).tolist()[-1]
    5
    """
    if len(bona_fide) <= most:
        return np.arange(len(bona_fide))
    generator = np.random.default_rng(0)
    names = sorted({name for name, real in zip(attacks, bona_fide, strict=True) if not real})
    groups = [np.flatnonzero(bona_fide)]
    groups += [np.flatnonzero(~bona_fide & (np.array(attacks) == name)) for name in names]
    shares = [most // 2, *(max(most // 2 // len(names), 1) for _ in names)]
    chosen = [generator.permutation(group)[:share] for group, share in zip(groups, shares, strict=True)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
