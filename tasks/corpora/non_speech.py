"""`non-speech`: 200 clips in which nobody speaks, made on this machine from seeds.

Ten kinds of sound, four lengths, five clips of each. What they are made of is in `KINDS`; each clip's randomness
derives from its id, so that a clip does not depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import encode_wav
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of

__all__ = ["KINDS", "RATE", "SECONDS", "Kind", "make_clip", "non_speech"]

RATE = 16_000
SECONDS = (1, 3, 10, 32)
"""Lengths of the clips. The last is longer than Whisper's window of 30 s."""

NUMBERS = range(1, 6)
LEVELS = (-40.0, -15.0)
"""Level (root mean square, dBFS) from … to, drawn for each clip; silence has its own."""

FLOORS = (-80.0, -60.0)
LICENCE = "CC0-1.0"

Signal: TypeAlias = NDArray[np.float64]
Maker: TypeAlias = Callable[[int, np.random.Generator], Signal]
"""(samples, generator) → sound at any level, shape (samples,)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sound: the group that it belongs to, and how it is made."""

    group: str
    make: Maker


@corpus("non-speech", licence=LICENCE, package="none: made here", speech="none")
def non_speech() -> PreparedCorpus:
    """Sounds without speech: 200 clips of silence, noise, hum, tones, music and unintelligible babble, made here."""
    return PreparedCorpus(
        name="non-speech",
        language="",
        licence=LICENCE,
        citation="made by Audiometry from seeds",
        build=_build,
        synthetic=True,
        notes=("synthetic sounds",),
    )


def make_clip(name: str, kind: str, seconds: float, *, silent: bool = False) -> Waveform:
    """The clip called `name`: `seconds` of a kind of sound (a key of `KINDS`) at 16 kHz, in [-1, 1].

    The same name, kind and length give the same samples. `silent` gives digital silence whatever the kind.

    >>> make_clip("a", "drums", 0.5).samples.shape
    (8000,)
    """
    generator = np.random.default_rng(derive_seed(0, "non-speech", name))
    count = round(seconds * RATE)
    level = -np.inf if silent else generator.uniform(*(FLOORS if kind == "silence" else LEVELS))
    signal = KINDS[kind].make(count, generator)
    signal = signal * (10 ** (level / 20) / np.sqrt(np.mean(signal**2)))
    signal /= max(1.0, float(np.max(np.abs(signal))) / 0.99)
    return Waveform(signal.astype(np.float32), RATE)


def _build(folder: Path, source: str | None, report: Report) -> Built:
    if source is not None:
        raise DataError("corpus 'non-speech' is made on this machine; leave out --source")
    report(f"making {len(KINDS) * len(SECONDS) * len(NUMBERS)} clips")
    (folder / "audio").mkdir()
    clips = []
    for kind in KINDS:
        for seconds in SECONDS:
            for number in NUMBERS:
                name = f"{kind}-{seconds:02g}s-{number}"
                made = make_clip(name, kind, seconds, silent=kind == "silence" and number == NUMBERS[0])
                file = folder / "audio" / f"{name}.wav"
                file.write_bytes(encode_wav(made))
                clips.append(_clip(name, file, made.seconds))
    return Built(clips, origin={name: version(name) for name in ("numpy", "scipy")})


def _clip(name: str, file: Path, seconds: float) -> Clip:
    return Clip(
        id=f"non-speech/{name}",
        file=f"audio/{file.name}",
        sha256=sha256_of(file),
        bytes=file.stat().st_size,
        seconds=seconds,
        text="",
        speaker="",
        language="",
        gender="",
        licence=LICENCE,
    )


def _white(count: int, generator: np.random.Generator) -> Signal:
    return generator.standard_normal(count)


def _coloured(exponent: float) -> Maker:
    """Gaussian noise whose power falls as frequency to the minus `exponent`, from 20 Hz up."""

    def make(count: int, generator: np.random.Generator) -> Signal:
        spectrum = np.fft.rfft(generator.standard_normal(count))
        frequency = np.fft.rfftfreq(count, 1 / RATE)
        spectrum *= np.where(frequency < 20.0, 0.0, np.maximum(frequency, 20.0) ** (-exponent / 2))
        return np.asarray(np.fft.irfft(spectrum, count))

    return make


def _hum(count: int, generator: np.random.Generator) -> Signal:
    """Mains at 50 or 60 Hz with ten harmonics, each half as strong in amplitude as its number says."""
    time = np.arange(count) / RATE
    mains = generator.choice([50.0, 60.0])
    phases = generator.uniform(0, 2 * np.pi, 10)
    waves = [np.sin(2 * np.pi * mains * (k + 1) * time + phases[k]) / (k + 1) for k in range(10)]
    return np.asarray(np.sum(waves, axis=0)) + 0.01 * generator.standard_normal(count)


def _tones(count: int, generator: np.random.Generator) -> Signal:
    """Pure beeps of 0.1 to 0.5 s with gaps. No pairs of tones: those of a telephone's keys stand for digits."""
    signal = np.zeros(count)
    at = 0
    while at < count:
        length = int(generator.uniform(0.1, 0.5) * RATE)
        _add(signal, at, _note(generator.uniform(200.0, 3500.0), length, harmonics=1, decay=0.0))
        at += length + int(generator.uniform(0.05, 0.5) * RATE)
    return signal


