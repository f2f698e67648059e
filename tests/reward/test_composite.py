"""The plain composite reward, on real speech."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audiometry.reward
from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, Spec, parse_spec
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.reward.composite import combine
from audiometry.tasks.corpora.utterance import load_corpus

assert audiometry.reward.composite  # importing the package registers the model


@given(st.floats(-5, 10), st.floats(0, 5), st.floats(0, 10), st.floats(0.001, 10))
def test_the_reward_is_between_0_and_1_and_falls_with_errors(
    opinion: float, errors: float, quality: float, pronunciation: float
) -> None:
    weights = {"quality": quality, "pronunciation": pronunciation}
    value = combine(opinion, errors, **weights)
    assert 0.0 <= value <= 1.0 + 1e-12
    assert combine(opinion, errors + 0.5, **weights) <= value + 1e-12
    assert combine(opinion + 1.0, errors, **weights) >= value - 1e-12


def test_by_hand() -> None:
    assert combine(4.0, 0.1, quality=3.0, pronunciation=1.0) == pytest.approx((3 * 0.75 + 0.9) / 4)


@pytest.mark.speech
def test_clean_speech_with_the_right_words_is_rewarded_most() -> None:
    said = next(one for one in load_corpus("asterisk-en") if 4.0 < (one.audio.seconds or 0) < 5.0)
    clean = read(said.audio)
    hiss = np.random.default_rng(0).normal(0.0, 0.05, len(clean.samples)).astype(np.float32)
    noisy = Waveform((clean.samples + hiss).clip(-1, 1), clean.rate)
    reward: Any = MODELS.create(Spec("composite-reward"))
    assert reward.fingerprint == MODELS.fingerprint(Spec("composite-reward"))

    def ask(text: str | None, sound: Waveform) -> Request:
        return Request("rate", text=text, language="en", waveforms={"candidate": sound})

    wrong = "Bananas grow on Tuesdays under the bridge."
    right, worse, other, none, silent = reward.generate(
        [ask(said.text, clean), ask(said.text, noisy), ask(wrong, clean), ask(None, clean), Request("rate", text="a")]
    )
    reward.close()
    assert 0.5 < right.score < 1.0
    assert right.score > worse.score + 0.05
    assert right.score > other.score + 0.2
    assert right.labels["per"] < 0.2
    assert other.labels["per"] > 0.6
    assert right.score == pytest.approx(combine(right.labels["ovrl"], right.labels["per"]))
    assert (none.status, silent.status) == ("error", "error")
    assert "no text" in none.error
    assert "no sound" in silent.error


def test_a_recogniser_that_fails_is_an_error_and_not_a_low_reward(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        def generate(self, _: object) -> list[Output]:
            return [Output(status="error", error="it is deaf")]

        def close(self) -> None:
            pass

    reward: Any = MODELS.create(Spec("composite-reward"))
    create = MODELS.create
    monkeypatch.setattr(MODELS, "create", lambda spec: Deaf() if spec.name == "whisper" else create(spec))
    reward = MODELS.create(Spec("composite-reward"))
    sound = Waveform(np.zeros(1600, np.float32), 16_000)
    answer = reward.generate([Request("rate", text="hello", waveforms={"candidate": sound})])[0]
    assert (answer.status, answer.error) == ("error", "RuntimeError: the recogniser whisper failed: it is deaf")
    assert answer.score is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("quality=-1", "give 0 or more"),
        ("quality=0,pronunciation=0", "one of them above 0"),
        ("recogniser=dnsmos", "'dnsmos' must transcribe"),
        ("recogniser=silent", "known before it is loaded"),
    ],
)
def test_bad_settings_are_refused(settings: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        MODELS.check(parse_spec(f"composite-reward:{settings}"))


def test_settings_are_part_of_the_fingerprint() -> None:
    specs = ("composite-reward", "composite-reward:quality=2", "composite-reward:recogniser=pocketsphinx")
    assert len({MODELS.fingerprint(parse_spec(one)) for one in specs}) == 3
