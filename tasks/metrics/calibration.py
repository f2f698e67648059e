"""Whether scores can be read as log-likelihood ratios, and the affine map that makes them so.

A score is a calibrated natural log-likelihood ratio of bona fide against spoof (target against non-target speaker)
when deciding at the Bayes threshold costs as little as any threshold could. Cllr measures it over all thresholds.
Functions take scores of shape (trials,), a class each, and raise DataError as `sorted_trials` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import FloatArray
from audiometry.tasks.metrics.trials import SortedScores, SortedTrials, convex_hull, sorted_trials

__all__ = ["AffineCalibration", "cllr", "cllr_of_sorted", "fit_affine_calibration", "min_cllr"]

_CHUNK = 8192
"""Scores worked on at a time, so that the intermediate arrays stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class AffineCalibration:
    """The map ``slope · score + offset`` to natural log-likelihood ratios. A negative slope means inverted scores."""

    slope: float
    offset: float

    def __call__(self, scores: ArrayLike) -> FloatArray:
        """Map scores of any shape."""
        return np.asarray(self.slope * np.asarray(scores, dtype=np.float64) + self.offset)


def cllr(bona_fide_llrs: ArrayLike, spoof_llrs: ArrayLike) -> float:
    """Return the cost of log-likelihood ratios in bits.

    ``½ (mean over bona fide of log2(1 + e^-s) + mean over spoof of log2(1 + e^s))`` (Brümmer and du Preez 2006;
    secondary metric of the ASVspoof 5 evaluation plan). Lower is better, 0 is perfect, scores that are all 0 cost 1,
    and misleading ones more, without bound: a bona fide score of -inf costs inf. No score overflows.

    >>> cllr([0.0], [0.0])
    1.0
    >>> round(cllr([math.log(3)], [-math.log(3)]), 6) == round(math.log2(4 / 3), 6)
    True
    """
    return cllr_of_sorted(sorted_trials(bona_fide_llrs, spoof_llrs))


def cllr_of_sorted(trials: SortedTrials) -> float:
    """Return the Cllr of scores already sorted.

    >>> cllr_of_sorted(sorted_trials([0.0], [0.0]))
    1.0
    """
    bona_fide, spoof = trials.bona_fide, trials.spoof
    wrong_bona_fide = bona_fide[: int(np.searchsorted(bona_fide, bona_fide.dtype.type(0)))]
    wrong_spoof = spoof[int(np.searchsorted(spoof, spoof.dtype.type(0))) :]
    # ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), and sorted scores keep their wrong side together
    loss_bona_fide = _sum_log1p_exp(bona_fide) - float(wrong_bona_fide.sum(dtype=np.float64))
    loss_spoof = _sum_log1p_exp(spoof) + float(wrong_spoof.sum(dtype=np.float64))
    return (loss_bona_fide / len(bona_fide) + loss_spoof / len(spoof)) / (2 * math.log(2))


def _sum_log1p_exp(scores: SortedScores) -> float:
    """Sum of ln(1 + e^-|score|)."""
    buffer = np.empty(min(len(scores), _CHUNK))
    sums = []
    for start in range(0, len(scores), _CHUNK):
        part = scores[start : start + _CHUNK]
        value = buffer[: len(part)]
        np.copysign(part, -1, out=value)
        np.exp(value, out=value)
        np.log1p(value, out=value)
        sums.append(float(value.sum()))
    return math.fsum(sums)


def min_cllr(bona_fide_scores: ArrayLike, spoof_scores: ArrayLike) -> float:
    """Return the lowest Cllr in bits that any rising map of the scores can reach.

    Pool-adjacent-violators gives that map (Brümmer and du Preez 2006); equal scores map to one value. Range 0 to 1,
    lower is better, 0 for separated classes; the excess of `cllr` over it is what miscalibration costs.

    >>> min_cllr([2.0, 3.0], [0.0, 1.0])
    0.0
    >>> min_cllr([0.0], [0.0])
    1.0
    """
    hull_bona_fide, hull_spoof = convex_hull(sorted_trials(bona_fide_scores, spoof_scores))
    bona_fide, spoof = hull_bona_fide / hull_bona_fide.sum(), hull_spoof / hull_spoof.sum()
    mixed = (hull_bona_fide > 0) & (hull_spoof > 0)  # a pure segment costs nothing
    bona_fide, spoof = bona_fide[mixed], spoof[mixed]
    cost = bona_fide * np.log1p(spoof / bona_fide) + spoof * np.log1p(bona_fide / spoof)
    return math.fsum(cost.tolist()) / (2 * math.log(2))


