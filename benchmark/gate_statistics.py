"""How much worse a candidate is than its baseline, how surely, and how small a loss these samples could have shown.

A loss is the candidate's value less the baseline's in the worse direction: positive is worse, whatever the metric.
`docs/gate.md` gives the reasons and the simulations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.gate_swaps import contributions, swap_critical, swap_p
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
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable

__all__ = ["FEW_CHANGED", "POWER", "Loss", "detectable_loss", "loss_bound", "loss_p", "measure_losses"]

POWER = 0.8
"""The chance with which the stated detectable loss is found."""

FEW_CHANGED = 12
"""Up to so many changed samples a loss must be in enough pieces for their signs alone to show it."""

TWINNED = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Loss:
    """A metric's loss on the same samples, in the metric's unit, and what it takes to test it.

    `loss` is None where the metric is undefined. `error` is its standard error, None where none can be formed and 0
    where nothing varies; `freedom` its degrees of freedom. `samples` counts the smallest stratum, `changed` the samples
    whose counts differ, and `piece` is how large a change is: a loss x in such pieces adds x · piece to the squared
    error. `reach` is how much worse than now the metric can be. `moves` of shape (clusters,) are the clusters'
    contributions where they add up, else None; `shares` of that shape are the clusters' shares of what the metric
    counts (words), or of the samples.
    """

    baseline: float | None
    candidate: float | None
    loss: float | None
    error: float | None
    freedom: float
    samples: int
    changed: int
    piece: float
    reach: float
    moves: FloatArray | None
    shares: FloatArray
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
    """The loss of each metric: {name: Loss}.

    Below `MIN_CLUSTERS` clusters the units are recordings. Where clusters' contributions add up (rates, means) and
    there are `JACKKNIFE_BELOW` units, the squared error is the sum of their squares around the loss, raised for the
    effective number of units (by words, where the metric counts words); else it is that of `compare_tables`, by
    bootstrap or jackknife.

    Raises DataError if the tables do not hold the same samples in the same order, SettingError under 100 resamples.

    >>> from audiometry.benchmark.stats import mean_of
    >>> samples = np.arange(12), np.zeros(12, int), np.zeros(12, int)
    >>> a, b = (ScoreTable({"x": np.array(x * 2)}, *samples) for x in ([3.0, 4, 2, 5, 4, 3], [2.0, 4, 1, 4, 4, 3]))
    >>> mos = Metric("mos", unit="points", direction="higher", low=1.0, high=5.0)
    >>> found = measure_losses(a, b, lambda t, w: {"mos": mean_of(t, w, "x")}, [mos], seed=0)["mos"]
    >>> found.loss, round(found.error, 3), found.changed, round(loss_p(found, 0.0), 4)
    (0.5, 0.151, 6, 0.0156)
    """
    check_settings(0.5, resamples)
    if len(baseline) == 0 and len(candidate) == 0:
        none = Loss(None, None, None, None, 1.0, 0, 0, 0.0, math.inf, None, np.empty(0), ("no samples",))
        return {metric.name: none for metric in metrics}
    (first, second), notes = shared_units([baseline, candidate])
    names = [metric.name for metric in metrics]
    ones = np.ones((1, first.clusters))
    values = [reduce_blocks(table, reduce, iter([ones]), names) for table in (first, second)]
    return {
        metric.name: _loss(
            _Pair(first, second, reduce, metric, seed, resamples),
            (float(values[0][metric.name][0]), float(values[1][metric.name][0])),
            notes,
        )
        for metric in metrics
    }


def loss_p(found: Loss, margin: float) -> float:
    """One-sided p that the true loss is at most `margin`: small where it is surely larger; 1 where none can be tested.

    By swaps of the two models' answers, less the margin, where contributions add up; else by Student's t.

    >>> moves = np.repeat([0.01, -0.01, 0.0], [14, 4, 82])
    >>> found = Loss(0.3, 0.4, 0.1, 0.04, 99, 100, 18, 0.01, 0.6, moves, np.full(100, 0.01))
    >>> round(loss_p(found, 0.0), 3), loss_p(replace(found, moves=None), 0.0) < 0.01
    (0.015, True)
    """
    if found.loss is None or found.error is None:
        return 1.0
    if found.moves is not None:
        least = swap_p(found.moves)  # who exceeds a margin exceeds nothing as well
        return least if margin == 0 else max(least, swap_p(found.moves - margin * found.shares))
    if found.error == 0:
        return 0.5**found.samples if found.loss > margin + UNCHANGED else 1.0
    from scipy.special import stdtr

    return float(stdtr(found.freedom, -(found.loss - margin) / found.error))


def loss_bound(found: Loss, confidence: float) -> float | None:
    """The upper bound of the true loss at a one-sided confidence; None where there is none.

    Where nothing varies, the share of recordings that could differ is bounded, each wholly wrong (Clopper and Pearson;
    see `exact_bounds`); there is no bound if the metric has no end.

    >>> found = Loss(0.10, 0.10, 0.0, 0.01, 499, 500, 60, 0.001, 0.9, None, np.full(500, 0.002))
    >>> round(loss_bound(found, 0.9), 4), round(loss_bound(replace(found, error=0.0), 0.9), 4)
    (0.0128, 0.0041)
    """
    if found.loss is None or found.error is None:
        return None
    if found.error == 0:
        if math.isinf(found.reach):
            return None
        return exact_bounds(found.loss, found.samples, 2 * confidence - 1, -math.inf, found.loss + found.reach)[1]
    from scipy.special import stdtrit

    return found.loss + float(stdtrit(found.freedom, confidence)) * found.error


def detectable_loss(found: Loss, margin: float, alpha: float) -> float | None:
    """The true loss that a test at level `alpha` calls larger than `margin` with probability `POWER`, or None.

    For a pair whose answers move both ways as these do and that loses so much beside. A loss comes in pieces, and
    pieces add to the spread, as much as the changes seen are large. Where few samples changed, the loss must be in so
    many pieces that their signs alone show it; where none did, each piece is a recording gone wholly wrong.

    None where no loss could be shown: no interval, too few recordings, no end to how bad a recording can be, or a loss
    that would have to be larger than the metric allows.

    >>> found = Loss(0.10, 0.10, 0.0, 0.01, 499, 500, 500, 0.0005, 0.9, None, np.full(500, 0.002))
    >>> round(detectable_loss(found, 0.0, 0.05), 4)
    0.0265
    """
    if not 0 < alpha < 0.5:
        raise SettingError(f"level {alpha} of a one-sided test is not between 0 and 0.5; 0.04 is the default")
    if found.loss is None or found.error is None:
        return None
    from scipy.special import betaincinv

    needed = math.ceil(math.log2(1 / alpha) - UNCHANGED)
    by_signs = found.moves is not None or found.error == 0
    if by_signs and needed > min(found.samples, len(found.shares)):
        return None
    piece = found.piece if found.error > 0 else found.reach / found.samples
    if not 0 < piece < math.inf:
        return None
    beyond = _by_swaps(found, piece, margin, alpha) if by_signs else _by_t(found, piece, margin, alpha)
    if by_signs and found.changed <= FEW_CHANGED:
        share = float(betaincinv(needed, found.samples - needed + 1, POWER))
        beyond = max(beyond, share * found.samples * piece)
    return margin + beyond if margin + beyond <= found.reach else None


def _by_t(found: Loss, piece: float, margin: float, alpha: float) -> float:
    """From the noncentral t distribution: x = shift · sqrt(error² + (margin + x) · piece), solved for x."""
    from scipy.special import nctdtrinc, stdtrit

    error = found.error or 0.0
    shift = float(nctdtrinc(found.freedom, 1 - POWER, float(stdtrit(found.freedom, 1 - alpha))))
    half = shift**2 * piece / 2
    return half + math.sqrt(half**2 + shift**2 * (error**2 + margin * piece))


def _by_swaps(found: Loss, piece: float, margin: float, alpha: float) -> float:
    """The least x above what swaps of such contributions exceed with chance `alpha`, by what `POWER` takes.

    Sums of whole numbers go in steps of two, and an exact test waits for the next: half a step on average.
    """
    from scipy.special import ndtri

    error, shares = found.error or 0.0, found.shares
    moves = np.zeros(len(shares)) if found.moves is None else found.moves - (found.loss or 0.0) * shares
    steps = np.abs(found.moves[found.moves != 0]) if found.moves is not None else np.empty(0)
    spare, wait = float(ndtri(POWER)), float(steps.min(initial=piece))

    def short(x: float) -> bool:
        pieces = (margin + x) * piece
        sizes = np.sqrt(moves**2 + pieces * shares + (x * shares) ** 2)
        return x < swap_critical(sizes, alpha) + wait + spare * math.sqrt(error**2 + pieces)

    return _least(short, start=max(error, piece, UNCHANGED))


def _least(short: Callable[[float], bool], start: float) -> float:
    """The number at which `short` ends, to 0.1 %; infinity where it never does."""
    low, high = 0.0, start
    while short(high):
        low, high = high, 2 * high
        if high > 1e6 * start:
            return math.inf
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if short(middle) else (low, middle)
    return high


@dataclass(frozen=True)
class _Pair:
    first: ScoreTable
    second: ScoreTable
    reduce: Reduce
    metric: Metric
    seed: int
    resamples: int

    @property
    def sign(self) -> float:
        return 1.0 if self.metric.direction == "lower" else -1.0


def _loss(pair: _Pair, values: tuple[float, float], notes: tuple[str, ...]) -> Loss:
    units, metric = pair.first, pair.metric
    shown = [value if math.isfinite(value) else None for value in values]
    changed, piece = _changes(pair, values)
    found = Loss(
        shown[0], shown[1], None, None, 1.0, smallest_stratum(units), changed, piece, math.inf, None,
        _shares(units, metric, values[0]), (*notes, *_few_events(pair)),
    )  # fmt: skip
    if shown[0] is None or shown[1] is None:
        return replace(found, notes=(*found.notes, "undefined"))
    found = replace(found, loss=pair.sign * (values[1] - values[0]) + 0.0, reach=_reach(metric, values[1]))
    if units.clusters < 2:
        return replace(found, notes=(*found.notes, "one recording"))
    moves = None
    if units.clusters >= JACKKNIFE_BELOW:
        moves = contributions(pair.first, pair.second, pair.reduce, metric)
    found = _by_resampling(pair, found) if moves is None else _by_contributions(found, pair.sign * moves)
    return replace(found, piece=max(piece, (found.error or 0.0) / math.sqrt(max(changed, 1))))


def _by_contributions(found: Loss, moves: FloatArray) -> Loss:
    effective = max(1 / float((found.shares**2).sum()), 1.5)
    rest = moves - (found.loss or 0.0) * found.shares
    error = math.sqrt(effective / (effective - 1) * float((rest**2).sum()))
    if error <= TWINNED * max(1.0, abs(found.loss or 0.0)):
        error = 0.0
    return _noted(replace(found, error=error, freedom=effective - 1, moves=moves))


def _by_resampling(pair: _Pair, found: Loss) -> Loss:
    units, name = pair.first, pair.metric.name
    groups = jackknife_groups(units.cluster_strata, pair.seed)
    by_jackknife = units.clusters < JACKKNIFE_BELOW
    if by_jackknife:
        blocks = jackknife_weights(units.cluster_strata, groups)
    else:
        blocks = bootstrap_weights(units.cluster_strata, pair.resamples, pair.seed)

    def difference(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        return {name: pair.reduce(pair.second, weights)[name] - pair.reduce(table, weights)[name]}

    drawn = reduce_blocks(units, difference, blocks, [name])[name]
    defined = drawn[np.isfinite(drawn)]
    if 2 * len(defined) < len(drawn):
        return replace(found, notes=(*found.notes, "most resamples are undefined"))
    if np.ptp(defined) <= UNCHANGED * max(1.0, abs(found.loss or 0.0)):
        return _noted(replace(found, error=0.0))
    left_out = drawn if by_jackknife else np.empty(0)
    error, freedom = standard_error(defined, left_out, units, groups, by_size=by_jackknife)
    return replace(found, error=error, freedom=freedom)


def _noted(found: Loss) -> Loss:
    if found.error != 0:
        return found
    note = "no sample changed" if found.changed == 0 else "nothing varies: exact bound"
    return replace(found, notes=(*found.notes, note))


def _reach(metric: Metric, value: float) -> float:
    """How much worse than `value` the metric can be; a fraction without an end is taken to end at 1, or at itself."""
    if metric.direction == "higher":
        return value - metric.low
    high = max(1.0, value) if metric.unit == "fraction" and math.isinf(metric.high) else metric.high
    return high - value


def _shares(units: ScoreTable, metric: Metric, value: float) -> FloatArray:
    """Each cluster's share of what the metric counts (its events over its value tell which count), or of samples."""
    weights = np.bincount(units.cluster, minlength=units.clusters).astype(np.float64)
    if metric.events is not None and value > 0 and math.isfinite(value):
        total = float(units.counts[metric.events].sum()) / value
        for name in units.counts:
            sums = units.cluster_sums(name)
            if name != metric.events and abs(float(sums.sum()) - total) <= TWINNED * total and (sums >= 0).all():
                weights = sums
                break
    return np.asarray(weights / weights.sum())


def _changes(pair: _Pair, values: tuple[float, float]) -> tuple[int, float]:
    """How many samples' events differ (any count where the metric names no events), and how large a change is.

    The size is the sum of squares over the sum, as a piece's spread counts, in the metric's unit; 0 without events.
    """
    events = pair.metric.events
    if events is None:
        names = pair.first.counts
        differs = np.any([pair.first.counts[name] != pair.second.counts[name] for name in names], axis=0)
        return int(differs.sum()), 0.0
    counts = pair.first.counts[events], pair.second.counts[events]
    sizes = np.abs(counts[1] - counts[0])
    totals = [float(count.sum()) for count in counts]
    units = [value / total for value, total in zip(values, totals, strict=True) if total > 0 and math.isfinite(value)]
    if not units or not sizes.any():
        return int((sizes > 0).sum()), 0.0
    return int((sizes > 0).sum()), float((sizes**2).sum() / sizes.sum()) * units[0]


def _few_events(pair: _Pair) -> tuple[str, ...]:
    events = pair.metric.events
    if events is None or min(table.counts[events].sum() for table in (pair.first, pair.second)) >= FEW_EVENTS:
        return ()
    return ("under ten expected errors",)
