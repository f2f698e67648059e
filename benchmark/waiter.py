"""The process that asks a model which works elsewhere: an event loop with many answers under way at once.

Started by `audiometry.benchmark.waiting` with one end of a pipe; both ends are this program.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audiometry.benchmark import logs
from audiometry.benchmark.model_kinds import WaitingModel
from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.registry import MODELS, TASKS, Spec, load_plugin_file
from audiometry.benchmark.rows import Row, bare_row, describe, failed_row, make_row
from audiometry.benchmark.types import Output, Task
from audiometry.benchmark.worker import ModelFacts, checked, decode, new_digests

__all__ = ["Fault", "Loaded", "Opening", "main"]

FLUSH_SECONDS = 0.05
"""How long finished answers are gathered before they are sent: many small messages would cost more than they hold."""


@dataclass(frozen=True)
class Opening:
    """The first message: which model to load and how to ask it."""

    model: Spec
    tasks: tuple[Spec, ...]
    plugins: tuple[str, ...]
    decodes: bool
    artefacts: str | None
    sample_timeout: float
    alone: bool
    """Ask one at a time: for tasks that have the machine to themselves."""


@dataclass(frozen=True)
class Loaded:
    """The first reply: what the model says of itself, and how many answers may be under way at once."""

    facts: ModelFacts
    concurrency: int = 1


@dataclass(frozen=True)
class Fault:
    """A reply that ends the run: a fault in a task and not the model's failure."""

    reason: str


class _Waiter:
    """One model, asked from one event loop."""

    def __init__(self, opening: Opening, model: WaitingModel, pipe: Connection) -> None:
        self._opening, self._model, self._pipe = opening, model, pipe
        self._queue: asyncio.Queue[tuple[Batch, Item] | None] = asyncio.Queue()
        self._tasks: dict[int, Task] = {}
        self._rows: list[Row] = []

    async def run(self, concurrency: int) -> None:
        """Ask what comes through the pipe until its other end is closed."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, args=(loop,), daemon=True).start()
        askers = [asyncio.create_task(self._ask_on()) for _ in range(concurrency)]
        flusher = asyncio.create_task(self._flush_on())
        stopped, _ = await asyncio.wait([*askers, flusher], return_when=asyncio.FIRST_COMPLETED)
        for task in [*askers, flusher]:
            task.cancel()
        await self._model.close()
        for task in stopped:
            if (error := task.exception()) is not None:
                self._pipe.send(Fault(describe(error)))

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read in a thread of its own: whoever sends is never held up by an answer that nobody has taken yet."""
        try:
            while True:
                loop.call_soon_threadsafe(self._take, self._pipe.recv())
        except (EOFError, OSError):
            loop.call_soon_threadsafe(self._queue.put_nowait, None)

    def _take(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for item in batch.items:
                self._queue.put_nowait((batch, item))

    async def _ask_on(self) -> None:
        while (asked := await self._queue.get()) is not None:
            row = await self._answer(*asked)
            self._rows.append(row)  # not in one line: the list may be another one by the time the answer is there

    async def _flush_on(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            if self._rows:
                rows, self._rows = self._rows, []
                self._pipe.send(rows)

    def _task(self, batch: Batch) -> Task | None:
        """The task that scores; none for what a judge is asked."""
        if batch.judge:
            return None
        if batch.task not in self._tasks:
            self._tasks[batch.task] = TASKS.create(self._opening.tasks[batch.task])
        return self._tasks[batch.task]

    async def _answer(self, batch: Batch, item: Item) -> Row:
        index, task = batch.task, self._task(batch)
        seconds = self._opening.sample_timeout
        digests: dict[str, str] = {}
        start = time.perf_counter()
        try:
            request = item.sample.request
            digests = new_digests(request)
            async with asyncio.timeout(seconds) as limit:
                if self._opening.decodes:
                    request = await asyncio.to_thread(decode, request)
                output = await self._model.answer(request)
        except Exception as error:  # a model may raise anything; it becomes that sample's status
            if isinstance(error, TimeoutError) and limit.expired():
                return failed_row(index, task, item, "timeout", f"no answer within {seconds:g} s")
            return failed_row(index, task, item, "error", describe(error))
        if not isinstance(output, Output):
            problem = f"the model returned {type(output).__name__} in place of an Output"
            return failed_row(index, task, item, "error", problem)
        output = checked(output, time.perf_counter() - start)
        kept = self._opening.artefacts
        row = bare_row(index, item, output, kept) if task is None else make_row(index, task, item, output, kept)
        return replace(row, digests=digests)


async def _serve(pipe: Connection) -> None:
    opening: Opening = pipe.recv()
    start = time.perf_counter()
    try:
        for path in opening.plugins:
            load_plugin_file(path)
        model: Any = MODELS.create(opening.model)
    except Exception as error:  # a model may raise anything while it loads; it is told, with its name
        pipe.send(Loaded(ModelFacts(error=describe(error))))
        return
    facts = ModelFacts(model.fingerprint, bool(model.deterministic), time.perf_counter() - start)
    concurrency = 1 if opening.alone else max(1, int(model.concurrency))
    pipe.send(Loaded(facts, concurrency))
    await _Waiter(opening, model, pipe).run(concurrency)


def main() -> None:
    """Serve the pipe whose file descriptor is the first argument, in the folder that is the second."""
    logs.configure()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started this decides
    descriptor, folder = int(sys.argv[1]), sys.argv[2]
    if Path(folder).is_dir():
        os.chdir(folder)  # settings may hold relative paths
    with Connection(descriptor) as pipe:
        asyncio.run(_serve(pipe))


if __name__ == "__main__":
    main()
