"""Models trained here, with their weights. Importing this registers them."""

from audiometry.models.baselines import (
    fusion,
    gaussian_mixture,
    shortcut,
)

__all__ = [
    "fusion",
    "gaussian_mixture",
    "shortcut",
]
