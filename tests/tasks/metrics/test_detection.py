"""Detection metrics against straightforward implementations of the published formulas, hand-computed cases, laws."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.tasks.metrics.calibration import cllr
from audiometry.tasks.metrics.detection import (
    ASVSPOOF5_COSTS,
    DetectionCosts,
    actual_dcf,
    auc,
    check_orientation,
    det_curve,
    detection_metrics,
    equal_error_rate,
    equal_error_rate_convex_hull,
    min_dcf,
    tied_trials,
)

FEW_SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=15)
SOME_SCORES = st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30)
COSTS = st.builds(DetectionCosts, st.floats(0.01, 0.99), st.floats(0.1, 20), st.floats(0.1, 20))


def random_score_sets(count: int = 200) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Sets of 1 to 400 trials a class: continuous, tied, constant, single precision, with infinities, swapped."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        most = (3, 8, 60, 400)[seed % 4]
        bona_fide = rng.normal(rng.uniform(-1, 4), 1, int(rng.integers(1, most + 1)))
        spoof = rng.normal(0, rng.uniform(0.3, 2), int(rng.integers(1, most + 1)))
        kind = seed // 4 % 6
        if kind in (1, 2):
            bona_fide, spoof = np.round(bona_fide, kind - 1), np.round(spoof, kind - 1)
        if kind == 3:
            bona_fide, spoof = bona_fide.astype(np.float32), spoof.astype(np.float32)
        if kind == 4:
            bona_fide[rng.random(len(bona_fide)) < 0.2] = np.inf
            spoof[rng.random(len(spoof)) < 0.2] = -np.inf
        if kind == 5 and seed % 2:
            bona_fide, spoof = np.full_like(bona_fide, 1.5), np.where(rng.random(len(spoof)) < 0.5, 1.5, spoof)
        yield bona_fide, spoof


def straightforward_curve(bona_fide: np.ndarray, spoof: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Reject trial after trial, ties bona fide first, and note both rates and the last rejected score."""
    order = sorted([(float(score), 0) for score in bona_fide] + [(float(score), 1) for score in spoof])
    misses, accepted = 0, len(spoof)
    miss, false_alarm, threshold = [0.0], [1.0], [-math.inf]
    for score, is_spoof in order:
        misses, accepted = misses + 1 - is_spoof, accepted - is_spoof
        miss.append(misses / len(bona_fide))
        false_alarm.append(accepted / len(spoof))
        threshold.append(score)
    return miss, false_alarm, threshold


def straightforward_eer(bona_fide: np.ndarray, spoof: np.ndarray) -> tuple[float, float]:
    miss, false_alarm, threshold = straightforward_curve(bona_fide, spoof)
    gaps = [abs(m - f) for m, f in zip(miss, false_alarm, strict=True)]
    best = gaps.index(min(gaps))
    return (miss[best] + false_alarm[best]) / 2, threshold[best]


def straightforward_min_dcf(bona_fide: np.ndarray, spoof: np.ndarray, costs: DetectionCosts) -> float:
    prior = costs.spoof_prior
    miss, false_alarm, _ = straightforward_curve(bona_fide, spoof)
    lowest = min(
        costs.miss_cost * m * (1 - prior) + costs.false_alarm_cost * f * prior
        for m, f in zip(miss, false_alarm, strict=True)
    )
    return lowest / min(costs.miss_cost * (1 - prior), costs.false_alarm_cost * prior)


def straightforward_actual_dcf(bona_fide: np.ndarray, spoof: np.ndarray, costs: DetectionCosts) -> float:
    beta = costs.miss_cost * (1 - costs.spoof_prior) / (costs.false_alarm_cost * costs.spoof_prior)
    miss = sum(float(score) < -math.log(beta) for score in bona_fide) / len(bona_fide)
    false_alarm = sum(float(score) >= -math.log(beta) for score in spoof) / len(spoof)
    return (beta * miss + false_alarm) / min(beta, 1)


