"""The network of `aasist`, written anew from Jung et al. 2022 ("AASIST: Audio Anti-Spoofing using Integrated
Spectro-Temporal Graph Attention Networks", ICASSP). With the settings of the paper it computes what the authors'
program does, so that their weights can be used (`aasist_keys`).

One thing there differs from the paper's words: the residual blocks after the first normalise and activate their input,
and then convolve the input as it was. `AasistSettings.input_norm` decides; with the published weights it is off.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from audiometry.models.baselines.graph_attention import GraphAttention, GraphPool, StackingGraphAttention

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiometry.models.baselines.aasist import AasistSettings

__all__ = ["Aasist", "sinc_filters"]

RATE = 16_000
POOL = 3
"""Frames and bands that the largest value of stands for, after the filters and, in time, after each block."""

BRANCH_DROPOUT = 0.2
READOUT_DROPOUT = 0.5


def sinc_filters(count: int, taps: int, band: tuple[float, float] = (0.0, RATE / 2)) -> NDArray[np.float64]:
    """Band-pass filters side by side on the mel scale over `band` in Hz; shape (count, taps), `taps` made odd.

    Each is the difference of two ideal low-pass filters, in a Hamming window (Ravanelli and Bengio 2018, "Speaker
    Recognition from Raw Waveform with SincNet", eq. 4 to 6). Nothing of them is learnt.

    >>> sinc_filters(70, 128).shape
    (70, 129)
    """
    low, high = 2595 * np.log10(1 + np.array(band) / 700)
    edges = 700 * (10 ** (np.linspace(low, high, count + 1) / 2595) - 1) / RATE  # in cycles a sample
    size = taps + (taps + 1) % 2
    times = np.arange(size) - size // 2
    low_pass = 2 * edges[:, None] * np.sinc(2 * edges[:, None] * times)
    return np.asarray(np.hamming(size) * np.diff(low_pass, axis=0))


class Aasist(nn.Module):
    """Waveforms of ``settings.samples`` at 16 kHz → two logits each: index 0 for spoof, 1 for bona fide."""

    filters: Tensor

    def __init__(self, settings: AasistSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = sinc_filters(settings.filters, settings.filter_taps, settings.band).astype(np.float32)
        self.register_buffer("filters", torch.from_numpy(filters)[:, None], persistent=False)
        self.filter_norm = nn.BatchNorm2d(1)
        channels = (1, *settings.channels)
        self.encoder = nn.Sequential(
            *(
                ResidualBlock(inner, outer, norm=bool(number), input_norm=settings.input_norm)
                for number, (inner, outer) in enumerate(pairwise(channels))
            )
        )
        width, deep = settings.graph_width, channels[-1]
        self.spectral_position = nn.Parameter(torch.randn(1, settings.filters // POOL, deep))
        self.spectral_graph = GraphAttention(deep, width, temperature=settings.temperature)
        self.temporal_graph = GraphAttention(deep, width, temperature=settings.temperature)
        self.spectral_pool = GraphPool(width, share=settings.spectral_share)
        self.temporal_pool = GraphPool(width, share=settings.temporal_share)
        self.branches = nn.ModuleList([StackingBranch(settings), StackingBranch(settings)])
        self.branch_dropout = nn.Dropout(BRANCH_DROPOUT)
        self.readout_dropout = nn.Dropout(READOUT_DROPOUT)
        self.classifier = nn.Linear(5 * settings.stack_width, 2)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(batch, samples) → (batch, 2)."""
        maps = self.encoder(self._filtered(waveforms)).abs()  # (batch, channels, bands, times)
        spectral = maps.amax(dim=3).transpose(1, 2) + self.spectral_position
        temporal = maps.amax(dim=2).transpose(1, 2)
        spectral = self.spectral_pool(self.spectral_graph(spectral))
        temporal = self.temporal_pool(self.temporal_graph(temporal))
        # the max graph operation: of each number the larger one of the two branches
        nodes = zip(*(branch(temporal, spectral) for branch in self.branches), strict=True)
        temporal, spectral, stack = (
            torch.maximum(self.branch_dropout(one), self.branch_dropout(other)) for one, other in nodes
        )
        readout = [temporal.abs().amax(dim=1), temporal.mean(dim=1), spectral.abs().amax(dim=1), spectral.mean(dim=1)]
        logits: Tensor = self.classifier(self.readout_dropout(torch.cat([*readout, stack.squeeze(1)], dim=1)))
        return logits

    def scores(self, waveforms: Tensor) -> Tensor:
        """(batch, samples) → (batch,): the bona fide logit less the spoof logit, higher for bona fide."""
        logits: Tensor = self(waveforms)
        return logits[:, 1] - logits[:, 0]

    def published_scores(self, waveforms: Tensor) -> Tensor:
        """(batch, samples) → (batch,): the bona fide logit alone, by which the authors' program scores."""
        logits: Tensor = self(waveforms)
        return logits[:, 1]

    def _filtered(self, waveforms: Tensor) -> Tensor:
        """(batch, samples) → (batch, 1, bands, times)."""
        bands = nn.functional.conv1d(waveforms[:, None], self.filters, stride=self.settings.filter_stride)
        largest = nn.functional.max_pool2d(bands.abs()[:, None], (POOL, self.settings.time_pool))
        normalised: Tensor = self.filter_norm(largest)
        return nn.functional.selu(normalised)


class ResidualBlock(nn.Module):
    """Two convolutions over two bands and three times, beside the input; then the largest of three times."""

    def __init__(self, inner: int, outer: int, *, norm: bool, input_norm: bool) -> None:
        super().__init__()
        # the published weights hold this layer, though nothing goes through it there
        self.input_norm = nn.BatchNorm2d(inner) if norm else nn.Identity()
        self.normalises = norm and input_norm
        self.first = nn.Conv2d(inner, outer, (2, 3), padding=(1, 1))
        self.middle_norm = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, (2, 3), padding=(0, 1))
        self.shortcut = nn.Identity() if inner == outer else nn.Conv2d(inner, outer, (1, 3), padding=(0, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """(batch, inner, bands, times) → (batch, outer, bands, times / 3)."""
        entered = nn.functional.selu(self.input_norm(maps)) if self.normalises else maps
        inside = self.first(entered).contiguous(memory_format=torch.channels_last)  # pooling is much quicker so
        changed = self.second(nn.functional.selu(self.middle_norm(inside)))
        summed: Tensor = changed + self.shortcut(maps)
        return nn.functional.max_pool2d(summed, (1, POOL))


class StackingBranch(nn.Module):
    """Two layers of stacking graph attention with pooling between, the second beside its input; a stack node of its
    own to begin with.
    """

    def __init__(self, settings: AasistSettings) -> None:
        super().__init__()
        width, deep = settings.graph_width, settings.stack_width
        self.stack = nn.Parameter(torch.randn(1, 1, width))
        self.first = StackingGraphAttention(width, deep, temperature=settings.stack_temperature)
        self.temporal_pool = GraphPool(deep, share=settings.stack_share)
        self.spectral_pool = GraphPool(deep, share=settings.stack_share)
        self.second = StackingGraphAttention(deep, deep, temperature=settings.stack_temperature)

    def forward(self, temporal: Tensor, spectral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes of both kinds, (batch, nodes, width) → fewer of each and the stack node, (batch, nodes, deep)."""
        temporal, spectral, stack = self.first(temporal, spectral, self.stack)
        before = self.temporal_pool(temporal), self.spectral_pool(spectral), stack
        after = self.second(*before)
        temporal, spectral, stack = (old + new for old, new in zip(before, after, strict=True))
        return temporal, spectral, stack
