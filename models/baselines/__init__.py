"""Models trained here, with their weights. Importing this registers them."""

from audiometry.models.baselines import (
    gaussian_mixture,
    shortcut,
)

__all__ = [
    "gaussian_mixture",
    "shortcut",
]
