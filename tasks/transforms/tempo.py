"""Faster, slower, higher and lower: `speed` (both at once), `tempo` (length alone), `pitch` (pitch alone)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import Audio, Waveform
from audiometry.tasks.transforms.changes import Settings, change, check_range
from audiometry.tasks.transforms.ffmpeg import check_ffmpeg, ffmpeg_version
from audiometry.tasks.transforms.levels import within_full_scale

__all__ = ["change_pitch", "change_speed", "change_tempo"]

LIMITS = 0.5, 2.0
"""What FFmpeg's atempo does in one go without dropping samples."""


def _check_speed(*, factor: float) -> None:
    check_range("speed", "factor", factor, 0.25, 4.0)


def _check_tempo(*, factor: float) -> None:
    check_range("tempo", "factor", factor, *LIMITS)


def _check_pitch(*, semitones: float) -> None:
    check_range("pitch", "semitones", semitones, -12, 12)


def _pin(_: Settings, __: Audio) -> Settings:
    return {"library": ffmpeg_version()}


@change("speed", version="1", check=_check_speed)
def change_speed(waveform: Waveform, generator: np.random.Generator, *, factor: float) -> Waveform:  # noqa: ARG001
    """`factor` times as fast, and as much higher: a tape played faster (Ko et al. 2015, "Audio augmentation")."""
    return _resampled(waveform, factor)


@change("tempo", version="1", check=_check_tempo, pin=_pin, own=frozenset({"library"}))
def change_tempo(
    waveform: Waveform,
    generator: np.random.Generator,  # noqa: ARG001
    *,
    factor: float,
    library: str = "",
) -> Waveform:
    """`factor` times as fast at the same pitch: waveform similarity overlap-add (FFmpeg's atempo)."""
    check_ffmpeg(library)
    return _stretched(waveform, factor)


@change("pitch", version="1", check=_check_pitch, pin=_pin, own=frozenset({"library"}))
def change_pitch(
    waveform: Waveform,
    generator: np.random.Generator,  # noqa: ARG001
    *,
    semitones: float,
    library: str = "",
) -> Waveform:
    """Higher (or lower) by `semitones` at the same length: played faster, then stretched. Formants move too."""
    check_ffmpeg(library)
    factor = 2 ** (semitones / 12)
    moved = _stretched(_resampled(waveform, factor), 1 / factor).samples
    length = len(waveform.samples)
    return Waveform(np.pad(moved[:length], (0, max(length - len(moved), 0))), waveform.rate)


def _resampled(waveform: Waveform, factor: float) -> Waveform:
    import soxr

    changed = soxr.resample(waveform.samples.astype(np.float64), waveform.rate * factor, waveform.rate, quality="HQ")
    return within_full_scale(changed, waveform.rate)


def _stretched(waveform: Waveform, factor: float) -> Waveform:
    import av

    graph = av.filter.Graph()
    source = graph.add_abuffer(
        sample_rate=waveform.rate, format="flt", layout="mono", time_base=Fraction(1, waveform.rate)
    )
    change_of_tempo = graph.add("atempo", f"{factor:.9f}")
    sink = graph.add("abuffersink")
    source.link_to(change_of_tempo)
    change_of_tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(waveform.samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate, frame.pts = waveform.rate, 0
    graph.push(frame)
    graph.push(None)
    parts = _pulled(graph)
    if not parts:
        raise AudioError(f"{waveform.seconds:g} s are too short to change their tempo")
    return within_full_scale(np.concatenate(parts), waveform.rate)


def _pulled(graph: Any) -> list[Any]:
    import av

    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray().reshape(-1))
        except (av.EOFError, av.BlockingIOError):
            return parts
