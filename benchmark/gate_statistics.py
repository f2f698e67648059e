"""How much worse a candidate is than its baseline, how surely, and how small a loss these samples could have shown.

A loss is the candidate's value less the baseline's in the worse direction: positive is worse, whatever the metric.
`docs/gate.md` gives the reasons and the simulations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.stats.bounds import exact_bounds
from audiometry.benchmark.stats.intervals import (
    FEW_EVENTS,
    JACKKNIFE_BELOW,
    UNCHANGED,
    check_settings,
    smallest_stratum,
    standard_error,
)
from audiometry.benchmark.stats.paired import shared_units
from audiometry.benchmark.stats.weights import bootstrap_weights, jackknife_groups, jackknife_weights, reduce_blocks
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = ["FEW_CHANGED", "POWER", "Loss", "detectable_loss", "loss_bound", "loss_p", "measure_losses", "sure_pass"]

POWER = 0.8
"""The chance with which the stated detectable loss is found."""

FEW_CHANGED = 12
"""Up to so many changed samples the t test is not trusted alone: all swaps of their answers are tried as well."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A metric's loss on the same samples, in the metric's unit, and what it takes to test it.

    `loss` is None where the metric is undefined. `error` is its standard error, None where none can be formed and 0
    where no resample changes the loss; `freedom` its degrees of freedom. `samples` counts the smallest stratum,
    `changed` the samples whose counts differ. `swapped` is the one-sided p that the two models' answers are
    exchangeable, by all swaps, where few samples changed. `reach` is how much worse than now the metric can be.
    """

    baseline: float | None
    candidate: float | None
    loss: float | None
    error: float | None
    freedom: float
    samples: int
    changed: int
    clusters: int
    reach: float
    swapped: float | None = None
    notes: tuple[str, ...] = ()


def measure_losses(
    baseline: ScoreTable,
    candidate: ScoreTable,
    reduce: Reduce,
    metrics: Sequence[Metric],
    *,
    seed: int,
    resamples: int = 2000,
) -> dict[str, Loss]:
    """The loss of each metric: {name: Loss}. Both tables are reduced under the same resamples of clusters.

    Standard errors are those of `compare_tables`: the bootstrap's, or the jackknife's below `JACKKNIFE_BELOW` units,
    with the number of clusters less one as degrees of freedom; below `MIN_CLUSTERS` clusters recordings are resampled.

    Raises DataError if the tables do not hold the same samples in the same order, SettingError under 100 resamples.

    >>> from audiometry.benchmark.stats import mean_of
    >>> samples = np.arange(6), np.zeros(6, int), np.zeros(6, int)
    >>> a, b = (ScoreTable({"x": np.array(x)}, *samples) for x in ([3.0, 4, 2, 5, 4, 3], [2.0, 4, 1, 4, 4, 3]))
    >>> mos = Metric("mos", unit="points", direction="higher", low=1.0, high=5.0)
    >>> found = measure_losses(a, b, lambda t, w: {"mos": mean_of(t, w, "x")}, [mos], seed=0)["mos"]
    >>> found.loss, round(found.error, 3), found.changed, found.swapped
    (0.5, 0.224, 3, 0.125)
    """
    check_settings(0.5, resamples)
    if len(baseline) == 0 and len(candidate) == 0:
        none = Loss(None, None, None, None, 1.0, 0, 0, 0, math.inf, notes=("no samples",))
        return {metric.name: none for metric in metrics}
    (first, second), notes = shared_units([baseline, candidate])
    names = [metric.name for metric in metrics]
    strata, groups = first.cluster_strata, jackknife_groups(first.cluster_strata, seed)
    whole = [_values(table, reduce, np.ones((1, first.clusters)), names) for table in (first, second)]

    def differences(blocks: Iterator[FloatArray]) -> dict[str, FloatArray]:
        return reduce_blocks(first, _difference(reduce, second, names), blocks, names)

    by_jackknife = first.clusters < JACKKNIFE_BELOW
    drawn: Mapping[str, FloatArray] = {name: np.empty(0) for name in names}
    if first.clusters > 1:
        blocks = jackknife_weights(strata, groups) if by_jackknife else bootstrap_weights(strata, resamples, seed)
        drawn = differences(blocks)
    return {
        metric.name: _loss(
            _Pair(first, second, reduce, metric, groups),
            (float(whole[0][metric.name][0]), float(whole[1][metric.name][0])),
            drawn[metric.name],
            notes,
            by_jackknife=by_jackknife,
        )
        for metric in metrics
    }


def loss_p(found: Loss, margin: float) -> float:
    """One-sided p that the true loss is at most `margin`: small where it is surely larger.

    Student's t. Where few samples changed, no smaller than the share of all swaps of their answers that give a loss as
    large: three changed clips of 500 would otherwise be called significant. 1 where nothing can be tested.

    >>> loss_p(Loss(0.10, 0.12, 0.02, 0.01, 499, 500, 60, 500, 0.9), 0.0) < 0.025
    True
    """
    if found.loss is None or found.error is None:
        return 1.0
    if found.error == 0:
        return 0.5**found.samples if found.loss > margin + UNCHANGED else 1.0
    from scipy.special import stdtr

    p = float(stdtr(found.freedom, -(found.loss - margin) / found.error))
    return p if found.swapped is None else max(p, found.swapped)


def loss_bound(found: Loss, confidence: float) -> float | None:
    """The upper bound of the true loss at a one-sided confidence; None where there is none.

    Where no resample changes the loss, the share of recordings that could differ is bounded, each wholly wrong (Clopper
    and Pearson; see `exact_bounds`).

    >>> round(loss_bound(Loss(0.10, 0.10, 0.0, 0.01, 499, 500, 60, 500, 0.9), 0.9), 4)
    0.0128
    >>> round(loss_bound(Loss(0.10, 0.10, 0.0, 0.0, 499, 500, 0, 500, 0.9), 0.9), 4)
    0.0041
    """
    if found.loss is None or found.error is None:
        return None
    if found.error == 0:
        return exact_bounds(found.loss, found.samples, 2 * confidence - 1, -math.inf, found.loss + found.reach)[1]
    from scipy.special import stdtrit

    return found.loss + float(stdtrit(found.freedom, confidence)) * found.error


def detectable_loss(found: Loss, margin: float, alpha: float) -> float | None:
    """The true loss that a test at level `alpha` calls larger than `margin` with probability `POWER`, or None.

    From the noncentral t distribution, for a pair whose answers move both ways as these do and lose that much beside. A
    loss comes in pieces, and pieces add to the spread: with pieces as large as the changes seen (their root mean
    square, error / sqrt(changed)) a loss x adds x · piece to the squared error. Where few samples changed the loss must
    also be in so many pieces that all swaps together show it. None where no loss could be shown: no interval, too few
    samples for any swap test, or nothing changed and the metric has no end.

    >>> round(detectable_loss(Loss(0.10, 0.10, 0.0, 0.01, 499, 500, 500, 500, 0.9), 0.0, 0.05), 4)
    0.0263
    """
    if not 0 < alpha < 0.5:
        raise SettingError(f"level {alpha} of a one-sided test is not between 0 and 0.5; 0.05 is usual")
    if found.loss is None or found.error is None:
        return None
    from scipy.special import betaincinv, nctdtrinc, stdtrit

    needed = math.ceil(math.log2(1 / alpha) - UNCHANGED)
    if found.changed <= FEW_CHANGED and needed > found.samples:
        return None
    share = float(betaincinv(needed, found.samples - needed + 1, POWER)) if needed <= found.samples else 1.0
    if found.error == 0:
        return margin + share * found.reach if math.isfinite(found.reach) else None
    piece = found.error / math.sqrt(max(found.changed, 1))
    shift = float(nctdtrinc(found.freedom, 1 - POWER, float(stdtrit(found.freedom, 1 - alpha))))
    half = shift**2 * piece / 2
    beyond = half + math.sqrt(half**2 + shift**2 * (found.error**2 + margin * piece))
    if found.changed <= FEW_CHANGED:
        beyond = max(beyond, share * found.samples * piece)
    return margin + beyond


def sure_pass(found: Loss, limit: float, confidence: float) -> bool:
    """Whether a loss of `limit` or more is ruled out at that one-sided confidence.

    >>> sure_pass(Loss(0.10, 0.10, 0.0, 0.01, 499, 500, 60, 500, 0.9), 0.02, 0.9)
    True
    """
    bound = loss_bound(found, confidence)
    return bound is not None and bound <= limit


@dataclass(frozen=True)
class _Pair:
    first: ScoreTable
    second: ScoreTable
    reduce: Reduce
    metric: Metric
    groups: IntArray

    @property
    def sign(self) -> float:
        return 1.0 if self.metric.direction == "lower" else -1.0


def _loss(
    pair: _Pair, values: tuple[float, float], drawn: FloatArray, notes: tuple[str, ...], *, by_jackknife: bool
) -> Loss:
    units, metric = pair.first, pair.metric
    changed = _changed(pair)
    shown = [value if math.isfinite(value) else None for value in values]
    found = Loss(
        shown[0], shown[1], None, None, 1.0, smallest_stratum(units), len(changed), units.clusters, math.inf,
        notes=(*notes, *_few_events(pair)),
    )  # fmt: skip
    if shown[0] is None or shown[1] is None:
        return replace(found, notes=(*found.notes, "undefined"))
    found = replace(found, loss=pair.sign * (shown[1] - shown[0]) + 0.0, reach=_reach(metric, shown[1]))
    if len(drawn) == 0:
        return replace(found, notes=(*found.notes, "one recording"))
    defined = drawn[np.isfinite(drawn)]
    if 2 * len(defined) < len(drawn):
        return replace(found, notes=(*found.notes, "most resamples are undefined"))
    if np.ptp(defined) <= UNCHANGED * max(1.0, abs(values[1] - values[0])):
        note = "no sample changed" if len(changed) == 0 else "all resamples alike: exact bound"
        return replace(found, error=0.0, notes=(*found.notes, note))
    left_out = drawn if by_jackknife else np.empty(0)
    error, freedom = standard_error(defined, left_out, units, pair.groups, by_size=False)
    return replace(found, error=error, freedom=freedom, swapped=_swapped(pair, changed, found.loss))


def _reach(metric: Metric, value: float) -> float:
    """How much worse than `value` the metric can be; a fraction without an end is taken to end at 1, or at itself."""
    if metric.direction == "higher":
        return value - metric.low
    high = max(1.0, value) if metric.unit == "fraction" and math.isinf(metric.high) else metric.high
    return high - value


def _changed(pair: _Pair) -> IntArray:
    """Rows of the samples whose events differ, or any count where the metric names no events."""
    events = pair.metric.events
    names = [events] if events is not None else list(pair.first.counts)
    differs = np.zeros(len(pair.first), dtype=bool)
    for name in names:
        differs |= pair.first.counts[name] != pair.second.counts[name]
    return np.flatnonzero(differs)


def _few_events(pair: _Pair) -> tuple[str, ...]:
    events = pair.metric.events
    if events is None or min(table.counts[events].sum() for table in (pair.first, pair.second)) >= FEW_EVENTS:
        return ()
    return ("under ten expected errors",)


def _swapped(pair: _Pair, changed: IntArray, loss: float | None) -> float | None:
    """Share of all swaps of the two models' answers, in changed clusters, that give a loss as large as that seen.

    Exact where the two are exchangeable, as in `permutation_test`; None where many samples changed.
    """
    if not 0 < len(changed) <= FEW_CHANGED or loss is None:
        return None
    units, other = pair.first, pair.second
    clusters = np.unique(units.cluster[changed])
    codes = np.arange(2 ** len(clusters))
    swap = np.zeros((len(codes), units.clusters))
    swap[:, clusters] = (codes[:, None] >> np.arange(len(clusters))) & 1
    both = replace(
        units,
        counts={name: np.concatenate([units.counts[name], other.counts[name]]) for name in units.counts},
        cluster=np.concatenate([units.cluster, units.cluster + units.clusters]),
        stratum=np.tile(units.stratum, 2),
        cluster_strata=np.tile(units.cluster_strata, 2),
    )
    name = pair.metric.name
    first = _values(both, pair.reduce, np.hstack([1 - swap, swap]), [name])[name]
    second = _values(both, pair.reduce, np.hstack([swap, 1 - swap]), [name])[name]
    losses = pair.sign * (second - first)
    return float(np.mean(losses[np.isfinite(losses)] >= loss - UNCHANGED * max(1.0, abs(loss))))


def _values(table: ScoreTable, reduce: Reduce, weights: FloatArray, names: Sequence[str]) -> dict[str, FloatArray]:
    return reduce_blocks(table, reduce, iter([weights]), names)


def _difference(reduce: Reduce, other: ScoreTable, names: Sequence[str]) -> Reduce:
    def difference(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        first, second = reduce(table, weights), reduce(other, weights)
        return {name: second[name] - first[name] for name in names}

    return difference
