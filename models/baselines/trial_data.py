"""Spoofing trials in memory, for training detectors: waveforms at 16 kHz, their classes, attacks and sources."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import Audio, FloatArray
from audiometry.tasks.corpora.rows import BONA_FIDE, SpoofingTrial
from audiometry.tasks.corpora.spoof.equalisation import RATE
from audiometry.tasks.metrics.calibration import AffineCalibration, fit_affine_calibration
from audiometry.tasks.metrics.detection_groups import GroupedEqualErrorRate, equal_error_rate_by_attack

__all__ = ["TrialData", "calibrate", "development_rates", "development_report", "load_trials"]

WORTH_A_PROCESS = 200
"""Trials from which on a second process saves more time than it takes to start."""

REGULARISATION = 1e-4
"""Of the calibration's slope: next to nothing, but it keeps the slope finite where the classes are apart."""


LEAST_SLOPE = 1e-3
"""Of the calibration, for scores with a standard deviation of 1."""


@dataclass(frozen=True)
class TrialData:
    """Trials in one order: `waveforms`, each of shape (time,) at 16 kHz in [-1, 1]; `bona_fide` of shape (trials,).

    `attacks` names each spoof's attack and is empty for bona fide speech. `sources` names what each trial was made
    of (the prompt, the sentence), so that parts can be cut without the same words on both sides.

    Raises ValueError if they differ in length.
    """

    waveforms: list[NDArray[np.float32]]
    bona_fide: NDArray[np.bool_]
    attacks: list[str]
    sources: list[str]

    def __post_init__(self) -> None:
        lengths = {len(self.waveforms), len(self.bona_fide), len(self.attacks), len(self.sources)}
        if len(lengths) > 1:
            raise ValueError(f"waveforms, classes, attacks and sources differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.waveforms)


def load_trials(trials: Sequence[SpoofingTrial], *, processes: int = 0) -> TrialData:
    """Decode the trials' audio, with the transforms that it names (equalisation), to 16 kHz.

    `processes` decode side by side; 1 is this process alone, and 0 one for each core where there are trials enough.

    Raises DataError for no trials, SettingError for a negative number of processes, and AudioError, naming the file,
    for one that cannot be read.
    """
    if not trials:
        raise DataError("there are no trials to load; look at the split's name, and whether the corpus is prepared")
    if processes < 0:
        raise SettingError(f"processes {processes} is less than 0; give 0 for one a core")
    wanted = processes or min(len(os.sched_getaffinity(0)), 1 + len(trials) // WORTH_A_PROCESS)
    audios = [trial.audio for trial in trials]
    if wanted == 1:
        waveforms = [_samples(audio) for audio in audios]
    else:
        with ProcessPoolExecutor(wanted, get_context("spawn")) as pool:
            waveforms = list(pool.map(_samples, audios, chunksize=32))
    return TrialData(
        waveforms=waveforms,
        bona_fide=np.array([trial.label == BONA_FIDE for trial in trials]),
        attacks=[trial.attack for trial in trials],
        sources=[trial.slices.get("source", trial.id) for trial in trials],
    )


def calibrate(scores: ArrayLike, data: TrialData) -> AffineCalibration:
    """The affine map of `scores` of shape (trials,) to natural log-likelihood ratios of bona fide against spoof.

    Both classes weigh the same, however many trials they have. The map always rises, so that it changes no error
    rate: for scores that order these trials the wrong way it is `LEAST_SLOPE`, by which every ratio says next to
    nothing.

    Raises DataError for NaN, infinity, scores that do not fit the trials, or a class without trials.
    """
    bona_fide, spoof = _by_class(scores, data)
    fitted = fit_affine_calibration(bona_fide, spoof, regularisation=REGULARISATION)
    both = np.concatenate((bona_fide, spoof))
    least = LEAST_SLOPE / (float(both.std()) or 1.0)
    return fitted if fitted.slope >= least else AffineCalibration(least, -least * float(both.mean()))


def development_rates(scores: ArrayLike, data: TrialData) -> GroupedEqualErrorRate:
    """Equal error rates by attack, their macro mean, the worst of them, and the pooled one, as fractions.

    Raises DataError as `calibrate` does.
    """
    bona_fide, spoof = _by_class(scores, data)
    attacks = [name for name, real in zip(data.attacks, data.bona_fide, strict=True) if not real]
    return equal_error_rate_by_attack(bona_fide, spoof, attacks)


def development_report(scores: ArrayLike, data: TrialData) -> str:
    """The same as lines of text: the equal error rate of each attack in per cent, then macro, worst and pooled.

    Raises DataError as `calibrate` does.
    """
    rates = development_rates(scores, data)
    rows = [(name, rate.value, data.attacks.count(name)) for name, rate in rates.groups.items()]
    spoofs = sum(number for _, _, number in rows)
    rows += [("macro", rates.macro, spoofs), (f"worst ({rates.worst_group})", rates.worst, 0)]
    rows += [("pooled", rates.pooled.value, spoofs)]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{'EER':<{width}}  per cent  spoofed trials, beside {int(data.bona_fide.sum())} bona fide ones"]
    return "\n".join(
        lines + [f"{name:<{width}}  {100 * value:8.2f}  {number or ''}".rstrip() for name, value, number in rows]
    )


def _samples(audio: Audio) -> NDArray[np.float32]:
    return read(audio, RATE).samples


def _by_class(scores: ArrayLike, data: TrialData) -> tuple[FloatArray, FloatArray]:
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(data),):
        raise DataError(f"scores have shape {values.shape} and there are {len(data)} trials; give one score a trial")
    return values[data.bona_fide], values[~data.bona_fide]
