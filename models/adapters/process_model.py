"""A Model over a running program: batches, what is blamed on which sample, and starting the program again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from audiometry.benchmark.errors import AudiometryError, UserError
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.process_program import Program, ProgramError
from audiometry.models.adapters.process_protocol import Hello, as_output, as_request, read_hello

__all__ = ["ProcessModel", "Starter", "start_model"]

TRIES = 2
"""How often a sample may be asked, alone, where the program ended or was out of step: that may be no fault of its."""

STARTS = 3
"""How often in a row the program may fail to start again before the rest is given up."""


@dataclass(frozen=True)
class Starter:
    """How the program is started: `memory` in bytes (0: no limit), `timeout` in seconds until its hello."""

    command: Sequence[str]
    memory: int
    environment: Mapping[str, str]
    timeout: float

    def start(self) -> tuple[Program, Hello]:
        """The program, and what it said of itself. Raises ProgramError."""
        program = Program(self.command, memory=self.memory, environment=self.environment)
        try:
            late = f"no hello within {self.timeout:g} s"
            return program, read_hello(program.receive(time.monotonic() + self.timeout, late))
        except ProgramError:
            program.kill()
            raise


@dataclass
class ProcessModel:
    """A program as a Model. Up to `batch` requests are handed to it before its answers are waited for."""

    name: str
    fingerprint: str
    starter: Starter
    hello: Hello
    rate: int | None
    batch: int
    timeout: float
    _program: Program | None
    _asked: int = 0
    _bad_starts: int = 0
    _last: str = ""
    _answered: dict[int, int] = field(default_factory=dict)

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the program said that it can do."""
        return self.hello.abilities

    @property
    def deterministic(self) -> bool:
        """Whether the program said that its answers do not depend on the seed."""
        return self.hello.deterministic

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Ask the program; what it does wrong becomes the status of the sample that it was asked."""
        outputs: dict[int, Output] = {}
        self._answered = {}
        able = [(at, request) for at, request in enumerate(requests) if request.ability in self.abilities]
        for first in range(0, len(able), self.batch):
            self._ask(able[first : first + self.batch], outputs)
        can = ", ".join(sorted(self.abilities))
        return [
            outputs.get(at) or Output(status="error", error=f"{self.hello.name} cannot {one.ability}; it can: {can}")
            for at, one in enumerate(requests)
        ]

    def close(self) -> None:
        """End the program: its input ends, and it is killed if it does not end by itself."""
        if self._program is not None:
            self._program.close()
            self._program = None

    def _ask(self, items: Sequence[tuple[int, Request]], outputs: dict[int, Output], tries: int = 1) -> None:
        """Ask together; where the program fails, ask what is unanswered one by one, to see whose fault it is."""
        try:
            self._exchange(self._running(), items, outputs)
        except ProgramError as error:
            self._stop()
            left = [item for item in items if item[0] not in outputs]
            if len(items) > 1:
                for item in left:
                    self._ask([item], outputs)
            elif left and error.again and tries < TRIES:
                self._ask(left, outputs, tries + 1)
            elif left:
                outputs[left[0][0]] = Output(status=error.status, error=str(error))

    def _exchange(self, program: Program, items: Sequence[tuple[int, Request]], outputs: dict[int, Output]) -> None:
        """Send the requests and take in their answers. Raises ProgramError, with what was answered in `outputs`."""
        waiting: dict[int, tuple[int, Request]] = {}
        messages = []
        for at, request in items:
            self._asked += 1
            try:
                messages.append(as_request(request, self._asked, program.folder, self.rate))
                waiting[self._asked] = (at, request)
            except AudiometryError as error:
                outputs[at] = Output(status="error", error=str(error))
            except FileNotFoundError as error:
                raise ProgramError("the program ended before it was asked", again=True) from error
        start = time.monotonic()
        for left, message in zip(reversed(range(len(messages))), messages, strict=True):
            program.send({**message, "more": left})
        seconds = self.timeout * len(messages)
        late = f"no answer within {seconds:g} s" + (f" to {len(messages)} requests" if len(messages) > 1 else "")
        while waiting:
            answer = program.receive(start + seconds, late)
            number = self._number(answer, waiting, outputs)
            at, request = waiting.pop(number)
            self._answered[number] = at
            share = (time.monotonic() - start) / len(messages)
            output = as_output(answer, request.ability, program.folder)
            outputs[at] = replace(output, timings={"total": share, **output.timings})
        with suppress(FileNotFoundError):  # the folder goes with a program that ended after its last answer
            for file in program.folder.iterdir():
                if not file.is_dir():
                    file.unlink(missing_ok=True)
        extra = program.poll()
        if extra is not None:
            self._number(extra, {}, outputs)

    def _number(self, answer: Mapping[str, Any], waiting: Collection[int], outputs: dict[int, Output]) -> int:
        """The number of the request that is answered. Raises ProgramError if none waits under it.

        A second answer makes the first one doubtful: it becomes that sample's error.
        """
        number = answer.get("id")
        if type(number) is not int:
            raise ProgramError(f"an answer has no 'id', the whole number of its request; it is {number!r}")
        if number in waiting:
            return number
        asked = f"; {', '.join(map(str, waiting))} was asked" if waiting else ""
        if number in self._answered:
            at = self._answered[number]
            outputs[at] = Output(status="error", error=f"the program answered twice (id {number})")
        if 0 < number <= self._asked:
            raise ProgramError(f"the program answered id {number}, which was answered before{asked}", again=True)
        raise ProgramError(f"the program answered id {number}, which nobody asked{asked}")

    def _running(self) -> Program:
        """The program, started again if it has ended. Raises ProgramError if it cannot be."""
        if self._program is not None and self._program.alive:
            return self._program
        self._stop()
        if self._bad_starts >= STARTS:
            raise ProgramError(f"the program was given up after {STARTS} failed starts in a row; {self._last}")
        try:
            program, hello = self.starter.start()
            if hello != self.hello:
                program.kill()
                raise ProgramError(f"it says that it is {hello.name} {hello.version} or can other things than before")
        except ProgramError as error:
            self._bad_starts += 1
            self._last = f"started again, {error}"
            raise ProgramError(self._last) from error
        self._bad_starts = 0
        self._program = program
        return program

    def _stop(self) -> None:
        if self._program is not None:
            self._program.kill()
            self._program = None


def start_model(
    *, name: str, starter: Starter, identity: Callable[[Hello], str], rate: int | None, batch: int, timeout: float
) -> ProcessModel:
    """Start a program and make a model of it; `identity` turns its hello into the model's fingerprint.

    `rate` in Hz of the sound that it gets (None: each sound's own), `timeout` in seconds for each request. Raises
    UserError where the program does not start, with its last words.
    """
    try:
        program, hello = starter.start()
    except ProgramError as error:
        raise UserError(f"model {name!r} did not start: {error}; try its command by hand") from error
    return ProcessModel(name, identity(hello), starter, hello, rate, batch, timeout, program)
