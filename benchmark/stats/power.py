"""How many samples it takes to see a difference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats.intervals import JACKKNIFE_BELOW, UNCHANGED, standard_error
from audiometry.benchmark.stats.paired import shared_units
from audiometry.benchmark.stats.weights import bootstrap_weights, jackknife_groups, jackknife_weights, reduce_blocks
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable

__all__ = ["Needed", "clusters_needed", "power_of", "samples_needed"]

MOST_CLUSTERS = 10**9


@dataclass(frozen=True, slots=True)
class Needed:
    """How much it takes to see a difference: `clusters` (speakers) and, as many a cluster as now, `samples`.

    `spread` is the standard deviation that one cluster's difference has, in the metric's unit; `notes` qualify it.
    """

    clusters: int
    samples: int
    spread: float
    notes: tuple[str, ...] = ()


def power_of(difference: float, spread: float, clusters: int, *, level: float = 0.95) -> float:
    """Chance that a two-sided t test sees `difference` with so many clusters, between 1 - `level` and 1.

    `spread` is the standard deviation of a cluster's difference. From the noncentral t distribution: J. Cohen,
    "Statistical Power Analysis for the Behavioral Sciences", 1988, section 2.

    >>> round(power_of(0.5, 1.0, 34), 3)
    0.808
    """
    if clusters < 2 or spread <= 0:
        raise SettingError(f"power needs at least 2 clusters and a spread above 0, not {clusters} and {spread}")
    from scipy.special import nctdtr, stdtrit

    critical = float(stdtrit(clusters - 1, 0.5 + level / 2))
    shift = abs(difference) / spread * math.sqrt(clusters)
    beyond = nctdtr(clusters - 1, shift, -critical)  # NaN where it is too small to be told from 0
    return float(1 - nctdtr(clusters - 1, shift, critical) + np.nan_to_num(beyond))


def clusters_needed(difference: float, spread: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """The least number of clusters with which a two-sided t test sees `difference` with probability `power`.

    Raises SettingError for a difference or spread of 0, or a power outside (1 - level, 1).

    >>> clusters_needed(0.5, 1.0), clusters_needed(0.01, 0.05)
    (34, 199)
    """
    if difference == 0 or spread <= 0:
        raise SettingError(
            f"a difference of {difference} with spread {spread} cannot be planned for; both must not be 0"
        )
    if not 1 - level < power < 1:
        raise SettingError(f"power {power} is not between {1 - level:g} and 1; 0.8 is usual")
    below, above = 1, 2
    while power_of(difference, spread, above, level=level) < power:
        below, above = above, 2 * above
        if above > MOST_CLUSTERS:
            raise SettingError(
                f"a difference of {difference} takes over {MOST_CLUSTERS:,} clusters; choose a larger one"
            )
    while above - below > 1:
        middle = (below + above) // 2
        if power_of(difference, spread, middle, level=level) < power:
            below = middle
        else:
            above = middle
    return above


def samples_needed(
    table_a: ScoreTable,
    reduce: Reduce,
    metric: Metric,
    difference: float,
    *,
    seed: int,
    table_b: ScoreTable | None = None,
    correlation: float = 0.0,
    power: float = 0.8,
    level: float = 0.95,
    resamples: int = 2000,
) -> Needed:
    """How many clusters and samples like these show a `difference` in the metric, tested on the same samples.

    With `table_b`, another model on the same samples, the spread of differences is that of the two. Without it, a
    second model is taken to vary as much, with the given correlation of their errors over clusters (0 is the careful
    guess; models that find the same speech hard have 0.5 to 0.9, and need fewer). Below `MIN_CLUSTERS` clusters the
    units are recordings.

    Raises DataError without any variation to plan from; SettingError for a difference of 0 or a correlation of 1.

    >>> from audiometry.benchmark.stats import mean_of
    >>> x = np.random.default_rng(0).normal(0.0, 1.0, 2000)
    >>> table = ScoreTable({"x": x}, np.arange(2000), np.zeros(2000, int), np.zeros(2000, int))
    >>> found = samples_needed(table, lambda t, w: {"x": mean_of(t, w, "x")}, Metric("x"), 0.1, seed=1)
    >>> 1300 < found.samples < 1900  # (1.96 + 0.84)² · 2 / 0.1² = 1568
    True
    """
    if not -1 <= correlation < 1:
        raise SettingError(f"correlation {correlation} is not in [-1, 1); 0 is the careful guess")
    tables, notes = shared_units([table_a] if table_b is None else [table_a, table_b])
    units = tables[0]
    strata = units.cluster_strata
    groups = jackknife_groups(strata, seed)
    by_jackknife = units.clusters < JACKKNIFE_BELOW

    def resampled(table: ScoreTable) -> FloatArray:
        blocks = jackknife_weights(strata, groups) if by_jackknife else bootstrap_weights(strata, resamples, seed)
        return reduce_blocks(table, reduce, blocks, [metric.name])[metric.name]

    values = resampled(units)
    values = values - resampled(tables[1]) if table_b is not None else values * math.sqrt(2 * (1 - correlation))
    defined = values[np.isfinite(values)]
    error, _ = standard_error(defined, values if by_jackknife else np.empty(0), units, groups, by_size=False)
    if not error > UNCHANGED * max(1.0, float(np.abs(defined).max())):
        raise DataError("these samples show no variation to plan from; take more, or other ones")
    spread = error * math.sqrt(units.clusters)
    clusters = clusters_needed(difference, spread, power=power, level=level)
    return Needed(clusters, math.ceil(clusters * len(units) / units.clusters), spread, notes)
