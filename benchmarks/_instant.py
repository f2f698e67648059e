"""A plug-in file for benchmarks: real clips over and over, and a model that answers at once without touching them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Output, Request, Sample, Task
from audiometry.tasks.corpora.utterance import open_corpus
from audiometry.tasks.recognition import recognition_task


@task("repeated")
def repeated(*, count: int = 50_000, clips: int = 500) -> Task:
    """Word error rate on `count` samples, which are `clips` English clips over and over."""
    once = recognition_task(open_corpus("asterisk-en"), name="repeated")

    def samples() -> Iterator[Sample]:
        kept = [sample for sample, _ in zip(once.samples(), range(clips), strict=False)]
        for number in range(count):
            sample = kept[number % len(kept)]
            name = f"{sample.id}-{number // len(kept)}"
            yield Sample(name, sample.request, sample.target, sample.slices, sample.cluster, sample.stratum)

    return replace(once, samples=samples)


class Instant:
    """Says the same to everything."""

    name = "instant"
    abilities = frozenset({"transcribe"})
    fingerprint = "instant-1"
    deterministic = False  # or the same clip again would be answered by the cache

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Answer without looking."""
        return [Output(text="please leave a message after the tone") for _ in requests]

    def close(self) -> None:
        """Nothing to give back."""


@model("instant", abilities={"transcribe"}, waveforms=False)
def instant() -> Instant:
    """Answers at once."""
    return Instant()
