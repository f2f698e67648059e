"""How a change of a waveform is registered, checked before a run, and pinned, so that a cached answer cannot lie.

A transform's settings are part of an answer's cache key. So they hold all that decides the samples: what the user
gave, the change's own version, and what it takes from outside (the digest of a corpus, the version of an encoder).
On the worker each of these is compared with what is there; what differs is an AudioError and never other sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from audiometry.benchmark.errors import AudioError, SettingError, UnknownNameError
from audiometry.benchmark.registry import convert_settings, transform
from audiometry.benchmark.types import Audio, Transform, Waveform

__all__ = ["CHANGES", "Change", "Settings", "change", "check_range", "convert", "make_transform"]

Settings: TypeAlias = Mapping[str, float | str]
Apply: TypeAlias = Callable[..., Waveform]


@dataclass(frozen=True)
class Change:
    """A registered change. `check` raises SettingError for values out of range; `pin` tells what comes from outside."""

    name: str
    version: str
    apply: Apply
    check: Callable[..., None] | None
    pin: Callable[[Settings, Audio], Settings] | None
    own: frozenset[str]
    """Settings that `pin` gives and no user may."""


CHANGES: dict[str, Change] = {}


def change(
    name: str,
    *,
    version: str,
    check: Callable[..., None] | None = None,
    pin: Callable[[Settings, Audio], Settings] | None = None,
    own: frozenset[str] = frozenset(),
) -> Callable[[Apply], Apply]:
    """Register ``(waveform, generator, *, settings…) -> Waveform`` as a transform.

    `version` goes up whenever the same settings would give other samples. `pin` is handed the settings and the sound
    that will be changed, and returns the settings named in `own`.
    """

    def register(apply: Apply) -> Apply:
        def checked(waveform: Waveform, generator: np.random.Generator, **settings: Any) -> Waveform:
            planned = settings.pop("version", version)
            if planned != version:
                raise AudioError(f"transform {name!r} was planned as version {planned} and is {version} here")
            return apply(waveform, generator, **settings)

        checked.__doc__, checked.__module__ = apply.__doc__, apply.__module__
        CHANGES[name] = Change(name, version, apply, check, pin, own)
        transform(name)(checked)
        return apply

    return register


def convert(name: str, settings: Mapping[str, str]) -> Settings:
    """Settings as typed → as values, checked.

    Raises UnknownNameError for a change that is not there, SettingError for a setting that it does not take or a
    value out of range.
    """
    found = _find(name)
    given = found.own & settings.keys()
    if given:
        raise SettingError(f"transform {name!r} finds {', '.join(sorted(given))} out by itself; leave it out")
    # the first two parameters are the waveform and the generator
    values = {"waveform": "", "generator": ""} | dict(settings)
    converted = convert_settings(found.apply, values.items(), f"transform {name!r}")
    chosen = {key: value for key, value in converted.items() if key not in ("waveform", "generator")}
    if found.check is not None:
        found.check(**chosen)
    return chosen


def make_transform(name: str, settings: Settings, *, audio: Audio, seed: int) -> Transform:
    """The transform `name` for one recording, with everything pinned that its samples depend on.

    Raises UnknownNameError for a change that is not there, and a UserError where something it needs is missing.
    """
    found = _find(name)
    whole = dict(settings) | {"version": found.version}
    if found.pin is not None:
        whole |= found.pin(settings, audio)
    return Transform(name, tuple(sorted(whole.items())), seed)


def check_range(owner: str, name: str, value: float, low: float, high: float, unit: str = "") -> None:
    """Raise SettingError unless `low` <= `value` <= `high`.

    >>> check_range("gain", "db", 3.0, -60, 60)
    """
    if not low <= value <= high:
        shown = f" {unit}" if unit else ""
        raise SettingError(f"transform {owner!r}, setting {name!r}: {value:g} is outside {low:g} to {high:g}{shown}")


def _find(name: str) -> Change:
    if name not in CHANGES:
        raise UnknownNameError(f"unknown transform {name!r}; available: {', '.join(sorted(CHANGES))}")
    return CHANGES[name]
