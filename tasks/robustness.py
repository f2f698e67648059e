"""Word error rate in noise, far from the microphone and after codecs, each clip heard in every step of a ladder.

A failed sample counts as in `recognition`: every reference word is a deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
from audiometry.benchmark.stats.weights import MIN_CLUSTERS
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.conditions import Condition, apply_condition, conditioned, parse_condition
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser
from audiometry.tasks.metrics.normalise import normaliser_for
from audiometry.tasks.recognition import METRICS, recognition_task, reduce_transcripts, score_transcript
from audiometry.tasks.row_corpora import given

__all__ = ["CLIPS", "CODEC_STEPS", "FAR_STEPS", "KINDS", "SNRS", "Step", "ladder_shares", "noise_ladder", "step_task"]

VERSION = "1"

CLIPS = 80
"""Clips that a task takes unless told: the first of a fixed order."""

SNRS = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0)
LADDER = "/".join(f"{snr:g}" for snr in SNRS)
KINDS = ("white", "pink", "babble", "hum")
NoiseKind = Literal["all", "white", "pink", "babble", "hum"]

FAR_STEPS = tuple(
    (f"rt60 {rt60} s at {distance} m", f"reverberation/rt60={rt60}/distance={distance}")
    for rt60, distance in ((0.3, 1), (0.6, 2), (0.9, 3))
)
CODEC_STEPS = (
    ("g711-mulaw 64", "codec/name=g711-mulaw"),
    ("g711-alaw 64", "codec/name=g711-alaw"),
    ("g722 64", "codec/name=g722"),
    ("amr-nb 4.75", "codec/name=amr-nb/bitrate=4.75"),
    ("amr-nb 12.2", "codec/name=amr-nb/bitrate=12.2"),
    ("opus 6", "codec/name=opus/bitrate=6"),
    ("opus 16", "codec/name=opus/bitrate=16"),
    ("mp3 16", "codec/name=mp3/bitrate=16"),
    ("mp3 64", "codec/name=mp3/bitrate=64"),
    ("aac 16", "codec/name=aac/bitrate=16"),
)
"""Slice (with the bit rate in kbit/s) and condition."""

NOTE = f"all steps of a clip are resampled together; under {MIN_CLUSTERS} speakers clips are: these speakers only"


@dataclass(frozen=True)
class Step:
    """One step: its slice, the condition (None: as it was recorded) and where it lies on the ladder's axis."""

    label: str
    condition: Condition | None
    at: float | None = None
    slices: Mapping[str, str] = field(default_factory=dict)


def step_task(
    corpus: SpeechCorpus,
    *,
    name: str,
    axis: str,
    headline: str,
    steps: Callable[[int], Sequence[Step]],
    clips: int = CLIPS,
    normaliser: str | None = None,
    settings: Mapping[str, str] | None = None,
) -> Task:
    """A task in which every clip is heard in every step, so that steps are compared on the same words.

    `steps` gives the steps of a clip from its place in the order; their number and places on the axis must be the
    same for every clip. `axis` names the slice. The headline, called `headline`, weighs the steps by `ladder_shares`.
    `clips` is how many clips are taken, in a fixed order; 0 takes all.

    Raises UnknownNameError for a normaliser that is not there, SettingError for a negative number of clips.
    """
    if clips < 0:
        raise SettingError(f"task {name!r}, setting 'clips': {clips} is negative; give a number, or 0 for all")
    chosen = normaliser or normaliser_for(corpus.language)
    change = named_normaliser(chosen)
    places = {step.label: place for place, step in enumerate(steps(0))}
    at = [step.at if step.condition is not None else None for step in steps(0)]
    reference = [step.condition is None for step in steps(0)]

    def samples() -> Iterator[Sample]:
        yield from _samples(list(corpus.utterances()), axis, steps, clips)

    def score(sample: Sample, output: Output) -> Score:
        found = score_transcript(sample, output, change)
        here = places[sample.slices[axis]]
        counts = dict(found.counts)
        for place in range(len(places)):
            counts[f"errors_{place}"] = found.counts["errors"] if place == here else 0.0
            counts[f"reference_{place}"] = found.counts["reference"] if place == here else 0.0
        return Score(sample.id, counts, status=found.status, details=found.details)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {headline: _headline(table, weights, at, reference), **reduce_transcripts(table, weights)}

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce,
        metrics=(Metric(headline, direction="lower", scale="log", events="errors"), *METRICS),
        notes=(*corpus.notes, NOTE),
        settings={"corpus": corpus.name, "normaliser": chosen, "clips": str(clips or "all"), **(settings or {})},
    )


