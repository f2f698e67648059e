"""Preference data, reward models and post-training. Importing this registers the reward models."""

from audiometry.reward import composite

__all__ = ["composite"]
