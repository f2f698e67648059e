"""DNSMOS's networks, cut into what neighbouring windows share and what is a window's own.

Every session runs on the thread that calls it: `dnsmos` shares the work out by itself.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.sparse import csr_array

from audiometry.tasks.metrics.dnsmos_onnx import cut, network_file, open_session, read_network, weights_of
from audiometry.tasks.metrics.dnsmos_winograd import Trunk, build_trunk, pooled_rows
from audiometry.tasks.metrics.extras import require

__all__ = ["P808", "P835", "load_p808", "load_p835"]

Array: TypeAlias = NDArray[np.float32]

FRAME, HOP = 320, 160
"""Samples of a frame of P.835's spectrum, and from one frame to the next."""

MEL_FRAME = 321
"""Samples of a frame of P.808's spectrum."""


@dataclass(frozen=True)
class P835:
    """The session before the large convolutions, their weights, and the session after the first pooling."""

    spectrum: Any
    trunk: Trunk
    tail: Any

    def pooled(self, samples: Array) -> Array:
        """Maps (32, rows / 2, 80) after the first pooling, of (rows + 1) × `HOP` samples with zeros around them."""
        frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
        (features,) = self.spectrum.run(None, {_input(self.spectrum): np.ascontiguousarray(frames)[np.newaxis]})
        return pooled_rows(self.trunk, features[0, 0])

    def scores(self, maps: Array) -> Array:
        """Raw scores (3,) of signal, background and the whole, of a window's maps (32, 450, 80)."""
        scores: Array = self.tail.run(None, {_input(self.tail): maps[np.newaxis]})[0][0]
        return scores


@dataclass(frozen=True)
class P808:
    """The session and its front end."""

    session: Any
    window: Array
    filters: Any

    def mel_power(self, frames: Array) -> Array:
        """Power in 120 mel bands (frames, 120) of frames (frames, `MEL_FRAME`) of samples."""
        spectrum = rfft(frames * self.window)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        return np.asarray((self.filters @ power.T).T, dtype=np.float32)

    def score(self, mel_power: Array) -> float:
        """The score of a window's mel power (900, 120): in decibels below its peak, 80 at most, put on [-1, 1]."""
        decibels = 10 * np.log10(np.maximum(mel_power, np.float32(1e-10)))
        features = (np.maximum(decibels - decibels.max(), -80) + 40) / 40
        return float(self.session.run(None, {_input(self.session): features[np.newaxis]})[0][0, 0])


@cache
def load_p835(personalised: bool) -> P835:
    """The networks of P.835, or of its personalised form. Raises UserError if a package is missing.

    >>> load_p835(personalised=False).scores(np.zeros((32, 450, 80), np.float32)).shape
    (3,)
    """
    model = read_network(network_file("pdnsmos_models" if personalised else "dnsmos_models", "sig_bak_ovr.onnx"))
    nodes, weights = model.graph.node, weights_of(model)
    pooling = next(place for place, node in enumerate(nodes) if node.op_type == "MaxPool")
    shared = [node for node in nodes[:pooling] if node.op_type == "Conv" and weights[node.input[1]].ndim == 4]
    frames = next(node.output[0] for node in nodes if node.op_type == "Concat")
    pooled = nodes[pooling].output[0]
    return P835(
        spectrum=cut(model, {frames: [1, "frames", FRAME]}, [shared[0].input[0]]),
        trunk=build_trunk([(weights[node.input[1]], weights[node.input[2]]) for node in shared]),
        tail=cut(model, {pooled: [1, "channels", "rows", "columns"]}, [model.graph.output[0].name]),
    )


@cache
def load_p808() -> P808:
    """The network of P.808 and its front end (librosa's mel bands). Raises UserError if a package is missing.

    >>> load_p808().mel_power(np.ones((900, MEL_FRAME), np.float32)).shape
    (900, 120)
    """
    librosa = require("librosa", "quality")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")  # 120 bands are more than 161 frequencies fill
        bank = librosa.filters.mel(sr=16000, n_fft=MEL_FRAME, n_mels=120)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(MEL_FRAME) / MEL_FRAME)
    return P808(open_session(network_file("dnsmos_models", "model_v8.onnx")), hann.astype(np.float32), csr_array(bank))


def _input(session: Any) -> str:
    name: str = session.get_inputs()[0].name
    return name
