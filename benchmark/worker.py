"""What happens on a worker: decode, ask the model, check what came back, score.

No Ray here: the same object runs inside an actor or in a test.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, get_args

from audiometry.benchmark import audio
from audiometry.benchmark.batching import BatchSizer, resident_bytes, spare_bytes
from audiometry.benchmark.energy import CpuTime, cpu_time
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.memory import keep_freed_memory, peak_bytes
from audiometry.benchmark.model_kinds import Answer
from audiometry.benchmark.plan import Batch, Item, heard_seconds
from audiometry.benchmark.registry import MODELS, TASKS, Spec, load_plugin_file
from audiometry.benchmark.rows import MAX_REASON, Row, bare_row, describe, make_row
from audiometry.benchmark.types import Model, Output, OutputStatus, Request, Segment, Task, Waveform

__all__ = ["Evaluator", "ModelFacts", "Spent", "checked", "decode", "new_digests"]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a loaded model says of itself, or why it did not load."""

    fingerprint: str = ""
    deterministic: bool = False
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds that a worker spent on what it was handed, by stage, and the batch size that it would take next."""

    decode: float
    model: float
    score: float
    batch_size: int = 0
    cpu: CpuTime | None = None
    """What the worker's process has used since it began."""

    @property
    def busy(self) -> float:
        """Seconds of the worker's turn; decoding goes on beside the turn before."""
        return self.model + self.score


_One: TypeAlias = tuple[Item, Request]
_Ready: TypeAlias = list[_One]
_Decoded: TypeAlias = tuple[_Ready, dict[int, Output], dict[int, dict[str, str]]]


