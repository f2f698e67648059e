"""Models trained here, with their weights. Importing this registers them."""

from audiometry.models.baselines import (
    aasist,
    encoder_head,
    envelope_trees,
    fusion,
    gaussian_mixture,
    lcnn,
    shortcut,
)

__all__ = [
    "aasist",
    "encoder_head",
    "envelope_trees",
    "fusion",
    "gaussian_mixture",
    "lcnn",
    "shortcut",
]
