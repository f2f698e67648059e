"""A spoof detector in front of a speaker verifier, and systems that do both in one score.

The countermeasure (CM) detects spoofing, the ASV system verifies the speaker; in tandem, a trial is accepted where
both accept it. Trials are of three classes: target, non-target (another speaker, bona fide) and spoof. All rates
are fractions, all costs normalised, lower is better. Scores have shape (trials,); every function raises DataError
for an empty class or NaN. Decisions of the official packages at the ASV threshold accept a score equal to it.

Sources: Kinnunen et al. 2018 (t-DCF, used in ASVspoof 2019), Kinnunen et al. 2020 (revised t-DCF, ASVspoof 2021,
whose evaluation plan repeats its eqs. 10 and 11 as eqs. 1 and 2 of its appendix), Shim et al. 2024 (a-DCF) and
Kinnunen et al. 2023 (t-EER), both used in ASVspoof 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import FloatArray, IntArray
from audiometry.tasks.metrics.detection import equal_error_rate
from audiometry.tasks.metrics.trials import (
    MinimumCost,
    SortedScores,
    last_rejected,
    lowest_cost,
    operating_points,
    sorted_scores,
    sorted_trials,
)

__all__ = [
    "ADCF_PAPER_COSTS",
    "ASVSPOOF2019_COSTS",
    "ASVSPOOF_COSTS",
    "AsvErrorRates",
    "LegacyTandemCosts",
    "TandemCosts",
    "TandemEqualErrorRate",
    "TandemScores",
    "asv_error_rates",
    "min_adcf",
    "min_tdcf",
    "min_tdcf_legacy",
    "tandem_equal_error_rate",
]


@dataclass(frozen=True, slots=True)
class AsvErrorRates:
    """Errors of a fixed ASV system: targets rejected, non-targets accepted, spoofed trials accepted."""

    miss_rate: float
    false_alarm_rate: float
    spoof_false_alarm_rate: float
    threshold: float = math.nan

    def __post_init__(self) -> None:
        for rate in (self.miss_rate, self.false_alarm_rate, self.spoof_false_alarm_rate):
            if not 0 <= rate <= 1:
                raise SettingError(f"ASV error rate {rate} is not between 0 and 1; give fractions")


def _check(priors: tuple[float, float, float], costs: tuple[float, ...]) -> None:
    if min(priors) < 0 or abs(sum(priors) - 1) > 1e-10:
        raise SettingError(f"priors {priors} must not be negative and must sum to 1")
    if min(costs) < 0 or not math.isfinite(sum(costs)):
        raise SettingError(f"costs {costs} must be finite and not negative")


@dataclass(frozen=True, slots=True)
class TandemCosts:
    """Priors and costs of the tandem or single system; the defaults are those of ASVspoof 2021 and ASVspoof 5.

    Raises SettingError for priors that do not sum to 1 and for negative costs.
    """

    target_prior: float = 0.95 * 0.99
    nontarget_prior: float = 0.95 * 0.01
    spoof_prior: float = 0.05
    miss_cost: float = 1.0
    false_alarm_cost: float = 10.0
    spoof_false_alarm_cost: float = 10.0

    def __post_init__(self) -> None:
        _check(
            (self.target_prior, self.nontarget_prior, self.spoof_prior),
            (self.miss_cost, self.false_alarm_cost, self.spoof_false_alarm_cost),
        )


@dataclass(frozen=True, slots=True)
class LegacyTandemCosts:
    """Priors and costs of the 2018 t-DCF, where ASV and CM have costs of their own; defaults of ASVspoof 2019.

    Raises SettingError for priors that do not sum to 1 and for negative costs.
    """

    target_prior: float = 0.95 * 0.99
    nontarget_prior: float = 0.95 * 0.01
    spoof_prior: float = 0.05
    asv_miss_cost: float = 1.0
    asv_false_alarm_cost: float = 10.0
    cm_miss_cost: float = 1.0
    cm_false_alarm_cost: float = 10.0

    def __post_init__(self) -> None:
        _check(
            (self.target_prior, self.nontarget_prior, self.spoof_prior),
            (self.asv_miss_cost, self.asv_false_alarm_cost, self.cm_miss_cost, self.cm_false_alarm_cost),
        )


ASVSPOOF_COSTS = TandemCosts()
ASVSPOOF2019_COSTS = LegacyTandemCosts()
ADCF_PAPER_COSTS = TandemCosts(0.9, 0.05, 0.05, 1.0, 10.0, 20.0)
"""The a-DCF's own default (a-DCF1 of Shim et al. 2024), which early versions of the ASVspoof 5 package used."""


