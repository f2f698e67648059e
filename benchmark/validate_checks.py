"""What is told from answers that were given again, in another order or in another batch, and from memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from audiometry.benchmark.types import FloatArray, Output
from audiometry.benchmark.validate_differences import Gap, differ, gaps

__all__ = ["Check", "Example", "Memory", "Outputs", "Verdict", "changed", "memory_growth", "repeated"]

GROWTH_MIB = 1.0
"""MiB per 100 samples that a process may grow for sure before that is called a leak: allocators settle slowly."""

SURE = 0.01
"""How improbable a coincidence must be before it is not called one."""

EXAMPLES = 5
"""Differing samples that are shown for each check."""

Verdict = Literal["same", "moves", "unclear"]
Outputs = Mapping[int, Output]
"""Answers by the sample's position in its task."""


@dataclass(frozen=True)
class Example:
    """A sample whose answers differ, and the kind of answer that differs most."""

    sample_id: str
    kind: str
    size: float
    before: str
    after: str


@dataclass(frozen=True)
class Check:
    """What one change did to the answers of `compared` samples.

    `moved` of them differ, `form_only` of these only in case, punctuation or white space. `hidden` samples answer
    differently when nothing changes, so that for them nothing can be told. `largest` is the largest difference by kind
    of answer, tolerated ones included.
    """

    name: str
    verdict: Verdict
    moved: int
    compared: int
    hidden: int = 0
    form_only: int = 0
    largest: Mapping[str, float] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Memory:
    """Growth of the process in MiB per 100 samples after the first pass, with its 95 % interval.

    `peak` is the most that any pass held after a batch, in MiB.
    """

    growth: float
    low: float
    high: float
    peak: float
    verdict: Verdict


def memory_growth(held: Sequence[int], samples: Sequence[int], peak: int) -> Memory:
    """Growth in MiB per 100 samples from `held`, bytes after each batch, and `samples`, how many each batch added.

    `held` has one value more than `samples`: the first is where counting starts. It is the median growth from one
    batch to the next, with the distribution-free interval of a median (order statistics, from the binomial
    distribution with chance 1/2: W. J. Conover, "Practical Nonparametric Statistics", 1999, section 3.2). So a leak
    that every batch adds to is sure, and one jump or drop of an allocator is none. With fewer than six batches there is
    no interval.

    >>> found = memory_growth([i * 2**20 for i in range(7)], [1] * 6, 0)
    >>> found.growth, found.low, found.verdict
    (100.0, 100.0, 'moves')
    >>> memory_growth([0, 0, 0, 0, 0, 0, 0, 3 * 2**20], [1] * 7, 0).verdict
    'unclear'
    """
    steps: FloatArray = np.sort(np.diff(np.asarray(held, dtype=np.float64)) / 2**20 / np.asarray(samples) * 100)
    rank = _interval_rank(len(steps))
    low, high = (float(steps[rank]), float(steps[-1 - rank])) if rank >= 0 else (-math.inf, math.inf)
    verdict: Verdict = "moves" if low > GROWTH_MIB else "unclear" if high > GROWTH_MIB else "same"
    return Memory(float(np.median(steps)), low, high, peak / 2**20, verdict)


def _interval_rank(count: int) -> int:
    """How many of `count` sorted values to leave out on each side for a 95 % interval of the median; -1 if too few."""
    rank = -1
    while 2 * _binomial_tail(count - rank - 1, count, 0.5) <= 0.05:
        rank += 1
    return rank


def repeated(pairs: Iterable[tuple[Outputs, Outputs]], names: Mapping[int, str], tolerance: float) -> Check:
    """Same order, same batch, twice, whichever of the three ways."""
    compared = [(at, gaps(first[at], second[at], tolerance)) for first, second in pairs for at in names]
    moved = {at for at, found in compared if any(gap.moved for gap in found)}
    return _check("repetition", "moves" if moved else "same", moved, compared, names)


def changed(
    name: str, a: tuple[Outputs, Outputs], b: tuple[Outputs, Outputs], names: Mapping[int, str], tolerance: float
) -> Check:
    """Whether the change from `a` to `b` moves answers, which of both were given twice.

    A sample moves if both of its answers agree before the change, and both after it, and these differ. A sample that
    disagrees with itself is hidden. Where there are hidden ones, chance may also bring two and two answers together:
    without an effect, the halves of such a two-and-two split would be those of the change in a third of the cases
    (the four answers are exchangeable), so the count must be improbable at `SURE` by the binomial distribution.
    """
    moved: set[int] = set()
    hidden: set[int] = set()
    crossed = 0
    for at in names:
        a1, a2, b1, b2 = a[0][at], a[1][at], b[0][at], b[1][at]
        if differ(a1, a2, tolerance) or differ(b1, b2, tolerance):
            hidden.add(at)
            split = (a1, b1, a2, b2), (a1, b2, a2, b1)
            crossed += any(
                not differ(p, q, tolerance) and not differ(r, s, tolerance) for p, q, r, s in split
            ) and differ(a1, a2, tolerance)
        elif differ(a1, b1, tolerance):
            moved.add(at)
    verdict: Verdict = "unclear"
    if not hidden:
        verdict = "moves" if moved else "same"
    elif moved and _binomial_tail(len(moved), len(moved) + crossed, 1 / 3) < SURE:
        verdict = "moves"
    compared = [(at, gaps(a[0][at], b[0][at], tolerance)) for at in names if at not in hidden]
    return _check(name, verdict, moved, compared, names, len(hidden))


def _check(
    name: str,
    verdict: Verdict,
    moved: set[int],
    compared: Sequence[tuple[int, list[Gap]]],
    names: Mapping[int, str],
    hidden: int = 0,
) -> Check:
    largest: dict[str, float] = {}
    worst: dict[int, Gap] = {}
    for at, found in compared:
        for gap in found:
            largest[gap.kind] = max(largest.get(gap.kind, 0.0), gap.size)
            if gap.moved and (at not in worst or gap.size > worst[at].size):
                worst[at] = gap
    ranked = sorted(worst.items(), key=lambda pair: (-pair[1].size, pair[0]))[:EXAMPLES]
    return Check(
        name=name,
        verdict=verdict,
        moved=len(moved),
        compared=len(names),
        hidden=hidden,
        form_only=sum(gap.form_only for gap in worst.values()),
        largest=largest,
        examples=tuple(Example(names[at], gap.kind, gap.size, gap.before, gap.after) for at, gap in ranked),
    )


def _binomial_tail(least: int, trials: int, chance: float) -> float:
    """Probability of `least` or more of `trials`."""
    return sum(
        math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)
        for count in range(least, trials + 1)
    )
