"""A plug-in file: a task of recordings in a corpus, a model that looks round where it runs, and one that fails."""

import json
import os
import socket
from pathlib import Path

import numpy as np

from audiometry.benchmark import paths
from audiometry.benchmark.registry import model, suite, task
from audiometry.benchmark.types import Audio, Metric, Output, Request, Sample, Score, Suite, Task, Waveform


def _samples():
    for number in range(4):
        sound = Audio(str(paths.corpora_folder() / "prying" / f"{number}.wav"), seconds=1.0)
        yield Sample(f"s{number}", Request("transcribe", audios={"input": sound}), "x", cluster=f"c{number}")


def _score(sample, output):
    return Score(sample.id, {"wrong": float(output.status != "ok"), "asked": 1.0}, status=output.status)


def _reduce(table, weights):
    return {"error_rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


@task("prying-clips")
def prying_clips() -> Task:
    """Four recordings of a corpus."""
    return Task(
        name="prying-clips", version="1", ability="transcribe", samples=_samples, score=_score, reduce=_reduce,
        metrics=(Metric("error_rate", high=1.0),),
    )  # fmt: skip


@suite("prying-suite")
def prying_suite() -> Suite:
    """Four recordings."""
    return Suite("1", {"prying-clips": 1.0})


def _look(does):
    try:
        return does()
    except OSError as error:
        return error.strerror


def _reach(place):
    with socket.create_connection(place, timeout=5):
        return "reached"


class Prying:
    """Says what it sees, and hands a sound over."""

    name = "prying"
    abilities = frozenset({"transcribe"})
    fingerprint = "prying-1"
    deterministic = True

    def __init__(self, path, port, secret):
        self.path, self.port, self.secret = Path(path), port, secret

    def generate(self, requests):
        told = {
            "environment": sorted(os.environ),
            "values": " ".join(os.environ.values()),
            "file": _look((self.path / "weights.txt").read_text),
            "over file": _look(lambda: (self.path / "weights.txt").write_text("x")),
            "corpus": _look(lambda: sorted(one.name for one in (paths.corpora_folder() / "prying").iterdir())),
            "into corpus": _look(lambda: (paths.corpora_folder() / "prying" / "x").write_text("x")),
            "host": _look(lambda: _reach(("127.0.0.1", self.port))),
            "outside": _look(lambda: _reach(("192.0.2.1", 80))),
            "secret": _look(lambda: Path(self.secret).read_text()),
            "uid": os.getuid(),
        }
        sound = Waveform(np.linspace(-0.5, 0.5, 1600, dtype=np.float32), 16000)
        return [Output(text=json.dumps(told), audio=sound) for _ in requests]

    def close(self):
        pass


@model("prying", abilities={"transcribe"})
def prying(*, path: str, port: int = 1, secret: str = "") -> Prying:
    """Say what can be seen from here."""
    return Prying(path, port, secret)


@model("never-born", abilities={"transcribe"})
def never_born(*, path: str = "") -> Prying:
    """Fail while it is loaded."""
    raise ValueError(f"the weights in {path} are of another shape")
