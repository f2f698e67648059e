"""Answers that other models judge: what each judge is still to be asked, and the samples that wait for them.

A judge is a model as any other, with workers of its own. Its answers are cached by what it was asked, so the same
sound is judged once. A sample is scored when all its judges have answered.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audiometry.benchmark.cache import Cache, known_digests, request_key
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.plan import Batch, Item, Plan
from audiometry.benchmark.rows import Row, bare_row, judged_row, restored_output
from audiometry.benchmark.types import Request, Sample
from audiometry.benchmark.worker import ModelFacts

__all__ = ["BACKLOG", "JudgeQueue", "Judging"]

BACKLOG = 512
"""Answers that may wait for their judges before no more are asked for."""

Pairs = list[tuple[Item, Row]]


class JudgeQueue:
    """What one judge is still to be asked, as batches. Where it is empty the iterator ends, and may go on later."""

    def __init__(self, size: int, cache: Cache | None, artefacts: str) -> None:
        self._size, self._cache, self._artefacts = size, cache, artefacts
        self._waiting: deque[tuple[int, Item]] = deque()
        self._served: Pairs = []
        self._facts: ModelFacts | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, task: int, item: Item) -> None:
        """Ask the judge for `item` of a task."""
        self._waiting.append((task, item))

    def learn(self, facts: ModelFacts) -> None:
        """Take the judge's fingerprint; must come before the first batch is asked for."""
        self._facts = facts

    def keep(self, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Put fresh answers into the cache. Failures are not kept."""
        if self._cache is None:
            return
        now = round(time.time(), 3)
        kept = [(self._key(item), row) for item, row in pairs if row.status not in ("error", "timeout")]
        self._cache.keep(
            (key, {"status": row.status, "output": dict(row.output), "made": now}) for key, row in kept if key
        )

    def served(self) -> Pairs:
        """Answers that the cache had, once each."""
        served, self._served = self._served, []
        return served

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        while self._waiting:
            task = self._waiting[0][0]
            items: list[Item] = []
            while self._waiting and self._waiting[0][0] == task and len(items) < self._size:
                item = self._waiting.popleft()[1]
                if not self._serve(task, item):
                    items.append(item)
            if items:
                return Batch(task, tuple(items), judge=True)
        raise StopIteration

    def _serve(self, task: int, item: Item) -> bool:
        key = None if self._cache is None else self._key(item)
        if key is None or self._cache is None:
            return False
        answer = self._cache.find([key]).get(key)
        if answer is None:
            return False
        try:
            output = restored_output(answer["status"], answer["output"], self._artefacts)
        except (AudioError, OSError):  # sound that was pruned: it is asked for again
            return False
        self._cache.touch([key])
        self._served.append((item, replace(bare_row(task, item, output, kept=answer["output"]), cached=True)))
        return True

    def _key(self, item: Item) -> str | None:
        if self._cache is None or self._facts is None or not self._facts.fingerprint:
            return None
        digests = known_digests(item.sample.request, self._cache)
        if digests is None:
            return None
        return request_key(self._facts.fingerprint, item.sample.request, digests, seeded=not self._facts.deterministic)


@dataclass
class _Open:
    """A sample that waits for judges: who answered it, and what has come."""

    model: int
    item: Item
    row: Row
    missing: set[str]
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)


class Judging:
    """The samples of a run that wait for judges, and a queue for each judge (named as the task names it)."""

    def __init__(self, plan: Plan, cache: Cache | None, artefacts: str) -> None:
        self._plan = plan
        size = plan.settings.batch_size
        self.queues = {name: JudgeQueue(1 if size == "auto" else size, cache, artefacts) for name in plan.judges}
        self._asked: dict[int, tuple[str, _Open]] = {}
        self._numbers = 0

    @property
    def open(self) -> int:
        """Requests that judges have not answered."""
        return len(self._asked)

    def take(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> Pairs:
        """Queue what has to be judged; return the rest."""
        final: Pairs = []
        for item, row in pairs:
            if not row.judge:
                final.append((item, row))
                continue
            waiting = _Open(model, item, row, set(row.judge))
            for name, request in row.judge.items():
                self._push(name, waiting, replace(request, seed=item.sample.request.seed))
        return final

    def collect(self, pairs: Sequence[tuple[Item, Row]]) -> dict[int, Pairs]:
        """Take judges' answers; return the samples that are complete by that, by model."""
        complete: dict[int, Pairs] = {}
        for item, row in pairs:
            name, waiting = self._asked.pop(item.position)
            waiting.missing.discard(name)
            waiting.answers[name] = {"status": row.status, **row.output}
            if not waiting.missing:
                task = self._plan.tasks[waiting.row.task].task
                scored = judged_row(task, waiting.item, waiting.row, waiting.answers)
                complete.setdefault(waiting.model, []).append((waiting.item, scored))
        return complete

    def _push(self, name: str, waiting: _Open, request: Request) -> None:
        number = self._numbers = self._numbers + 1
        self._asked[number] = (name, waiting)
        sample = Sample(f"{waiting.row.sample_id} ({name})", request, None)
        self.queues[name].push(waiting.row.task, Item(number, sample))
