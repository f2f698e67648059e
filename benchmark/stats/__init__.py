"""Intervals, tests and comparisons of measurements."""