def straightforward_auc(bona_fide: np.ndarray, spoof: np.ndarray) -> float:
    wins = sum(float(b > s) + float(b == s) / 2 for b in bona_fide for s in spoof)
    return wins / (len(bona_fide) * len(spoof))


def straightforward_hull_eer(bona_fide: np.ndarray, spoof: np.ndarray) -> float:
    """Lowest point where a line between two operating points meets the diagonal: that lies on the hull."""
    miss, false_alarm, _ = straightforward_curve(bona_fide, spoof)
    points = sorted(set(zip(miss, false_alarm, strict=True)))
    best = 1.0
    for miss_a, false_a in points:
        for miss_b, false_b in points:
            gap_a, gap_b = miss_a - false_a, miss_b - false_b
            if gap_a <= 0 <= gap_b and gap_b > gap_a:
                best = min(best, miss_a - gap_a / (gap_b - gap_a) * (miss_b - miss_a))
    return best


def test_equal_to_straightforward_implementations_on_200_random_sets() -> None:
    for number, (bona_fide, spoof) in enumerate(random_score_sets()):
        rng = np.random.default_rng(1000 + number)
        costs = ASVSPOOF5_COSTS
        if number % 2:
            costs = DetectionCosts(rng.uniform(0.01, 0.99), rng.uniform(0.5, 5), rng.uniform(0.5, 20))
        rate = equal_error_rate(bona_fide, spoof)
        value, threshold = straightforward_eer(bona_fide, spoof)
        assert rate.value == pytest.approx(value, abs=1e-12)
        assert rate.threshold == threshold
        expected = straightforward_min_dcf(bona_fide, spoof, costs)
        lowest = min_dcf(bona_fide, spoof, costs)
        assert lowest.value == pytest.approx(expected, abs=1e-12)
        expected = straightforward_actual_dcf(bona_fide, spoof, costs)
        assert actual_dcf(bona_fide, spoof, costs) == pytest.approx(expected, abs=1e-12)
        assert auc(bona_fide, spoof) == pytest.approx(straightforward_auc(bona_fide, spoof), abs=1e-12)
        together = detection_metrics(bona_fide, spoof, costs)
        assert together.eer == rate
        assert together.min_dcf == lowest
        assert together.actual_dcf == actual_dcf(bona_fide, spoof, costs)
        assert together.cllr == cllr(bona_fide, spoof)
        assert (together.bona_fide, together.spoof) == (len(bona_fide), len(spoof))


def test_hull_eer_equals_a_search_over_all_lines() -> None:
    for bona_fide, spoof in random_score_sets():
        if len(bona_fide) + len(spoof) <= 80:
            expected = straightforward_hull_eer(bona_fide, spoof)
            assert equal_error_rate_convex_hull(bona_fide, spoof) == pytest.approx(expected, abs=1e-12)


def test_equal_to_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(5)
    bona_fide, spoof = rng.normal(1, 1, 700), np.round(rng.normal(0, 1, 900), 1)
    label, score = np.repeat([1, 0], [700, 900]), np.concatenate((bona_fide, spoof))
    assert auc(bona_fide, spoof) == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    false_alarm, hit, _ = roc_curve(label, score, drop_intermediate=False)
    curve = det_curve(bona_fide, spoof, points=10_000)
    assert np.allclose(curve.false_alarm_rate[::-1], false_alarm, atol=1e-12)
    assert np.allclose(1 - curve.miss_rate[::-1], hit, atol=1e-12)


