"""`reverberation`: a simulated room between the mouth and the microphone.

Early reflections by the image method (Allen and Berkley 1979, "Image method for efficiently simulating small-room
acoustics"), late ones as normal noise that decays with the reverberation time (Polack 1988; Lehmann and Johansson
2010, "Diffuse reverberation model for efficient image-source simulation of room impulse responses"). The image
method alone asks for over a million images in a room of 0.9 s, and decays more slowly than it is told to.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.tasks.transforms.changes import change, check_range
from audiometry.tasks.transforms.levels import within_full_scale

__all__ = ["ROOMS", "add_reverberation", "image_sources", "reverberation_time", "room_response"]

Room = Literal["small", "medium", "large"]
ROOMS: dict[str, tuple[float, float, float]] = {
    "small": (3.6, 3.1, 2.5),
    "medium": (6.2, 4.7, 2.9),
    "large": (10.5, 8.2, 3.4),
}
"""Length, width and height in metres."""

SPEED = 343.0
WALL = 0.4
"""Metres that microphone and mouth keep from each wall, at least."""

MIXING = 0.08, 0.1
"""Seconds between which images give way to the diffuse field."""

LOWEST = 50.0
"""Hz. Below, images that all have one sign add up to what no room has."""

EYRING = 24 * math.log(10) / SPEED
"""0.161 s/m: reverberation time = EYRING × volume / (-surface × ln(1 - absorption))."""


def _check(*, rt60: float, distance: float = 1.0, room: str = "medium") -> None:
    check_range("reverberation", "rt60", rt60, 0.1, 3.0, "s")
    check_range("reverberation", "distance", distance, 0.2, min(ROOMS[room][:2]) - 2 * WALL, f"m in a {room} room")


@change("reverberation", version="1", check=_check)
def add_reverberation(
    waveform: Waveform,
    generator: np.random.Generator,
    *,
    rt60: float,
    distance: float = 1.0,
    room: Room = "medium",
) -> Waveform:
    """Heard from `distance` metres in a room whose sound falls by 60 dB in `rt60` seconds; the places are drawn.

    The direct sound keeps its time and level, so what follows the recording's end is cut. What goes beyond full scale
    is turned down as a whole.
    """
    from scipy.signal import oaconvolve

    response = room_response(ROOMS[room], rt60, distance, waveform.rate, generator)
    heard = oaconvolve(waveform.samples.astype(np.float64), response)[: len(waveform.samples)]
    return within_full_scale(heard, waveform.rate)


def room_response(
    size: tuple[float, float, float], rt60: float, distance: float, rate: int, generator: np.random.Generator
) -> FloatArray:
    """An impulse response of shape (time,), from the direct sound (amplitude 1, at time 0) to a decay of 60 dB.

    `size` and `distance` in metres, `rt60` in seconds, `rate` in Hz. Walls, floor and ceiling absorb alike, by
    Eyring's formula. The microphone's place and the direction of the mouth are drawn.
    """
    volume = math.prod(size)
    surface = 2 * (size[0] * size[1] + size[0] * size[2] + size[1] * size[2])
    reflection = math.exp(-EYRING * volume / (2 * surface * rt60))
    source, microphone = _places(size, distance, generator)
    distances, orders = image_sources(size, source, microphone, SPEED * MIXING[1] + distance)
    # everything is relative to the direct sound, whose amplitude is 1 / (4 π distance)
    early = np.zeros(math.ceil(rt60 * rate) + 1)
    index = np.round((distances - distance) / SPEED * rate).astype(np.int64)
    inside = index < len(early)
    np.add.at(early, index[inside], (reflection**orders * distance / distances)[inside])
    time = np.arange(len(early)) / rate + distance / SPEED
    # images in a second, 4πc³t²/V of them with energy 1/(4πct)², bring the same at every t but for the walls
    density = SPEED / (4 * math.pi * volume) * (4 * math.pi * distance) ** 2
    late = generator.standard_normal(len(early)) * np.sqrt(density / rate) * 10 ** (-3 * time / rt60)
    into = np.clip((time - MIXING[0]) / (MIXING[1] - MIXING[0]), 0, 1)
    reverberant = early * np.sqrt(1 - into) + late * np.sqrt(into)
    direct = np.zeros_like(early)
    direct[0] = 1
    return direct + _without_rumble(reverberant - direct, rate)


def _places(
    size: tuple[float, float, float], distance: float, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Mouth and microphone, both shape (3,), `distance` apart on one height, away from the walls."""
    low, high = np.full(2, WALL), np.array(size[:2]) - WALL
    height = float(generator.uniform(1.1, 1.7))
    while True:
        microphone = generator.uniform(low, high)
        angle = generator.uniform(0, 2 * math.pi)
        source = microphone + distance * np.array([math.cos(angle), math.sin(angle)])
        if (source > low).all() and (source < high).all():
            return np.append(source, height), np.append(microphone, height)


def image_sources(
    size: tuple[float, float, float], source: FloatArray, microphone: FloatArray, reach: float
) -> tuple[FloatArray, FloatArray]:
    """Distances in metres of the source's mirror images within `reach` of the microphone, and their reflections.

    >>> there = np.array([1.0, 1.0, 1.0])
    >>> distances, orders = image_sources((4.0, 5.0, 3.0), np.array([2.0, 1.0, 1.0]), there, 2.5)
    >>> sorted(zip(distances.round(3).tolist(), orders.tolist()))
    [(1.0, 0), (2.236, 1), (2.236, 1)]

    (The direct sound, and by way of the nearer side wall and of the floor.)
    """
    along = []
    for edge, mouth, ear in zip(size, source, microphone, strict=True):
        rooms = np.arange(-math.ceil(reach / (2 * edge)) - 1, math.ceil(reach / (2 * edge)) + 2)
        offsets = np.concatenate([2 * rooms * edge + mouth - ear, 2 * rooms * edge - mouth - ear])
        bounces = np.concatenate([np.abs(2 * rooms), np.abs(2 * rooms - 1)])
        along.append((offsets, bounces))
    squares = sum(np.square(offsets).reshape(shape) for (offsets, _), shape in zip(along, _SHAPES, strict=True))
    orders = sum(bounces.reshape(shape) for (_, bounces), shape in zip(along, _SHAPES, strict=True))
    distances = np.sqrt(squares)
    near = distances <= reach
    return distances[near], np.asarray(orders)[near]


_SHAPES = ((-1, 1, 1), (1, -1, 1), (1, 1, -1))


def _without_rumble(response: FloatArray, rate: int) -> FloatArray:
    from scipy.signal import butter, sosfilt

    return np.asarray(sosfilt(butter(2, LOWEST, "highpass", fs=rate, output="sos"), response))


def reverberation_time(response: FloatArray, rate: int, *, start: float = -5.0, end: float = -25.0) -> float:
    """Seconds in which a response falls by 60 dB, from the slope of its backward integral between two levels in dB.

    Schroeder 1965, "New method of measuring reverberation time"; the default is ISO 3382's T20.

    >>> decay = 10 ** (-3 * np.arange(16000) / 8000)
    >>> round(reverberation_time(decay, 16000), 2)
    0.5
    """
    energy = np.cumsum(np.square(response, dtype=np.float64)[::-1])[::-1]
    levels = 10 * np.log10(np.maximum(energy / energy[0], 1e-12))
    rows = np.flatnonzero((levels <= start) & (levels >= end))
    slope = np.polyfit(rows / rate, levels[rows], 1)[0]
    return float(-60 / slope)
