"""Equal error rates by attack and by condition."""

import numpy as np
import pytest

from audiometry.benchmark.errors import DataError
from audiometry.tasks.metrics.detection import equal_error_rate
from audiometry.tasks.metrics.detection_groups import equal_error_rate_by_attack, equal_error_rate_by_condition

RNG = np.random.default_rng(0)
BONA_FIDE, SPOOF = RNG.normal(1, 1, 300), RNG.normal(0, 1, 500)
ATTACK = RNG.choice(["A07", "A08", "A19"], 500)
CODEC_OF_BONA_FIDE, CODEC_OF_SPOOF = RNG.choice(["alaw", "none"], 300), RNG.choice(["alaw", "none"], 500)


def test_each_attack_stands_against_all_bona_fide_trials() -> None:
    rates = equal_error_rate_by_attack(BONA_FIDE, SPOOF, ATTACK)
    assert rates.pooled == equal_error_rate(BONA_FIDE, SPOOF)
    assert list(rates.groups) == ["A07", "A08", "A19"]
    for name, rate in rates.groups.items():
        assert rate == equal_error_rate(BONA_FIDE, SPOOF[name == ATTACK])
    values = [rate.value for rate in rates.groups.values()]
    assert rates.macro == pytest.approx(np.mean(values), abs=1e-15)
    assert rates.worst == max(values) == rates.groups[rates.worst_group].value


def test_each_condition_stands_by_itself() -> None:
    rates = equal_error_rate_by_condition(BONA_FIDE, SPOOF, CODEC_OF_BONA_FIDE, CODEC_OF_SPOOF)
    assert rates.pooled == equal_error_rate(BONA_FIDE, SPOOF)
    for name in ("alaw", "none"):
        alone = equal_error_rate(BONA_FIDE[name == CODEC_OF_BONA_FIDE], SPOOF[name == CODEC_OF_SPOOF])
        assert rates.groups[name] == alone


def test_pooling_can_be_worse_than_every_group() -> None:
    rates = equal_error_rate_by_condition([1.0, 5.0], [0.0, 4.0], ["quiet", "loud"], ["quiet", "loud"])
    assert (rates.macro, rates.worst, rates.pooled.value) == (0.0, 0.0, 0.5)


def test_bad_groups_are_refused() -> None:
    with pytest.raises(DataError, match="'b' has trials of one class"):
        equal_error_rate_by_condition([1.0, 2.0], [0.0], ["a", "b"], ["a"])
    with pytest.raises(DataError, match="one name a trial"):
        equal_error_rate_by_attack([1.0], [0.0, 1.0], ["A07"])
    with pytest.raises(DataError, match="no spoof trials"):
        equal_error_rate_by_attack([1.0], [], [])
    with pytest.raises(DataError, match="NaN"):
        equal_error_rate_by_attack([1.0], [np.nan], ["A07"])
