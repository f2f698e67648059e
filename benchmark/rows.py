"""Answers and scores as plain values: what travels from a worker, and is kept."""

from __future__ import annotations

import hashlib
import io
import math
import os
import platform
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from audiometry.benchmark import audio
from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.plan import Item
from audiometry.benchmark.records import by_values
from audiometry.benchmark.types import Audio, Output, OutputStatus, Request, Score, Segment, Task

__all__ = [
    "Row",
    "bare_row",
    "describe",
    "failed_row",
    "judged_row",
    "make_row",
    "output_columns",
    "restored_output",
    "score_output",
    "store_artefact",
]

FAILED = ("error", "timeout")

MAX_REASON = 2000
"""Characters that are kept of an error's text."""


@by_values
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
    judge: Mapping[str, Request] = field(default_factory=dict)
    """What judges are to be asked before the sample can be scored, by the judge's name."""

    @property
    def verdict(self) -> str:
        """What became of the sample: the output's status, or else the score's."""
        return self.status if self.status != "ok" else self.score_status


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


def make_row(
    index: int,
    task: Task,
    item: Item,
    output: Output,
    artefacts: str | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Row:
    """Score one output of the task at `index` in the plan, and put it into plain values, or take those `kept` before.

    An output that is to be judged is not scored yet: the row holds what its judges are to be asked.
    """
    columns = output_columns(output, artefacts) if kept is None else kept
    if task.judge is not None and output.status == "ok":
        requests = _judge_requests(task, item, output, columns, artefacts)
        if requests:
            return replace(bare_row(index, item, output, kept=columns), judge=requests)
    score = score_output(task, item, lambda: task.score(item.sample, output))
    return Row(
        index, item.position, item.sample.id, output.status, columns, _floats(score.counts), dict(score.details),
        score.status,
    )  # fmt: skip


def bare_row(
    index: int, item: Item, output: Output, artefacts: str | None = None, kept: Mapping[str, Any] | None = None
) -> Row:
    """An output in plain values, without a score: what a judge said."""
    columns = output_columns(output, artefacts) if kept is None else kept
    return Row(index, item.position, item.sample.id, output.status, columns, counts={})


def judged_row(task: Task, item: Item, row: Row, answers: Mapping[str, Mapping[str, Any]]) -> Row:
    """The row of an output whose judges have answered: `answers` holds each one's columns, with its status.

    Where a judge failed, the sample is scored as a failure, with the judge's error as the reason.
    """
    judged = {name: restored_output(str(kept["status"]), kept, artefacts=None) for name, kept in answers.items()}
    failed = [f"judge {name}: {output.error}" for name, output in judged.items() if output.status in FAILED]
    score_judged = task.score_judged
    if failed or score_judged is None:
        reason = "; ".join(failed) or f"task {task.name!r} has no score_judged"
        broken = Output(status="error", error=reason)
        score = score_output(task, item, lambda: task.score(item.sample, broken))
        row = replace(row, output={**row.output, "error": reason})
    else:
        output = restored_output(row.status, row.output, artefacts=None)
        score = score_output(task, item, lambda: score_judged(item.sample, output, judged))
    return replace(_scored(row, score), judge={}, output={**row.output, "judged": dict(answers)})


def failed_row(index: int, task: Task | None, item: Item, status: str, error: str) -> Row:
    """The row of a sample whose worker died, hung or never started; without a task, of a judge's."""
    output = Output(status="timeout" if status == "timeout" else "error", error=error)
    return bare_row(index, item, output) if task is None else make_row(index, task, item, output)


def score_output(task: Task, item: Item, score: Callable[[], Score]) -> Score:
    """Score an output of `item` by calling `score`, and check that the counts can be reduced.

    Raises AudiometryError that names task and sample: a fault in scoring is not the model's failure.
    """
    try:
        found = score()
    except Exception as error:
        raise AudiometryError(
            f"task {task.name!r} cannot score sample {item.sample.id!r}: {describe(error)}"
        ) from error
    for name, value in found.counts.items():
        if not math.isfinite(value):
            raise AudiometryError(f"task {task.name!r}, sample {item.sample.id!r}: count {name!r} is {value}")
    return found


def _scored(row: Row, score: Score) -> Row:
    return replace(row, counts=_floats(score.counts), details=dict(score.details), score_status=score.status)


def _floats(counts: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in counts.items()}


def _judge_requests(
    task: Task, item: Item, output: Output, columns: Mapping[str, Any], artefacts: str | None
) -> dict[str, Request]:
    made = columns.get("audio_out")
    sound = None
    if made is not None and artefacts is not None and output.audio is not None:
        digest = Path(made).stem
        sound = Audio(str(Path(artefacts) / made), seconds=output.audio.seconds, digest=digest)
    try:
        requests = {} if task.judge is None else dict(task.judge(item.sample, output, sound))
    except Exception as error:
        raise AudiometryError(
            f"task {task.name!r} cannot have sample {item.sample.id!r} judged: {describe(error)}"
        ) from error
    unknown = sorted(requests.keys() - set(task.judges))
    if unknown:
        raise AudiometryError(f"task {task.name!r} asks the judge {unknown[0]!r}, which its judges= does not name")
    return requests


def output_columns(output: Output, artefacts: str | None) -> dict[str, Any]:
    """What is kept of an output as evidence. Sound and embeddings go to the artefact folder, by content."""
    columns: dict[str, Any] = {
        "text": output.text,
        "score": output.score,
        "error": output.error,
        "total_seconds": output.timings.get("total"),
    }
    if output.peak_bytes is not None:
        columns["peak_bytes"] = output.peak_bytes
    others = {name: seconds for name, seconds in output.timings.items() if name != "total"}
    if others:
        columns["timings"] = others
    if output.labels:
        columns["labels"] = dict(output.labels)
    if output.usage:
        columns["usage"] = dict(output.usage)
    if output.facts:
        columns["facts"] = dict(output.facts)
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


def restored_output(status: str, columns: Mapping[str, Any], artefacts: str | None) -> Output:
    """The output whose columns these are: the inverse of `output_columns`, for scoring again.

    Without the folder of `artefacts` the output comes without its sound and embedding.

    Raises AudioError if sound that the model made is not kept any more.
    """
    import numpy as np

    made, embedded = columns.get("audio_out"), columns.get("embedding")
    whole = artefacts is not None and embedded
    seconds = columns.get("total_seconds")
    return Output(
        status=cast("OutputStatus", status),
        text=columns.get("text"),
        score=columns.get("score"),
        error=columns.get("error"),
        labels=columns.get("labels") or {},
        segments=tuple(Segment(*values) for values in columns.get("segments") or ()),
        audio=audio.read_file(Path(artefacts) / made) if made and artefacts is not None else None,
        embedding=np.load(Path(artefacts or "") / str(embedded), allow_pickle=False) if whole else None,
        timings=({} if seconds is None else {"total": seconds}) | (columns.get("timings") or {}),
        usage=columns.get("usage") or {},
        facts=columns.get("facts") or {},
        peak_bytes=columns.get("peak_bytes"),
    )


def store_artefact(folder: str, content: bytes, suffix: str) -> str:
    """Write `content` under its sha256 below `folder`, whole or not at all; return its relative name.

    Raises AudiometryError if the folder is not there: on a node without the shared disk sound would be lost unseen.
    """
    digest = hashlib.sha256(content).hexdigest()
    name = f"{digest[:2]}/{digest}{suffix}"
    path = Path(folder) / name
    if not path.exists():
        if not Path(folder).is_dir():
            raise AudiometryError(
                f"{folder} is not on {platform.node()}; set AUDIOMETRY_HOME to a disk that every node mounts"
            )
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(content)
        temporary.replace(path)
    return name
