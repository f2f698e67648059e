"""A control that always talks: whatever it hears, it says the same sentence.

Where nobody speaks it is the worst answer there is, as `silent` is the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.common import fingerprint

__all__ = ["SENTENCE", "talking"]

VERSION = "talking 1"
ABILITIES: frozenset[Ability] = frozenset({"transcribe", "respond"})
SENTENCE = "Thank you for watching, and do not forget to like and subscribe."
"""What recognisers trained on video captions are known to write for silence."""


@dataclass(frozen=True)
class Talking:
    """The control's model."""

    fingerprint: str
    name: str = "talking"
    abilities: frozenset[Ability] = ABILITIES
    deterministic: bool = True

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Say the sentence, at once."""
        return [Output(text=SENTENCE, timings={"first": 0.0, "total": 0.0}) for _ in requests]

    def close(self) -> None:
        """Nothing to give back."""


@model("talking", abilities=ABILITIES, control=True)
def talking() -> Talking:
    """Control that always says the same sentence."""
    return Talking(fingerprint(VERSION, (), settings={}))
