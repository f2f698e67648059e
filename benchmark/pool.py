"""A pool of Ray actors for one model: hand-out, failures, retries.

A batch goes to whichever worker is free. A worker that dies or hangs is replaced, and its batches are halved and
asked again, so that a poisonous sample ends alone and is marked; its batch-mates are not lost.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from audiometry.benchmark.plan import Batch, PlannedModel, PlannedTask
from audiometry.benchmark.worker import Evaluator, ModelFacts, Row, failed_row

__all__ = ["Actor", "Pool"]

Actor = ray.remote(Evaluator)

IN_FLIGHT = 2
"""Batches handed to one worker at a time: it decodes the second while the model is at the first."""


@dataclass
class _Flight:
    """A batch at a worker. `left` counts down from the first moment it was at the head of its worker's queue."""

    worker: _Worker
    batch: Batch
    deadline: float | None = None


@dataclass
class _Worker:
    actor: Any
    loading: Any
    facts: ModelFacts | None = None
    flights: int = 0


class Pool:
    """Workers of one model and the batches that wait for them."""

    def __init__(
        self,
        model: PlannedModel,
        tasks: Sequence[PlannedTask],
        batches: Sequence[Batch],
        *,
        workers: int,
        sample_timeout: float,
        start: Callable[[], Any],
    ) -> None:
        self.model = model
        self.facts: ModelFacts | None = None
        self.waiting: deque[Batch] = deque(batches)
        self._tasks = tasks
        self._timeout = sample_timeout
        self._limit = max(1, min(workers, len(batches)))
        self._start = start
        self._workers: list[_Worker] = []
        self._flights: dict[Any, _Flight] = {}
        self._failed: list[Row] = []

    @property
    def done(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.waiting and not self._flights and not self._failed

    def refs(self) -> list[Any]:
        """The Ray references whose completion this pool is waiting for."""
        return [w.loading for w in self._workers if w.facts is None] + list(self._flights)

    def fill(self) -> None:
        """Start workers up to the limit, and hand batches to those that have room."""
        while self.waiting and len(self._workers) < min(self._limit, len(self.waiting) + self._busy()):
            actor = self._start()
            self._workers.append(_Worker(actor, actor.load.remote()))
        for depth in range(1, IN_FLIGHT + 1):
            for worker in self._workers:
                if self.waiting and worker.facts is not None and worker.flights < depth:
                    self._hand(worker)

    def collect(self, ready: set[Any]) -> list[Row]:
        """Rows of the batches whose references are in `ready`; failures are turned into retries or marked rows."""
        rows: list[Row] = []
        for worker in [w for w in self._workers if w.facts is None and w.loading in ready]:
            self._loaded(worker)
        for ref in [ref for ref in self._flights if ref in ready]:
            flight = self._flights.pop(ref, None)
            if flight is None:  # its worker was just found dead, and the batch is waiting again
                continue
            flight.worker.flights -= 1
            try:
                rows.extend(ray.get(ref))
            except ray.exceptions.RayActorError as error:
                self._lost(flight, "error", f"the worker died: {_first_line(error)}")
            else:
                self._head(flight.worker)
        self._expire()
        failed, self._failed = self._failed, []
        return rows + failed

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers = []

    def _busy(self) -> int:
        return sum(1 for worker in self._workers if worker.flights)

    def _hand(self, worker: _Worker) -> None:
        batch = self.waiting.popleft()
        ref = worker.actor.evaluate.remote(batch)
        worker.flights += 1
        self._flights[ref] = _Flight(worker, batch)
        self._head(worker)

    def _head(self, worker: _Worker) -> None:
        """Start the clock of the first batch in a worker's queue; those behind it are not yet being asked."""
        first = next((flight for flight in self._flights.values() if flight.worker is worker), None)
        if first is not None and first.deadline is None:
            first.deadline = time.monotonic() + self._timeout * len(first.batch.items)

    def _loaded(self, worker: _Worker) -> None:
        try:
            facts: ModelFacts = ray.get(worker.loading)
        except ray.exceptions.RayActorError as error:
            facts = ModelFacts(error=f"the worker died while the model loaded: {_first_line(error)}")
        if facts.error is None:
            worker.facts = facts
            self.facts = facts
            return
        self._drop(worker)
        if self.facts is None:  # it never loaded anywhere: nothing will come of trying again
            self.facts = facts
        if self.facts.error is not None or not self._workers:
            while self.waiting:
                self._mark(self.waiting.popleft(), "error", f"the model did not load: {facts.error}")

    def _lost(self, flight: _Flight, status: str, reason: str) -> None:
        """Replace a worker, halve the batch that was at its head, and put the rest back as they were."""
        others = [ref for ref, other in self._flights.items() if other.worker is flight.worker]
        for ref in others:
            self.waiting.appendleft(self._flights.pop(ref).batch)
        self._drop(flight.worker)
        items = flight.batch.items
        if len(items) == 1:
            self._mark(flight.batch, status, reason)
            return
        middle = len(items) // 2
        self.waiting.appendleft(Batch(flight.batch.task, items[middle:]))
        self.waiting.appendleft(Batch(flight.batch.task, items[:middle]))

    def _expire(self) -> None:
        now = time.monotonic()
        for ref, flight in list(self._flights.items()):
            if flight.deadline is not None and now > flight.deadline and ref in self._flights:
                del self._flights[ref]
                self._lost(flight, "timeout", f"no answer within {self._timeout:g} s")

    def _drop(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        self._workers = [w for w in self._workers if w is not worker]

    def _mark(self, batch: Batch, status: str, reason: str) -> None:
        task = self._tasks[batch.task].task
        self._failed.extend(failed_row(batch.task, task, item, status, reason) for item in batch.items)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.split("\n", maxsplit=1)[0] if text else type(error).__name__
