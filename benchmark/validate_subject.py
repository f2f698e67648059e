"""A model in a process of its own, asked batch by batch for `audiometry validate`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from audiometry.benchmark.errors import UnfinishedRunError
from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.validate_child import Answered, Opening
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Subject"]

PROGRAM = "from audiometry.benchmark.validate_child import main; main()"

GRACE_SECONDS = 10.0
"""How long a model may take to close before its process is killed."""

LAST_WORDS_BYTES = 4096


class Subject:
    """A loaded model. A context: the process starts on entering it and ends on leaving it."""

    def __init__(self, label: str, opening: Opening) -> None:
        self._label, self._opening = label, opening

    def __enter__(self) -> Subject:
        self._said: IO[bytes] = tempfile.TemporaryFile()
        ours, theirs = Pipe()
        self._pipe: Connection = ours
        command = [sys.executable, "-c", PROGRAM, str(theirs.fileno()), str(Path.cwd())]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said,
            env={**os.environ, "OMP_NUM_THREADS": str(self._opening.threads)},
        )  # fmt: skip
        theirs.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe.close()
        try:
            self._process.wait(GRACE_SECONDS if kind is None else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def load(self) -> ModelFacts:
        """Load the model; there is no limit of time.

        Raises UnfinishedRunError if it does not load, or takes its process along.
        """
        facts: ModelFacts = self._exchange(self._opening, None, "while it was loaded")
        if facts.error is not None:
            raise UnfinishedRunError(f"model {self._label!r} did not load: {facts.error}")
        return facts

    def answer(self, items: Sequence[Item]) -> Answered:
        """Answer the items as one batch.

        Raises UnfinishedRunError if the process dies, hangs, or cannot send the answers.
        """
        first = repr(items[0].sample.id)
        asked = f"sample {first}" if len(items) == 1 else f"{len(items)} samples from {first} on"
        limit = self._opening.sample_timeout * len(items)
        if self._opening.waits:  # the process ends what takes too long itself; if it does not, it hangs
            limit += GRACE_SECONDS
        answered: Answered = self._exchange(Batch(0, tuple(items)), limit, f"when asked {asked}")
        if answered.fault is not None:
            raise UnfinishedRunError(f"model {self._label!r}, when asked {asked}: {answered.fault}")
        return answered

    def _exchange(self, message: Opening | Batch, limit: float | None, when: str) -> Any:
        try:
            self._pipe.send(message)
            if not self._pipe.poll(limit):
                raise UnfinishedRunError(f"model {self._label!r} gave no answer within {limit:g} s {when}")
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise UnfinishedRunError(
                f"the process of model {self._label!r} died ({self._end()}) {when}{self._last_words()}"
            ) from error

    def _end(self) -> str:
        code = self._process.wait()
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def _last_words(self) -> str:
        """The last line that the process wrote, where there is one."""
        end = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, end - LAST_WORDS_BYTES))
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"; it last said: {last}" if last else ""
