"""Opinions of people: tables of ratings, mean opinion scores with intervals, raters' bias, and agreement.

A stimulus is what was played: one utterance by one system. A rating is one rater's number for one stimulus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import Interval, intervals, ratio_of_sums
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.extras import require

__all__ = [
    "OPINION_METRICS",
    "Ratings",
    "SystemScore",
    "agreement",
    "mean_opinion_scores",
    "opinion_reduce",
    "opinion_table",
    "read_ratings",
    "remove_rater_bias",
]

OPINION_METRICS = (Metric("mos", unit="points", direction="higher", low=1.0, high=5.0),)
"""What `opinion_reduce` reports, on the usual scale."""

Cluster = Literal["utterance", "rater", "both"]

COLUMNS = ("rater", "system", "utterance", "rating")
LARGEST_AGREEMENT = 100_000_000
"""Cells that krippendorff may hold: stimuli x values², 0.8 GB."""


@dataclass(frozen=True)
class Ratings:
    """Ratings as columns of shape (ratings,): codes into the names beside them, and the numbers."""

    rater: IntArray
    system: IntArray
    utterance: IntArray
    rating: FloatArray
    raters: tuple[str, ...]
    systems: tuple[str, ...]
    utterances: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rating)

    @property
    def stimulus(self) -> IntArray:
        """Code of each rating's stimulus, 0 … stimuli-1, shape (ratings,)."""
        pairs = self.system * len(self.utterances) + self.utterance
        return _recoded(pairs)


@dataclass(frozen=True, slots=True)
class SystemScore:
    """One system's mean opinion score as an interval, and what it rests on."""

    system: str
    score: Interval
    ratings: int
    raters: int
    utterances: int


def read_ratings(table: Any, *, low: float = 1.0, high: float = 5.0) -> Ratings:
    """Check a table of ratings and code its names.

    table: a pandas DataFrame, or a mapping of column to sequence, with the columns `rater` (or `annotator`), `system`,
    `utterance` and `rating`, one row a rating. low, high: the scale's ends, 1 and 5 for MOS.

    Raises DataError, naming the row (the first is row 1), for a rating that is no number, is missing or lies off the
    scale, for a missing name, and for a rater who rated one stimulus twice; and for a missing column or an empty table.

    >>> ratings = read_ratings({"rater": ["r1", "r2"], "system": ["a", "a"], "utterance": ["u", "u"], "rating": [4, 5]})
    >>> ratings.raters, ratings.rating.tolist()
    (('r1', 'r2'), [4.0, 5.0])
    """
    columns = _columns(table)
    values = _numbers(columns["rating"], low, high)
    coded = {name: _coded(columns[name], name) for name in COLUMNS[:3]}
    (raters, rater), (systems, system), (utterances, utterance) = coded.values()
    pairs = (rater * len(systems) + system) * len(utterances) + utterance
    _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(pairs)))
    if len(again):
        at = int(again[0])
        raise DataError(
            f"ratings row {at + 1}: rater {raters[rater[at]]!r} rated {utterances[utterance[at]]!r} of system "
            f"{systems[system[at]]!r} already in row {first[inverse[at]] + 1}; keep one of the two"
        )
    return Ratings(rater, system, utterance, values, raters, systems, utterances)


