"""`shortcut`: the control of spoof detection, that is right only where the corpus has a leak.

Boosted trees over features that know nothing of the voice (`shortcut_features`). On a corpus free of shortcuts its
equal error rate is 50 %; what it gets below that, any detector may owe to the same leak.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import model
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.boosted_trees import fit_trees, sum_of_trees
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.shortcut_features import FEATURES, shortcut_features
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import (
    Score,
    arrays_of,
    balanced_weights,
    calibrated,
    check_trainable,
    checker,
    detector,
    identifier,
)
from audiometry.tasks.corpora.spoof.equalisation import Level

__all__ = ["fit", "restore", "spoof_shortcut"]

KIND = "shortcut"
VERSION = "shortcut 1"
DEEPEST = 8


def fit(
    train: TrialData,
    development: TrialData,
    *,
    seed: int,
    report: Callable[[str], None],
    level: Level = "E4",
    trees: int = 200,
    depth: int = 3,
    rate: float = 0.1,
) -> SavedDetector:
    """Boost trees on `train`, where each attack weighs the same, and calibrate on `development`.

    Raises DataError for a part without trials of both classes, SettingError for a number out of range.
    """
    if trees < 1 or not 1 <= depth <= DEEPEST or not 0 < rate <= 1:
        raise SettingError(
            f"training {KIND!r}: trees {trees}, depth {depth}, rate {rate:g}; give at least 1 tree, a depth of 1 to "
            f"{DEEPEST}, and a rate over 0 and at most 1"
        )
    check_trainable(KIND, train=train, development=development)
    features = np.stack([shortcut_features(samples) for samples in train.waveforms])
    report(f"{KIND}: {trees} trees over {len(FEATURES)} features of {len(train)} trials")
    arrays = fit_trees(
        features, train.bona_fide, balanced_weights(train), trees=trees, depth=depth, rate=rate, seed=seed
    )
    facts = {"level": level, "seed": str(seed), "features": "; ".join(FEATURES)}
    return calibrated(SavedDetector(KIND, arrays, facts), restore, development, report)


def restore(found: SavedDetector) -> Score:
    """The raw score of a trained control: log-odds of bona fide, up to a constant.

    Raises DataError if an array is missing or does not fit the others, or other features are meant.
    """
    if found.facts.get("features") != "; ".join(FEATURES):
        raise DataError(f"the trained {KIND!r} was made for other features; train it again")
    arrays = arrays_of(found, {"feature": 2, "threshold": 2, "leaf": 2})
    feature, threshold, leaf = arrays["feature"], arrays["threshold"], arrays["leaf"]
    inner = 2 ** (feature.shape[1].bit_length()) - 1
    shaped = feature.shape == threshold.shape == (len(leaf), inner) and leaf.shape[1] == inner + 1
    if not shaped or feature.min() < 0 or feature.max() >= len(FEATURES):
        raise DataError(f"the trained {KIND!r} has trees whose parts do not fit; train it again")

    def score(samples: NDArray[np.float32]) -> float:
        return float(sum_of_trees(shortcut_features(samples)[None], feature, threshold, leaf)[0])

    return score


@model(
    KIND,
    abilities={"detect"},
    control=True,
    check=checker(KIND, restore),
    fingerprint=identifier(KIND, VERSION),
    deterministic=True,
)
def spoof_shortcut(*, level: Level = "E4", path: str = "") -> OneByOne:
    """Control that detects spoofs by length, level, silence, bandwidth and colour, and never by the voice."""
    return detector(spoof_shortcut, KIND, VERSION, restore, level=level, path=path)
