"""The scale on which a metric's interval is formed: linear, logarithm, or logarithm of the odds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.types import FloatArray, Metric

__all__ = ["Scale", "scale_at"]


@dataclass(frozen=True, slots=True)
class Scale:
    """`onto` the scale, `back` from it, and how many steps on it one unit of the metric is at the value (`slope`)."""

    onto: Callable[[FloatArray], FloatArray]
    back: Callable[[FloatArray], FloatArray]
    slope: float


def scale_at(metric: Metric, value: float, keep: float) -> Scale:
    """The metric's scale around `value`: linear if the value is at an end of the scale (0; for "logit" 0 or 1).

    Nothing is taken as nearer to an end than the share `keep` of the value's distance, so that a resample without
    errors stays finite.

    >>> scale = scale_at(Metric("wer", scale="log"), 0.2, keep=0.1)
    >>> scale.back(scale.onto(np.array([0.0, 0.1, 0.4]))).round(4).tolist(), scale.slope
    ([0.02, 0.1, 0.4], 5.0)
    """
    if metric.scale == "log" and value > 0:
        return Scale(lambda x: np.log(np.maximum(x, keep * value)), _exponential, 1 / value)
    if metric.scale == "logit" and 0 < value < 1:
        low, high = keep * value, 1 - keep * (1 - value)

        def onto(x: FloatArray) -> FloatArray:
            kept = np.clip(x, low, high)
            return np.asarray(np.log(kept / (1 - kept)))

        return Scale(onto, lambda x: np.asarray(1 / (1 + _exponential(-x))), 1 / (value * (1 - value)))
    return Scale(lambda x: x, lambda x: x, 1.0)


def _exponential(x: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.clip(x, -700, 700)))