def _samples(
    utterances: list[Utterance], axis: str, steps: Callable[[int], Sequence[Step]], clips: int
) -> Iterator[Sample]:
    order = hash_order((one.id for one in utterances), first=clips or None)
    taken = [utterances[position] for position in order]
    speakers = {one.speaker for one in taken if one.speaker}
    by_speaker = len(speakers) >= MIN_CLUSTERS and all(one.speaker for one in taken)
    for place, one in enumerate(taken):
        for step in steps(place):
            audio = one.audio if step.condition is None else apply_condition(step.condition, one.audio, key=one.id)
            yield Sample(
                id=f"{one.id}@{step.label}",
                request=Request("transcribe", {"input": audio}, language=one.language or None),
                target=one.text,
                slices={**one.slices, axis: step.label, **step.slices},
                cluster=one.speaker if by_speaker else one.id,
            )


def ladder_shares(at: Sequence[float | None]) -> FloatArray:
    """How much each step counts in the headline, shape (steps,), sum 1.

    With places on an axis: the trapezoidal rule over the axis, divided by its width, so that the headline is the area
    under the curve as a mean height. Without places (all None), or with one step: each the same.

    >>> ladder_shares([20, 10, 5, 0]).tolist()
    [0.25, 0.375, 0.25, 0.125]
    >>> ladder_shares([None, None]).tolist()
    [0.5, 0.5]
    """
    if len(at) == 1 or any(place is None for place in at):
        return np.full(len(at), 1 / len(at))
    places = np.array(at, dtype=np.float64)
    order = np.argsort(places)
    gaps = np.diff(places[order])
    shares = np.empty(len(at))
    shares[order] = (np.append(gaps, 0) + np.append(0, gaps)) / 2 / gaps.sum()
    return shares


def _headline(
    table: ScoreTable, weights: FloatArray, at: Sequence[float | None], reference: Sequence[bool]
) -> FloatArray:
    """The steps' word error rates, weighed; steps without words in the table (a slice) are left out.

    Recordings as they are count only where the table holds nothing else.
    """
    there = [place for place in range(len(at)) if table.counts[f"reference_{place}"].sum() > 0]
    used = [place for place in there if not reference[place]] or there
    if not used:
        return np.full(len(weights), np.nan)
    errors, words = (
        weights @ np.stack([table.cluster_sums(f"{name}_{place}") for place in used], axis=1)
        for name in ("errors", "reference")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(words > 0, errors / words, np.nan) @ ladder_shares([at[place] for place in used]))


def noise_ladder(
    corpus: SpeechCorpus,
    *,
    name: str,
    noise: NoiseKind = "all",
    snrs: str = LADDER,
    clips: int = CLIPS,
    normaliser: str | None = None,
) -> Task:
    """The SNR ladder: each clip in one kind of noise (or in `noise` alone) at every SNR, and as it was recorded.

    `snrs` are dB, joined by ``/``. Raises SettingError for what is no list of different numbers within -60 to 120.
    """
    kinds = KINDS if noise == "all" else (noise,)
    ladders = [_ladder(kind, corpus.name, _read_snrs(snrs)) for kind in kinds]
    return step_task(
        corpus, name=name, axis="snr", headline="wer_area", clips=clips, normaliser=normaliser,
        steps=lambda place: ladders[place % len(ladders)], settings={"noise": noise, "snrs": snrs},
    )  # fmt: skip


