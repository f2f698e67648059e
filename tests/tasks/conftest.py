"""A task's values for made answers, without models or workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.seeds import derangement
from audiometry.benchmark.types import Output, Sample, Score, Task
from audiometry.models.adapters.controls import target_as_output


@dataclass(frozen=True)
class Measured:
    """The values of every metric, the statuses, and every score by sample id."""

    values: Mapping[str, float]
    statuses: Mapping[str, int]
    scores: Mapping[str, Score]


@pytest.fixture
def measured() -> Callable[..., Measured]:
    """Score what `answer` says to every sample of a task: a function of the sample, or the name of a control."""

    def measure(task: Task, answer: Callable[[Sample], Output] | str) -> Measured:
        samples = list(task.samples())
        assert len({one.id for one in samples}) == len(samples)
        asked = _control(samples, answer) if isinstance(answer, str) else answer
        scores = [task.score(one, asked(one)) for one in samples]
        columns = Columns()
        for place, (one, score) in enumerate(zip(samples, scores, strict=True)):
            columns.append(place, one, score.status, score.counts)
        table = columns.table()
        reduced = task.reduce(table, np.ones((1, table.clusters)))
        assert set(reduced) == {metric.name for metric in task.metrics}
        return Measured(
            {name: float(value[0]) for name, value in reduced.items()},
            Counter(score.status for score in scores),
            {one.id: score for one, score in zip(samples, scores, strict=True)},
        )

    return measure


def _control(samples: list[Sample], name: str) -> Callable[[Sample], Output]:
    """As the controls `oracle`, `shuffled` and `silent` answer, and one that fails."""
    if name in ("silent", "failing"):
        made = Output(status="empty", text="") if name == "silent" else Output(status="error", error="broken")
        return lambda _: made
    ids = [one.id for one in samples]
    partner = dict(zip(ids, derangement(ids, 0), strict=True))
    if name == "oracle":
        partner = {one: place for place, one in enumerate(ids)}
    return lambda one: target_as_output(one.request.ability, samples[partner[one.id]].target)
