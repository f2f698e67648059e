"""Detectors that are boosted trees over a vector of features: fitting and restoring, whatever the features are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import FloatArray
from audiometry.models.baselines.boosted_trees import fit_trees, sum_of_trees
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import (
    Score,
    arrays_of,
    balanced_weights,
    calibrated,
    check_trainable,
)
from audiometry.tasks.corpora.spoof.equalisation import Level

__all__ = ["TreeDetector"]

DEEPEST = 8


@dataclass(frozen=True)
class TreeDetector:
    """A kind of detector: its name, its features of samples at 16 kHz, how many, and what they are called together."""

    kind: str
    features: Callable[[NDArray[np.float32]], FloatArray]
    count: int
    called: str

    def fit(
        self,
        train: TrialData,
        development: TrialData,
        *,
        seed: int,
        report: Callable[[str], None],
        level: Level,
        trees: int,
        depth: int,
        rate: float,
    ) -> SavedDetector:
        """Boost trees on `train`, where each attack weighs the same, and calibrate on `development`.

        Raises DataError for a part without trials of both classes, SettingError for a number out of range.
        """
        if trees < 1 or not 1 <= depth <= DEEPEST or not 0 < rate <= 1:
            raise SettingError(
                f"training {self.kind!r}: trees {trees}, depth {depth}, rate {rate:g}; give at least 1 tree, a depth "
                f"of 1 to {DEEPEST}, and a rate over 0 and at most 1"
            )
        check_trainable(self.kind, train=train, development=development)
        features = np.stack([self.features(samples) for samples in train.waveforms])
        report(f"{self.kind}: {trees} trees over {self.count} features of {len(train)} trials")
        arrays = fit_trees(
            features, train.bona_fide, balanced_weights(train), trees=trees, depth=depth, rate=rate, seed=seed
        )
        facts = {"level": level, "seed": str(seed), "features": self.called}
        return calibrated(SavedDetector(self.kind, arrays, facts), self.restore, development, report)

    def restore(self, found: SavedDetector) -> Score:
        """The raw score of a trained detector: log-odds of bona fide, up to a constant.

        Raises DataError if an array is missing or does not fit the others, or other features are meant.
        """
        if found.facts.get("features") != self.called:
            raise DataError(f"the trained {self.kind!r} was made for other features; train it again")
        arrays = arrays_of(found, {"feature": 2, "threshold": 2, "leaf": 2})
        feature, threshold, leaf = arrays["feature"], arrays["threshold"], arrays["leaf"]
        inner = 2 ** (feature.shape[1].bit_length()) - 1
        shaped = feature.shape == threshold.shape == (len(leaf), inner) and leaf.shape[1] == inner + 1
        if not shaped or feature.min() < 0 or feature.max() >= self.count:
            raise DataError(f"the trained {self.kind!r} has trees whose parts do not fit; train it again")

        def score(samples: NDArray[np.float32]) -> float:
            return float(sum_of_trees(self.features(samples)[None], feature, threshold, leaf)[0])

        return score
