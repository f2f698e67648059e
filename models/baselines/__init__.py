"""Models trained here, with their weights. Importing this registers them."""

from audiometry.models.baselines import (
    encoder_head,
    fusion,
    gaussian_mixture,
    lcnn,
    shortcut,
)

__all__ = [
    "encoder_head",
    "fusion",
    "gaussian_mixture",
    "lcnn",
    "shortcut",
]
