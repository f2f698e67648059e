"""Audio captioning: `captioning-synthetic`, and `captioning` on AudioCaps or Clotho, by CIDEr-D, SPICE and SPIDEr.

SPICE is a judge's: the model `spice`, asked only where the setting `judge` names it. A failed sample, or one that the
judge fails on, is an empty caption and scores 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import Audio, FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.layout import CorpusFolder
from audiometry.tasks.corpora.rows import CaptionedClip
from audiometry.tasks.corpora.sounds import captioned_sounds
from audiometry.tasks.labelling import read_status
from audiometry.tasks.metrics.captioning import ReferenceCorpus, cider_d
from audiometry.tasks.row_corpora import must_name, named_after, open_rows_of

__all__ = ["captioning_task", "open_captions"]

INSTRUCTION = "Describe what is heard in this recording in one sentence. Answer with the sentence and nothing else."


CIDER = Metric("cider_d", unit="points", direction="higher", high=10.0)
JUDGED = (
    Metric("spider", unit="points", direction="higher", high=5.5),
    CIDER,
    Metric("spice", direction="higher", high=1.0),
)


def captioning_task(
    *, name: str, clips: Callable[[], Iterable[CaptionedClip]], notes: tuple[str, ...] = (), corpus: str = "",
    judge: str = "",
) -> Task:  # fmt: skip
    """Describe each clip: `cider_d`, the mean over clips; with a `judge` of captions, `spider` and `spice` beside it.

    `judge` is a model's spec (``;`` stands where a spec has ``,``); empty for none.

    The words' weights come from the references of all `clips`, whatever part of them is asked for. SPIDEr is the mean
    of CIDEr-D and SPICE (S. Liu et al. 2017, "Improved Image Captioning via Policy Gradient Optimization of SPIDEr").
    """

    judge = judge.replace(";", ",")

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
        counts = {"cider_d": value, "clips": 1.0} | ({"spice": 0.0, "spider": value / 2} if judge else {})
        return Score(sample.id, counts, read_status(output, bool(said.strip())), details)

    def asked(sample: Sample, output: Output, _: Audio | None) -> Mapping[str, Request]:
        if not (output.text or "").strip():
            return {}
        return {judge: Request("rate", text=output.text, instruction="\n".join(known()[0][sample.id]))}

    def judged(sample: Sample, output: Output, said: Mapping[str, Output]) -> Score:
        alone = score(sample, output)
        propositions = said[judge].score or 0.0 if judge in said else 0.0
        both = {"spice": propositions, "spider": (alone.counts["cider_d"] + propositions) / 2}
        return replace(alone, counts={**alone.counts, **both})

    metrics = JUDGED if judge else (CIDER,)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {one.name: ratio_of_sums(table, weights, one.name, "clips") for one in metrics}

    return Task(
        name=name, version="1", ability="respond", samples=samples, score=score, reduce=reduce, metrics=metrics,
        notes=notes, settings={"corpus": corpus} | ({"judge": judge} if judge else {}),
        judges=(judge,) if judge else (), judge=asked if judge else None, score_judged=judged if judge else None,
    )  # fmt: skip


@task("captioning-synthetic")
def captioning_synthetic(*, judge: str = "") -> Task:
    """Captions of sounds made from seeds, against five made by rule: CIDEr-D, and SPIDEr with judge=spice."""
    notes = ("synthetic sounds, captions by rule",)
    return captioning_task(
        name="captioning-synthetic", clips=captioned_sounds, notes=notes, corpus="synthetic-sounds", judge=judge
    )


def open_captions(corpus: str, **settings: str | None) -> CorpusFolder[CaptionedClip]:
    """The corpus of captioned clips registered under `corpus`.

    Raises UnknownNameError for an unknown name, DataError for a corpus of another kind.
    """
    opened: CorpusFolder[CaptionedClip]
    opened = open_rows_of(CaptionedClip, "captions; name audiocaps or clotho", corpus, **settings)
    return opened


_check_corpus = must_name("captioning", "a corpus of captions", "corpus=clotho,path=FOLDER")


@task("captioning", check=_check_corpus)
def captioning(
    *,
    corpus: str = "",
    path: str | None = None,
    split: str | None = None,
    partial: str | None = None,
    judge: str = "",
) -> Task:
    """Captions of a public corpus, corpus=audiocaps or corpus=clotho: CIDEr-D, and SPIDEr with judge=spice."""
    _check_corpus(corpus=corpus)
    opened = open_captions(corpus, path=path, split=split, partial=partial)
    return captioning_task(
        name=named_after("captioning", corpus, opened), clips=opened.rows, notes=tuple(opened.notes),
        corpus=opened.name, judge=judge,
    )  # fmt: skip