def _read_snrs(text: str) -> list[float]:
    try:
        snrs = [float(part) for part in text.split("/")]
    except ValueError:
        snrs = []
    if not snrs or len(set(snrs)) < len(snrs) or not all(-60 <= snr <= 120 for snr in snrs):
        raise SettingError(f"setting 'snrs': {text!r} is no list of different dB from -60 to 120, as in 20/10/0")
    return snrs


def _ladder(kind: str, corpus: str, snrs: Sequence[float]) -> list[Step]:
    how = "babble" if kind == "babble" else f"noise/kind={kind}"
    noisy = [
        Step(_shown(snr), parse_condition(f"{how}/snr={snr:g}", babble=corpus), snr, {"noise": kind}) for snr in snrs
    ]
    return [Step("clean", None), *noisy]


def _shown(snr: float) -> str:
    """So that names of equal length sort.

    >>> _shown(5.0), _shown(-7.5), _shown(20.0)
    ('+05 dB', '-7.5 dB', '+20 dB')
    """
    return f"{snr:+03.0f} dB" if snr == round(snr) else f"{snr:+g} dB"


def _fixed(axis: str, conditions: Sequence[tuple[str, str]]) -> Callable[..., Task]:
    def make(corpus: SpeechCorpus, *, name: str, clips: int = CLIPS, normaliser: str | None = None) -> Task:
        steps = [Step("clean", None), *(Step(label, parse_condition(text)) for label, text in conditions)]
        return step_task(
            corpus, name=name, axis=axis, headline="wer_mean", clips=clips, normaliser=normaliser,
            steps=lambda _: steps,
        )  # fmt: skip

    return make


far_ladder = _fixed("room", FAR_STEPS)
codec_ladder = _fixed("codec", CODEC_STEPS)


def _check_condition(*, corpus: str, condition: str, **_: object) -> None:
    parse_condition(condition, babble=corpus)


@task("wer-condition", check=_check_condition)
def wer_condition(
    *,
    corpus: str,
    condition: str,
    path: str | None = None,
    split: str | None = None,
    language: str | None = None,
    partial: str | None = None,
    normaliser: str | None = None,
    name: str | None = None,
) -> Task:
    """Word error rate on any corpus heard in any condition (condition=noise/kind=pink/snr=5, or a named one)."""
    opened = open_corpus(corpus, **given(path=path, split=split, language=language, partial=partial))
    heard = conditioned(opened, condition)
    return recognition_task(heard, name=name or "wer-condition", normaliser=normaliser)


def _check_snrs(*, snrs: str = LADDER, **_: object) -> None:
    _read_snrs(snrs)


def _register(corpus: str, where: str) -> None:
    def noisy(
        *, noise: NoiseKind = "all", snrs: str = LADDER, clips: int = CLIPS, normaliser: str | None = None
    ) -> Task:
        return noise_ladder(
            open_corpus(corpus), name=f"wer-noisy-{corpus}", noise=noise, snrs=snrs, clips=clips, normaliser=normaliser
        )

    def far(*, clips: int = CLIPS, normaliser: str | None = None) -> Task:
        return far_ladder(open_corpus(corpus), name=f"wer-far-{corpus}", clips=clips, normaliser=normaliser)

    def coded(*, clips: int = CLIPS, normaliser: str | None = None) -> Task:
        return codec_ladder(open_corpus(corpus), name=f"wer-codec-{corpus}", clips=clips, normaliser=normaliser)

    noisy.__doc__ = f"Area under the word error rate over the signal-to-noise ratio, 20 to -5 dB, on {where}."
    far.__doc__ = f"Mean word error rate in three simulated rooms, on {where}."
    coded.__doc__ = f"Mean word error rate after ten codecs and bit rates, on {where}."
    for kind, factory in (("noisy", noisy), ("far", far), ("codec", coded)):
        task(f"wer-{kind}-{corpus}", check=_check_snrs)(factory)


for _language in ("en", "es", "fr", "it", "ru"):
    _register(f"asterisk-{_language}", f"human prompts in {_language!r}")
_register("synthetic-en", "English sentences spoken by a packaged synthesiser")
