"""Tandem and single-system costs against straightforward implementations of the published formulas, and by hand."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.tasks.metrics.tandem import (
    ADCF_PAPER_COSTS,
    ASVSPOOF2019_COSTS,
    ASVSPOOF_COSTS,
    AsvErrorRates,
    LegacyTandemCosts,
    TandemCosts,
    TandemScores,
    asv_error_rates,
    min_adcf,
    min_tdcf,
    min_tdcf_legacy,
    tandem_equal_error_rate,
)

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=8)
ASV = AsvErrorRates(0.02, 0.02, 0.5)
UNDEFINED = "no pair of thresholds"


def random_tandems(count: int = 200) -> Iterator[tuple[TandemScores, TandemScores]]:
    """Scores of an ASV and a CM system on the same trials: 1 to 60 a class, some tied, some useless."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, (3, 10, 60)[seed % 3] + 1, size=3)
        asv = [rng.normal(mean, 1, size) for mean, size in zip((3, 0, rng.uniform(0, 3)), sizes, strict=True)]
        cm = [rng.normal(mean, 1, size) for mean, size in zip((2, 2, rng.uniform(-2, 2)), sizes, strict=True)]
        if seed % 4 == 0:
            asv, cm = [np.round(scores) for scores in asv], [np.round(scores) for scores in cm]
        yield TandemScores(*asv), TandemScores(*cm)


def rejections(*classes: np.ndarray) -> Iterator[list[int]]:
    """How many of each class are rejected after each trial; in ties the first class goes first."""
    order = sorted((float(score), kind) for kind, scores in enumerate(classes) for score in scores)
    counts = [0] * len(classes)
    yield list(counts)
    for _, kind in order:
        counts[kind] += 1
        yield list(counts)


def rates(counts: list[int], classes: tuple[np.ndarray, ...]) -> list[float]:
    """Miss rate of the first class, false alarm rates of the others."""
    miss = counts[0] / len(classes[0])
    return [miss] + [(len(c) - n) / len(c) for n, c in zip(counts[1:], classes[1:], strict=True)]


def straightforward_asv_rates(asv: TandemScores) -> AsvErrorRates:
    order = sorted([(float(s), 0) for s in asv.target] + [(float(s), 1) for s in asv.nontarget])
    points = [rates(counts, (asv.target, asv.nontarget)) for counts in rejections(asv.target, asv.nontarget)]
    gaps = [abs(miss - false_alarm) for miss, false_alarm in points]
    threshold = order[gaps.index(min(gaps)) - 1][0]
    return AsvErrorRates(
        sum(s < threshold for s in asv.target) / len(asv.target),
        sum(s >= threshold for s in asv.nontarget) / len(asv.nontarget),
        sum(s >= threshold for s in asv.spoof) / len(asv.spoof),
        threshold,
    )


def straightforward_min_tdcf(cm: TandemScores, asv: AsvErrorRates, costs: TandemCosts) -> float:
    bona_fide = np.concatenate((cm.target, cm.nontarget))
    c0 = costs.target_prior * costs.miss_cost * asv.miss_rate
    c0 += costs.nontarget_prior * costs.false_alarm_cost * asv.false_alarm_rate
    c1 = costs.target_prior * costs.miss_cost - c0
    c2 = costs.spoof_prior * costs.spoof_false_alarm_cost * asv.spoof_false_alarm_rate
    curve = [rates(counts, (bona_fide, cm.spoof)) for counts in rejections(bona_fide, cm.spoof)]
    return min(c0 + c1 * miss + c2 * false_alarm for miss, false_alarm in curve) / (c0 + min(c1, c2))


