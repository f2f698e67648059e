"""DNSMOS: speech quality as people would rate it, without a reference, as `speechmos.dnsmos.run` gives it.

Two families of networks by Microsoft: P.835 (speech, background noise and overall quality, with a personalised form)
and P.808 (overall quality). Both hear windows of 9.01 s that begin every second, so that neighbouring windows share
all but one second of what the large convolutions compute. Here that is computed once for all windows; the few rows at
either end of each window, where the network sees zeros instead of the neighbouring sound, are computed again for each.
`docs/dnsmos.md` explains why the numbers stay the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.types import Waveform

if TYPE_CHECKING:
    from audiometry.tasks.metrics.dnsmos_network import P808, P835

__all__ = ["DnsmosScores", "checked_samples", "dnsmos", "dnsmos_batch", "kept_windows", "usable_threads"]

Array: TypeAlias = NDArray[np.float32]
Side: TypeAlias = Literal["start", "end"]
Edges: TypeAlias = dict[tuple[int, Side], Future[Array]]
"""Pooled maps (32, `EDGE`, 80) by the row of the window's edge, and which edge it is."""

RATE = 16000
WINDOW_SECONDS = 9.01
WINDOW = 144160
"""Samples of a window."""

HOP = 160
"""Samples from one frame to the next."""

ROWS, ROW_HOP = 900, 100
"""Frames of a window, and from one window to the next."""

SHORTEST = 320
"""Samples of one frame: what is shorter has no spectrum."""

MEL_FRAME = 321
"""Samples of a frame of P.808's spectrum."""

MARGIN = 4
"""Rows next to a cut that are computed and thrown away: each 3 × 3 convolution gets one wrong for lack of what is
behind the cut."""

EDGE_ROWS = 8
"""Frames from which the pooled rows next to a window's edge are computed: those that differ, and those they read."""

EDGE = 2
"""Pooled rows that differ at a window's edge: four frames, one for each 3 × 3 convolution."""

PART_ROWS = 450
"""Most frames that one task computes. The division follows the clip alone: any number of threads gives equal bits."""

GROUP = 120
"""Most windows whose shared maps are in memory at a time (about 65 MB)."""

POLYNOMIALS = {
    False: (
        (-0.08397278, 1.22083953, 0.0052439),
        (-0.13166888, 1.60915514, -0.39604546),
        (-0.06766283, 1.11546468, 0.04602535),
    ),
    True: (
        (-0.01019296, 0.02751166, 1.19576786, -0.24348726),
        (-0.04976499, 0.44276479, -0.1644611, 0.96883132),
        (-0.00533021, 0.005101, 1.18058466, -0.11236046),
    ),
}
"""From raw to reported signal, background and overall score, plain and personalised; highest power first."""


@dataclass(frozen=True, slots=True)
class DnsmosScores:
    """Mean opinion scores, about 1 (bad) to 5 (excellent), the mean over the clip's windows.

    `sig` is the quality of the speech, `bak` how little the background disturbs, `ovrl` the whole (these three by
    ITU-T P.835), `p808` the whole as rated by ITU-T P.808.
    """

    ovrl: float
    sig: float
    bak: float
    p808: float


def dnsmos(waveform: Waveform, *, personalised: bool = False, threads: int | None = None) -> DnsmosScores:
    """DNSMOS P.835 and P.808 of one clip; higher is better.

    `waveform` is mono at 16 kHz (resample first with `benchmark.audio.resample`) in [-1, 1], of 20 ms at least; what
    is shorter than 9.01 s is repeated. `personalised` takes the P.835 networks for personalised noise suppression,
    which count other talkers as noise. `threads` bounds the processor cores used (None: all that the process may
    use) and does not change the numbers. The numbers are those of `speechmos.dnsmos.run` within rounding (under
    0.001), its choice of windows included: of those that it means to hear it leaves out the 8th to the 24th and
    some later ones, because a product of seconds and rate falls short of the window by rounding (`kept_windows`).
    Made for noise suppression in calls: a synthesised voice that says the wrong words may rate high.

    Raises AudioError for sound at another rate, under 20 ms, beyond [-1, 1] or with values that are not finite;
    SettingError for fewer threads than one; UserError if a package is missing.
    Source: C. K. A. Reddy, V. Gopal and R. Cutler, "DNSMOS: A non-intrusive perceptual objective speech quality
    metric to evaluate noise suppressors", ICASSP 2021 (P.808), and "DNSMOS P.835", ICASSP 2022; networks, front end
    and polynomials of the package `speechmos` 0.0.1.1.

    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).clip(-1, 1).astype(np.float32)
    >>> scores = dnsmos(Waveform(noise, 16000))
    >>> scores.ovrl < 2 and scores.bak < 2
    True
    """
    return dnsmos_batch([waveform], personalised=personalised, threads=threads)[0]


