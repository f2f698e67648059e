"""Ranks of models that were measured on the same samples, with intervals and tie groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats.intervals import JACKKNIFE_BELOW, check_settings, standard_error
from audiometry.benchmark.stats.paired import shared_units
from audiometry.benchmark.stats.weights import (
    bootstrap_weights,
    jackknife_groups,
    jackknife_weights,
    reduce_blocks,
)
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable

__all__ = ["Rank", "rank_tables"]

Kind = Literal["whole", "bootstrap", "jackknife"]


@dataclass(frozen=True, slots=True)
class Rank:
    """A model's place: `low` to `high` are the ranks it may have, 1 the best; `tie_group` counts from 1.

    A tie group holds the models that cannot be told from its first, best one.
    """

    name: str
    value: float
    low: int
    high: int
    tie_group: int


def rank_tables(
    tables: Mapping[str, ScoreTable],
    reduce: Reduce,
    metric: Metric,
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> list[Rank]:
    """Rank models by name → table, best first; all tables hold the same samples in the same order.

    All pairwise differences are tested at once under shared resamples: the largest studentised difference gives the
    critical value, step by step over those not yet told apart (J. P. Romano and M. Wolf, "Stepwise multiple testing
    as formalized data snooping", Econometrica 73, 2005), as a t quantile for few clusters. A model may hold every rank
    from one more than the number of models surely better to the number of all less those surely worse; all such
    ranges are right at once with probability `level` (M. Mogstad et al., "Inference for ranks", Review of Economic
    Studies 91, 2024, section 3).

    Raises DataError for no table, tables of different samples or a model without a value; SettingError for a level
    outside (0, 1) or under 100 resamples.

    >>> from audiometry.benchmark.stats import mean_of
    >>> rng = np.random.default_rng(0)
    >>> hard, samples = rng.normal(size=80), (np.arange(80), np.zeros(80, int), np.zeros(80, int))
    >>> tables = {name: ScoreTable({"x": hard + shift + rng.normal(size=80) / 4}, *samples)
    ...           for name, shift in [("a", 0.0), ("b", 1.0), ("c", 0.01)]}
    >>> ranks = rank_tables(tables, lambda t, w: {"x": mean_of(t, w, "x")}, Metric("x"), seed=1)
    >>> [(rank.name, rank.low, rank.high, rank.tie_group) for rank in ranks]
    [('a', 1, 2, 1), ('c', 1, 2, 1), ('b', 3, 3, 2)]
    """
    check_settings(level, resamples)
    if not tables:
        raise DataError("there is no table to rank; give at least one")
    names = sorted(tables)
    shared, _ = shared_units([tables[name] for name in names])
    units = shared[0]
    sign = 1.0 if metric.direction == "lower" else -1.0  # from here on lower is better

    def every(kind: Kind) -> FloatArray:
        """The metric of every model, shape (rows, models)."""
        columns = [
            reduce_blocks(table, reduce, _blocks(units, kind, seed, resamples), [metric.name])[metric.name]
            for table in shared
        ]
        return sign * np.stack(columns, axis=1)

    points = every("whole")[0]
    if not np.isfinite(points).all():
        raise DataError(f"{metric.name} is undefined for {names[int(np.argmin(np.isfinite(points)))]!r}; leave it out")
    better = _surely_better(units, points, every, seed, level)
    order = sorted(range(len(names)), key=lambda model: (points[model], names[model]))
    ranks: list[Rank] = []
    group, leader = 0, -1
    for model in order:
        if leader < 0 or better[leader, model]:
            group, leader = group + 1, model
        low, high = 1 + int(better[:, model].sum()), len(names) - int(better[model].sum())
        ranks.append(Rank(names[model], float(points[model] * sign), low, high, group))
    return ranks


def _blocks(units: ScoreTable, kind: Kind, seed: int, resamples: int) -> Iterator[FloatArray]:
    strata = units.cluster_strata
    if kind == "bootstrap":
        return bootstrap_weights(strata, resamples, seed)
    if kind == "jackknife":
        return jackknife_weights(strata, jackknife_groups(strata, seed))
    return iter([np.ones((1, units.clusters))])


def _surely_better(
    units: ScoreTable, points: FloatArray, every: Callable[[Kind], FloatArray], seed: int, level: float
) -> NDArray[np.bool_]:
    """Whether the row's model is surely better than the column's, shape (models, models)."""
    from scipy.special import ndtr, stdtrit

    models = len(points)
    better = np.zeros((models, models), dtype=bool)
    first, second = np.triu_indices(models, 1)
    if models < 2 or units.clusters < 2:
        return better
    draws = every("bootstrap")
    draws = draws[np.isfinite(draws).all(axis=1)]
    left_out = every("jackknife") if units.clusters < JACKKNIFE_BELOW else np.empty((0, models))
    groups = jackknife_groups(units.cluster_strata, seed)
    difference, drawn = points[second] - points[first], draws[:, second] - draws[:, first]
    errors = np.array([
        standard_error(drawn[:, pair], left_out[:, j] - left_out[:, i], units, groups, by_size=False)
        for pair, (i, j) in enumerate(zip(first, second, strict=True))
    ])  # fmt: skip
    error, freedom = errors.T
    spread = drawn.std(axis=0, ddof=1)
    far = np.abs(np.divide(drawn - difference, spread, out=np.zeros_like(drawn), where=spread > 0))
    told = (error == 0) & (difference != 0)
    while not told.all():
        normal = np.quantile(far[:, ~told].max(axis=1), level)
        critical = stdtrit(freedom, ndtr(normal))
        now = told | (np.abs(difference) > critical * error)
        if (now == told).all():
            break
        told = now
    better[first[told], second[told]] = difference[told] > 0
    better[second[told], first[told]] = difference[told] < 0
    return better
