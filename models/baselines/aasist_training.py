"""Training of `aasist` and `aasist-l` by the loop of the small detectors, on waveforms changed at random.

The published networks are meant for a GPU; `network=aasist-small` is a smaller one for CPUs, of the same design.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.types import IntArray
from audiometry.models.baselines.aasist import NAMED, aasist_settings, fit_length
from audiometry.models.baselines.raw_augmentation import raw_boost
from audiometry.models.baselines.sampling import partners, spread
from audiometry.models.baselines.saved import SavedDetector
from audiometry.tasks.corpora.spoof.equalisation import Level

if TYPE_CHECKING:
    from audiometry.models.baselines.trial_data import TrialData

__all__ = ["WaveformAugmentation", "change", "fit_aasist", "fit_aasist_l"]

SCORED_TOGETHER = 32


@dataclass(frozen=True)
class WaveformAugmentation:
    """Chances and amounts: `noise`, `mix` and `raw_boost` are probabilities, the ratio is in decibels, `gain_db` a
    deviation. `raw_boost` is off by itself: what it gains was not measured here.
    """

    gain_db: float = 3.0
    noise: float = 0.5
    lowest_snr: float = 15.0
    highest_snr: float = 40.0
    mix: float = 0.25
    raw_boost: float = 0.0

    def __post_init__(self) -> None:
        """Raise SettingError for a probability or a range that is none."""
        if self.gain_db < 0 or not (
            all(0 <= chance <= 1 for chance in (self.noise, self.mix, self.raw_boost))
            and self.lowest_snr <= self.highest_snr
        ):
            raise SettingError(
                "augmentation: 'noise', 'mix' and 'raw_boost' are from 0 to 1, 'lowest_snr' at most 'highest_snr'"
            )


@dataclass(frozen=True)
class Choice:
    """Which network is trained; an empty name is the detector's own."""

    network: Literal["", "aasist", "aasist-l", "aasist-small"] = ""


def fit_aasist(
    train: TrialData, development: TrialData, *, seed: int, report: Callable[[str], None], **settings: Any
) -> SavedDetector:
    """Train `aasist`. See `fit_aasist_l`."""
    return _fit("aasist", train, development, seed=seed, report=report, **settings)


def fit_aasist_l(
    train: TrialData, development: TrialData, *, seed: int, report: Callable[[str], None], **settings: Any
) -> SavedDetector:
    """Train `aasist-l` on `train`; choose the weights and calibrate on `development`.

    `settings` are ``level``, ``checkpoint``, ``resume``, ``network`` and those of `WaveformAugmentation` and
    `TrainingSettings`; numbers may be texts. Raises what `lcnn.fit` raises.
    """
    return _fit("aasist-l", train, development, seed=seed, report=report, **settings)


def _fit(
    kind: Literal["aasist", "aasist-l"],
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
    import torch

    from audiometry.models.baselines.aasist_network import Aasist
    from audiometry.models.baselines.losses import binary_cross_entropy
    from audiometry.models.baselines.neural_fit import check_size, finished, split_settings
    from audiometry.models.baselines.training import (
        Problem,
        Scored,
        TrainingSettings,
        scores_of,
    )
    from audiometry.models.baselines.training import train as run

    choice, how, schedule = split_settings(
        kind, settings, (Choice(), WaveformAugmentation(), TrainingSettings(batch=24, rate=1e-3, weight_decay=1e-4))
    )
    shape = NAMED[kind] if not choice.network else aasist_settings(choice.network)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Scored(Aasist(shape))
    report(f"{kind}: {check_size(kind, network)} parameters")
    heard = np.stack([fit_length(samples, shape.samples) for samples in development.waveforms])
    batches = [heard[at : at + SCORED_TOGETHER] for at in range(0, len(heard), SCORED_TOGETHER)]

    def inputs(chosen: IntArray, generator: np.random.Generator) -> NDArray[np.float32]:
        drawn = np.stack([_window(train.waveforms[number], shape.samples, generator) for number in chosen])
        return change(drawn, train.bona_fide[chosen], how, generator)

    watched = spread(development.bona_fide, development.attacks, schedule.watched)
    problem = Problem(
        inputs, train.bona_fide, train.attacks,
        [heard[watched[at : at + SCORED_TOGETHER]] for at in range(0, len(watched), SCORED_TOGETHER)],
        development.bona_fide[watched], [development.attacks[number] for number in watched],
    )  # fmt: skip
    trained = run(
        network, binary_cross_entropy, problem, seed=seed, settings=schedule, report=report, checkpoint=checkpoint,
        resume=resume,
    )  # fmt: skip
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in trained.weights.items()})
    scores = scores_of(network, batches)
    weights = {name.removeprefix("network."): value for name, value in trained.weights.items()}
    facts = {"level": level, "seed": str(seed)}
    return finished(kind, replace(trained, weights=weights), shape, scores, development, facts, report)


def _window(samples: NDArray[np.float32], count: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """`count` samples from a random place; a shorter clip is repeated, from a random sample of it on."""
    if len(samples) <= count:
        return fit_length(np.roll(samples, -int(generator.integers(len(samples)))), count)
    first = int(generator.integers(len(samples) - count + 1))
    return samples[first : first + count]


def change(
    waveforms: NDArray[np.float32],
    bona_fide: NDArray[np.bool_],
    how: WaveformAugmentation,
    generator: np.random.Generator,
) -> NDArray[np.float32]:
    """Waveforms of shape (batch, samples): joined with others of their class, then RawBoost, noise, gain and polarity
    at random.

    The input is left as it is.
    """
    batch, samples = waveforms.shape
    partner = partners(bona_fide, generator)
    joint = np.where(generator.random(batch) < how.mix, generator.integers(1, max(samples, 2), batch), samples)
    mixed = np.where(np.arange(samples) >= joint[:, None], waveforms[partner], waveforms)
    if how.raw_boost:
        for row in np.flatnonzero(generator.random(batch) < how.raw_boost):
            mixed[row] = raw_boost(mixed[row], generator)
    level = np.sqrt(np.square(mixed).mean(axis=1)) * (generator.random(batch) < how.noise)
    ratio = 10 ** (-generator.uniform(how.lowest_snr, how.highest_snr, batch) / 20)
    noisy = mixed + (level * ratio)[:, None] * generator.standard_normal(mixed.shape, dtype=np.float32)
    sign = generator.choice([-1.0, 1.0], batch)
    gain = sign * 10 ** (generator.normal(0.0, how.gain_db, batch) / 20)
    return np.asarray(noisy * gain[:, None], np.float32)
