"""The DNSMOS networks as a model that rates: a judge for tasks, and a part of rewards."""

from __future__ import annotations

from typing import Literal

import numpy as np

from audiometry.benchmark.audio import resample
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters.common import (
    check_at_least,
    fingerprint,
    needs_packages,
    shown_name,
    thread_count,
)
from audiometry.models.adapters.one_by_one import OneByOne, sound_of

__all__ = ["dnsmos", "rate_quality"]

VERSION = "dnsmos 1"
RATE = 16_000
Scale = Literal["ovrl", "sig", "bak", "p808"]


def check(*, scale: Scale = "ovrl", personalised: bool = False, threads: int = 0) -> None:  # noqa: ARG001  (all fine)
    """Raise SettingError for fewer threads than 0, UserError if a package is not installed."""
    needs_packages("dnsmos", "quality", ("speechmos", "onnx", "onnxruntime", "numba", "librosa"))
    check_at_least("dnsmos", "threads", threads, 0)


def identify(*, scale: Scale = "ovrl", personalised: bool = False, threads: int = 0) -> str:  # noqa: ARG001  (threads)
    """The fingerprint of the judge with these settings, without loading it."""
    from audiometry.tasks.metrics.dnsmos_onnx import network_file

    folder = "pdnsmos_models" if personalised else "dnsmos_models"
    return fingerprint(
        VERSION,
        [network_file(folder, "sig_bak_ovr.onnx"), network_file("dnsmos_models", "model_v8.onnx")],
        settings={"scale": scale, "personalised": personalised},
        packages=("speechmos", "librosa", "soxr"),
    )


@model("dnsmos", abilities={"rate"}, check=check, fingerprint=identify, deterministic=True, needs="quality")
def dnsmos(*, scale: Scale = "ovrl", personalised: bool = False, threads: int = 0) -> OneByOne:
    """Judge of speech quality: DNSMOS P.835 and P.808 of the sound in the role candidate."""
    count = thread_count(threads)

    def answer(request: Request) -> Output:
        return rate_quality(sound_of(request, "candidate", "input"), scale, personalised=personalised, threads=count)

    return OneByOne(
        name=shown_name("dnsmos", dnsmos, {"scale": scale, "personalised": personalised}),
        fingerprint=identify(scale=scale, personalised=personalised),
        abilities=frozenset({"rate"}),
        answer=answer,
    )


def rate_quality(
    waveform: Waveform, scale: Scale = "ovrl", *, personalised: bool = False, threads: int | None = None
) -> Output:
    """The four DNSMOS scores of a sound as labels, about 1 to 5, and the one on `scale` as the score.

    `waveform` may have any rate; it is resampled to 16 kHz, and what lies beyond [-1, 1] is cut.

    Raises AudioError for sound under 20 ms or that is not finite.
    """
    from audiometry.tasks.metrics.dnsmos import dnsmos as measure

    heard = resample(waveform, RATE)
    scores = measure(Waveform(np.clip(heard.samples, -1.0, 1.0), RATE), personalised=personalised, threads=threads)
    labels = {"ovrl": scores.ovrl, "sig": scores.sig, "bak": scores.bak, "p808": scores.p808}
    return Output(score=labels[scale], labels=labels)
