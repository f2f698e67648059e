"""Cllr, its minimum and affine calibration against other implementations, by hand, and by their laws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.tasks.metrics.calibration import AffineCalibration, cllr, fit_affine_calibration, min_cllr
from audiometry.tasks.metrics.detection import actual_dcf, min_dcf

SOME_SCORES = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)
FEW_SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=15)


def straightforward_cllr(bona_fide: np.ndarray, spoof: np.ndarray) -> float:
    def bits(llr: float) -> float:  # log2(1 + e^-llr), where e^-llr would overflow too
        return (math.log1p(math.exp(-llr)) if llr > -700 else -llr) / math.log(2)

    mean_bona_fide = sum(bits(float(score)) for score in bona_fide) / len(bona_fide)
    mean_spoof = sum(bits(-float(score)) for score in spoof) / len(spoof)
    return (mean_bona_fide + mean_spoof) / 2


def straightforward_min_cllr(bona_fide: np.ndarray, spoof: np.ndarray) -> float:
    """Pool adjacent violators one score at a time, then the Cllr of the pooled log-likelihood ratios."""
    pools: list[list[float]] = []
    for score in sorted({*bona_fide.tolist(), *spoof.tolist()}):
        pools.append([float((bona_fide == score).sum()), float((spoof == score).sum())])
        while len(pools) > 1 and pools[-2][0] * sum(pools[-1]) >= pools[-1][0] * sum(pools[-2]):
            last = pools.pop()
            pools[-1] = [pools[-1][0] + last[0], pools[-1][1] + last[1]]
    total = 0.0
    for hits, fakes in pools:
        if hits and fakes:
            llr = math.log((hits / len(bona_fide)) / (fakes / len(spoof)))
            total += hits / len(bona_fide) * math.log2(1 + math.exp(-llr))
            total += fakes / len(spoof) * math.log2(1 + math.exp(llr))
    return total / 2


def test_equal_to_straightforward_implementations_on_200_random_sets() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        most = (2, 10, 100, 20_000)[seed % 4 if seed < 40 else seed % 3]
        bona_fide = rng.normal(rng.uniform(-2, 5), rng.uniform(0.5, 30), int(rng.integers(1, most + 1)))
        spoof = rng.normal(0, rng.uniform(0.5, 30), int(rng.integers(1, most + 1)))
        if seed % 3 == 0:
            bona_fide, spoof = np.round(bona_fide), np.round(spoof)
        if seed % 5 == 0:
            bona_fide, spoof = bona_fide.astype(np.float32), spoof.astype(np.float32)
        assert cllr(bona_fide, spoof) == pytest.approx(straightforward_cllr(bona_fide, spoof), rel=1e-12, abs=1e-12)
        expected = straightforward_min_cllr(bona_fide.astype(float), spoof.astype(float))
        assert min_cllr(bona_fide, spoof) == pytest.approx(expected, abs=1e-12)


def test_cllr_by_hand() -> None:
    assert cllr([0.0, 0.0], [0.0]) == 1.0
    # odds of 3 for the right class: log2(4/3) each; odds of 3 for the wrong class: log2(4) = 2
    assert cllr([math.log(3)], [-math.log(3)]) == pytest.approx(math.log2(4 / 3), abs=1e-15)
    assert cllr([-math.log(3)], [math.log(3)]) == pytest.approx(2.0, abs=1e-15)
    assert cllr([math.log(3)], [0.0]) == pytest.approx((math.log2(4 / 3) + 1) / 2, abs=1e-15)


def test_extreme_scores_neither_overflow_nor_lose_precision() -> None:
    assert cllr([-5000.0], [0.0]) == pytest.approx((5000 / math.log(2) + 1) / 2, rel=1e-15)
    assert cllr([40.0], [-40.0]) == pytest.approx(math.exp(-40) / math.log(2), rel=1e-12)
    assert cllr([np.inf], [-np.inf]) == 0.0
    assert cllr([-np.inf, 1.0], [0.0]) == np.inf
    assert cllr([0.0], [np.inf, 1.0]) == np.inf


def test_min_cllr_by_hand() -> None:
    assert min_cllr([1.0], [0.0]) == 0.0
    assert min_cllr([0.0], [1.0]) == pytest.approx(1.0, abs=1e-15)
    # 0s | 1b 2s | 3b: half of each class in a pool without evidence
    assert min_cllr([1.0, 3.0], [0.0, 2.0]) == pytest.approx(0.5, abs=1e-15)


@given(SOME_SCORES, SOME_SCORES)
def test_laws_of_cllr(bona_fide: list[float], spoof: list[float]) -> None:
    value, lowest = cllr(bona_fide, spoof), min_cllr(bona_fide, spoof)
    assert -1e-12 <= lowest <= min(1.0, value) + 1e-12
    swapped = [-score for score in spoof], [-score for score in bona_fide]
    assert cllr(*swapped) == pytest.approx(value, abs=1e-12)
    assert min_cllr(*swapped) == pytest.approx(lowest, abs=1e-12)
    assert cllr(bona_fide * 3, spoof * 3) == pytest.approx(value, abs=1e-12)
    assert min_cllr(bona_fide * 3, spoof * 3) == pytest.approx(lowest, abs=1e-12)
    ranks = {score: float(rank) for rank, score in enumerate(sorted({*bona_fide, *spoof}))}
    assert min_cllr([ranks[s] for s in bona_fide], [ranks[s] for s in spoof]) == lowest


def test_affine_fit_equals_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    for prior in (0.5, 0.05, 0.9):
        bona_fide, spoof = rng.normal(30, 10, 80), rng.normal(10, 10, 400)
        fitted = fit_affine_calibration(bona_fide, spoof, bona_fide_prior=prior)
        weight = np.repeat([prior / 80, (1 - prior) / 400], [80, 400])
        peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
        scores = (np.concatenate((bona_fide, spoof)) - 15) / 10
        peer.fit(scores[:, None], np.repeat([1, 0], [80, 400]), sample_weight=weight * 480)
        slope = float(peer.coef_[0, 0]) / 10
        offset = float(peer.intercept_[0]) - 15 * slope - math.log(prior / (1 - prior))
        assert fitted.slope == pytest.approx(slope, rel=1e-4)
        assert fitted.offset == pytest.approx(offset, rel=1e-4)


def test_affine_fit_is_a_minimum() -> None:
    rng = np.random.default_rng(1)
    bona_fide, spoof = rng.normal(1, 2, 300), rng.normal(-1, 2, 500)
    best = fit_affine_calibration(bona_fide, spoof)
    value = cllr(best(bona_fide), best(spoof))
    for slope, offset in ((1e-4, 0), (-1e-4, 0), (0, 1e-4), (0, -1e-4), (0.3, 0), (0, 0.5)):
        other = AffineCalibration(best.slope + slope, best.offset + offset)
        assert cllr(other(bona_fide), other(spoof)) > value
    assert value >= min_cllr(bona_fide, spoof)


def test_affine_fit_calibrates_scaled_log_likelihood_ratios() -> None:
    rng = np.random.default_rng(2)
    bona_fide, spoof = rng.normal(2, 2, 40_000), rng.normal(-2, 2, 40_000)  # these are log-likelihood ratios
    distorted = 0.1 * bona_fide + 7, 0.1 * spoof + 7
    fitted = fit_affine_calibration(*distorted)
    assert fitted.slope == pytest.approx(10, rel=0.03)
    assert fitted.offset == pytest.approx(-70, rel=0.03)
    calibrated = fitted(distorted[0]), fitted(distorted[1])
    assert cllr(*calibrated) < min_cllr(*distorted) + 0.005
    assert actual_dcf(*calibrated) < min_dcf(*calibrated).value + 0.02
    assert actual_dcf(*distorted) == 1.0  # all accepted


@given(SOME_SCORES, SOME_SCORES)
def test_regularised_fit_never_fails(bona_fide: list[float], spoof: list[float]) -> None:
    fitted = fit_affine_calibration(bona_fide, spoof, regularisation=0.01)
    assert math.isfinite(fitted.slope)
    assert math.isfinite(fitted.offset)
    if max(spoof) < min(bona_fide):
        assert fitted.slope > 0


@given(FEW_SCORES, FEW_SCORES)
def test_fit_beats_all_zero_scores_unless_it_refuses(bona_fide: list[float], spoof: list[float]) -> None:
    apart = max(spoof) <= min(bona_fide) or max(bona_fide) <= min(spoof)
    if apart:
        with pytest.raises(DataError, match="separate"):
            fit_affine_calibration(bona_fide, spoof)
    else:
        fitted = fit_affine_calibration(bona_fide, spoof)
        assert cllr(fitted(bona_fide), fitted(spoof)) <= 1 + 1e-9


@pytest.mark.parametrize(("bona_fide", "spoof"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0]), ([1.0], [math.nan])])
def test_a_single_class_and_nan_are_errors(bona_fide: list[float], spoof: list[float]) -> None:
    for metric in (cllr, min_cllr, fit_affine_calibration):
        with pytest.raises(DataError):
            metric(bona_fide, spoof)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e200])
def test_affine_fit_scales_with_the_scores(scale: float) -> None:
    bona_fide, spoof = np.array([1.0, 3.0, 5.0]), np.array([0.0, 2.0, 4.0])
    plain, scaled = fit_affine_calibration(bona_fide, spoof), fit_affine_calibration(bona_fide * scale, spoof * scale)
    assert scaled.slope * scale == pytest.approx(plain.slope, rel=1e-6)
    assert scaled.offset == pytest.approx(plain.offset, rel=1e-6)


def test_a_fit_that_stops_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: object, **settings: object) -> object:
        return minimize(*arguments, **{**settings, "options": {"maxiter": 1}})

    monkeypatch.setattr("scipy.optimize.minimize", stopped)
    with pytest.raises(DataError, match="no optimum"):
        fit_affine_calibration([10.0, 30.0, 90.0], [0.0, 20.0, -40.0])


def test_bad_settings_are_refused() -> None:
    with pytest.raises(DataError, match="infinite"):
        fit_affine_calibration([np.inf, 0.0], [1.0])
    for settings in ({"bona_fide_prior": 0.0}, {"bona_fide_prior": 1.0}, {"regularisation": -1.0}):
        with pytest.raises(SettingError):
            fit_affine_calibration([0.0, 2.0], [1.0, -1.0], **settings)
