"""Controls of the ambiguity task: one asks back always, one never, one at random. None is ever ranked."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.common import fingerprint, needs_packages
from audiometry.models.adapters.one_by_one import OneByOne, text_of
from audiometry.tasks.corpora.espeak_speech import Delivery, speak

__all__ = ["always_asks", "asks_at_random", "never_asks"]

VERSION = "asking controls 1"
ABILITIES: frozenset[Ability] = frozenset({"respond"})
VOICE = "en-us"
QUESTION = "How exactly should that sound?"


def check() -> None:
    """Raise UserError if the package that speaks is not installed."""
    needs_packages("never-asks", "text", ("espeakng_loader",))


def _made(name: str, answer: Callable[[Request], Output], *, deterministic: bool = True) -> OneByOne:
    return OneByOne(
        name=name,
        fingerprint=fingerprint(f"{name}, {VERSION}", (), settings={}, packages=("espeakng-loader",)),
        abilities=ABILITIES,
        answer=answer,
        deterministic=deterministic,
    )


@model("always-asks", abilities=ABILITIES, control=True)
def always_asks() -> OneByOne:
    """Control that asks back, whatever it is asked."""
    return _made("always-asks", lambda _: Output(text=QUESTION))


@model("never-asks", abilities=ABILITIES, control=True, check=check, needs="text")
def never_asks() -> OneByOne:
    """Control that says the text in one flat manner by espeak-ng and never asks."""
    return _made("never-asks", lambda request: Output(audio=speak(text_of(request), VOICE).waveform))


@model("asks-at-random", abilities=ABILITIES, control=True, check=check, needs="text")
def asks_at_random() -> OneByOne:
    """Control that tosses a coin: it asks back, or says the text in a random manner."""

    def answer(request: Request) -> Output:
        generator = np.random.default_rng(request.seed)
        if generator.random() < 0.5:
            return Output(text=QUESTION)
        rate, volume, pitch, width = generator.integers([120, 50, 20, 0], [260, 150, 80, 100]).tolist()
        return Output(audio=speak(text_of(request), VOICE, Delivery(rate, volume, pitch, width)).waveform)

    return _made("asks-at-random", answer, deterministic=False)
