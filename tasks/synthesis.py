"""Speech synthesis: how a voice sounds, whether its words are heard, whose voice it is, how it moves, how fast it is.

The texts are the transcripts of recordings, so that a human voice stands beside every answer. Answers are judged by
models that had no part in them. What a failed answer (time-out, error, refusal, no sound) counts is the worst
that the scale has, and stands with each task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
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
)
from audiometry.tasks.corpora.utterance import SpeechCorpus, Utterance, open_corpus
from audiometry.tasks.hard_texts import HARD_TEXTS
from audiometry.tasks.metrics.intonation import Delivered, delivered
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce
from audiometry.tasks.metrics.normalise import normaliser as named_normaliser
from audiometry.tasks.metrics.normalise import normaliser_for
from audiometry.tasks.metrics.phonemes import count_phonemes, espeak_version
from audiometry.tasks.recognition import METRICS as TRANSCRIPT_METRICS
from audiometry.tasks.recognition import reduce_transcripts, score_transcript

__all__ = ["Reference", "prosody_counts", "reference_voices", "spoken_samples"]

VERSION = "1"
SPEED_VERSION = "2"
CORPUS = "asterisk-en"
MIN_WORDS = 4
VOICE_SECONDS = 3.0
"""How much of another recording a model hears of the voice that it is to speak in."""

WORST_OPINION = 1.0
BROKEN = 0.5
"""From this word error rate on, a text is broken and not just misheard in places."""

QUALITY = ("ovrl", "sig", "bak", "p808")
QUALITY_METRICS = tuple(Metric(name, unit="MOS", direction="higher", low=1.0, high=5.0) for name in QUALITY)
HEARD_METRICS = (
    *TRANSCRIPT_METRICS[:2],
    Metric("per", direction="lower", scale="log", events="phoneme_errors"),
)
ROBUST_METRICS = (Metric("broken", direction="lower", high=1.0, scale="logit", events="broken"), *HEARD_METRICS)
"""`broken` first: where the judge itself falls into a loop, one text can add more errors than all others."""
SIMILARITY_METRICS = (Metric("similarity", unit="cosine", direction="higher", low=-1.0, high=1.0),)
PROSODY_METRICS = (
    Metric("f0_range_error", unit="semitones", direction="lower"),
    Metric("rate_error", unit="relative", direction="lower"),
)
PERCENTILES = (50, 95)
SPEED_METRICS = tuple(one for one in latency_metrics(PERCENTILES) if not one.name.startswith("first"))

Scorer = Callable[[Sample, Output], Score]


class Reference(dict[str, Any]):
    """What a perfect voice would say: `text`, and the `recording` of it where there is one (an Audio).

    Its string shows the recording by its digest, and not by where it lies: a task's digest is made of such strings.
    """

    def __str__(self) -> str:
        recording: Audio | None = self.get("recording")
        if recording is None:
            return str(self["text"])
        where = recording.digest or recording.path.rpartition("/")[2]
        return f"{self['text']} ({where}, {recording.start:g} to {recording.end})"


def spoken_samples(corpus: SpeechCorpus, *, by_speaker: bool = False) -> Iterator[Sample]:
    """Every text of the corpus with four words or more, to be said in the voice that said it.

    The role `voice` holds three seconds of another recording of the same speaker, where there is one so long. The
    target is a `Reference`. Slices are language, speaker and gender, and the length of the text in words. The cluster
    is the text, or, where answers are compared with the human voice, the speaker (`by_speaker`).

    Raises DataError for an utterance without a language.
    """
    utterances = [one for one in corpus.utterances() if len(one.text.split()) >= MIN_WORDS]
    voices = reference_voices(utterances)
    for one in utterances:
        language = one.language or corpus.language
        if not language:
            raise DataError(f"corpus {corpus.name!r}: utterance {one.id!r} has no language; give language=CODE")
        slices = {name: value for name, value in one.slices.items() if name != "duration"}
        voice = {"voice": voices[one.id]} if one.id in voices else {}
        yield Sample(
            id=one.id,
            request=Request("synthesize", voice, text=one.text, language=language),
            target=Reference(text=one.text, recording=one.audio),
            slices={**slices, "length": _length(one.text)},
            cluster=one.speaker if by_speaker else one.id,
        )


def reference_voices(utterances: Sequence[Utterance]) -> dict[str, Audio]:
    """The first three seconds of another recording of the same speaker, by utterance id.

    The recordings of a speaker that are long enough take turns, in a fixed pseudo-random order. An utterance whose
    speaker has no other one so long has no voice, nor has one without a speaker.
    """
    long: dict[str, list[Utterance]] = {}
    for at in hash_order(one.id for one in utterances):
        one = utterances[at]
        if one.speaker and (one.audio.seconds or 0.0) >= VOICE_SECONDS:
            long.setdefault(one.speaker, []).append(one)
    voices = {}
    for number, one in enumerate(utterances):
        others = [other for other in long.get(one.speaker, ()) if other.id != one.id]
        if others:
            sound = others[number % len(others)].audio
            voices[one.id] = replace(sound, end=sound.start + VOICE_SECONDS, seconds=VOICE_SECONDS)
    return voices


@task("synthesis-naturalness", needs="quality")
def naturalness(*, corpus: str = CORPUS, path: str | None = None, language: str | None = None) -> Task:
    """Naturalness of synthesised sentences, as the DNSMOS networks rate them; a failure counts 1, the worst."""

    def failed(sample: Sample, output: Output) -> Score:
        return _score(sample, output, dict.fromkeys(QUALITY, WORST_OPINION))

    def judged(sample: Sample, output: Output, said: Mapping[str, Output]) -> Score:
        labels = said["dnsmos"].labels
        return _score(sample, output, {name: labels[name] for name in QUALITY}, heard=True)

    return _judged_task(
        "synthesis-naturalness", _opened(corpus, path, language), QUALITY_METRICS, failed, judged, "dnsmos", _rated
    )


@task("synthesis-intelligibility", needs="asr")
def intelligibility(
    *, corpus: str = CORPUS, path: str | None = None, language: str | None = None, judge: str = "whisper"
) -> Task:
    """Word and phoneme errors that a recogniser hears in synthesised sentences; a failure counts all deletions."""
    opened = _opened(corpus, path, language)
    chosen = normaliser_for(opened.language)
    failed, judged = _heard(chosen, judge)
    settings = {"normaliser": chosen, "espeak-ng": espeak_version()}
    return _judged_task(
        "synthesis-intelligibility", opened, HEARD_METRICS, failed, judged, judge, _transcribed, settings
    )


@task("synthesis-similarity")
def similarity(
    *, corpus: str = CORPUS, path: str | None = None, language: str | None = None, judge: str = "resemblyzer"
) -> Task:
    """How alike the voice is to three seconds of the speaker to be imitated; a failure counts 0."""

    def failed(sample: Sample, output: Output) -> Score:
        return _score(sample, output, {"similarity": 0.0})

    def judged(sample: Sample, output: Output, said: Mapping[str, Output]) -> Score:
        score = said[judge].score  # none where there is no voice in the answer
        return _score(sample, output, {"similarity": score or 0.0}, heard=True)

    opened = _opened(corpus, path, language)

    def samples() -> Iterator[Sample]:
        return (one for one in spoken_samples(opened, by_speaker=True) if "voice" in one.request.audios)

    made = _judged_task("synthesis-similarity", opened, SIMILARITY_METRICS, failed, judged, judge, _compared)
    return replace(made, samples=samples)


@task("synthesis-prosody")
def prosody(*, corpus: str = CORPUS, path: str | None = None, language: str | None = None) -> Task:
    """How far pitch range and speaking rate are from the human recording's; a failure counts as a flat, endless one."""
    opened = _opened(corpus, path, language)

    def score(sample: Sample, output: Output) -> Score:
        human = delivered(read(_recording(sample)))
        voice = delivered(output.audio) if output.status == "ok" and output.audio is not None else None
        details = {} if voice is None else {"voice": _told(voice), "human": _told(human)}
        return replace(_score(sample, output, prosody_counts(human, voice), heard=voice is not None), details=details)

    def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        return {
            "f0_range_error": ratio_of_sums(table, weights, "f0_range_error", "f0_measured"),
            "rate_error": ratio_of_sums(table, weights, "rate_error", "rate_measured"),
        }

    return Task(
        name="synthesis-prosody", version=VERSION, ability="synthesize",
        samples=lambda: spoken_samples(opened, by_speaker=True), score=score, reduce=reduce, metrics=PROSODY_METRICS,
        notes=opened.notes, settings={"corpus": opened.name},
    )  # fmt: skip


