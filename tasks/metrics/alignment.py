"""Alignment: how far the boundaries of phones or words lie from where people put them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable, Segment

__all__ = ["BOUNDARY_METRICS", "SILENCES", "boundary_counts", "boundary_reduce"]

SILENCES = frozenset({"", "sil", "sp"})
"""Labels of stretches without speech, left out on both sides."""

TOLERANCES = (20, 50, 100)
"""Milliseconds."""

BOUNDARY_METRICS = (
    Metric("mean_absolute_error", unit="s", scale="log"),
    Metric("mean_error", unit="s", low=-math.inf),
    *(Metric(f"under_{ms}ms", direction="higher", high=1.0, scale="logit") for ms in TOLERANCES),
    Metric("matched", direction="higher", high=1.0, scale="logit"),
)
"""What `boundary_reduce` reports. The signed error has no better side: it says late or early."""

Edges = Literal["both", "start", "end"]


def boundary_counts(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    *,
    edges: Edges = "both",
    silences: Collection[str] = SILENCES,
) -> dict[str, float]:
    """Count how far the hypothesis' boundaries lie from the reference's, for one utterance.

    reference, hypothesis: segments in order of time, in seconds, with a phone or word as label; labels in `silences`
    are left out. A boundary is an edge of a segment: both its start and its end, or one of them by `edges`.

    Which segments belong together: labels are compared exactly, and where the sequences differ they are aligned with
    the fewest insertions, deletions and substitutions; only equal labels match. A reference segment without a match
    has no time to compare: its boundaries count as `boundaries` but not as `matched`, and as outside every tolerance.
    An empty hypothesis (a failed sample) leaves all unmatched; an inserted segment counts nothing.

    Returns `boundaries`, `matched`, `absolute_error` (their sum, s), `error` (the signed sum, s; above 0 is late) and
    `under_20ms`, `under_50ms`, `under_100ms`: matched boundaries with an error strictly under it, after rounding to
    nanoseconds so that 1.05 - 1.00 is 50 ms and not a little more. Frames of 10 ms make exact ties common.

    Raises DataError for a time that is not finite or negative, a segment that ends before it starts, or segments out
    of order. Source: J.-P. Hosom, "Speaker-independent phoneme alignment using transition-dependent states", Speech
    Communication 51, 2009 (share within a tolerance); M. McAuliffe et al., "Montreal Forced Aligner", Interspeech 2017
    (mean absolute boundary error).

    >>> heard = [Segment(0.0, 0.5, "hello"), Segment(0.5, 1.0, "world")]
    >>> aligned = [Segment(0.01, 0.53, "hello"), Segment(0.53, 1.0, "world")]
    >>> counts = boundary_counts(heard, aligned)
    >>> counts["boundaries"], round(counts["absolute_error"], 6), counts["under_20ms"], counts["under_50ms"]
    (4.0, 0.07, 2.0, 4.0)
    """
    first = _speech(reference, silences, "reference")
    second = _speech(hypothesis, silences, "hypothesis")
    errors = []
    for i, j in _matches([s.label for s in first], [s.label for s in second]):
        if edges != "end":
            errors.append(second[j].start - first[i].start)
        if edges != "start":
            errors.append(second[j].end - first[i].end)
    signed = np.round(np.array(errors, dtype=np.float64), 9)
    size = np.abs(signed)
    return {
        "boundaries": float(len(first) * (2 if edges == "both" else 1)),
        "matched": float(len(size)),
        "absolute_error": float(size.sum()),
        "error": float(signed.sum()),
    } | {f"under_{ms}ms": float((size < ms / 1000).sum()) for ms in TOLERANCES}


def boundary_reduce() -> Reduce:
    """A reduction of `boundary_counts`, each a ratio of sums over boundaries.

    `mean_absolute_error` (s, 0 and up, lower is better) and `mean_error` (s, late above 0) are over matched
    boundaries; `under_20ms`, `under_50ms`, `under_100ms` and `matched` (0 to 1, higher is better) over all of the
    reference's. Read the mean beside `matched`: leaving hard words out lowers it. NaN where there is nothing to count.

    >>> counts = boundary_counts([Segment(0.0, 0.5, "hello")], [Segment(0.01, 0.53, "hello")])
    >>> table = ScoreTable({k: np.array([v]) for k, v in counts.items()}, *np.zeros((3, 1), int))
    >>> boundary_reduce()(table, np.ones((1, 1)))["mean_absolute_error"].round(6)
    array([0.02])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        values = {
            "mean_absolute_error": ratio_of_sums(table, weights, "absolute_error", "matched"),
            "mean_error": ratio_of_sums(table, weights, "error", "matched"),
        }
        shares = (*(f"under_{ms}ms" for ms in TOLERANCES), "matched")
        return values | {name: ratio_of_sums(table, weights, name, "boundaries") for name in shares}

    return reduce


def _speech(segments: Sequence[Segment], silences: Collection[str], what: str) -> list[Segment]:
    for at, segment in enumerate(segments):
        if not 0 <= segment.start <= segment.end < math.inf:
            raise DataError(
                f"{what} segment {at} ({segment.label!r}) runs from {segment.start:g} to {segment.end:g} s: "
                "give finite seconds, 0 or more, the end after the start"
            )
    for at, (before, after) in enumerate(pairwise(segments), start=1):
        if after.start < before.start:
            raise DataError(f"{what} segment {at} ({after.label!r}) starts before the one ahead of it: sort by time")
    return [segment for segment in segments if segment.label not in silences]


def _matches(reference: list[str], hypothesis: list[str]) -> list[tuple[int, int]]:
    """Places of equal labels in a minimum-edit alignment."""
    from rapidfuzz.distance import Levenshtein

    blocks = Levenshtein.opcodes(reference, hypothesis)
    return [
        (block.src_start + i, block.dest_start + i)
        for block in blocks
        if block.tag == "equal"
        for i in range(block.src_end - block.src_start)
    ]
