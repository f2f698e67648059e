"""`lfcc-lcnn`: a light convolutional network on LFCC or log filter-bank spectrograms.

It hears clips of any length; it is trained on windows of them, that are changed at random as they are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import FloatArray, IntArray
from audiometry.models.adapters.common import fingerprint, needs_packages, thread_count
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.saved import SavedDetector, find_weights, load_for
from audiometry.models.baselines.waveform_scores import Score, detector
from audiometry.tasks.corpora.spoof.equalisation import RATE, Level

if TYPE_CHECKING:
    from audiometry.models.baselines.feature_augmentation import Augmentation
    from audiometry.models.baselines.lcnn_network import LcnnSettings, LightCnn
    from audiometry.models.baselines.training import Problem
    from audiometry.models.baselines.trial_data import TrialData

__all__ = ["Objective", "fit", "lfcc_lcnn", "score_clips"]

KIND = "lfcc-lcnn"
VERSION = "lfcc-lcnn 1"
SCORED_TOGETHER = 64
STEPS = 900
"""Of a training that is given none: those of the shipped weights."""


@dataclass(frozen=True)
class Objective:
    """What is asked of the network: a loss, on windows of `frames` frames of 10 ms."""

    loss: Literal["cross-entropy", "one-class-softmax"] = "cross-entropy"
    frames: int = 160

    def __post_init__(self) -> None:
        """Raise SettingError for a window that is too short to pool over."""
        if self.frames < 32:
            raise SettingError(f"{KIND}: windows of {self.frames} frames are too short; give 32 or more")


def fit(
    train: TrialData,
    development: TrialData,
    *,
    seed: int,
    report: Callable[[str], None],
    level: Level = "E4",
    checkpoint: Path | None = None,
    resume: bool = False,
    **settings: Any,
) -> SavedDetector:
    """Train on `train`; choose the weights and calibrate on `development`.

    `settings` are those of `Objective`, `LcnnSettings`, `Augmentation` and `TrainingSettings`; numbers may be texts.

    Raises SettingError for a setting that is unknown or out of range, or a network of more than a million parameters,
    DataError for trials of one class only, and what `training.train` raises.
    """
    import torch

    from audiometry.models.baselines.cepstra import band_of
    from audiometry.models.baselines.feature_augmentation import Augmentation
    from audiometry.models.baselines.lcnn_network import LcnnSettings, LightCnn
    from audiometry.models.baselines.losses import binary_cross_entropy, one_class_softmax
    from audiometry.models.baselines.neural_fit import check_size, finished, split_settings
    from audiometry.models.baselines.training import TrainingSettings
    from audiometry.models.baselines.training import train as run

    low, high = band_of(level)
    objective, shape, how, schedule = split_settings(
        KIND, settings, (Objective(), LcnnSettings(low=low, high=high), Augmentation(), TrainingSettings(steps=STEPS))
    )
    if objective.loss == "one-class-softmax":
        (shape,) = split_settings(KIND, {"head": "cosine"}, (shape,))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LightCnn(shape)
    report(f"{KIND}: {check_size(KIND, network)} parameters; making {len(train) + len(development)} spectrograms")
    problem = _problem(train, development, shape, how, objective.frames, schedule.watched)
    loss = binary_cross_entropy if objective.loss == "cross-entropy" else one_class_softmax()
    trained = run(
        network, loss, problem, seed=seed, settings=schedule, report=report, checkpoint=checkpoint, resume=resume
    )
    raw = SavedDetector(KIND, trained.weights, {})
    scores = score_clips(_network(raw, shape), development.waveforms)
    facts = {"loss": objective.loss, "frames": str(objective.frames), "level": level, "seed": str(seed)}
    return finished(KIND, trained, shape, scores, development, facts, report)


def _problem(
    train: TrialData, development: TrialData, shape: LcnnSettings, how: Augmentation, frames: int, watched: int
) -> Problem:
    """Spectrograms once for all; windows of them, changed at random, at every step."""
    from audiometry.models.baselines.feature_augmentation import augment, crop
    from audiometry.models.baselines.sampling import spread
    from audiometry.models.baselines.training import Problem

    heard = [_spectrogram(samples, shape) for samples in train.waveforms]
    looked_at = spread(development.bona_fide, development.attacks, watched)
    seen = [_spectrogram(development.waveforms[number], shape) for number in looked_at]
    longest = min(2 * frames, max(one.shape[1] for one in seen))
    windows = [crop(one, longest, None) for one in seen]

    def inputs(chosen: IntArray, generator: np.random.Generator) -> NDArray[np.float32]:
        drawn = np.stack([crop(heard[number], frames, generator) for number in chosen])
        return augment(drawn, train.bona_fide[chosen], how, generator)

    batches = [np.stack(windows[at : at + SCORED_TOGETHER]) for at in range(0, len(windows), SCORED_TOGETHER)]
    real, attacks = development.bona_fide[looked_at], [development.attacks[number] for number in looked_at]
    return Problem(inputs, train.bona_fide, train.attacks, batches, real, attacks)


def _spectrogram(samples: NDArray[np.float32], shape: LcnnSettings) -> NDArray[np.float32]:
    """Natural logarithms of the power in bands, their mean taken away: (bands, frames). No gain changes them."""
    from audiometry.models.baselines.cepstra import log_filter_bank

    decades = log_filter_bank(samples, RATE, band=(shape.low, shape.high), filters=shape.bands, window=shape.window)
    return np.ascontiguousarray((decades - decades.mean()).T * np.log(10), dtype=np.float32)


def _network(detector: SavedDetector, shape: LcnnSettings) -> LightCnn:
    from audiometry.models.baselines.lcnn_network import LightCnn
    from audiometry.models.baselines.neural_fit import put_weights

    network = LightCnn(shape)
    put_weights(detector, network)
    return network


def score_clips(network: LightCnn, clips: Sequence[NDArray[np.float32]]) -> FloatArray:
    """Raw scores of whole clips at 16 kHz, higher for bona fide, shape (clips,)."""
    from audiometry.models.baselines.neural_fit import by_length
    from audiometry.models.baselines.training import scores_of

    seen = [_spectrogram(samples, network.settings) for samples in clips]
    groups = by_length(seen, SCORED_TOGETHER)
    return scores_of(network, [np.stack([seen[number] for number in group]) for group in groups])


def check(*, level: Level = "E4", path: str = "", threads: int = 0) -> None:  # noqa: ARG001
    """Raise UserError if torch is not installed, DataError if the weights are not there or do not fit."""
    needs_packages(KIND, "torch", ("torch", "safetensors"))
    load_for(KIND, level, path)


def identify(*, level: Level = "E4", path: str = "", threads: int = 0) -> str:  # noqa: ARG001
    """The fingerprint of the detector, without loading it."""
    file = find_weights(KIND, level, path)
    return fingerprint(VERSION, [file], settings={"level": level}, packages=("torch", "numpy", "soxr"))


@model(KIND, abilities={"detect"}, check=check, fingerprint=identify, deterministic=True, needs="torch")
def lfcc_lcnn(*, level: Level = "E4", path: str = "", threads: int = 0) -> OneByOne:
    """Spoof detector trained here: a light convolutional network on cepstra over time."""
    import torch

    torch.set_num_threads(thread_count(threads))
    made = detector(lfcc_lcnn, KIND, VERSION, _scorer, level=level, path=path)
    return replace(made, fingerprint=identify(level=level, path=path))


def _scorer(found: SavedDetector) -> Score:
    from audiometry.models.baselines.lcnn_network import LcnnSettings
    from audiometry.models.baselines.neural_fit import network_settings

    network = _network(found, network_settings(found, LcnnSettings))
    return lambda samples: float(score_clips(network, [samples])[0])
