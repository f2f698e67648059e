"""Hallucination: words that a recogniser writes though nobody spoke them.

Two tasks. `hallucination-non-speech` plays silence, noise, tones, music and babble: every word is made up.
`hallucination-padded-…` plays speech with nothing, silence or noise before and after it: words that stand where nothing
was said, and words added in a row, are made up.

A failed sample (time-out, error) counts as hallucinated, so that no model gains by failing where it would have talked;
it adds neither words nor sound to the words a minute, is no clip among the words at the edges, and to the word error
rate it adds its reference as deletions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task, transform
from audiometry.benchmark.seeds import derive_seed, hash_order
from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import (
    Audio,
    FloatArray,
    Metric,
    Output,
    Request,
    Sample,
    Score,
    ScoreTable,
    Task,
    Transform,
    Waveform,
)
from audiometry.tasks.corpora.non_speech import KINDS
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser
from audiometry.tasks.metrics.normalise import normaliser_for
from audiometry.tasks.metrics.runs import EditRun, added_loop, edit_runs, repetition_loop
from audiometry.tasks.recognition import score_transcript

__all__ = [
    "NON_SPEECH_METRICS",
    "PADDED_METRICS",
    "non_speech_task",
    "padded_task",
    "padding",
    "reduce_non_speech",
    "reduce_padded",
]

NON_SPEECH_VERSION = "1"
PADDED_VERSION = "2"
FAILED = ("timeout", "error")

INSERTED_RUN = 3
"""Inserted words in a row that count as a hallucination. One or two are as often a word heard as two.

Digits do not count: "1234" that is written "1 2 3 4" is spelt otherwise, and nothing is made up.
"""

PADDINGS = ("none", "silence", "noise")

Fill = Literal["silence", "noise"]

NON_SPEECH_METRICS = (
    Metric("hallucination_rate", high=1.0, scale="logit", events="hallucinated"),
    Metric("words_per_minute", unit="words/min", scale="log"),
    Metric("loop_rate", high=1.0, scale="logit", events="looped"),
)

PADDED_METRICS = (
    Metric("hallucination_rate", high=1.0, scale="logit", events="hallucinated"),
    Metric("edge_words", unit="words/clip"),
    Metric("loop_rate", high=1.0, scale="logit", events="looped"),
    Metric("wer", scale="log", events="errors"),
)


@transform("padding")
def padding(
    waveform: Waveform,
    generator: np.random.Generator,
    *,
    before: float,
    after: float,
    fill: Fill = "silence",
    level: float = -40.0,
) -> Waveform:
    """Seconds of digital silence, or of white noise at `level` dBFS (root mean square), before and after the sound.

    Raises SettingError for a negative length or an unknown filling.
    """
    if before < 0 or after < 0 or fill not in ("silence", "noise"):
        raise SettingError(
            f"transform 'padding': {before:g} s before, {after:g} s after, fill {fill!r}; "
            "give seconds of 0 or more, and silence or noise"
        )
    amplitude = 10 ** (level / 20) if fill == "noise" else 0.0
    around = [amplitude * generator.standard_normal(round(part * waveform.rate)) for part in (before, after)]
    joined = np.concatenate([around[0], waveform.samples, around[1]])
    return replace(waveform, samples=joined.astype(np.float32))


@task("hallucination-non-speech")
def hallucination_non_speech(*, language: str | None = None, normaliser: str = "basic-1", seconds: float = 0.0) -> Task:
    """Words written for 200 clips in which nobody speaks: silence, noise, tones, music and babble."""
    return non_speech_task(open_corpus("non-speech"), language=language, normaliser=normaliser, seconds=seconds)


@task("hallucination-padded-asterisk-en")
def hallucination_padded_asterisk_en(*, clips: int = 100, seconds: float = 5.0, level: float = -40.0) -> Task:
    """Words added to English prompts with nothing, silence or noise before and after them."""
    corpus = open_corpus("asterisk-en")
    return padded_task(corpus, name=f"hallucination-padded-{corpus.name}", clips=clips, seconds=seconds, level=level)


def non_speech_task(corpus: SpeechCorpus, *, language: str | None, normaliser: str, seconds: float = 0.0) -> Task:
    """The task on the corpus `non-speech`. Slices: kind of sound, its group, and the length that is heard.

    `language` is told to the model with each request (for models that must be told). `normaliser` names how texts are
    normalised before words are counted: what stands in brackets (``[music]``) and symbols are no words. Of each clip
    the first `seconds` are heard, or all of it where that is 0.

    Raises UnknownNameError for a normaliser that is not there, SettingError for a negative length.
    """
    change = named_normaliser(normaliser)
    if seconds < 0:
        raise SettingError(f"task 'hallucination-{corpus.name}': seconds={seconds:g}; give 0 for whole clips, or more")

    def samples() -> Iterator[Sample]:
        for utterance in corpus.utterances():
            kind, length, _ = utterance.id.rpartition("/")[2].rsplit("-", 2)
            heard = _start_of(utterance.audio, seconds)
            yield Sample(
                id=utterance.id,
                request=Request("transcribe", {"input": heard}, language=language),
                target="",
                slices={
                    "kind": kind,
                    "sound": KINDS[kind].group,
                    "length": length if heard is utterance.audio else f"{seconds:02g}s",
                },
                cluster=utterance.id,
            )

    def score(sample: Sample, output: Output) -> Score:
        return _score_non_speech(sample, output, change(_said(output)))

    return Task(
        name=f"hallucination-{corpus.name}",
        version=NON_SPEECH_VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_non_speech,
        metrics=NON_SPEECH_METRICS,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "normaliser": normaliser}
        | ({"language": language} if language else {})
        | ({"seconds": f"{seconds:g}"} if seconds else {}),
    )


def _start_of(audio: Audio, seconds: float) -> Audio:
    """The first `seconds` of a clip; all of it where they are 0, or it is no longer."""
    if not seconds or (audio.seconds is not None and audio.seconds <= seconds):
        return audio
    return replace(audio, end=audio.start + seconds, seconds=seconds)


def padded_task(corpus: SpeechCorpus, *, name: str, clips: int, seconds: float, level: float) -> Task:
    """Speech three times over: as it is, between silences, and between white noise at `level` dBFS.

    The first `clips` of a fixed hash order of the corpus are taken; `seconds` go before and after each.

    Raises SettingError for a number out of range.
    """
    if clips < 1 or not 0 < seconds <= 600:
        raise SettingError(
            f"task {name!r}: clips={clips}, seconds={seconds:g}; give at least 1 clip and 0 to 600 seconds"
        )
    chosen = normaliser_for(corpus.language)
    change = named_normaliser(chosen)

    def samples() -> Iterator[Sample]:
        utterances = list(corpus.utterances())
        for place in sorted(hash_order([one.id for one in utterances], first=clips)):
            utterance = utterances[place]
            for fill in PADDINGS:
                audio = utterance.audio if fill == "none" else _padded(utterance.audio, utterance.id, fill)
                yield Sample(
                    id=f"{utterance.id}+{fill}",
                    request=Request("transcribe", {"input": audio}, language=utterance.language or None),
                    target=utterance.text,
                    slices={**utterance.slices, "padding": fill},
                    cluster=utterance.id,
                )

    def _padded(audio: Audio, identity: str, fill: str) -> Audio:
        settings = (("after", seconds), ("before", seconds), ("fill", fill), ("level", level))
        step = Transform("padding", settings, derive_seed(0, "padding", identity))
        known = None if audio.seconds is None else audio.seconds + 2 * seconds
        return replace(audio, transforms=(*audio.transforms, step), seconds=known)

    def score(sample: Sample, output: Output) -> Score:
        return _score_padded(output, score_transcript(sample, output, change))

    return Task(
        name=name,
        version=PADDED_VERSION,
        ability="transcribe",
        samples=samples,
        score=score,
        reduce=reduce_padded,
        metrics=PADDED_METRICS,
        notes=(*corpus.notes, "recordings are resampled, each with its three paddings"),
        settings={
            "corpus": corpus.name, "normaliser": chosen, "clips": str(clips), "seconds": f"{seconds:g}",
            "level": f"{level:g}",
        },
    )  # fmt: skip


def reduce_non_speech(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Shares of clips with any word and with a loop, and words a minute of sound, shape (resamples,)."""
    return {
        "hallucination_rate": mean_of(table, weights, "hallucinated"),
        "words_per_minute": ratio_of_sums(table, weights, "words", "minutes"),
        "loop_rate": mean_of(table, weights, "looped"),
    }


