"""Preference data, reward models and post-training."""
