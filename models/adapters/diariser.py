"""A baseline diariser: energy decides where speech is, clusters of voice embeddings decide whose.

The recipe of the years before neural diarisers: Wang and others, "Speaker diarization with LSTM" (2018), with
agglomerative clustering in place of spectral. It never gives two speakers to one moment.
"""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Segment
from audiometry.models.adapters import resemblyzer as encoder
from audiometry.models.adapters.common import check_at_least, fingerprint, shown_name, speech, thread_count
from audiometry.models.adapters.one_by_one import OneByOne

__all__ = ["clustered", "energy_diariser", "spans", "voiced_frames"]

VERSION = "energy-diariser 1"
RATE = 16_000
FRAME = 0.02
"""Seconds of a frame of the activity detector."""

WINDOWS = 8.0
"""Embedded windows of 1.6 s begin so often a second."""

RANGE = 35.0
"""Decibels under the loud frames (95th percentile) down to which a frame is speech."""

PAUSE = 0.24
"""Seconds of silence within speech that are bridged; speech shorter than that between silences is dropped."""


def check(*, speakers: int = 0, threshold: float = 0.35, threads: int = 0) -> None:
    """Raise SettingError for settings out of range, UserError if the encoder's packages are not installed."""
    check_at_least("energy-diariser", "speakers", speakers, 0)
    if not 0 < threshold < 1:
        raise SettingError(f"model 'energy-diariser', setting 'threshold': {threshold:g} is not between 0 and 1")
    encoder.check(threads=threads)


def identify(*, speakers: int = 0, threshold: float = 0.35, threads: int = 0) -> str:
    """The fingerprint of the diariser, without loading it."""
    settings = {"speakers": speakers, "threshold": threshold, "encoder": encoder.identify(threads=threads)}
    return fingerprint(VERSION, (), settings=settings, packages=("scipy",))


@model("energy-diariser", abilities={"transcribe"}, check=check, fingerprint=identify, deterministic=True)
def energy_diariser(*, speakers: int = 0, threshold: float = 0.35, threads: int = 0) -> OneByOne:
    """Baseline diariser: energy and clusters of Resemblyzer's embeddings; speakers=0 lets the threshold count them."""
    import torch

    torch.set_num_threads(thread_count(threads))
    voices, _ = encoder.load_encoder()

    def answer(request: Request) -> Output:
        samples = speech(request, RATE)
        voiced = voiced_frames(samples)
        if not voiced.any():
            return Output(status="empty")
        _, windows, cuts = voices.embed_utterance(samples, return_partials=True, rate=WINDOWS)
        centres = np.array([(cut.start + min(cut.stop, len(samples))) / 2 / RATE for cut in cuts])
        times = (np.flatnonzero(voiced) + 0.5) * FRAME
        nearest = np.abs(times[:, None] - centres).argmin(axis=1)
        used, place = np.unique(nearest, return_inverse=True)
        who = np.full(len(voiced), -1)
        who[voiced] = clustered(np.asarray(windows)[used], speakers, threshold)[place]
        return Output(segments=spans(who))

    settings = {"speakers": speakers, "threshold": threshold, "threads": threads}
    return OneByOne(
        name=shown_name("energy-diariser", energy_diariser, settings),
        fingerprint=identify(speakers=speakers, threshold=threshold, threads=threads),
        abilities=frozenset({"transcribe"}),
        answer=answer,
    )


def voiced_frames(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which frames of 20 ms hold speech, shape (frames,): no more than `RANGE` under the loud ones, pauses bridged.

    `samples` has shape (time,) at 16 kHz. Digital silence has none.
    """
    size = round(FRAME * RATE)
    frames = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = np.mean(frames**2, axis=1)
    if not power.any():
        return np.zeros(len(frames), dtype=bool)
    voiced = power > np.percentile(power, 95) * 10 ** (-RANGE / 10)
    shortest = round(PAUSE / FRAME)
    return _without_short(_without_short(voiced, False, shortest), True, shortest)


def clustered(windows: NDArray[np.float32], speakers: int, threshold: float) -> NDArray[np.int64]:
    """Cluster embeddings of shape (windows, size): a number from 0 for each, shape (windows,).

    Average linkage of cosine distances, cut at `speakers` clusters, or where they are `threshold` apart if that is 0.

    >>> clustered(np.array([[1.0, 0], [0, 1], [1, 0.1]], np.float32), 0, 0.3).tolist()
    [0, 1, 0]
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(windows) < 2:
        return np.zeros(len(windows), dtype=np.int64)
    tree = linkage(windows.astype(np.float64), method="average", metric="cosine")
    cut = fcluster(tree, speakers, "maxclust") if speakers else fcluster(tree, threshold, "distance")
    _, first, codes = np.unique(cut, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[codes].astype(np.int64)


def spans(who: NDArray[np.int64]) -> tuple[Segment, ...]:
    """Segments of frames that belong to one speaker; -1 is nobody.

    >>> [(one.start, one.end, one.label) for one in spans(np.array([-1, 0, 0, 1]))]
    [(0.02, 0.06, 'speaker-1'), (0.06, 0.08, 'speaker-2')]
    """
    found = []
    place = 0
    for speaker, frames in groupby(who.tolist()):
        end = place + len(list(frames))
        if speaker >= 0:
            found.append(Segment(round(place * FRAME, 3), round(end * FRAME, 3), f"speaker-{speaker + 1}"))
        place = end
    return tuple(found)


def _without_short(voiced: NDArray[np.bool_], value: bool, shortest: int) -> NDArray[np.bool_]:
    """Flip runs of `value` that are shorter than that and have the other on both sides."""
    changed = voiced.copy()
    place = 0
    for one, frames in groupby(voiced.tolist()):
        end = place + len(list(frames))
        if one == value and end - place < shortest and place > 0 and end < len(voiced):
            changed[place:end] = not value
        place = end
    return changed
