"""Phonemes of texts by espeak-ng, and phoneme errors of transcripts.

A phoneme error rate forgives spelling and punishes sound: "their" for "there" costs nothing. Both texts are read by
the same rules, so the numbers depend on the version of espeak-ng (`espeak_version`), which belongs beside them.

The library comes with the package espeakng-loader (extra `text`) and is called through ctypes: five functions, which
did not earn another package between. It keeps one voice and some state a process. So calls from all threads wait for
each other here, and nothing else in the process should drive the same library. It also remembers words of a second
language from text to text, a foreign phrase in French, say, which can change what the next one sounds like; it is
made to forget them each time, so a text's phonemes depend on the text and its language alone.
"""

from __future__ import annotations

import ctypes
import difflib
import functools
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import UnknownNameError, UserError
from audiometry.benchmark.types import FloatArray
from audiometry.tasks.metrics.transcription import EditCounts, count_tokens, word_error_rate

__all__ = ["count_phonemes", "espeak_version", "phoneme_error_rate", "phonemes"]

_SEPARATOR = "\ue000"  # private use: no phoneme is written with it
_IPA = 0x02 | ord(_SEPARATOR) << 8
_UTF8 = 1
_SYNCHRONOUS = 2  # no sound device, and no threads of its own
_DO_NOT_EXIT = 0x8000
_STRESS = str.maketrans("", "", "ˈˌ")
_SWITCH = re.compile(r"\([A-Za-z][A-Za-z0-9-]*\)")
_LANGUAGE = re.compile(r"[a-z][a-z0-9-]*")
_VOICES = {"en": "en-us", "en-gb": "en-gb-x-rp", "zh": "cmn"}
_FORGET = "가 क α"
"""Read to make the library forget: it keeps one second language, and these letters need at least two in any voice, so
that the last of them is loaded afresh."""
_LOCK = threading.Lock()  # held from before the library is loaded: there is one a process


def phonemes(texts: Sequence[str], language: str, *, stress: bool = False) -> list[list[str]]:
    """Phonemes of each text in the International Phonetic Alphabet, as espeak-ng would say it.

    `language` is a language of espeak-ng (`en`, `es`, `fr`, `it`, `ru`, `pt-br`, …); `en` means `en-us`. Long vowels,
    diphthongs and affricates are one phoneme each. `stress` keeps the marks ˈ and ˌ before stressed vowels. Words are
    not told apart, and words that espeak-ng takes for foreign are read in their own language. A text without anything
    to say gives an empty list.

    >>> phonemes(["The judge's chair"], "en")
    [['ð', 'ə', 'dʒ', 'ʌ', 'dʒ', 'ᵻ', 'z', 'tʃ', 'ɛɹ']]

    Raises UnknownNameError for a language that espeak-ng does not have, UserError if espeakng-loader is not installed
    or its library does not load.
    """
    if isinstance(texts, str):
        raise UserError("texts is a list of texts; wrap a single text in a list")
    with _LOCK:
        engine = _engine()
        engine.speak(language.lower())
        spoken = [engine.read(text) for text in texts]
    return [_phonemes(line, stress) for line in spoken]


def count_phonemes(references: Sequence[str], hypotheses: Sequence[str], language: str) -> EditCounts:
    """Count phoneme errors of many pairs of texts at once; `phoneme_error_rate` makes the ratio.

    >>> count_phonemes(["their chair"], ["there hair"], "en").substitutions.tolist()
    [1]

    Raises UserError if there are not as many hypotheses as references, and as `phonemes` does.
    """
    return count_tokens(phonemes(references, language), phonemes(hypotheses, language))


def phoneme_error_rate(counts: EditCounts) -> FloatArray:
    """Errors per reference phoneme, of counts by `count_phonemes`: else as `word_error_rate`.

    >>> phoneme_error_rate(count_phonemes(["cat"], ["cut"], "en")).round(3).tolist()
    [0.333]
    """
    return word_error_rate(counts)


def espeak_version() -> str:
    """Version of the espeak-ng library. Raises UserError as `phonemes` does.

    >>> espeak_version().startswith("1.")
    True
    """
    with _LOCK:
        return _engine().version


def _phonemes(line: str, stress: bool) -> list[str]:
    line = _SWITCH.sub(_SEPARATOR, line).replace(" ", _SEPARATOR).replace("-", "")
    if not stress:
        line = line.translate(_STRESS)
    return [phoneme for phoneme in line.split(_SEPARATOR) if phoneme]


@functools.cache
def _engine() -> _Engine:
    return _Engine()


class _Engine:
    """The library and the voice it has. Nothing that it remembers of one text reaches the next."""

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ModuleNotFoundError as error:
            raise UserError(
                "phonemes need the package 'espeakng-loader'; install it with: pip install 'audiometry[text]'"
            ) from error
        try:
            self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise UserError(f"espeak-ng does not load ({error}); reinstall the package 'espeakng-loader'") from error
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self._library.espeak_Info.restype = ctypes.c_char_p
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._data = str(Path(espeakng_loader.get_data_path())).encode()
        self._voice = ""
        self._start()
        self.version = str(self._library.espeak_Info(None).decode())

    def _start(self) -> None:
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, self._data, _DO_NOT_EXIT) < 0:
            raise UserError("espeak-ng does not start; reinstall the package 'espeakng-loader'")

    def speak(self, language: str) -> None:
        """Change the language, unless it is spoken already."""
        voice = _VOICES.get(language, language)
        if voice == self._voice:
            return
        if not _LANGUAGE.fullmatch(voice) or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            known = self._languages()
            near = difflib.get_close_matches(language, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UnknownNameError(f"espeak-ng has no language {language!r}; {hint}available: {', '.join(known)}")
        self._voice = voice
        self._read(_FORGET)

    def read(self, text: str) -> str:
        """The text's phonemes, separated within words by `_SEPARATOR`, with marks of language switches."""
        spoken = self._read(text)
        if _SWITCH.search(spoken):
            self._read(_FORGET)
        return spoken

    def _read(self, text: str) -> str:
        buffer = ctypes.create_string_buffer(text.replace("\x00", " ").encode("utf-8", "replace"))
        place = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses = []
        while place.value is not None:
            clauses.append(self._library.espeak_TextToPhonemes(ctypes.byref(place), _UTF8, _IPA).decode())
        return " ".join(clauses)

    def _languages(self) -> list[str]:
        voices = self._library.espeak_ListVoices(None)
        names = set()
        place = 0
        while voices[place]:
            names.add(voices[place].contents.identifier.decode().lower().rpartition("/")[2])  # "roa/fr" → "fr"
            place += 1
        return sorted(names)


class _Voice(ctypes.Structure):
    """espeak_VOICE of speak_lib.h."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )
