"""The network of `lfcc-lcnn`: a light convolutional network with max-feature-map activation.

Wu et al. 2018, "A Light CNN for Deep Face Representation with Noisy Labels"; for spoofing Lavrentyeva et al. 2017 and
Wang and Yamagishi 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor, nn

from audiometry.benchmark.errors import SettingError

__all__ = ["LcnnSettings", "LightCnn"]


@dataclass(frozen=True)
class LcnnSettings:
    """What the network sees, and how it is built.

    It sees `features` of `bands` bands in `low` to `high` Hz, in windows of `window` seconds. `width` scales the maps.
    `head` ``linear`` scores without bounds (for cross-entropy), ``cosine`` from -1 to 1 (for the one-class softmax).
    """

    features: Literal["lfcc", "log-filter-bank"] = "lfcc"
    bands: int = 80
    window: float = 0.025
    low: float = 300.0
    high: float = 3400.0
    width: float = 1.0
    pooling: Literal["attention", "statistics"] = "attention"
    head: Literal["linear", "cosine"] = "linear"
    dropout: float = 0.4

    def __post_init__(self) -> None:
        """Raise SettingError for a number out of its range."""
        if self.bands < 16 or not 0.005 <= self.window <= 0.1 or not 0 <= self.low < self.high <= 8000:
            raise SettingError("lfcc-lcnn: give 16 bands or more, windows of 5 to 100 ms, a band within 8 kHz")
        if not 0.25 <= self.width <= 3 or not 0 <= self.dropout < 1:
            raise SettingError("lfcc-lcnn: 'width' is from 0.25 to 3, and 'dropout' from 0 up to 1")


class MaxFeatureMap(nn.Module):
    """The larger of each pair of maps: half of the channels, first against second half."""

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, 2 channels, …) → (batch, channels, …)."""
        first, second = inputs.chunk(2, dim=1)
        return first + torch.relu(second - first)  # torch.maximum, whose gradient takes five times as long


class LightCnn(nn.Module):
    """Spectrograms of any length → one score each, higher for bona fide."""

    transform: Tensor

    def __init__(self, settings: LcnnSettings) -> None:
        super().__init__()
        self.settings = settings
        sizes = [8 * round(settings.width * size / 8) or 8 for size in (16, 24, 32, 32)]
        channels = 3 if settings.features == "lfcc" else 1
        cosines = dct(np.eye(settings.bands), axis=0, norm="ortho").astype(np.float32)  # (coefficients, bands)
        self.register_buffer("transform", torch.from_numpy(cosines), persistent=False)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 2 * sizes[0], 5, stride=(1, 2), padding=2),
            MaxFeatureMap(),
            nn.MaxPool2d((2, 1), ceil_mode=True),
            *_block(sizes[0], sizes[1]),
            nn.MaxPool2d(2, ceil_mode=True),
            *_block(sizes[1], sizes[2]),
            nn.MaxPool2d(2, ceil_mode=True),
            *_block(sizes[2], sizes[3]),
        )
        height = -(-settings.bands // 8)
        self.attention = nn.Sequential(nn.Linear(sizes[3] * height, 32), nn.Tanh(), nn.Linear(32, 1))
        self.embed = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(2 * sizes[3] * height, 128), MaxFeatureMap(), nn.BatchNorm1d(64)
        )
        self.head = nn.Linear(64, 1, bias=settings.head == "linear")
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):  # in this order of memory it is a quarter quicker to train
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """(batch, bands, frames) → (batch,)."""
        maps = self.body(self._channels(spectrograms))  # (batch, channels, bands / 8, frames / 8)
        frames = maps.flatten(1, 2).transpose(1, 2)  # (batch, frames / 8, channels * bands / 8)
        embedding = self.embed(self._pool(frames))
        if self.settings.head == "cosine":
            directions = nn.functional.normalize(self.head.weight, dim=1)
            return (nn.functional.normalize(embedding, dim=1) @ directions.T).squeeze(1)
        scores: Tensor = self.head(embedding).squeeze(1)
        return scores

    def _channels(self, spectrograms: Tensor) -> Tensor:
        if self.settings.features == "log-filter-bank":
            return spectrograms[:, None]
        cepstra = torch.matmul(self.transform, spectrograms)
        return torch.stack([cepstra, _delta(cepstra), _delta(_delta(cepstra))], dim=1)

    def _pool(self, frames: Tensor) -> Tensor:
        """Mean and deviation over time, weighted by attention (Okabe et al. 2018)."""
        if self.settings.pooling == "attention":
            weights = torch.softmax(self.attention(frames), dim=1)
        else:
            weights = torch.full_like(frames[:, :, :1], 1 / frames.shape[1])
        mean = (weights * frames).sum(dim=1)
        variance = (weights * (frames - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


def _block(inner: int, outer: int) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(inner),
        nn.Conv2d(inner, 2 * inner, 1),
        MaxFeatureMap(),
        nn.BatchNorm2d(inner),
        nn.Conv2d(inner, 2 * outer, 3, padding=1),
        MaxFeatureMap(),
    ]


def _delta(coefficients: Tensor) -> Tensor:
    """The next frame less the one before, as `cepstra.deltas`."""
    padded = nn.functional.pad(coefficients, (1, 1), mode="replicate")
    return padded[..., 2:] - padded[..., :-2]
