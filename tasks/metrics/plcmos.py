"""PLCMOS v2: how good speech is after a network has hidden lost packets, as `speechmos.plcmos.run` gives it."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import Waveform
from audiometry.tasks.metrics.dnsmos import checked_samples, usable_threads
from audiometry.tasks.metrics.dnsmos_onnx import cut, network_file, read_network

__all__ = ["plcmos"]

Array: TypeAlias = NDArray[np.float32]

FRAME, HOP = 512, 256
SHORTEST = 5 * HOP + 1
"""Samples of seven frames, the first of them half empty: three convolutions leave one of them."""

RATERS = 15
"""How many imagined raters `speechmos` averages."""

RATER_SIZE = 64


def plcmos(waveform: Waveform, *, seed: int = 0, threads: int | None = None) -> float:
    """PLCMOS v2 of one clip, about 1 (bad) to 5 (excellent); higher is better.

    `waveform` is mono at 16 kHz (resample first with `benchmark.audio.resample`) in [-1, 1], of 1,281 samples (80 ms)
    at least. The score is a mean over 15 imagined raters, drawn at random: with one `seed` it is that of
    `numpy.random.seed(seed); speechmos.plcmos.run(samples, 16000)` within rounding (under 0.001). The network that
    hears the sound runs once, not once for each rater. `threads` bounds the processor cores used (None: all that the
    process may use). Made for packet loss concealment in calls: of other degradations it has learnt little.

    Raises AudioError for sound at another rate, too short, beyond [-1, 1] or with values that are not finite;
    SettingError for fewer threads than one; UserError if a package is missing.
    Source: L. Diener, M. Purin, S. Sootla, A. Saabas, R. Aichner and R. Cutler, "PLCMOS: a data-driven non-intrusive
    metric for the evaluation of packet loss concealment algorithms", INTERSPEECH 2023; network and front end of the
    package `speechmos` 0.0.1.1.

    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).clip(-1, 1).astype(np.float32)
    >>> 3 < plcmos(Waveform(noise, 16000)) < 4.5  # noise, but none of it is missing
    True
    """
    samples = checked_samples(waveform, "PLCMOS", SHORTEST)
    ears, raters = _networks(usable_threads(threads))
    heard = ears.run(None, {ears.get_inputs()[0].name: _log_power(samples)[np.newaxis, np.newaxis]})
    names = [one.name for one in raters.get_inputs()]
    drawn = np.random.RandomState(seed).normal(size=(RATERS, RATER_SIZE)).astype(np.float32)
    (ratings,) = raters.run(
        None, dict(zip(names, [*(np.repeat(half, RATERS, 0) for half in heard), drawn], strict=True))
    )
    return float(np.mean(ratings, dtype=np.float64))


def _log_power(samples: Array) -> Array:
    """Log power (frames, 257) of frames under a Hamming window, the first of them half before the sound."""
    frames = -(-(len(samples) + HOP) // HOP)
    padded = np.zeros(frames * HOP + HOP, np.float32)
    padded[HOP : HOP + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    power = np.square(np.abs(np.fft.rfft(windows * np.hamming(FRAME + 1)[:-1])))
    audible = power > 0
    floor = np.log(power[audible].min()) - 12 * np.log(10) if audible.any() else -8 * np.log(10)
    logarithm = np.full(power.shape, floor)
    np.log(power, out=logarithm, where=audible)
    return (logarithm / 20).astype(np.float32)


@cache
def _networks(threads: int) -> tuple[Any, Any]:
    """What hears the sound (log power → two states), and what rates it (both states and a rater, → a score each)."""
    model = read_network(network_file("plcmos_models", "plcmos_v2.onnx"))
    nodes = model.graph.node
    joined = [node for node in nodes if node.op_type == "Concat"][-1].input
    sound, rater = (one.name for one in model.graph.input)
    ears = cut(model, {sound: [1, 1, "frames", FRAME // 2 + 1]}, list(joined[:2]), threads)
    sizes = {joined[0]: 32, joined[1]: 32, rater: RATER_SIZE}
    inputs = {str(name): ("raters", size) for name, size in sizes.items()}
    return ears, cut(model, inputs, [model.graph.output[0].name])
