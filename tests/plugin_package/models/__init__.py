"""A model of this package's own: a level meter."""

import numpy as np

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output


class LevelMeter:
    """Loud or soft, by the root mean square against a threshold in dBFS."""

    name = "example-level-meter"
    abilities = frozenset({"classify"})
    deterministic = True

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.fingerprint = f"level-meter-1-{threshold:g}"

    def generate(self, requests):
        return [self._answer(request.waveforms["input"].samples) for request in requests]

    def _answer(self, samples):
        level = 20 * np.log10(np.sqrt(np.mean(samples**2)) + 1e-12)
        return Output(labels={"loud" if level > self.threshold else "soft": 1.0})

    def close(self) -> None:
        """Hold nothing."""


@model("example-level-meter", abilities={"classify"})
def level_meter(*, threshold: float = -20.0) -> LevelMeter:
    """Loud or soft, by level."""
    return LevelMeter(threshold)
