"""A plug-in file for the cluster's tests: models that note on which node they were asked, and a task over files."""

import json
import os
import sys
import time
from pathlib import Path

import ray

import audiometry.benchmark
from audiometry.benchmark.audio import read
from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Audio, Metric, Output, Request, Sample, Score, Task


def _score(sample, output):
    return Score(
        sample.id,
        {"wrong": float(output.text != sample.target), "asked": 1.0},
        status=output.status,
        details={"said": output.text or ""},
    )


def _reduce(table, weights):
    return {"error_rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


def _task(name, samples):
    return Task(
        name=name, version="1", ability="respond", samples=samples, score=_score, reduce=_reduce,
        metrics=(Metric("error_rate", high=1.0),),
    )  # fmt: skip


@task("repeat")
def repeat(*, count: int = 100) -> Task:
    """Say the text again; every seventh text cannot be right."""

    def samples():
        for i in range(count):
            target = f"word{i}" if i % 7 else "another word"
            yield Sample(f"s{i:04d}", Request("respond", text=f"word{i}"), target, cluster=f"c{i // 2}")

    return _task("repeat", samples)


@task("listen")
def listen(*, audio: str, count: int = 20) -> Task:
    """Say how long each of the recordings is that `audio` names; ``{}`` stands for a number."""

    def samples():
        for i in range(count):
            sound = Audio(audio.format(i))
            yield Sample(f"s{i:04d}", Request("respond", audios={"input": sound}), "0.5", cluster=f"c{i}")

    return _task("listen", samples)


class Noting:
    """Says the text again, or the length of the sound, and appends a line to the file `notes` for each batch."""

    name = "noting"
    abilities = frozenset({"respond"})
    deterministic = True
    fingerprint = "noting-1"

    def __init__(self, notes, seconds):
        self._notes, self._seconds = Path(notes), seconds

    def generate(self, requests):
        note = {
            "node": ray.get_runtime_context().get_node_id(),
            "python": sys.prefix,
            "package": audiometry.benchmark.__file__,
            "plugin": __file__,
            "process": os.getpid(),
            "texts": [request.text for request in requests],
        }
        with self._notes.open("a") as file:
            file.write(json.dumps(note) + "\n")
        time.sleep(self._seconds * len(requests))
        return [Output(text=_answer(request)) for request in requests]

    def close(self):
        pass


def _answer(request):
    if "input" in request.audios:
        return f"{read(request.audios['input']).seconds:g}"
    return request.text


@model("noting", abilities={"respond"}, waveforms=False)
def noting(*, notes: str, seconds: float = 0.05, label: str = "") -> Noting:
    """Echo, and note where."""
    del label
    return Noting(notes, seconds)
