"""`synthetic-sounds`: simple sounds made from seeds, each with its class and five captions made from its settings.

Twelve classes, ten clips of each: pitch, pace, length and level vary. They are sounds of a machine, not recordings:
numbers on them say whether a model tells noises from tones and slow from fast, not how it does on the world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.tasks.corpora.making import RATE, no_source, package_versions, write_clip
from audiometry.tasks.corpora.prepared import Built, PreparedCorpus, Report
from audiometry.tasks.corpora.rows import CaptionedClip, SoundClip
from audiometry.tasks.corpora.utterance import open_corpus

__all__ = ["CLASSES", "MadeSound", "captioned_sounds", "labelled_sounds", "make_sound", "synthetic_sounds"]

NAME = "synthetic-sounds"
LICENCE = "CC0-1.0"
EACH = 10

Maker: TypeAlias = Callable[[FloatArray, float, float], FloatArray]
"""(times in s, pitch 0 to 1, pace in events a second) → sound at any level, of the shape of times."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a class sounds, and how people would put it: a noun, and a verb that fits it."""

    make: Maker
    noun: str
    verb: str
    paced: bool = True
    pitched: bool = True


@dataclass(frozen=True, slots=True)
class MadeSound:
    """A sound, its class, and five captions."""

    waveform: Waveform
    event: str
    captions: tuple[str, ...]


def _hertz(pitch: float, low: float, high: float) -> float:
    return float(low * (high / low) ** pitch)


def _phase(times: FloatArray, pace: float) -> FloatArray:
    """Seconds since the last event."""
    return times % (1.0 / pace)


def _harmonics(times: FloatArray, hertz: float, count: int) -> FloatArray:
    parts = [np.sin(2 * np.pi * hertz * n * times) / n for n in range(1, count + 1)]
    return np.asarray(np.sum(parts, axis=0), np.float64)


def _noise(times: FloatArray, pitch: float) -> FloatArray:
    """Noise whose seed is its own settings; a higher pitch has more of the highs."""
    drawn = np.random.default_rng(round(1e6 * pitch) + len(times)).normal(size=len(times))
    spectrum = np.fft.rfft(drawn)
    hertz = np.fft.rfftfreq(len(times), 1 / RATE)
    return np.fft.irfft(spectrum / (1 + (hertz / _hertz(pitch, 300, 6000)) ** 2), len(times))


def _gate(times: FloatArray, pace: float, share: float = 0.5) -> FloatArray:
    """1 for the first `share` of each event, with edges of 5 ms."""
    length = share / pace
    return np.clip(np.minimum(_phase(times, pace), length - _phase(times, pace)) / 0.005, 0.0, 1.0)


