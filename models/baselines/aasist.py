"""`aasist` and `aasist-l`: graph attention over time and frequency on the raw waveform (Jung et al. 2022).

Either answers with weights of `audiometry train`, or with the weights that the authors published: their settings and
the layout of their networks are the same (`aasist_keys.load_published`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.common import check_at_least, fingerprint, needs_packages, shown_name, speech
from audiometry.models.adapters.common import thread_count as threads_of
from audiometry.models.adapters.one_by_one import OneByOne
from audiometry.models.baselines.saved import SavedDetector, calibration_of, find_weights, load_for
from audiometry.tasks.corpora.spoof.equalisation import Level
from audiometry.tasks.metrics.calibration import AffineCalibration

if TYPE_CHECKING:
    from audiometry.models.baselines.aasist_network import Aasist

__all__ = ["AasistSettings", "aasist", "aasist_l", "aasist_settings", "fit_length", "restore"]

VERSION = "aasist 2"
RATE = 16_000

Published: TypeAlias = Literal["aasist", "aasist-l"]
Named: TypeAlias = Literal["aasist", "aasist-l", "aasist-small"]


@dataclass(frozen=True)
class AasistSettings:
    """How a network is built. The defaults are the AASIST of the paper.

    `samples` at 16 kHz are heard. `filters` band-pass filters of `filter_taps` taps (made odd) lie side by side on the
    mel scale over `band` in Hz; every `filter_stride`-th sample of their output is computed, and the largest of
    `time_pool` values kept. `channels` are those of the residual blocks, each of which leaves a third of the times.
    `graph_width` and `stack_width` are the numbers a node has in the first graphs and in the stacking ones; the shares
    say how many nodes pooling keeps. `input_norm`: whether the blocks convolve their normalised input (see
    `aasist_network`).
    """

    samples: int = 64_600
    filters: int = 70
    filter_taps: int = 128
    band: tuple[float, float] = (0.0, 8_000.0)
    filter_stride: int = 1
    time_pool: int = 3
    channels: tuple[int, ...] = (32, 32, 64, 64, 64, 64)
    graph_width: int = 64
    stack_width: int = 32
    spectral_share: float = 0.5
    temporal_share: float = 0.7
    stack_share: float = 0.5
    temperature: float = 2.0
    stack_temperature: float = 100.0
    input_norm: bool = False

    def __post_init__(self) -> None:
        """Raise SettingError for a number out of its range, or too few samples for a single time to be left."""
        for name in ("band", "channels"):  # they are lists where they come from a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        whole = ("filter_taps", "filter_stride", "time_pool", "graph_width", "stack_width")
        for name in whole:
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("spectral_share", "temporal_share", "stack_share"):
            _check(0 < getattr(self, name) <= 1, name, getattr(self, name), "more than 0, and at most 1")
        for name in ("temperature", "stack_temperature"):
            _check(getattr(self, name) > 0, name, getattr(self, name), "more than 0")
        low, high = self.band
        _check(0 <= low < high <= RATE / 2, "band", self.band, "two frequencies from 0 to 8000 Hz")
        _check(self.filters >= 3, "filters", self.filters, "3 or more")
        _check(bool(self.channels) and min(self.channels) >= 1, "channels", self.channels, "one whole number or more")
        _check(self.times >= 1, "samples", self.samples, "enough for one time to be left after the last block")

    @property
    def times(self) -> int:
        """How many temporal nodes there are before pooling.

        >>> AasistSettings().times
        29
        """
        filtered = self.samples - (self.filter_taps - self.filter_taps % 2)
        times = -(-filtered // self.filter_stride) // self.time_pool
        for _ in self.channels:
            times //= 3
        return times


def _check(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise SettingError(f"aasist, setting {name!r}: {value} will not do; give {wanted}")


NAMED: Mapping[Named, AasistSettings] = {
    "aasist": AasistSettings(),
    "aasist-l": AasistSettings(
        channels=(32, 32, 24, 24, 24, 24), graph_width=24, spectral_share=0.4, temporal_share=0.5, stack_share=0.7
    ),
    "aasist-small": AasistSettings(
        samples=32_000, filters=48, band=(0.0, 4_000.0), filter_stride=2, time_pool=6, channels=(16, 24, 32, 32),
        graph_width=32, stack_width=24, input_norm=True,
    ),
}  # fmt: skip


def aasist_settings(name: Named) -> AasistSettings:
    """The settings of that name.

    ``aasist`` (297,866 parameters) and ``aasist-l`` (85,306) are the paper's two. ``aasist-small`` (65,986) is ours,
    for training on CPUs: 2 s, 0 to 4 kHz, four blocks.

    >>> aasist_settings("aasist-l").channels
    (32, 32, 24, 24, 24, 24)

    Raises SettingError for another name.
    """
    if name not in NAMED:
        raise SettingError(f"there is no AASIST called {name!r}; give one of {', '.join(NAMED)}")
    return NAMED[name]


def fit_length(samples: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The first `count` samples; a shorter sound is repeated until there are as many.

    >>> fit_length(np.array([1, 2, 3], np.float32), 5).tolist()
    [1.0, 2.0, 3.0, 1.0, 2.0]

    Raises AudioError for no samples.
    """
    if not len(samples):
        raise AudioError("the sound has no samples")
    return np.resize(samples[:count], count).astype(np.float32, copy=False)


