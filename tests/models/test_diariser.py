from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Request, Segment, Waveform
from audiometry.models.adapters import diariser
from audiometry.models.adapters.diariser import clustered, spans, voiced_frames

RATE = 16_000


def tone(seconds: float, hertz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


class Voices:
    """In place of the encoder: tells a low from a high tone in windows of 0.4 s."""

    def embed_utterance(self, samples: np.ndarray, *, return_partials: bool, rate: float) -> tuple[object, ...]:
        cuts = [slice(start, start + 6400) for start in range(0, max(len(samples) - 6400, 1), round(RATE / rate))]
        crossings = [np.mean(np.diff(np.sign(samples[cut])) != 0) for cut in cuts]
        rows = [[1.0, 0.0] if share < 0.1 else [0.0, 1.0] for share in crossings]
        return None, np.array(rows), cuts


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> diariser.OneByOne:
    monkeypatch.setattr(diariser.encoder, "load_encoder", lambda: (Voices(), None))
    monkeypatch.setattr(diariser.encoder, "check", lambda **_: None)
    return MODELS.create(Spec("energy-diariser", (("speakers", "2"),)))  # type: ignore[return-value]


def heard(samples: np.ndarray) -> Request:
    return Request("transcribe", waveforms={"input": Waveform(samples, RATE)})


def test_two_voices_in_turn(asked: diariser.OneByOne) -> None:
    silence = np.zeros(RATE, np.float32)
    (output,) = asked.generate([heard(np.concatenate([tone(2, 200), silence, tone(2, 3000), tone(2, 200)]))])
    assert [one.label for one in output.segments] == ["speaker-1", "speaker-2", "speaker-1"]
    times = [time for one in output.segments for time in (one.start, one.end)]
    assert times == pytest.approx([0, 2, 3, 5, 5, 7], abs=0.25)
    assert asked.name == "energy-diariser:speakers=2"


def test_silence_is_empty(asked: diariser.OneByOne) -> None:
    (output,) = asked.generate([heard(np.zeros(RATE, np.float32))])
    assert (output.status, output.segments) == ("empty", ())


def test_pauses_are_bridged_and_clicks_dropped() -> None:
    gap = np.zeros(round(0.1 * RATE), np.float32)
    bridged = voiced_frames(np.concatenate([tone(1, 300), gap, tone(1, 300)]))
    assert bridged.all()
    click = tone(0.04, 300)
    silence = np.zeros(RATE, np.float32)
    found = voiced_frames(np.concatenate([tone(1, 300), silence, click, silence]))
    assert found[:50].all()
    assert not found[50:].any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 3), max_size=40))
def test_spans_hold_every_frame(who: list[int]) -> None:
    found = spans(np.array(who, dtype=np.int64))
    back = [-1] * len(who)
    for one in found:
        for place in range(round(one.start / 0.02), round(one.end / 0.02)):
            back[place] = int(one.label.removeprefix("speaker-")) - 1
    assert back == who


def test_clusters() -> None:
    windows = np.array([[0, 1], [1, 0], [1, 0.1], [0.1, 1], [1, 0]], np.float32)
    assert clustered(windows, 0, 0.35).tolist() == [0, 1, 1, 0, 1]
    assert clustered(windows, 1, 0.35).tolist() == [0] * 5
    assert clustered(windows[:1], 0, 0.35).tolist() == [0]
    assert spans(np.array([], dtype=np.int64)) == ()
    assert spans(np.array([0])) == (Segment(0.0, 0.02, "speaker-1"),)


@pytest.mark.parametrize(("name", "value"), [("speakers", "-1"), ("threshold", "1.5")])
def test_bad_settings(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        MODELS.check(Spec("energy-diariser", ((name, value),)))
