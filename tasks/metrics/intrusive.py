"""Quality and intelligibility against a clean reference: PESQ, STOI, extended STOI and SI-SDR.

All take two waveforms of one rate, reference first. PESQ aligns in time by itself; the others compare sample by
sample and need equal lengths (`match_lengths` cuts what a codec added). A silent side has nothing to compare: it is
an AudioError, and that sample's failure, never a low score.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.metrics.extras import require

__all__ = ["match_lengths", "pesq", "si_sdr", "stoi"]

PESQ_SECONDS = (0.25, 20.0)
"""P.862's code takes a quarter of a second at least. Its table holds 50 utterances, and more of them end the process
(seen at 60 bursts in 60 s); an utterance and the pause after it last 0.2 s each at least, so 20 s cannot hold more."""

STOI_SECONDS = 0.4
"""Thirty frames of 256 samples, half overlapping, at 10 kHz: what one intermediate measure needs."""


def match_lengths(reference: Waveform, degraded: Waveform, limit: float = 0.1) -> tuple[Waveform, Waveform]:
    """Both cut to the shorter one's length, where they differ by no more than `limit` seconds.

    Raises AudioError beyond that, because cutting much hides that something is missing, and for rates that differ.

    >>> long, short = Waveform(np.ones(1010, np.float32), 16000), Waveform(np.ones(1000, np.float32), 16000)
    >>> [len(waveform.samples) for waveform in match_lengths(long, short)]
    [1000, 1000]
    """
    _check_rates(reference, degraded)
    lengths = len(reference.samples), len(degraded.samples)
    if abs(lengths[0] - lengths[1]) > limit * reference.rate:
        raise AudioError(
            f"reference of {reference.seconds:.3f} s and degraded of {degraded.seconds:.3f} s differ by more than "
            f"{limit:g} s: align them first"
        )
    cut = min(lengths)
    return Waveform(reference.samples[:cut], reference.rate), Waveform(degraded.samples[:cut], degraded.rate)


def pesq(reference: Waveform, degraded: Waveform, band: Literal["wide", "narrow"] = "wide") -> float:
    """PESQ: predicted listening quality (MOS-LQO) of telephone speech, by the ITU's own code.

    Both mono, 0.25 to 20 s (ITU-T P.862.3 asks for 8 to 12 s with pauses; short and long clips are less sure), at 16
    kHz for the wide band, 8 or 16 kHz for the narrow: resample first with `benchmark.audio.resample`. Lengths may
    differ: PESQ aligns in time. Level does not matter. Returns 1.04 to 4.64 (wide) or 1.02 to 4.55 (narrow); higher
    is better. Made for telephone codecs and networks: not for synthesised speech, where the reference says the same
    words otherwise, nor for music.

    Raises AudioError for a silent side, speech too short or too long, no speech found, or rates that do not fit;
    UserError without the package.
    Source: ITU-T P.862 (2001), P.862.1 (2003, narrow band) and P.862.2 (2007, wide band), through the package `pesq`.

    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> round(pesq(Waveform(noise, 16000), Waveform(noise, 16000)), 3)
    4.644
    """
    rates = (16000,) if band == "wide" else (8000, 16000)
    _check_rates(reference, degraded)
    if reference.rate not in rates:
        raise AudioError(
            f"PESQ, {band} band, takes {' or '.join(map(str, rates))} Hz and got {reference.rate}: resample"
        )
    clean, other = _samples(reference, "reference"), _samples(degraded, "degraded")
    for name, waveform in (("reference", reference), ("degraded", degraded)):
        if not PESQ_SECONDS[0] <= waveform.seconds <= PESQ_SECONDS[1]:
            raise AudioError(
                f"PESQ: {name} of {waveform.seconds:.3f} s; it takes {PESQ_SECONDS[0]:g} to {PESQ_SECONDS[1]:g} s"
            )
    package = require("pesq", "quality")
    try:
        return float(package.pesq(reference.rate, clean, other, "wb" if band == "wide" else "nb"))
    except package.PesqError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise AudioError(f"PESQ: {reason[:1].lower()}{reason[1:]}") from error


def stoi(reference: Waveform, degraded: Waveform, *, extended: bool = False) -> float:
    """STOI, or extended STOI: predicted intelligibility, as correlation of short envelopes in third-octave bands.

    Both mono, of one length (`match_lengths`) and one rate (resampled to 10 kHz within: under 8 kHz bands are empty).
    Frames more than 40 dB below the reference's loudest are left out of both. Returns -1 to 1, in practice 0 to 1;
    higher is better. STOI suits additive noise and its suppression, the extended form also noise that comes and goes.
    Level does not matter.

    Raises AudioError for lengths or rates that differ, a silent side, or under 30 frames (0.4 s) of speech once
    silence is out; UserError without the package.
    Source: C. H. Taal et al., "An algorithm for intelligibility prediction of time-frequency weighted noisy speech",
    IEEE TASLP 19(7), 2011, equations 1 to 6; J. Jensen and C. H. Taal, IEEE/ACM TASLP 24(11), 2016 (extended), through
    the package `pystoi`.

    >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    >>> round(stoi(Waveform(noise, 16000), Waveform(noise, 16000)), 6)
    1.0
    """
    clean, other = _aligned(reference, degraded, "STOI")
    if reference.seconds < STOI_SECONDS:
        raise AudioError(f"STOI: {reference.seconds:.3f} s; it takes {STOI_SECONDS:g} s of speech at least")
    package = require("pystoi", "quality")
    state = np.random.get_state()
    np.random.seed(0)  # the extended form adds noise of 1e-16 from numpy's global generator
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Not enough STFT frames", category=RuntimeWarning)
            return float(package.stoi(clean.astype(np.float64), other.astype(np.float64), reference.rate, extended))
    except RuntimeWarning as error:
        raise AudioError(f"STOI: under {STOI_SECONDS:g} s of speech is left once silence is out") from error
    finally:
        np.random.set_state(state)


def si_sdr(reference: Waveform, estimate: Waveform, *, zero_mean: bool = False, limit: float = 100.0) -> float:
    """Scale-invariant signal-to-distortion ratio, in dB.

    10 log10(|a s|² / |a s - e|²) with a = <e, s> / |s|²: the part of the estimate e along the reference s over what
    is left. Both mono, of one length and rate. zero_mean: subtract each side's mean first, as many separation toolkits
    do; the paper does not. Returns -limit to limit, higher is better; scaling either side changes nothing. A scaled
    copy would be at +infinity and an orthogonal estimate at -infinity: beyond ±limit the value is ±limit, so that a
    mean stays finite (`np.inf` switches that off).

    One sample of delay lowers it much: it is for separation and enhancement that keep the waveform, not for codecs or
    synthesis.

    Raises AudioError for lengths or rates that differ, or a silent side (with `zero_mean`: a constant one).
    Source: J. Le Roux et al., "SDR – half-baked or well done?", ICASSP 2019, equations 4 and 5.

    >>> s, e = np.array([1.0, 0.0], np.float32), np.array([1.0, 0.1], np.float32)
    >>> round(si_sdr(Waveform(s, 8000), Waveform(e, 8000)), 4)
    20.0
    """
    target, other = (samples.astype(np.float64) for samples in _aligned(reference, estimate, "SI-SDR"))
    if zero_mean:
        target, other = target - target.mean(), other - other.mean()
        if not target.any() or not other.any():
            raise AudioError("SI-SDR: a constant signal is silent once its mean is gone")
    # unit peaks: energies of very quiet or loud sound neither vanish nor overflow, and scale is divided out anyway
    target, other = target / np.abs(target).max(), other / np.abs(other).max()
    along = (other @ target) / (target @ target) * target
    rest = along - other
    above, below = float(along @ along), float(rest @ rest)
    if below == 0.0:
        return limit
    value = 10.0 * np.log10(above / below) if above > 0.0 else -np.inf
    return float(np.clip(value, -limit, limit))


def _check_rates(first: Waveform, second: Waveform) -> None:
    if first.rate != second.rate:
        raise AudioError(f"reference at {first.rate} Hz and degraded at {second.rate} Hz: resample one of them")


def _samples(waveform: Waveform, name: str) -> NDArray[np.float32]:
    samples = np.ascontiguousarray(waveform.samples, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds samples that are not finite numbers")
    if not samples.any():
        raise AudioError(f"{name} is silent: there is nothing to compare")
    return samples


def _aligned(reference: Waveform, degraded: Waveform, metric: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    _check_rates(reference, degraded)
    if len(reference.samples) != len(degraded.samples):
        raise AudioError(
            f"{metric}: reference of {len(reference.samples)} samples and degraded of {len(degraded.samples)}: "
            "match their lengths first"
        )
    return _samples(reference, "reference"), _samples(degraded, "degraded")
