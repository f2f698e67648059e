"""`shortcut`: the control of spoof detection, that is right only where the corpus has a leak.

Boosted trees over features that know nothing of the voice (`shortcut_features`). On a corpus free of shortcuts its
equal error rate is 50 %; what it gets below that, any detector may owe to the same leak.
"""

from __future__ import annotations

from collections.abc import Callable

from audiometry.benchmark.registry import model
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.shortcut_features import FEATURES, shortcut_features
from audiometry.models.baselines.tree_detector import TreeDetector
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import checker, detector, identifier
from audiometry.tasks.corpora.spoof.equalisation import Level

__all__ = ["fit", "restore", "spoof_shortcut"]

KIND = "shortcut"
VERSION = "shortcut 1"
TREES = TreeDetector(KIND, shortcut_features, len(FEATURES), "; ".join(FEATURES))
restore = TREES.restore


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
    """Train the control; see `TreeDetector.fit`."""
    return TREES.fit(train, development, seed=seed, report=report, level=level, trees=trees, depth=depth, rate=rate)


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
