"""What the detectors without a neural network share: their model around a function from samples to a raw score.

Raw scores are higher for bona fide speech; the saved calibration makes them natural log-likelihood ratios.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.types import FloatArray, Output, Request
from audiometry.models.adapters.common import fingerprint, needs_packages, shown_name, speech
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.saved import SavedDetector, calibration_of, find_weights, load_for
from audiometry.models.baselines.trial_data import TrialData, calibrate, development_report
from audiometry.tasks.corpora.spoof.equalisation import RATE, Level

__all__ = [
    "Score",
    "arrays_of",
    "balanced_weights",
    "calibrated",
    "calibrated_by",
    "check_trainable",
    "checker",
    "detector",
    "identifier",
]

Score = Callable[[NDArray[np.float32]], float]
"""From samples of shape (time,) at 16 kHz to a raw score."""


def checker(kind: str, restore: Callable[[SavedDetector], Score]) -> Callable[..., None]:
    """A registration's `check`: raises DataError unless the weights are there, whole, and of that kind and level."""

    def check(*, level: Level = "E4", path: str = "") -> None:
        found = load_for(kind, level, path)
        calibration_of(found)
        restore(found)

    return check


def identifier(kind: str, version: str) -> Callable[..., str]:
    """A registration's `fingerprint`: over the code's version, the weights and the level."""

    def identify(*, level: Level = "E4", path: str = "") -> str:
        return fingerprint(version, [find_weights(kind, level, path)], settings={"level": level}, packages=("numpy",))

    return identify


def detector(
    factory: Callable[..., OneByOne],
    kind: str,
    version: str,
    restore: Callable[[SavedDetector], Score],
    *,
    level: Level,
    path: str,
) -> OneByOne:
    """The model that `factory`, registered under `kind`, makes with these settings."""
    found = load_for(kind, level, path)
    raw, calibration = restore(found), calibration_of(found)

    def answer(request: Request) -> Output:
        samples = speech(request, RATE)
        if len(samples) == 0 or not np.isfinite(samples).all():
            raise AudioError("the sound is empty or holds samples that are not finite numbers")
        return Output(score=float(calibration(raw(samples))))

    return OneByOne(
        name=shown_name(kind, factory, {"level": level, "path": path}),
        fingerprint=identifier(kind, version)(level=level, path=path),
        abilities=frozenset({"detect"}),
        answer=answer,
    )


def calibrated(
    found: SavedDetector,
    restore: Callable[[SavedDetector], Score],
    development: TrialData,
    report: Callable[[str], None],
) -> SavedDetector:
    """`found` with the slope and offset that its scores of the development trials ask for; the table is reported."""
    raw = restore(found)
    return calibrated_by(found, [raw(samples) for samples in development.waveforms], development, report)


def calibrated_by(
    found: SavedDetector, scores: ArrayLike, development: TrialData, report: Callable[[str], None]
) -> SavedDetector:
    """The same with the raw scores already at hand, of shape (trials,)."""
    calibration = calibrate(scores, development)
    report(development_report(scores, development))
    report(f"calibrated on these trials: {calibration.slope:.3g} times the score, plus {calibration.offset:.3g}")
    facts = {**found.facts, "slope": repr(calibration.slope), "offset": repr(calibration.offset)}
    return replace(found, facts=facts)


def check_trainable(kind: str, **parts: TrialData) -> None:
    """Raise DataError if a part lacks a class, UserError if scikit-learn, which fits, is not installed."""
    needs_packages(kind, "spoof", ("sklearn", "threadpoolctl"))
    for name, data in parts.items():
        for label, number in (("bona fide", int(data.bona_fide.sum())), ("spoofed", int((~data.bona_fide).sum()))):
            if number == 0:
                raise DataError(
                    f"training {kind!r}: the {name} part has no {label} trials; give trials of both classes"
                )


def balanced_weights(data: TrialData) -> FloatArray:
    """A weight for each trial, of mean 1: both classes weigh the same, and each attack as much as every other.

    >>> attacks = ["", "A", "B", "B"]
    >>> data = TrialData([np.zeros(1, np.float32)] * 4, np.array([True, False, False, False]), attacks, attacks)
    >>> balanced_weights(data).tolist()
    [2.0, 1.0, 0.5, 0.5]
    """
    groups = np.array(
        [("" if real else f"attack {name}") for real, name in zip(data.bona_fide, data.attacks, strict=True)]
    )
    names, which, counts = np.unique(groups, return_inverse=True, return_counts=True)
    share = np.where(names == "", 0.5, 0.5 / max(len(names) - 1, 1))
    return np.asarray(share[which] / counts[which] * len(data), dtype=np.float64)


def arrays_of(found: SavedDetector, shapes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """The arrays named in `shapes`, each with that number of dimensions.

    Raises DataError for one that is missing or has another number.
    """
    for name, dimensions in shapes.items():
        array = found.arrays.get(name)
        if array is None or array.ndim != dimensions:
            raise DataError(
                f"the trained {found.kind!r} has no array {name!r} of {dimensions} dimensions; train it again"
            )
    return {name: found.arrays[name] for name in shapes}
