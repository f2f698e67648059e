"""What a list of spoofing trials comes to: the counts of a trial, and their reduction under resampling weights.

A trial without a score (a failure) is wrong at every threshold: bona fide speech then lies below every score, a spoof
above. As a log-likelihood ratio, where one is needed (Cllr), it is `FAILED_LLR` the wrong way, and at the Bayes
threshold it is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.detection import ASVSPOOF5_COSTS, DetectionCosts
from audiometry.tasks.metrics.detection_resampling import (
    resampled_attack_equal_error_rates,
    resampled_equal_error_rate,
)
from audiometry.tasks.spoof_asv import TandemWeights

__all__ = ["FAILED_LLR", "HEADLINE", "SpoofPlan", "spoof_metrics", "spoof_reduce", "table_scores", "trial_counts"]

HEADLINE = "eer_macro"
FAILED_LLR = 10.0
"""Natural log-likelihood ratio that a failed trial is taken to claim for the wrong class: 22,000 to 1."""

MISS_RATE = 0.01
"""Bona fide trials that may be lost at the operating point."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class SpoofPlan:
    """What is told of a list of trials: its attacks and the groups of bona fide speakers by name, and the costs."""

    attacks: tuple[str, ...]
    groups: tuple[str, ...] = ()
    costs: DetectionCosts = ASVSPOOF5_COSTS
    tandem: TandemWeights | None = None


def spoof_metrics(plan: SpoofPlan) -> tuple[Metric, ...]:
    """The metrics of a list of trials, the headline first.

    >>> [metric.name for metric in spoof_metrics(SpoofPlan(("A01",), ("gender-female",)))]
    ... # doctest: +NORMALIZE_WHITESPACE
    ['eer_macro', 'eer_worst', 'eer', 'eer-A01', 'min_dcf', 'actual_dcf', 'cllr', 'min_cllr',
     'false_alarms_at_1_percent_miss', 'bayes_false_rejections', 'false_rejections-gender-female']
    """

    def rate(name: str) -> Metric:
        return Metric(name, high=1.0, scale="logit")

    return (
        rate(HEADLINE),
        rate("eer_worst"),
        rate("eer"),
        *(rate(f"eer-{attack}") for attack in plan.attacks),
        rate("min_dcf"),
        Metric("actual_dcf", unit="cost", scale="log"),
        Metric("cllr", unit="bit", scale="log"),
        Metric("min_cllr", unit="bit", high=1.0, scale="logit"),
        rate("false_alarms_at_1_percent_miss"),
        rate("bayes_false_rejections"),
        *(rate(f"false_rejections-{group}") for group in plan.groups),
        *([rate("min_tdcf")] if plan.tandem is not None else []),
    )


def trial_counts(plan: SpoofPlan, attack: str, groups: Sequence[str], score: float | None) -> dict[str, float]:
    """The counts of one trial; `attack` is empty for bona fide speech, `score` None for a failure.

    `loss` is the trial's share of the Cllr in bits; `error` tells a wrong decision at the Bayes threshold.

    >>> plan = SpoofPlan(("A01", "A02"))
    >>> counts = trial_counts(plan, "A02", (), 3.0)
    >>> counts["attack"], counts["error"], round(counts["loss"], 3), counts["failed"]
    (1.0, 1.0, 4.398, 0.0)
    >>> trial_counts(plan, "", (), None)["error"]
    1.0
    """
    bona_fide = attack == ""
    against = FAILED_LLR if score is None else (-score if bona_fide else score)
    rejected = score is not None and score < plan.costs.bayes_threshold
    return {
        "score": 0.0 if score is None else score,
        "failed": float(score is None),
        "attack": -1.0 if bona_fide else float(plan.attacks.index(attack)),
        "bona_fide": float(bona_fide),
        "error": 1.0 if score is None else float(rejected == bona_fide),
        "loss": float(np.logaddexp(0.0, against)) / math.log(2),
        **{f"group-{name}": float(bona_fide and name in groups) for name in plan.groups},
    }


def table_scores(table: ScoreTable) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Scores and classes (True: bona fide), each of shape (trials,); a failed trial is infinitely wrong."""
    bona_fide = table.counts["bona_fide"] > 0
    wrong = np.where(bona_fide, -np.inf, np.inf)
    return np.where(table.counts["failed"] > 0, wrong, table.counts["score"]), bona_fide


def spoof_reduce(plan: SpoofPlan) -> Reduce:
    """The reduction of `trial_counts` to `spoof_metrics`.

    A metric of both classes is NaN in a slice or resample of one class, and an attack's where there is none of it;
    the macro mean and the worst are over the attacks that are there. `bayes_false_rejections` needs bona fide trials
    alone, so that it has a value in every slice of speakers.
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        weights = np.atleast_2d(weights)
        scores, bona_fide = table_scores(table)
        by_attack = np.full((len(plan.attacks), len(weights)), np.nan)
        attack = table.counts["attack"].astype(np.int64)
        found = resampled_attack_equal_error_rates(scores, attack, table.cluster, weights)
        by_attack[: len(found)] = found
        known = np.isfinite(by_attack)
        some = known.any(axis=0)
        total, worst = np.where(known, by_attack, 0.0).sum(axis=0), np.where(known, by_attack, -1.0).max(axis=0)
        return {
            HEADLINE: np.where(some, total / np.maximum(known.sum(axis=0), 1), np.nan),
            "eer_worst": np.where(some, worst, np.nan),
            "eer": resampled_equal_error_rate(scores, bona_fide, table.cluster, weights),
            **{f"eer-{name}": row for name, row in zip(plan.attacks, by_attack, strict=True)},
            **_linear(plan, table, weights, bona_fide),
            **_over_thresholds(plan, table, weights, scores, bona_fide),
        }

    return reduce


