"""How fast a model answers: latency percentiles and RTFx."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import sample_weights, weighted_quantiles

__all__ = ["PERCENTILES", "latency_counts", "latency_metrics", "latency_reduce", "percentile", "rtfx"]

PERCENTILES = (50, 90, 95, 99)

TIMINGS = {"total": "latency", "first": "first_latency"}
"""Which of an output's timings becomes which metric's stem."""


def percentile(seconds: ArrayLike, percent: float) -> float:
    """The latency that `percent` of the requests stay under, by linear interpolation (Hyndman and Fan's type 7).

    seconds: shape (requests,), in seconds, at least 0. percent: 0 to 100. Returns seconds, 0 and up, lower is better.
    The type must be named because the ends differ: with 20 requests, p95 is 5 % of the way from the second slowest to
    the slowest here, and the slowest itself by the nearest-rank rule. Below about 5 / (1 - percent / 100) requests a
    percentile rests on a handful of them.

    Raises DataError for no requests, a negative time or one that is not finite; SettingError for a percent out of
    range. Source: `weighted_quantiles`, where the definition stands.

    >>> percentile([0.1, 0.2, 0.3, 0.5], 50)
    0.25
    """
    times = np.asarray(seconds, np.float64)
    if times.ndim != 1 or len(times) == 0:
        raise DataError(f"latencies of shape {times.shape}: give one number for each request, at least one")
    bad = ~np.isfinite(times) | (times < 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"latency {times[at]:g} s at index {at}: give finite seconds, 0 or more")
    return float(weighted_quantiles(times, np.ones(len(times)), [_fraction(percent)])[0])


def rtfx(audio_seconds: ArrayLike, compute_seconds: ArrayLike) -> float:
    """Inverse real-time factor: seconds of audio for each second of computing, as a ratio of sums.

    Both shape (requests,) or scalars, in seconds. Returns 0 and up, higher is better (10 is ten times faster than real
    time); NaN where no time was spent. A ratio of sums, not a mean of ratios: short requests weigh by their length,
    as in the Open ASR Leaderboard (Srivastav et al. 2025, "RTFx = total audio seconds / total transcription seconds").

    Raises DataError if the shapes differ, or for a time that is negative or not finite.

    >>> rtfx([10.0, 2.0], [1.0, 1.0])
    6.0
    """
    audio = np.atleast_1d(np.asarray(audio_seconds, np.float64))
    compute = np.atleast_1d(np.asarray(compute_seconds, np.float64))
    if audio.shape != compute.shape:
        raise DataError(f"RTFx: audio of shape {audio.shape} and computing time of shape {compute.shape} must agree")
    for name, times in (("audio", audio), ("computing", compute)):
        if not np.isfinite(times).all() or (times < 0).any():
            raise DataError(f"RTFx: {name} seconds must be finite and 0 or more")
    spent = float(compute.sum())
    return float(audio.sum()) / spent if spent > 0 else math.nan


def latency_counts(output: Output, audio_seconds: float) -> dict[str, float]:
    """The counts of one request: whether it was answered, how long it took, how much audio it was about.

    output: its `timings` hold `total` and, where the model streams, `first`, in seconds. audio_seconds: length of the
    audio that the request is about (heard for recognition, made for synthesis), in seconds.

    Returns `latency`, `latency_answered`, `first_latency`, `first_latency_answered`, `audio`, `compute`. A request
    that ended in `timeout` or `error`, or that has no timing, has answered 0 and adds nothing to audio and computing
    time. Raises DataError for a time that is negative or not finite.

    >>> latency_counts(Output(text="hi", timings={"total": 0.5}), 2.0)["compute"]
    0.5
    """
    counts: dict[str, float] = {}
    failed = output.status in {"timeout", "error"}
    for timing, stem in TIMINGS.items():
        value = None if failed else output.timings.get(timing)
        if value is not None and not 0 <= value < math.inf:
            raise DataError(f"timing {timing!r} is {value:g}: a model reports finite seconds, 0 or more")
        counts[stem] = 0.0 if value is None else float(value)
        counts[f"{stem}_answered"] = float(value is not None)
    if not 0 <= audio_seconds < math.inf:
        raise DataError(f"audio of {audio_seconds:g} s: give finite seconds, 0 or more")
    counts["audio"] = float(audio_seconds) * counts["latency_answered"]
    counts["compute"] = counts["latency"]
    return counts


def latency_reduce(percentiles: Sequence[float] = PERCENTILES) -> Reduce:
    """A reduction of `latency_counts` to `rtfx` and, for each percent, `latency_p50`, `first_latency_p50`, …

    A request that was not answered counts as slower than every other, so that a model cannot gain by giving up on the
    slow ones: a percentile that reaches into such requests is NaN, because nobody knows it. `rtfx` is over the
    answered requests. Percentiles are type 7 (`percentile`). Raises SettingError for a percent outside 0 to 100.

    >>> reduce = latency_reduce([50])
    >>> counts = [latency_counts(Output(timings={"total": t}), 1.0) for t in (0.1, 0.2, 0.4)]
    >>> columns = {name: np.array([c[name] for c in counts]) for name in counts[0]}
    >>> table = ScoreTable(columns, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    >>> {name: value.round(3).tolist() for name, value in reduce(table, np.ones((1, 3))).items()}
    {'rtfx': [4.286], 'latency_p50': [0.2], 'first_latency_p50': [nan]}
    """
    fractions = np.array([_fraction(percent) for percent in percentiles])

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        values = {"rtfx": ratio_of_sums(table, weights, "audio", "compute")}
        for stem in TIMINGS.values():
            times = np.where(table.counts[f"{stem}_answered"] > 0, table.counts[stem], np.inf)
            rows = np.array([weighted_quantiles(times, row, fractions) for row in sample_weights(table, weights)])
            rows = np.where(np.isfinite(rows), rows, np.nan).reshape(-1, len(fractions))
            values |= {f"{stem}_p{percent:g}": rows[:, i] for i, percent in enumerate(percentiles)}
        return values

    return reduce


def latency_metrics(percentiles: Sequence[float] = PERCENTILES) -> tuple[Metric, ...]:
    """What `latency_reduce` reports.

    >>> [metric.name for metric in latency_metrics([95])]
    ['rtfx', 'latency_p95', 'first_latency_p95']
    """
    times = tuple(
        Metric(f"{stem}_p{percent:g}", unit="s", scale="log") for stem in TIMINGS.values() for percent in percentiles
    )
    return (Metric("rtfx", unit="x real time", direction="higher", scale="log"), *times)


def _fraction(percent: float) -> float:
    if not 0 <= percent <= 100:
        raise SettingError(f"percentile {percent:g} is outside 0 to 100")
    return percent / 100
