"""The process in which a model is asked for `audiometry validate`: one model, one pipe, nothing scored.

Started by `audiometry.benchmark.validate_subject` with one end of a pipe; both ends are this program.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audiometry.benchmark.model_kinds import Answer, WaitingModel
from audiometry.benchmark.plan import Batch
from audiometry.benchmark.registry import Spec
from audiometry.benchmark.rows import describe
from audiometry.benchmark.types import Output, Request
from audiometry.benchmark.worker import Evaluator, ModelFacts

__all__ = ["Answered", "Opening", "main"]


@dataclass(frozen=True)
class Opening:
    """The first message: which model to load and how to ask it."""

    model: Spec
    given: Answer | None
    plugins: tuple[str, ...]
    threads: int
    decodes: bool
    waits: bool
    sample_timeout: float


@dataclass(frozen=True)
class Answered:
    """The reply to a batch: outputs by position, the seconds the model took, and resident memory after it in bytes.

    `peak` is as the batch left it, `memory` after what could be given back was. `fault` says why there is no reply:
    outputs that cannot be sent, say.
    """

    outputs: Mapping[int, Output]
    seconds: float
    memory: int
    peak: int
    fault: str | None = None


class _Subject(Evaluator):
    """A worker that answers and does not score."""

    def answer(self, batch: Batch) -> Answered:
        ready, outputs, _ = self._decode(batch)
        start = time.perf_counter()
        answered = outputs | self._ask(ready)
        seconds = time.perf_counter() - start
        del ready
        peak = resident_bytes()
        return Answered(answered, seconds, resident_bytes(trimmed=True), peak)

    def wait(self, loop: asyncio.AbstractEventLoop, sample_timeout: float) -> None:
        """Ask the loaded `WaitingModel` a batch at a time, with all answers of a batch under way at once."""
        self._model = _Together(self._model, loop, sample_timeout)


class _Together:
    """A `WaitingModel` seen as a `Model`."""

    def __init__(self, model: WaitingModel, loop: asyncio.AbstractEventLoop, sample_timeout: float) -> None:
        self._model, self._loop, self._timeout = model, loop, sample_timeout

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        return self._loop.run_until_complete(self._all(requests))

    def close(self) -> None:
        self._loop.run_until_complete(self._model.close())

    async def _all(self, requests: Sequence[Request]) -> list[Output]:
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: Request) -> Output:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                return await self._model.answer(request)
        except Exception as error:  # a model may raise anything; it becomes that sample's status
            if isinstance(error, TimeoutError) and limit.expired():
                return Output(status="timeout", error=f"no answer within {self._timeout:g} s")
            return Output(status="error", error=describe(error))


def resident_bytes(*, trimmed: bool = False) -> int:
    """Resident memory of this process and the processes it has started, in bytes.

    Where it is to be `trimmed`, what Python and the C library (glibc) hold but can give back is given back first: that
    is no leak.
    """
    import psutil

    if trimmed:
        gc.collect()
        _trim()
    here = psutil.Process()
    total = int(here.memory_info().rss)
    for child in here.children(recursive=True):
        try:
            total += int(child.memory_info().rss)
        except psutil.Error:  # it has ended since it was listed
            continue
    return total


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


async def _load(opening: Opening) -> tuple[_Subject, ModelFacts]:
    """Inside the event loop, since a model that waits may look for one while it is made."""
    subject = _Subject(
        opening.model, opening.given, (),
        plugins=opening.plugins, threads=opening.threads, decodes=opening.decodes,
    )  # fmt: skip
    return subject, subject.load()


def _serve(pipe: Connection, loop: asyncio.AbstractEventLoop) -> None:
    opening: Opening = pipe.recv()
    subject, facts = loop.run_until_complete(_load(opening))
    if facts.error is None and opening.waits:
        subject.wait(loop, opening.sample_timeout)
    pipe.send(facts)
    while True:
        try:
            batch: Batch = pipe.recv()
        except EOFError:
            break
        answered: Any = subject.answer(batch)
        try:
            pipe.send(answered)
        except Exception as error:  # a model may put into its answers what cannot travel
            pipe.send(Answered({}, 0.0, 0, 0, fault=f"its answers cannot be sent: {describe(error)}"))
    subject.close()


def main() -> None:
    """Serve the pipe whose file descriptor is the first argument, in the folder that is the second."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; whoever started this decides
    descriptor, folder = int(sys.argv[1]), sys.argv[2]
    if Path(folder).is_dir():
        os.chdir(folder)  # settings may hold relative paths
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with Connection(descriptor) as pipe:
        _serve(pipe, loop)
    loop.close()


if __name__ == "__main__":
    main()
