"""How often each cluster is drawn in a resample: multinomial counts, exact and quick for very many clusters.

Of many clusters most are drawn once or not at all, and counting `size` random numbers spends nearly all its time on
random numbers. Instead every cluster gets a Poisson count, looked up from 16 random bits, with a mean a little below 1;
the few draws that are still missing are then made one by one. Independent Poisson counts, given their sum, are
multinomial, and so are they with further draws added (L. Devroye, "Non-Uniform Random Variate Generation", 1986,
section XI.1.4): the result has the same distribution as counted draws.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import FloatArray

__all__ = ["fill_counts"]

MANY = 20_000
"""From so many clusters on, Poisson counts are quicker than counting draws."""

CACHED_ENTRIES = 250_000
"""Draws counted at once: as many as stay in a processor's cache (2 MB)."""

MARGIN = 4.0
"""How many standard deviations the sum of Poisson counts is expected below the number of draws."""

BITS = 16
UNSURE = 255


def fill_counts(generator: np.random.Generator, counts: FloatArray) -> None:
    """Fill each row with how often each of its clusters is drawn, in as many draws as it has clusters.

    `counts` has shape (rows, clusters). The rows depend on the generator alone, not on how many are asked for at once.

    >>> counts = np.empty((2, 5))
    >>> fill_counts(np.random.default_rng(0), counts)
    >>> counts.sum(axis=1)
    array([5., 5.])
    """
    size = counts.shape[1]
    if size >= MANY:
        for row in counts:
            row[:] = _poisson_then_draws(generator, size)
        return
    step = max(1, CACHED_ENTRIES // size)
    for begin in range(0, len(counts), step):
        part = counts[begin : begin + step]
        drawn = generator.integers(0, size, size=part.shape)
        drawn += np.arange(len(part))[:, None] * size
        part[:] = np.bincount(drawn.ravel(), minlength=part.size).reshape(part.shape)


def _poisson_then_draws(generator: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Multinomial counts of `size` draws from `size` clusters.

    A sum above `size` (about once in 30,000 rows) is thrown away: the counts are multinomial whatever their sum.
    """
    table, cumulative = _poisson_table(1 - MARGIN / math.sqrt(size))
    while True:
        bits = generator.integers(0, 1 << 64, size=-(-size * BITS // 64), dtype=np.uint64)
        bits = bits.astype("<u8", copy=False).view("<u2")[:size]
        counts = table.take(bits)
        unsure = np.flatnonzero(counts == UNSURE)
        share = (bits[unsure] + generator.random(len(unsure))) / (1 << BITS)
        counts[unsure] = np.searchsorted(cumulative, share, side="right")
        missing = size - int(counts.sum(dtype=np.uint32))
        if missing >= 0:
            np.add.at(counts, generator.integers(0, size, size=missing), np.uint8(1))  # a plain 1 is 20 times slower
            return counts


@cache
def _poisson_table(mean: float) -> tuple[NDArray[np.uint8], FloatArray]:
    """The Poisson count of each 16-bit number, and the cumulative probabilities.

    A number whose range of shares holds a step of the distribution is `UNSURE`: its share needs more bits.
    """
    terms = np.array([math.exp(-mean) * mean**count / math.factorial(count) for count in range(30)])
    cumulative = np.cumsum(terms)
    edges = np.arange((1 << BITS) + 1) / (1 << BITS)
    at_edge = np.searchsorted(cumulative, edges, side="right")
    table = np.where(at_edge[:-1] == at_edge[1:], at_edge[:-1], UNSURE)
    return table.astype(np.uint8), cumulative