def mean_opinion_scores(ratings: Ratings, *, cluster: Cluster = "both", seed: int = 0) -> list[SystemScore]:
    """Mean opinion score of each system, in order of name, with a 95 % interval.

    The score is the mean of the system's ratings, on their scale, higher is better. Ratings of one utterance are
    alike, and so are those of one rater: counting them as independent makes intervals far too short. cluster:

    - `utterance` or `rater`: the interval of `benchmark.stats` over such clusters, with `seed` for its resamples. It
      speaks of other utterances and the same raters, or the other way round;
    - `both` (the default) speaks of other raters and other utterances: score ± t s with s² = s²_utterance + s²_rater -
      s²_rating from sums of residuals within clusters, no less than the larger of the first two, and t with the smaller
      number of clusters less one degrees of freedom. No bounds with one utterance or one rater.

    `docs/quality.md` prints how often the intervals cover. Two systems heard by the same raters differ by less than
    their intervals suggest: compare them paired. Source: A. C. Cameron, J. B. Gelbach and D. L. Miller, "Robust
    inference with multiway clustering", Journal of Business & Economic Statistics 29(2), 2011, section 2.1, with
    G / (G - 1) for each term.

    >>> ratings = read_ratings({"rater": list("xyxy"), "system": list("aaaa"), "utterance": list("uuvv"),
    ...                         "rating": [3, 4, 4, 5]})
    >>> mean_opinion_scores(ratings)[0].score.value
    4.0
    """
    scores = []
    for code, name in enumerate(ratings.systems):
        rows = np.flatnonzero(ratings.system == code)
        rater, utterance = _recoded(ratings.rater[rows]), _recoded(ratings.utterance[rows])
        if cluster == "both":
            score = _two_way_interval(ratings.rating[rows], rater, utterance)
        else:
            table = opinion_table(ratings, name, cluster=cluster)
            score = intervals(table, opinion_reduce(), OPINION_METRICS, seed=seed)["mos"]
        scores.append(SystemScore(name, score, len(rows), int(rater.max()) + 1, int(utterance.max()) + 1))
    return scores


def opinion_table(ratings: Ratings, system: str, *, cluster: Literal["utterance", "rater"] = "utterance") -> ScoreTable:
    """One system's ratings as a score table, for the project's bootstrap, paired comparison and gate.

    Counts: `rating` and `ratings` (1), one row a rating; clusters are the utterances (or raters) that the system has.
    Raises DataError for an unknown system.

    >>> ratings = read_ratings({"rater": list("xy"), "system": list("ab"), "utterance": list("uu"), "rating": [3, 4]})
    >>> opinion_reduce()(opinion_table(ratings, "b"), np.ones((1, 1)))["mos"]
    array([4.])
    """
    if system not in ratings.systems:
        raise DataError(f"nobody rated a system {system!r}; there are: {', '.join(ratings.systems)}")
    rows = np.flatnonzero(ratings.system == ratings.systems.index(system))
    codes = _recoded((ratings.utterance if cluster == "utterance" else ratings.rater)[rows])
    counts = {"rating": ratings.rating[rows], "ratings": np.ones(len(rows))}
    return ScoreTable(counts, codes, np.zeros(len(rows), np.int64), np.zeros(int(codes.max()) + 1, np.int64))


