"""EER, min DCF, actual DCF and Cllr of a million trials, against three ways of getting them.

Side by side in one run: one pass of ours; a straightforward implementation as the challenges' packages have it (stable
argsort, cumulated counts, a Python loop over thresholds for min DCF); the EER alone through scikit-learn's
``roc_curve``; and the bound, one ``numpy.sort`` of the same scores. One bona fide trial in ten, as in ASVspoof 2019
and 2021, and double precision; ``--full`` adds balanced classes, single precision and tied scores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

from audiometry.tasks.metrics.detection import ASVSPOOF5_COSTS, detection_metrics, equal_error_rate

TRIALS = 1_000_000
COSTS = ASVSPOOF5_COSTS


def straightforward(bona_fide: np.ndarray, spoof: np.ndarray) -> tuple[float, float, float, float]:
    """Sort and cumulate, then walk through all thresholds."""
    scores = np.concatenate((bona_fide, spoof)).astype(np.float64)
    label = np.concatenate((np.ones(len(bona_fide)), np.zeros(len(spoof))))
    label = label[np.argsort(scores, kind="stable")]
    misses = np.cumsum(label)
    miss = np.concatenate(([0.0], misses / len(bona_fide)))
    accepted = len(spoof) - (np.arange(1, len(label) + 1) - misses)
    false_alarm = np.concatenate(([1.0], accepted / len(spoof)))
    at = np.argmin(np.abs(miss - false_alarm))
    eer = (miss[at] + false_alarm[at]) / 2
    miss_weight, false_alarm_weight = COSTS.miss_weight, COSTS.false_alarm_weight
    lowest = float("inf")
    for index in range(len(miss)):
        cost = miss_weight * miss[index] + false_alarm_weight * false_alarm[index]
        if cost < lowest:  # noqa: PLR1730  # a call of min() would slow it down
            lowest = cost
    threshold = -np.log(miss_weight / false_alarm_weight)
    actual = miss_weight * np.mean(bona_fide < threshold) + false_alarm_weight * np.mean(spoof >= threshold)
    bona_fide, spoof = bona_fide.astype(np.float64), spoof.astype(np.float64)
    cllr = (np.mean(np.log1p(np.exp(-bona_fide))) + np.mean(np.log1p(np.exp(spoof)))) / (2 * np.log(2))
    return float(eer), float(lowest) / COSTS.default_cost, float(actual) / COSTS.default_cost, float(cllr)


def through_roc_curve(bona_fide: np.ndarray, spoof: np.ndarray) -> float:
    """The EER where scikit-learn's curve has its rates closest."""
    label = np.concatenate((np.ones(len(bona_fide)), np.zeros(len(spoof))))
    false_alarm, hit, _ = roc_curve(label, np.concatenate((bona_fide, spoof)), drop_intermediate=False)
    at = np.argmin(np.abs(1 - hit - false_alarm))
    return float((1 - hit[at] + false_alarm[at]) / 2)


def seconds(call: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The shortest of some runs, and the last result."""
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        result = call()
        spans.append(time.perf_counter() - start)
    return min(spans), result


def compare(name: str, bona_fide: np.ndarray, spoof: np.ndarray, *, ties: bool = False) -> tuple[float, float]:
    both = np.concatenate((bona_fide, spoof))
    np.random.default_rng(0).shuffle(both)
    bound, _ = seconds(lambda: np.sort(both), 15)
    ours, metrics = seconds(lambda: detection_metrics(bona_fide, spoof), 15)
    ours_eer, eer = seconds(lambda: equal_error_rate(bona_fide, spoof), 15)
    slow, expected = seconds(lambda: straightforward(bona_fide, spoof), 2)
    peer, peer_eer = seconds(lambda: through_roc_curve(bona_fide, spoof), 3)
    found = (metrics.eer.value, metrics.min_dcf.value, metrics.actual_dcf, metrics.cllr)
    assert np.allclose(found, expected, rtol=0, atol=1e-12), (found, expected)
    assert ties or abs(eer.value - peer_eer) < 2 / min(len(bona_fide), len(spoof))  # it keeps no tie rule
    print(f"{name}: {len(bona_fide):,} bona fide and {len(spoof):,} spoofed trials, {both.dtype}")
    print(f"  EER {found[0]:.6f}, min DCF {found[1]:.6f}, actual DCF {found[2]:.6f}, Cllr {found[3]:.6f}, both ways")
    print(f"  ours, all four {ours * 1e3:.2f} ms; straightforward {slow * 1e3:.0f} ms: ratio {slow / ours:.1f}")
    print(f"  ours, EER alone {ours_eer * 1e3:.2f} ms; roc_curve {peer * 1e3:.0f} ms: ratio {peer / ours_eer:.1f}")
    print(f"  one numpy.sort {bound * 1e3:.2f} ms: ours, all four, takes {ours / bound:.2f} sorts")
    return ours, slow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="balanced classes, single precision and ties too")
    full = parser.parse_args().full
    rng = np.random.default_rng(2024)
    bona_fide, spoof = rng.normal(2, 2, TRIALS // 10), rng.normal(-2, 2, TRIALS - TRIALS // 10)
    if full:
        even = rng.normal(2, 2, TRIALS // 2), rng.normal(-2, 2, TRIALS // 2)
        compare("balanced", *even)
        compare("single precision", bona_fide.astype(np.float32), spoof.astype(np.float32))
        compare("tied", np.round(bona_fide, 2), np.round(spoof, 2), ties=True)
    ours, slow = compare("one in ten", bona_fide, spoof)
    print(
        f"EER + min DCF + actual DCF + Cllr of {TRIALS:,} trials, ours against sort-and-cumulate: "
        f"{ours * 1e3:.2f} ms, {slow * 1e3:.0f} ms: ratio {slow / ours:.1f}"
    )


if __name__ == "__main__":
    main()
