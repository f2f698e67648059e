"""Resemblyzer: a speaker encoder with its weights in the package (Wan et al. 2018, "Generalized End-to-End Loss for
Speaker Verification").

Three LSTM layers over 40 mel bands give 256 numbers, none negative, of length 1. Silence is cut out first. The
similarity of two voices is the cosine of their embeddings, here 0 to 1.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters.common import check_at_least, fingerprint, thread_count
from audiometry.models.adapters.one_by_one import OneByOne, sound_of
from audiometry.tasks.metrics.compiled_code import keep_entries_apart
from audiometry.tasks.metrics.similarity import cosine_similarity

__all__ = ["load_encoder", "resemblyzer"]

VERSION = "resemblyzer 1"
RATE = 16_000
SHORTEST = 480
"""Samples of one frame of the voice activity detector; in less there is no voice."""


def check(*, threads: int = 0) -> None:
    """Raise SettingError for fewer threads than 0, UserError if a package is not installed."""
    check_at_least("resemblyzer", "threads", threads, 0)
    for module in ("resemblyzer", "webrtcvad", "torch", "librosa"):
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"model 'resemblyzer' needs the package {module!r}; install it with: "
                "pip install 'audiometry[torch,quality]' && pip install --no-deps resemblyzer==0.1.4 webrtcvad-wheels"
            )


def identify(*, threads: int = 0) -> str:  # noqa: ARG001  (threads change no answer)
    """The fingerprint of the encoder, without loading it."""
    return fingerprint(
        VERSION, [_folder() / "pretrained.pt"], settings={}, packages=("resemblyzer", "torch", "librosa", "soxr")
    )


@model("resemblyzer", abilities={"embed", "rate"}, check=check, fingerprint=identify, deterministic=True)
def resemblyzer(*, threads: int = 0) -> OneByOne:
    """Speaker encoder Resemblyzer: embeds a voice, or rates how alike a candidate's and a voice are."""
    import torch

    keep_entries_apart()  # it uses librosa
    torch.set_num_threads(thread_count(threads))
    encoder, preprocess = load_encoder()

    def embed(waveform: Waveform) -> NDArray[np.float32] | None:
        heard = resample(waveform, RATE).samples
        if len(heard) < SHORTEST or not np.any(heard):
            return None
        voiced = preprocess(np.clip(heard, -1.0, 1.0))
        return np.asarray(encoder.embed_utterance(voiced), np.float32) if len(voiced) else None

    def answer(request: Request) -> Output:
        if request.ability == "embed":
            embedding = embed(sound_of(request, "input", "candidate"))
            return Output(status="empty") if embedding is None else Output(embedding=embedding)
        said, voice = embed(sound_of(request, "candidate", "input")), embed(sound_of(request, "voice"))
        if voice is None:
            raise ValueError("there is no voice in the sound in the role 'voice'")
        return Output(status="empty") if said is None else Output(score=float(cosine_similarity(voice, said)[0]))

    return OneByOne(name="resemblyzer", fingerprint=identify(), abilities=frozenset({"embed", "rate"}), answer=answer)


def load_encoder() -> tuple[Any, Any]:
    """The encoder with its weights, and what prepares sound for it."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of SciPy's and setuptools' old names, by the package
        library = importlib.import_module("resemblyzer")
    path = _folder() / "pretrained.pt"
    torch.load(path, map_location="cpu", weights_only=True)  # raises for a file with anything but tensors in it
    return library.VoiceEncoder("cpu", verbose=False), library.preprocess_wav


def _folder() -> Path:
    found = importlib.util.find_spec("resemblyzer")
    return Path(next(iter(found.submodule_search_locations or ()))) if found else Path()
