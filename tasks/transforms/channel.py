"""What a channel does to sound without coding it: `gain`, `band-limit`, `clipping`, `packet-loss`."""

from __future__ import annotations

from typing import Literal

import numpy as np

from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.transforms.changes import change, check_range
from audiometry.tasks.transforms.levels import within_full_scale

__all__ = ["change_gain", "clip", "limit_band", "lose_packets", "lost_packets"]

Concealment = Literal["silence", "repeat"]

ORDER = 8
"""Of the Butterworth filters, run forwards and backwards: 96 dB an octave outside the band and no delay."""


def _check_gain(*, db: float) -> None:
    check_range("gain", "db", db, -120, 120, "dB")


@change("gain", version="1", check=_check_gain)
def change_gain(waveform: Waveform, generator: np.random.Generator, *, db: float) -> Waveform:  # noqa: ARG001
    """Louder or softer by `db`. Sound that would go beyond full scale is an error: nothing is clipped in silence."""
    samples = waveform.samples.astype(np.float64) * 10 ** (db / 20)
    peak = float(np.max(np.abs(samples), initial=0.0))
    if peak > 1 and db > 0:
        raise AudioError(f"gain of {db:g} dB would clip: the peak would lie at {20 * np.log10(peak):+.1f} dBFS")
    return Waveform(samples.astype(np.float32), waveform.rate)


def _check_band(*, low: float = 0.0, high: float = 0.0) -> None:
    check_range("band-limit", "low", low, 0, 100_000, "Hz")
    check_range("band-limit", "high", high, 0, 400_000, "Hz")
    if not low and not high:
        raise SettingError("transform 'band-limit' needs low=HZ, high=HZ or both")
    if high and low >= high:
        raise SettingError(f"transform 'band-limit': low={low:g} Hz is not below high={high:g} Hz")


@change("band-limit", version="1", check=_check_band)
def limit_band(
    waveform: Waveform,
    generator: np.random.Generator,  # noqa: ARG001
    *,
    low: float = 0.0,
    high: float = 0.0,
) -> Waveform:
    """Nothing below `low` and above `high` Hz (0 leaves that side open), -6 dB at each edge, without delay.

    A `high` at or above half of the sampling rate changes nothing, as there is no such sound.
    """
    from scipy.signal import butter, sosfiltfilt

    if low >= waveform.rate / 2:
        raise AudioError(f"nothing is left above {low:g} Hz in sound of {waveform.rate} Hz")
    samples = waveform.samples.astype(np.float64)
    for edge, kind in ((low, "highpass"), (high, "lowpass")):
        if 0 < edge < waveform.rate / 2:
            sections = butter(ORDER, edge, kind, fs=waveform.rate, output="sos")
            samples = sosfiltfilt(sections, samples, padlen=min(len(samples) - 1, 6 * ORDER))
    return within_full_scale(samples, waveform.rate)


def _check_clipping(*, share: float) -> None:
    check_range("clipping", "share", share, 0.0001, 0.9999)


@change("clipping", version="1", check=_check_clipping)
def clip(waveform: Waveform, generator: np.random.Generator, *, share: float) -> Waveform:  # noqa: ARG001
    """The loudest `share` of the samples (0 to 1) is held at one level, as an overdriven input does."""
    limit = float(np.quantile(np.abs(waveform.samples), 1 - share))
    if limit == 0:
        raise AudioError(f"clipping a share of {share:g} would leave nothing: that much of the recording is silent")
    return Waveform(np.clip(waveform.samples, -limit, limit).astype(np.float32), waveform.rate)


def _check_loss(*, rate: float, burst: float = 1.0, packet: float = 0.02, **_: object) -> None:
    check_range("packet-loss", "rate", rate, 0.0001, 0.9)
    check_range("packet-loss", "burst", burst, 1, 100, "packets")
    check_range("packet-loss", "packet", packet, 0.0025, 0.12, "s")
    if rate / (1 - rate) > burst:
        raise SettingError(
            f"transform 'packet-loss': a rate of {rate:g} needs bursts of {rate / (1 - rate):.2g} packets or more"
        )


@change("packet-loss", version="1", check=_check_loss)
def lose_packets(
    waveform: Waveform,
    generator: np.random.Generator,
    *,
    rate: float,
    burst: float = 1.0,
    packet: float = 0.02,
    conceal: Concealment = "silence",
) -> Waveform:
    """A share `rate` of the packets (`packet` seconds each) is lost, in runs of `burst` packets on average.

    A lost packet is silence, or a repetition of the last one that came.
    """
    size = max(round(packet * waveform.rate), 1)
    samples = waveform.samples.copy()
    count = -(-len(samples) // size)
    last = np.zeros(size, np.float32)
    for number, lost in enumerate(lost_packets(count, rate, burst, generator)):
        part = samples[number * size : (number + 1) * size]
        if not lost:
            last = waveform.samples[number * size : (number + 1) * size]
        elif conceal == "repeat":
            part[:] = last[: len(part)]
        else:
            part[:] = 0
    return Waveform(samples, waveform.rate)


def lost_packets(count: int, rate: float, burst: float, generator: np.random.Generator) -> list[bool]:
    """Which of `count` packets are lost: a two-state Markov chain (Gilbert 1960) in its steady state.

    A run of losses ends with probability 1/burst; one begins with rate / (1 - rate) / burst. With burst = 1 / (1 -
    rate) losses are independent.
    """
    begin, end = rate / (1 - rate) / burst, 1 / burst
    draws = generator.random(count)
    lost: list[bool] = []
    for draw in draws:
        chance = rate if not lost else 1 - end if lost[-1] else begin
        lost.append(bool(draw < chance))
    return lost
