"""A plug-in file for `endpoint.py`: the prepared telephone recordings of five languages as one task."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice

from audiometry.benchmark.registry import task
from audiometry.benchmark.types import Sample, Task
from audiometry.tasks.corpora.utterance import open_corpus
from audiometry.tasks.recognition import recognition_task

LANGUAGES = ("en", "es", "fr", "it", "ru")


@task("endpoint-clips")
def endpoint_clips(*, count: int = 5000) -> Task:
    """Word error rate on `count` samples: all recordings, and again under other ids where there are too few."""
    parts = [
        recognition_task(open_corpus(f"asterisk-{code}-telephone"), name="endpoint-clips", normaliser="basic-1")
        for code in LANGUAGES
    ]

    def samples() -> Iterator[Sample]:
        every = (sample for part in cycle(parts) for sample in part.samples())
        for number, sample in enumerate(islice(every, count)):
            yield replace(sample, id=f"{sample.id}-{number}")

    return replace(parts[0], samples=samples)