@pytest.mark.parametrize(
    ("bona_fide", "spoof", "value", "threshold", "tied"),
    [
        ([1.0], [0.0], 0.0, 0.0, 0),
        ([0.0], [1.0], 1.0, 0.0, 0),
        ([0.0], [0.0], 1.0, 0.0, 2),
        ([0.0] * 3, [0.0] * 5, 1.0, 0.0, 8),
        # rejected in turn: 0s 1b 2s 3b; the rates are 1/2 and 1/2 after two
        ([1.0, 3.0], [0.0, 2.0], 0.5, 1.0, 0),
        # tie at 1: 0s 1b 1s 2b; after two, 1/2 and 1/2; a spoof first would have given 0 and 0, then 1/2 and 0
        ([1.0, 2.0], [0.0, 1.0], 0.5, 1.0, 2),
        # a tie that the crossing does not touch: both rates are 1/3 after 0b 0s 1s
        ([0.0, 2.0, 3.0], [0.0, 1.0, 2.5], 1 / 3, 1.0, 0),
        # three against one, closest after two bona fide (2/3 and 1) or after the spoof (2/3 and 0): 1/3 is closer
        ([0.0, 0.5, 2.0], [1.0], (2 / 3 + 1) / 2, 0.5, 0),
    ],
)
def test_eer_by_hand(bona_fide: list[float], spoof: list[float], value: float, threshold: float, tied: int) -> None:
    rate = equal_error_rate(bona_fide, spoof)
    assert rate.value == pytest.approx(value, abs=1e-15)
    assert rate.value == pytest.approx((rate.miss_rate + rate.false_alarm_rate) / 2, abs=1e-15)
    assert rate.threshold == threshold
    assert rate.tied == tied
    assert rate.depends_on_ties is (tied > 0)


@given(FEW_SCORES, FEW_SCORES)
def test_no_tie_warning_means_that_the_order_of_ties_does_not_matter(
    bona_fide: list[float], spoof: list[float]
) -> None:
    rate = equal_error_rate(bona_fide, spoof)
    spoof_first = equal_error_rate(np.array(bona_fide) + 0.5, spoof)  # whole scores: only ties change order
    if not rate.depends_on_ties:
        assert spoof_first.value == rate.value
    assert spoof_first.value <= rate.value


@pytest.mark.parametrize(
    ("bona_fide", "spoof", "expected"),
    [([1.0], [0.0], 0), ([0.0], [0.0], 2), ([0.0, 1.0, 1.0], [1.0, 1.0, 2.0], 4)],
)
def test_tied_trials(bona_fide: list[float], spoof: list[float], expected: int) -> None:
    assert tied_trials(bona_fide, spoof) == expected


def test_dcf_by_hand() -> None:
    assert ASVSPOOF5_COSTS.bayes_threshold == pytest.approx(-math.log(1.9), abs=1e-15)
    # β is 1.9: rejecting one of four bona fide costs 0.475, accepting one of two spoofs 0.5
    lowest = min_dcf([0.0, 2.0, 3.0, 4.0], [-1.0, 1.0])
    assert lowest.value == pytest.approx(0.475, abs=1e-15)
    assert lowest.threshold == 1.0
    # accepting everything is best, and costs 1 by definition
    assert min_dcf([0.0], [1.0]).value == 1.0
    assert min_dcf([0.0], [1.0]).threshold == -math.inf
    # rejecting everything is best: β is 0.19 / 0.9
    reject = min_dcf([0.0], [1.0], DetectionCosts(spoof_prior=0.9, miss_cost=1.0, false_alarm_cost=1.0))
    assert reject.value == pytest.approx(1.0, abs=1e-15)
    assert reject.threshold == 1.0
    assert actual_dcf([-1.0], [-1.0]) == pytest.approx(1.9, abs=1e-15)
    assert actual_dcf([0.0], [0.0]) == 1.0