def fit_affine_calibration(
    bona_fide_scores: ArrayLike,
    spoof_scores: ArrayLike,
    *,
    bona_fide_prior: float = 0.5,
    regularisation: float = 0.0,
) -> AffineCalibration:
    """Fit slope and offset by prior-weighted logistic regression (Brümmer et al. 2007, FoCal).

    Minimises ``π mean_bona_fide ln(1 + e^-z) + (1 - π) mean_spoof ln(1 + e^z)`` with ``z = slope · s + offset +
    logit π``, plus ``regularisation / 2`` times the squared slope per standard deviation of the scores. The optimum
    is unique. Fit on one set of trials and apply to another.

    >>> calibration = fit_affine_calibration([1.0, 3.0, 5.0], [0.0, 2.0, 4.0])
    >>> round(calibration.slope, 3), round(calibration.offset, 3)
    (0.361, -0.903)

    Raises DataError for infinite scores, for classes that do not overlap (the best slope is then infinite) unless
    `regularisation` is positive, and where no optimum is found; SettingError for a prior or regularisation out of
    range.
    """
    if not 0 < bona_fide_prior < 1:
        raise SettingError(f"bona fide prior {bona_fide_prior} is not between 0 and 1")
    if not 0 <= regularisation < math.inf:
        raise SettingError(f"regularisation {regularisation} must be 0 or a positive number")
    trials = sorted_trials(bona_fide_scores, spoof_scores)
    scores = np.concatenate((trials.bona_fide, trials.spoof)).astype(np.float64)
    if not np.isfinite(scores).all():
        raise DataError("calibration cannot use infinite scores; clip them first")
    apart = trials.spoof[-1] <= trials.bona_fide[0] or trials.bona_fide[-1] <= trials.spoof[0]
    if apart and regularisation == 0:
        raise DataError(
            "the scores separate the classes, so that no finite slope is best; set regularisation=1e-3, say"
        )
    peak = float(np.abs(scores).max()) or 1.0
    centre, spread = peak * float((scores / peak).mean()), peak * float((scores / peak).std()) or 1.0
    bona_fide, spoof = len(trials.bona_fide), len(trials.spoof)
    sign = np.repeat([1.0, -1.0], [bona_fide, spoof])
    weight = np.repeat([bona_fide_prior / bona_fide, (1 - bona_fide_prior) / spoof], [bona_fide, spoof])
    shift = math.log(bona_fide_prior / (1 - bona_fide_prior))
    slope, offset = _logistic_regression((scores - centre) / spread, sign, weight, shift, regularisation)
    return AffineCalibration(slope / spread, offset - slope * centre / spread)


def _logistic_regression(
    scores: FloatArray, sign: FloatArray, weight: FloatArray, shift: float, regularisation: float
) -> tuple[float, float]:
    """Slope and offset of the lowest loss; it is convex, and smooth enough for a trust-region Newton method."""
    from scipy.optimize import minimize

    design = np.stack((scores, np.ones_like(scores)))
    penalty = np.array([regularisation, 0.0])

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        margin = sign * (parameters @ design + shift)
        wrong = np.exp(-np.logaddexp(0, margin))  # probability given to the other class
        value = weight @ np.logaddexp(0, -margin) + penalty @ parameters**2 / 2
        return float(value), design @ (-weight * sign * wrong) + penalty * parameters

    def hessian(parameters: FloatArray) -> FloatArray:
        wrong = np.exp(-np.logaddexp(0, sign * (parameters @ design + shift)))
        return np.asarray((design * (weight * wrong * (1 - wrong))) @ design.T + np.diag(penalty))

    found = minimize(loss, np.zeros(2), jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-11})
    if not np.abs(found.jac).max() < 1e-6:  # short of `gtol` it stops where rounding hides any improvement
        raise DataError("calibration found no optimum, for lack of precision; set regularisation=1e-3, say")
    return float(found.x[0]), float(found.x[1])
