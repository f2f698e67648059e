"""How far two answers to one request are apart, for each kind of answer, and whether that counts as a difference."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.types import Output

__all__ = ["Gap", "best_label", "differ", "gaps", "plain_text"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Two answers of one kind, side by side.

    `size` is 0 for equal answers and up: characters to edit (`text`), the largest absolute difference (`score`,
    `labels`, `segments` in seconds, `audio` in full scale), 1 - cosine (`embedding`); infinite where the answers
    cannot be compared. `moved` says that it is more than tolerated. `form_only` marks texts that agree once case,
    punctuation and white space are left out.
    """

    kind: str
    size: float
    moved: bool
    before: str
    after: str
    form_only: bool = False


def differ(a: Output, b: Output, tolerance: float) -> bool:
    """Whether two answers differ by more than `tolerance`.

    >>> differ(Output(text="yes"), Output(text="Yes"), 0.0), differ(Output(score=1.0), Output(score=1.00001), 1e-4)
    (True, False)
    """
    return any(gap.moved for gap in gaps(a, b, tolerance))


def gaps(a: Output, b: Output, tolerance: float) -> list[Gap]:
    """Every kind of answer that either holds, compared. Times and usage are no answers.

    `tolerance` is for numbers: a `size` up to it is no difference. Texts must be equal, the most probable label, the
    labels of segments, and the length and rate of sound too. Of two failures the reasons are not compared.
    """
    if a.status != b.status:
        return [Gap("status", float("inf"), moved=True, before=_failure(a), after=_failure(b))]
    return [gap for compare in _COMPARED if (gap := compare(a, b, tolerance)) is not None]


def plain_text(text: str) -> str:
    """`text` without case, punctuation and repeated white space (after Unicode's NFKC).

    >>> plain_text("Please  hold — the line!")
    'please hold the line'
    """
    kept = "".join(
        " " if unicodedata.category(c)[0] in "PSZC" else c for c in unicodedata.normalize("NFKC", text).casefold()
    )
    return " ".join(kept.split())


def best_label(labels: Mapping[str, float]) -> str | None:
    """The most probable label, the first by name of several; None where there is none."""
    return min(labels, key=lambda name: (-labels[name], name), default=None)


def _text(a: Output, b: Output, _: float) -> Gap | None:
    before, after = a.text or "", b.text or ""
    if a.text is None and b.text is None:
        return None
    if before == after:
        return Gap("text", 0.0, moved=False, before=before, after=after)
    from rapidfuzz.distance import Levenshtein

    form_only = plain_text(before) == plain_text(after)
    return Gap("text", float(Levenshtein.distance(before, after)), True, before, after, form_only)


def _score(a: Output, b: Output, tolerance: float) -> Gap | None:
    if a.score is None and b.score is None:
        return None
    if a.score is None or b.score is None:
        return _unlike("score", str(a.score), str(b.score))
    size = abs(a.score - b.score)
    return Gap("score", size, not size <= tolerance, repr(a.score), repr(b.score))


def _labels(a: Output, b: Output, tolerance: float) -> Gap | None:
    if not a.labels and not b.labels:
        return None
    size = max(abs(a.labels.get(name, 0.0) - b.labels.get(name, 0.0)) for name in {*a.labels, *b.labels})
    best = best_label(a.labels), best_label(b.labels)
    before, after = (
        "no label" if name is None else f"{name} {labels[name]:g}"
        for name, labels in zip(best, (a.labels, b.labels), strict=True)
    )
    return Gap("labels", size, best[0] != best[1] or not size <= tolerance, before, after)


def _segments(a: Output, b: Output, tolerance: float) -> Gap | None:
    if not a.segments and not b.segments:
        return None
    before, after = (" ".join(f"{s.label} {s.start:g}-{s.end:g}" for s in one.segments) for one in (a, b))
    if [s.label for s in a.segments] != [s.label for s in b.segments]:
        return _unlike("segments", before, after)
    size = max(
        max(abs(x.start - y.start), abs(x.end - y.end), abs((x.score or 0.0) - (y.score or 0.0)))
        for x, y in zip(a.segments, b.segments, strict=True)
    )
    return Gap("segments", size, not size <= tolerance, before, after)


def _audio(a: Output, b: Output, tolerance: float) -> Gap | None:
    if a.audio is None and b.audio is None:
        return None
    before, after = (
        "no sound" if one.audio is None else f"{len(one.audio.samples)} samples at {one.audio.rate} Hz"
        for one in (a, b)
    )
    if a.audio is None or b.audio is None or before != after:
        return _unlike("audio", before, after)
    size = _largest_difference(a.audio.samples, b.audio.samples)
    return Gap("audio", size, not size <= tolerance, before, after)


def _embedding(a: Output, b: Output, tolerance: float) -> Gap | None:
    if a.embedding is None and b.embedding is None:
        return None
    before, after = (
        "no embedding" if one.embedding is None else f"embedding of shape {one.embedding.shape}" for one in (a, b)
    )
    if a.embedding is None or b.embedding is None or before != after:
        return _unlike("embedding", before, after)
    size = _cosine_distance(a.embedding.astype(np.float64).ravel(), b.embedding.astype(np.float64).ravel())
    return Gap("embedding", size, not size <= tolerance, before, after)


_COMPARED: tuple[Callable[[Output, Output, float], Gap | None], ...] = (
    _text, _score, _labels, _segments, _audio, _embedding,
)  # fmt: skip


def _unlike(kind: str, before: str, after: str) -> Gap:
    return Gap(kind, float("inf"), moved=True, before=before, after=after)


def _failure(output: Output) -> str:
    said = output.error or output.text or ""
    return f"{output.status}: {said}" if said else output.status


def _largest_difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    return float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64))))


def _cosine_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """1 - cosine; 0 for equal vectors, even where they have no direction."""
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float("inf") if lengths == 0.0 else max(0.0, 1.0 - float(a @ b) / lengths)
