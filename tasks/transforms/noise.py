"""Additive noise at a signal-to-noise ratio: `noise` (white, pink, hum) and `babble` (clips of a prepared corpus)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from audiometry.benchmark.audio import read_file, resample
from audiometry.benchmark.errors import AudioError, DataError
from audiometry.benchmark.types import Audio, FloatArray, Waveform
from audiometry.tasks.corpora.utterance import load_corpus
from audiometry.tasks.transforms.changes import Settings, change, check_range
from audiometry.tasks.transforms.levels import active_speech_level, add_at_snr

__all__ = ["add_babble", "add_noise", "babble_noise", "corpus_digest", "hum_noise", "pink_noise", "white_noise"]

Kind = Literal["white", "pink", "hum"]

LOWEST = 20.0
"""Hz. Below this, pink noise is flat: what nobody hears shall not take the power."""

HARMONICS = 10


def white_noise(length: int, generator: np.random.Generator) -> FloatArray:
    """Normal noise of shape (length,): the same power in each hertz."""
    return generator.standard_normal(length)


def pink_noise(length: int, rate: int, generator: np.random.Generator) -> FloatArray:
    """Noise of shape (length,) whose power falls by 3 dB an octave above 20 Hz: the same power in each octave."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / rate)
    spectrum /= np.sqrt(np.maximum(frequencies, LOWEST))
    spectrum[0] = 0
    return np.fft.irfft(spectrum, length)


def hum_noise(length: int, rate: int, mains: float, generator: np.random.Generator) -> FloatArray:
    """Mains hum of shape (length,): ten harmonics of `mains` Hz, amplitudes 1/k, phases drawn."""
    time = np.arange(length) / rate
    orders = [order for order in range(1, HARMONICS + 1) if order * mains < rate / 2]
    phases = generator.uniform(0, 2 * np.pi, HARMONICS)
    waves = [np.sin(2 * np.pi * order * mains * time + phases[order - 1]) / order for order in orders]
    return np.asarray(np.sum(waves, axis=0), dtype=np.float64)


def _check_noise(*, snr: float, mains: float = 50.0, **_: object) -> None:
    check_range("noise", "snr", snr, -60, 120, "dB")
    check_range("noise", "mains", mains, 40, 70, "Hz")


@change("noise", version="1", check=_check_noise)
def add_noise(
    waveform: Waveform, generator: np.random.Generator, *, snr: float, kind: Kind = "white", mains: float = 50.0
) -> Waveform:
    """White, pink or mains-hum noise at `snr` dB below the active speech level."""
    length = len(waveform.samples)
    if kind == "white":
        sound = white_noise(length, generator)
    elif kind == "pink":
        sound = pink_noise(length, waveform.rate, generator)
    else:
        sound = hum_noise(length, waveform.rate, mains, generator)
    return add_at_snr(waveform, sound, snr)


def corpus_digest(corpus: str) -> str:
    """A sha256 in hex over the ids and contents of a prepared corpus, remembered within this process.

    Raises DataError if the corpus is not prepared or does not tell its recordings' digests.
    """
    return _catalogue(corpus)[0]


@lru_cache(maxsize=4)
def _catalogue(corpus: str) -> tuple[str, tuple[Audio, ...]]:
    audios = []
    whole = hashlib.sha256()
    for utterance in load_corpus(corpus):
        if utterance.audio.digest is None:
            raise DataError(f"babble needs a prepared corpus; {corpus!r} does not tell its recordings' digests")
        whole.update(f"{utterance.id}\x1f{utterance.audio.digest}\n".encode())
        audios.append(utterance.audio)
    return whole.hexdigest(), tuple(audios)


def _check_babble(*, snr: float, corpus: str = "", talkers: int = 6) -> None:
    check_range("babble", "snr", snr, -60, 120, "dB")
    check_range("babble", "talkers", talkers, 1, 64)
    if not corpus:
        raise DataError("babble is made of a corpus' clips; name a prepared one: corpus=NAME")


def _pin_babble(settings: Settings, audio: Audio) -> Settings:
    return {"digest": corpus_digest(str(settings["corpus"])), "without": audio.digest or ""}


@change("babble", version="1", check=_check_babble, pin=_pin_babble, own=frozenset({"digest", "without"}))
def add_babble(
    waveform: Waveform,
    generator: np.random.Generator,
    *,
    snr: float,
    corpus: str,
    talkers: int = 6,
    digest: str = "",
    without: str = "",
) -> Waveform:
    """Several voices at once, made of clips of a prepared corpus other than this one, at `snr` dB."""
    there, audios = _catalogue(corpus)
    if there != digest:
        raise AudioError(f"babble was planned with other recordings of {corpus!r} than are here; prepare it anew")
    others = [audio for audio in audios if audio.digest != without]
    return add_at_snr(waveform, babble_noise(len(waveform.samples), waveform.rate, others, talkers, generator), snr)


def babble_noise(
    length: int, rate: int, audios: list[Audio], talkers: int, generator: np.random.Generator
) -> FloatArray:
    """`talkers` voices of shape (length,) at one active level, each saying drawn clips one after the other.

    Each voice begins somewhere within its first clip, so that they do not all begin at once.

    Raises AudioError for a clip whose file is not the one that its corpus lists, or where there is none to draw.
    """
    if not audios:
        raise AudioError("there is no other clip to make babble of")
    total = np.zeros(length)
    for _ in range(talkers):
        voice: list[FloatArray] = []
        missing = length
        while missing > 0:
            clip = _clip(audios[int(generator.integers(len(audios)))], rate)
            if not voice:
                clip = clip[int(generator.integers(len(clip))) :]
            voice.append(clip)
            missing -= len(clip)
        total += np.concatenate(voice)[:length]
    return total


@lru_cache(maxsize=256)
def _clip(audio: Audio, rate: int) -> FloatArray:
    """One clip at `rate` Hz and an active level of -26 dB, float64."""
    data = Path(audio.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != audio.digest:
        raise AudioError(f"{audio.path}: has changed since its corpus was prepared; prepare it anew")
    heard = resample(read_file(audio.path, start=audio.start, end=audio.end), rate)
    return heard.samples.astype(np.float64) * 10 ** ((-26.0 - active_speech_level(heard)) / 20)
