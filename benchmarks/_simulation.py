"""Data with known truth, for simulations of how often intervals cover and tests reject.

Each generator says what it draws and what the true value is. Nothing here is fitted to make a method look well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtr, ndtri

from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable
from audiometry.tasks.metrics.detection_resampling import resampled_equal_error_rate

WER = Metric("wer", scale="log", events="errors")
EER = Metric("eer", scale="logit", high=1.0)
MOS = Metric("mos", unit="points", direction="higher", low=1.0, high=5.0)


def reduce_wer(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(table, weights, "errors", "words")}


def reduce_eer(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    bona_fide = table.counts["bona_fide"] > 0
    return {"eer": resampled_equal_error_rate(table.counts["score"], bona_fide, table.cluster, weights)}


def reduce_mos(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"mos": ratio_of_sums(table, weights, "rating", "ratings")}


def speech(rng: np.random.Generator, speakers: int, rates: list[float], *, cv: float = 0.5) -> list[ScoreTable]:
    """Errors of one or more systems on the same speech; the true word error rate of each is its rate.

    Utterances a speaker: 1 + negative binomial, mean 21 (4 to 60 are usual). Words an utterance: 1 + negative
    binomial, mean 10. Errors: Poisson, at the system's rate times gamma factors of mean 1 for the speaker (shared,
    coefficient of variation `cv`), for speaker and system (0.2), and for utterance (shared, 1.0) and utterance and
    system (0.5): errors come in bursts, and what is hard is hard for all.
    """

    def factor(size: int, variation: float) -> FloatArray:
        return rng.gamma(1 / variation**2, variation**2, size)

    many = 1 + rng.negative_binomial(2, 2 / 22, speakers)
    speaker = np.repeat(np.arange(speakers), many)
    count = len(speaker)
    words = 1.0 + rng.negative_binomial(2, 2 / 11, count)
    hard = factor(speakers, cv)[speaker] * factor(count, 1.0) * words
    zeros = np.zeros(count, np.int64), np.zeros(speakers, np.int64)
    return [
        ScoreTable(
            {"errors": rng.poisson(rate * hard * factor(speakers, 0.2)[speaker] * factor(count, 0.5)) * 1.0,
             "words": words}, speaker, *zeros,
        )
        for rate in rates
    ]  # fmt: skip


def grouped_speech(rng: np.random.Generator, speakers: list[int], rates: list[float]) -> tuple[ScoreTable, list[str]]:
    """One system on groups of so many speakers, as `speech`; the true rate of each group is its rate."""
    parts = [speech(rng, many, [rate])[0] for many, rate in zip(speakers, rates, strict=True)]
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in ("errors", "words")}
    cluster = np.concatenate([part.cluster + sum(speakers[:group]) for group, part in enumerate(parts)])
    groups = [f"group {group}" for group, part in enumerate(parts) for _ in range(len(part))]
    zeros = np.zeros(len(cluster), np.int64), np.zeros(sum(speakers), np.int64)
    return ScoreTable(counts, cluster, *zeros), groups


def trials(
    rng: np.random.Generator, rate: float, *, bona_fide: int, spoof: int, speakers: int = 0, systems: int = 1
) -> list[ScoreTable]:
    """Scores of one or more systems on the same trials; the true equal error rate is `rate`.

    Scores are normal with deviation 1 around two means. Without speakers, `bona_fide` and `spoof` trials, each its own
    cluster, in two strata. With speakers, so many trials a speaker on average (times a gamma factor, coefficient of
    variation 0.6), and a normal shift of the speaker's scores in both classes, deviation 0.5: then the means are
    further apart, so that the rate stays. Systems share half the variance of the scores, and half of the shifts'.
    """
    shift = 0.5 if speakers else 0.0
    middle = -float(ndtri(rate)) * np.sqrt(1 + shift**2)
    if speakers:
        busy = rng.gamma(1 / 0.6**2, 0.6**2, speakers)
        many = np.concatenate([1 + rng.poisson(bona_fide * busy), 1 + rng.poisson(spoof * busy)])
        cluster = np.repeat(np.tile(np.arange(speakers), 2), many)
        is_bona_fide = np.arange(len(cluster)) < many[:speakers].sum()
        stratum, cluster_strata = np.zeros(len(cluster), np.int64), np.zeros(speakers, np.int64)
    else:
        cluster = np.arange(bona_fide + spoof)
        is_bona_fide = cluster < bona_fide
        stratum = cluster_strata = (~is_bona_fide).astype(np.int64)
    count = len(cluster)

    def normal(size: int) -> list[FloatArray]:
        """One variable a system, any two correlated by one half."""
        both = rng.normal(size=size)
        return [(both + rng.normal(size=size)) / np.sqrt(2) for _ in range(systems)]

    noises, shifts = normal(count), normal(max(speakers, 1))
    base = ScoreTable({}, cluster, stratum, cluster_strata)
    return [
        replace(base, counts={
            "score": np.where(is_bona_fide, middle, -middle) + noise + (shift * moved[cluster] if speakers else 0.0),
            "bona_fide": is_bona_fide * 1.0,
        })
        for noise, moved in zip(noises, shifts, strict=True)
    ]  # fmt: skip


def ratings(rng: np.random.Generator, utterances: int, raters: int) -> tuple[ScoreTable, float]:
    """Ratings 1 to 5 of one system, and the true mean opinion score.

    Each utterance has a normal quality (mean 3.6, deviation 0.5) and so many ratings: quality plus normal noise of
    deviation 0.8, rounded and cut to the scale. Clusters are utterances.
    """
    quality = np.repeat(rng.normal(3.6, 0.5, utterances), raters)
    rating = np.clip(np.rint(quality + rng.normal(0, 0.8, len(quality))), 1, 5)
    cluster = np.repeat(np.arange(utterances), raters)
    zeros = np.zeros(len(cluster), np.int64), np.zeros(utterances, np.int64)
    truth = 5 - float(ndtr((np.arange(1.5, 5) - 3.6) / np.sqrt(0.5**2 + 0.8**2)).sum())
    return ScoreTable({"rating": rating, "ratings": np.ones(len(rating))}, cluster, *zeros), truth
