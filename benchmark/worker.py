"""What happens on a worker: decode, ask the model, check what came back, score.

No Ray here: the same object runs inside an actor or in a test.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from audiometry.benchmark import audio
from audiometry.benchmark.errors import AudioError, AudiometryError
from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.registry import MODELS, TASKS, Spec, load_plugin_file
from audiometry.benchmark.types import Answer, Model, Output, OutputStatus, Request, Score, Segment, Task

__all__ = [
    "Evaluator",
    "ModelFacts",
    "Row",
    "failed_row",
    "make_row",
    "output_columns",
    "restored_output",
    "store_artefact",
]

MAX_REASON = 2000
"""Characters that are kept of an error's text."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a loaded model says of itself, or why it did not load."""

    fingerprint: str = ""
    deterministic: bool = False
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One sample answered and scored, in plain values: what travels back and is written to the journal."""

    task: int
    position: int
    sample_id: str
    status: str
    output: Mapping[str, Any]
    counts: Mapping[str, float]
    details: Mapping[str, str] = field(default_factory=dict)
    score_status: str = "ok"
    cached: bool = False
    made: float | None = None
    """When an answer from the cache was made, in seconds since the epoch."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the sound files that were not known before, by path."""

    @property
    def verdict(self) -> str:
        """What became of the sample: the output's status, or else the score's."""
        return self.status if self.status != "ok" else self.score_status


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
    ) -> None:
        if folder is not None and Path(folder).is_dir():
            os.chdir(folder)  # settings may hold relative paths
        os.environ["OMP_NUM_THREADS"] = str(max(threads, 1))
        self._spec, self._given, self._task_specs = model, given, list(tasks)
        self._plugins, self._artefacts, self._decodes = list(plugins), artefacts, decodes
        self._model: Any = None
        self._tasks: dict[int, Task] = {}
        self._turn = threading.Lock()

    def load(self) -> ModelFacts:
        """Build the model. An error is returned and not raised, so that it reaches the user in one line."""
        start = time.perf_counter()
        try:
            for path in self._plugins:
                load_plugin_file(path)
            self._model = MODELS.create(self._spec)
        except BaseException as error:  # a model may raise anything while it loads, SystemExit too; it is told
            return ModelFacts(error=describe(error))
        model: Model = self._model
        return ModelFacts(model.fingerprint, bool(model.deterministic), time.perf_counter() - start)

    def evaluate(self, batches: Sequence[Batch]) -> tuple[list[Row], float]:
        """Answer and score the items of each batch; returns their rows in order, and the seconds it took.

        Decoding for one call overlaps with the model's work on another.
        """
        decoded = [self._decode(batch) for batch in batches]
        rows: list[Row] = []
        with self._turn:
            start = time.perf_counter()
            for batch, (ready, outputs, digests) in zip(batches, decoded, strict=True):
                answered = outputs | self._ask(ready)
                task = self._task(batch.task)
                for item in batch.items:
                    row = make_row(batch.task, task, item, answered[item.position], self._artefacts)
                    rows.append(replace(row, digests=digests.get(item.position, {})))
            return rows, time.perf_counter() - start

    def _decode(self, batch: Batch) -> tuple[list[tuple[Item, Request]], dict[int, Output], dict[int, dict[str, str]]]:
        ready: list[tuple[Item, Request]] = []
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

    def _ask(self, ready: list[tuple[Item, Request]]) -> dict[int, Output]:
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
        middle = len(ready) // 2
        return self._ask(ready[:middle]) | self._ask(ready[middle:])


def decode(request: Request) -> Request:
    """`request` with its audios decoded. Raises AudioError."""
    return replace(request, waveforms={role: audio.read(one) for role, one in request.audios.items()})


