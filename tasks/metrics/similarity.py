"""Speaker similarity: the cosine of two embeddings, and verification trials that encode each utterance once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable

__all__ = [
    "SIMILARITY_METRICS",
    "cosine_similarity",
    "similarity_counts",
    "similarity_reduce",
    "trial_scores",
    "trial_utterances",
]

SIMILARITY_METRICS = (Metric("similarity", unit="cosine", direction="higher", low=-1.0, high=1.0),)
"""What `similarity_reduce` reports."""

Trials = Sequence[tuple[str, str]]


def cosine_similarity(enrolment: ArrayLike, test: ArrayLike) -> FloatArray:
    """Cosine of the angle between embeddings, pair by pair: how alike two voices are to the encoder that made them.

    enrolment, test: shapes (pairs, dimensions), or (dimensions,) for one pair. Returns shape (pairs,), -1 to 1, higher
    is more alike. It depends on the encoder, so name it beside the number; values of two encoders do not compare.

    An embedding of zeros has no direction: it is an error of the encoder, not a similarity of 0. Raises DataError for
    it, naming the row, and for numbers that are not finite or shapes that differ.

    Source: N. Dehak et al., "Front-end factor analysis for speaker verification", IEEE TASLP 19(4), 2011 (cosine
    scoring).

    >>> cosine_similarity([[1.0, 0.0], [1.0, 1.0]], [[0.0, 2.0], [3.0, 3.0]]).round(6)
    array([0., 1.])
    """
    first, second = (np.atleast_2d(np.asarray(array, np.float64)) for array in (enrolment, test))
    if first.shape != second.shape:
        raise DataError(f"embeddings of shapes {first.shape} and {second.shape}: pairs need the same shape")
    return _cosines(_unit(first, "enrolment"), _unit(second, "test"))


def trial_utterances(trials: Trials) -> tuple[str, ...]:
    """Every utterance id of the trials once, in order of first use: what has to be encoded.

    trials: pairs (enrolment utterance, test utterance). A protocol of tens of thousands of trials often uses a few
    thousand utterances: encode these, then call `trial_scores`.

    >>> trial_utterances([("a", "b"), ("a", "c"), ("c", "b")])
    ('a', 'b', 'c')
    """
    return tuple(dict.fromkeys(utterance for pair in trials for utterance in pair))


def trial_scores(embeddings: Mapping[str, ArrayLike], trials: Trials) -> FloatArray:
    """The cosine of every trial, from one embedding an utterance.

    embeddings: utterance id to array of shape (dimensions,). trials: pairs (enrolment utterance, test utterance).
    Returns shape (trials,), -1 to 1, higher is more alike; an empty array for no trials.

    Raises DataError for a trial whose utterance has no embedding, for embeddings of different lengths, and as
    `cosine_similarity` does. Source: as there.

    >>> trial_scores({"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [2.0, 0.0]}, [("a", "b"), ("a", "c")])
    array([0., 1.])
    """
    names = trial_utterances(trials)
    if not names:
        return np.zeros(0)
    missing = [name for name in names if name not in embeddings]
    if missing:
        raise DataError(f"{len(missing)} utterances of the trials have no embedding; the first is {missing[0]!r}")
    rows = [np.asarray(embeddings[name], np.float64) for name in names]
    for name, row in zip(names, rows, strict=True):
        if row.ndim != 1 or row.shape != rows[0].shape:
            raise DataError(f"embedding of {name!r} has shape {row.shape}; that of {names[0]!r} has {rows[0].shape}")
    unit = _unit(np.stack(rows), "utterance", names)
    index = {name: i for i, name in enumerate(names)}
    pairs: IntArray = np.array([[index[a], index[b]] for a, b in trials], dtype=np.int64)
    return _cosines(unit[pairs[:, 0]], unit[pairs[:, 1]])


def similarity_counts(enrolment: ArrayLike | None, test: ArrayLike | None) -> dict[str, float]:
    """The counts of one sample: `similarity` (the cosine) and `compared` (1).

    Where either is None, because nothing was synthesised or encoded, both are 0: the mean is over compared samples,
    and the failures stand beside it. Raises DataError as `cosine_similarity` does.

    >>> similarity_counts([1.0, 0.0], [1.0, 0.0])
    {'similarity': 1.0, 'compared': 1.0}
    """
    if enrolment is None or test is None:
        return {"similarity": 0.0, "compared": 0.0}
    return {"similarity": float(cosine_similarity(enrolment, test)[0]), "compared": 1.0}


def similarity_reduce() -> Reduce:
    """A reduction of `similarity_counts` to `similarity`, the mean cosine; -1 to 1, NaN if nothing was compared.

    >>> table = ScoreTable({"similarity": np.array([0.5, 0.7]), "compared": np.ones(2)}, np.arange(2),
    ...                    np.zeros(2, int), np.zeros(2, int))
    >>> similarity_reduce()(table, np.ones((1, 2)))["similarity"].round(3)
    array([0.6])
    """

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        return {"similarity": ratio_of_sums(table, weights, "similarity", "compared")}

    return reduce


def _cosines(first: FloatArray, second: FloatArray) -> FloatArray:
    """Of rows of length 1, with what rounding puts beyond ±1 brought back."""
    cosines: FloatArray = np.clip(np.einsum("ij,ij->i", first, second), -1.0, 1.0)
    return cosines


def _unit(rows: FloatArray, what: str, names: Sequence[str] | None = None) -> FloatArray:
    """Rows scaled to length 1; by the largest element first, so that tiny and huge ones keep their direction."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(rows).all(axis=1))
    largest: FloatArray = np.abs(np.where(finite[:, None], rows, 1.0)).max(axis=1, initial=0.0)
    for bad, why in ((~finite, "holds numbers that are not finite"), (largest == 0, "is all zeros: no direction")):
        if bad.any():
            at = int(np.argmax(bad))
            label = repr(names[at]) if names is not None else f"row {at}"
            raise DataError(f"{what} embedding {label} {why}; check the encoder's input")
    scaled = rows / largest[:, None]
    unit: FloatArray = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit
