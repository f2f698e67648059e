"""`spoof-equalisation`: what is made equal between bona fide and spoofed recordings, level by level."""

from __future__ import annotations

from typing import get_args

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.types import FloatArray, Waveform
from audiometry.tasks.corpora.spoof.equalisation import BANDS, REVISION, Level, equalise
from audiometry.tasks.transforms.changes import change

__all__ = ["equalised"]


def _check(*, level: str = "E4", target: str = "") -> None:
    if level not in get_args(Level):
        raise SettingError(f"transform 'spoof-equalisation': there is no level {level!r}; give E0, E1, E2, E3 or E4")
    if level == "E4":
        _spectrum(target)


@change("spoof-equalisation", version=REVISION, check=_check)
def equalised(waveform: Waveform, generator: np.random.Generator, *, level: Level = "E4", target: str = "") -> Waveform:
    """Equalised to `level`; `target` holds the 24 decibels of the long-term spectrum that E4 gives, with commas."""
    return equalise(waveform, level, generator, target=_spectrum(target) if level == "E4" else None)


def _spectrum(target: str) -> FloatArray:
    try:
        numbers = np.array([float(part) for part in target.split(",")])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) != len(BANDS) - 1:
        raise SettingError(
            f"transform 'spoof-equalisation': E4 needs target= with {len(BANDS) - 1} numbers, not {target!r}"
        )
    return numbers