@task("synthesis-robustness", needs="asr")
def robustness(*, judge: str = "whisper") -> Task:
    """Errors that a recogniser hears in numbers, repetitions and tongue twisters; a failure counts all deletions."""
    chosen = normaliser_for("en")
    failed, judged = _heard(chosen, judge)

    def samples() -> Iterator[Sample]:
        for kind, texts in HARD_TEXTS.items():
            for number, (written, said) in enumerate(texts, start=1):
                name = f"{kind.replace(' ', '-')}-{number:02d}"
                request = Request("synthesize", text=written, language="en")
                yield Sample(name, request, Reference(text=said), {"kind": kind}, cluster=name)

    return Task(
        name="synthesis-robustness", version=VERSION, ability="synthesize", samples=samples, score=failed,
        reduce=_reduce_heard, metrics=ROBUST_METRICS, judges=(judge,), judge=_asking(judge, _transcribed),
        score_judged=judged, notes=_notes(judge),
        settings={"judge": judge, "normaliser": chosen, "espeak-ng": espeak_version()},
    )  # fmt: skip


@task("synthesis-speed")
def speed(*, corpus: str = CORPUS, path: str | None = None, language: str | None = None) -> Task:
    """Seconds of speech made in a second (RTFx), and how long a sentence takes, with the machine to itself."""
    opened = _opened(corpus, path, language)

    def score(sample: Sample, output: Output) -> Score:
        seconds = output.audio.seconds if output.audio is not None else 0.0
        timed = output if seconds > 0 else replace(output, timings={})  # no sound is no answer, however quick
        return _score(sample, output, latency_counts(timed, seconds), heard=seconds > 0)

    return Task(
        name="synthesis-speed", version=SPEED_VERSION, ability="synthesize", samples=lambda: spoken_samples(opened),
        score=score, reduce=latency_reduce(PERCENTILES), metrics=SPEED_METRICS, exclusive=True, notes=opened.notes,
        settings={"corpus": opened.name},
    )  # fmt: skip


