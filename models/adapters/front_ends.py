"""Front ends: what is done to sound before a model hears it, as a wrapper round any model.

``front-end:model=whisper,method=spectral-subtraction`` asks Whisper about the cleaned sound; what that buys is
``audiometry compare`` of the two. The fingerprint is that of the method, its settings and the model inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.registry import MODELS, Entry, Spec, model, parse_spec
from audiometry.benchmark.types import Ability, Model, Output, Request, Waveform
from audiometry.models.adapters.common import fingerprint, needs_packages, shown_name
from audiometry.models.adapters.enhancement import energy_vad, silero_vad, spectral_subtraction

__all__ = ["METHODS", "FrontEnd", "front_end"]

VERSION = "front-end 1"
ABILITIES: frozenset[Ability] = frozenset({"transcribe", "detect", "classify", "embed", "respond"})

Method = Literal["spectral-subtraction", "energy-vad", "silero-vad"]
Clean: TypeAlias = Callable[[Waveform], Waveform]

METHODS: Mapping[str, Callable[..., Waveform]] = {
    "spectral-subtraction": spectral_subtraction,
    "energy-vad": energy_vad,
    "silero-vad": silero_vad,
}
TAKES: Mapping[str, frozenset[str]] = {
    "spectral-subtraction": frozenset({"over", "floor", "quantile"}),
    "energy-vad": frozenset({"threshold", "padding"}),
    "silero-vad": frozenset({"padding"}),
}
"""Settings of each method; their defaults are those of its function."""

RANGES: Mapping[str, tuple[float, float]] = {
    "over": (0.0, 20.0),
    "floor": (0.0, 1.0),
    "quantile": (0.01, 0.99),
    "threshold": (-120.0, 0.0),
    "padding": (0.0, 10.0),
}


FROM_THE_REQUEST = ("total", "first")
"""Timings of an answer that count from the request."""


@dataclass
class FrontEnd:
    """A Model that cleans each request's ``input`` and then asks the model inside."""

    name: str
    fingerprint: str
    inner: Model
    clean: Clean
    abilities: frozenset[Ability]
    deterministic: bool

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Ask about cleaned sound. Where nothing is left of it the answer is ``empty``, and the model is not asked.

        `timings` of each answer hold the front end's seconds: as ``front-end``, and within ``total`` and ``first``.
        """
        outputs: list[Output | None] = [None] * len(requests)
        asked: list[tuple[int, Request, float]] = []
        for place, request in enumerate(requests):
            cleaned, seconds = self._cleaned(request)
            if isinstance(cleaned, Output):
                outputs[place] = cleaned
            else:
                asked.append((place, cleaned, seconds))
        answers = self.inner.generate([request for _, request, _ in asked]) if asked else []
        for (place, _, seconds), answer in zip(asked, answers, strict=True):
            outputs[place] = _with_time(answer, seconds)
        return [output for output in outputs if output is not None]

    def close(self) -> None:
        """Give back what the model inside holds."""
        self.inner.close()

    def _cleaned(self, request: Request) -> tuple[Request | Output, float]:
        start = time.perf_counter()
        heard = request.waveforms.get("input")
        if heard is None:
            return Output(status="error", error="the request has no sound in the role 'input'"), 0.0
        cleaned = self.clean(heard)
        seconds = time.perf_counter() - start
        if len(cleaned.samples) == 0:
            return Output(status="empty", text="", timings={"front-end": seconds, "total": seconds}), seconds
        return replace(request, waveforms={**request.waveforms, "input": cleaned}), seconds


def _with_time(answer: Output, seconds: float) -> Output:
    """The answer with the front end's seconds in what counts from the request: the model inside began after them."""
    later = {name: value + seconds for name, value in answer.timings.items() if name in FROM_THE_REQUEST}
    return replace(answer, timings={**answer.timings, **later, "front-end": seconds})


def _inner(text: str) -> tuple[Spec, Entry[Any]]:
    """The spec of the model inside (``;`` stands where a spec has ``,``), checked.

    Raises UnknownNameError and SettingError as for any model, and SettingError for one that cannot be wrapped.
    """
    spec = parse_spec(text.replace(";", ","))
    entry = MODELS.check(spec)
    reasons = {
        "is a front end itself: name the model inside": spec.name == "front-end",
        f"is handed {entry.given}: sound does not reach it": entry.given is not None,
        "works elsewhere, and gets the recording as it is": entry.waits or not entry.waveforms,
        "takes no sound": not MODELS.abilities(spec) & ABILITIES,
    }
    for reason, holds in reasons.items():
        if holds:
            raise SettingError(f"model 'front-end', setting 'model': {text!r} {reason}")
    return spec, entry


def _chosen(method: Method, given: Mapping[str, float | None]) -> dict[str, float]:
    """The settings that were given to a method.

    Raises SettingError for one that it does not take, or out of range.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if name not in TAKES[method]:
            takes = ", ".join(sorted(TAKES[method]))
            raise SettingError(f"model 'front-end': {method!r} takes no setting {name!r}; it takes: {takes}")
        low, high = RANGES[name]
        if not low <= value <= high:
            raise SettingError(f"model 'front-end', setting {name!r}: {value:g} is outside {low:g} to {high:g}")
    return chosen


def check(*, model: str, method: Method, **settings: Any) -> None:
    """Raise a UserError for a model that cannot be wrapped, a setting that is not taken, or a missing package."""
    _inner(model)
    _chosen(method, settings)
    if method == "silero-vad":
        needs_packages("front-end", "asr", ("faster_whisper", "onnxruntime"))


def able(*, model: str, **_: Any) -> frozenset[Ability]:
    """What the model inside can do with sound."""
    return MODELS.abilities(parse_spec(model.replace(";", ","))) & ABILITIES


@model("front-end", abilities=ABILITIES, check=check, able=able)
def front_end(
    *,
    model: str,
    method: Method,
    over: float | None = None,
    floor: float | None = None,
    quantile: float | None = None,
    threshold: float | None = None,
    padding: float | None = None,
) -> FrontEnd:
    """Any model behind spectral subtraction or a voice activity detector: model=NAME,method=spectral-subtraction."""
    given = {"over": over, "floor": floor, "quantile": quantile, "threshold": threshold, "padding": padding}
    chosen = _chosen(method, given)
    spec, _ = _inner(model)
    inner = MODELS.create(spec)
    if not isinstance(inner, Model):
        raise UserError(f"model 'front-end', setting 'model': {model!r} is no model that can be wrapped")
    return FrontEnd(
        name=shown_name("front-end", front_end, {"model": model, "method": method, **chosen}),
        fingerprint=fingerprint(
            VERSION,
            (),
            settings={"method": method, "inner": inner.fingerprint, **chosen},
            packages=("faster-whisper", "onnxruntime") if method == "silero-vad" else (),
        ),
        inner=inner,
        clean=partial(METHODS[method], **chosen),
        abilities=frozenset(inner.abilities & ABILITIES),
        deterministic=inner.deterministic,
    )
