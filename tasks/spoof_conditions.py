"""What a detector does after codecs, noise and compression, and how long it takes.

`spoof-robustness` hears trials of the embedded protocol in every condition; `spoof-latency` has the machine to itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import AudioError, SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
from audiometry.benchmark.types import Audio, FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.conditions import apply_condition, parse_condition
from audiometry.tasks.corpora.rows import SpoofingTrial
from audiometry.tasks.corpora.spoof.equalisation import REVISION, Level
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce
from audiometry.tasks.metrics.weighting import ratio
from audiometry.tasks.spoof import BONA_FIDE_TARGET, Protocol, attack_of, embedded_trials, spoof_samples, spoof_task

__all__ = ["CONDITIONS", "balanced", "conditioned_samples", "spoof_latency", "spoof_robustness"]

CLEAN = "none"
CONDITIONS: Mapping[str, str] = {
    "noise 20 dB": "noise/kind=pink/snr=20",
    "noise 10 dB": "noise/kind=pink/snr=10",
    "room": "reverberation/rt60=0.3/distance=1",
    "g711-alaw": "codec/name=g711-alaw",
    "amr-nb 4.75": "codec/name=amr-nb/bitrate=4.75",
    "opus 6": "codec/name=opus/bitrate=6",
    "mp3 16": "codec/name=mp3/bitrate=16",
    "aac 16": "codec/name=aac/bitrate=16",
    "packet loss": "packet-loss/rate=0.05/burst=2/conceal=repeat",
}
"""Slice (bit rates in kbit/s) and condition; every trial is heard in each, and as it is."""

TRIALS = 200
PERCENTILES = (50, 90, 95)
MEAN_TIME = Metric("milliseconds_a_trial", unit="ms", scale="log")


def balanced(trials: Sequence[SpoofingTrial], number: int) -> list[SpoofingTrial]:
    """The first `number` trials of a fixed hash order, half of them bona fide and each attack equally often.

    Fewer where there are fewer; 0 takes all. The order is that of `trials`.

    Raises SettingError for a negative number, or fewer than one trial of each attack.
    """
    if number == 0:
        return list(trials)
    places: dict[str, list[int]] = {}
    for place, trial in enumerate(trials):
        places.setdefault(attack_of(trial), []).append(place)
    each = number // (2 * max(1, len(places) - 1))
    if each < 1:
        raise SettingError(f"setting 'trials': {number} is too few for {len(places) - 1} attacks; give more, or 0")
    chosen: list[int] = []
    for attack, where in places.items():
        first = each if attack else number // 2
        chosen += [where[at] for at in hash_order([trials[place].id for place in where], first=first)]
    return [trials[place] for place in sorted(chosen)]


def conditioned_samples(trials: Sequence[SpoofingTrial]) -> Iterator[Sample]:
    """Every trial as it is and in each of `CONDITIONS`, which the slice ``condition`` names, in one cluster."""
    parsed = {label: parse_condition(text) for label, text in CONDITIONS.items()}
    for label in (CLEAN, *parsed):
        heard = [
            trial if label == CLEAN else replace(trial, audio=apply_condition(parsed[label], trial.audio, key=trial.id))
            for trial in trials
        ]
        for sample in spoof_samples(heard, by_source=True, slices={"condition": label}):
            yield replace(sample, id=f"{sample.id}@{label}")


@task("spoof-robustness")
def spoof_robustness(*, protocol: Protocol = "unseen-attack", level: Level = "E4", trials: int = TRIALS) -> Task:
    """Spoof detection after codecs, compression, noise and a room: error rates over all conditions and in each."""
    found, notes = embedded_trials(protocol, level)
    chosen = balanced(found, trials)
    return spoof_task(
        name=f"spoof-robustness-{protocol}-{level}",
        trials=lambda: chosen,
        samples=lambda: conditioned_samples(chosen),
        notes=(*notes, "all conditions of a trial are resampled together"),
        settings={
            "corpus": "spoof-embedded",
            "protocol": protocol,
            "level": level,
            "equalisation": REVISION,
            "trials": str(trials or "all"),
        },
    )


@task("spoof-latency")
def spoof_latency(*, level: Level = "E4", trials: int = 100) -> Task:
    """Milliseconds that a detector takes for a trial, and RTFx, alone on the machine."""
    if trials < 1:
        raise SettingError(f"task 'spoof-latency', setting 'trials': {trials}; give 1 or more")
    found, notes = embedded_trials("unseen-attack", level)
    reduce_times = latency_reduce(PERCENTILES)
    timed = tuple(metric for metric in latency_metrics(PERCENTILES) if not metric.name.startswith("first_"))

    def samples() -> Iterator[Sample]:
        for place in sorted(hash_order([trial.id for trial in found], first=trials)):
            trial = found[place]
            yield Sample(trial.id, Request("detect", {"input": trial.audio}), attack_of(trial) or BONA_FIDE_TARGET)

    def score(sample: Sample, output: Output) -> Score:
        sound = sample.request.audios["input"]
        seconds = _heard_seconds(sound) if level == "E1" and output.status == "ok" else sound.seconds or 0.0
        return Score(sample.id, latency_counts(output, seconds), output.status)

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        times = reduce_times(table, weights)
        spent, answered = (weights @ table.cluster_sums(name) for name in ("compute", "latency_answered"))
        return {
            MEAN_TIME.name: 1000.0 * ratio(spent, answered),
            **{metric.name: times[metric.name] for metric in timed},
        }

    return Task(
        name=f"spoof-latency-{level}",
        version="2",
        ability="detect",
        samples=samples,
        score=score,
        reduce=reduce,
        metrics=(MEAN_TIME, *timed),
        exclusive=True,
        notes=notes,
        settings={"corpus": "spoof-embedded", "level": level, "equalisation": REVISION, "trials": str(trials)},
    )


def _heard_seconds(sound: Audio) -> float:
    """The length of what is heard: E1 cuts the silence at the ends, and only the sound tells how much that is."""
    try:
        return read(sound).seconds
    except AudioError:  # an answer that did not need the sound
        return sound.seconds or 0.0
