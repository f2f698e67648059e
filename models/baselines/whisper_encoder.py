"""The frozen encoder of Whisper tiny.en as a front end: every layer's output, for clips of any length.

The weights are those that the `whisper` adapter runs. CTranslate2 gives the last layer only, and what tells a vocoder
from a voice is in the lower ones: so the encoder is computed here, from the same file.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from audiometry.benchmark.errors import DataError

__all__ = ["LAYERS", "WIDTH", "Encoder", "Standardise", "layers_of", "load_encoder", "statistics", "variables"]

WIDTH, HEADS = 384, 6
LAYERS = 5
"""What the convolutions give, and the outputs of the four transformer layers."""

WINDOW = 30 * 16_000
SHORTEST = 1600
"""Samples of the shortest clip; a shorter one is repeated, a shorter rest after whole windows is left out."""

HALF = 4
"""CTranslate2's code of float16."""


@dataclass(frozen=True)
class Encoder:
    """The weights by CTranslate2's names without ``encoder/``, float32, and what makes log mel spectrograms."""

    weights: dict[str, Tensor]
    extractor: Any


def load_encoder(folder: Path) -> Encoder:
    """The encoder of the CTranslate2 Whisper tiny in `folder`.

    Raises DataError if its file is not one, or is of another size.
    """
    from faster_whisper.feature_extractor import FeatureExtractor

    found = variables(folder / "model.bin")
    weights = {
        name.removeprefix("encoder/"): torch.from_numpy(value)
        for name, value in found.items()
        if name.startswith("encoder/")
    }
    if weights.get("conv1/weight", torch.empty(0)).shape != (WIDTH, 80, 3) or f"layer_{LAYERS - 1}/ffn" in weights:
        raise DataError(f"{folder / 'model.bin'} is not a Whisper tiny with 80 mel bands; give that one")
    return Encoder(weights, FeatureExtractor())


def variables(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float16 variables of a CTranslate2 ``model.bin`` of version 6, by name, as float32.

    Raises DataError for a file of another form or version.
    """
    data = path.read_bytes()
    try:
        return _parsed(data)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not a CTranslate2 Whisper of version 6 ({error}); convert the model again"
        ) from error


def _parsed(data: bytes) -> dict[str, NDArray[np.float32]]:
    at = 0

    def take(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return int(value)

    def text() -> str:
        nonlocal at
        length = take("H")
        at += length
        return data[at - length : at].rstrip(b"\0").decode()

    version, name = take("I"), text()
    if version != 6 or name != "WhisperSpec":
        raise ValueError(f"it is {name[:40]!r} of version {version}")
    take("I")  # the specification's revision
    found = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if kind == HALF:
            found[name] = np.frombuffer(data, "<f2", size // 2, at).reshape(shape).astype(np.float32)
        at += size
    return found


def layers_of(encoder: Encoder, mel: Tensor) -> list[Tensor]:
    """Log mel spectrograms (batch, 80, frames) → each layer's output, (batch, frames / 2, 384) in float32.

    The last one is what Whisper's decoder hears. At most 3000 frames.
    """
    weights = encoder.weights
    hidden = functional.gelu(functional.conv1d(mel, weights["conv1/weight"], weights["conv1/bias"], padding=1))
    hidden = functional.conv1d(hidden, weights["conv2/weight"], weights["conv2/bias"], stride=2, padding=1)
    hidden = functional.gelu(hidden).transpose(1, 2)
    hidden = hidden + weights["position_encodings/encodings"][: hidden.shape[1]]
    outputs = [hidden]
    for number in range(LAYERS - 1):
        hidden = hidden + _attend(weights, f"layer_{number}/self_attention", hidden)
        inner = _norm(weights, f"layer_{number}/ffn/layer_norm", hidden)
        inner = functional.gelu(_linear(weights, f"layer_{number}/ffn/linear_0", inner))
        hidden = hidden + _linear(weights, f"layer_{number}/ffn/linear_1", inner)
        outputs.append(hidden)
    return [*outputs[:-1], _norm(weights, "layer_norm", hidden)]


def _attend(weights: dict[str, Tensor], name: str, hidden: Tensor) -> Tensor:
    batch, time, _ = hidden.shape
    stacked = _linear(weights, f"{name}/linear_0", _norm(weights, f"{name}/layer_norm", hidden))
    query, key, value = stacked.view(batch, time, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    heard = functional.scaled_dot_product_attention(query, key, value)
    return _linear(weights, f"{name}/linear_1", heard.transpose(1, 2).reshape(batch, time, WIDTH))


def _linear(weights: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    return functional.linear(inputs, weights[f"{name}/weight"], weights[f"{name}/bias"])


def _norm(weights: dict[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    return functional.layer_norm(inputs, (WIDTH,), weights[f"{name}/gamma"], weights[f"{name}/beta"])


def statistics(encoder: Encoder, clips: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Mean and deviation over time of every layer's output: (clips, 5, 2, 384), of clips of one length at 16 kHz.

    A clip is heard in windows of 30 s.
    """
    length = max(len(clips[0]), SHORTEST)
    whole = np.stack([np.resize(clip, length) for clip in clips])
    windows = [whole[:, at : at + WINDOW] for at in range(0, length, WINDOW) if at == 0 or length - at >= SHORTEST]
    with torch.inference_mode():
        heard = [layers_of(encoder, _mel(encoder, window)) for window in windows]
        outputs = [torch.cat(parts, dim=1) for parts in zip(*heard, strict=True)]  # by layer: (clips, time, 384)
        pooled = [torch.stack([one.mean(dim=1), one.std(dim=1, correction=0)], dim=1) for one in outputs]
        return np.asarray(torch.stack(pooled, dim=1).numpy())


def _mel(encoder: Encoder, window: NDArray[np.float32]) -> Tensor:
    frames = window.shape[1] // 160 // 2 * 2
    return torch.from_numpy(np.stack([encoder.extractor(clip)[:, :frames] for clip in window]).astype(np.float32))


class Standardise(nn.Module):
    """Take the training trials' mean away, and divide by their deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, size) → (batch, size)."""
        return (inputs - self.mean) / self.deviation
