"""Intervals, tests and comparisons of measurements."""

from audiometry.benchmark.stats.intervals import Interval, intervals
from audiometry.benchmark.stats.weights import mean_of, ratio_of_sums

__all__ = ["Interval", "intervals", "mean_of", "ratio_of_sums"]