class Evaluator:
    """One model on one worker, with the tasks that it is scored by."""

    def __init__(
        self,
        model: Spec,
        given: Answer | None,
        tasks: Sequence[Spec],
        *,
        plugins: Sequence[str] = (),
        threads: int = 1,
        decodes: bool = True,
        artefacts: str | None = None,
        folder: str | None = None,
        largest_batch: int | None = None,
    ) -> None:
        """`largest_batch` lets the worker find the batch size up to that by itself; None takes batches as they come."""
        self._plugins = [str(Path(path).absolute()) for path in plugins]  # shipped ones are where the worker starts
        if folder is not None and Path(folder).is_dir():
            os.chdir(folder)  # settings may hold relative paths
        os.environ["OMP_NUM_THREADS"] = str(max(threads, 1))
        self._spec, self._given, self._task_specs = model, given, list(tasks)
        self._artefacts, self._decodes = artefacts, decodes
        self._model: Any = None
        self._tasks: dict[int, Task] = {}
        self._turn = threading.Lock()
        self._alone = True  # whether one call at a time may ask the model
        self._asked = 0.0  # when the model last had answered
        self._halved = False
        self._sizer = None if largest_batch is None else BatchSizer(resident_bytes, spare_bytes, largest_batch)

    def load(self) -> ModelFacts:
        """Build the model. An error is returned and not raised, so that it reaches the user in one line."""
        start = time.perf_counter()
        keep_freed_memory()
        try:
            for path in self._plugins:
                load_plugin_file(path)
            self._model = MODELS.create(self._spec)
            self._alone = self._sizer is not None or not MODELS.get(self._spec.name).concurrent
        except BaseException as error:  # a model may raise anything while it loads, SystemExit too; it is told
            return ModelFacts(error=describe(error))
        model: Model = self._model
        return ModelFacts(model.fingerprint, bool(model.deterministic), time.perf_counter() - start)

    def evaluate(self, batches: Sequence[Batch]) -> tuple[list[Row], Spent]:
        """Answer and score the items of each batch; returns their rows in order, and where the time went.

        Decoding for one call overlaps with the model's work on another. A concurrent model is asked by both calls at
        once, so that none of its threads waits for the last answer of a batch.
        """
        start = time.perf_counter()
        decoded = [self._decode(batch) for batch in batches]
        decode_seconds = time.perf_counter() - start
        with self._turn if self._alone else nullcontext():
            start = time.perf_counter()
            answers = self._answer([ready for ready, _, _ in decoded])
            with nullcontext() if self._alone else self._turn:
                asked = time.perf_counter()
                model_seconds = asked - max(start, self._asked)  # what two calls share counts once
                self._asked = asked
                rows = self._score(batches, decoded, answers)
                size = 0 if self._sizer is None else self._sizer.size
                return rows, Spent(decode_seconds, model_seconds, time.perf_counter() - asked, size, cpu_time())

    def _score(self, batches: Sequence[Batch], decoded: list[_Decoded], answers: list[dict[int, Output]]) -> list[Row]:
        rows: list[Row] = []
        exclusive = any(not batch.judge and self._task(batch.task).exclusive for batch in batches)
        peak = peak_bytes() if exclusive else None  # before scoring, which needs memory of its own
        for batch, answered, (_, failed, digests) in zip(batches, answers, decoded, strict=True):
            held = None if peak is None else {at: replace(one, peak_bytes=float(peak)) for at, one in answered.items()}
            outputs = failed | (held or answered)
            for item in batch.items:
                row = self._row(batch, item, outputs[item.position])
                found = digests.get(item.position)
                rows.append(replace(row, digests=found) if found else row)
        return rows

    def _answer(self, batches: list[_Ready]) -> list[dict[int, Output]]:
        """Outputs of each batch by position; with a sizer, the batches are joined and cut anew."""
        if self._sizer is None:
            return [self._ask(ready) for ready in batches]
        joined = [(number, one) for number, ready in enumerate(batches) for one in ready]
        outputs: list[dict[int, Output]] = [{} for _ in batches]
        while joined:
            size = self._sizer.size
            part, joined = joined[:size], joined[size:]
            start = time.perf_counter()
            # positions of different tasks may be the same: they are told apart by their place in the part
            answered = self._ask(
                [(replace(item, position=at), request) for at, (_, (item, request)) in enumerate(part)]
            )
            heard = sum(heard_seconds(item.sample) for _, (item, _) in part)
            if not self._halved:
                self._sizer.record(len(part), work=heard or float(len(part)), seconds=time.perf_counter() - start)
            elif all(output.status != "error" for output in answered.values()):
                self._sizer.failed(len(part))  # no sample is poisonous: it was the size
            self._halved = False
            for at, (number, (item, _)) in enumerate(part):
                outputs[number][item.position] = answered[at]
        return outputs

    def _row(self, batch: Batch, item: Item, output: Output) -> Row:
        if batch.judge:
            return bare_row(batch.task, item, output, self._artefacts)
        return make_row(batch.task, self._task(batch.task), item, output, self._artefacts)

    def _decode(self, batch: Batch) -> _Decoded:
        ready: _Ready = []
        failed: dict[int, Output] = {}
        digests: dict[int, dict[str, str]] = {}
        for item in batch.items:
            try:
                digests[item.position] = new_digests(item.sample.request)
                ready.append((item, decode(item.sample.request) if self._decodes else item.sample.request))
            except Exception as error:  # a decoder may raise anything on a stranger's file
                failed[item.position] = Output(status="error", error=describe(error))
        return ready, failed, digests

    def close(self) -> None:
        """Give the model's memory back."""
        if self._model is not None:
            self._model.close()
            self._model = None

    def _task(self, index: int) -> Task:
        if index not in self._tasks:
            self._tasks[index] = TASKS.create(self._task_specs[index])
        return self._tasks[index]

    def _ask(self, ready: _Ready) -> dict[int, Output]:
        """Ask all at once; where that raises, halve, so that one poisonous sample costs only itself."""
        if not ready:
            return {}
        requests = [request for _, request in ready]
        start = time.perf_counter()
        try:
            if self._given is None:
                answers = self._model.generate(requests)
            else:
                answers = self._model.generate(requests, [item.given for item, _ in ready])
            problem = _malformed(answers, len(ready))
        except BaseException as error:  # a model may raise anything, SystemExit too; it becomes that sample's status
            answers, problem = [], describe(error)
        if problem is None:
            share = (time.perf_counter() - start) / len(ready)
            return {item.position: checked(answer, share) for (item, _), answer in zip(ready, answers, strict=True)}
        if len(ready) == 1:
            return {ready[0][0].position: Output(status="error", error=problem)}
        self._halved = True
        middle = len(ready) // 2
        return self._ask(ready[:middle]) | self._ask(ready[middle:])