def test_a_score_at_the_bayes_threshold_is_accepted_in_either_precision() -> None:
    even = DetectionCosts(0.5, 1.0, 1.0)
    for kind in (np.float32, np.float64):
        assert actual_dcf(np.zeros(1, kind), np.zeros(1, kind), even) == 1.0
    at = ASVSPOOF5_COSTS.bayes_threshold
    assert actual_dcf([at], [-9.0]) == 0.0
    assert actual_dcf([np.nextafter(at, -9)], [-9.0]) == pytest.approx(1.9)
    single = np.float32(at)  # compared as it is, not with the threshold rounded to its precision
    expected = 0.0 if float(single) >= at else 1.9
    assert actual_dcf(np.array([single]), np.array([-9.0], np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "settings", [(0.0, 1, 1), (1.0, 1, 1), (0.5, 0, 1), (0.5, 1, -1), (0.5, 1, math.inf), (math.nan, 1, 1)]
)
def test_bad_costs_are_refused(settings: tuple[float, float, float]) -> None:
    with pytest.raises(SettingError):
        DetectionCosts(*settings)


@pytest.mark.parametrize(
    "metric",
    [
        equal_error_rate,
        equal_error_rate_convex_hull,
        min_dcf,
        actual_dcf,
        auc,
        det_curve,
        detection_metrics,
        cllr,
        tied_trials,
        check_orientation,
    ],
)
@pytest.mark.parametrize(
    ("bona_fide", "spoof"), [([], [1.0]), ([1.0], []), ([math.nan], [1.0]), ([1.0], [math.nan, 0.0])]
)
def test_a_single_class_and_nan_are_errors(metric, bona_fide, spoof) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError):
        metric(bona_fide, spoof)


@given(SOME_SCORES, SOME_SCORES, COSTS)
def test_rising_maps_change_nothing(bona_fide: list[float], spoof: list[float], costs: DetectionCosts) -> None:
    ranks = {score: float(rank) for rank, score in enumerate(sorted({*bona_fide, *spoof}))}
    mapped = [ranks[score] for score in bona_fide], [ranks[score] for score in spoof]
    assert equal_error_rate(*mapped).value == equal_error_rate(bona_fide, spoof).value
    assert min_dcf(*mapped, costs).value == min_dcf(bona_fide, spoof, costs).value
    assert auc(*mapped) == auc(bona_fide, spoof)
    assert equal_error_rate_convex_hull(*mapped) == equal_error_rate_convex_hull(bona_fide, spoof)


@given(SOME_SCORES, SOME_SCORES, COSTS)
def test_negating_and_swapping_the_classes_swaps_the_errors(
    bona_fide: list[float], spoof: list[float], costs: DetectionCosts
) -> None:
    swapped = [-score for score in spoof], [-score for score in bona_fide]
    mirrored = DetectionCosts(1 - costs.spoof_prior, costs.false_alarm_cost, costs.miss_cost)
    assert auc(*swapped) == pytest.approx(auc(bona_fide, spoof), abs=1e-12)
    assert auc([-score for score in bona_fide], [-score for score in spoof]) == pytest.approx(
        1 - auc(bona_fide, spoof), abs=1e-12
    )
    assert min_dcf(*swapped, mirrored).value == pytest.approx(min_dcf(bona_fide, spoof, costs).value, abs=1e-12)
    hull = equal_error_rate_convex_hull(bona_fide, spoof)
    assert equal_error_rate_convex_hull(*swapped) == pytest.approx(hull, abs=1e-12)


@given(SOME_SCORES, SOME_SCORES, COSTS, st.integers(2, 4))
def test_doubling_every_trial_keeps_what_has_no_tie_rule(
    bona_fide: list[float], spoof: list[float], costs: DetectionCosts, times: int
) -> None:
    repeated = bona_fide * times, spoof * times
    assert min_dcf(*repeated, costs).value == pytest.approx(min_dcf(bona_fide, spoof, costs).value, abs=1e-12)
    assert actual_dcf(*repeated, costs) == pytest.approx(actual_dcf(bona_fide, spoof, costs), abs=1e-12)
    assert auc(*repeated) == pytest.approx(auc(bona_fide, spoof), abs=1e-12)
    hull = equal_error_rate_convex_hull(bona_fide, spoof)
    assert equal_error_rate_convex_hull(*repeated) == pytest.approx(hull, abs=1e-12)
    # the EER has steps of a trial: more of them bring its two rates closer, by at most half the largest step
    step = max(1 / len(bona_fide), 1 / len(spoof))
    assert abs(equal_error_rate(*repeated).value - equal_error_rate(bona_fide, spoof).value) <= step / 2 + 1e-12


