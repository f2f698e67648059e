"""Random changes of log filter-bank spectrograms, so that a detector does not learn the channel.

Arrays are of shape (batch, bands, frames) and hold natural logarithms of power. Bona fide trials and spoofs are
changed alike, and mixed only with their own class: what a change leaves behind then says nothing of the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.models.baselines.sampling import partners

__all__ = ["Augmentation", "augment", "crop", "gain", "mask", "mix", "noise"]

Spectrograms = NDArray[np.float32]
NATURAL = np.log(10) / 10
"""A decibel in natural logarithm of power."""

CURVES = 6
"""Cosines over the bands of which a gain curve is summed."""


@dataclass(frozen=True)
class Augmentation:
    """How much is changed: `gain_db` and `noise_snr_db` in decibels, masks in bands and frames, `mix` a probability."""

    gain_db: float = 3.0
    noise: float = 0.5
    noise_snr_db: tuple[float, float] = (15.0, 40.0)
    band_mask: int = 10
    frame_mask: int = 20
    mix: float = 0.25

    def __post_init__(self) -> None:
        """Raise SettingError for a negative amount or a probability over 1."""
        amounts = (self.gain_db, self.noise, self.band_mask, self.frame_mask, self.mix)
        if min(amounts) < 0 or max(self.noise, self.mix) > 1:
            raise SettingError("augmentation: amounts are 0 or more, 'noise' and 'mix' are probabilities up to 1")


def augment(
    spectrograms: Spectrograms, bona_fide: NDArray[np.bool_], how: Augmentation, generator: np.random.Generator
) -> Spectrograms:
    """All changes in the order of their physics: mixing, noise, gain, masks. The input is left as it is."""
    changed = mix(spectrograms, bona_fide, how.mix, generator)
    changed = noise(changed, how.noise, how.noise_snr_db, generator)
    changed = gain(changed, how.gain_db, generator)
    return mask(changed, how.band_mask, how.frame_mask, generator)


def crop(spectrogram: Spectrograms, frames: int, generator: np.random.Generator | None) -> Spectrograms:
    """A window of `frames` frames of (bands, frames), at a random place, or in the middle without a generator.

    A shorter spectrogram is repeated from its start.

    >>> crop(np.arange(6, dtype=np.float32)[None], 2, None).tolist()
    [[2.0, 3.0]]
    """
    there = spectrogram.shape[1]
    if there < frames:
        return np.asarray(np.tile(spectrogram, -(-frames // there))[:, :frames])
    first = (there - frames) // 2 if generator is None else int(generator.integers(there - frames + 1))
    return spectrogram[:, first : first + frames]


def gain(spectrograms: Spectrograms, decibels: float, generator: np.random.Generator) -> Spectrograms:
    """Add a smooth random curve over the bands to each: a channel, with a standard deviation of `decibels`."""
    batch, bands, _ = spectrograms.shape
    shapes = np.cos(np.pi * np.outer(np.arange(CURVES), (np.arange(bands) + 0.5) / bands))  # (curves, bands)
    curves = generator.normal(0.0, decibels * NATURAL / np.sqrt(CURVES / 2 + 0.5), (batch, CURVES)) @ shapes
    return np.asarray(spectrograms + curves[:, :, None], np.float32)


def noise(
    spectrograms: Spectrograms, share: float, snr_db: tuple[float, float], generator: np.random.Generator
) -> Spectrograms:
    """Add the power of stationary noise to a `share` of the trials, `snr_db` under their mean power.

    Its power in a cell is exponentially distributed, as a Fourier bin of Gaussian noise is.
    """
    batch = len(spectrograms)
    chosen = generator.random(batch) < share
    levels = np.log(np.exp(spectrograms).mean(axis=(1, 2))) - generator.uniform(*snr_db, batch) * NATURAL
    cells = np.log(generator.standard_exponential(spectrograms.shape, dtype=np.float32) + 1e-6)
    louder = np.logaddexp(spectrograms, cells + levels[:, None, None])
    return np.where(chosen[:, None, None], louder, spectrograms).astype(np.float32)


def mask(spectrograms: Spectrograms, bands: int, frames: int, generator: np.random.Generator) -> Spectrograms:
    """Set up to `bands` neighbouring bands and up to `frames` neighbouring frames of each to its mean.

    As SpecAugment does (Park et al. 2019).
    """
    batch, height, length = spectrograms.shape
    hidden = _span(batch, height, bands, generator)[:, :, None] | _span(batch, length, frames, generator)[:, None, :]
    return np.where(hidden, spectrograms.mean(axis=(1, 2), keepdims=True), spectrograms).astype(np.float32)


def _span(batch: int, size: int, longest: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    lengths = generator.integers(0, min(longest, size - 1) + 1, batch)
    starts = (generator.random(batch) * (size - lengths + 1)).astype(np.int64)
    places = np.arange(size)
    return np.asarray((places >= starts[:, None]) & (places < (starts + lengths)[:, None]))


def mix(
    spectrograms: Spectrograms, bona_fide: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> Spectrograms:
    """In a `share` of the trials, let another trial of the class begin at a random frame: two attacks in one clip."""
    batch, _, frames = spectrograms.shape
    partner = partners(bona_fide, generator)
    joint = generator.integers(1, max(frames, 2), batch)
    joint[generator.random(batch) >= share] = frames
    after = np.arange(frames) >= joint[:, None]
    return np.where(after[:, None, :], spectrograms[partner], spectrograms).astype(np.float32)