def straightforward_min_tdcf_legacy(cm: TandemScores, asv: AsvErrorRates, costs: LegacyTandemCosts) -> float:
    bona_fide = np.concatenate((cm.target, cm.nontarget))
    c1 = costs.target_prior * (costs.cm_miss_cost - costs.asv_miss_cost * asv.miss_rate)
    c1 -= costs.nontarget_prior * costs.asv_false_alarm_cost * asv.false_alarm_rate
    c2 = costs.cm_false_alarm_cost * costs.spoof_prior * (1 - (1 - asv.spoof_false_alarm_rate))
    curve = [rates(counts, (bona_fide, cm.spoof)) for counts in rejections(bona_fide, cm.spoof)]
    return min(c1 * miss + c2 * false_alarm for miss, false_alarm in curve) / min(c1, c2)


def straightforward_min_adcf(scores: TandemScores, costs: TandemCosts) -> float:
    classes = (scores.target, scores.nontarget, scores.spoof)
    miss = costs.miss_cost * costs.target_prior
    false_alarm = costs.false_alarm_cost * costs.nontarget_prior
    spoof = costs.spoof_false_alarm_cost * costs.spoof_prior
    curve = [rates(counts, classes) for counts in rejections(*classes)]
    lowest = min(miss * point[0] + false_alarm * point[1] + spoof * point[2] for point in curve)
    return lowest / min(miss, false_alarm + spoof)


def straightforward_teer(asv: TandemScores, cm: TandemScores, prevalence: float) -> float | None:
    """Every pair of thresholds, in a double loop."""
    bona_fide = np.concatenate((cm.target, cm.nontarget))
    cm_curve = [rates(counts, (bona_fide, cm.spoof)) for counts in rejections(bona_fide, cm.spoof)]
    classes = (asv.target, asv.nontarget, asv.spoof)
    closest, value = math.inf, None
    for counts in rejections(*classes):
        miss_asv = counts[0] / len(asv.target)
        false_asv, spoof_asv = 1 - counts[1] / len(asv.nontarget), 1 - counts[2] / len(asv.spoof)
        if not miss_asv < (1 - prevalence) * false_asv + prevalence * spoof_asv:
            continue
        gaps = []
        for miss_cm, false_cm in cm_curve:
            miss = miss_cm + (1 - miss_cm) * miss_asv
            false_alarm = (1 - prevalence) * (1 - miss_cm) * false_asv + prevalence * false_cm * spoof_asv
            gaps.append(abs(miss - false_alarm))
        miss_cm, false_cm = cm_curve[gaps.index(min(gaps))]
        if spoof_asv == 0 or miss_cm == 1:
            continue
        distance = abs(false_asv / spoof_asv - false_cm / (1 - miss_cm))
        if distance < closest:
            closest, value = distance, spoof_asv * false_cm
    return value


def test_equal_to_straightforward_implementations_on_200_random_sets() -> None:
    undefined = 0
    for number, (asv, cm) in enumerate(random_tandems()):
        fixed = asv_error_rates(asv)
        assert fixed == straightforward_asv_rates(asv)
        costs = (ASVSPOOF_COSTS, ADCF_PAPER_COSTS, TandemCosts(0.5, 0.2, 0.3, 1.0, 2.0, 3.0))[number % 3]
        bona_fide = np.concatenate((cm.target, cm.nontarget))
        try:
            value = min_tdcf(bona_fide, cm.spoof, fixed, costs).value
        except DataError:  # an ASV system so bad that rejecting everyone is cheaper
            undefined += 1
        else:
            assert value == pytest.approx(straightforward_min_tdcf(cm, fixed, costs), abs=1e-12)
        if fixed.spoof_false_alarm_rate > 0 and fixed.miss_rate < 0.9:
            expected = straightforward_min_tdcf_legacy(cm, fixed, ASVSPOOF2019_COSTS)
            assert min_tdcf_legacy(bona_fide, cm.spoof, fixed).value == pytest.approx(expected, abs=1e-12)
        assert min_adcf(asv, costs).value == pytest.approx(straightforward_min_adcf(asv, costs), abs=1e-12)
    assert undefined < 40


