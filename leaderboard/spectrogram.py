"""A sound as a picture, and the same in words and numbers for those who do not see it. No page."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.leaderboard.figures import ground

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Spectrogram", "describe", "parts", "spectrogram", "spectrogram_figure"]

WINDOW = 0.025
"""Seconds of a frame."""

HOP = 0.005
"""Seconds between frames."""

LONGEST = 60.0
"""Seconds that are drawn; of a longer sound the beginning is."""

FRAMES, BANDS = 500, 260
"""Frames and bands of a picture at most: more do not fit on a page."""

CHUNK = 1024
"""Frames that are transformed at a time: a minute at 48 kHz at once would take hundreds of megabytes."""

FLOOR = -80.0
"""Decibels under the loudest point that are drawn as nothing."""

QUIET = -40.0
"""Decibels under the loudest frame from which on a frame is called quiet."""

GAP = 0.1
"""Seconds of quiet that part two stretches of sound."""

SILENT = 1e-10
"""A power under -100 dB of full scale is silence."""

PARTS = 12
"""Rows of the table in numbers, at most."""


@dataclass(frozen=True)
class Spectrogram:
    """`power` of shape (bands, frames), linear, where a sine of full scale has 0.5; `times` (frames,) in seconds, the
    middle of each frame; `frequencies` (bands,) in Hz, the middle of each band. `seconds` is the length of the sound,
    `shown` how much of it this is.
    """

    power: FloatArray
    times: FloatArray
    frequencies: FloatArray
    seconds: float
    shown: float
    rate: int
    peak: float
    level: float

    @property
    def decibels(self) -> FloatArray:
        """Decibels under the loudest point, from `FLOOR` to 0; all at the floor for silence."""
        loudest = max(float(self.power.max(initial=0.0)), SILENT)
        return np.asarray(np.maximum(10 * np.log10(np.maximum(self.power, SILENT * 1e-4) / loudest), FLOOR))


def spectrogram(waveform: Waveform) -> Spectrogram:
    """Short-time power spectra of a sound: Hann windows of 25 ms, every 5 ms.

    Neighbouring bands and frames are averaged where there are more than a page can show. A sound that is shorter than
    a window is padded with silence; the level is of the whole that is shown (root mean square).

    >>> tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> found = spectrogram(Waveform(tone.astype(np.float32), 16000))
    >>> found.power.shape, float(found.frequencies[found.power.mean(axis=1).argmax()])
    ((257, 196), 1000.0)
    """
    samples = waveform.samples[: int(LONGEST * waveform.rate)].astype(np.float64)
    size = max(int(WINDOW * waveform.rate), 16)
    hop = max(int(HOP * waveform.rate), 1)
    padded = np.pad(samples, (0, max(size - len(samples), 0)))
    points = 1 << (size - 1).bit_length()
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    bins = points // 2 + 1
    wide, deep = -(-len(frames) // FRAMES), -(-bins // BANDS)
    per_chunk = max(CHUNK // wide, 1) * wide
    power = np.concatenate([
        _pooled(_power(frames[at : at + per_chunk], size, points), wide, deep)
        for at in range(0, len(frames), per_chunk)
    ])  # fmt: skip
    frequencies = _means(np.arange(bins) * waveform.rate / points, deep)
    times = _means((np.arange(len(frames)) * hop + size / 2) / waveform.rate, wide)
    peak = float(np.abs(samples).max(initial=0.0))
    level = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    shown = len(samples) / waveform.rate
    return Spectrogram(power.T, times, frequencies, waveform.seconds, shown, waveform.rate, peak, level)


def describe(found: Spectrogram) -> str:
    """The picture in words: length, level, where in time there is sound, and where in frequency its energy lies.

    >>> quiet = Waveform(np.zeros(8000, np.float32), 16000)
    >>> describe(spectrogram(quiet))
    '0.50 s of sound at 16,000 Hz. It is silent.'
    """
    length = f"{found.seconds:.2f} s of sound at {found.rate:,} Hz"
    if found.shown < found.seconds:
        length += f", of which the first {found.shown:.0f} s are shown"
    if found.level**2 < SILENT:
        return f"{length}. It is silent."
    stretches = _stretches(found)
    listed = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in stretches[:6])
    more = f" and {len(stretches) - 6} more" if len(stretches) > 6 else ""
    energy = found.power.sum(axis=1)
    return (
        f"{length}. Level {_decibels(found.level**2):.0f} dB of full scale, peak {_decibels(found.peak**2):.0f} dB. "
        f"{'One stretch' if len(stretches) == 1 else f'{len(stretches)} stretches'} of sound: {listed}{more}; the rest "
        f"is {-QUIET:.0f} dB or more under the loudest. Half of the energy lies below "
        f"{_below(energy, found.frequencies, 0.5)}, 95 % of it below {_below(energy, found.frequencies, 0.95)}."
    )


def parts(found: Spectrogram) -> list[dict[str, Any]]:
    """The picture in numbers, over up to twelve equal stretches of time: start, end (s), level (dB of full scale, None
    for silence), and the frequencies (Hz) below which half and 95 % of the energy lie (None for silence).
    """
    count = max(1, min(PARTS, len(found.times), int(found.shown / 0.1) or 1))
    edges = np.linspace(0.0, found.shown, count + 1)
    rows: list[dict[str, Any]] = []
    for start, end in pairwise(edges.tolist()):
        inside = (found.times >= start) & (found.times < end) if count > 1 else found.times >= 0
        energy = found.power[:, inside].mean(axis=1) if inside.any() else np.zeros(len(found.frequencies))
        silent = energy.sum() < SILENT
        half, most = (None if silent else _edge(energy, found.frequencies, share) for share in (0.5, 0.95))
        rows.append({
            "start": start, "end": end, "level": None if silent else _frame_level(found, inside),
            "half_below": half, "most_below": most,
        })  # fmt: skip
    return rows


def spectrogram_figure(found: Spectrogram, *, dark: bool = False) -> go.Figure:
    """Time along, frequency up, brightness in decibels under the loudest point. The colours (cividis) are told apart
    by common kinds of colour vision, and rise in brightness alone too.
    """
    import plotly.graph_objects as go

    colours = ground(dark)
    axis: dict[str, Any] = {"color": colours["ink"], "gridcolor": colours["faint"], "zeroline": False,
                            "fixedrange": True}  # fmt: skip
    figure = go.Figure(
        go.Heatmap(
            z=np.round(found.decibels).astype(np.int8), x=found.times.round(4), y=found.frequencies.round(1),
            zmin=FLOOR, zmax=0, colorscale="Cividis", zsmooth=False,
            colorbar={"title": {"text": "dB"}, "thickness": 12, "tickvals": [0, -20, -40, -60, -80]},
            hovertemplate="%{x:.2f} s, %{y:.0f} Hz: %{z} dB<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": colours["ink"], "size": 13},
        height=300, margin={"l": 10, "r": 10, "t": 10, "b": 44},
        xaxis=axis | {"title": {"text": "Time, s", "font": {"size": 13}}, "showgrid": False},
        yaxis=axis | {"title": {"text": "Frequency, Hz", "font": {"size": 13}}, "automargin": True, "showgrid": False},
    )  # fmt: skip
    return figure


def _power(frames: FloatArray, size: int, points: int) -> FloatArray:
    """Power spectra of frames: (frames, size) → (frames, bins), 0.5 for a sine of full scale."""
    window = np.hanning(size + 1)[:-1]
    spectra = np.abs(np.fft.rfft(frames * window, points)) ** 2
    return np.asarray(spectra / (window.sum() ** 2 / 2))


def _pooled(power: FloatArray, wide: int, deep: int) -> FloatArray:
    """Means of `wide` neighbouring frames and `deep` neighbouring bins; the last ones of what is left."""
    return _means(_means(power, wide).T, deep).T


def _means(values: FloatArray, step: int) -> FloatArray:
    """Means over stretches of `step` along the first axis, the last of them perhaps shorter."""
    starts = np.arange(0, len(values), step)
    sizes = np.diff(np.append(starts, len(values)))
    return np.asarray((np.add.reduceat(values, starts, axis=0).T / sizes).T)


def _stretches(found: Spectrogram) -> list[tuple[float, float]]:
    """Where there is sound: spans of frames that are not quiet, joined over gaps of under `GAP` seconds."""
    energy = found.power.sum(axis=0)
    loud = energy > energy.max() * 10 ** (QUIET / 10)
    step = float(found.times[1] - found.times[0]) if len(found.times) > 1 else found.shown
    spans: list[tuple[float, float]] = []
    for time in found.times[loud]:
        start, end = max(float(time) - step / 2, 0.0), min(float(time) + step / 2, found.shown)
        if spans and start - spans[-1][1] < GAP:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return [(0.0 if i == 0 and start < WINDOW else start, end) for i, (start, end) in enumerate(spans)]


def _frame_level(found: Spectrogram, inside: NDArray[np.bool_]) -> float:
    """Level of some frames in dB of full scale: their share of the whole's energy, which the samples tell exactly."""
    share = found.power[:, inside].sum() / inside.sum() / (found.power.sum() / len(found.times))
    return _decibels(found.level**2 * float(share))


def _edge(energy: FloatArray, frequencies: FloatArray, share: float) -> float:
    total = np.cumsum(energy)
    return float(frequencies[int(np.searchsorted(total, share * total[-1]))])


def _below(energy: FloatArray, frequencies: FloatArray, share: float) -> str:
    return f"{_edge(energy, frequencies, share):,.0f} Hz"


def _decibels(power: float) -> float:
    return float(10 * np.log10(max(power, SILENT)))
