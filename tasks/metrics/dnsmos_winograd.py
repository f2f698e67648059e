"""The four large 3 × 3 convolutions of DNSMOS P.835, by Winograd's minimal filtering, and the first pooling.

F(6 × 6, 3 × 3) of A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", CVPR 2016: a tile of
8 × 8 inputs becomes 64 points, each is multiplied on its own (a matrix product over channels), and the 64 products
become a tile of 6 × 6 outputs: 64 multiplications where the direct form takes 324. All in single precision; the result
differs from the direct form by rounding alone.

What bounds the speed is memory. So a strip of `STRIP` rows goes through all layers before the next one, and 64
channels are read at a time: what one step touches stays in the second-level cache. A strip keeps the last two rows of
the strip before, which is all that a 3 × 3 kernel needs. Every matrix product is small enough that the library under
NumPy keeps it on the calling thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.tasks.metrics.dnsmos_kernels import (
    CHANNELS,
    FREQUENCIES,
    POINTS,
    STEP,
    TILES,
    WIDTH,
    first_layer,
    from_points,
    pool,
    to_points,
)

__all__ = ["MARGIN", "Trunk", "build_trunk", "pooled_rows"]

Array: TypeAlias = NDArray[np.float32]

MARGIN = 4
"""Rows next to a cut that the four layers cannot get right, because they lack what lies behind it."""

STRIP = 2 * STEP
"""Rows that go through all layers at once."""

KERNEL_POINTS = np.array(
    [
        [1, 0, 0],
        [-2 / 9, -2 / 9, -2 / 9],
        [-2 / 9, 2 / 9, -2 / 9],
        [1 / 90, 1 / 45, 2 / 45],
        [1 / 90, -1 / 45, 2 / 45],
        [32 / 45, 16 / 45, 8 / 45],
        [32 / 45, -16 / 45, 8 / 45],
        [0, 0, 1],
    ]
)
"""Three weights at the points 0, ±1, ±2, ±1/2 and infinity (the paper's G)."""


@dataclass(frozen=True)
class Layer:
    """One convolution from `CHANNELS` channels: `kernel` (64 points, channels, outputs) and `bias` (outputs,).

    `source` and `target` number the pictures. `adds` says that the target holds the sum over other channels already;
    `floor` is 0 where the sum is complete (the rectifier) and minus infinity before.
    """

    source: int
    target: int
    kernel: Array
    bias: Array
    adds: bool
    floor: np.float32

    @property
    def outputs(self) -> int:
        """Channels of the target."""
        return len(self.bias)


@dataclass(frozen=True)
class Trunk:
    """Weights: `first` holds (9 × `CHANNELS`,) and bias (`CHANNELS`,) of each part of the first layer."""

    first: tuple[tuple[Array, Array], ...]
    layers: tuple[Layer, ...]


def build_trunk(weights: Sequence[tuple[Array, Array]]) -> Trunk:
    """The transformed weights, from kernels (outputs, inputs, 3, 3) and biases (outputs,) of the layers in order.

    The first layer reads one channel and makes a multiple of `CHANNELS`; the others but the last make `CHANNELS`.

    >>> shapes = [(128, 1, 3, 3), (64, 128, 3, 3), (32, 64, 3, 3)]
    >>> trunk = build_trunk([(np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)) for shape in shapes])
    >>> len(trunk.first), [(layer.source, layer.target, layer.outputs) for layer in trunk.layers]
    (2, [(0, 2, 64), (1, 2, 64), (2, 3, 32)])
    """
    (first, first_bias), *others = weights
    flat = first.reshape(len(first), 9).T
    parts = [slice(start, start + CHANNELS) for start in range(0, len(first), CHANNELS)]
    layers = []
    for number, (kernel, bias) in enumerate(others):
        points = np.einsum("ia,jb,ocab->ijco", KERNEL_POINTS, KERNEL_POINTS, kernel.astype(np.float64))
        points = points.reshape(POINTS * POINTS, *points.shape[2:]).astype(np.float32)
        sources = list(range(len(parts))) if number == 0 else [len(parts) + number - 1]
        for position, source in enumerate(sources):
            channels = slice(position * CHANNELS, (position + 1) * CHANNELS)
            floor = np.float32(0 if source == sources[-1] else -np.inf)
            part = np.ascontiguousarray(points[:, channels])
            layers.append(Layer(source, len(parts) + number, part, bias, position > 0, floor))
    return Trunk(tuple((flat[:, part].flatten(), first_bias[part].copy()) for part in parts), tuple(layers))


def pooled_rows(trunk: Trunk, features: Array) -> Array:
    """What all layers and the first pooling make of a picture with zeros all around it.

    `features` is (rows, `FREQUENCIES`) with an even number of rows; returns (channels, rows / 2, 80). Where the rows
    were cut out of a longer picture, the `MARGIN` rows next to the cut (half as many after pooling) are not its own.

    >>> shapes = [(64, 1, 3, 3), (64, 64, 3, 3)]
    >>> trunk = build_trunk([(np.zeros(shape, np.float32), np.arange(64, dtype=np.float32)) for shape in shapes])
    >>> found = pooled_rows(trunk, np.zeros((6, FREQUENCIES), np.float32))
    >>> found.shape, found[:3, 0, 0].tolist()
    ((64, 3, 80), [0.0, 1.0, 2.0])
    """
    rows = len(features)
    total = -(-(rows + MARGIN) // STEP) * STEP  # one row before, and each of three layers lags by one
    padded = np.zeros((total + 2, FREQUENCIES + 2), np.float32)
    padded[2 : rows + 2, 1:-1] = features
    last = trunk.layers[-1]
    strip = min(STRIP, total)
    pictures = [np.zeros((strip + 2, WIDTH, CHANNELS), np.float32) for _ in range(last.target)]
    pictures.append(np.empty((strip + 2, WIDTH, last.outputs), np.float32))
    scratch = np.empty(POINTS * POINTS * CHANNELS, np.float32)
    tiles, products = (np.empty((POINTS * POINTS, TILES, CHANNELS), np.float32) for _ in range(2))
    pooled = np.empty((last.outputs, 2 + total // 2, FREQUENCIES // 2), np.float32)
    for top in range(-1, total - 1, strip):
        count = min(strip, total - 1 - top)
        for picture in pictures:
            picture[:2] = picture[strip:]
        for picture, (weights, bias) in zip(pictures, trunk.first, strict=False):
            first_layer()(_flat(padded[top + 1 : top + count + 3]), weights, bias, _flat(picture[2 : count + 2]))
            _clear_outside(picture[2:], top, rows)
        for layer in trunk.layers:
            target = pictures[layer.target][2:]
            _convolve(layer, pictures[layer.source], target[:count], tiles, products, scratch)
            _clear_outside(target, top - (layer.target - len(trunk.first) + 1), rows)
        start = (top + 1) // 2
        pool(last.outputs)(_flat(pictures[-1][2 : count + 2]), pooled[:, start : start + count // 2])
    return pooled[:, 2 : 2 + rows // 2]


def _convolve(layer: Layer, source: Array, target: Array, tiles: Array, products: Array, scratch: Array) -> None:
    """Rows of the target from as many and two more of the source; the last three arrays are room to work in."""
    products = _flat(products)[: POINTS * POINTS * TILES * layer.outputs].reshape(*tiles.shape[:2], layer.outputs)
    forward, backward = to_points(), from_points(layer.outputs, adds=layer.adds)
    for row in range(0, len(target), STEP):
        forward(_flat(source[row : row + STEP + 2]), _flat(tiles), scratch)
        np.matmul(tiles, layer.kernel, out=products)
        backward(_flat(products), layer.bias, _flat(target[row : row + STEP]), scratch, layer.floor)
    target[:, FREQUENCIES + 1 :] = 0


def _clear_outside(picture: Array, top: int, rows: int) -> None:
    """Zero what lies before row 0 or from row `rows` on, where the picture begins with row `top`."""
    picture[: max(0, -top)] = 0
    picture[max(0, rows - top) :] = 0


def _flat(array: Array) -> Array:
    """A contiguous array as one dimension, without a copy."""
    return array.reshape(-1)