@pytest.mark.parametrize("prevalence", [0.0, 0.5, 1.0, 0.1])
def test_teer_equals_the_double_loop(prevalence: float) -> None:
    undefined = 0
    for asv, cm in random_tandems():
        expected = straightforward_teer(asv, cm, prevalence)
        if expected is None:
            undefined += 1
            with pytest.raises(DataError, match=UNDEFINED):
                tandem_equal_error_rate(asv, cm, prevalence)
        else:
            assert tandem_equal_error_rate(asv, cm, prevalence).value == pytest.approx(expected, abs=1e-12)
    assert undefined < 60


def test_default_costs_are_the_challenges() -> None:
    # ASVspoof 2019, 2021 and 5: spoof prior 0.05, and 0.99 to 0.01 of the rest
    for costs in (ASVSPOOF_COSTS, ASVSPOOF2019_COSTS):
        assert costs.target_prior == pytest.approx(0.9405, abs=1e-12)
        assert costs.nontarget_prior == pytest.approx(0.0095, abs=1e-12)
        assert costs.spoof_prior == 0.05


def test_tdcf_by_hand() -> None:
    # C0 = 0.9405 · 0.02 + 0.0095 · 10 · 0.02 = 0.02071, C1 = 0.9405 - C0 = 0.91979, C2 = 0.05 · 10 · 0.5 = 0.25
    perfect = min_tdcf([1.0, 2.0], [0.0], ASV)
    assert perfect.value == pytest.approx(0.02071 / 0.27071, abs=1e-12)
    assert perfect.threshold == 0.0
    assert min_tdcf([0.0], [0.0], ASV).value == pytest.approx(1.0, abs=1e-12)
    # rejecting one of two spoofed trials without loss
    half = min_tdcf([1.0], [0.0, 2.0], ASV)
    assert half.value == pytest.approx((0.02071 + 0.125) / 0.27071, abs=1e-12)
    # 2019: C1 = 0.9405 · (1 - 0.02) - 0.0095 · 10 · 0.02 = 0.91979 as well, and no C0
    assert min_tdcf_legacy([1.0, 2.0], [0.0], ASV).value == 0.0
    assert min_tdcf_legacy([1.0], [0.0, 2.0], ASV).value == pytest.approx(0.5, abs=1e-12)


def test_adcf_by_hand() -> None:
    scores = TandemScores([2.0, 3.0], [0.0, 1.0], [-1.0, 2.5])
    assert min_adcf(scores).value == pytest.approx(0.25 / 0.595, abs=1e-12)
    # paper's costs: accepting half the spoofs costs 0.5, rejecting half the targets 0.45; normalised by 0.9
    assert min_adcf(scores, ADCF_PAPER_COSTS).value == pytest.approx(0.5, abs=1e-12)
    assert min_adcf(scores, ADCF_PAPER_COSTS).threshold == 2.5
    assert min_adcf(TandemScores([0.0], [0.0], [0.0])).value == 1.0


def test_teer_by_hand() -> None:
    # both systems without error: nothing to trade
    asv = TandemScores([2.0, 3.0], [0.0, 1.0], [2.5, 0.5])
    cm = TandemScores([2.0, 3.0], [2.0, 3.0], [0.0, 1.0])
    found = tandem_equal_error_rate(asv, cm)
    assert found.value == 0.0
    assert found.asv_threshold == 1.0
    assert found.cm_threshold == 1.0


def test_teer_of_many_trials_does_not_depend_on_prevalence() -> None:
    rng = np.random.default_rng(3)
    asv = TandemScores(rng.normal(2, 1, 20_000), rng.normal(-2, 1, 20_000), rng.normal(1, 1, 20_000))
    cm = TandemScores(rng.normal(1, 1, 20_000), rng.normal(1, 1, 20_000), rng.normal(-1, 1, 20_000))
    values = [tandem_equal_error_rate(asv, cm, prevalence).value for prevalence in (0.0, 0.25, 0.5, 1.0)]
    assert max(values) - min(values) < 0.002
    assert 0.05 < values[0] < 0.2


