"""Text-to-audio: `text-to-audio`, the Fréchet distance to a reference set and the agreement of text and sound.

The judge is a model that embeds sound (and text, for the agreement); `embedding-pair` asks it for the generated clip,
for the reference clip of the same prompt, and for the prompt. A failed sample is in no set and has no agreement, so a
model may not gain by failing: `answered` stands beside, and falls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import Audio, FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.sounds import captioned_sounds
from audiometry.tasks.metrics.frechet import frechet_from_moments, moments
from audiometry.tasks.metrics.weighting import ratio, sample_weights

__all__ = ["METRICS", "generation_reduce", "text_to_audio"]

SIDES = ("candidate", "reference")
METRICS = (
    Metric("frechet_distance", unit="squared embedding units", direction="lower"),
    Metric("agreement", unit="cosine", direction="higher", low=-1.0, high=1.0),
    Metric("answered", direction="higher", high=1.0, scale="logit"),
)


def _check_judge(*, judge: str = "", **_: object) -> None:
    if not judge:
        raise SettingError("task 'text-to-audio' needs a model that embeds sound, as in text-to-audio:judge=MODEL")
    if "," in judge:
        raise SettingError(f"task 'text-to-audio', setting 'judge': {judge!r} holds a comma; give one setting at most")


@task("text-to-audio", check=_check_judge)
def text_to_audio(*, judge: str = "", agreement: bool = True) -> Task:
    """Sounds generated from 120 prompts: Fréchet distance to reference sounds, agreement with the text, by judge=MODEL.

    `agreement` says whether the judge embeds text too.
    """
    _check_judge(judge=judge)
    asked = f"embedding-pair:model={judge}" if agreement else f"embedding-pair:model={judge},text=false"
    metrics = METRICS if agreement else (METRICS[0], METRICS[2])

    def samples() -> Iterator[Sample]:
        for clip in captioned_sounds():
            request = Request("synthesize", text=clip.references[0])
            yield Sample(clip.id, request, clip.audio.path, clip.slices, stratum=clip.slices["event"])

    def ask(sample: Sample, _: Output, sound: Audio | None) -> Mapping[str, Request]:
        if sound is None:
            return {}
        audios = {"candidate": sound, "reference": Audio(str(sample.target))}
        return {asked: Request("rate", audios, text=sample.request.text)}

    def score(sample: Sample, output: Output) -> Score:
        status = "empty" if output.status == "ok" else output.status
        return Score(sample.id, {"prompts": 1.0, "embedded": 0.0, "agreement": 0.0}, status)

    def score_judged(sample: Sample, _: Output, judged: Mapping[str, Output]) -> Score:
        heard = judged[asked]
        if not heard.labels or (agreement and heard.score is None):
            raise DataError(f"judge {asked!r} gave no embeddings")
        counts = {"prompts": 1.0, "embedded": 1.0, "agreement": heard.score or 0.0}
        return Score(sample.id, {**counts, **heard.labels})

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        values = generation_reduce(table, weights)
        return {metric.name: values[metric.name] for metric in metrics}

    return Task(
        name="text-to-audio", version="1", ability="synthesize", samples=samples, score=score, reduce=reduce,
        metrics=metrics, judges=(asked,), judge=ask, score_judged=score_judged,
        notes=("the reference set is synthetic: 120 sounds made from seeds",), settings={"judge": judge},
    )  # fmt: skip


def generation_reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    """`frechet_distance`, `agreement` (mean cosine) and `answered` of every resample, shape (resamples,).

    table: counts `candidate_0` … and `reference_0` …, the embeddings of the generated and the reference clip;
    `embedded` (0 for a failed sample, which is in neither set), `agreement`, `prompts`. A resample draws prompts, so
    both sets change together. The distance is NaN under two members, and is biased upwards by small sets: compare
    models on the same prompts only.
    """
    count = sum(name.startswith("candidate_") for name in table.counts)
    held = table.counts["embedded"]
    distances = np.full(len(np.atleast_2d(weights)), np.nan)
    if count:
        sets = [np.stack([table.counts[f"{side}_{i}"] for i in range(count)], axis=1) for side in SIDES]
        if count > 2 * len(table):  # the distance does not change under rotation: keep to the span of what is there
            basis = np.linalg.qr(np.concatenate(sets).T)[0]
            sets = [one @ basis for one in sets]
        for at, row in enumerate(sample_weights(table, weights)):
            if (row * held).sum() > 1:
                distances[at] = frechet_from_moments(*moments(sets[0], row * held), *moments(sets[1], row * held))
    embedded = weights @ table.cluster_sums("embedded")
    return {
        "frechet_distance": distances,
        "agreement": ratio(weights @ table.cluster_sums("agreement"), embedded),
        "answered": ratio_of_sums(table, weights, "embedded", "prompts"),
    }
