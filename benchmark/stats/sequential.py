"""Looking at a run while it goes on, and stopping when sure, without fooling oneself.

Whoever looks again and again at a 95 % interval and stops at the first that suits is wrong far more often than one
time in twenty. Each look therefore spends a part of the 5 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats.intervals import Interval, intervals
from audiometry.benchmark.types import Metric, Reduce, ScoreTable

__all__ = ["LEAST_CLUSTERS", "Look", "look_level", "sequential_look"]

LEAST_CLUSTERS = 10
"""No look is sure before there are so many units."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a run that goes on: its interval, whether it is sure enough to stop, and why or why not."""

    interval: Interval
    sure: bool
    reason: str


def look_level(look: int, level: float = 0.95) -> float:
    """The level of the interval at the given look (counted from 1), so that all looks together keep `level`.

    Look k spends (1 - level) / (k (k + 1)), which adds up to 1 - level over any number of looks. By Bonferroni's
    inequality the intervals of all looks hold at once with probability `level` at least, however many looks there are,
    whenever they come, and however they depend on each other: new speakers, or more of the same ones.
    (Spending as in K. K. G. Lan and D. L. DeMets, Biometrika 70, 1983, without their independent increments.)

    Raises SettingError for a look before 1 or a level outside (0, 1).

    >>> [round(look_level(look), 4) for look in (1, 2, 10)]
    [0.975, 0.9917, 0.9995]
    """
    if look < 1 or not 0 < level < 1:
        raise SettingError(f"look {look} at level {level}: looks count from 1, levels lie between 0 and 1")
    return 1 - (1 - level) / (look * (look + 1))


def sequential_look(
    table: ScoreTable,
    reduce: Reduce,
    metric: Metric,
    *,
    look: int,
    seed: int,
    half_width: float | None = None,
    threshold: float | None = None,
    level: float = 0.95,
    resamples: int = 2000,
) -> Look:
    """Look at what is scored so far: sure if the interval is narrow enough, or lies on one side of a threshold.

    `look` counts the looks of this run from 1; double the samples from look to look, and each costs little.
    `half_width`: sure once both bounds are within it of the value (in the metric's unit). `threshold`: sure once it
    lies outside the interval. With both, either will do. The samples so far must be a random part of the task's (the
    first of the fixed hash order are). For two models take `compare_tables(…, level=look_level(look))`.

    Raises SettingError if neither is given, and as `look_level` does.

    >>> import numpy as np
    >>> from audiometry.benchmark.stats import mean_of
    >>> x = np.random.default_rng(0).normal(0.3, 0.1, 64)
    >>> table = ScoreTable({"x": x}, np.arange(64), *np.zeros((2, 64), int))
    >>> def reduce(table, weights):
    ...     return {"x": mean_of(table, weights, "x")}
    >>> found = sequential_look(table, reduce, Metric("x"), look=3, seed=1, threshold=0.2)
    >>> found.sure, found.reason
    (True, 'the interval excludes 0.2')
    """
    if half_width is None and threshold is None:
        raise SettingError("nothing to be sure of: give half_width or threshold")
    found = intervals(
        table, reduce, [metric], seed=seed, resamples=resamples, level=look_level(look, level), method="t"
    )[metric.name]
    if found.value is None or found.low is None or found.high is None:
        return Look(found, False, "no interval yet")
    if found.clusters < LEAST_CLUSTERS:
        return Look(found, False, f"{found.clusters} of at least {LEAST_CLUSTERS} units")
    if threshold is not None and not found.low <= threshold <= found.high:
        return Look(found, True, f"the interval excludes {threshold:g}")
    wide = max(found.high - found.value, found.value - found.low)
    if half_width is not None and wide <= half_width:
        return Look(found, True, f"the interval is within {half_width:g} of the value")
    return Look(found, False, "not yet")
