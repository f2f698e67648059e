"""The samples of a plan in stretches, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from audiometry.benchmark.plan import Item, Plan, heard_seconds
from audiometry.benchmark.seeds import derangement, derive_seed
from audiometry.benchmark.types import Sample

__all__ = ["WINDOW", "windows"]

WINDOW = 4096
"""Samples that are looked at together: sorted by length, and exchanged for the shuffled control."""


def windows(plan: Plan, model: int, task: int) -> Iterator[list[Item]]:
    """The samples of one (model, task) in stretches of `WINDOW`, longest sound first within each.

    What is in a window depends on the plan alone, never on workers or batches; only one is held at a time.
    """
    given = plan.models[model].entry.given
    planned = plan.tasks[task]
    for stretch in _stretches(planned.samples()):
        if given == "other target":
            partner = derangement([sample.id for _, sample in stretch], derive_seed(planned.seed, planned.task.name))
            items = [Item(at, sample, stretch[partner[i]][1].target) for i, (at, sample) in enumerate(stretch)]
        elif given == "own target":
            items = [Item(at, sample, sample.target) for at, sample in stretch]
        else:
            items = [Item(at, sample, sample.id if given == "sample id" else None) for at, sample in stretch]
        items.sort(key=lambda item: (-heard_seconds(item.sample), item.position))
        yield items


def _stretches(samples: Iterator[tuple[int, Sample]]) -> Iterator[list[tuple[int, Sample]]]:
    """Lists of `WINDOW` samples; a last one of a single sample joins the list before it."""
    held: list[tuple[int, Sample]] = []
    while True:
        taken = list(islice(samples, WINDOW))
        if held and len(taken) > 1:
            yield held
            held = []
        held += taken
        if len(taken) < WINDOW:
            break
    if held:
        yield held
