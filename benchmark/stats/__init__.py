"""Intervals, tests and comparisons of measurements; `docs/statistics.md` says which is taken when, and why."""

from audiometry.benchmark.stats.groups import GroupComparison, compare_groups, suppress
from audiometry.benchmark.stats.intervals import Interval, IntervalMethod, intervals
from audiometry.benchmark.stats.paired import Comparison, Verdict, compare_tables, holm, permutation_test
from audiometry.benchmark.stats.power import Needed, clusters_needed, power_of, samples_needed
from audiometry.benchmark.stats.ranks import Rank, rank_tables
from audiometry.benchmark.stats.sequential import Look, look_level, sequential_look
from audiometry.benchmark.stats.weights import mean_of, ratio_of_sums

__all__ = [
    "Comparison",
    "GroupComparison",
    "Interval",
    "IntervalMethod",
    "Look",
    "Needed",
    "Rank",
    "Verdict",
    "clusters_needed",
    "compare_groups",
    "compare_tables",
    "holm",
    "intervals",
    "look_level",
    "mean_of",
    "permutation_test",
    "power_of",
    "rank_tables",
    "ratio_of_sums",
    "samples_needed",
    "sequential_look",
    "suppress",
]
