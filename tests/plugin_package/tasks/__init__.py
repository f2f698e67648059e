"""A task of this package's own: tell loud tones from soft ones."""

import math
import tempfile
import wave
from pathlib import Path

from audiometry.benchmark.registry import task
from audiometry.benchmark.types import Audio, Metric, Request, Sample, Score, Task

RATE = 16_000


def _tone(folder: Path, index: int, level: float) -> Path:
    path = folder / f"tone-{index}.wav"
    frames = b"".join(
        int(level * 32767 * math.sin(2 * math.pi * (200 + 50 * index) * i / RATE)).to_bytes(2, "little", signed=True)
        for i in range(RATE // 4)
    )
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(frames)
    return path


def _samples():
    folder = Path(tempfile.gettempdir()) / "audiometry-example-plugin"
    folder.mkdir(exist_ok=True)
    for index in range(8):
        kind, level = ("loud", 0.8) if index % 2 else ("soft", 0.01)
        path = _tone(folder, index, level)
        yield Sample(
            id=f"tone-{index}",
            request=Request("classify", {"input": Audio(str(path), seconds=0.25)}),
            target=kind,
            slices={"kind": kind},
        )


def _score(sample, output):
    said = max(output.labels, key=output.labels.get) if output.labels else None
    return Score(sample.id, {"wrong": float(said != sample.target), "asked": 1.0}, status=output.status)


def _reduce(table, weights):
    return {"error_rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


@task("example-loudness")
def loudness() -> Task:
    """Tell loud tones from soft ones."""
    return Task(
        name="example-loudness",
        version="1",
        ability="classify",
        samples=_samples,
        score=_score,
        reduce=_reduce,
        metrics=(Metric("error_rate", high=1.0),),
    )
