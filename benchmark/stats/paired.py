"""Differences between two measurements of the same samples: paired interval, tests, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats.bounds import exact_bounds
from audiometry.benchmark.stats.intervals import (
    FEW_EVENTS,
    JACKKNIFE_BELOW,
    UNCHANGED,
    check_settings,
    smallest_stratum,
    standard_error,
)
from audiometry.benchmark.stats.weights import (
    BLOCK_ENTRIES,
    bootstrap_weights,
    jackknife_groups,
    jackknife_weights,
    reduce_blocks,
    resampling_units,
)
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable

__all__ = ["Comparison", "Verdict", "compare_tables", "holm", "permutation_test", "shared_units"]

Verdict = Literal["better", "worse", "can't tell", "practically equal"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How B stands to A: `difference` is B's value less A's, with its interval, and `p` tests that it is 0.

    `difference`, `low` and `high` are None where they are undefined; `p` is then 1. `clusters` is how many units were
    resampled, `notes` what qualifies the comparison.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float
    verdict: Verdict
    method: str
    clusters: int
    notes: tuple[str, ...] = ()


def compare_tables(
    table_a: ScoreTable,
    table_b: ScoreTable,
    reduce: Reduce,
    metric: Metric,
    *,
    seed: int,
    margin: float | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> Comparison:
    """Compare two models on the same samples: `table_b` against `table_a`, samples in the same order.

    Both are reduced under the same resamples of clusters, so that what a speaker makes hard for both cancels. The
    difference of the two values gets a t interval: its standard error is the bootstrap's (the jackknife's below
    `JACKKNIFE_BELOW` units), its degrees of freedom the number of clusters less one (a difference is near enough to
    symmetric that big clusters do no harm); `p` is two-sided, from the same t. Below `MIN_CLUSTERS` clusters
    recordings are resampled ("these speakers only").

    The verdict is "practically equal" if the interval lies within ± `margin` (in the metric's unit), else "better" or
    "worse" if it lies on one side of 0, else "can't tell". Where no resample changes the difference, the interval is
    the exact bound on the recordings that could differ, and `p` that of a sign test over recordings. Under
    `FEW_EVENTS` errors of either model the note "under ten expected errors" is set.

    Raises DataError if the tables do not hold the same samples, SettingError for a level outside (0, 1), under 100
    resamples or a negative margin.

    >>> from audiometry.benchmark.stats import ratio_of_sums
    >>> samples = np.arange(12), np.zeros(12, int), np.zeros(12, int)
    >>> errors = [3.0, 2, 4, 3, 2, 5, 3, 4, 2, 3, 4, 1], [2.0, 1, 4, 1, 2, 3, 2, 3, 1, 3, 2, 1]
    >>> a, b = (ScoreTable({"errors": np.array(e), "words": np.full(12, 9.0)}, *samples) for e in errors)
    >>> def wer(table, weights):
    ...     return {"wer": ratio_of_sums(table, weights, "errors", "words")}
    >>> found = compare_tables(a, b, wer, Metric("wer"), seed=1)
    >>> round(found.difference, 4), found.verdict, found.p < 0.01
    (-0.1019, 'better', True)
    """
    check_settings(level, resamples)
    if margin is not None and not margin >= 0:
        raise SettingError(f"margin {margin} is negative; give the largest difference that does not matter, from 0")
    if len(table_a) == 0 and len(table_b) == 0:
        return Comparison(None, None, None, 1.0, "can't tell", "none", 0, ("no samples",))
    (units, other), notes = shared_units([table_a, table_b])
    if metric.events is not None and min(table.counts[metric.events].sum() for table in (units, other)) < FEW_EVENTS:
        notes = (*notes, "under ten expected errors")

    def differences(blocks: Iterator[FloatArray]) -> FloatArray:
        return reduce_blocks(units, _difference(reduce, other, metric.name), blocks, [metric.name])[metric.name]

    value = float(differences(iter([np.ones((1, units.clusters))]))[0])
    if not np.isfinite(value) or units.clusters < 2:
        shown = value if np.isfinite(value) else None
        why = "one recording" if np.isfinite(value) else "undefined"
        return Comparison(shown, None, None, 1.0, "can't tell", "none", units.clusters, (*notes, why))
    groups = jackknife_groups(units.cluster_strata, seed)
    draws = left_out = np.empty(0)
    if units.clusters < JACKKNIFE_BELOW:
        left_out = differences(jackknife_weights(units.cluster_strata, groups))
    else:
        draws = differences(bootstrap_weights(units.cluster_strata, resamples, seed))
    resampled = left_out if len(left_out) else draws
    defined = resampled[np.isfinite(resampled)]
    if 2 * len(defined) < len(resampled):
        notes = (*notes, "most resamples are undefined")
        return Comparison(value, None, None, 1.0, "can't tell", "none", units.clusters, notes)
    if np.ptp(defined) <= UNCHANGED * max(1.0, abs(value)):
        return _unchanged(value, units, metric, level, margin, notes)
    error, freedom = standard_error(defined, left_out, units, groups, by_size=False)
    low, high, p = _t_test(value, error, freedom, level)
    return Comparison(value, low, high, p, _verdict(low, high, metric, margin), "t", units.clusters, notes)


def _t_test(value: float, error: float, freedom: float, level: float) -> tuple[float, float, float]:
    """The interval's ends and the two-sided p of a value with that standard error."""
    from scipy.special import stdtr, stdtrit

    half = float(stdtrit(freedom, 0.5 + level / 2)) * error
    return value - half, value + half, float(2 * stdtr(freedom, -abs(value) / error))


def permutation_test(
    table_a: ScoreTable, table_b: ScoreTable, reduce: Reduce, metric: Metric, *, seed: int, permutations: int = 10_000
) -> float:
    """Two-sided p that the two models' answers are exchangeable, by swapping them within whole clusters.

    All 2^clusters swaps are taken where they are no more than `permutations`, else that many random ones and the
    observed one (P. Good, "Permutation, Parametric, and Bootstrap Tests of Hypotheses", 2005, section 3.7). Exact under
    its hypothesis whatever the distribution, but no smaller than 2 / 2^clusters: five clusters can never reach 0.05.
    Where the models' scores lie on different scales (pooled error rates of two detectors) equal rates do not make
    answers exchangeable: take `compare_tables` there.

    Raises DataError if the tables do not hold the same samples, SettingError under 100 permutations.

    >>> from audiometry.benchmark.stats import mean_of
    >>> samples = np.arange(3), np.zeros(3, int), np.zeros(3, int)
    >>> a, b = (ScoreTable({"x": np.array(x)}, *samples) for x in ([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]))
    >>> permutation_test(a, b, lambda t, w: {"x": mean_of(t, w, "x")}, Metric("x"), seed=0)  # 2 of the 8 swaps
    0.25
    """
    check_settings(0.5, permutations)
    (units, other), _ = shared_units([table_a, table_b])
    clusters = units.clusters
    both = replace(
        units,
        counts={name: np.concatenate([units.counts[name], other.counts[name]]) for name in units.counts},
        cluster=np.concatenate([units.cluster, units.cluster + clusters]),
        stratum=np.tile(units.stratum, 2),
        cluster_strata=np.tile(units.cluster_strata, 2),
    )

    def difference(table: ScoreTable, swap: FloatArray) -> dict[str, FloatArray]:
        first = reduce(table, np.hstack([1 - swap, swap]))[metric.name]
        second = reduce(table, np.hstack([swap, 1 - swap]))[metric.name]
        return {metric.name: second - first}

    observed = float(difference(both, np.zeros((1, clusters)))[metric.name][0])
    if not np.isfinite(observed):
        return 1.0
    exact = clusters < 60 and 2**clusters <= permutations
    swaps = _all_swaps(clusters) if exact else _random_swaps(clusters, permutations, seed)
    drawn = reduce_blocks(both, difference, swaps, [metric.name])[metric.name]
    as_far = np.sum(np.abs(drawn[np.isfinite(drawn)]) >= abs(observed) * (1 - 1e-9) - UNCHANGED)
    count = np.sum(np.isfinite(drawn))
    return float(as_far / count) if exact else float((as_far + 1) / (count + 1))


def holm(p_values: Sequence[float]) -> FloatArray:
    """Adjusted p-values of a family of tests, in the order given: reject those at most alpha.

    The chance of any false rejection stays at alpha, whatever the dependence: S. Holm, "A simple sequentially
    rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.

    Raises SettingError for a value outside [0, 1].

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise SettingError("p-values must lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def shared_units(tables: Sequence[ScoreTable]) -> tuple[list[ScoreTable], tuple[str, ...]]:
    """Tables of the same samples with the same canonical clusters, and notes, as `resampling_units` gives for one.

    The order of the tables decides nothing. Raises DataError if they do not hold the same samples in the same order.

    >>> one, other = (ScoreTable({"x": x}, np.arange(5), *np.zeros((2, 5), int)) for x in np.eye(2, 5))
    >>> tables, notes = shared_units([one, other])
    >>> [table.clusters for table in tables], bool((tables[0].cluster == tables[1].cluster).all()), notes
    ([5, 5], True, ())
    """
    first = tables[0]
    for table in tables[1:]:
        if (
            not np.array_equal(first.cluster, table.cluster)
            or not np.array_equal(first.stratum, table.stratum)
            or first.counts.keys() != table.counts.keys()
        ):
            raise DataError(
                f"the tables to compare do not hold the same samples ({len(first)} and {len(table)}); "
                "compare runs on the same task version and samples"
            )
    joint = {}
    for name in first.counts:
        columns = np.stack([table.counts[name] for table in tables])
        joint["sum " + name] = columns.sum(axis=0)
        joint["squares " + name] = (columns**2).sum(axis=0)
    units, notes = resampling_units(replace(first, counts=joint))
    return [replace(units, counts=table.counts) for table in tables], notes


def _difference(reduce: Reduce, other: ScoreTable, name: str) -> Reduce:
    def difference(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        first, second = reduce(table, weights), reduce(other, weights)
        return {key: second[key] - first[key] for key in first if key == name}

    return difference


def _unchanged(
    value: float, units: ScoreTable, metric: Metric, level: float, margin: float | None, notes: tuple[str, ...]
) -> Comparison:
    """Every recording has the same difference: bounded by the share that could have another."""
    recordings = smallest_stratum(units)
    high = max(1.0, abs(value)) if metric.unit == "fraction" and np.isinf(metric.high) else metric.high
    width = high - metric.low
    low, top = exact_bounds(value, recordings, level, -width, width)
    p = 1.0 if value == 0 else min(1.0, 2.0 * 0.5**recordings)
    notes = (*notes, "all resamples alike: exact bound")
    return Comparison(value, low, top, p, _verdict(low, top, metric, margin), "exact", units.clusters, notes)


def _verdict(low: float, high: float, metric: Metric, margin: float | None) -> Verdict:
    if margin is not None and -margin <= low and high <= margin:
        return "practically equal"
    if low <= 0 <= high:
        return "can't tell"
    return "better" if (high < 0) == (metric.direction == "lower") else "worse"


def _all_swaps(clusters: int) -> Iterator[FloatArray]:
    rows = max(1, BLOCK_ENTRIES // clusters)
    for start in range(0, 2**clusters, rows):
        codes = np.arange(start, min(start + rows, 2**clusters))
        yield ((codes[:, None] >> np.arange(clusters)) & 1).astype(np.float64)


def _random_swaps(clusters: int, permutations: int, seed: int) -> Iterator[FloatArray]:
    generator = np.random.default_rng(seed)
    rows = max(1, BLOCK_ENTRIES // clusters)
    for start in range(0, permutations, rows):
        yield generator.integers(0, 2, (min(rows, permutations - start), clusters)).astype(np.float64)