def _chords(count: int, generator: np.random.Generator) -> Signal:
    """Major and minor triads of 0.5 to 2 s, one after the other."""
    signal = np.zeros(count)
    at = 0
    while at < count:
        length = int(generator.uniform(0.5, 2.0) * RATE)
        root = 110.0 * 2 ** (generator.integers(0, 13) / 12)
        for step in (0, generator.choice([3, 4]), 7, 12):
            _add(signal, at, _note(root * 2 ** (step / 12), length, harmonics=6, decay=2.0))
        at += length
    return signal


def _melody(count: int, generator: np.random.Generator) -> Signal:
    """A random walk on a pentatonic scale, 2 to 5 notes a second."""
    scale = [220.0 * 2 ** ((12 * octave + step) / 12) for octave in (0, 1) for step in (0, 2, 4, 7, 9)]
    signal = np.zeros(count)
    at, place = 0, int(generator.integers(len(scale)))
    length = int(RATE / generator.uniform(2.0, 5.0))
    while at < count:
        place = int(np.clip(place + generator.integers(-2, 3), 0, len(scale) - 1))
        _add(signal, at, _note(scale[place], length, harmonics=5, decay=4.0))
        at += length
    return signal


def _drums(count: int, generator: np.random.Generator) -> Signal:
    """Bass drum, snare and hi-hat in a random pattern of sixteen steps, at 80 to 160 beats a minute."""
    step = int(RATE * 15.0 / generator.uniform(80.0, 160.0))
    pattern = generator.random((3, 16)) < np.array([[0.3], [0.2], [0.5]])
    pattern[0, 0] = True
    time = np.arange(int(0.25 * RATE)) / RATE
    bass = np.sin(2 * np.pi * (50.0 * time - 4.0 * np.exp(-time / 0.04))) * np.exp(-time / 0.08)
    signal = np.zeros(count)
    for number, at in enumerate(range(0, count, step)):
        noise = generator.standard_normal(len(time))
        sounds = (bass, 0.5 * noise * np.exp(-time / 0.05), 0.2 * np.diff(noise, prepend=0.0) * np.exp(-time / 0.015))
        for row, sound in zip(pattern, sounds, strict=True):
            if row[number % 16]:
                _add(signal, at, sound)
    return signal


def _babble(count: int, generator: np.random.Generator) -> Signal:
    """Eight voices that say nothing: pulse trains through three random formants, 3 to 6 syllables a second.

    Vowel-like, as the artificial babble of hearing research is, and without words (the idea is that of the ICRA noises:
    Dreschler et al. 2001, Audiology 40).
    """
    return np.asarray(np.sum([_voice(count, generator) for _ in range(8)], axis=0))


def _voice(count: int, generator: np.random.Generator) -> Signal:
    from scipy.signal import lfilter

    signal = np.zeros(count)
    pitch = generator.uniform(90.0, 250.0)
    at = -int(generator.uniform(0.0, 0.3) * RATE)
    while at < count:
        length = int(RATE / generator.uniform(3.0, 6.0))
        contour = pitch * (1.0 + 0.1 * generator.standard_normal() * np.linspace(-1.0, 1.0, length))
        source = np.diff(np.floor(np.cumsum(contour) / RATE), prepend=0.0) + 0.02 * generator.standard_normal(length)
        for low, high in ((250.0, 900.0), (900.0, 2300.0), (2300.0, 3500.0)):
            radius, angle = np.exp(-np.pi * 90.0 / RATE), 2 * np.pi * generator.uniform(low, high) / RATE
            source = lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], source)
        envelope = np.hanning(length) * generator.choice([0.0, 1.0], p=[0.15, 0.85])
        energy = float(np.sqrt(np.mean(source**2)))
        _add(signal, at, source * envelope / max(energy, 1e-9))
        at += length
    return signal


def _note(frequency: float, length: int, *, harmonics: int, decay: float) -> Signal:
    """A note with its harmonics, dying away by `decay` a second, with ramps of 10 ms against clicks."""
    time = np.arange(length) / RATE
    waves = [np.sin(2 * np.pi * frequency * k * time) / k for k in range(1, harmonics + 1) if frequency * k < RATE / 2]
    ramp = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.01)
    return np.asarray(np.sum(waves, axis=0)) * np.exp(-decay * time) * ramp


def _add(signal: Signal, at: int, sound: Signal) -> None:
    """Add `sound` to `signal` from sample `at` on, as far as they overlap."""
    start = max(-at, 0)
    end = min(len(sound), len(signal) - at)
    if end > start:
        signal[at + start : at + end] += sound[start:end]


KINDS: Mapping[str, Kind] = {
    "silence": Kind("silence", _white),
    "white-noise": Kind("noise", _white),
    "pink-noise": Kind("noise", _coloured(1.0)),
    "brown-noise": Kind("noise", _coloured(2.0)),
    "hum": Kind("noise", _hum),
    "tones": Kind("tones", _tones),
    "chords": Kind("music", _chords),
    "melody": Kind("music", _melody),
    "drums": Kind("music", _drums),
    "babble": Kind("babble", _babble),
}
"""What the corpus holds. In ``silence`` every fifth clip is digital silence, the others a floor of -80 to -60 dBFS."""
