"""Speech by espeak-ng with the times of its words and phonemes: known boundaries, and many voices for one sentence.

The library (package espeakng-loader, extra `text`) keeps its voice and its callback in globals, and
`audiometry.tasks.metrics.phonemes` holds it for reading. So a copy of the library's file is loaded here, to the loader
another library with globals of its own. The state of its noise outlasts a sentence and is not what its seed sets: the
copy is loaded afresh for each, so that a sentence sounds alike whatever was said before.
"""

from __future__ import annotations

import _ctypes
import atexit
import ctypes
import functools
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import SettingError, UnknownNameError, UserError
from audiometry.benchmark.types import Segment, Waveform

__all__ = ["Delivery", "Spoken", "speak"]

SYNCHRONOUS = 2  # sound goes to the callback, and there are no threads
PHONEME_EVENTS, DO_NOT_EXIT = 0x01, 0x8000
UTF8 = 1
SEED = 1
WORD, END, PHONEME = 1, 5, 7
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
PAUSES = ("_", "")
"""How phoneme events that are pauses begin; an event without a name ends a clause."""

LIMITS = {"rate": (80, 450), "volume": (0, 200), "pitch": (0, 100), "range": (0, 100)}
_LOCK = threading.Lock()  # held for a whole sentence: the library speaks one at a time


@dataclass(frozen=True)
class Delivery:
    """How a sentence is said: `rate` in words a minute (80 to 450), `volume` in percent (0 to 200), `pitch` and
    `range` (of its movement) on espeak-ng's scales of 0 to 100."""

    rate: int = 175
    volume: int = 100
    pitch: int = 50
    range: int = 50


@dataclass(frozen=True)
class Spoken:
    """Sound, and where its words and phonemes are. `words` carry the text's own letters, `phonemes` espeak-ng's names.

    A word lasts from its event to the end of its last phoneme, so that pauses belong to no word. What espeak-ng says as
    one word ("in the") is one here, with both in its label.
    """

    waveform: Waveform
    words: tuple[Segment, ...]
    phonemes: tuple[Segment, ...]


def speak(text: str, voice: str, delivery: Delivery = Delivery()) -> Spoken:
    """Say `text` by `voice`: a language of espeak-ng, with a variant after ``+`` (``en-us+f2``).

    The same text, voice and delivery give the same samples. Raises UserError if espeakng-loader is not installed or
    its library does not load, or if the text has nothing to say; UnknownNameError for a voice that is not there;
    SettingError for a delivery out of its range.

    >>> said = speak("Good morning.", "en-us")
    >>> [word.label for word in said.words], said.waveform.rate
    (['Good', 'morning'], 22050)
    """
    for name, (low, high) in LIMITS.items():
        if not low <= getattr(delivery, name) <= high:
            raise SettingError(f"delivery, {name}: {getattr(delivery, name)} is outside {low} to {high}")
    with _LOCK, _loaded() as library:
        return library.speak(text, voice, delivery)


class _Name(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Name),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True)
class _Seen:
    """An event: its kind, when it came (s), the place and length of its word in the text, its phoneme's name."""

    kind: int
    time: float
    place: int
    length: int
    name: str


