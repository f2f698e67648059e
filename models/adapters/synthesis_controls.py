"""Controls of the synthesis tasks: a perfect voice, which is the human recording itself, and one that says nothing.

Both are shown and never ranked. `silent` (in `controls`) answers with silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.audio import read
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Audio, Output, Request, Target, Waveform
from audiometry.models.adapters.common import answer_one, fingerprint
from audiometry.models.adapters.one_by_one import OneByOne, text_of

__all__ = ["human_recording", "white_noise"]

VERSION = "synthesis controls 1"
RATE = 16_000
SECONDS_PER_CHARACTER = 0.07
"""About what people take."""

LEVEL = 0.1
"""Root mean square of the noise."""


@dataclass(frozen=True)
class HumanRecording:
    """A control that answers with the recording in the target that it is given."""

    fingerprint: str
    name: str = "human-recording"
    abilities: frozenset[Ability] = frozenset({"synthesize"})
    deterministic: bool = True

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """The recording of each target."""
        return [
            answer_one(lambda target=target: _recording(target))  # type: ignore[misc]
            for _, target in zip(requests, given, strict=True)
        ]

    def close(self) -> None:
        """Nothing to give back."""


@model("human-recording", abilities={"synthesize"}, control=True, given="own target")
def human_recording() -> HumanRecording:
    """Control that answers with the human recording of the text."""
    return HumanRecording(fingerprint(f"human-recording, {VERSION}", (), settings={}))


@model("white-noise", abilities={"synthesize"}, control=True, waveforms=False)
def white_noise() -> OneByOne:
    """Control that answers with white noise, about as long as the text."""

    def answer(request: Request) -> Output:
        length = max(round(len(text_of(request)) * SECONDS_PER_CHARACTER * RATE), RATE // 2)
        noise = np.random.default_rng(request.seed).normal(0.0, LEVEL, length).clip(-1.0, 1.0)
        return Output(audio=Waveform(noise.astype(np.float32), RATE))

    return OneByOne(
        name="white-noise",
        fingerprint=fingerprint(f"white-noise, {VERSION}", (), settings={}),
        abilities=frozenset({"synthesize"}),
        answer=answer,
        deterministic=False,
    )


def _recording(target: Target) -> Output:
    recording = target.get("recording") if isinstance(target, Mapping) else None
    if not isinstance(recording, Audio):
        raise ValueError("the target holds no human recording of the text")
    return Output(audio=read(recording))