def prosody_counts(human: Delivered, voice: Delivered | None) -> dict[str, float]:
    """The counts of one sentence: how far its pitch range (semitones) and rate (a fraction) are from the human's.

    Both say the same words, so the rates' ratio is that of the seconds from first to last sound. A voice without pitch
    has no range, one without sound has no rate, and None is both: the error is all of the human's range, and 1. Where
    the human's pitch or length cannot be measured, nothing is, and `f0_measured` or `rate_measured` is 0.

    >>> human, voice = Delivered(200.0, 8.0, -20.0, 3.0), Delivered(120.0, 5.0, -20.0, 2.0)
    >>> prosody_counts(human, voice)
    {'f0_range_error': 3.0, 'f0_measured': 1.0, 'rate_error': 0.5, 'rate_measured': 1.0}
    >>> prosody_counts(human, None)
    {'f0_range_error': 8.0, 'f0_measured': 1.0, 'rate_error': 1.0, 'rate_measured': 1.0}
    """
    pitched, timed = not math.isnan(human.pitch_range), human.seconds > 0
    own_range = 0.0 if voice is None or math.isnan(voice.pitch_range) else voice.pitch_range
    rate = 0.0 if voice is None or voice.seconds == 0 else human.seconds / voice.seconds
    return {
        "f0_range_error": abs(own_range - human.pitch_range) if pitched else 0.0,
        "f0_measured": float(pitched),
        "rate_error": abs(rate - 1.0) if timed else 0.0,
        "rate_measured": float(timed),
    }


def _opened(corpus: str, path: str | None, language: str | None) -> SpeechCorpus:
    given = {"path": path, "language": language}
    return open_corpus(corpus, **{key: value for key, value in given.items() if value is not None})