def _siren(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    middle = _hertz(pitch, 500, 1200)
    swing = 0.4 * middle / (2 * np.pi * pace / 2)
    return np.sin(2 * np.pi * middle * times - swing * 2 * np.pi * np.cos(np.pi * pace * times))


def _bell(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    since, hertz = _phase(times, pace), _hertz(pitch, 300, 1500)
    partials = ((1.0, 3.0), (2.0, 4.0), (2.76, 6.0), (5.4, 9.0))
    rung = [np.sin(2 * np.pi * hertz * r * since) * np.exp(-d * since) for r, d in partials]
    return np.asarray(np.sum(rung, axis=0), np.float64)


def _drip(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    since, hertz = _phase(times, pace), _hertz(pitch, 600, 1500)
    return np.sin(2 * np.pi * (hertz * since + 4 * hertz * since**2)) * np.exp(-30 * since)


def _knock(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    since = _phase(times, pace)
    return (np.sin(2 * np.pi * _hertz(pitch, 90, 250) * since) + 0.3 * _noise(times, pitch)) * np.exp(-50 * since)


def _chirp(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    since, hertz = _phase(times, pace), _hertz(pitch, 2000, 4000)
    return np.sin(2 * np.pi * (hertz * since + 2500 * since**2)) * _gate(times, pace, 0.3)


def _ring(times: FloatArray, pitch: float, pace: float) -> FloatArray:
    hertz = _hertz(pitch, 400, 900)
    trill = np.where((times * 20) % 1 < 0.5, np.sin(2 * np.pi * hertz * times), np.sin(2.5 * np.pi * hertz * times))
    return trill * _gate(times, pace / 2, 0.6)


KINDS: Mapping[str, Kind] = {
    "tone": Kind(lambda t, pitch, _: np.sin(2 * np.pi * _hertz(pitch, 200, 2000) * t), "tone", "sounds", paced=False),
    "beeps": Kind(
        lambda t, pitch, pace: np.sin(2 * np.pi * _hertz(pitch, 500, 2500) * t) * _gate(t, pace), "beep", "repeats"
    ),
    "siren": Kind(_siren, "siren", "rises and falls"),
    "bell": Kind(_bell, "bell", "rings"),
    "telephone": Kind(_ring, "telephone", "trills"),
    "noise": Kind(lambda t, pitch, _: _noise(t, pitch), "noise", "hisses", paced=False),
    "wind": Kind(
        lambda t, pitch, pace: _noise(t, pitch / 4) * (0.55 + 0.45 * np.sin(np.pi * pace / 2 * t)), "wind", "howls",
        pitched=False,
    ),
    "clicks": Kind(
        lambda t, pitch, pace: _noise(t, pitch) * np.exp(-400 * _phase(t, 2 * pace)), "clock", "ticks", pitched=False
    ),
    "knocking": Kind(_knock, "knock on a door", "comes again and again", pitched=False),
    "engine": Kind(
        lambda t, pitch, pace: _harmonics(t, _hertz(pitch, 30, 90), 20) * (1 + 0.3 * np.sin(2 * np.pi * pace * t)),
        "engine", "hums", paced=False,
    ),
    "dripping water": Kind(_drip, "drop of water", "falls over and over"),
    "bird": Kind(_chirp, "bird", "chirps"),
}  # fmt: skip
CLASSES = tuple(KINDS)


def make_sound(event: str, number: int) -> MadeSound:
    """The sound of a class with this number, from 1. The same each time, at 16 kHz, 2 to 4 s long.

    Raises KeyError for an unknown class.
    """
    kind = KINDS[event]
    random = np.random.default_rng(derive_seed(0, NAME, event, str(number)))
    high, fast = bool(number % 2), bool(number // 2 % 2)
    pitch = random.uniform(0.7, 1.0) if high else random.uniform(0.0, 0.3)
    pace = random.uniform(4.0, 6.0) if fast else random.uniform(1.0, 2.0)
    times = np.arange(round(random.uniform(2.0, 4.0) * RATE)) / RATE
    made = kind.make(times, pitch, pace)
    fade = np.clip(np.minimum(times, times[-1] - times) / 0.02, 0.0, 1.0)
    level = 10 ** (random.uniform(-12.0, -3.0) / 20)
    samples = level * made * fade / np.max(np.abs(made))
    return MadeSound(Waveform(samples.astype(np.float32), RATE), event, _captions(kind, high, fast))


def _captions(kind: Kind, high: bool, fast: bool) -> tuple[str, ...]:
    height = ("high" if high else "low") if kind.pitched else ""
    pace = ("quickly" if fast else "slowly") if kind.paced else "steadily"
    thing = f"{height} {kind.noun}".strip()
    article = "An" if thing[0] in "aeiou" else "A"
    return (
        f"{article} {thing} {kind.verb} {pace}.",
        f"The sound of {article.lower()} {thing} that {kind.verb} {pace}.",
        f"{pace.capitalize()} {article.lower()} {thing} {kind.verb}.",
        f"{article} {thing} {kind.verb} {pace} and nothing else is heard.",
        f"One hears {article.lower()} {thing}, it {kind.verb} {pace}.",
    )


@corpus(NAME, licence=LICENCE, package="none: made here", speech="none")
def synthetic_sounds() -> PreparedCorpus:
    """Sounds made from seeds: 120 clips of twelve classes, each with five captions."""
    return PreparedCorpus(
        name=NAME,
        language="en",
        licence=LICENCE,
        citation="made by Audiometry from seeds",
        build=_build,
        synthetic=True,
        notes=("synthetic sounds, captions by rule",),
        slices={"sound": "synthetic"},
    )


def _build(folder: Path, source: str | None, report: Report) -> Built:
    no_source(NAME, source)
    report(f"making {len(CLASSES) * EACH} sounds")
    clips = []
    for event in CLASSES:
        for number in range(1, EACH + 1):
            made = make_sound(event, number)
            name = f"{event.replace(' ', '-')}-{number:02d}"
            facts = {"speaker": "", "language": "en", "gender": "", "licence": LICENCE}
            clips.append(write_clip(folder, NAME, name, made.waveform, text="\n".join(made.captions), **facts))
    return Built(clips, origin=package_versions("numpy"))


def labelled_sounds() -> Iterator[SoundClip]:
    """Every clip with its one class. Raises DataError if the corpus is not prepared."""
    for one in open_corpus(NAME).utterances():
        event = one.id.partition("/")[2].rpartition("-")[0].replace("-", " ")
        yield SoundClip(one.id, one.audio, (event,), {"event": event})


def captioned_sounds() -> Iterator[CaptionedClip]:
    """Every clip with its five captions. Raises DataError if the corpus is not prepared."""
    for clip, one in zip(labelled_sounds(), open_corpus(NAME).utterances(), strict=True):
        yield CaptionedClip(one.id, one.audio, tuple(one.text.split("\n")), clip.slices)
