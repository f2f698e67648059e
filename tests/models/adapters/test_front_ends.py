from __future__ import annotations

import doctest
from collections.abc import Sequence

import numpy as np
import pytest

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, model, parse_spec
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.models.adapters import enhancement
from audiometry.models.adapters.common import Recogniser, fingerprint
from audiometry.models.adapters.enhancement import energy_vad, silero_vad, spectral_subtraction

RATE = 16_000
HEARD: list[Waveform] = []


@model("front-end-listener", abilities={"transcribe"})
def listener(*, word: str = "heard") -> Recogniser:
    """Keeps what it hears."""

    def answer(requests: Sequence[Request]) -> list[Output]:
        HEARD.extend(request.waveforms["input"] for request in requests)
        return [Output(text=f"{word} {i}", timings={"total": 1.0}) for i in range(len(requests))]

    return Recogniser("listener", fingerprint("listener", (), settings={"word": word}), answer)


def asked(*sounds: np.ndarray) -> list[Request]:
    return [Request("transcribe", waveforms={"input": Waveform(s.astype(np.float32), RATE)}) for s in sounds]


def made(text: str):
    return MODELS.create(parse_spec(text))


def harmonic(seconds: float = 2.0) -> np.ndarray:
    """A voice of harmonics in bursts, so that the median over time is the noise's."""
    at = np.arange(round(seconds * RATE)) / RATE
    gate = (np.floor(at * 4) % 4 == 0).astype(float)
    return gate * sum(np.sin(2 * np.pi * 150 * k * at) / k for k in range(1, 12)) * 0.1


def snr(estimate: np.ndarray, clean: np.ndarray) -> float:
    gain = estimate @ clean / (clean @ clean)
    return float(10 * np.log10(np.sum((gain * clean) ** 2) / np.sum((estimate - gain * clean) ** 2)))


@pytest.mark.parametrize("level", [0.02, 0.05, 0.1])
def test_spectral_subtraction_takes_noise_away(level: float) -> None:
    clean = harmonic()
    noisy = clean + np.random.default_rng(0).normal(0, level, len(clean))
    cleaned = spectral_subtraction(Waveform(noisy.astype(np.float32), RATE))
    assert len(cleaned.samples) == len(clean)
    assert snr(cleaned.samples.astype(float), clean) > snr(noisy, clean) + 3


def test_examples() -> None:
    result = doctest.testmod(enhancement)
    assert result.attempted > 0
    assert result.failed == 0


def test_spectral_subtraction_edges() -> None:
    sound = Waveform(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), RATE)
    np.testing.assert_allclose(spectral_subtraction(sound, over=0).samples, sound.samples, atol=1e-6)
    np.testing.assert_allclose(spectral_subtraction(sound, floor=1, over=0).samples, sound.samples, atol=1e-6)
    quieter = [np.std(spectral_subtraction(sound, over=over).samples) for over in (1, 2, 4, 8)]
    assert (np.diff(quieter) < 0).all()
    louder = [np.std(spectral_subtraction(sound, floor=floor).samples) for floor in (0.001, 0.01, 0.1)]
    assert (np.diff(louder) > 0).all()
    short = Waveform(np.ones(100, np.float32), RATE)
    assert spectral_subtraction(short) is short
    assert not spectral_subtraction(Waveform(np.zeros(RATE, np.float32), RATE)).samples.any()


def test_energy_vad_keeps_whole_frames_above_the_threshold() -> None:
    quiet, loud = np.full(1600, 10 ** (-40.1 / 20)), np.full(1600, 10 ** (-39.9 / 20))
    sound = Waveform(np.concatenate([quiet, loud, quiet]).astype(np.float32), RATE)
    assert energy_vad(sound).samples.tolist() == sound.samples[1600:3200].tolist()
    assert energy_vad(sound, padding=0.02).seconds == pytest.approx(0.14)
    assert energy_vad(sound, threshold=-60).samples.tolist() == sound.samples.tolist()
    assert len(energy_vad(sound, threshold=-20).samples) == 0
    odd = Waveform(np.full(1700, 0.5, np.float32), RATE)
    assert len(energy_vad(odd).samples) == 1700