def _judged_task(
    name: str,
    corpus: SpeechCorpus,
    metrics: tuple[Metric, ...],
    failed: Scorer,
    judged: Callable[[Sample, Output, Mapping[str, Output]], Score],
    judge: str,
    ask: Callable[[Sample, Audio], Request],
    settings: Mapping[str, str] | None = None,
) -> Task:
    """A task on a corpus whose answers one judge hears."""

    def reduce_means(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        return {metric.name: mean_of(table, weights, metric.name) for metric in metrics}

    return Task(
        name=name, version=VERSION, ability="synthesize", samples=lambda: spoken_samples(corpus), score=failed,
        reduce=_reduce_heard if metrics is HEARD_METRICS else reduce_means, metrics=metrics, judges=(judge,),
        judge=_asking(judge, ask), score_judged=judged, notes=(*corpus.notes, *_notes(judge)),
        settings={"corpus": corpus.name, "judge": judge, **(settings or {})},
    )  # fmt: skip


def _asking(
    judge: str, ask: Callable[[Sample, Audio], Request]
) -> Callable[[Sample, Output, Audio | None], Mapping[str, Request]]:
    def asked(sample: Sample, output: Output, sound: Audio | None) -> Mapping[str, Request]:  # noqa: ARG001  (Task.judge)
        return {} if sound is None else {judge: ask(sample, sound)}

    return asked


def _rated(sample: Sample, sound: Audio) -> Request:
    return Request("rate", {"candidate": sound}, text=sample.request.text)


def _compared(sample: Sample, sound: Audio) -> Request:
    return Request("rate", {"candidate": sound, "voice": sample.request.audios["voice"]})


def _transcribed(sample: Sample, sound: Audio) -> Request:
    return Request("transcribe", {"input": sound}, language=sample.request.language)


def _notes(judge: str) -> tuple[str, ...]:
    return (f"as the judge {judge} hears it",)


def _score(sample: Sample, output: Output, counts: Mapping[str, float], *, heard: bool = False) -> Score:
    """An answer that is ok and was not heard, because it has no sound, is unparsed."""
    return Score(sample.id, counts, status="unparsed" if output.status == "ok" and not heard else output.status)


def _heard(normaliser: str, judge: str) -> tuple[Scorer, Callable[[Sample, Output, Mapping[str, Output]], Score]]:
    """How a transcript by the judge is scored, and how an answer that could not be heard is."""
    change = named_normaliser(normaliser)

    def score(sample: Sample, output: Output, transcript: Output) -> Score:
        target: Any = sample.target
        asked = replace(sample, target=str(target["text"]))
        found = score_transcript(asked, transcript, change)
        pair = [found.details["reference"]], [found.details["hypothesis"]]
        phonemes = count_phonemes(*pair, sample.request.language or "en")
        counts = {
            **found.counts,
            "phoneme_errors": float(phonemes.substitutions[0] + phonemes.deletions[0] + phonemes.insertions[0]),
            "phonemes": float(phonemes.hits[0] + phonemes.substitutions[0] + phonemes.deletions[0]),
            "broken": float(found.counts["errors"] >= BROKEN * max(found.counts["reference"], 1.0)),
        }
        made = _score(sample, output, counts, heard=transcript.status in ("ok", "empty") and output.status == "ok")
        return replace(made, details=found.details)

    def failed(sample: Sample, output: Output) -> Score:
        return score(sample, output, Output(status="error"))

    def judged(sample: Sample, output: Output, said: Mapping[str, Output]) -> Score:
        return score(sample, output, said[judge])

    return failed, judged


def _reduce_heard(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {
        **reduce_transcripts(table, weights),
        "per": ratio_of_sums(table, weights, "phoneme_errors", "phonemes"),
        "broken": mean_of(table, weights, "broken"),
    }


def _recording(sample: Sample) -> Audio:
    target: Any = sample.target
    recording: Audio = target["recording"]
    return recording


def _told(voice: Delivered) -> str:
    return f"{voice.pitch_range:.2f} semitones, {voice.seconds:.2f} s"


def _length(text: str) -> str:
    """Name of the group of texts by words; the names sort by length."""
    words = len(text.split())
    return "04-06 words" if words < 7 else "07-12 words" if words < 13 else "13+ words"