@functools.cache
def _copied() -> Path:
    """A copy of the library's file, kept as long as the process lives."""
    try:
        import espeakng_loader
    except ModuleNotFoundError as error:
        raise UserError(
            "speech by espeak-ng needs the package 'espeakng-loader'; install it with: pip install 'audiometry[text]'"
        ) from error
    folder = Path(tempfile.mkdtemp(prefix="audiometry-espeak-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(shutil.copy(espeakng_loader.get_library_path(), folder / "libespeak-ng-speech.so"))


def _data() -> Path:
    import espeakng_loader

    return Path(espeakng_loader.get_data_path())


@contextmanager
def _loaded() -> Iterator[_Library]:
    """The library with all its variables as they were at first; unloaded in the end."""
    try:
        calls: Any = ctypes.CDLL(str(_copied()))
    except OSError as error:
        raise UserError(f"espeak-ng does not load ({error}); reinstall the package 'espeakng-loader'") from error
    try:
        yield _Library(calls)
    finally:
        calls.espeak_Terminate()
        _ctypes.dlclose(calls._handle)


class _Library:
    """The library, started, and the callback that gathers what it says."""

    def __init__(self, calls: Any) -> None:
        self._calls = calls
        self._rate = calls.espeak_Initialize(SYNCHRONOUS, 0, str(_data()).encode(), PHONEME_EVENTS | DO_NOT_EXIT)
        if self._rate <= 0:
            raise UserError("espeak-ng does not start; reinstall the package 'espeakng-loader'")
        self._sound: list[NDArray[np.int16]] = []
        self._events: list[_Seen] = []
        self._callback = _CALLBACK(self._hear)
        calls.espeak_SetSynthCallback(self._callback)
        calls.espeak_ng_SetRandSeed(ctypes.c_long(SEED))

    def _hear(self, sound: Any, count: int, events: Any) -> int:
        if sound and count > 0:
            self._sound.append(np.ctypeslib.as_array(sound, shape=(count,)).copy())
        place = 0
        while events[place].type != 0:
            one = events[place]
            name = one.id.string.decode("utf-8", "replace") if one.type == PHONEME else ""
            self._events.append(_Seen(one.type, one.sample / self._rate, one.text_position, one.length, name))
            place += 1
        return 0

    def speak(self, text: str, voice: str, delivery: Delivery) -> Spoken:
        variant = voice.partition("+")[2]  # an unknown one would be passed over without a word
        known = not variant or ("/" not in variant and (_data() / "voices" / "!v" / variant).is_file())
        if not known or self._calls.espeak_SetVoiceByName(voice.encode()) != 0:
            raise UnknownNameError(f"espeak-ng has no voice {voice!r}; name a language, as en-us, or one with +VARIANT")
        for parameter, value in (
            (RATE, delivery.rate), (VOLUME, delivery.volume), (PITCH, delivery.pitch), (RANGE, delivery.range),
        ):  # fmt: skip
            self._calls.espeak_SetParameter(parameter, value, 0)
        data = text.replace("\x00", " ").encode()
        self._calls.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 1, 0, UTF8, None, None)
        if not self._sound or not any(event.kind == WORD for event in self._events):
            raise UserError(f"espeak-ng has nothing to say for {text!r}; give a text with words")
        samples = np.concatenate(self._sound).astype(np.float32) / 32768.0
        seconds = len(samples) / self._rate
        phonemes = _phonemes(self._events, seconds)
        return Spoken(Waveform(samples, self._rate), _words(self._events, phonemes, text, seconds), phonemes)


def _phonemes(events: list[_Seen], seconds: float) -> tuple[Segment, ...]:
    """Every phoneme from its event to the next one's. Pauses are left out."""
    marks = [event for event in events if event.kind == PHONEME]
    ends = [min(event.time, seconds) for event in marks[1:]] + [seconds]
    return tuple(
        Segment(mark.time, end, mark.name)
        for mark, end in zip(marks, ends, strict=True)
        if not mark.name.startswith(PAUSES[0]) and mark.name != PAUSES[1] and end > mark.time
    )


def _words(events: list[_Seen], phonemes: tuple[Segment, ...], text: str, seconds: float) -> tuple[Segment, ...]:
    """Every word from its event to the end of the last phoneme before the next word.

    espeak-ng says some pairs as one word ("in the") and tells only the first's length: the label is all the text up to
    the next word, without what is around its letters.
    """
    marks = [event for event in events if event.kind == WORD]
    limits = [event.time for event in marks[1:]] + [seconds]
    places = [event.place - 1 for event in marks[1:]] + [len(text)]
    found = []
    for mark, limit, place in zip(marks, limits, places, strict=True):
        own = [phoneme for phoneme in phonemes if mark.time <= phoneme.start < limit]
        label = re.sub(r"^\W+|\W+$", "", text[mark.place - 1 : place])
        if own and label:
            found.append(Segment(own[0].start, own[-1].end, label))
    return tuple(found)
