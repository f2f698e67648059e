"""The compiled inner loops of DNSMOS's large convolutions (`dnsmos_winograd` puts them together).

Winograd's minimal filtering F(6 × 6, 3 × 3): a tile of 8 × 8 inputs becomes 64 points, 64 points become a tile of
6 × 6 outputs. Both are a transform of eight numbers, done along time and then along frequency, for each channel.

Pictures lie as (row, column, channel), columns with one of zero padding before and two after. Kernels see flat arrays
and unsigned indices: only so does the compiler prove that it may use vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.tasks.metrics.extras import require

__all__ = [
    "CHANNELS",
    "FREQUENCIES",
    "POINTS",
    "STEP",
    "TILES",
    "WIDTH",
    "first_layer",
    "from_points",
    "pool",
    "to_points",
]

Array: TypeAlias = NDArray[np.float32]
Kernel: TypeAlias = Callable[..., None]

FREQUENCIES = 161
CHANNELS = 64
"""Channels that are read at a time: what one step touches then stays in the second-level cache."""

TILE = 6
POINTS = 8
TILES_ACROSS = -(-FREQUENCIES // TILE)
WIDTH = TILES_ACROSS * TILE + 2
"""Columns of a picture with its padding."""

TILES_DOWN = 2
STEP = TILES_DOWN * TILE
"""Rows that one call of a kernel makes."""

TILES = TILES_DOWN * TILES_ACROSS

index = np.uintp
real = np.float32


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    compile_ = require("numba", "quality").njit(
        nogil=True,
        cache=True,
        error_model="numpy",
        fastmath={"contract", "nsz"},  # multiply and add in one step; no sum is reordered
    )
    result: Callable[..., Any] = compile_(function)
    return result


def _points_of_inputs(d0: Any, d1: Any, d2: Any, d3: Any, d4: Any, d5: Any, d6: Any, d7: Any) -> tuple[Any, ...]:
    """Eight inputs at the points 0, ±1, ±2, ±1/2 and infinity (even and odd parts shared)."""
    even_1, odd_1 = d2 + d6 - real(4.25) * d4, d1 + d5 - real(4.25) * d3
    even_2, odd_2 = d6 + real(0.25) * d2 - real(1.25) * d4, real(0.5) * d1 - real(2.5) * d3 + real(2) * d5
    even_half, odd_half = d6 + real(4) * d2 - real(5) * d4, real(2) * d1 - real(2.5) * d3 + real(0.5) * d5
    return (
        d0 - d6 + real(5.25) * (d4 - d2),
        even_1 + odd_1,
        even_1 - odd_1,
        even_2 + odd_2,
        even_2 - odd_2,
        even_half + odd_half,
        even_half - odd_half,
        d7 - d1 + real(5.25) * (d3 - d5),
    )


def _outputs_of_points(m0: Any, m1: Any, m2: Any, m3: Any, m4: Any, m5: Any, m6: Any, m7: Any) -> tuple[Any, ...]:
    """Six outputs of the products at the eight points (even and odd parts shared)."""
    even_1, odd_1, even_2, odd_2, even_half, odd_half = m1 + m2, m1 - m2, m3 + m4, m3 - m4, m5 + m6, m5 - m6
    return (
        m0 + even_1 + even_2 + even_half,
        odd_1 + real(2) * odd_2 + real(0.5) * odd_half,
        even_1 + real(4) * even_2 + real(0.25) * even_half,
        odd_1 + real(8) * odd_2 + real(0.125) * odd_half,
        even_1 + real(16) * even_2 + real(0.0625) * even_half,
        odd_1 + real(32) * odd_2 + real(0.03125) * odd_half + m7,
    )


points_of_inputs = _compiled(_points_of_inputs)
outputs_of_points = _compiled(_outputs_of_points)


@cache
def to_points() -> Kernel:
    """The kernel (STEP + 2 rows of a picture, points (64, TILES, CHANNELS), scratch): tiles to their points.

    >>> points = np.empty(64 * TILES * CHANNELS, np.float32)
    >>> picture, scratch = np.ones((STEP + 2) * WIDTH * CHANNELS, np.float32), np.empty(64 * CHANNELS, np.float32)
    >>> to_points()(picture, points, scratch)
    >>> points[:: TILES * CHANNELS].nonzero()[0], points[9 * TILES * CHANNELS].item()  # a constant: at point 1 alone
    (array([9]), 20.25)
    """
    channels, down, across, points = index(CHANNELS), index(TILES_DOWN), index(TILES_ACROSS), index(POINTS)
    tile, tile_row = index(TILE * CHANNELS), index(TILE * WIDTH * CHANNELS)
    r1, r2, r3, r4, r5, r6, r7 = (index(i * WIDTH * CHANNELS) for i in range(1, 8))
    s1, s2, s3, s4, s5, s6, s7 = (index(i * POINTS * CHANNELS) for i in range(1, 8))
    c1, c2, c3, c4, c5, c6, c7 = (index(i * CHANNELS) for i in range(1, 8))
    p1, p2, p3, p4, p5, p6, p7 = (index(i * TILES * CHANNELS) for i in range(1, 8))
    group = index(POINTS * TILES * CHANNELS)

    def kernel(rows: Array, out: Array, scratch: Array) -> None:
        for t in range(down * across):
            corner = (t // across) * tile_row + (t % across) * tile
            for column in range(points):
                start, into = corner + column * c1, column * c1
                for c in range(channels):
                    i, o = start + c, into + c
                    (
                        scratch[o], scratch[o + s1], scratch[o + s2], scratch[o + s3],
                        scratch[o + s4], scratch[o + s5], scratch[o + s6], scratch[o + s7],
                    ) = points_of_inputs(
                        rows[i], rows[i + r1], rows[i + r2], rows[i + r3],
                        rows[i + r4], rows[i + r5], rows[i + r6], rows[i + r7],
                    )  # fmt: skip
            for row in range(points):
                start, into = row * s1, row * group + t * c1
                for c in range(channels):
                    i, o = start + c, into + c
                    (
                        out[o], out[o + p1], out[o + p2], out[o + p3],
                        out[o + p4], out[o + p5], out[o + p6], out[o + p7],
                    ) = points_of_inputs(
                        scratch[i], scratch[i + c1], scratch[i + c2], scratch[i + c3],
                        scratch[i + c4], scratch[i + c5], scratch[i + c6], scratch[i + c7],
                    )  # fmt: skip

    return _compiled(kernel)


@cache
def from_points(outputs: int, *, adds: bool) -> Kernel:
    """The kernel (products (64, TILES, outputs), bias, STEP rows of a picture, scratch, floor): points to outputs.

    To the sum of the products it adds the bias, or with `adds` what the picture holds already; what comes out is no
    lower than the floor. Column 0 and the last are left as they are, the one before the last is not an output.

    >>> products, rows = np.zeros(64 * TILES * CHANNELS, np.float32), np.zeros(STEP * WIDTH * CHANNELS, np.float32)
    >>> products[: TILES * CHANNELS] = 1  # point 0: the first output of every tile
    >>> bias, scratch = np.full(CHANNELS, 2, np.float32), np.empty(64 * CHANNELS, np.float32)
    >>> from_points(CHANNELS, adds=False)(products, bias, rows, scratch, np.float32(0))
    >>> rows.reshape(STEP, WIDTH, CHANNELS)[0, :9, 0].tolist()
    [0.0, 3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 2.0]
    """
    channels, down, across, points = index(outputs), index(TILES_DOWN), index(TILES_ACROSS), index(POINTS)
    six, tile, tile_row = index(TILE), index(TILE * outputs), index(TILE * WIDTH * outputs)
    p1, p2, p3, p4, p5, p6, p7 = (index(i * POINTS * TILES * outputs) for i in range(1, 8))
    place = index(TILES * outputs)
    s1, s2, s3, s4, s5 = (index(i * POINTS * outputs) for i in range(1, 6))
    c1, c2, c3, c4, c5, c6, c7 = (index(i * outputs) for i in range(1, 8))
    width = index(WIDTH * outputs)

    def kernel(products: Array, bias: Array, rows: Array, scratch: Array, floor: np.float32) -> None:
        for t in range(down * across):
            corner = (t // across) * tile_row + (t % across) * tile + c1
            for column in range(points):
                start, into = column * place + t * c1, column * c1
                for c in range(channels):
                    i, o = start + c, into + c
                    (
                        scratch[o], scratch[o + s1], scratch[o + s2], scratch[o + s3], scratch[o + s4], scratch[o + s5],
                    ) = outputs_of_points(
                        products[i], products[i + p1], products[i + p2], products[i + p3],
                        products[i + p4], products[i + p5], products[i + p6], products[i + p7],
                    )  # fmt: skip
            for row in range(six):
                start, into = row * s1, row * width + corner
                for c in range(channels):
                    i, o = start + c, into + c
                    y0, y1, y2, y3, y4, y5 = outputs_of_points(
                        scratch[i], scratch[i + c1], scratch[i + c2], scratch[i + c3],
                        scratch[i + c4], scratch[i + c5], scratch[i + c6], scratch[i + c7],
                    )  # fmt: skip
                    if adds:
                        y0, y1, y2 = y0 + rows[o], y1 + rows[o + c1], y2 + rows[o + c2]
                        y3, y4, y5 = y3 + rows[o + c3], y4 + rows[o + c4], y5 + rows[o + c5]
                    else:
                        y0, y1, y2 = y0 + bias[c], y1 + bias[c], y2 + bias[c]
                        y3, y4, y5 = y3 + bias[c], y4 + bias[c], y5 + bias[c]
                    rows[o], rows[o + c1], rows[o + c2] = max(y0, floor), max(y1, floor), max(y2, floor)
                    rows[o + c3], rows[o + c4], rows[o + c5] = max(y3, floor), max(y4, floor), max(y5, floor)

    return _compiled(kernel)


@cache
def first_layer() -> Kernel:
    """The kernel (features, weights (9, CHANNELS), bias, rows of a picture): 3 × 3 from one channel, and rectified.

    Features are flat rows of FREQUENCIES and one zero on either side, two rows more than the picture's.

    >>> features, weights = np.ones(3 * (FREQUENCIES + 2), np.float32), np.ones(9 * CHANNELS, np.float32)
    >>> row = np.zeros(WIDTH * CHANNELS, np.float32)
    >>> first_layer()(features, weights, np.full(CHANNELS, -2, np.float32), row)
    >>> row.reshape(WIDTH, CHANNELS)[:3, 0].tolist()
    [0.0, 7.0, 7.0]
    """
    channels, frequencies, one, two = index(CHANNELS), index(FREQUENCIES), index(1), index(2)
    w1, w2, w3, w4, w5, w6, w7, w8 = (index(i * CHANNELS) for i in range(1, 9))
    line, width = index(FREQUENCIES + 2), index(WIDTH * CHANNELS)

    def kernel(features: Array, w: Array, bias: Array, rows: Array) -> None:
        for row in range(index(rows.size) // width):
            for column in range(frequencies):
                i, o = row * line + column, row * width + (column + one) * w1
                f0, f1, f2 = features[i], features[i + one], features[i + two]
                i += line
                f3, f4, f5 = features[i], features[i + one], features[i + two]
                i += line
                f6, f7, f8 = features[i], features[i + one], features[i + two]
                for c in range(channels):
                    above = f0 * w[c] + f1 * w[c + w1] + f2 * w[c + w2]
                    level = f3 * w[c + w3] + f4 * w[c + w4] + f5 * w[c + w5]
                    below = f6 * w[c + w6] + f7 * w[c + w7] + f8 * w[c + w8]
                    rows[o + c] = max(bias[c] + above + level + below, real(0))

    return _compiled(kernel)


@cache
def pool(channels: int) -> Kernel:
    """The kernel (rows of a picture, out (channels, rows / 2, FREQUENCIES / 2)): the largest of each 2 × 2.

    >>> out = np.empty((1, 1, FREQUENCIES // 2), np.float32)
    >>> pool(1)(np.arange(2 * WIDTH, dtype=np.float32), out)
    >>> out[0, 0, :2].tolist() == [WIDTH + 2, WIDTH + 4]
    True
    """
    channel, width, two = index(channels), index(WIDTH * channels), index(2)
    count = index(channels)

    def kernel(rows: Array, out: Array) -> None:
        for row in range(index(out.shape[1])):
            for column in range(index(out.shape[2])):
                i = row * two * width + (column * two + index(1)) * channel
                for c in range(count):
                    above = max(rows[i + c], rows[i + c + channel])
                    below = max(rows[i + c + width], rows[i + c + width + channel])
                    out[c, row, column] = max(above, below)

    return _compiled(kernel)
