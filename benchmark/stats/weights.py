"""Resampling by weights: how often a resample holds each cluster.

A bootstrap resample of clusters is a row of whole numbers that add up to the number of clusters in each stratum, so
any metric that reduces by weights is resampled by a matrix product or a weighted cumulative sum, with no gathering of
indices. Rows are made in blocks: memory stays bounded whatever the number of clusters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats.draws import fill_counts
from audiometry.benchmark.types import FloatArray, IntArray, Reduce, ScoreTable

__all__ = [
    "JACKKNIFE_GROUPS",
    "MIN_CLUSTERS",
    "bootstrap_weights",
    "by_recording",
    "canonical",
    "dealt",
    "jackknife_groups",
    "jackknife_weights",
    "lone_notes",
    "mean_of",
    "ratio_of_sums",
    "reduce_blocks",
    "resampling_units",
]

MIN_CLUSTERS = 5
"""Below this many clusters recordings are resampled."""

MANY_CLUSTERS = 10_000
"""Above so many, clusters are dealt to groups and these are resampled."""

DEALT_GROUPS = 2000

JACKKNIFE_GROUPS = 1000

BLOCK_ENTRIES = 4_000_000
"""Weights held at once (32 MB)."""


def ratio_of_sums(table: ScoreTable, weights: FloatArray, numerator: str, denominator: str) -> FloatArray:
    """Weighted sum of one count over the weighted sum of another, shape (resamples,): the corpus word error rate.

    NaN where the weighted denominator is 0.

    >>> table = ScoreTable({"errors": np.array([1.0, 3.0]), "words": np.array([10.0, 10.0])},
    ...                    np.array([0, 1]), np.array([0, 0]), np.array([0, 0]))
    >>> ratio_of_sums(table, np.array([[1.0, 1.0], [0.0, 2.0], [0.0, 0.0]]), "errors", "words")
    array([0.2, 0.3, nan])
    """
    return _divide(*_totals(weights, table.cluster_sums(numerator), table.cluster_sums(denominator)))


def mean_of(table: ScoreTable, weights: FloatArray, name: str) -> FloatArray:
    """Weighted mean of a count over samples, shape (resamples,). NaN where a resample holds no sample.

    >>> table = ScoreTable({"mos": np.array([2.0, 4.0, 5.0])}, np.array([0, 0, 1]), np.zeros(3, int), np.zeros(2, int))
    >>> mean_of(table, np.array([[1.0, 1.0], [2.0, 0.0]]), "mos").round(3)
    array([3.667, 3.   ])
    """
    sizes = np.bincount(table.cluster, minlength=table.clusters).astype(np.float64)
    return _divide(*_totals(weights, table.cluster_sums(name), sizes))


def canonical(table: ScoreTable) -> ScoreTable:
    """The same samples with clusters numbered by stratum and then by content, so that labels decide nothing.

    Strata that share a cluster cannot be resampled apart and become one. Codes of `cluster_strata` are contiguous
    and rising. A cluster code without a sample is an error (SettingError).

    >>> table = ScoreTable({"x": np.array([3.0, 1.0])}, np.array([0, 1]), np.array([7, 7]), np.array([7, 7]))
    >>> found = canonical(table)
    >>> found.cluster.tolist(), found.cluster_strata.tolist()
    ([1, 0], [0, 0])
    """
    sizes = np.bincount(table.cluster, minlength=table.clusters)
    if len(sizes) and not sizes.all():
        raise SettingError("a score table has a cluster without samples; number clusters from 0 without gaps")
    strata = _joined_strata(table)
    keys = [table.cluster_sums(name) for name in sorted(table.counts, reverse=True)]
    order = np.lexsort((*keys, sizes, strata))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    renamed = np.unique(strata[order], return_inverse=True)[1].astype(np.int64)
    return replace(table, cluster=rank[table.cluster], cluster_strata=renamed)


def by_recording(table: ScoreTable) -> ScoreTable:
    """The same samples with every sample a cluster of its own, resampled within its own stratum.

    >>> by_recording(ScoreTable({}, np.array([0, 0, 1]), np.array([0, 0, 1]), np.array([0, 1]))).cluster_strata.tolist()
    [0, 0, 1]
    """
    return replace(
        table,
        cluster=np.arange(len(table), dtype=np.int64),
        cluster_strata=table.stratum,
        clusters_span_strata=False,
    )


def bootstrap_weights(strata: IntArray, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Blocks of weights of shape (rows, clusters), `resamples` rows in all.

    `strata` of shape (clusters,) holds contiguous rising codes, as `canonical` makes them. Each row holds whole
    numbers that add up, in each stratum, to its number of clusters (draws with replacement). The rows depend on the
    seed and the strata alone, not on the size of the blocks.

    >>> blocks = list(bootstrap_weights(np.array([0, 0, 0, 1, 1]), 4, seed=1))
    >>> rows = np.concatenate(blocks)
    >>> rows.shape, rows[:, :3].sum(axis=1).tolist(), rows[:, 3:].sum(axis=1).tolist()
    ((4, 5), [3.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0])
    """
    sizes = np.bincount(strata)
    generators = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(len(sizes))]
    rows = max(1, BLOCK_ENTRIES // max(1, len(strata)))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        block = np.empty((count, len(strata)))
        first = 0
        for generator, size in zip(generators, sizes.tolist(), strict=True):
            fill_counts(generator, block[:, first : first + size])
            first += size
        yield block


def jackknife_weights(strata: IntArray, groups: IntArray) -> Iterator[FloatArray]:
    """Blocks of weights of shape (rows, clusters): row g leaves out the clusters of group g.

    `groups` of shape (clusters,) holds codes 0 … groups-1, each within one stratum. Where there are several strata,
    what is left of that stratum is weighted up so that the strata keep their shares, all in whole numbers; a metric
    is the same for a row and for a multiple of it.

    >>> np.concatenate(list(jackknife_weights(np.array([0, 0, 0, 1, 1]), np.arange(5))))[[0, 4]]
    array([[0., 3., 3., 2., 2.],
           [1., 1., 1., 2., 0.]])
    """
    count = int(groups.max()) + 1
    rows = max(1, BLOCK_ENTRIES // len(strata))
    sizes = np.bincount(strata)
    home = np.empty(count, np.int64)
    home[groups] = strata
    left = sizes[home] - np.bincount(groups, minlength=count)
    if len(sizes) == 1 or not left.any():
        inside, outside = np.ones(count), np.ones(count)
    else:
        inside, outside = sizes[home].astype(np.float64), left.astype(np.float64)
    for start in range(0, count, rows):
        codes = np.arange(start, min(start + rows, count))[:, None]
        block = np.where(strata[None, :] == home[codes], inside[codes], outside[codes])
        block[groups[None, :] == codes] = 0.0
        yield block


def resampling_units(table: ScoreTable) -> tuple[ScoreTable, tuple[str, ...]]:
    """The table whose clusters are resampled, canonical, and notes on it.

    Below `MIN_CLUSTERS` clusters these are the recordings (samples): what is measured holds for these speakers only.

    >>> table = ScoreTable({"x": np.arange(6.0)}, np.repeat([0, 1], 3), np.zeros(6, int), np.zeros(2, int))
    >>> units, notes = resampling_units(table)
    >>> units.clusters, notes
    (6, ('these speakers only',))
    """
    notes: tuple[str, ...] = ()
    if table.clusters < MIN_CLUSTERS and table.clusters < len(table):
        table, notes = by_recording(table), ("these speakers only",)
    units = canonical(table) if table.clusters <= MANY_CLUSTERS else dealt(table)
    return units, (*notes, *lone_notes(units))


def dealt(table: ScoreTable) -> ScoreTable:
    """The same samples with very many clusters dealt at random to `DEALT_GROUPS` groups, which are resampled in turn.

    Independent clusters make independent groups, so the spread of a metric between groups tells its error as well, to
    1 / sqrt(2 groups) of it, 1.6 %: about what 2,000 resamples leave uncertain. Groups are dealt within strata, in
    proportion. Who is dealt where depends on the clusters' content, not on their order or numbers; clusters of the
    same content are dealt at random too.

    >>> table = ScoreTable({"x": np.arange(30_000.0)}, np.arange(30_000), np.zeros(30_000, int), np.zeros(30_000, int))
    >>> units = dealt(table)
    >>> units.clusters, np.unique(np.bincount(units.cluster))
    (2000, array([15]))
    """
    strata = np.unique(_joined_strata(table), return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((_content(table), strata))
    sizes = np.bincount(strata).tolist()
    code = np.empty(len(order), np.int64)
    homes: list[int] = []
    generator = np.random.default_rng(len(order))
    first = 0
    for stratum, size in enumerate(sizes):
        parts = min(size, max(MIN_CLUSTERS, round(DEALT_GROUPS * size / len(order))))
        code[order[first : first + size]] = len(homes) + generator.permutation(size) % parts
        homes += [stratum] * parts
        first += size
    return replace(
        table, cluster=code[table.cluster], cluster_strata=np.array(homes, np.int64), clusters_span_strata=False
    )


def _content(table: ScoreTable) -> NDArray[np.uint64]:
    """A hash of each cluster's size and sums, shape (clusters,)."""
    key = np.bincount(table.cluster, minlength=table.clusters).astype(np.uint64)
    for name in sorted(table.counts):
        key ^= (table.cluster_sums(name) + 0.0).view(np.uint64)  # one zero, not two
        key *= np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    return key


def lone_notes(units: ScoreTable) -> tuple[str, ...]:
    """A note if some stratum has a single cluster, beside others: nothing tells how clusters vary there.

    >>> lone_notes(ScoreTable({}, np.arange(3), np.array([0, 0, 1]), np.array([0, 0, 1])))
    ('one cluster in a stratum: its variation is not counted',)
    """
    alone = units.clusters > 1 and bool(np.any(np.bincount(units.cluster_strata) == 1))
    return ("one cluster in a stratum: its variation is not counted",) if alone else ()


def jackknife_groups(strata: IntArray, seed: int) -> IntArray:
    """Code of each cluster's jackknife group, shape (clusters,).

    Up to `JACKKNIFE_GROUPS` clusters each is its own group; above, clusters are dealt at random to about as many
    groups, within strata in proportion.

    >>> jackknife_groups(np.zeros(4, int), seed=1).tolist(), jackknife_groups(np.zeros(5000, int), seed=1).max() + 1
    ([0, 1, 2, 3], np.int64(1000))
    """
    count = len(strata)
    if count <= JACKKNIFE_GROUPS:
        return np.arange(count, dtype=np.int64)
    generator = np.random.default_rng([seed, count])
    groups = np.empty(count, np.int64)
    first = 0
    for stratum, size in enumerate(np.bincount(strata).tolist()):
        parts = min(size, max(2, round(JACKKNIFE_GROUPS * size / count)))
        groups[strata == stratum] = first + generator.permutation(size) % parts
        first += parts
    return groups


def reduce_blocks(
    table: ScoreTable, reduce: Reduce, blocks: Iterator[FloatArray], names: Sequence[str]
) -> dict[str, FloatArray]:
    """`reduce` of every row of every block, joined: {metric: shape (rows,)}.

    Raises SettingError if the reduction leaves out a metric or returns another shape.

    >>> table = ScoreTable({"x": np.array([1.0, 3.0])}, np.arange(2), *np.zeros((2, 2), int))
    >>> blocks = iter([np.array([[1.0, 1.0]]), np.array([[2.0, 0.0], [0.0, 2.0]])])
    >>> reduce_blocks(table, lambda t, w: {"mean": mean_of(t, w, "x")}, blocks, ["mean"])
    {'mean': array([2., 1., 3.])}
    """
    parts: dict[str, list[FloatArray]] = {name: [] for name in names}
    for weights in blocks:
        values = reduce(table, weights)
        for name in names:
            if name not in values:
                known = ", ".join(sorted(values)) or "nothing"
                raise SettingError(f"the task's reduction returns no metric {name!r}; it returns {known}")
            row = np.asarray(values[name], dtype=np.float64)
            if row.shape != (len(weights),):
                raise SettingError(
                    f"the task's reduction returns {name!r} of shape {row.shape}; it must be ({len(weights)},)"
                )
            parts[name].append(row)
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def _joined_strata(table: ScoreTable) -> IntArray:
    """Stratum of each cluster, with strata that share a cluster joined."""
    if not table.clusters_span_strata:
        return table.cluster_strata
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(table.stratum.max()) + 1
    nodes = count + table.clusters
    edges = coo_array((np.ones(len(table)), (table.stratum, count + table.cluster)), shape=(nodes, nodes))
    labels = connected_components(edges, directed=False)[1]
    return np.asarray(labels[count:], dtype=np.int64)


def _totals(weights: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Weighted sums of two columns, shape (2, resamples)."""
    # as quick as a matrix product of so few columns, whose threads stall on a busy machine
    return np.asarray(np.einsum("rc,kc->kr", weights, np.stack([first, second])))


def _divide(above: FloatArray, below: FloatArray) -> FloatArray:
    ratio = np.full(len(above), np.nan)
    np.divide(above, below, out=ratio, where=below != 0)
    return ratio