def reduce_padded(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
    """Shares of clips with a run of inserted words and with a loop, words at the edges a heard clip, and WER."""
    return {
        "hallucination_rate": mean_of(table, weights, "hallucinated"),
        "edge_words": ratio_of_sums(table, weights, "edge_words", "heard"),
        "loop_rate": mean_of(table, weights, "looped"),
        "wer": ratio_of_sums(table, weights, "errors", "reference"),
    }


def _said(output: Output) -> str:
    return (output.text or "") if output.status == "ok" else ""


def _score_non_speech(sample: Sample, output: Output, normalised: str) -> Score:
    failed = output.status in FAILED
    words = len(normalised.split())
    loop = repetition_loop(normalised)
    heard = sample.request.audios["input"].seconds or 0.0
    counts = {
        "hallucinated": float(failed or words > 0),
        "looped": float(failed or loop is not None),
        "words": float(words),
        "minutes": 0.0 if failed else heard / 60,
    }
    details = {"hypothesis": _said(output), "hypothesis_normalised": normalised}
    if loop is not None:
        details["loop"] = f"{loop.times} x {' '.join(loop.phrase)}"
    return Score(sample.id, counts, status=output.status, details=details)


def _score_padded(output: Output, transcript: Score) -> Score:
    failed = output.status in FAILED
    reference, hypothesis = (transcript.details[f"{side}_normalised"] for side in ("reference", "hypothesis"))
    inserted = [run for run in edit_runs(reference, hypothesis) if run.kind == "insert"]
    longest = max(inserted, key=_made_up, default=None)
    loop = added_loop(reference, hypothesis)
    counts = {
        "hallucinated": float(failed or (longest is not None and _made_up(longest) >= INSERTED_RUN)),
        "edge_words": float(sum(len(run.words) for run in inserted if run.place != "inside")),
        "heard": float(not failed),
        "looped": float(failed or loop is not None),
        "errors": transcript.counts["errors"],
        "reference": transcript.counts["reference"],
    }
    return replace(transcript, counts=counts, details={**transcript.details, **_shown(longest)})


def _made_up(run: EditRun) -> int:
    return sum(not word.isdigit() for word in run.words)


def _shown(longest: EditRun | None) -> dict[str, str]:
    if longest is None or _made_up(longest) < INSERTED_RUN:
        return {}
    return {"inserted": " ".join(longest.words), "inserted_at": longest.place}
