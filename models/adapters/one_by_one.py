"""A model that answers one request at a time by a function: the shape of the synthesisers and judges here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import Ability, Output, Request, Waveform
from audiometry.models.adapters.common import answer_one

__all__ = ["OneByOne", "sound_of", "text_of"]


@dataclass
class OneByOne:
    """A Model whose work is the function `answer`. What it raises becomes that request's error."""

    name: str
    fingerprint: str
    abilities: frozenset[Ability]
    answer: Callable[[Request], Output]
    deterministic: bool = True
    release: Callable[[], None] = lambda: None

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Answer each request in order, with the seconds that it took."""
        return [answer_one(lambda request=request: self.answer(request)) for request in requests]  # type: ignore[misc]

    def close(self) -> None:
        """Give back what the model holds."""
        self.release()


def text_of(request: Request) -> str:
    """What a synthesis request asks to say, without white space around it; nothing without a letter or digit.

    Raises ValueError if the request has no text.
    """
    if request.text is None:
        raise ValueError("the request has no text to say")
    return request.text.strip() if any(letter.isalnum() for letter in request.text) else ""


def sound_of(request: Request, *roles: str) -> Waveform:
    """The decoded sound in the first of `roles` that the request has.

    Raises AudioError if it has none of them.
    """
    for role in roles:
        if role in request.waveforms:
            return request.waveforms[role]
    raise AudioError(f"the request has no sound in the role {' or '.join(map(repr, roles))}")
