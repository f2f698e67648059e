from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Model, Output, Request, Waveform
from audiometry.models.adapters import common

WordErrorRate = Callable[[list[str], list[Output]], float]


@pytest.mark.speech
def test_real_speech_is_recognised_whatever_came_before(
    spoken: list[tuple[Request, str]], word_error_rate: WordErrorRate
) -> None:
    requests = [request for request, _ in spoken]
    recogniser = MODELS.create(Spec("pocketsphinx"))
    outputs = recogniser.generate(requests)
    assert {output.status for output in outputs} == {"ok"}
    assert word_error_rate([text for _, text in spoken], outputs) < 0.7
    backwards = recogniser.generate(requests[::-1])[::-1]
    alone = MODELS.create(Spec("pocketsphinx")).generate([requests[-1]])
    assert [output.text for output in backwards] == [output.text for output in outputs]
    assert alone[0].text == outputs[-1].text
    recogniser.close()


def test_silence_is_heard_alike_whatever_came_before(sound: Callable[..., Request]) -> None:
    silent, tone = (
        Request("transcribe", waveforms={"input": Waveform(samples.astype(np.float32), 16_000)})
        for samples in (np.zeros(48_000), 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000))
    )
    recogniser = MODELS.create(Spec("pocketsphinx"))
    heard = recogniser.generate([silent, tone, silent, sound(1.0), silent])
    assert len({output.text for output in heard[::2]}) == 1
    recogniser.close()


def test_one_bad_sample_costs_only_itself(sound: Callable[..., Request]) -> None:
    recogniser = MODELS.create(Spec("pocketsphinx"))
    assert isinstance(recogniser, Model)
    assert recogniser.deterministic
    first, bad, short = recogniser.generate([sound(0.3), Request("transcribe"), sound(0.001)])
    assert first.status in ("ok", "empty")
    assert first.timings["total"] > 0.0
    assert (bad.status, bad.error) == ("error", "the request has no sound in the role 'input'")
    assert (short.status, short.text) == ("empty", "")


def test_the_package_is_asked_for_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"needs the package 'pocketsphinx'; .*audiometry\[asr\]"):
        MODELS.check(Spec("pocketsphinx"))