def dnsmos_batch(
    waveforms: Iterable[Waveform], *, personalised: bool = False, threads: int | None = None
) -> list[DnsmosScores]:
    """`dnsmos` of each clip, in order.

    Raises as `dnsmos` does, at the first clip that cannot be scored.

    >>> dnsmos_batch([])
    []
    """
    from audiometry.tasks.metrics.dnsmos_network import load_p808, load_p835

    p835, p808 = load_p835(personalised), load_p808()
    with ThreadPoolExecutor(usable_threads(threads)) as pool:
        return [_scores(pool, p835, p808, waveform, personalised) for waveform in waveforms]


def kept_windows(samples: int) -> list[int]:
    """The seconds at which the windows begin that `speechmos` scores, of a clip of some samples (none: no window).

    The clip is doubled until it fills a window. Window k is cut at sample int((k + 9.01) · 16000) and dropped if that
    leaves less than int(9.01 · 16000). For k = 7 to 23, 119 to 122 and 16375 to 16768 the product in double precision
    is a little too small, and the window one sample too short.

    >>> kept_windows(144160), kept_windows(12 * 16000), kept_windows(34 * 16000)
    ([0], [0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 24])
    >>> kept_windows(6 * 16000)
    [0, 1, 2]
    """
    while 0 < samples < WINDOW:
        samples *= 2
    hops = int(samples // RATE - WINDOW_SECONDS) + 1
    return [k for k in range(hops) if int((k + WINDOW_SECONDS) * RATE) - k * RATE >= WINDOW]


def usable_threads(threads: int | None) -> int:
    """`threads`, or for None the number of cores that the process may use.

    Raises SettingError below one.

    >>> usable_threads(3)
    3
    """
    if threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads < 1:
        raise SettingError(f"threads is {threads}; give 1 or more, or None for all cores")
    return threads


def checked_samples(waveform: Waveform, metric: str, shortest: int) -> Array:
    """The samples of a waveform that the networks of `speechmos` can take.

    Raises AudioError, naming the metric, at another rate than 16 kHz, under `shortest` samples, beyond [-1, 1] or with
    values that are not finite.

    >>> checked_samples(Waveform(np.zeros(3, np.float32), 16000), "DNSMOS", 2)
    array([0., 0., 0.], dtype=float32)
    """
    samples = np.ascontiguousarray(waveform.samples, dtype=np.float32)
    if waveform.rate != RATE:
        raise AudioError(f"{metric} takes {RATE} Hz and got {waveform.rate}: resample")
    if samples.ndim != 1 or len(samples) < shortest:
        raise AudioError(f"{metric} takes one channel of {shortest} samples at least and got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise AudioError(f"{metric}: the sound holds samples that are not finite numbers")
    if np.abs(samples).max() > 1:
        raise AudioError(f"{metric}: samples reach {np.abs(samples).max():g}, beyond -1 to 1: scale or clip them first")
    return samples


def _scores(pool: Executor, p835: P835, p808: P808, waveform: Waveform, personalised: bool) -> DnsmosScores:
    samples = checked_samples(waveform, "DNSMOS", SHORTEST)
    while len(samples) < WINDOW:
        samples = np.concatenate((samples, samples))
    raw, overall = [], []
    for windows in _groups(kept_windows(len(samples))):
        rows = ROWS + ROW_HOP * (len(windows) - 1)
        start = windows[0] * RATE
        span = samples[start : start + (rows + 1) * HOP]
        parts, edges = _start_shared(pool, p835, span, rows)
        mel_power = pool.submit(_mel_power, p808, span, rows).result()
        p808_scores = [pool.submit(p808.score, window) for window in mel_power]
        maps = np.concatenate([part.result() for part in parts], axis=1)
        starts = range(0, rows - ROWS + 1, ROW_HOP)
        p835_scores = [pool.submit(_window_scores, p835, maps, edges, row) for row in starts]
        raw += [score.result() for score in p835_scores]
        overall += [score.result() for score in p808_scores]
    sig, bak, ovrl = (
        float(np.mean(np.polyval(polynomial, values)))
        for polynomial, values in zip(POLYNOMIALS[personalised], np.array(raw, np.float64).T, strict=True)
    )
    return DnsmosScores(ovrl=ovrl, sig=sig, bak=bak, p808=float(np.mean(overall)))


def _groups(windows: Sequence[int]) -> list[list[int]]:
    """Runs of windows that follow one another, of `GROUP` at most."""
    groups: list[list[int]] = []
    for window in windows:
        if groups and window == groups[-1][-1] + 1 and len(groups[-1]) < GROUP:
            groups[-1].append(window)
        else:
            groups.append([window])
    return groups


def _start_shared(pool: Executor, p835: P835, span: Array, rows: int) -> tuple[list[Future[Array]], Edges]:
    """The pooled maps (32, …, 80) of all rows, in parts, and of the edges that lie within the span."""
    count = 2 * -(-rows // (2 * PART_ROWS))
    bounds = [rows * part // (2 * count) * 2 for part in range(count + 1)]
    parts = [pool.submit(_part, p835, span, first, last, rows) for first, last in pairwise(bounds)]
    edges: Edges = {}
    for row in range(ROW_HOP, rows - ROWS + 1, ROW_HOP):
        edges[row, "start"] = pool.submit(_edge, p835, span, row, "start")
        edges[row - ROW_HOP + ROWS, "end"] = pool.submit(_edge, p835, span, row - ROW_HOP + ROWS, "end")
    return parts, edges


def _part(p835: P835, span: Array, first: int, last: int, rows: int) -> Array:
    """Pooled maps of rows `first` to `last` of a span of `rows`, right up to where they are cut."""
    before, after = min(first, MARGIN), min(rows - last, MARGIN)
    maps = p835.pooled(span[(first - before) * HOP : (last + after + 1) * HOP])
    return maps[:, before // 2 : (before + last - first) // 2]


def _edge(p835: P835, span: Array, row: int, side: Side) -> Array:
    """The `EDGE` pooled maps from the start of a window at `row`, or up to its end there, with zeros beyond."""
    first = row if side == "start" else row - EDGE_ROWS
    maps = p835.pooled(span[first * HOP : (first + EDGE_ROWS + 1) * HOP])
    return maps[:, :EDGE] if side == "start" else maps[:, -EDGE:]


def _window_scores(p835: P835, maps: Array, edges: Edges, row: int) -> Array:
    """Raw scores (3,) of the window that begins at `row`."""
    own = maps[:, row // 2 : (row + ROWS) // 2].copy()
    if (row, "start") in edges:
        own[:, :EDGE] = edges[row, "start"].result()
    if (row + ROWS, "end") in edges:
        own[:, -EDGE:] = edges[row + ROWS, "end"].result()
    return p835.scores(own)


def _mel_power(p808: P808, span: Array, rows: int) -> Array:
    """Mel power (windows, `ROWS`, 120). Frames are centred, and a window hears zeros outside of itself."""
    frames = np.lib.stride_tricks.sliding_window_view(np.concatenate((np.zeros(HOP, np.float32), span)), MEL_FRAME)
    frames = frames[: rows * HOP : HOP]
    first, last = frames[: rows - ROWS + 1 : ROW_HOP].copy(), frames[ROWS - 1 :: ROW_HOP].copy()
    first[:, :HOP] = 0
    last[:, -1] = 0  # the window that P.808 hears is one hop shorter than that of P.835
    power = np.lib.stride_tricks.sliding_window_view(p808.mel_power(frames), ROWS, axis=0)[::ROW_HOP]
    windows = np.ascontiguousarray(power.transpose(0, 2, 1))
    windows[:, 0], windows[:, -1] = p808.mel_power(first), p808.mel_power(last)
    return windows