@dataclass(frozen=True)
class TandemScores:
    """One system's scores of the three classes; each array has shape (trials of the class,)."""

    target: ArrayLike
    nontarget: ArrayLike
    spoof: ArrayLike


@dataclass(frozen=True, slots=True)
class TandemEqualErrorRate:
    """The concurrent t-EER and the two thresholds where it is reached; trials above both are accepted."""

    value: float
    asv_threshold: float
    cm_threshold: float


def asv_error_rates(asv: TandemScores, threshold: float | None = None) -> AsvErrorRates:
    """Return the errors of an ASV system at `threshold`, by default that of its equal error rate.

    As in the ASVspoof packages (``obtain_asv_error_rates``), the equal error rate is that of target against
    non-target trials, and scores equal to the threshold are accepted.

    >>> asv_error_rates(TandemScores([1.0, 2.0, 3.0], [-1.0, 0.0, 1.5], [2.0, 0.0]))
    AsvErrorRates(miss_rate=0.0, false_alarm_rate=0.3333333333333333, spoof_false_alarm_rate=0.5, threshold=1.0)
    """
    if threshold is None:
        threshold = equal_error_rate(asv.target, asv.nontarget).threshold
    target, nontarget, spoof = _three_classes(asv)
    below = [int(np.searchsorted(scores, threshold, side="left")) for scores in (target, nontarget, spoof)]
    return AsvErrorRates(
        below[0] / len(target),
        (len(nontarget) - below[1]) / len(nontarget),
        (len(spoof) - below[2]) / len(spoof),
        float(threshold),
    )


def _three_classes(scores: TandemScores) -> tuple[SortedScores, SortedScores, SortedScores]:
    return (
        sorted_scores(scores.target, "target"),
        sorted_scores(scores.nontarget, "non-target"),
        sorted_scores(scores.spoof, "spoof"),
    )


def min_tdcf(
    bona_fide_scores: ArrayLike,
    spoof_scores: ArrayLike,
    asv: AsvErrorRates,
    costs: TandemCosts = ASVSPOOF_COSTS,
) -> MinimumCost:
    """Return the minimum tandem detection cost of CM scores before a fixed ASV system, as revised for 2021.

    ``(C0 + C1 P_miss + C2 P_fa) / (C0 + min(C1, C2))`` at the best CM threshold (Kinnunen et al. 2020, eqs. 10 and
    11), with ``C0 = π_tar C_miss P_miss_asv + π_non C_fa P_fa_asv``, ``C1 = π_tar C_miss - C0`` and
    ``C2 = π_spoof C_fa_spoof P_fa_spoof_asv``. Range ``C0 / (C0 + min(C1, C2))``, an error-free CM, to 1.

    >>> asv = AsvErrorRates(0.02, 0.02, 0.5)
    >>> round(min_tdcf([1.0, 2.0], [-1.0, 0.0], asv).value, 6), round(min_tdcf([0.0], [0.0], asv).value, 6)
    (0.076503, 1.0)

    Raises DataError where C1 is negative: the ASV system costs more than rejecting everyone.
    """
    passed = costs.target_prior * costs.miss_cost * asv.miss_rate
    passed += costs.nontarget_prior * costs.false_alarm_cost * asv.false_alarm_rate
    blocked = costs.target_prior * costs.miss_cost - passed
    spoofed = costs.spoof_prior * costs.spoof_false_alarm_cost * asv.spoof_false_alarm_rate
    return _min_tdcf(bona_fide_scores, spoof_scores, passed, blocked, spoofed)


