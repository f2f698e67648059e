"""A pool of Ray actors for one model: hand-out, failures, retries.

A batch goes to whichever worker is free. When a worker dies or hangs, every batch it held is a suspect, since it is not
known which was being asked. A suspect is asked again on a worker of its own; if that dies too, it is halved, and a
single sample that took its worker along `DEATHS` times is marked. So a poisonous sample costs only itself, and a
worker killed from outside costs nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray

from audiometry.benchmark.plan import Batch, PlannedModel, PlannedTask
from audiometry.benchmark.worker import Evaluator, ModelFacts, Row, failed_row

__all__ = ["Actor", "Pool"]

Actor = ray.remote(Evaluator)

IN_FLIGHT = 2
"""Batches handed to one worker at a time: it decodes the second while the model is at the first."""

DEATHS = 3
"""How often a sample must take a worker along, alone, before it is blamed."""

LOADS = 3
"""How often in a row workers may die while the model loads before the model is given up."""


@dataclass(frozen=True)
class _Job:
    """A batch to ask. A suspect has been at a worker that died or hung."""

    batch: Batch
    suspect: bool = False
    deaths: int = 0


@dataclass
class _Worker:
    actor: Any
    loading: Any
    facts: ModelFacts | None = None
    flights: int = 0
    has_suspect: bool = False


@dataclass
class _Flight:
    """A job at a worker; its clock starts when it is first in the worker's queue."""

    worker: _Worker
    job: _Job
    deadline: float | None = None


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
        self._waiting: deque[_Job] = deque(_Job(batch) for batch in batches)
        self._suspects: deque[_Job] = deque()
        self._tasks = tasks
        self._timeout = sample_timeout
        self._limit = max(1, min(workers, len(batches)))
        self._start = start
        self._workers: list[_Worker] = []
        self._flights: dict[Any, _Flight] = {}
        self._failed: list[Row] = []
        self._bad_loads = 0

    @property
    def done(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._waiting or self._suspects or self._flights or self._failed)

    def refs(self) -> list[Any]:
        """The Ray references whose completion this pool is waiting for."""
        return [worker.loading for worker in self._workers if worker.facts is None] + list(self._flights)

    def fill(self) -> None:
        """Start workers up to the limit, and hand batches to those that have room."""
        work = len(self._waiting) + len(self._suspects) + sum(1 for worker in self._workers if worker.flights)
        while len(self._workers) < min(self._limit, work):
            actor = self._start()
            self._workers.append(_Worker(actor, actor.load.remote()))
        for depth in range(IN_FLIGHT):
            for worker in self._workers:
                if worker.facts is None or worker.flights > depth or worker.has_suspect:
                    continue
                if self._waiting:
                    self._hand(worker, self._waiting.popleft())
                elif self._suspects and not worker.flights:
                    self._hand(worker, self._suspects.popleft())

    def collect(self, ready: set[Any]) -> list[Row]:
        """Rows of the batches whose references are in `ready`; failures are turned into retries or marked rows."""
        rows: list[Row] = []
        for worker in [worker for worker in self._workers if worker.facts is None and worker.loading in ready]:
            self._loaded(worker)
        for ref in [ref for ref in self._flights if ref in ready]:
            flight = self._flights.get(ref)
            if flight is None:  # its worker was just found dead, and the batch waits again
                continue
            try:
                rows.extend(ray.get(ref))
            except ray.exceptions.RayActorError as error:
                self._lost(flight, "error", f"the worker died: {_first_line(error)}")
            else:
                del self._flights[ref]
                flight.worker.flights -= 1
                flight.worker.has_suspect = False
                self._head(flight.worker)
        now = time.monotonic()
        for flight in [f for f in self._flights.values() if f.deadline is not None and now > f.deadline]:
            if flight in self._flights.values():
                self._lost(flight, "timeout", f"no answer within {self._timeout:g} s")
        failed, self._failed = self._failed, []
        return rows + failed

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers = []

    def _hand(self, worker: _Worker, job: _Job) -> None:
        ref = worker.actor.evaluate.remote(job.batch)
        worker.flights += 1
        worker.has_suspect = job.suspect
        self._flights[ref] = _Flight(worker, job)
        self._head(worker)

    def _head(self, worker: _Worker) -> None:
        """Start the clock of the first batch in a worker's queue; those behind it are not yet being asked."""
        first = next((flight for flight in self._flights.values() if flight.worker is worker), None)
        if first is not None and first.deadline is None:
            first.deadline = time.monotonic() + self._timeout * len(first.job.batch.items)

    def _loaded(self, worker: _Worker) -> None:
        try:
            facts: ModelFacts = ray.get(worker.loading)
            deadly = False
        except ray.exceptions.RayActorError as error:
            facts, deadly = ModelFacts(error=f"the worker died while loading: {_first_line(error)}"), True
        if facts.error is None:
            worker.facts = self.facts = facts
            self._bad_loads = 0
            return
        self._drop(worker)
        self._bad_loads += 1
        never = self.facts is None or self.facts.error is not None
        if (never and not deadly) or (self._bad_loads >= LOADS and not any(w.facts for w in self._workers)):
            self.facts = facts if never else self.facts
            for job in [*self._waiting, *self._suspects]:
                self._mark(job.batch, "error", f"the model did not load: {facts.error}")
            self._waiting.clear()
            self._suspects.clear()

    def _lost(self, flight: _Flight, status: str, reason: str) -> None:
        """Replace a worker that died or hung, and decide what becomes of the batches that it held."""
        held = [ref for ref, other in self._flights.items() if other.worker is flight.worker]
        jobs = [self._flights.pop(ref).job for ref in held]
        self._drop(flight.worker)
        items = flight.job.batch.items
        if len(jobs) > 1:
            self._suspects.extend(replace(job, suspect=True) for job in jobs)
        elif len(items) > 1:
            middle = len(items) // 2
            for half in (items[:middle], items[middle:]):
                self._suspects.append(_Job(Batch(flight.job.batch.task, half), suspect=True))
        elif status == "timeout" or flight.job.deaths + 1 >= DEATHS:
            self._mark(flight.job.batch, status, reason)
        else:
            self._suspects.append(replace(flight.job, suspect=True, deaths=flight.job.deaths + 1))

    def _drop(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        self._workers = [other for other in self._workers if other is not worker]

    def _mark(self, batch: Batch, status: str, reason: str) -> None:
        task = self._tasks[batch.task].task
        self._failed.extend(failed_row(batch.task, task, item, status, reason) for item in batch.items)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.split("\n", maxsplit=1)[0] if text else type(error).__name__
