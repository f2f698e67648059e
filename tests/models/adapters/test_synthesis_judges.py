"""The models that judge synthesis, and its controls."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, Spec, parse_spec
from audiometry.benchmark.types import Audio, Output, Request, Waveform
from audiometry.models.adapters import common
from audiometry.models.adapters import resemblyzer as adapter
from audiometry.tasks.corpora.utterance import load_corpus
from audiometry.tasks.metrics.dnsmos import dnsmos


def noise(seconds: float, level: float = 0.1, rate: int = 16_000) -> Waveform:
    samples = np.random.default_rng(0).normal(0.0, level, round(seconds * rate))
    return Waveform(samples.clip(-1, 1).astype(np.float32), rate)


@pytest.fixture(scope="module")
def prompts() -> list[Waveform]:
    long = [one for one in load_corpus("asterisk-en") if 4.0 < (one.audio.seconds or 0) < 5.0]
    return [read(one.audio) for one in long[:3]]


@pytest.mark.speech
def test_dnsmos_rates_as_the_metric_does_and_speech_above_noise(prompts: list[Waveform]) -> None:
    made = MODELS.create(Spec("dnsmos"))
    loud = Waveform(noise(2.0).samples * 20, 16_000)  # beyond 1: it is cut
    speech, bad, short, beyond = made.generate(
        [Request("rate", waveforms={"candidate": one}) for one in (prompts[0], noise(2.0), noise(0.01), loud)]
    )
    direct = dnsmos(prompts[0], threads=1)
    assert speech.score == direct.ovrl
    assert dict(speech.labels) == {"ovrl": direct.ovrl, "sig": direct.sig, "bak": direct.bak, "p808": direct.p808}
    assert bad.score is not None
    assert 1.0 <= bad.score < 2.0 < direct.ovrl
    assert short.status == "error"
    assert beyond.status == "ok"
    other = MODELS.create(parse_spec("dnsmos:scale=p808")).generate([Request("rate", waveforms={"input": prompts[0]})])
    assert other[0].score == direct.p808
    assert made.fingerprint == MODELS.fingerprint(Spec("dnsmos")) != MODELS.fingerprint(parse_spec("dnsmos:scale=bak"))


@pytest.mark.speech
def test_resemblyzer_knows_a_voice_from_another_and_from_none(prompts: list[Waveform]) -> None:
    made = MODELS.create(Spec("resemblyzer"))
    first, second, _ = prompts
    stranger = MODELS.create(Spec("espeak-ng")).generate([Request("synthesize", text="Please hold the line for us.")])
    voice = stranger[0].audio
    assert voice is not None

    def alike(candidate: Waveform, reference: Waveform) -> Output:
        request = Request("rate", waveforms={"candidate": candidate, "voice": reference})
        return made.generate([request])[0]  # type: ignore[no-any-return]

    itself, same, other = (alike(one, first).score for one in (first, second, voice))
    assert itself == pytest.approx(1.0, abs=1e-6)
    assert 0.8 < same < 1.0  # type: ignore[operator]
    assert 0.0 < other < 0.7  # type: ignore[operator]
    silence = Waveform(np.zeros(16_000, np.float32), 16_000)
    assert alike(silence, first).status == "empty"
    assert alike(noise(0.01), first).status == "empty"
    told = alike(first, silence)
    assert (told.status, "no voice in the sound in the role 'voice'" in str(told.error)) == ("error", True)

    embedded, nothing = made.generate([Request("embed", waveforms={"input": one}) for one in (first, silence)])
    assert embedded.embedding.shape == (256,)
    assert np.linalg.norm(embedded.embedding) == pytest.approx(1.0, abs=1e-5)
    assert embedded.embedding.min() >= 0
    assert nothing.status == "empty"
    assert made.fingerprint == MODELS.fingerprint(Spec("resemblyzer"))


def test_the_encoders_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    MODELS.check(Spec("resemblyzer"))
    with pytest.raises(SettingError, match="threads"):
        MODELS.check(parse_spec("resemblyzer:threads=-1"))
    monkeypatch.setattr(adapter.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"'resemblyzer' needs the package 'resemblyzer'; .*--no-deps resemblyzer"):
        MODELS.check(Spec("resemblyzer"))


def test_dnsmos_packages_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    MODELS.check(Spec("dnsmos"))
    monkeypatch.setattr(common.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"audiometry\[quality\]"):
        MODELS.check(Spec("dnsmos"))


def test_the_perfect_control_copies_its_targets_recording(tmp_path: object) -> None:
    path = f"{tmp_path}/said.wav"
    soundfile.write(path, noise(0.5).samples, 16_000, subtype="FLOAT")
    entry = MODELS.get("human-recording")
    assert (entry.control, entry.given) == (True, "own target")
    made = MODELS.create(Spec("human-recording"))
    asked = Request("synthesize", text="x")
    copied, without = made.generate([asked] * 2, [{"text": "x", "recording": Audio(path)}, {"text": "x"}])
    np.testing.assert_array_equal(copied.audio.samples, noise(0.5).samples)
    assert (without.status, "no human recording" in str(without.error)) == ("error", True)
    made.close()


def test_the_noise_control_is_seeded_and_as_long_as_the_text() -> None:
    assert MODELS.get("white-noise").control
    made = MODELS.create(Spec("white-noise"))
    one, again, other, long = made.generate(
        [
            Request("synthesize", text=text, seed=seed)
            for text, seed in (("hello", 1), ("hello", 1), ("hello", 2), ("hello " * 10, 1))
        ]
    )
    np.testing.assert_array_equal(one.audio.samples, again.audio.samples)
    assert not np.array_equal(one.audio.samples, other.audio.samples)
    assert (one.audio.seconds, long.audio.seconds) == (0.5, pytest.approx(59 * 0.07))
    assert np.abs(one.audio.samples).max() <= 1
