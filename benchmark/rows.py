"""Answers and scores as plain values: what travels from a worker, and is kept."""

from __future__ import annotations

import hashlib
import io
import math
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from audiometry.benchmark import audio
from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.plan import Item
from audiometry.benchmark.types import Output, OutputStatus, Score, Segment, Task

__all__ = [
    "Row",
    "describe",
    "failed_row",
    "make_row",
    "output_columns",
    "restored_output",
    "score_output",
    "store_artefact",
]

MAX_REASON = 2000
"""Characters that are kept of an error's text."""


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
