"""Who spoke when, and who said what: the diarisation error rate, and word errors when words are told by speaker."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable, Segment
from audiometry.tasks.metrics.transcription import count_words

__all__ = [
    "ATTRIBUTION_METRICS",
    "DIARISATION_METRICS",
    "attribution_counts",
    "attribution_reduce",
    "diarisation_counts",
    "diarisation_reduce",
]

DIARISATION_METRICS = (
    Metric("der", scale="log"),
    Metric("missed", high=1.0, scale="logit"),
    Metric("false_alarm", scale="log"),
    Metric("confusion", high=1.0, scale="logit"),
    Metric("speaker_count_error", unit="speakers"),
)
"""What `diarisation_reduce` reports. The first is the sum of the next three."""

ATTRIBUTION_METRICS = (Metric("cpwer", scale="log", events="errors"),)
"""What `attribution_reduce` reports."""

PARTS = ("missed", "false_alarm", "confusion")


def diarisation_counts(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment],
    *,
    collar: float = 0.0,
    skip_overlap: bool = False,
) -> dict[str, float]:
    """Seconds of speaker time that were missed, invented, or given to the wrong speaker, in one recording.

    reference, hypothesis: segments in seconds, in any order, with the speaker as label; segments of one speaker may
    overlap and count once. Names on the two sides need not agree: the one-to-one mapping of speakers with the most
    time in common is used. At each moment with R reference and H hypothesised speakers, of which C are mapped to each
    other, max(0, R - H) is missed, max(0, H - R) is false alarm and min(R, H) - C is confusion.

    `collar` leaves out that many seconds on each side of every reference boundary (0.25 is NIST's; pyannote.metrics
    counts both sides together, 0.5). `skip_overlap` leaves out moments with two or more reference speakers. What is
    left out counts for nothing, the mapping included.

    The answer also holds `speaker_time`, the seconds of reference speech summed over speakers, the denominator; and
    `speakers_off`, by how much the number of speakers is wrong (over the whole recording, whatever is left out).

    Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", section 6.1, with every
    moment of the recording scored.

    >>> told = [Segment(0, 4, "ann"), Segment(4, 6, "bob")]
    >>> counts = diarisation_counts(told, [Segment(0, 5, "1"), Segment(5, 7, "2")])
    >>> [counts[name] for name in ("speaker_time", "missed", "false_alarm", "confusion", "speakers_off")]
    [6.0, 0.0, 1.0, 1.0, 0.0]

    Raises DataError for a segment that ends before it starts or whose times are not finite, and for a negative collar.
    """
    if collar < 0:
        raise DataError(f"a collar of {collar:g} s is negative; give 0 or more")
    told, said = _by_speaker(reference, "reference"), _by_speaker(hypothesis, "hypothesis")
    boundaries = [time for spans in told.values() for span in spans for time in span]
    edges = {time for spans in (*told.values(), *said.values()) for span in spans for time in span}
    edges |= {time + shift for time in boundaries for shift in (-collar, collar)}
    grid = np.array(sorted(edges))
    lengths, middles = np.diff(grid), (grid[:-1] + grid[1:]) / 2
    speaks, claimed = _active(told, middles), _active(said, middles)  # (speakers, spans)
    scored = np.ones(len(lengths), dtype=bool)
    if collar > 0 and boundaries:
        scored &= (np.abs(middles[:, None] - np.array(boundaries)) > collar).all(axis=1)
    if skip_overlap:
        scored &= speaks.sum(axis=0) < 2
    weights = lengths * scored
    right = _mapped(speaks, claimed, weights)
    many, few = speaks.sum(axis=0), claimed.sum(axis=0)
    return {
        "speaker_time": float(weights @ many),
        "missed": float(weights @ np.maximum(many - few, 0)),
        "false_alarm": float(weights @ np.maximum(few - many, 0)),
        "confusion": max(float(weights @ np.minimum(many, few)) - right, 0.0),
        "speakers_off": float(abs(len(told) - len(said))),
    }


def diarisation_reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """The reduction of `diarisation_counts`: (missed + false alarm + confusion) / reference speaker time.

    Lower is better, in [0, ∞), NaN without reference speech; the three parts by themselves add up to it.
    `speaker_count_error` is the mean over recordings of how far the number of speakers is off.

    >>> said = [Segment(0.0, 6.0, "ann"), Segment(6.0, 10.0, "bob")]
    >>> counts = diarisation_counts(said, [Segment(0.0, 5.0, "x"), Segment(5.0, 9.0, "y")])
    >>> columns = {name: np.array([value]) for name, value in counts.items()}
    >>> table = ScoreTable(columns, np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))
    >>> found = diarisation_reduce(table, np.ones((1, 1)))
    >>> {name: round(float(found[name][0]), 2) for name in ("der", "missed", "confusion")}
    {'der': 0.2, 'missed': 0.1, 'confusion': 0.1}
    """
    parts = {name: ratio_of_sums(table, weights, name, "speaker_time") for name in PARTS}
    whole = parts["missed"] + parts["false_alarm"] + parts["confusion"]
    return {"der": whole, **parts, "speaker_count_error": mean_of(table, weights, "speakers_off")}


def attribution_counts(reference: Mapping[str, str], hypothesis: Mapping[str, str]) -> dict[str, float]:
    """Word errors of one recording whose words are told by speaker, under the best assignment of speakers.

    reference, hypothesis: speaker → all that speaker said, in order, normalised; words are what `str.split()` gives.
    Each hypothesised speaker is held against at most one reference speaker; one without a partner is all insertions,
    or all deletions. Of all assignments the one with the fewest errors counts. As errors of pairs add up, the
    assignment is found by linear programming instead of trying the permutations, with the same result.

    Source: Watanabe and others, "CHiME-6 challenge: tackling multispeaker speech recognition for unsegmented
    recordings" (2020), section 5.1, the concatenated minimum-permutation word error rate (cpWER).

    >>> counts = attribution_counts({"ann": "good morning", "bob": "hello ann"}, {"1": "hello ann now", "2": "good"})
    >>> counts["errors"], counts["reference"]
    (2.0, 4.0)
    """
    from scipy.optimize import linear_sum_assignment

    size = max(len(reference), len(hypothesis))
    told = [*reference.values(), *[""] * (size - len(reference))]
    said = [*hypothesis.values(), *[""] * (size - len(hypothesis))]
    counts = count_words([one for one in told for _ in said], said * size)
    costs = np.reshape(counts.errors, (size, size))
    rows, columns = linear_sum_assignment(costs)
    chosen = np.asarray(rows) * size + np.asarray(columns)
    return {
        "hits": float(counts.hits[chosen].sum()),
        "substitutions": float(counts.substitutions[chosen].sum()),
        "deletions": float(counts.deletions[chosen].sum()),
        "insertions": float(counts.insertions[chosen].sum()),
        "errors": float(costs[rows, columns].sum()),
        "reference": float(sum(len(text.split()) for text in told)),
    }


def attribution_reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """The reduction of `attribution_counts`: errors per reference word.

    In [0, ∞), lower is better, NaN without words.

    >>> counts = attribution_counts({"ann": "hello there", "bob": "hi"}, {"1": "hi", "2": "hello"})
    >>> columns = {name: np.array([value]) for name, value in counts.items()}
    >>> table = ScoreTable(columns, np.zeros(1, int), np.zeros(1, int), np.zeros(1, int))
    >>> round(float(attribution_reduce(table, np.ones((1, 1)))["cpwer"][0]), 3)
    0.333
    """
    return {"cpwer": ratio_of_sums(table, weights, "errors", "reference")}


def _by_speaker(segments: Sequence[Segment], side: str) -> dict[str, list[tuple[float, float]]]:
    """Each speaker's spans; spans without length are left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for one in segments:
        if not (math.isfinite(one.start) and math.isfinite(one.end)) or one.end < one.start:
            raise DataError(f"{side}: a segment of {one.label!r} goes from {one.start:g} to {one.end:g} s")
        if one.end > one.start:
            found.setdefault(one.label, []).append((one.start, one.end))
    return found


def _active(spans: Mapping[str, list[tuple[float, float]]], middles: FloatArray) -> NDArray[np.int64]:
    """Who speaks at each moment, shape (speakers, moments), 0 or 1."""
    active = np.zeros((len(spans), len(middles)), dtype=np.int64)
    for row, one in enumerate(spans.values()):
        for start, end in one:
            active[row, (middles > start) & (middles < end)] = 1
    return active


def _mapped(speaks: NDArray[np.int64], claimed: NDArray[np.int64], weights: FloatArray) -> float:
    """Seconds that mapped speakers have in common, under the mapping where that is most."""
    from scipy.optimize import linear_sum_assignment

    if not len(speaks) or not len(claimed):
        return 0.0
    common = (speaks * weights) @ claimed.T
    return float(common[linear_sum_assignment(common, maximize=True)].sum())
