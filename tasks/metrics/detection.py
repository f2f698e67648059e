"""How well scores tell bona fide from spoofed speech, or target from non-target speakers.

Higher scores must speak for bona fide (the target speaker); `check_orientation` says when they seem not to. All
rates are fractions. Every function takes the two classes' scores as arrays of shape (trials,), in any order, and
raises DataError for an empty class, NaN, or an array of other than one dimension. Infinite scores are allowed.

Sources: ASVspoof 2019 and 2021 evaluation plans and packages (equal error rate), ASVspoof 5 evaluation plan (DCF
with its parameters, actual DCF, Cllr), Martin et al. 1997 (DET curves).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import SettingError
from audiometry.tasks.metrics.calibration import cllr_of_sorted
from audiometry.tasks.metrics.trials import (
    MinimumCost,
    OperatingPoints,
    SortedTrials,
    convex_hull,
    last_rejected,
    lowest_cost,
    operating_points,
    sorted_trials,
)

__all__ = [
    "ASVSPOOF5_COSTS",
    "DetectionCosts",
    "DetectionMetrics",
    "EqualErrorRate",
    "Orientation",
    "actual_dcf",
    "auc",
    "check_orientation",
    "det_curve",
    "detection_metrics",
    "equal_error_rate",
    "equal_error_rate_convex_hull",
    "equal_error_rate_of_sorted",
    "min_dcf",
    "tied_trials",
]


@dataclass(frozen=True, slots=True)
class EqualErrorRate:
    """ASVspoof's equal error rate and where it is reached.

    `value` is the mean of `miss_rate` and `false_alarm_rate` at the operating point where they are closest;
    `threshold` is the score of the last rejected trial. `tied` counts the trials of both classes that share the
    score at which the two rates cross, 0 where none do.
    """

    value: float
    threshold: float
    miss_rate: float
    false_alarm_rate: float
    tied: int

    @property
    def depends_on_ties(self) -> bool:
        """A warning: the rates cross among tied trials, and another order of the tie could give another value."""
        return self.tied > 0


@dataclass(frozen=True, slots=True)
class DetectionCosts:
    """Prior of a spoofed (non-target) trial and the costs of both errors; the defaults are ASVspoof 5's.

    Raises SettingError unless the prior lies strictly between 0 and 1 and the costs are positive.
    """

    spoof_prior: float = 0.05
    miss_cost: float = 1.0
    false_alarm_cost: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.spoof_prior < 1:
            raise SettingError(f"spoof prior {self.spoof_prior} is not between 0 and 1")
        if not (0 < self.miss_cost < math.inf and 0 < self.false_alarm_cost < math.inf):
            raise SettingError(f"costs {self.miss_cost} and {self.false_alarm_cost} must be positive")

    @property
    def miss_weight(self) -> float:
        """Weight of the miss rate in the unnormalised cost."""
        return self.miss_cost * (1 - self.spoof_prior)

    @property
    def false_alarm_weight(self) -> float:
        """Weight of the false alarm rate in the unnormalised cost."""
        return self.false_alarm_cost * self.spoof_prior

    @property
    def default_cost(self) -> float:
        """Cost of the better of accepting all and rejecting all, which normalises."""
        return min(self.miss_weight, self.false_alarm_weight)

    @property
    def bayes_threshold(self) -> float:
        """Log-likelihood ratio at which the expected costs of both decisions are equal: -ln β."""
        return -math.log(self.miss_weight / self.false_alarm_weight)

    def normalised(self, miss_rate: float, false_alarm_rate: float) -> float:
        """Normalised cost of an operating point."""
        return (self.miss_weight * miss_rate + self.false_alarm_weight * false_alarm_rate) / self.default_cost


ASVSPOOF5_COSTS = DetectionCosts()


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """What ASVspoof 5 reports for track 1, from one pass."""

    eer: EqualErrorRate
    min_dcf: MinimumCost
    actual_dcf: float
    cllr: float
    bona_fide: int
    spoof: int


@dataclass(frozen=True, slots=True)
class Orientation:
    """Whether higher scores speak for bona fide, judged by the AUC against chance."""

    verdict: Literal["as expected", "inverted", "cannot tell"]
    auc: float
    z: float
    message: str


def equal_error_rate(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> EqualErrorRate:
    """Return the equal error rate by ASVspoof's definition.

    Trials are rejected from the lowest score upwards, tied ones bona fide first. Of the n + 1 operating points, the
    one with the smallest ``|P(miss) - P(false alarm)|`` counts, the lowest threshold among equals, and the value is
    the mean of both rates there (``compute_eer`` of the ASVspoof 2019, 2021 and 5 evaluation packages). Range 0 to
    1, lower is better, chance 0.5. A constant score gives 1, for the tie rule puts every bona fide trial below.

    >>> equal_error_rate([1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 1.5, 0.5]).value
    0.25
    >>> constant = equal_error_rate([0.0, 0.0], [0.0, 0.0])
    >>> constant.value, constant.depends_on_ties
    (1.0, True)
    """
    return equal_error_rate_of_sorted(sorted_trials(bona_fide_scores, spoof_scores))


def equal_error_rate_of_sorted(trials: SortedTrials) -> EqualErrorRate:
    """Return the equal error rate of scores already sorted: two binary searches.

    >>> equal_error_rate_of_sorted(sorted_trials([2.0], [1.0])).value
    0.0
    """
    bona_fide, spoof = trials.bona_fide, trials.spoof
    total_bona_fide, total_spoof = len(bona_fide), len(spoof)

    def below(index: int) -> int:
        return int(np.searchsorted(spoof, bona_fide[index], side="left"))

    def gap(misses: int, rejected_spoof: int) -> float:
        return misses / total_bona_fide - (total_spoof - rejected_spoof) / total_spoof

    low, high = 0, total_bona_fide - 1  # the first bona fide trial whose rejection closes the gap
    while low < high:
        middle = (low + high) // 2
        if gap(middle + 1, below(middle)) >= 0:
            high = middle
        else:
            low = middle + 1
    misses, rejected = low, below(low)
    if gap(misses, rejected) >= 0:  # it closes earlier, while the spoof trials just below are rejected
        low, high = (below(misses - 1) if misses else 0), rejected
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if gap(misses, middle) >= 0 else (middle, high)
        before, after = (misses, low), (misses, high)
    else:
        before, after = (misses, rejected), (misses + 1, rejected)
    point = before if abs(gap(*before)) <= abs(gap(*after)) else after
    threshold = last_rejected([(bona_fide, point[0]), (spoof, point[1])])
    rates = point[0] / total_bona_fide, (total_spoof - point[1]) / total_spoof
    first, last = _tie(trials, last_rejected([(bona_fide, after[0]), (spoof, after[1])]))
    crosses_tie = first[0] < last[0] and first[1] < last[1] and gap(*last) > 0
    tied = sum(last) - sum(first) if crosses_tie else 0
    return EqualErrorRate((rates[0] + rates[1]) / 2, threshold, *rates, tied)


def _tie(trials: SortedTrials, score: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many trials of each class lie below `score`, and how many up to it."""
    kind = trials.bona_fide.dtype.type  # a float64 would make searchsorted copy float32 arrays
    below = tuple(int(np.searchsorted(s, kind(score), side="left")) for s in (trials.bona_fide, trials.spoof))
    upto = tuple(int(np.searchsorted(s, kind(score), side="right")) for s in (trials.bona_fide, trials.spoof))
    return (below[0], below[1]), (upto[0], upto[1])