@given(SOME_SCORES, SOME_SCORES, COSTS)
def test_bounds(bona_fide: list[float], spoof: list[float], costs: DetectionCosts) -> None:
    rate = equal_error_rate(bona_fide, spoof)
    assert 0 <= rate.value <= 1
    assert 0 <= equal_error_rate_convex_hull(bona_fide, spoof) <= 0.5
    assert 0 <= min_dcf(bona_fide, spoof, costs).value <= 1 + 1e-12
    assert min_dcf(bona_fide, spoof, costs).value <= actual_dcf(bona_fide, spoof, costs) + 1e-12
    assert 0 <= auc(bona_fide, spoof) <= 1


@given(SOME_SCORES, SOME_SCORES, COSTS)
def test_the_threshold_of_the_lowest_cost_has_that_cost(
    bona_fide: list[float], spoof: list[float], costs: DetectionCosts
) -> None:
    lowest = min_dcf(bona_fide, spoof, costs)
    miss = np.mean(np.array(bona_fide) <= lowest.threshold)
    false_alarm = np.mean(np.array(spoof) > lowest.threshold)
    assert costs.normalised(float(miss), float(false_alarm)) == pytest.approx(lowest.value, abs=1e-12)


def test_orientation() -> None:
    rng = np.random.default_rng(0)
    high, low = rng.normal(1, 1, 100), rng.normal(0, 1, 100)
    assert check_orientation(high, low).verdict == "as expected"
    inverted = check_orientation(low, high)
    assert inverted.verdict == "inverted"
    assert "negate" in inverted.message
    assert inverted.z == pytest.approx(-check_orientation(high, low).z, abs=1e-12)
    assert check_orientation(high[:3], low[:3]).verdict == "cannot tell"
    assert check_orientation([1.0] * 50, [1.0] * 50).verdict == "cannot tell"
    # z by hand: AUC 1, 5 and 4 trials: 0.5 / sqrt(10 / 240)
    assert check_orientation([5, 6, 7, 8, 9], [0, 1, 2, 3]).z == pytest.approx(0.5 / math.sqrt(10 / 240), abs=1e-12)


def test_orientation_rarely_warns_by_chance() -> None:
    rng = np.random.default_rng(1)
    verdicts = [check_orientation(rng.normal(size=30), rng.normal(size=40)).verdict for _ in range(1000)]
    assert verdicts.count("inverted") <= 10


def test_det_curve_is_thinned_with_both_ends_kept() -> None:
    rng = np.random.default_rng(2)
    bona_fide, spoof = rng.normal(2, 1, 5000), rng.normal(0, 1, 20_000)
    full, thin = det_curve(bona_fide, spoof, points=100_000), det_curve(bona_fide, spoof, points=100)
    assert len(full.threshold) == 25_001
    assert 50 < len(thin.threshold) <= 100
    for curve in (full, thin):
        assert (curve.miss_rate[0], curve.false_alarm_rate[0], curve.threshold[0]) == (0, 1, -np.inf)
        assert (curve.miss_rate[-1], curve.false_alarm_rate[-1]) == (1, 0)
        assert (np.diff(curve.miss_rate) >= 0).all()
        assert (np.diff(curve.false_alarm_rate) <= 0).all()
    everything = set(zip(full.miss_rate, full.false_alarm_rate, full.threshold, strict=True))
    assert set(zip(thin.miss_rate, thin.false_alarm_rate, thin.threshold, strict=True)) <= everything
    # no gap in the thinned curve is wider than a step of its grid on both axes
    assert np.diff(thin.miss_rate).max() < 0.1
    assert -np.diff(thin.false_alarm_rate).min() < 0.1


def test_det_curve_rejects_ties_together() -> None:
    curve = det_curve([0.0, 0.0, 1.0], [0.0, 2.0])
    assert curve.threshold.tolist() == [-np.inf, 0.0, 1.0, 2.0]
    assert curve.miss_rate.tolist() == [0.0, 2 / 3, 1.0, 1.0]
    assert curve.false_alarm_rate.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert det_curve([-np.inf], [-np.inf]).miss_rate.tolist() == [0.0, 1.0]
    with pytest.raises(SettingError):
        det_curve([1.0], [0.0], points=3)