def opinion_reduce() -> Reduce:
    """A reduction of `opinion_table` to `mos`: sum of ratings over their number. NaN for a resample without any.

    >>> table = ScoreTable({"rating": np.array([3.0, 4.0]), "ratings": np.ones(2)}, np.arange(2),
    ...                    *np.zeros((2, 2), int))
    >>> opinion_reduce()(table, np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]]))["mos"]
    array([3.5, 3. , nan])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        return {"mos": ratio_of_sums(table, weights, "rating", "ratings")}

    return reduce


def remove_rater_bias(
    ratings: Ratings, *, items: Literal["stimulus", "system"] = "stimulus"
) -> tuple[Ratings, dict[str, float]]:
    """Take out how much each rater rates above the others: rating = item + rater, by least squares.

    items: what has a value of its own in the model: each stimulus (the default, which needs stimuli that several
    raters heard), or only each system (where raters heard different utterances of the same systems).

    Returns the ratings less their rater's bias, which may leave the scale, and the biases by rater, whose mean is 0:
    corrected scores are those of the average rater of this panel. Where every rater rated everything, no system's mean
    changes. Intervals of corrected ratings take the biases as known, and speak of these raters.

    Raises DataError for a design in separate parts (raters who share no item, not even through others): nothing says
    then whether the raters or the items differ. Source: H. Scheffé, "The Analysis of Variance", 1959, chapter 4 (the
    two-way layout with unequal numbers).

    >>> ratings = read_ratings({"rater": list("xyxy"), "system": list("aabb"), "utterance": list("uuuu"),
    ...                         "rating": [3, 4, 2, 3]})
    >>> corrected, biases = remove_rater_bias(ratings)
    >>> biases, corrected.rating.tolist()
    ({'x': -0.5, 'y': 0.5}, [3.5, 3.5, 2.5, 2.5])
    """
    item = ratings.stimulus if items == "stimulus" else ratings.system
    _check_connected(ratings, item, items)
    bias = _additive_effects(ratings.rater, item, ratings.rating)
    corrected = replace(ratings, rating=ratings.rating - bias[ratings.rater])
    return corrected, {name: float(value) for name, value in zip(ratings.raters, bias, strict=True)}


def agreement(ratings: Ratings, level: Literal["interval", "ordinal", "nominal"] = "interval") -> float:
    """Krippendorff's alpha between raters, over stimuli: 1 - observed over expected disagreement.

    Any number of raters, and any may be missing; a stimulus with one rating says nothing and drops out. level: how
    far apart two ratings are: `interval` (squared difference), `ordinal` (ranks between them), `nominal` (same or not).
    Returns at most 1; 1 is perfect agreement, 0 that of chance, below 0 systematic disagreement. Higher is better.

    Raises DataError if no stimulus has two ratings, if all those are one value (nothing to disagree on), or if the
    values are so many that the package would not fit in memory; UserError without the package.
    Source: K. Krippendorff, "Content Analysis", 4th edition, 2019, chapter 12, through the package `krippendorff`.

    >>> ratings = read_ratings({"rater": list("xyxyxy"), "system": list("aaaaaa"), "utterance": list("uuvvww"),
    ...                         "rating": [1, 1, 3, 3, 5, 4]})
    >>> round(agreement(ratings), 4)
    0.9351
    """
    stimulus = ratings.stimulus
    rows = np.bincount(stimulus)[stimulus] > 1
    units, unit = np.unique(stimulus[rows], return_inverse=True)
    domain, value = np.unique(ratings.rating[rows], return_inverse=True)
    if len(units) == 0:
        raise DataError("agreement: no stimulus was rated by two raters")
    if len(domain) == 1:
        raise DataError(f"agreement: every rating is {domain[0]:g}, so chance and agreement cannot be told apart")
    if len(units) * len(domain) ** 2 > LARGEST_AGREEMENT:
        raise DataError(
            f"agreement: {len(units)} stimuli with {len(domain)} different ratings; round the ratings first"
        )
    counts = np.zeros((len(units), len(domain)), dtype=np.int64)
    np.add.at(counts, (unit, value), 1)
    package = require("krippendorff", "quality")
    return float(package.alpha(value_counts=counts, value_domain=domain, level_of_measurement=level))


def _columns(table: Any) -> dict[str, Sequence[Any]]:
    there = [str(name) for name in (table.keys() if isinstance(table, Mapping) else getattr(table, "columns", []))]
    names = {name: name for name in COLUMNS}
    if "rater" not in there and "annotator" in there:
        names["rater"] = "annotator"
    missing = [name for name, column in names.items() if column not in there]
    if missing:
        raise DataError(f"ratings have no column {', '.join(missing)}; there are: {', '.join(there) or 'none'}")
    columns: dict[str, Sequence[Any]] = {name: list(table[column]) for name, column in names.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of ratings differ in length: {lengths}")
    if lengths["rating"] == 0:
        raise DataError("the table of ratings is empty")
    return columns


def _numbers(column: Sequence[Any], low: float, high: float) -> FloatArray:
    values = np.empty(len(column))
    for at, value in enumerate(column):
        try:
            values[at] = float(value)
        except (TypeError, ValueError):
            raise DataError(f"ratings row {at + 1}: rating {value!r} is not a number") from None
    bad = ~((values >= low) & (values <= high))  # NaN is neither
    if bad.any():
        at = int(np.argmax(bad))
        raise DataError(f"ratings row {at + 1}: rating {values[at]:g} is not from {low:g} to {high:g}")
    return values


def _coded(column: Sequence[Any], name: str) -> tuple[tuple[str, ...], IntArray]:
    for at, value in enumerate(column):
        # NaN and pandas' NA stand for an empty cell
        if value is None or str(value) in {"", "nan", "<NA>"}:
            raise DataError(f"ratings row {at + 1}: no {name}")
    names, codes = np.unique(np.array([str(value) for value in column]), return_inverse=True)
    return tuple(str(n) for n in names), codes.astype(np.int64)


def _recoded(codes: IntArray) -> IntArray:
    """The same groups numbered 0 … groups-1 without gaps."""
    return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)


def _two_way_interval(values: FloatArray, rater: IntArray, utterance: IntArray) -> Interval:
    from scipy.special import stdtrit

    mean = float(values.mean())
    groups = min(int(rater.max()), int(utterance.max())) + 1
    if groups == 1:
        note = "one rater or one utterance only: no interval speaks of others"
        return Interval(mean, None, None, "two-way t", groups, (note,))
    residuals = values - mean
    sides = [_variance(residuals, rater), _variance(residuals, utterance)]
    variance = max(sum(sides) - _variance(residuals, np.arange(len(values))), *sides)
    half = float(stdtrit(groups - 1, 0.975)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half, "two-way t", groups)


def _variance(residuals: FloatArray, group: IntArray) -> float:
    """Variance of the mean of values whose residuals are summed within groups."""
    sums = np.bincount(group, weights=residuals)
    return float(sums @ sums) * len(sums) / (len(sums) - 1) / len(residuals) ** 2


def _check_connected(ratings: Ratings, item: IntArray, items: str) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = len(ratings.raters) + int(item.max()) + 1
    edges = coo_array((np.ones(len(item)), (ratings.rater, item + len(ratings.raters))), shape=(nodes, nodes))
    parts, label = connected_components(edges.tocsr(), directed=False)
    if parts > 1:
        labels = label[: len(ratings.raters)]
        other = int(np.flatnonzero(labels != labels[0])[0])
        raise DataError(
            f"raters fall into {parts} parts that share no {items} (one holds {ratings.raters[0]!r}, another "
            f"{ratings.raters[other]!r}), so their bias cannot be compared; let some raters rate across the parts"
            + ("" if items == "system" else ", or use items='system'")
        )


def _additive_effects(row: IntArray, column: IntArray, values: FloatArray) -> FloatArray:
    """Row effects of mean 0 in values = row + column by least squares, for a connected design.

    The side with more levels is eliminated, so that the system solved is no larger than the smaller side.
    """
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import spsolve

    swap = row.max() > column.max()
    small, large = (column, row) if swap else (row, column)
    shape = (int(small.max()) + 1, int(large.max()) + 1)
    counts = coo_array((np.ones(len(values)), (small, large)), shape=shape).tocsr()
    held_small, held_large = np.bincount(small).astype(np.float64), np.bincount(large).astype(np.float64)
    sums_small, sums_large = np.bincount(small, weights=values), np.bincount(large, weights=values)
    share = counts @ diags_array(1.0 / held_large)
    normal = (diags_array(held_small) - share @ counts.T).tocsc()
    effects = np.zeros(shape[0])
    if shape[0] > 1:  # the first effect is fixed at 0: only differences are determined
        effects[1:] = spsolve(normal[1:, 1:], (sums_small - share @ sums_large)[1:])
    if swap:
        effects = (sums_large - counts.T @ effects) / held_large
    return np.asarray(effects - effects.mean(), dtype=np.float64)
