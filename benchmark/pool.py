"""A pool of Ray actors for one model: hand-out, failures, retries.

A batch goes to whichever worker is free. When a worker dies or hangs, every batch it held is a suspect, since it is not
known which was being asked. A suspect is asked again on a worker of its own; if that dies too, it is halved, and a
single sample that took its worker along `DEATHS` times is marked. So a poisonous sample costs only itself, and a
worker killed from outside costs nothing.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray

from audiometry.benchmark.answers import Memory
from audiometry.benchmark.energy import CpuTime
from audiometry.benchmark.logs import (
    MODEL_LOADED,
    MODEL_NOT_LOADED,
    SAMPLE_FAILED,
    SAMPLE_RETRIED,
    SAMPLE_TIMED_OUT,
    WORKER_LOST,
)
from audiometry.benchmark.plan import Batch, Item, PlannedTask
from audiometry.benchmark.rows import Row, failed_row
from audiometry.benchmark.worker import Evaluator, ModelFacts, Spent

__all__ = ["Actor", "Pool"]

log = logging.getLogger("audiometry.pool")

Actor = ray.remote(Evaluator)

IN_FLIGHT = 2
"""Batches handed to one worker at a time: it decodes the second while the model is at the first."""

DEATHS = 3
"""How often a sample must take a worker along, alone, before it is blamed."""

PARCEL_SECONDS = 0.2
PARCEL_ITEMS = 2048
"""How long, and how many samples at most, one message to a worker should last."""

SLACK = 10.0
"""How much slower than so far samples may become before that looks like a hang."""

LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.TaskCancelledError,
)
"""What Ray says when a worker, its node or its answer is gone: not all of it is a RayActorError."""

LOADS = 3
LOADS_AGAIN = 10
"""How often in a row workers may die while the model loads before the model is given up: more often where it has loaded
before in this run, for then something else is likely to have killed them."""


@dataclass(frozen=True)
class _Job:
    """Batches handed over together. A suspect has been at a worker that died or hung."""

    batches: tuple[Batch, ...]
    suspect: bool = False
    deaths: int = 0

    @property
    def items(self) -> list[Item]:
        """Every item, in order."""
        return [item for batch in self.batches for item in batch.items]

    def halves(self) -> list[_Job]:
        """Two jobs, each about half; none for a single item."""
        if len(self.batches) > 1:
            middle = len(self.batches) // 2
            return [_Job(part, suspect=True) for part in (self.batches[:middle], self.batches[middle:])]
        (batch,) = self.batches
        if len(batch.items) < 2:
            return []
        middle = len(batch.items) // 2
        parts = (batch.items[:middle], batch.items[middle:])
        return [_Job((replace(batch, items=part),), suspect=True) for part in parts]


@dataclass
class _Worker:
    actor: Any
    loading: Any
    added: float
    facts: ModelFacts | None = None
    since: float = 0.0
    flights: int = 0
    has_suspect: bool = False


@dataclass
class _Flight:
    """A job at a worker; its clock starts when it is first in the worker's queue."""

    worker: _Worker
    job: _Job
    deadline: float | None = None


@dataclass
class _Use:
    """Where the workers' time went, in seconds."""

    decode: float = 0.0
    model: float = 0.0
    score: float = 0.0
    lifetime: float = 0.0
    start: float = 0.0
    """From asking for the first worker until its model was loaded."""
    workers: int = 0
    batch_size: int = 0

    def add(self, spent: Spent) -> None:
        self.decode += spent.decode
        self.model += spent.model
        self.score += spent.score
        self.batch_size = spent.batch_size or self.batch_size

    def document(self) -> dict[str, float]:
        idle = max(0.0, self.lifetime - self.model - self.score)
        times = {"decode": self.decode, "model": self.model, "score": self.score, "idle": idle, "start": self.start}
        found: dict[str, float] = {f"{name}_seconds": round(value, 3) for name, value in times.items()}
        found["workers"] = self.workers
        return found | ({"batch_size": self.batch_size} if self.batch_size else {})


