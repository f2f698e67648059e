"""A pool for a model that works elsewhere: one local process waits for many answers at once, and Ray is not needed.

Such a model costs this machine next to nothing, so a worker on every core would only add their starts. Answers come
back one by one, so that a slow one holds up no other.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from audiometry.benchmark.answers import Memory
from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.logs import MODEL_LOADED, MODEL_NOT_LOADED, SAMPLE_FAILED, SAMPLE_RETRIED, WORKER_LOST
from audiometry.benchmark.plan import Batch, Item, PlannedTask
from audiometry.benchmark.rows import Row, failed_row
from audiometry.benchmark.waiter import Fault, Loaded, Opening
from audiometry.benchmark.worker import ModelFacts

__all__ = ["WaitingPool"]

AHEAD = 3
"""Samples handed over, as a multiple of what may be under way at once: the process never runs dry between messages."""

PARCEL_ITEMS = 256

log = logging.getLogger("audiometry.waiting")

PROGRAM = "from audiometry.benchmark.waiter import main; main()"

DEATHS = 3
"""How often a sample must take the process along, alone, before it is blamed; and how often it may die loading."""

GRACE_SECONDS = 30.0
"""The process ends what takes too long itself. If it does not within this time, it hangs."""


class WaitingPool:
    """One process that asks a model of `WaitingModel`'s kind, and the samples that wait for it."""

    def __init__(
        self,
        tasks: Sequence[PlannedTask],
        pending: Memory,
        batches: Iterator[Batch],
        *,
        first: Batch | None,
        facts: ModelFacts | None,
        opening: Opening,
        judging: bool = False,
    ) -> None:
        self._judging = judging
        self.facts = facts
        self._tasks = tasks
        self._pending = pending
        self._opening = opening
        self._batches = batches
        self._next = first
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._concurrency = 0  # 0: not loaded
        self._out: dict[tuple[int, int], Item] = {}
        self._heard = time.monotonic()
        self._suspects: deque[tuple[int, Item]] = deque()
        self._deaths: dict[tuple[int, int], int] = {}
        self._bad_loads = 0
        self._failed: list[tuple[Item, Row]] = []
        self._since: float | None = None
        self._waited = self._ran = 0.0
        self._most = 0

    @property
    def done(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._out or self._failed or self._waits())

    def refs(self) -> list[Any]:
        """No Ray references: nothing here runs on Ray."""
        return []

    @property
    def pipe(self) -> Connection | None:
        """What becomes readable when there is something to collect."""
        return self._pipe

    def fill(self) -> None:
        """Start the process if samples wait, and hand them over."""
        if self.facts is not None and not self._waits():
            return
        if self._pipe is None:
            self._start()
        if self.facts is None or not self._concurrency:
            return
        if self._suspects or self._deaths:
            if self._suspects and not self._out:  # alone, so that it is known who took the process along
                task, item = self._suspects.popleft()
                self._hand([Batch(task, (item,), judge=self._judging)])
            return
        room = AHEAD * self._concurrency - len(self._out)
        if 2 * room < AHEAD * self._concurrency and self._out:
            return
        parcel: list[Batch] = []
        while room > 0 and self._waits() and self._next is not None:
            parcel.append(self._next)
            room -= len(self._next.items)
            self._next = None
            if sum(len(batch.items) for batch in parcel) >= PARCEL_ITEMS:
                break
        if parcel:
            self._hand(parcel)

    def collect(self, ready: set[Any]) -> list[tuple[Item, Row]]:
        """Answers that have come; failures are turned into retries or marked rows.

        Raises AudiometryError for a fault in scoring.
        """
        del ready
        pairs: list[tuple[Item, Row]] = []
        try:
            while self._pipe is not None and self._pipe.poll():
                message = self._pipe.recv()
                self._heard = time.monotonic()
                if isinstance(message, Fault):
                    raise AudiometryError(message.reason)
                if isinstance(message, Loaded):
                    self._loaded(message)
                else:
                    pairs += [self._landed(row) for row in message]
        except (EOFError, ConnectionError):
            self._lost(f"the process that asks the model died{self._exit_code()}")
        quiet = time.monotonic() - self._heard
        if self._out and quiet > self._opening.sample_timeout + GRACE_SECONDS:
            self._lost(f"the process that asks the model was silent for {quiet:.0f} s")
        self._pending.keep(pairs)
        failed, self._failed = self._failed, []
        return pairs + failed

    def close(self) -> None:
        """End the process."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._since is not None:
            self._ran += time.monotonic() - self._since
            self._since = None
        self._concurrency = 0

    def utilisation(self) -> dict[str, float]:
        """Seconds that answers were waited for, added up, how long the process ran, and how many were under way."""
        seconds, ran = self._waited, self._ran
        return {
            "model_seconds": round(seconds, 3), "process_seconds": round(ran, 3), "concurrency": self._most,
            "under_way": round(seconds / ran, 2) if ran else 0.0,
        }  # fmt: skip

    def _waits(self) -> bool:
        if self.facts is None:
            return True
        if self._next is None:
            self._next = next(self._batches, None)
        return self._next is not None or bool(self._suspects)

    def _start(self) -> None:
        ours, theirs = Pipe()
        command = [sys.executable, "-c", PROGRAM, str(theirs.fileno()), str(Path.cwd())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        theirs.close()
        self._pipe = ours
        self._heard = time.monotonic()
        self._send(self._opening)

    def _send(self, message: Any) -> None:
        try:
            if self._pipe is not None:
                self._pipe.send(message)
        except OSError:
            self._lost(f"the process that asks the model died{self._exit_code()}")

    def _hand(self, parcel: list[Batch]) -> None:
        if not self._out:
            self._heard = time.monotonic()
        self._out |= {(batch.task, item.position): item for batch in parcel for item in batch.items}
        self._send(parcel)

    def _landed(self, row: Row) -> tuple[Item, Row]:
        key = (row.task, row.position)
        self._deaths.pop(key, None)
        self._waited += row.output.get("total_seconds") or 0.0
        return self._out.pop(key), row

    def _loaded(self, message: Loaded) -> None:
        if message.facts.error is not None:
            log.warning(MODEL_NOT_LOADED, extra={"model": str(self._opening.model), "reason": message.facts.error})
            self._give_up(f"the model did not load: {message.facts.error}")
            return
        told = {"model": str(self._opening.model), "seconds": message.facts.seconds}
        log.info(MODEL_LOADED, extra=told | {"concurrency": message.concurrency})
        if self.facts is None:
            self._pending.learn(message.facts)
        self.facts, self._concurrency, self._bad_loads = message.facts, message.concurrency, 0
        self._since, self._most = time.monotonic(), message.concurrency

    def _lost(self, reason: str) -> None:
        """Decide what becomes of the samples under way at a process that died or hung; another takes its place."""
        loaded = bool(self._concurrency)
        self.close()
        told = {"model": str(self._opening.model), "reason": reason, "samples": len(self._out)}
        log.warning(WORKER_LOST, extra=told)
        if not loaded:
            self._bad_loads += 1
            if self._bad_loads >= DEATHS:
                self._give_up(f"the model did not load: {reason}")
            return
        log.info(SAMPLE_RETRIED, extra=told)
        alone = len(self._out) == 1
        for (task, position), item in self._out.items():
            deaths = self._deaths.get((task, position), 0) + alone
            if deaths >= DEATHS:
                self._deaths.pop((task, position), None)
                self._fail(task, item, reason)
                log.info(SAMPLE_FAILED, extra=told | {"first": item.sample.id})
            else:
                self._deaths[task, position] = deaths
                self._suspects.append((task, item))
        self._out = {}

    def _give_up(self, reason: str) -> None:
        self.close()
        self.facts = self.facts or ModelFacts(error=reason)
        while self._suspects:
            self._fail(*self._suspects.popleft(), reason)
        while self._waits() and self._next is not None:
            for item in self._next.items:
                self._fail(self._next.task, item, reason)
            self._next = None

    def _fail(self, task: int, item: Item, reason: str) -> None:
        scored_by = None if self._judging else self._tasks[task].task
        self._failed.append((item, failed_row(task, scored_by, item, "error", reason)))

    def _exit_code(self) -> str:
        if self._process is None:
            return ""
        code = self._process.wait()
        return f" (exit code {code})" if code >= 0 else f" (signal {-code})"