def restore(detector: SavedDetector) -> Aasist:
    """The network of a trained detector, ready to answer.

    Raises DataError for settings that are missing or not of this version, or arrays of other names or shapes.
    """
    from audiometry.models.baselines.aasist_keys import fill
    from audiometry.models.baselines.aasist_network import Aasist
    from audiometry.models.baselines.neural_fit import network_settings

    network = Aasist(network_settings(detector, AasistSettings))
    fill(network, detector.arrays, f"the trained {detector.kind!r}")
    return network


def check(name: Published, *, path: str = "", level: Level = "E4", device: str = "cpu", threads: int = 0) -> None:
    """Check the settings and look at the file without loading torch.

    Raises SettingError for a malformed device or number of threads, DataError for a file that is not there or is a
    detector of another kind or level, UserError for a package that is not installed.
    """
    needs_packages(name, "torch", ("torch", "safetensors"))
    check_at_least(name, "threads", threads, 0)
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise SettingError(f"model {name!r}, setting 'device': {device!r} is not cpu, cuda, cuda:N or mps")
    file = find_weights(name, level, path)
    if not _published(file):
        calibration_of(load_for(name, level, path))


def identify(name: Published, *, path: str = "", level: Level = "E4", device: str = "cpu", threads: int = 0) -> str:  # noqa: ARG001
    """The fingerprint of the detector, without loading it. Threads change no answer."""
    return fingerprint(
        VERSION, [find_weights(name, level, path)], settings={"device": device}, packages=("torch", "soxr")
    )


@model(
    "aasist",
    abilities={"detect"},
    check=functools.partial(check, "aasist"),
    fingerprint=functools.partial(identify, "aasist"),
    deterministic=True,
    needs="torch",
)
def aasist(*, path: str = "", level: Level = "E4", device: str = "cpu", threads: int = 0) -> OneByOne:
    """AASIST: a spoof detector by graph attention on the raw waveform."""
    return _detector("aasist", aasist, path, level, device, threads)


@model(
    "aasist-l",
    abilities={"detect"},
    check=functools.partial(check, "aasist-l"),
    fingerprint=functools.partial(identify, "aasist-l"),
    deterministic=True,
    needs="torch",
)
def aasist_l(*, path: str = "", level: Level = "E4", device: str = "cpu", threads: int = 0) -> OneByOne:
    """AASIST-L, the light one of 85,306 parameters: a spoof detector by graph attention on the raw waveform."""
    return _detector("aasist-l", aasist_l, path, level, device, threads)


def _detector(
    name: Published, factory: Callable[..., Any], path: str, level: Level, device: str, threads: int
) -> OneByOne:
    import torch

    torch.set_num_threads(threads_of(threads))
    network, published, calibration = _load(name, path, level)
    network.to(device)
    scores = network.published_scores if published else network.scores

    def answer(request: Request) -> Output:
        samples = fit_length(speech(request, RATE), network.settings.samples)
        with torch.inference_mode():
            raw = float(scores(torch.from_numpy(samples).to(device)[None])[0])
        if not np.isfinite(raw):
            raise ValueError(f"the network's score is {raw}")
        return Output(score=calibration.slope * raw + calibration.offset)

    return OneByOne(
        name=shown_name(name, factory, {"path": path, "level": level, "device": device, "threads": threads}),
        fingerprint=identify(name, path=path, level=level, device=device),
        abilities=frozenset({"detect"}),
        answer=answer,
    )


def _load(name: Published, path: str, level: Level) -> tuple[Aasist, bool, AffineCalibration]:
    """The network in evaluation, whether its weights are published ones, and the map of its scores; published weights
    have none and keep the scores of the authors' program.
    """
    file = find_weights(name, level, path)
    if _published(file):
        from audiometry.models.baselines.aasist_keys import load_published

        return load_published(file, name), True, AffineCalibration(1.0, 0.0)
    detector = load_for(name, level, path)
    return restore(detector), False, calibration_of(detector)


def _published(file: Path) -> bool:
    """Whether the file holds weights in the authors' layout: anything pickled, or safetensors with their names."""
    from audiometry.models.baselines.aasist_keys import tensor_names

    return file.suffix != ".safetensors" or "out_layer.weight" in tensor_names(file)