class Pool:
    """Workers of one model and the batches that wait for them.

    `facts` is None where only a loaded model can tell its fingerprint; `batches` is then not asked before it has.
    """

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        pending: Memory,
        batches: Iterator[Batch],
        *,
        first: Batch | None,
        facts: ModelFacts | None,
        workers: int,
        sample_timeout: float,
        start: Callable[[int | None], Any],
        label: str,
        used: Callable[[CpuTime], None],
    ) -> None:
        """`label` names the model in the log; `used` is told what each worker has used with each of its answers."""
        self.facts = facts
        self._label = label
        self._used = used
        self._tasks = tasks
        self._pending = pending
        self._timeout = sample_timeout
        self._limit = workers
        self._start = start
        self._batches = batches
        self._next = first
        self._suspects: deque[_Job] = deque()
        self._workers: list[_Worker] = []
        self._spare: Any = None  # an actor whose process starts while the first one loads the model
        self._flights: dict[Any, _Flight] = {}
        self._failed: list[tuple[Item, Row]] = []
        self._bad_loads = 0
        self._item_seconds: float | None = None
        self._largest: int | None = None  # bound of that size, once a worker has died
        self._wanted = 0  # the batch size that a worker looks for, if it does
        self._use = _Use()

    def waits(self) -> bool:
        """Whether a batch waits for a worker. Asking may serve answers from the cache, until one is missing."""
        if self._next is None:
            self._next = next(self._batches, None)
        return self._next is not None or bool(self._suspects)

    @property
    def done(self) -> bool:
        """Whether nothing waits and nothing is under way. A worker that has not loaded by then is not needed."""
        unknown = self.facts is None and bool(self._loading())
        return not (self._flights or self._failed or unknown or self.waits())

    @property
    def pipe(self) -> None:
        """No pipe: everything comes through Ray."""
        return None

    def refs(self) -> list[Any]:
        """The Ray references whose completion this pool is waiting for."""
        return [worker.loading for worker in self._loading()] + list(self._flights)

    def fill(self) -> None:
        """Hand batches to the workers that have room, and start workers while batches wait."""
        if self.facts is None and not self._workers:
            self._add()  # what is cached can only be told once the model has said who it is
        elif self._spare is None and self._limit > 1 and self._first_loads():
            self._spare = self._start(None)  # its process starts meanwhile: the two then begin almost together
        if self.facts is None:
            return
        for depth in range(IN_FLIGHT):
            for worker in self._workers:
                if worker.facts is None or worker.flights > depth or worker.has_suspect or not self.waits():
                    continue
                if self._next is not None:
                    self._hand(worker, self._parcel())
                elif not worker.flights:
                    self._hand(worker, self._suspects.popleft())
        if self.waits():
            loading = len(self._loading())
            room = min(self._limit - len(self._workers), max(1, len(self._workers) - loading) - loading)
            for _ in range(room):  # one first, in case it cannot load; then as many as have loaded
                self._add()
        else:  # what an idle worker holds may be what another model waits for
            self._end_spare()
            for worker in [w for w in self._workers if w.facts is not None and not w.flights]:
                self._drop(worker)

    def collect(self, ready: set[Any]) -> list[tuple[Item, Row]]:
        """Answers whose references are in `ready`; failures are turned into retries or marked rows."""
        pairs: list[tuple[Item, Row]] = []
        for worker in [worker for worker in self._loading() if worker.loading in ready]:
            self._loaded(worker)
        for ref in [ref for ref in self._flights if ref in ready]:
            flight = self._flights.get(ref)
            if flight is None:  # its worker was just found dead, and the batch waits again
                continue
            try:
                rows, spent = ray.get(ref)
            except LOST as error:
                self._lost(flight, "error", f"the worker died: {_first_line(error)}")
            else:
                pairs += self._landed(ref, flight, rows, spent)
        now = time.monotonic()
        for flight in [f for f in self._flights.values() if f.deadline is not None and now > f.deadline]:
            if flight in self._flights.values():
                self._lost(flight, "timeout", f"no answer within {self._timeout:g} s")
        self._pending.keep(pairs)
        failed, self._failed = self._failed, []
        return pairs + failed

    def close(self) -> None:
        """End the workers."""
        self._end_spare()
        for worker in list(self._workers):
            self._drop(worker)

    def utilisation(self) -> dict[str, float]:
        """Seconds that the workers spent decoding, asking, scoring and idle, how many they were, and the batch size."""
        return self._use.document()

    def _loading(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.facts is None]

    def _first_loads(self) -> bool:
        return len(self._workers) == 1 and not self._use.workers and not self._bad_loads

    def _end_spare(self) -> None:
        if self._spare is not None:
            ray.kill(self._spare)
            self._spare = None

    def _add(self) -> None:
        actor, self._spare = self._spare or self._start(self._largest), None
        self._workers.append(_Worker(actor, actor.load.remote(), time.monotonic()))

    def _parcel(self) -> _Job:
        """As many batches as keep a worker busy for `PARCEL_SECONDS`: quick models would else wait for messages."""
        batches: list[Batch] = []
        room = 1
        if self._item_seconds is not None:
            room = min(PARCEL_ITEMS, int(PARCEL_SECONDS / max(self._item_seconds, 1e-9)))
        room = max(room, self._wanted)
        count = 0
        while self._next is not None and (not batches or count < room):
            batches.append(self._next)
            count += len(self._next.items)
            self._next = next(self._batches, None)
        return _Job(tuple(batches))

    def _hand(self, worker: _Worker, job: _Job) -> None:
        ref = worker.actor.evaluate.remote(list(job.batches))
        worker.flights += 1
        worker.has_suspect = job.suspect
        self._flights[ref] = _Flight(worker, job)
        self._head(worker)

    def _landed(self, ref: Any, flight: _Flight, rows: list[Row], spent: Spent) -> list[tuple[Item, Row]]:
        del self._flights[ref]
        flight.worker.flights -= 1
        flight.worker.has_suspect = False
        self._head(flight.worker)
        items = flight.job.items
        self._use.add(spent)
        if spent.cpu is not None:
            self._used(spent.cpu)
        self._wanted = max(self._wanted, spent.batch_size)
        each = spent.busy / len(items)
        self._item_seconds = each if self._item_seconds is None else 0.7 * self._item_seconds + 0.3 * each
        return list(zip(items, rows, strict=True))

    def _head(self, worker: _Worker) -> None:
        """Start the clock of the first batch in a worker's queue; those behind it are not yet being asked."""
        first = next((flight for flight in self._flights.values() if flight.worker is worker), None)
        if first is not None and first.deadline is None:
            # Batches that go together are quick: one of them may hang, the others take what they took so far, or so.
            largest = max(self._wanted, *(len(batch.items) for batch in first.job.batches))
            others = SLACK * (self._item_seconds or 0.0) * len(first.job.items)
            first.deadline = time.monotonic() + self._timeout * largest + others

    def _loaded(self, worker: _Worker) -> None:
        try:
            facts: ModelFacts = ray.get(worker.loading)
            deadly = False
        except LOST as error:
            facts, deadly = ModelFacts(error=f"the worker died while loading: {_first_line(error)}"), True
        if facts.error is None:
            if self.facts is None:
                self._pending.learn(facts)
            worker.facts = self.facts = facts
            worker.since = time.monotonic()
            self._use.start = self._use.start or worker.since - worker.added
            self._use.workers = max(self._use.workers, len(self._workers))
            self._bad_loads = 0
            log.info(
                MODEL_LOADED, extra={"model": self._label, "seconds": facts.seconds, "workers": len(self._workers)}
            )
            return
        self._drop(worker)
        self._bad_loads += 1
        log.warning(MODEL_NOT_LOADED, extra={"model": self._label, "reason": facts.error})
        loaded = any(other.facts for other in self._workers)
        patience = LOADS_AGAIN if self._use.workers else LOADS
        if not loaded and (not deadly or self._bad_loads >= patience):
            self.facts = self.facts or facts
            self._give_up(f"the model did not load: {facts.error}")

    def _give_up(self, reason: str) -> None:
        while self.waits():
            job = self._suspects.popleft() if self._next is None else _Job((self._next,))
            self._next = None
            self._mark(job, "error", reason)

    def _lost(self, flight: _Flight, status: str, reason: str) -> None:
        """Replace a worker that died or hung, and decide what becomes of the batches that it held."""
        if self._wanted:
            self._largest = self._wanted = max(1, self._wanted // 2)
        held = [ref for ref, other in self._flights.items() if other.worker is flight.worker]
        jobs = [self._flights.pop(ref).job for ref in held]
        self._drop(flight.worker)
        halves = flight.job.halves()
        samples = [item.sample.id for job in jobs for item in job.items]
        told = {"model": self._label, "reason": reason, "samples": len(samples), "first": samples[0]}
        log.warning(WORKER_LOST, extra=told)
        if len(jobs) > 1:
            self._suspects.extend(replace(job, suspect=True) for job in jobs)
        elif halves:
            self._suspects.extend(halves)
        elif status == "timeout" or flight.job.deaths + 1 >= DEATHS:
            self._mark(flight.job, status, reason)
            log.info(SAMPLE_TIMED_OUT if status == "timeout" else SAMPLE_FAILED, extra=told)
            return
        else:
            self._suspects.append(replace(flight.job, suspect=True, deaths=flight.job.deaths + 1))
        log.info(SAMPLE_RETRIED, extra=told)

    def _drop(self, worker: _Worker) -> None:
        ray.kill(worker.actor)
        if worker.since:
            self._use.lifetime += time.monotonic() - worker.since
        self._workers = [other for other in self._workers if other is not worker]

    def _mark(self, job: _Job, status: str, reason: str) -> None:
        for batch in job.batches:
            task = None if batch.judge else self._tasks[batch.task].task
            self._failed += [(item, failed_row(batch.task, task, item, status, reason)) for item in batch.items]


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.split("\n", maxsplit=1)[0] if text else type(error).__name__