def min_tdcf_legacy(
    bona_fide_scores: ArrayLike,
    spoof_scores: ArrayLike,
    asv: AsvErrorRates,
    costs: LegacyTandemCosts = ASVSPOOF2019_COSTS,
) -> MinimumCost:
    """Return the minimum tandem detection cost of CM scores before a fixed ASV system, as used in 2019.

    ``(C1 P_miss + C2 P_fa) / min(C1, C2)`` at the best CM threshold (ASVspoof 2019 evaluation plan), with
    ``C1 = π_tar (C_miss_cm - C_miss_asv P_miss_asv) - π_non C_fa_asv P_fa_asv`` and
    ``C2 = C_fa_cm π_spoof (1 - P_miss_spoof_asv)``. Range 0 to 1.

    >>> asv = AsvErrorRates(0.02, 0.02, 0.5)
    >>> min_tdcf_legacy([1.0, 2.0], [-1.0, 0.0], asv).value, min_tdcf_legacy([0.0], [0.0], asv).value
    (0.0, 1.0)

    Raises DataError where C1 is negative, or where C1 or C2 is 0 and nothing normalises the cost.
    """
    blocked = costs.target_prior * (costs.cm_miss_cost - costs.asv_miss_cost * asv.miss_rate)
    blocked -= costs.nontarget_prior * costs.asv_false_alarm_cost * asv.false_alarm_rate
    spoofed = costs.cm_false_alarm_cost * costs.spoof_prior * asv.spoof_false_alarm_rate
    return _min_tdcf(bona_fide_scores, spoof_scores, 0.0, blocked, spoofed)


def _min_tdcf(
    bona_fide_scores: ArrayLike, spoof_scores: ArrayLike, passed: float, blocked: float, spoofed: float
) -> MinimumCost:
    if blocked < 0:
        raise DataError("the ASV system alone costs more than rejecting everyone; check its error rates and costs")
    default = passed + min(blocked, spoofed)
    if default <= 0:
        raise DataError(
            "the t-DCF has nothing to normalise by: the ASV system accepts no spoofed trial, or costs are 0"
        )
    trials = sorted_trials(bona_fide_scores, spoof_scores)
    misses, (rejected,) = lowest_cost(trials.bona_fide, blocked, [(trials.spoof, spoofed)])
    miss_rate, accepted = misses / len(trials.bona_fide), len(trials.spoof) - rejected
    value = (passed + blocked * miss_rate + spoofed * (accepted / len(trials.spoof))) / default
    return MinimumCost(value, last_rejected([(trials.bona_fide, misses), (trials.spoof, rejected)]))


def min_adcf(scores: TandemScores, costs: TandemCosts = ASVSPOOF_COSTS) -> MinimumCost:
    """Return the minimum architecture-agnostic detection cost of one score that rejects both impostors and spoofs.

    ``(C_miss π_tar P_miss + C_fa π_non P_fa_non + C_fa_spoof π_spoof P_fa_spoof)`` at the best threshold, over the
    better of rejecting all and accepting all (Shim et al. 2024). Range 0 to 1. The defaults are the parameters of
    ASVspoof 5's track 2; `ADCF_PAPER_COSTS` are those of the paper.

    >>> cost = min_adcf(TandemScores(target=[2.0, 3.0], nontarget=[0.0, 1.0], spoof=[-1.0, 2.5]))
    >>> round(cost.value, 6) == round(0.25 / 0.595, 6), cost.threshold
    (True, 1.0)

    Raises DataError where costs are 0 and nothing normalises.
    """
    target, nontarget, spoof = _three_classes(scores)
    miss = costs.miss_cost * costs.target_prior
    false_alarm = costs.false_alarm_cost * costs.nontarget_prior
    spoof_false_alarm = costs.spoof_false_alarm_cost * costs.spoof_prior
    default = min(miss, false_alarm + spoof_false_alarm)
    if default <= 0:
        raise DataError("the a-DCF has nothing to normalise by: missing or falsely accepting costs nothing")
    misses, rejected = lowest_cost(target, miss, [(nontarget, false_alarm), (spoof, spoof_false_alarm)])
    cost = miss * (misses / len(target))
    cost += false_alarm * ((len(nontarget) - rejected[0]) / len(nontarget))
    cost += spoof_false_alarm * ((len(spoof) - rejected[1]) / len(spoof))
    parts = [(target, misses), (nontarget, rejected[0]), (spoof, rejected[1])]
    return MinimumCost(cost / default, last_rejected(parts))


