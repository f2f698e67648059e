"""`envelope-trees`: boosted trees over the fine structure of ten bands' envelopes (`envelope_features`)."""

from __future__ import annotations

from collections.abc import Callable

from audiometry.benchmark.registry import model
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.envelope_features import COUNT, envelope_features
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.tree_detector import TreeDetector
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import checker, detector, identifier
from audiometry.tasks.corpora.spoof.equalisation import Level

__all__ = ["envelope_trees", "fit", "restore"]

KIND = "envelope-trees"
VERSION = "envelope-trees 2"
TREES = TreeDetector(KIND, envelope_features, COUNT, f"envelopes 1, {COUNT}")
restore = TREES.restore


def fit(
    train: TrialData,
    development: TrialData,
    *,
    seed: int,
    report: Callable[[str], None],
    level: Level = "E4",
    trees: int = 250,
    depth: int = 4,
    rate: float = 0.06,
) -> SavedDetector:
    """Train the detector; see `TreeDetector.fit`."""
    return TREES.fit(train, development, seed=seed, report=report, level=level, trees=trees, depth=depth, rate=rate)


@model(
    KIND,
    abilities={"detect"},
    check=checker(KIND, restore),
    fingerprint=identifier(KIND, VERSION),
    deterministic=True,
)
def envelope_trees(*, level: Level = "E4", path: str = "") -> OneByOne:
    """Spoof detector trained here: how the envelopes of narrow bands move, alone and together."""
    return detector(envelope_trees, KIND, VERSION, restore, level=level, path=path)
