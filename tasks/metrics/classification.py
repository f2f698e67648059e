"""One label a sample: accuracy, unweighted average recall (UAR) and the confusion matrix. Emotion match is this."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import FloatArray, IntArray, Metric, Reduce, ScoreTable
from audiometry.tasks.metrics.weighting import ratio

__all__ = [
    "accuracy",
    "class_counts",
    "classification_metrics",
    "classification_reduce",
    "confusion_matrix",
    "recalls",
    "unweighted_average_recall",
]


def confusion_matrix(reference: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]) -> IntArray:
    """How often each reference class was answered with each class.

    reference: shape (samples,), each one of `classes`. predicted: shape (samples,); None, or a label outside
    `classes`, is no answer. classes: shape (classes,), in the order of rows and columns. Returns shape
    (classes, classes + 1): row = reference, column = answer, and the last column counts no answer, which no metric
    drops: such a sample is wrong.

    Raises DataError for a reference outside `classes`, classes named twice, or lengths that differ.
    Source: the layout is scikit-learn's `confusion_matrix`, with one column more.

    >>> confusion_matrix(["happy", "sad", "sad"], ["happy", "happy", None], ["happy", "sad"])
    array([[1, 0, 0],
           [1, 0, 1]])
    """
    if len(reference) != len(predicted):
        raise DataError(
            f"{len(reference)} reference labels and {len(predicted)} predicted ones: give one for each sample"
        )
    rows, columns = _codes(reference, predicted, classes)
    wide = len(classes) + 1
    counts = np.bincount(rows * wide + columns, minlength=len(classes) * wide)
    return counts.reshape(len(classes), wide).astype(np.int64)


def recalls(confusion: IntArray | FloatArray) -> FloatArray:
    """The share of each class that was recognised: the diagonal over the row's sum.

    confusion: shape (…, classes, classes + 1) as `confusion_matrix` gives, or (…, classes, classes). Returns shape
    (…, classes), 0 to 1, higher is better; NaN for a class without samples.

    >>> recalls(np.array([[3, 1], [0, 0]]))
    array([0.75,  nan])
    """
    confusion = np.asarray(confusion, np.float64)
    return ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def unweighted_average_recall(confusion: IntArray | FloatArray) -> FloatArray:
    """UAR: the mean of the classes' recalls, each class with the same weight however rare.

    confusion: as for `recalls`. Returns shape (…), 0 to 1, higher is better; a constant answer scores 1 / classes. A
    class without reference samples has no recall and is left out of the mean; NaN if none has any. The same number is
    called balanced accuracy and macro recall.

    Source: B. Schuller, S. Steidl and A. Batliner, "The INTERSPEECH 2009 Emotion Challenge", 2009.

    >>> float(unweighted_average_recall(np.array([[9, 1, 0], [1, 1, 0]])))
    0.7
    """
    values = recalls(confusion)
    known = np.isfinite(values)
    return ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


def accuracy(confusion: IntArray | FloatArray) -> FloatArray:
    """The share of samples answered rightly: the diagonal's sum over the whole sum.

    confusion: as for `recalls`. Returns shape (…), 0 to 1, higher is better; NaN for no samples. Where classes are
    uneven, a constant answer scores the largest class' share: read it beside UAR.

    >>> float(accuracy(np.array([[9, 1, 0], [1, 1, 0]])).round(4))
    0.8333
    """
    confusion = np.asarray(confusion, np.float64)
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def class_counts(reference: str, predicted: str | None, classes: Sequence[str]) -> dict[str, float]:
    """The counts of one sample: `reference` and `predicted`, as places in `classes`; no answer is len(classes).

    Raises DataError as `confusion_matrix` does.

    >>> class_counts("sad", "happy", ["happy", "sad"])
    {'reference': 1.0, 'predicted': 0.0}
    """
    rows, columns = _codes([reference], [predicted], classes)
    return {"reference": float(rows[0]), "predicted": float(columns[0])}


def classification_reduce(classes: Sequence[str]) -> Reduce:
    """A reduction of `class_counts` to `uar`, `accuracy` and `recall_CLASS` for each class.

    Raises DataError if a class is named twice.

    >>> counts = [class_counts(r, p, "ab") for r, p in [("a", "a"), ("a", "b"), ("b", "b")]]
    >>> columns = {name: np.array([c[name] for c in counts]) for name in counts[0]}
    >>> table = ScoreTable(columns, np.arange(3), np.zeros(3, int), np.zeros(3, int))
    >>> {name: float(value[0].round(3)) for name, value in classification_reduce("ab")(table, np.ones((1, 3))).items()}
    {'uar': 0.75, 'accuracy': 0.667, 'recall_a': 0.5, 'recall_b': 1.0}
    """
    _codes([], [], classes)
    size = len(classes)
    cells = size * (size + 1)

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        code = (table.counts["reference"] * (size + 1) + table.counts["predicted"]).astype(np.int64)
        per_cluster = np.bincount(table.cluster * cells + code, minlength=table.clusters * cells)
        confusion = (weights @ per_cluster.reshape(table.clusters, cells)).reshape(-1, size, size + 1)
        by_class = recalls(confusion)
        values = {"uar": unweighted_average_recall(confusion), "accuracy": accuracy(confusion)}
        return values | {f"recall_{name}": by_class[:, i] for i, name in enumerate(classes)}

    return reduce


def classification_metrics(classes: Sequence[str]) -> tuple[Metric, ...]:
    """What `classification_reduce` reports.

    >>> [metric.name for metric in classification_metrics(["happy"])]
    ['uar', 'accuracy', 'recall_happy']
    """
    names = ("uar", "accuracy", *(f"recall_{name}" for name in classes))
    return tuple(Metric(name, direction="higher", high=1.0, scale="logit") for name in names)


def _codes(
    reference: Sequence[str], predicted: Sequence[str | None], classes: Sequence[str]
) -> tuple[IntArray, IntArray]:
    index: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    if len(index) != len(classes):
        raise DataError(f"classes {list(classes)} name one class twice")
    for at, name in enumerate(reference):
        if name not in index:
            raise DataError(f"reference label {name!r} at index {at} is not one of the classes: {', '.join(classes)}")
    rows = np.array([index[name] for name in reference], dtype=np.int64)
    columns = np.array([index.get(name, len(classes)) for name in predicted], dtype=np.int64)
    return rows, columns