@given(SCORES, SCORES, SCORES)
def test_laws(target: list[float], nontarget: list[float], spoof: list[float]) -> None:
    scores = TandemScores(target, nontarget, spoof)
    value = min_adcf(scores).value
    assert 0 <= value <= 1 + 1e-12
    doubled = TandemScores(target * 2, nontarget * 2, spoof * 2)
    assert min_adcf(doubled).value == pytest.approx(value, abs=1e-12)
    mapped = TandemScores(*(np.exp(np.array(part)) for part in (target, nontarget, spoof)))
    assert min_adcf(mapped).value == value
    tandem = min_tdcf(target, spoof, ASV)
    assert 0.02071 / 0.27071 - 1e-12 <= tandem.value <= 1 + 1e-12
    assert 0 <= min_tdcf_legacy(target, spoof, ASV).value <= 1 + 1e-12
    miss = np.mean(np.array(target) <= tandem.threshold)
    false_alarm = np.mean(np.array(spoof) > tandem.threshold)
    assert tandem.value == pytest.approx((0.02071 + 0.91979 * miss + 0.25 * false_alarm) / 0.27071, abs=1e-12)


def test_a_given_asv_threshold_is_used_and_accepts_equal_scores() -> None:
    found = asv_error_rates(TandemScores([1.0, 2.0], [0.0, 1.0], [1.0]), threshold=1.0)
    assert found == AsvErrorRates(0.0, 0.5, 1.0, 1.0)


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_class_is_an_error(empty: int) -> None:
    classes: list[list[float]] = [[1.0], [0.0], [0.5]]
    classes[empty] = []
    scores, whole = TandemScores(*classes), TandemScores([1.0], [0.0], [0.5])
    for call in (
        lambda: asv_error_rates(scores),
        lambda: min_adcf(scores),
        lambda: tandem_equal_error_rate(scores, whole),
    ):
        with pytest.raises(DataError):
            call()
    if empty == 2:
        with pytest.raises(DataError):
            tandem_equal_error_rate(whole, scores)
        with pytest.raises(DataError):
            min_tdcf([1.0], [], ASV)
        with pytest.raises(DataError):
            min_tdcf_legacy([], [1.0], ASV)


def test_nan_is_an_error() -> None:
    with pytest.raises(DataError, match="non-target scores are NaN"):
        min_adcf(TandemScores([1.0], [math.nan], [0.0]))


def test_undefined_costs_are_errors() -> None:
    with pytest.raises(DataError, match="more than rejecting everyone"):
        min_tdcf([1.0], [0.0], AsvErrorRates(1.0, 1.0, 0.5))
    with pytest.raises(DataError, match="more than rejecting everyone"):
        min_tdcf_legacy([1.0], [0.0], AsvErrorRates(1.0, 1.0, 0.5))
    with pytest.raises(DataError, match="nothing to normalise"):
        min_tdcf_legacy([1.0], [0.0], AsvErrorRates(0.1, 0.1, 0.0))
    with pytest.raises(DataError, match="nothing to normalise"):
        min_adcf(TandemScores([1.0], [0.0], [0.5]), TandemCosts(miss_cost=0.0))


@pytest.mark.parametrize(
    "build",
    [
        lambda: AsvErrorRates(2.0, 0.1, 0.1),
        lambda: AsvErrorRates(0.1, math.nan, 0.1),
        lambda: TandemCosts(target_prior=0.5),
        lambda: TandemCosts(1.1, -0.15, 0.05),
        lambda: TandemCosts(miss_cost=-1.0),
        lambda: LegacyTandemCosts(spoof_prior=0.5),
        lambda: LegacyTandemCosts(cm_miss_cost=math.inf),
        lambda: tandem_equal_error_rate(TandemScores([1], [0], [0]), TandemScores([1], [1], [0]), 1.5),
    ],
)
def test_bad_settings_are_refused(build) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingError):
        build()
