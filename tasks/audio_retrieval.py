"""Audio-text retrieval: `retrieval-synthetic`, and `retrieval` on AudioCaps or Clotho.

A model embeds each clip and each caption apart; alike is what has the higher cosine. A caption whose embedding failed
finds its clip last; a clip that failed is found after all others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.captioning import open_captions
from audiometry.tasks.corpora.rows import CaptionedClip
from audiometry.tasks.corpora.sounds import captioned_sounds
from audiometry.tasks.metrics.frechet import embedding_counts
from audiometry.tasks.metrics.retrieval import retrieval_counts, retrieval_metrics, retrieval_reduce
from audiometry.tasks.row_corpora import must_name, named_after

__all__ = ["retrieval_table", "retrieval_task"]

APART = -2.0
"""Below every cosine: how alike a clip without an embedding is to anything."""


def retrieval_task(
    *, name: str, clips: Callable[[], Iterable[CaptionedClip]], notes: tuple[str, ...] = (), corpus: str = ""
) -> Task:
    """Find a clip by each of its captions among all clips: recall@1, 5, 10, mAP@10, median rank.

    Clips with the very same set of captions are right for each other's captions. With ``--limit`` captions whose clip
    was not drawn are no queries, and there are fewer candidates: only whole runs compare.
    """

    def samples() -> Iterator[Sample]:
        same: dict[tuple[str, ...], int] = {}
        for number, clip in enumerate(clips()):
            same.setdefault(tuple(sorted(clip.references)), number)
            group = f"group-{same[tuple(sorted(clip.references))]}"
            yield Sample(f"{clip.id}#sound", Request("embed", {"input": clip.audio}), group, {}, clip.id)
            for at, text in enumerate(clip.references, 1):
                yield Sample(f"{clip.id}#{at}", Request("embed", text=text), group, {}, clip.id)

    every = retrieval_reduce()

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return every(retrieval_table(table), weights)

    return Task(
        name=name, version="1", ability="embed", samples=samples, score=_score, reduce=reduce,
        metrics=retrieval_metrics(), notes=notes, settings={"corpus": corpus},
    )  # fmt: skip


def _score(sample: Sample, output: Output) -> Score:
    counts = {"sound": float(bool(sample.request.audios)), "group": float(str(sample.target).partition("-")[2])}
    if output.status != "ok" or output.embedding is None:
        status = "empty" if output.status == "ok" else output.status
        return Score(sample.id, {**counts, "embedded": 0.0}, status)
    return Score(sample.id, {**counts, **embedding_counts(output.embedding)})


def retrieval_table(table: ScoreTable) -> ScoreTable:
    """The queries of a table of embeddings: counts as `retrieval_counts` gives them, a caption a row.

    table: counts `sound` (1 for a clip, 0 for a caption), `group` (what belongs together), `embedded` and
    `embedding_0` … . Captions without a clip in the table are no queries. Raises DataError if no query is left.
    """
    count = sum(name.startswith("embedding_") for name in table.counts)
    vectors = np.stack([table.counts[f"embedding_{i}"] for i in range(count)] or [np.zeros(len(table))], axis=1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    sound, group, embedded = (table.counts[name] for name in ("sound", "group", "embedded"))
    candidates = np.flatnonzero(sound > 0)
    queries = np.flatnonzero((sound == 0) & np.isin(group, group[candidates]))
    if len(queries) == 0:
        raise DataError("no caption's clip is among the samples; raise --limit, or leave it out")
    scores = unit[queries] @ unit[candidates].T
    scores[:, embedded[candidates] == 0] = APART
    relevant = group[queries][:, None] == group[candidates][None, :]
    # a caption without an embedding is alike to everything but its own clip
    scores[embedded[queries] == 0] = np.where(relevant[embedded[queries] == 0], APART, 0.0)
    counts = retrieval_counts(scores, relevant)
    return ScoreTable(
        counts, table.cluster[queries], table.stratum[queries], table.cluster_strata, table.clusters_span_strata
    )


@task("retrieval-synthetic")
def retrieval_synthetic() -> Task:
    """Sounds made from seeds, found by captions made by rule: recall@k, mAP@10, median rank."""
    notes = ("synthetic sounds, captions by rule",)
    return retrieval_task(name="retrieval-synthetic", clips=captioned_sounds, notes=notes, corpus="synthetic-sounds")


_check_corpus = must_name("retrieval", "a corpus of captions", "corpus=clotho,path=FOLDER")


@task("retrieval", check=_check_corpus)
def retrieval(
    *, corpus: str = "", path: str | None = None, split: str | None = None, partial: str | None = None
) -> Task:
    """Clips of a public corpus found by their captions, corpus=audiocaps or corpus=clotho: recall@k, mAP@10."""
    _check_corpus(corpus=corpus)
    opened = open_captions(corpus, path=path, split=split, partial=partial)
    name = named_after("retrieval", corpus, opened)
    return retrieval_task(name=name, clips=opened.rows, notes=tuple(opened.notes), corpus=opened.name)
