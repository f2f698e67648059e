"""Controls: models that know the answer, know nothing, or know the wrong answer.

They keep a task honest. `oracle` must score perfectly, `silent` must score as no answer does, and `shuffled`, which
answers with another sample's target, must score as a good answer to another question does. None is ever ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request, Target, Waveform
from audiometry.models.adapters.common import answer_one, fingerprint, text_output

__all__ = ["oracle", "shuffled", "silent", "target_as_output"]

VERSION = "controls 1"
TARGET_ABILITIES: frozenset[Ability] = frozenset({"transcribe", "respond", "detect", "classify", "rate"})
SILENT_ABILITIES: frozenset[Ability] = TARGET_ABILITIES | {"align", "synthesize", "convert"}
SILENCE = Waveform(np.zeros(16_000, np.float32), 16_000)
"""One second of nothing: what `silent` says where sound is asked for."""


@dataclass(frozen=True)
class TargetControl:
    """A control that answers with the target that it is given."""

    name: str
    abilities: frozenset[Ability]
    fingerprint: str
    deterministic: bool = True

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """Turn each given target into the answer that its request asks for."""
        return [
            answer_one(lambda request=request, target=target: target_as_output(request.ability, target))  # type: ignore[misc]
            for request, target in zip(requests, given, strict=True)
        ]

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True)
class Silent:
    """A control that answers nothing."""

    fingerprint: str
    name: str = "silent"
    abilities: frozenset[Ability] = SILENT_ABILITIES
    deterministic: bool = True

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Answer each request with nothing: no text, no score, or a second of zeros."""
        return [_silence(request.ability) for request in requests]

    def close(self) -> None:
        """Nothing to give back."""


@model("oracle", abilities=TARGET_ABILITIES, control=True, given="own target")
def oracle() -> TargetControl:
    """Control that answers with the sample's own target."""
    return TargetControl("oracle", TARGET_ABILITIES, fingerprint(f"oracle, {VERSION}", (), settings={}))


@model("shuffled", abilities=TARGET_ABILITIES, control=True, given="other target")
def shuffled() -> TargetControl:
    """Control that answers with another sample's target."""
    return TargetControl("shuffled", TARGET_ABILITIES, fingerprint(f"shuffled, {VERSION}", (), settings={}))


@model("silent", abilities=SILENT_ABILITIES, control=True)
def silent() -> Silent:
    """Control that answers nothing."""
    return Silent(fingerprint(f"silent, {VERSION}", (), settings={}))


def target_as_output(ability: Ability, target: Target) -> Output:
    """The answer to a request for `ability` that says exactly `target`.

    A transcript or reply is the text; a detection scores 1 for the target ``"bonafide"`` (or the number 1) and 0 for
    any other; a class is the one label, with probability 1; a rating is the score.

    >>> target_as_output("detect", "bonafide").score, target_as_output("detect", "A07").score
    (1.0, 0.0)

    Raises ValueError for a target that says nothing about `ability` (a structure that only its task understands).
    """
    to_output = _BY_ABILITY.get(ability)
    if to_output is None or not isinstance(target, str | int | float):
        raise ValueError(f"a target of type {type(target).__name__} is no answer to {ability!r}")
    return to_output(target)


def _text(target: str | float) -> Output:
    if not isinstance(target, str):
        raise ValueError(f"the target {target!r} is not a text")
    return text_output(target)


def _detection(target: str | float) -> Output:
    return Output(score=1.0 if target in ("bonafide", 1) else 0.0)


_BY_ABILITY: dict[Ability, Callable[[str | float], Output]] = {
    "transcribe": _text,
    "respond": _text,
    "detect": _detection,
    "classify": lambda target: Output(labels={str(target): 1.0}),
    "rate": lambda target: Output(score=float(target)),
}


def _silence(ability: Ability) -> Output:
    if ability in ("synthesize", "convert"):
        return Output(audio=SILENCE, timings={"total": 0.0})
    text = "" if ability in ("transcribe", "respond") else None
    return Output(status="empty", text=text, timings={"total": 0.0})
