"""Does a model that rates speech agree with people? The protocol of the VoiceMOS challenges, on BVCC or SOMOS.

A model of ability `rate` hears each recording and gives it a score; people gave it ratings, whose mean is what the
score is held against. A sample without a score (a failure, an empty answer) has no prediction and enters no correlation
and no error: `unanswered`, the share of such samples, stands beside every number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import mean_of
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.rows import RatedUtterance
from audiometry.tasks.metrics.mos_prediction import PREDICTION_METRICS, prediction_reduce
from audiometry.tasks.row_corpora import must_name, named_after, open_rows_of

__all__ = ["METRICS", "prediction_task"]

VERSION = "1"

METRICS = (*PREDICTION_METRICS, Metric("unanswered", high=1.0, scale="logit", events="unanswered"))


def prediction_task(
    *, name: str, rows: Sequence[RatedUtterance], notes: tuple[str, ...] = (), corpus: str = "", language: str = ""
) -> Task:
    """Agreement of a model's scores with people's means, by system and by utterance.

    The clusters are the systems, so that intervals speak of other systems.

    Raises DataError for an empty list.
    """
    if not rows:
        raise DataError(f"task {name!r}: nobody rated anything; check the corpus and its split")
    codes = {system: float(place) for place, system in enumerate(sorted({row.system for row in rows}))}
    rated = {row.id: row for row in rows}
    agreement = prediction_reduce()

    def samples() -> Iterator[Sample]:
        for row in rows:
            request = Request("rate", {"candidate": row.audio}, language=language or None)
            yield Sample(row.id, request, row.mos, row.slices, row.system)

    def score(sample: Sample, output: Output) -> Score:
        row = rated[sample.id]
        predicted = math.nan if output.status != "ok" or output.score is None else float(output.score)
        answered = math.isfinite(predicted)
        counts = {
            "system": codes[row.system],
            "predicted": predicted if answered else 0.0,
            "people": row.mos,
            "answered": float(answered),
            "unanswered": float(not answered),
        }
        status = "unparsed" if output.status == "ok" and not answered else output.status
        return Score(sample.id, counts, status, {"people": f"{row.mos:g}", "system": row.system})

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {**agreement(table, weights), "unanswered": mean_of(table, weights, "unanswered")}

    return Task(
        name=name, version=VERSION, ability="rate", samples=samples, score=score, reduce=reduce, metrics=METRICS,
        notes=(*notes, f"{len(codes):,} systems"), settings={"corpus": corpus},
    )  # fmt: skip


_check_corpus = must_name("opinion-prediction", "a corpus of ratings", "corpus=somos,path=FOLDER")


@task("opinion-prediction", check=_check_corpus)
def opinion_prediction(
    *, corpus: str = "", path: str | None = None, split: str | None = None, partial: str | None = None
) -> Task:
    """A model's ratings of speech against people's, corpus=voicemos-bvcc or corpus=somos: SRCC, LCC, KTAU, MSE."""
    _check_corpus(corpus=corpus)
    what = "ratings by people; name voicemos-bvcc or somos"
    opened = open_rows_of(RatedUtterance, what, corpus, path=path, split=split, partial=partial)
    return prediction_task(
        name=named_after("opinion-prediction", corpus, opened), rows=opened.rows(), notes=tuple(opened.notes),
        corpus=opened.name, language=opened.language,
    )  # fmt: skip
