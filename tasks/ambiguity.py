"""Ambiguous style instructions, first form: does a model tell a clear instruction from a hedged one?

Each of 50 styles is asked for three times on one sentence: neutrally, clearly ("happy") and hedged ("happy but not too
exaggerated"). Two things are measured: whether the model asks back, and, where it answers with sound, how far that
lies from its own neutral rendering in pitch range, level and tempo.

A failed sample has asked nothing and rendered nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.metrics.intonation import Delivered, delivered
from audiometry.tasks.style_instructions import STYLES, Style

__all__ = ["KINDS", "METRICS", "ambiguity", "asks_back", "intensity", "reduce_ambiguity", "score_answer"]

VERSION = "1"

KINDS = ("neutral", "clear", "hedged")
MEASURES = ("pitch_range", "level", "log_seconds")

JUST_NOTICEABLE = (3.0, 1.0, math.log(1.05))
"""Of pitch range (semitones), level (dB) and duration (logarithm): see `intensity`."""

WISH = "Say the following sentence. Manner: {style}. If it is unclear how it should sound, ask before you say it."
QUESTION = "How strongly should that be heard: just a little, or clearly?"
DONE = "Here it is."

METRICS = (
    Metric("told_apart", direction="higher", low=-1.0, high=1.0),
    Metric("asked_clear", direction="lower", high=1.0, scale="logit"),
    Metric("asked_hedged", direction="higher", high=1.0, scale="logit"),
    Metric("rendered", direction="higher", high=1.0, scale="logit"),
    Metric("intensity_clear", unit="just noticeable differences", direction="higher", scale="log"),
    Metric("intensity_ratio", unit="ratio", direction="lower", scale="log"),
    Metric("moderated", direction="higher", high=1.0, scale="logit"),
)


def asks_back(text: str | None, sentence: str) -> bool:
    """Whether an answer's text holds a question of the model's own: a question mark outside the sentence to be said.

    >>> asks_back("Sure. How happy should it sound?", "We are here."), asks_back("Where are you?", "Where are you?")
    (True, False)
    """
    return any(mark in (text or "").replace(sentence, "") for mark in "?？؟")


def intensity(neutral: FloatArray, styled: FloatArray) -> FloatArray:
    """How far a rendering lies from the neutral one, in just noticeable differences: 0 and up, shape (…).

    neutral, styled: shape (…, 3): pitch range (semitones between the 10th and 90th percentile), level (dB) and the
    natural logarithm of the seconds of speech, of the same sentence. Each difference is divided by what listeners just
    notice, and the root of the sum of their squares is taken. Just noticeable are 3 semitones in the extent of a pitch
    movement (J. 't Hart, "Differential sensitivity to pitch distance, particularly in speech", JASA 69, 1981), 5 % of
    tempo (H. Quené, "On the just noticeable difference for tempo in speech", Journal of Phonetics 35, 2007) and 1 dB
    of level (B. C. J. Moore, "An Introduction to the Psychology of Hearing", 2012, chapter 4).

    >>> float(intensity(np.array([4.0, -20.0, 0.0]), np.array([7.0, -19.0, 0.0])).round(3))
    1.414
    """
    steps = (np.asarray(styled) - np.asarray(neutral)) / np.array(JUST_NOTICEABLE)
    return np.asarray(np.sqrt((steps**2).sum(axis=-1)))


def score_answer(sample: Sample, output: Output) -> Score:
    """Count one answer: of which kind, whether it asked back, whether it was rendered, and how."""
    kind, sentence = sample.slices["instruction"], sample.request.text or ""
    answered = output.status == "ok"
    asked = answered and asks_back(output.text, sentence)
    said = _measured(output) if answered and not asked else None
    counts: dict[str, float] = {}
    for one in KINDS:
        own = one == kind
        counts |= {one: float(own), f"asked_{one}": float(own and asked)}
        counts |= {f"rendered_{one}": float(own and said is not None)}
        values = said if own and said is not None else (0.0, 0.0, 0.0)
        counts |= {f"{measure}_{one}": value for measure, value in zip(MEASURES, values, strict=True)}
    shown = {} if said is None else dict(zip(MEASURES, (f"{value:.3f}" for value in said), strict=True))
    instruction = sample.request.instruction or ""
    return Score(
        sample.id,
        counts,
        status=output.status,
        details={"instruction": instruction, "sentence": sentence, "answer": output.text or "", **shown},
    )


def reduce_ambiguity(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Rates of asking and intensities of every resample of styles, shape (resamples,).

    `asked_clear` and `asked_hedged` are shares of the samples of that kind, `told_apart` is the second less the first.
    `rendered` is the share of all samples that came as speech and without a question. Over the styles of which all
    three kinds were rendered: `intensity_clear` is the mean intensity of the clear instruction, `intensity_ratio` the
    sum of hedged intensities over that of clear ones, `moderated` the share of styles whose hedged rendering is weaker
    than the clear one (0.5 where it is chance). NaN where there is nothing to divide by.
    """
    sums = {name: table.cluster_sums(name) for name in table.counts}
    asked = {kind: _ratio(weights @ sums[f"asked_{kind}"], weights @ sums[kind]) for kind in KINDS}
    whole = np.prod([sums[f"rendered_{kind}"] == 1 for kind in KINDS], axis=0).astype(np.float64)
    said = {kind: np.stack([sums[f"{measure}_{kind}"] for measure in MEASURES], axis=-1) for kind in KINDS}
    clear, hedged = (intensity(said["neutral"], said[kind]) * whole for kind in ("clear", "hedged"))
    rendered = sum(sums[f"rendered_{kind}"] for kind in KINDS)
    return {
        "told_apart": asked["hedged"] - asked["clear"],
        "asked_clear": asked["clear"],
        "asked_hedged": asked["hedged"],
        "rendered": _ratio(weights @ rendered, weights @ sum(sums[kind] for kind in KINDS)),
        "intensity_clear": _ratio(weights @ clear, weights @ whole),
        "intensity_ratio": _ratio(weights @ hedged, weights @ clear),
        "moderated": _ratio(weights @ ((hedged < clear) * whole), weights @ whole),
    }


def _measured(output: Output) -> tuple[float, float, float] | None:
    """Pitch range, level and log seconds of an answer's speech; None where there is none or it cannot be measured."""
    if output.audio is None:
        return None
    try:
        said: Delivered = delivered(output.audio)
    except DataError:
        return None
    if said.seconds <= 0 or not math.isfinite(said.pitch_range + said.level):
        return None
    return said.pitch_range, said.level, math.log(said.seconds)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    return np.asarray(np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0))


def _sample(style: Style, kind: str) -> Sample:
    wording = {"neutral": "neutral", "clear": style.clear, "hedged": style.hedged}[kind]
    return Sample(
        id=f"{style.name}/{kind}",
        request=Request("respond", text=style.sentence, instruction=WISH.format(style=wording), language="en"),
        target=QUESTION if kind == "hedged" else DONE,
        slices={"instruction": kind, "style": style.kind, "hedge": style.hedge},
        cluster=style.name,
    )


@task("ambiguity")
def ambiguity() -> Task:
    """Whether a model asks back on hedged style instructions and not on clear ones, and how it renders both."""

    def samples() -> Iterator[Sample]:
        return (_sample(style, kind) for style in STYLES for kind in KINDS)

    return Task(
        name="ambiguity",
        version=VERSION,
        ability="respond",
        samples=samples,
        score=score_answer,
        reduce=reduce_ambiguity,
        metrics=METRICS,
        notes=("first form: a question is a question mark in the answer's text",),
    )
