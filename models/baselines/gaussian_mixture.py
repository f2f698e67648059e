"""`lfcc-gmm`: two Gaussian mixtures over LFCC frames, one of bona fide and one of spoofed speech.

The classic baseline of the ASVspoof challenges (2015 to 2021). The raw score is the mean over frames of the difference
of the two log-densities, so that it does not grow with the length; the development trials calibrate it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import FloatArray
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.cepstra import band_of, lfcc
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.waveform_scores import (
    Score,
    arrays_of,
    calibrated,
    check_trainable,
    checker,
    detector,
    identifier,
)
from audiometry.tasks.corpora.spoof.equalisation import Level

__all__ = ["fit", "lfcc_gmm", "log_density", "restore"]

KIND = "lfcc-gmm"
VERSION = "lfcc-gmm 1"
CLASSES = ("bona_fide", "spoof")

LEAST_VARIANCE = 1e-2
"""Of a component, where all frames together have 1: frames of digital silence are all alike, and would be a spike."""


def fit(
    train: TrialData,
    development: TrialData,
    *,
    seed: int,
    report: Callable[[str], None],
    level: Level = "E4",
    components: int = 64,
    frames: int = 200_000,
    iterations: int = 60,
) -> SavedDetector:
    """Fit both mixtures by expectation maximisation on `train`, and calibrate on `development`.

    A mixture sees at most `frames` frames, drawn at random, as many of each attack. One thread works, so that the
    same seed gives the same weights on machines with more cores.

    Raises DataError for a part without trials of both classes or too few frames, SettingError for a number under 1.
    """
    for name, value in (("components", components), ("frames", frames), ("iterations", iterations)):
        if value < 1:
            raise SettingError(f"training {KIND!r}, setting {name!r}: {value} is less than 1")
    check_trainable(KIND, train=train, development=development)
    from threadpoolctl import threadpool_limits

    band = band_of(level)
    cepstra = [lfcc(samples, band=band).astype(np.float32) for samples in train.waveforms]
    generator = np.random.default_rng(seed)
    drawn = {
        "bona_fide": _drawn(cepstra, train, frames, generator, bona_fide=True),
        "spoof": _drawn(cepstra, train, frames, generator, bona_fide=False),
    }
    # both classes weigh the same in what is taken away and divided by
    centre = np.mean([part.mean(axis=0) for part in drawn.values()], axis=0)
    scale = np.sqrt(np.mean([np.square(part - centre).mean(axis=0) for part in drawn.values()], axis=0)) + 1e-9
    arrays: dict[str, NDArray[Any]] = {"centre": centre, "scale": scale}
    with threadpool_limits(1):
        for name, part in drawn.items():
            report(f"{KIND}: {components} components over {len(part)} frames, {name.replace('_', ' ')}")
            arrays |= {
                f"{name}_{key}": value
                for key, value in _mixture((part - centre) / scale, components, iterations, seed).items()
            }
    facts = {"level": level, "seed": str(seed), "band": json.dumps(band)}
    found = SavedDetector(KIND, arrays, facts)
    return calibrated(found, restore, development, report)


def restore(found: SavedDetector) -> Score:
    """The raw score of a trained detector: mean log-density ratio of a clip's frames in nats.

    Raises DataError if arrays or the band are missing or do not fit each other.
    """
    arrays = arrays_of(
        found,
        {"centre": 1, "scale": 1}
        | {
            f"{name}_{key}": number
            for name in CLASSES
            for key, number in (("weights", 1), ("means", 2), ("variances", 2))
        },
    )
    try:
        low, high = (float(edge) for edge in json.loads(found.facts["band"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"the trained {KIND!r} does not say its band in Hz; train it again") from error
    for name in CLASSES:
        shape = (len(arrays[f"{name}_weights"]), len(arrays["centre"]))
        if not arrays[f"{name}_means"].shape == arrays[f"{name}_variances"].shape == shape:
            raise DataError(f"the trained {KIND!r} has a mixture {name!r} whose parts do not fit; train it again")

    def score(samples: NDArray[np.float32]) -> float:
        frames = (lfcc(samples, band=(low, high)) - arrays["centre"]) / arrays["scale"]
        bona_fide, spoof = (
            log_density(frames, *(arrays[f"{name}_{key}"] for key in ("weights", "means", "variances")))
            for name in CLASSES
        )
        return float((bona_fide - spoof).mean())

    return score


def log_density(frames: FloatArray, weights: FloatArray, means: FloatArray, variances: FloatArray) -> FloatArray:
    """Natural logarithm of a diagonal Gaussian mixture's density at each of `frames` (frames, dimensions).

    `weights` of shape (components,) sum to 1; `means` and `variances` have shape (components, dimensions).

    >>> log_density(np.zeros((1, 2)), np.ones(1), np.zeros((1, 2)), np.ones((1, 2))).round(4).tolist()
    [-1.8379]
    """
    constant = np.log(weights) - 0.5 * (np.log(2 * np.pi * variances) + means**2 / variances).sum(axis=1)
    parts = constant + frames @ (means / variances).T - 0.5 * frames**2 @ (1 / variances).T
    largest = parts.max(axis=1)
    return np.asarray(largest + np.log(np.exp(parts - largest[:, None]).sum(axis=1)))


@model(
    KIND,
    abilities={"detect"},
    check=checker(KIND, restore),
    fingerprint=identifier(KIND, VERSION),
    deterministic=True,
)
def lfcc_gmm(*, level: Level = "E4", path: str = "") -> OneByOne:
    """Detector of spoofed speech: two Gaussian mixtures over linear-frequency cepstral coefficients."""
    return detector(lfcc_gmm, KIND, VERSION, restore, level=level, path=path)


def _drawn(
    cepstra: list[NDArray[np.float32]], data: TrialData, frames: int, generator: np.random.Generator, *, bona_fide: bool
) -> FloatArray:
    """At most `frames` frames of one class, as many of each attack; of an attack with fewer, all."""
    chosen = [index for index, real in enumerate(data.bona_fide) if real == bona_fide]
    names = sorted({data.attacks[index] for index in chosen})
    each = -(-frames // len(names))
    parts = []
    for name in names:
        all_of_it = np.concatenate([cepstra[index] for index in chosen if data.attacks[index] == name])
        parts.append(all_of_it[generator.permutation(len(all_of_it))[:each]])
    return np.concatenate(parts).astype(np.float64)


def _mixture(frames: FloatArray, components: int, iterations: int, seed: int) -> dict[str, FloatArray]:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(frames) < components:
        raise DataError(
            f"training {KIND!r}: {len(frames)} frames are too few for {components} components; give more trials"
        )
    mixture = GaussianMixture(
        components, covariance_type="diag", max_iter=iterations, reg_covar=LEAST_VARIANCE, init_params="k-means++",
        random_state=seed,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is a setting
        mixture.fit(frames)
    return {"weights": mixture.weights_, "means": mixture.means_, "variances": mixture.covariances_}
