"""Word errors of made runs, and a candidate's that moved a little."""

from __future__ import annotations

from typing import Any

import numpy as np


def errors(count: int = 200, rate: float = 0.5, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).poisson(rate, count)


def moved(before: np.ndarray[Any, Any], up: int, down: int) -> np.ndarray[Any, Any]:
    """One error more on the first `up` samples, one less on so many others that have one."""
    after = before.copy()
    after[:up] += 1
    after[np.flatnonzero(before[up:])[:down] + up] -= 1
    return after
