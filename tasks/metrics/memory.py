"""How what a model needs grows with what it is given."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from audiometry.benchmark.errors import DataError

__all__ = ["PowerLaw", "fit_power_law"]


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = factor · x^exponent, with the exponent's 95 % interval (NaN where two sizes leave no freedom)."""

    exponent: float
    low: float
    high: float
    factor: float
    points: int


def fit_power_law(sizes: ArrayLike, values: ArrayLike, *, level: float = 0.95) -> PowerLaw:
    """Least squares of log value on log size: how steeply a cost grows with its size.

    sizes, values: shape (points,), above 0, in any unit; at least two different sizes. Exponent 0 means that the size
    does not matter, 1 that the cost is proportional, 2 that doubling the size makes it four times as large. The
    interval is Student's t of the slope with points - 2 degrees of freedom: it takes the points as independent and
    the law as true, so that curvature widens it.

    Raises DataError for shapes that differ, numbers not above 0, or fewer than two different sizes.
    Source: ordinary least squares, e.g. Draper and Smith, "Applied Regression Analysis" (1998), section 1.4.

    >>> law = fit_power_law([1, 10, 100], [2.0, 20.0, 200.0])
    >>> round(law.exponent, 6), round(law.factor, 6)
    (1.0, 2.0)
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(values, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise DataError(f"power law: sizes of shape {x.shape} and values of shape {y.shape}; give as many of each")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (x > 0).all() and (y > 0).all()):
        raise DataError("power law: sizes and values must be finite and above 0")
    if len(np.unique(x)) < 2:
        raise DataError("power law: give at least two different sizes")
    from scipy.stats import t

    log_x, log_y = np.log(x), np.log(y)
    centred = log_x - log_x.mean()
    exponent = float(centred @ log_y / (centred @ centred))
    residuals = log_y - log_y.mean() - exponent * centred
    freedom = len(x) - 2
    margin = math.nan
    if freedom > 0:
        error = math.sqrt(float(residuals @ residuals) / freedom / float(centred @ centred))
        margin = float(t.ppf(0.5 + level / 2, freedom)) * error
    factor = math.exp(float(log_y.mean()) - exponent * float(log_x.mean()))
    return PowerLaw(exponent, exponent - margin, exponent + margin, factor, len(x))