def _linear(
    plan: SpoofPlan, table: ScoreTable, weights: FloatArray, bona_fide: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """What is a sum of ratios of sums: actual DCF, Cllr and the bona fide trials lost at the Bayes threshold."""
    counts = {
        f"{name}_{kind}": table.counts[name] * chosen if name else chosen.astype(np.float64)
        for name in ("", "error", "loss")
        for kind, chosen in (("bona_fide", bona_fide), ("spoof", ~bona_fide))
    }
    parts = ScoreTable(counts, table.cluster, table.stratum, table.cluster_strata, table.clusters_span_strata)

    def share(name: str, kind: str) -> FloatArray:
        return ratio_of_sums(parts, weights, f"{name}_{kind}", f"_{kind}")

    missed, accepted = share("error", "bona_fide"), share("error", "spoof")
    cost = plan.costs.miss_weight * missed + plan.costs.false_alarm_weight * accepted
    return {
        "actual_dcf": cost / plan.costs.default_cost,
        "cllr": (share("loss", "bona_fide") + share("loss", "spoof")) / 2,
        "bayes_false_rejections": missed,
    }


@dataclass(frozen=True)
class _Order:
    """Trials from the lowest score up. `ends` are the places after which a threshold can lie (tied trials go
    together), `turns` those of them at which a rising or falling cost can turn: where a run of one class ends.
    """

    order: IntArray
    bona_fide: NDArray[np.bool_]
    ends: IntArray
    turns: IntArray


def _ordered(scores: FloatArray, bona_fide: NDArray[np.bool_]) -> _Order:
    order = np.argsort(scores, kind="stable")
    ordered, is_bona_fide = scores[order], bona_fide[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    held = np.diff(np.cumsum(is_bona_fide)[ends], prepend=0)
    sizes = np.diff(ends, prepend=-1)
    kind = np.where(held == sizes, 1, np.where(held == 0, 0, 2))  # bona fide, spoof, mixed
    turns = np.append((kind[1:] != kind[:-1]) | (kind[1:] == 2), True)
    return _Order(order, is_bona_fide, ends, ends[turns])


def _over_thresholds(
    plan: SpoofPlan, table: ScoreTable, weights: FloatArray, scores: FloatArray, bona_fide: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """What is looked for over all thresholds, resample by resample: each array has shape (resamples,)."""
    names = ["min_dcf", "min_cllr", "false_alarms_at_1_percent_miss"]
    names += [f"false_rejections-{group}" for group in plan.groups]
    names += ["min_tdcf"] if plan.tandem is not None else []
    values = {name: np.full(len(weights), np.nan) for name in names}
    if not bona_fide.any() or bona_fide.all():
        return values
    order = _ordered(scores, bona_fide)
    groups = {name: table.counts[f"group-{name}"][order.order] for name in plan.groups}
    cluster = table.cluster[order.order]
    for row, weight in enumerate(weights):
        for name, value in _of_resample(plan, order, weight[cluster], groups):
            values[name][row] = value
    return values


def _of_resample(
    plan: SpoofPlan, order: _Order, weight: FloatArray, groups: Mapping[str, FloatArray]
) -> Iterator[tuple[str, float]]:
    """The values of one resample, `weight` in the order of scores; nothing where it lacks a class."""
    bona_fide = np.cumsum(np.where(order.bona_fide, weight, 0.0))
    spoof = np.cumsum(np.where(order.bona_fide, 0.0, weight))
    if bona_fide[-1] <= 0 or spoof[-1] <= 0:
        return
    miss = np.append(0.0, bona_fide[order.turns]) / bona_fide[-1]
    false_alarm = 1.0 - np.append(0.0, spoof[order.turns]) / spoof[-1]
    costs = plan.costs
    cost = costs.miss_weight * miss + costs.false_alarm_weight * false_alarm
    yield "min_dcf", float(cost.min() / costs.default_cost)
    yield "min_cllr", _min_cllr(np.diff(miss), -np.diff(false_alarm))
    allowed = int(np.searchsorted(miss, MISS_RATE + ROUNDING, side="right")) - 1
    yield "false_alarms_at_1_percent_miss", max(float(false_alarm[allowed]), 0.0)
    if plan.tandem is not None:
        yield "min_tdcf", float((plan.tandem.passed + plan.tandem.miss * miss + plan.tandem.accept * false_alarm).min())
    if groups:
        gap = bona_fide[order.ends] / bona_fide[-1] - 1.0 + spoof[order.ends] / spoof[-1]
        at = int(np.argmin(np.abs(np.append(-1.0, gap))))
        rejected = 0 if at == 0 else int(order.ends[at - 1]) + 1
        for name, member in groups.items():
            held = member * weight
            total = float(held.sum())
            yield f"false_rejections-{name}", float(held[:rejected].sum()) / total if total > 0 else math.nan


def _min_cllr(bona_fide: FloatArray, spoof: FloatArray) -> float:
    """Cllr after the best rising map (`calibration.min_cllr`), of each class' share in each run of scores, lowest
    first. Pool-adjacent-violators gives one value to a run of one class, so that runs may come as a whole.
    """
    from scipy.optimize import isotonic_regression

    held = bona_fide + spoof
    there = held > 0
    bona_fide, spoof, held = bona_fide[there], spoof[there], held[there]
    posterior = isotonic_regression(bona_fide / held, weights=held).x
    mixed = (posterior > 0) & (posterior < 1)  # a pure run costs nothing
    chance = posterior[mixed]
    return float(-(bona_fide[mixed] @ np.log2(chance) + spoof[mixed] @ np.log2(1 - chance)) / 2)
