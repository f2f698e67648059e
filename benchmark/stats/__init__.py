"""Intervals, tests and comparisons of measurements."""

from audiometry.benchmark.stats.intervals import Interval, intervals
from audiometry.benchmark.stats.paired import Comparison, compare_tables, holm, permutation_test
from audiometry.benchmark.stats.weights import mean_of, ratio_of_sums

__all__ = [
    "Comparison",
    "Interval",
    "compare_tables",
    "holm",
    "intervals",
    "mean_of",
    "permutation_test",
    "ratio_of_sums",
]
