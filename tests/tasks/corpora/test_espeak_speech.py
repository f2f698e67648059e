from __future__ import annotations

import ctypes
import sys

import numpy as np
import pytest

from audiometry.benchmark.errors import SettingError, UnknownNameError, UserError
from audiometry.tasks.corpora import espeak_speech
from audiometry.tasks.corpora.espeak_speech import Delivery, speak
from audiometry.tasks.metrics.phonemes import phonemes

TEXT = "Good morning, my friend in the hall."


def test_a_sentence_sounds_alike_whatever_was_said_before():
    first = speak(TEXT, "en-us+f2").waveform
    speak("Something else.", "en-gb-x-rp+m2")
    phonemes(["and the reader's copy of the library"], "fr")
    again = speak(TEXT, "en-us+f2").waveform
    np.testing.assert_array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples[:1000], speak(TEXT, "en-us+m3").waveform.samples[:1000])
    assert np.abs(first.samples).max() > 0.1


def test_words_are_in_order_and_where_there_is_sound():
    said = speak(TEXT, "en-us")
    assert [word.label for word in said.words] == ["Good", "morning", "my", "friend", "in the", "hall"]
    assert all(before.end <= after.start for before, after in zip(said.words, said.words[1:], strict=False))
    assert all(0 <= word.start < word.end <= said.waveform.seconds for word in said.words)
    morning, my = said.words[1:3]
    assert my.start - morning.end > 0.05  # the comma's pause is no word's
    rate = said.waveform.rate
    pause = said.waveform.samples[round((morning.end + 0.02) * rate) : round((my.start - 0.02) * rate)]
    within = said.waveform.samples[round(morning.start * rate) : round(morning.end * rate)]
    assert np.sqrt(np.mean(pause**2)) < 0.1 * np.sqrt(np.mean(within**2))
    for word in said.words:
        own = [one for one in said.phonemes if word.start <= one.start < word.end]
        assert own[0].start == word.start
        assert own[-1].end == word.end


def test_a_delivery_is_heard():
    flat = speak(TEXT, "en-us", Delivery(rate=120))
    quick = speak(TEXT, "en-us", Delivery(rate=240, volume=50))
    assert quick.waveform.seconds < 0.7 * flat.waveform.seconds
    assert np.std(quick.waveform.samples) < 0.8 * np.std(flat.waveform.samples)


def test_bad_requests():
    for voice in ("zz-zz", "en-us+nosuch", "en-us+../f1"):
        with pytest.raises(UnknownNameError, match="no voice"):
            speak(TEXT, voice)
    with pytest.raises(SettingError, match="rate: 10 is outside 80 to 450"):
        speak(TEXT, "en-us", Delivery(rate=10))
    with pytest.raises(UserError, match="nothing to say"):
        speak("...", "en-us")


def test_a_missing_or_broken_library_says_how_to_mend_it(monkeypatch):
    def broken(_):
        raise OSError("no such symbol")

    with monkeypatch.context() as patch:
        patch.setattr(ctypes, "CDLL", broken)
        with pytest.raises(UserError, match="reinstall the package"):
            speak(TEXT, "en-us")
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    espeak_speech._copied.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'audiometry\[text\]'"):
        speak(TEXT, "en-us")