def tied_trials(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> int:
    """Return how many trials have a score that the other class has too.

    >>> tied_trials([1.0, 2.0, 2.0], [0.0, 2.0])
    3
    """
    trials = sorted_trials(bona_fide_scores, spoof_scores)
    pairs = (trials.bona_fide, trials.spoof), (trials.spoof, trials.bona_fide)
    return sum(int((np.searchsorted(b, a, "right") > np.searchsorted(b, a, "left")).sum()) for a, b in pairs)


def equal_error_rate_convex_hull(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> float:
    """Return the equal error rate on the ROC's convex hull, where both rates are exactly equal.

    Range 0 to 0.5, lower is better; ties need no rule. Never above the operating points around it, so that it can
    be below ASVspoof's value (Brümmer and du Preez, BOSARIS toolkit, 2011).

    >>> equal_error_rate_convex_hull([1.0, 2.0], [0.0, 1.5])
    0.25
    >>> equal_error_rate_convex_hull([0.0], [0.0])
    0.5
    """
    hull_bona_fide, hull_spoof = convex_hull(sorted_trials(bona_fide_scores, spoof_scores))
    miss = np.append(0, np.cumsum(hull_bona_fide)) / hull_bona_fide.sum()
    false_alarm = 1 - np.append(0, np.cumsum(hull_spoof)) / hull_spoof.sum()
    gap = miss - false_alarm
    after = int(np.argmax(gap >= 0))
    share = -gap[after - 1] / (gap[after] - gap[after - 1])
    return float(miss[after - 1] + share * (miss[after] - miss[after - 1]))


def min_dcf(
    bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, costs: DetectionCosts = ASVSPOOF5_COSTS
) -> MinimumCost:
    """Return the normalised detection cost at the best threshold.

    ``min over t of (C_miss (1 - π) P_miss(t) + C_fa π P_fa(t)) / min(C_miss (1 - π), C_fa π)`` with the spoof prior π:
    the ASVspoof 5 evaluation plan, whose β (eq. 3) is the ratio of the two weights, 1.9 by default. Range 0 to 1,
    lower is better; 1 is no better than one decision for all.

    >>> min_dcf([1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 1.5, 0.5])
    MinimumCost(value=0.25, threshold=0.5)
    """
    return _min_dcf(sorted_trials(bona_fide_scores, spoof_scores), costs)


def _min_dcf(trials: SortedTrials, costs: DetectionCosts) -> MinimumCost:
    bona_fide, spoof = trials.bona_fide, trials.spoof
    misses, (rejected,) = lowest_cost(bona_fide, costs.miss_weight, [(spoof, costs.false_alarm_weight)])
    value = costs.normalised(misses / len(bona_fide), (len(spoof) - rejected) / len(spoof))
    return MinimumCost(value, last_rejected([(bona_fide, misses), (spoof, rejected)]))


def actual_dcf(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, costs: DetectionCosts = ASVSPOOF5_COSTS) -> float:
    """Return the normalised detection cost at the Bayes threshold -ln β of natural log-likelihood ratios.

    A score at the threshold is accepted (ASVspoof 5 evaluation plan, eq. 3 for β). At least `min_dcf`; lower is
    better; the excess over `min_dcf` is what miscalibration costs. Not bounded by 1.

    >>> actual_dcf([1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 1.5, 0.5])
    0.75
    """
    return _actual_dcf(sorted_trials(bona_fide_scores, spoof_scores), costs)


def _actual_dcf(trials: SortedTrials, costs: DetectionCosts) -> float:
    threshold = np.float64(costs.bayes_threshold)  # bisect compares single scores; searchsorted would copy float32
    misses, rejected = bisect_left(trials.bona_fide, threshold), bisect_left(trials.spoof, threshold)
    accepted = len(trials.spoof) - rejected
    return costs.normalised(misses / len(trials.bona_fide), accepted / len(trials.spoof))


def detection_metrics(
    bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, costs: DetectionCosts = ASVSPOOF5_COSTS
) -> DetectionMetrics:
    """Return equal error rate, minimum and actual DCF, and Cllr from one sort of each class.

    Each equals the function of its name to the last bit; a million trials take about two sorts' time.

    >>> metrics = detection_metrics([2.0, 3.0], [-2.0, -3.0])
    >>> metrics.eer.value, metrics.min_dcf.value, metrics.actual_dcf, round(metrics.cllr, 3)
    (0.0, 0.0, 0.0, 0.127)
    """
    trials = sorted_trials(bona_fide_scores, spoof_scores)
    return DetectionMetrics(
        eer=equal_error_rate_of_sorted(trials),
        min_dcf=_min_dcf(trials, costs),
        actual_dcf=_actual_dcf(trials, costs),
        cllr=cllr_of_sorted(trials),
        bona_fide=len(trials.bona_fide),
        spoof=len(trials.spoof),
    )


def auc(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> float:
    """Return the area under the ROC: how often a bona fide trial outscores a spoofed one, ties counting half.

    Range 0 to 1, higher is better, chance 0.5 (Hanley and McNeil 1982; the Mann-Whitney statistic).

    >>> auc([1.0, 3.0], [0.0, 1.0])
    0.875
    """
    trials = sorted_trials(bona_fide_scores, spoof_scores)
    wins = sum(int(np.searchsorted(trials.spoof, trials.bona_fide, side=side).sum()) for side in ("left", "right"))
    return wins / (2 * len(trials.bona_fide) * len(trials.spoof))


def check_orientation(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> Orientation:
    """Say whether scores seem inverted: an AUC under 0.5 by more than three standard errors of chance.

    The standard error is the Mann-Whitney one under no difference (conservative with ties). With few trials the
    verdict is "cannot tell".

    >>> check_orientation(range(-30, 0), range(30)).message
    'scores look inverted (AUC 0.000): higher must mean more bona fide; negate them'
    >>> check_orientation([1.0], [0.0]).verdict
    'cannot tell'
    """
    area = auc(bona_fide_scores, spoof_scores)
    bona_fide, spoof = np.size(bona_fide_scores), np.size(spoof_scores)
    z = (area - 0.5) / math.sqrt((bona_fide + spoof + 1) / (12 * bona_fide * spoof))
    if z < -3:
        message = f"scores look inverted (AUC {area:.3f}): higher must mean more bona fide; negate them"
        return Orientation("inverted", area, z, message)
    if z > 3:
        return Orientation("as expected", area, z, f"higher scores speak for bona fide (AUC {area:.3f})")
    message = f"orientation cannot be told from chance (AUC {area:.3f} on {bona_fide} and {spoof} trials)"
    return Orientation("cannot tell", area, z, message)


def det_curve(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, points: int = 200) -> OperatingPoints:
    """Return operating points for a DET or ROC plot, both ends included, at most `points` of them.

    Only points that a threshold can reach: tied trials are rejected together. Where there are more, they are thinned
    evenly on the normal-deviate scale of either axis (Martin et al. 1997), within ±4.5.

    >>> curve = det_curve([1.0, 3.0], [0.0, 1.0])
    >>> curve.miss_rate, curve.false_alarm_rate
    (array([0. , 0. , 0.5, 1. ]), array([1. , 0.5, 0. , 0. ]))

    Raises SettingError for fewer than 4 points.
    """
    if points < 4:
        raise SettingError(f"a curve of {points} points is no curve; ask for 4 or more")
    curve = operating_points(sorted_trials(bona_fide_scores, spoof_scores))
    changes = np.flatnonzero(curve.threshold[1:] != curve.threshold[:-1])
    reachable = np.unique(np.concatenate(([0], changes, [len(curve.threshold) - 1])))
    miss, false_alarm = curve.miss_rate[reachable], curve.false_alarm_rate[reachable]
    if len(reachable) > points:
        from scipy.special import ndtr

        grid = ndtr(np.linspace(-4.5, 4.5, (points - 2) // 2))
        kept = np.unique(
            np.concatenate(
                (
                    [0, len(reachable) - 1],
                    np.minimum(np.searchsorted(miss, grid), len(reachable) - 1),
                    np.minimum(np.searchsorted(-false_alarm, -grid), len(reachable) - 1),
                )
            )
        )
        reachable = reachable[kept]
    return OperatingPoints(curve.miss_rate[reachable], curve.false_alarm_rate[reachable], curve.threshold[reachable])
