"""A plug-in file for the fault tests: a task of words, and models that break at one of them in every way we know."""

import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Segment, Task, Waveform


def _samples(texts):
    for i, text in enumerate(texts):
        yield Sample(text, Request("respond", text=text), text, cluster=f"c{i // 4}")


def _score(sample, output):
    wrong = output.status != "ok" or output.text != sample.target
    return Score(sample.id, {"wrong": float(wrong), "asked": 1.0}, status=output.status)


def _reduce(table, weights):
    return {"error_rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


def _words(name, texts):
    return Task(
        name=name, version="1", ability="respond", samples=lambda: _samples(texts), score=_score, reduce=_reduce,
        metrics=(Metric("error_rate", high=1.0),),
    )  # fmt: skip


@task("sayings")
def words(*, count: int = 20) -> Task:
    """Say the text again: word0000, word0001, …"""
    return _words("sayings", [f"word{i:04d}" for i in range(count)])


@task("perils")
def perils(*, ways: str) -> Task:
    """Say the text again: the names of `ways` to break, joined by ``+``, each with a harmless word on either side."""
    return _words("perils", [text for way in ways.split("+") for text in (f"before {way}", way, f"after {way}")])


class StrangeError(BaseException):
    """What nobody expects: not an Exception."""


class MuteError(Exception):
    """An error that cannot even be shown."""

    def __str__(self):
        raise ValueError("no words for it")


class LoadedError(Exception):
    """An error that cannot travel to another process."""

    def __init__(self, left, right):
        super().__init__(f"{left} and {right}")
        self.stream = sys.stdout


def _raise(error):
    raise error


def _recur():
    return _recur()


def _exhaust():
    """Allocate until a limit 512 MiB above what is in use: a MemoryError and no trouble for the machine."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, hard))
    try:
        held = []
        while True:
            held.append(bytearray(2**26))
    finally:
        held = None
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _noise(outputs):
    """Write to stdout whatever could upset a reader of JSON, at Python's level and below it."""
    print("\x1b[2J{]garbage" * 50, flush=True)
    os.write(1, b"\xff\xfe\x00 no text\n" * 20)
    os.write(2, b"\xff\xfe\x00 no text\n" * 20)
    return outputs


def _with(outputs, at, **fields):
    return [Output(**{"text": one.text, **fields}) if i == at else one for i, one in enumerate(outputs)]


FAULTS = {
    "none": lambda outputs, at: outputs,
    # raises
    "raise": lambda outputs, at: _raise(RuntimeError("a poisonous sample")),
    "mute": lambda outputs, at: _raise(MuteError()),
    "loaded": lambda outputs, at: _raise(LoadedError("this", "that")),
    "sysexit": lambda outputs, at: sys.exit("the model had enough"),
    "interrupt": lambda outputs, at: _raise(KeyboardInterrupt()),
    "strange": lambda outputs, at: _raise(StrangeError("not an Exception")),
    "recursion": lambda outputs, at: _recur(),
    "memory": lambda outputs, at: _exhaust(),
    # takes the worker along
    "segfault": lambda outputs, at: ctypes.string_at(0),
    "exit": lambda outputs, at: os._exit(3),
    "abort": lambda outputs, at: os.abort(),
    "killed": lambda outputs, at: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda outputs, at: time.sleep(3600),
    # answers what is no answer
    "few": lambda outputs, at: outputs[:-1],
    "many": lambda outputs, at: [*outputs, outputs[0]],
    "nothing": lambda outputs, at: None,
    "generator": lambda outputs, at: (one for one in outputs),
    "number": lambda outputs, at: 7,
    "texts": lambda outputs, at: [one.text for one in outputs],
    "gap": lambda outputs, at: [None if i == at else one for i, one in enumerate(outputs)],
    "nan": lambda outputs, at: _with(outputs, at, score=float("nan")),
    "nan-label": lambda outputs, at: _with(outputs, at, labels={"spoof": float("nan")}),
    "nan-time": lambda outputs, at: _with(outputs, at, timings={"total": float("nan")}),
    "nan-usage": lambda outputs, at: _with(outputs, at, usage={"cost": float("inf")}),
    "nan-segment": lambda outputs, at: _with(outputs, at, segments=(Segment(float("nan"), 1.0, "word"),)),
    "negative-time": lambda outputs, at: _with(outputs, at, timings={"total": -0.5}),
    "backward-segment": lambda outputs, at: _with(outputs, at, segments=(Segment(2.0, 1.0, "word"),)),
    "number-segment": lambda outputs, at: _with(outputs, at, segments=(Segment(0.0, 1.0, 7),)),
    "word-score": lambda outputs, at: _with(outputs, at, score="high"),
    "word-label": lambda outputs, at: _with(outputs, at, labels={"spoof": "high"}),
    "number-text": lambda outputs, at: _with(outputs, at, text=7),
    "bytes-text": lambda outputs, at: _with(outputs, at, text=b"word"),
    "surrogate": lambda outputs, at: _with(outputs, at, text="word\udc80"),
    "status": lambda outputs, at: _with(outputs, at, status="splendid"),
    "list-labels": lambda outputs, at: _with(outputs, at, labels=["spoof"]),
    "array-sound": lambda outputs, at: _with(outputs, at, audio=np.zeros(10)),
    "nan-sound": lambda outputs, at: _with(outputs, at, audio=Waveform(np.full(10, np.nan, np.float32), 16000)),
    "object-embedding": lambda outputs, at: _with(outputs, at, embedding=np.array([object()])),
    # odd and yet fine
    "none-text": lambda outputs, at: _with(outputs, at, text=None),
    "noise": lambda outputs, at: _noise(outputs),
    "numpy": lambda outputs, at: _with(
        outputs, at, score=np.float32(0.5), labels={"spoof": np.float32(0.25)}, timings={"total": np.float64(0.5)},
        usage={"output_tokens": np.int64(3)}, segments=(Segment(np.float32(0), np.float64(1), "word"),),
    ),
    "tuple": lambda outputs, at: tuple(outputs),
}  # fmt: skip


class Breaking:
    """Says each word again, and breaks at those that name a fault: all at once, where several are asked together."""

    name = "breaking"
    abilities = frozenset({"respond"})
    deterministic = True

    def __init__(self, seconds):
        self.seconds = seconds
        self.fingerprint = _fingerprint(seconds=seconds)

    def generate(self, requests):
        time.sleep(self.seconds * len(requests))
        outputs = [Output(text=request.text) for request in requests]
        for place, request in enumerate(requests):
            outputs = FAULTS.get(request.text, FAULTS["none"])(outputs, place)
        return outputs

    def close(self):
        pass


def _fingerprint(*, seconds: float = 0.0) -> str:
    return f"breaking-{seconds}"


@model("breaking", abilities={"respond"}, fingerprint=_fingerprint, deterministic=True)
def breaking(*, seconds: float = 0.0) -> Breaking:
    """Say each word again in so many seconds, and break at those that name a fault."""
    return Breaking(seconds)


class Listener:
    """Looks at nothing but the waveform, and says what every manifest of the tests expects."""

    name = "listener"
    abilities = frozenset({"transcribe"})
    fingerprint = "listener-1"
    deterministic = True

    def generate(self, requests):
        for request in requests:
            sound = request.waveforms["input"].samples
            if sound.ndim != 1 or not len(sound) or not np.isfinite(sound).all():
                raise AssertionError("damaged sound reached the model")
        return [Output(text="hello") for _ in requests]

    def close(self):
        pass


@model("listener", abilities={"transcribe"})
def listener() -> Listener:
    """Look at the waveform only."""
    return Listener()