def decode(request: Request) -> Request:
    """`request` with its audios decoded. Raises AudioError."""
    return replace(request, waveforms={role: audio.read(one) for role, one in request.audios.items()})


def new_digests(request: Request) -> dict[str, str]:
    """The sha256 of each local sound file whose corpus does not tell it, by path."""
    paths = [one.path for one in request.audios.values() if one.digest is None and "://" not in one.path]
    digests = {}
    for path in paths:
        try:
            if Path(path).exists() and not Path(path).is_file():
                raise AudioError(f"{path}: cannot be opened: it is not a file")  # a pipe would be waited for
            with Path(path).open("rb") as file:
                digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise AudioError(f"{path}: cannot be opened: {error.strerror}") from error
    return digests


def _malformed(answers: Any, expected: int) -> str | None:
    if not isinstance(answers, list | tuple):
        return f"the model returned {type(answers).__name__} and not a list of outputs"
    if len(answers) != expected:
        return f"the model returned {len(answers)} outputs for {expected} requests"
    wrong = [type(answer).__name__ for answer in answers if not isinstance(answer, Output)]
    return f"the model returned {wrong[0]} in place of an Output" if wrong else None


def checked(output: Output, share: float) -> Output:
    """An output with its time, its emptiness told, in plain numbers; one that cannot be kept becomes an error."""
    try:
        output = _plain(output, share)
    except (TypeError, ValueError, AttributeError) as error:
        return Output(status="error", error=f"the model returned {error}"[:MAX_REASON], timings={"total": share})
    if output.status != "ok":
        return output
    said = output.text is not None and output.text.strip()
    other = output.audio is not None or output.score is not None or output.labels or output.segments
    if not said and not other and output.embedding is None:
        return replace(output, status="empty")
    return output


def _plain(output: Output, share: float) -> Output:
    """`output` with its time, and its numbers as Python's own.

    Raises TypeError, ValueError or AttributeError, saying what is there instead, for what cannot be kept.
    """
    import numpy as np

    if output.status not in get_args(OutputStatus):
        raise ValueError(f"the unknown status {output.status!r}")
    if not isinstance(output.text, str | None):
        raise TypeError(f"text of type {type(output.text).__name__}")
    if not isinstance(output.audio, Waveform | None):
        raise TypeError(f"sound of type {type(output.audio).__name__}")
    for name, array in (
        ("sound", None if output.audio is None else output.audio.samples),
        ("an embedding", output.embedding),
    ):
        if array is not None and not (np.issubdtype(array.dtype, np.number) and np.isfinite(array).all()):
            raise ValueError(f"{name} that is not of finite numbers")
    return replace(
        output,
        # half a surrogate pair cannot be written anywhere
        text=None if output.text is None else output.text.encode("utf-8", "replace").decode(),
        score=_finite("a score", output.score),
        labels={name: _finite("a label", value) for name, value in output.labels.items()},
        timings={"total": share} | {name: _time(value) for name, value in output.timings.items()},
        usage={name: _finite("a usage", value) for name, value in output.usage.items()},
        segments=tuple(_segment(one) for one in output.segments),
        peak_bytes=None,  # measured here, and not told by the model
    )


def _segment(one: Segment) -> Segment:
    start, end = _time(one.start), _time(one.end)
    if start is None or end is None:
        raise ValueError("a segment without a start or an end")
    if end < start:
        raise ValueError(f"a segment that ends before it starts ({start:g} to {end:g} s)")
    if not isinstance(one.label, str):
        raise TypeError(f"a segment with a label of type {type(one.label).__name__}")
    return Segment(start, end, one.label, _finite("a score", one.score))


def _time(seconds: Any) -> Any:
    found = _finite("a time", seconds)
    if found is not None and found < 0:
        raise ValueError(f"a time below 0 ({found:g} s)")
    return found


def _finite(name: str, number: Any) -> Any:
    if number is not None and (isinstance(number, str | bytes) or not math.isfinite(number)):
        raise ValueError(f"{name} that is not a finite number")
    return None if number is None else float(number)