def describe(error: BaseException) -> str:
    """An error as one line, with the place it came from where it is not ours."""
    try:
        text = " ".join(str(error).encode(errors="replace").decode().split())[:MAX_REASON]
    except Exception:  # a stranger's error may fail to tell itself
        text = ""
    text = text or type(error).__name__
    if isinstance(error, AudiometryError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{where}"


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


def make_row(index: int, task: Task, item: Item, output: Output, artefacts: str | None = None) -> Row:
    """Score one output of the task at `index` in the plan, and put it into plain values."""
    score = score_output(task, item, output)
    return Row(
        task=index,
        position=item.position,
        sample_id=item.sample.id,
        status=output.status,
        output=output_columns(output, artefacts),
        counts={name: float(value) for name, value in score.counts.items()},
        details=dict(score.details),
        score_status=score.status,
    )


def failed_row(index: int, task: Task, item: Item, status: str, error: str) -> Row:
    """The row of a sample whose worker died, hung or never started."""
    return make_row(index, task, item, Output(status="timeout" if status == "timeout" else "error", error=error))


def score_output(task: Task, item: Item, output: Output) -> Score:
    """Score one output, and check that the counts can be reduced.

    Raises AudiometryError that names task and sample: a fault in scoring is not the model's failure.
    """
    try:
        score = task.score(item.sample, output)
    except Exception as error:
        raise AudiometryError(
            f"task {task.name!r} cannot score sample {item.sample.id!r}: {describe(error)}"
        ) from error
    for name, value in score.counts.items():
        if not math.isfinite(value):
            raise AudiometryError(f"task {task.name!r}, sample {item.sample.id!r}: count {name!r} is {value}")
    return score


def output_columns(output: Output, artefacts: str | None) -> dict[str, Any]:
    """What is kept of an output as evidence. Sound and embeddings go to the artefact folder, by content."""
    columns: dict[str, Any] = {
        "text": output.text,
        "score": output.score,
        "error": output.error,
        "total_seconds": output.timings.get("total"),
    }
    if output.labels:
        columns["labels"] = dict(output.labels)
    if output.usage:
        columns["usage"] = dict(output.usage)
    if output.segments:
        columns["segments"] = [[s.start, s.end, s.label, s.score] for s in output.segments]
    if artefacts is not None and output.audio is not None:
        columns["audio_out"] = store_artefact(artefacts, audio.encode_wav(output.audio), ".wav")
    if artefacts is not None and output.embedding is not None:
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, output.embedding, allow_pickle=False)
        columns["embedding"] = store_artefact(artefacts, buffer.getvalue(), ".npy")
    return columns


def restored_output(status: str, columns: Mapping[str, Any], artefacts: str) -> Output:
    """The output whose columns these are: the inverse of `output_columns`, for scoring again.

    Raises AudioError if sound that the model made is not kept any more.
    """
    import numpy as np

    made = columns.get("audio_out")
    embedded = columns.get("embedding")
    seconds = columns.get("total_seconds")
    return Output(
        status=cast("OutputStatus", status),
        text=columns.get("text"),
        score=columns.get("score"),
        error=columns.get("error"),
        labels=columns.get("labels") or {},
        segments=tuple(Segment(*values) for values in columns.get("segments") or ()),
        audio=audio.read_file(Path(artefacts) / made) if made else None,
        embedding=np.load(Path(artefacts) / embedded, allow_pickle=False) if embedded else None,
        timings={} if seconds is None else {"total": seconds},
        usage=columns.get("usage") or {},
    )


def store_artefact(folder: str, content: bytes, suffix: str) -> str:
    """Write `content` under its sha256 below `folder`, whole or not at all; return its relative name."""
    digest = hashlib.sha256(content).hexdigest()
    name = f"{digest[:2]}/{digest}{suffix}"
    path = Path(folder) / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(path)
    return name


def _malformed(answers: Any, expected: int) -> str | None:
    if not isinstance(answers, list | tuple):
        return f"the model returned {type(answers).__name__} and not a list of outputs"
    if len(answers) != expected:
        return f"the model returned {len(answers)} outputs for {expected} requests"
    wrong = [type(answer).__name__ for answer in answers if not isinstance(answer, Output)]
    return f"the model returned {wrong[0]} in place of an Output" if wrong else None


def checked(output: Output, share: float) -> Output:
    """An output with its time, its emptiness told, and numbers that are not numbers turned into an error."""
    timings = dict(output.timings)
    timings.setdefault("total", share)
    if output.text is not None and not output.text.isascii():
        text = output.text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written anywhere
        output = replace(output, text=text)
    numbers = [*output.labels.values(), *output.usage.values(), *timings.values()]
    numbers += [number for segment in output.segments for number in (segment.start, segment.end, segment.score or 0.0)]
    numbers += [] if output.score is None else [output.score]
    if not all(map(math.isfinite, numbers)):
        problem = "the model returned a number (score, label, time or usage) that is not a finite number"
        return Output(status="error", error=problem, timings={"total": share})
    output = replace(output, timings=timings)
    if output.status != "ok":
        return output
    said = output.text is not None and output.text.strip()
    other = output.audio is not None or output.score is not None or output.labels or output.segments
    if not said and not other and output.embedding is None:
        return replace(output, status="empty")
    return output