def tandem_equal_error_rate(asv: TandemScores, cm: TandemScores, spoof_prevalence: float = 0.5) -> TandemEqualErrorRate:
    """Return the concurrent tandem equal error rate of an ASV and a CM system.

    For every ASV threshold, the CM threshold is taken at which the tandem's miss and false alarm rates are closest:
    ``P_miss = P_miss_cm + (1 - P_miss_cm) P_miss_asv`` and ``P_fa = (1 - ρ) (1 - P_miss_cm) P_fa_asv + ρ P_fa_cm
    P_fa_spoof_asv`` with the spoof prevalence ρ. On that path the concurrent point is where the prevalence does not
    matter, ``P_fa_asv / P_fa_spoof_asv = P_fa_cm / (1 - P_miss_cm)``, and the value is ``P_fa_spoof_asv P_fa_cm``
    there (Kinnunen et al. 2023). Range 0 to 1, lower is better. In the limit of many trials it is the same for every
    ρ; on finite sets it moves by about a trial, so the default is that of ASVspoof 5's package, 0.5 (its first
    version returned the value for 0). All pairs of thresholds are
    searched; that package searches large sets coarse to fine.

    >>> asv = TandemScores([2.0, 3.0, 4.0], [0.0, 1.0, 2.5], [1.0, 2.0, 3.5])
    >>> cm = TandemScores([1.0, 2.0, 3.0], [1.5, 2.5, 3.5], [-1.0, 0.0, 1.2])
    >>> round(tandem_equal_error_rate(asv, cm).value, 6)
    0.333333

    Raises SettingError for a prevalence out of [0, 1], DataError where no pair of thresholds meets the condition.
    """
    if not 0 <= spoof_prevalence <= 1:
        raise SettingError(f"spoof prevalence {spoof_prevalence} is not between 0 and 1")
    miss_asv, false_asv, spoof_asv, asv_threshold = _asv_curve(asv)
    cm_points = operating_points(sorted_trials(np.concatenate((cm.target, cm.nontarget)), cm.spoof))
    allowed = miss_asv < (1 - spoof_prevalence) * false_asv + spoof_prevalence * spoof_asv
    miss_asv, false_asv, spoof_asv = miss_asv[allowed], false_asv[allowed], spoof_asv[allowed]
    path = _equal_error_path(
        (cm_points.miss_rate, cm_points.false_alarm_rate), (miss_asv, false_asv, spoof_asv), spoof_prevalence
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.abs(false_asv / spoof_asv - cm_points.false_alarm_rate[path] / (1 - cm_points.miss_rate[path]))
    distance[np.isnan(distance)] = np.inf
    best = int(np.argmin(distance))
    if distance[best] == np.inf:
        raise DataError("the t-EER is undefined: no pair of thresholds accepts both a spoofed and a target trial")
    return TandemEqualErrorRate(
        float(spoof_asv[best] * cm_points.false_alarm_rate[path[best]]),
        float(asv_threshold[allowed][best]),
        float(cm_points.threshold[path[best]]),
    )


def _asv_curve(asv: TandemScores) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Miss, non-target and spoof false alarm rates and threshold after each rejected trial; ties in that order."""
    classes = [scores.astype(np.float64) for scores in _three_classes(asv)]
    scores = np.concatenate(classes)
    label = np.repeat(np.arange(3), [len(c) for c in classes])
    order = np.argsort(scores, kind="stable")
    rejected = [np.append(0, np.cumsum(label[order] == kind)) / len(classes[kind]) for kind in range(3)]
    return rejected[0], 1 - rejected[1], 1 - rejected[2], np.append(-np.inf, scores[order])


def _equal_error_path(
    cm: tuple[FloatArray, FloatArray], asv: tuple[FloatArray, FloatArray, FloatArray], prevalence: float
) -> IntArray:
    """For each ASV operating point, the first CM operating point where the tandem's two rates are closest.

    The gap between the rates rises along the CM's curve, so that a binary search finds where it changes sign.
    """
    miss_cm, false_cm = cm
    miss_asv, false_asv, spoof_asv = asv

    def gap(index: IntArray) -> FloatArray:
        miss, false_alarm = miss_cm[index], false_cm[index]
        tandem_miss = miss + (1 - miss) * miss_asv
        return np.asarray(
            tandem_miss - ((1 - prevalence) * (1 - miss) * false_asv + prevalence * false_alarm * spoof_asv)
        )

    low = np.zeros(len(miss_asv), dtype=np.int64)
    high = np.full(len(miss_asv), len(miss_cm) - 1, dtype=np.int64)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        closed: NDArray[np.bool_] = gap(middle) >= 0
        high, low = np.where(closed, middle, high), np.where(closed, low, middle)
    # where spoofed trials do not count, rejecting them leaves the gap as it is: the first of such equals is meant
    steps = np.flatnonzero(np.diff(miss_cm, prepend=-1.0) > 0)
    first = steps[np.searchsorted(steps, low, side="right") - 1]
    low = np.where(prevalence * spoof_asv == 0, first, low)
    return np.where(np.abs(gap(low)) <= np.abs(gap(high)), low, high)
