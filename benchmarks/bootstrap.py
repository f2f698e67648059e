"""The bootstrap interval of a corpus word error rate, against the loop that people write.

Side by side in one run, from the same columns to an interval: ours by weights, and a numpy loop that draws speakers,
gathers their utterances' indices, sums and divides. 2,000 resamples of 100,000 utterances of 1,000 speakers; both give
the same word error rate for the same resample. Then the equal error rate over 100,000 trials, clustered and every trial
its own cluster, which has a bound of 3 s. `intervals` deals more than 10,000 clusters to groups; what resampling every
single one takes stands beside it. ``--full`` adds other numbers of speakers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _simulation import EER, WER, reduce_eer, reduce_wer

from audiometry.benchmark.stats import intervals
from audiometry.benchmark.stats.weights import bootstrap_weights, canonical, reduce_blocks
from audiometry.benchmark.types import Reduce, ScoreTable

UTTERANCES = 100_000
RESAMPLES = 2_000


def corpus(speakers: int) -> ScoreTable:
    rng = np.random.default_rng(0)
    speaker = np.arange(UTTERANCES) % speakers
    words = 1.0 + rng.negative_binomial(2, 2 / 11, UTTERANCES)
    errors = rng.poisson(0.1 * words * rng.gamma(4, 1 / 4, speakers)[speaker]).astype(np.float64)
    zeros = np.zeros(UTTERANCES, np.int64), np.zeros(speakers, np.int64)
    return ScoreTable({"errors": errors, "words": words}, speaker, *zeros)


def trials(speakers: int) -> ScoreTable:
    rng = np.random.default_rng(1)
    bona_fide = rng.random(UTTERANCES) < 0.2
    speaker = rng.integers(0, speakers, UTTERANCES)
    speaker[:speakers] = np.arange(speakers)
    score = rng.normal(size=UTTERANCES) + 3.3 * bona_fide + 0.5 * rng.normal(size=speakers)[speaker]
    zeros = np.zeros(UTTERANCES, np.int64), np.zeros(speakers, np.int64)
    return ScoreTable({"score": score, "bona_fide": bona_fide * 1.0}, speaker, *zeros)


def members(table: ScoreTable) -> list[np.ndarray]:
    """Indices of each speaker's utterances."""
    order = np.argsort(table.cluster, kind="stable")
    return np.split(order, np.cumsum(np.bincount(table.cluster))[:-1])


def loop(table: ScoreTable, resamples: int) -> tuple[float, float]:
    rng = np.random.default_rng(2)
    own = np.array_equal(table.cluster, np.arange(len(table)))  # every utterance its own speaker: nothing to gather
    utterances = members(table)
    errors, words = table.counts["errors"], table.counts["words"]
    rates = []
    for _ in range(resamples):
        chosen = rng.integers(0, table.clusters, table.clusters)
        indices = chosen if own else np.concatenate([utterances[speaker] for speaker in chosen])
        rates.append(errors[indices].sum() / words[indices].sum())
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), float(high)


def same_resample(table: ScoreTable) -> None:
    """A row of weights and the utterances that it stands for give one word error rate."""
    utterances = members(table)
    weights = next(bootstrap_weights(table.cluster_strata, 3, 5))
    for row, rate in zip(weights, reduce_wer(table, weights)["wer"], strict=True):
        indices = np.concatenate([utterances[speaker] for speaker in np.repeat(np.arange(len(row)), row.astype(int))])
        assert np.isclose(
            rate, table.counts["errors"][indices].sum() / table.counts["words"][indices].sum(), rtol=1e-12
        )


def seconds(call: Callable[[], Any], times: int) -> tuple[float, Any]:
    """The shortest of some runs, and the last result."""
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        result = call()
        spans.append(time.perf_counter() - start)
    return min(spans), result


def compare(speakers: int, repeats: int) -> tuple[float, float]:
    table = corpus(speakers)
    same_resample(table)
    ours, found = seconds(
        lambda: intervals(table, reduce_wer, [WER], seed=3, resamples=RESAMPLES, method="percentile")["wer"], repeats
    )
    slow, (low, high) = seconds(lambda: loop(table, RESAMPLES), 1)
    assert found.low is not None
    assert found.high is not None
    assert abs(found.low - low) + abs(found.high - high) < 0.2 * (high - low), (found, low, high)
    print(f"WER, {speakers:,} speakers in {found.clusters:,} units: ours {ours * 1e3:.1f} ms, [{found.low:.4f}, "
          f"{found.high:.4f}]; loop {slow * 1e3:.0f} ms, [{low:.4f}, {high:.4f}]; ratio {slow / ours:.1f}")  # fmt: skip
    return slow, ours


def equal_error_rate(speakers: int) -> None:
    table = trials(speakers)
    spent, found = seconds(lambda: intervals(table, reduce_eer, [EER], seed=3, resamples=RESAMPLES)["eer"], 2)
    print(f"EER, {UTTERANCES:,} trials, {speakers:,} speakers in {found.clusters:,} units, {RESAMPLES:,} resamples: "
          f"{spent:.2f} s, {found.value:.4f} [{found.low:.4f}, {found.high:.4f}]")  # fmt: skip


def every_single_one() -> None:
    """Resamples of 100,000 clusters, none dealt to a group: error rates of words and of trials."""
    for name, table, reduce in (("WER", corpus(UTTERANCES), reduce_wer), ("EER", trials(UTTERANCES), reduce_eer)):
        metric = name.lower()

        def resample(table: ScoreTable = table, reduce: Reduce = reduce, metric: str = metric) -> np.ndarray:
            units = canonical(table)
            blocks = bootstrap_weights(units.cluster_strata, RESAMPLES, 3)
            return reduce_blocks(units, reduce, blocks, [metric])[metric]

        spent, found = seconds(resample, 2)
        print(f"{name}, {RESAMPLES:,} resamples of {UTTERANCES:,} single clusters: {spent:.2f} s, "
              f"standard error {found.std():.5f}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="other numbers of speakers, and no clusters at all")
    settings = parser.parse_args()
    if settings.full:
        for speakers in (200, 10_000):
            compare(speakers, 2)
            equal_error_rate(speakers)
        compare(UTTERANCES, 2)
    every_single_one()
    equal_error_rate(UTTERANCES)
    equal_error_rate(1_000)
    slow, ours = compare(1_000, 20)
    print(f"{RESAMPLES:,} clustered bootstrap resamples of corpus WER over {UTTERANCES:,} utterances: "
          f"numpy loop {slow:.3f} s, ours {ours:.4f} s, ratio {slow / ours:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