@pytest.mark.speech
def test_silero_finds_speech(spoken: list[tuple[Request, str]]) -> None:
    speech = max((request.waveforms["input"] for request, _ in spoken), key=lambda w: w.seconds)
    pause = np.zeros(2 * speech.rate, np.float32)
    kept = silero_vad(Waveform(np.concatenate([pause, speech.samples, pause]), speech.rate))
    assert 0.5 * speech.seconds < kept.seconds < speech.seconds + 0.5
    noise = np.random.default_rng(0).normal(0, 0.01, 2 * RATE).astype(np.float32)
    assert len(silero_vad(Waveform(noise, RATE)).samples) == 0


def test_the_model_inside_hears_the_cleaned_sound() -> None:
    HEARD.clear()
    wrapped = made("front-end:model=front-end-listener:word=yes,method=energy-vad,threshold=-20,padding=0")
    loud, silence = np.full(RATE, 0.5), np.zeros(RATE)
    half = np.concatenate([loud, silence])
    answers = wrapped.generate([*asked(half, silence, loud), Request("transcribe")])
    assert [(one.status, one.text) for one in answers] == [
        ("ok", "yes 0"), ("empty", ""), ("ok", "yes 1"), ("error", None)
    ]  # fmt: skip
    assert [one.seconds for one in HEARD] == [1.0, 1.0]
    assert answers[0].timings["total"] == pytest.approx(1 + answers[0].timings["front-end"])
    assert answers[1].timings["total"] > 0
    assert wrapped.generate(asked(silence))[0].status == "empty"
    wrapped.close()


def test_the_first_token_waits_for_the_front_end_too(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped = made("front-end:model=front-end-listener,method=energy-vad")
    told = {"first": 0.25, "total": 1.0, "network": 0.125}
    monkeypatch.setattr(wrapped.inner, "generate", lambda _: [Output(text="yes", timings=told)])
    (answer,) = wrapped.generate(asked(np.full(RATE, 0.5)))
    spent = answer.timings["front-end"]
    assert spent > 0
    assert answer.timings == {"first": 0.25 + spent, "total": 1.0 + spent, "network": 0.125, "front-end": spent}


def test_the_fingerprint_tells_method_settings_and_model() -> None:
    specs = [
        "front-end:model=front-end-listener,method=energy-vad",
        "front-end:model=front-end-listener,method=energy-vad,threshold=-30",
        "front-end:model=front-end-listener,method=spectral-subtraction",
        "front-end:model=front-end-listener:word=b,method=energy-vad",
        "front-end:model=front-end-listener,method=silero-vad",
    ]
    models = [made(spec) for spec in specs]
    prints = [one.fingerprint for one in models]
    assert len({*prints, listener().fingerprint}) == 6
    assert made(specs[0]).fingerprint == prints[0]
    assert models[1].name == "front-end:method=energy-vad,model=front-end-listener,threshold=-30.0"
    assert models[0].abilities == MODELS.abilities(parse_spec(specs[0])) == {"transcribe"}
    assert models[0].deterministic


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model=whispr,method=energy-vad", "did you mean 'whisper'"),
        ("model=whisper:beem=2,method=energy-vad", "did you mean 'beam'"),
        ("model=oracle,method=energy-vad", "handed own target"),
        ("model=espeak-ng,method=energy-vad", "works elsewhere"),
        ("model=front-end:model=whisper,method=energy-vad", "needs the setting 'method'"),
        ("model=whisper,method=wiener", "spectral-subtraction, energy-vad, silero-vad"),
        ("model=whisper,method=energy-vad,over=3", "takes no setting 'over'; it takes: padding, threshold"),
        ("model=whisper,method=spectral-subtraction,floor=2", "outside 0 to 1"),
        ("model=whisper", "needs the setting 'method'"),
    ],
)
def test_what_cannot_be_wrapped_says_why(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        MODELS.check(parse_spec(f"front-end:{text}"))
