"""Audio captioning: `captioning-synthetic`, and `captioning` on AudioCaps or Clotho, by CIDEr-D.

A failed sample is an empty caption and scores 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import CORPORA, Spec, task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.layout import CorpusFolder
from audiometry.tasks.corpora.rows import CaptionedClip
from audiometry.tasks.corpora.sounds import captioned_sounds
from audiometry.tasks.labelling import read_status
from audiometry.tasks.metrics.captioning import ReferenceCorpus, cider_d

__all__ = ["captioning_task", "open_captions"]

INSTRUCTION = "Describe what is heard in this recording in one sentence. Answer with the sentence and nothing else."


def captioning_task(
    *, name: str, clips: Callable[[], Iterable[CaptionedClip]], notes: tuple[str, ...] = (), corpus: str = ""
) -> Task:
    """Describe each clip: `cider_d`, the mean over clips.

    The words' weights come from the references of all `clips`, whatever part of them is asked for.
    """

    @functools.cache
    def known() -> tuple[dict[str, tuple[str, ...]], ReferenceCorpus]:
        references = {clip.id: clip.references for clip in clips()}
        return references, ReferenceCorpus.of(references.values())

    def samples() -> Iterator[Sample]:
        for clip in clips():
            request = Request("respond", {"input": clip.audio}, instruction=INSTRUCTION)
            yield Sample(clip.id, request, clip.references[0], clip.slices)

    def score(sample: Sample, output: Output) -> Score:
        references, weighed = known()
        said = (output.text or "") if output.status == "ok" else ""
        value = cider_d(said, references[sample.id], weighed)
        details = {"reference": " / ".join(references[sample.id]), "caption": said}
        return Score(sample.id, {"cider_d": value, "clips": 1.0}, read_status(output, bool(said.strip())), details)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {"cider_d": ratio_of_sums(table, weights, "cider_d", "clips")}

    return Task(
        name=name, version="1", ability="respond", samples=samples, score=score, reduce=reduce,
        metrics=(Metric("cider_d", unit="points", direction="higher", high=10.0),), notes=notes,
        settings={"corpus": corpus},
    )  # fmt: skip


@task("captioning-synthetic")
def captioning_synthetic() -> Task:
    """Captions of sounds made from seeds, against five made by rule: CIDEr-D."""
    notes = ("synthetic sounds, captions by rule",)
    return captioning_task(name="captioning-synthetic", clips=captioned_sounds, notes=notes, corpus="synthetic-sounds")


def open_captions(corpus: str, **settings: str | None) -> CorpusFolder[CaptionedClip]:
    """The corpus of captioned clips registered under `corpus`.

    Raises UnknownNameError for an unknown name, DataError for a corpus of another kind.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    opened = CORPORA.create(Spec(corpus, tuple(sorted(given.items()))))
    if not isinstance(opened, CorpusFolder) or not all(isinstance(row, CaptionedClip) for row in opened.rows()[:1]):
        raise DataError(f"corpus {corpus!r} holds no captions; name audiocaps or clotho")
    return opened


def _check_corpus(*, corpus: str = "", **_: object) -> None:
    if not corpus:
        raise SettingError("task 'captioning' needs a corpus of captions, as in captioning:corpus=clotho,path=FOLDER")


@task("captioning", check=_check_corpus)
def captioning(*, corpus: str = "", path: str | None = None, split: str | None = None) -> Task:
    """Captions of a public corpus, corpus=audiocaps or corpus=clotho: CIDEr-D."""
    _check_corpus(corpus=corpus)
    opened = open_captions(corpus, path=path, split=split)
    return captioning_task(
        name=f"captioning-{corpus}", clips=opened.rows, notes=tuple(opened.notes), corpus=opened.name
    )
