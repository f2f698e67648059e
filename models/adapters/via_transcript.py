"""Closed questions answered through a transcript: another model writes down what is said, and the offered words that
stand in it are the answer.

It says how far recognition alone goes on keywords. It understands nothing: a question whose answer is not said word
for word (a multiple-choice question, an emotion) gets no answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, model, parse_spec
from audiometry.benchmark.types import Ability, Model, Output, Request
from audiometry.models.adapters.common import fingerprint
from audiometry.tasks.metrics.normalise import normaliser, normaliser_for
from audiometry.tasks.parsing import offered, takes_several

__all__ = ["ViaTranscript", "heard_labels", "via_transcript"]

VERSION = "via-transcript 1"
ABILITIES: frozenset[Ability] = frozenset({"classify", "respond"})


@dataclass
class ViaTranscript:
    """A Model that asks `inner` to transcribe and looks for the offered words."""

    name: str
    inner: Model
    fingerprint: str
    deterministic: bool
    abilities: frozenset[Ability] = ABILITIES

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Transcribe each request's ``input`` and answer with the offered words that are heard."""
        asked = [replace(request, ability="transcribe", text=None, instruction=None) for request in requests]
        return [
            answer_from(output, request) for output, request in zip(self.inner.generate(asked), requests, strict=True)
        ]

    def close(self) -> None:
        """Give back what the inner model holds."""
        self.inner.close()


def check(*, model: str) -> None:
    """Check the inner model's name and settings, and that it transcribes.

    Raises SettingError if it does not, and what the inner model's own check raises.
    """
    spec = parse_spec(model)
    entry = MODELS.check(spec)
    if "transcribe" not in MODELS.abilities(spec) or entry.waits or entry.given is not None:
        raise SettingError(
            f"model 'via-transcript', setting 'model': {model!r} is no recogniser that runs here; give model=whisper"
        )


@model("via-transcript", abilities=ABILITIES, check=check)
def via_transcript(*, model: str) -> ViaTranscript:
    """Closed questions answered by what a recogniser, model=NAME, writes down: the offered words that stand in it."""
    inner = MODELS.create(parse_spec(model))
    return ViaTranscript(
        name=f"via-transcript:model={model}",
        inner=inner,
        fingerprint=fingerprint(VERSION, (), settings={"inner": inner.fingerprint}),
        deterministic=inner.deterministic,
    )


def answer_from(transcript: Output, request: Request) -> Output:
    """What a transcript answers to a request: the offered words that it holds, as labels or in words.

    A question that takes several answers gets every word, and ``none`` where there is none; another gets the longest
    one, and no answer (``empty``) where none is there.
    """
    if transcript.status not in ("ok", "empty"):
        return transcript
    labels = offered(request.instruction)
    change = normaliser(normaliser_for(request.language or ""))
    said = change(transcript.text or "")
    found = heard_labels(said, {label: change(label) for label in labels})
    several = takes_several(request.instruction)
    kept = found if several else found[:1]
    if request.ability == "respond":
        text = ", ".join(kept) or ("none" if several else "")
        return replace(transcript, status="ok" if text else "empty", text=text)
    scores = {label: float(label in kept) for label in labels} if kept or several else {}
    return replace(transcript, status="ok" if scores else "empty", text=None, labels=scores)


def heard_labels(said: str, labels: Mapping[str, str]) -> list[str]:
    """The labels whose normalised words stand together in what is said, longest first, each where no longer one is.

    >>> heard_labels("press twenty one now", {"twenty one": "twenty one", "one": "one", "press": "press"})
    ['twenty one', 'press']
    """
    rest = f" {said} "
    found = []
    for label, words in sorted(labels.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if words and f" {words} " in rest:
            found.append(label)
            rest = rest.replace(f" {words} ", "  ")
    return found
