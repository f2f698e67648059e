"""A plug-in file for the tests of `audiometry validate`: a task without sound, and models that move in one way each."""

import asyncio
import os
import random
import signal
import sys
import time
from dataclasses import replace

import numpy as np

from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Segment, Task, Waveform


@task("words")
def words(*, count: int = 16) -> Task:
    """Say a word again."""

    def samples():
        for i in range(count):
            yield Sample(f"w{i:02d}", Request("respond", text=f"word {i:02d}"), f"word {i:02d}")

    return Task(
        name="words", version="1", ability="respond", samples=samples,
        score=lambda sample, output: Score(sample.id, {"wrong": 0.0}), reduce=lambda table, weights: {},
        metrics=(Metric("wrong"),),
    )  # fmt: skip


@task("words-again")
def again() -> Task:
    """Say a word again, under another name."""
    return replace(words(), name="words-again")


class Moving:
    """Echo, moved in the way that is named."""

    name = "moving"
    abilities = frozenset({"respond"})
    fingerprint = "moving"

    def __init__(self, way, kind="text", deterministic=True):
        self.way, self.kind, self.deterministic = way, kind, deterministic
        self.before = ""
        self.kept = []

    def generate(self, requests):
        return [self._output(getattr(self, f"_{self.way}")(request.text, len(requests))) for request in requests]

    def _output(self, text):
        """Text, or every other kind of answer made from it: equal texts, equal answers."""
        if self.kind == "text":
            return Output(text=text)
        number = float(int.from_bytes(text.encode()) % 997)
        return Output(
            score=number,
            labels={"a": 0.5 + number / 2000, "b": 0.5 - number / 2000},
            segments=(Segment(0.0, 1.0 + number, "a"),),
            audio=Waveform(np.full(80 + (self.kind == "length") * int(number), number / 1000, np.float32), 8000),
            embedding=np.array([np.cos(number), np.sin(number)], np.float32),
        )

    def _not(self, text, size):
        return text

    def _stateful(self, text, size):
        text, self.before = f"{text} after {self.before}", text
        return text

    def _random(self, text, size):
        return f"{text} {random.random()}"

    def _seldom(self, text, size):
        return text + random.choice(["", "", "", "!"])

    def _batch(self, text, size):
        return f"{text} of {size}"

    def _leak(self, text, size):
        self.kept.append(np.ones(2**17))  # 1 MiB
        return text

    def _die(self, text, size):
        if text.endswith("05"):
            print("the sky is falling", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)
        return text

    def _exit(self, text, size):
        os._exit(3)

    def _hang(self, text, size):
        time.sleep(60)

    def _raise(self, text, size):
        raise RuntimeError("nothing can be said")

    def _partly(self, text, size):
        if text.endswith("3"):
            raise RuntimeError("nothing can be said")
        return text

    def close(self):
        pass


@model("moving", abilities={"respond"})
def moving(*, way: str = "not", kind: str = "text", deterministic: bool = True) -> Moving:
    """Echo, moved in one way."""
    return Moving(way, kind, deterministic)


@model("absent", abilities={"respond"})
def absent() -> Moving:
    """Fail to load."""
    raise OSError("the weights are damaged")


@model("dying", abilities={"respond"})
def dying() -> Moving:
    """Take the process along while loading."""
    os.kill(os.getpid(), signal.SIGKILL)


@model("unsendable", abilities={"respond"})
def unsendable() -> Moving:
    """Answer with what cannot travel."""
    made = Moving("not")
    made.generate = lambda requests: [Output(text="x", labels={"a": 0.0}, error=lambda: None) for _ in requests]
    return made


class Elsewhere:
    """Echo as a model behind an endpoint, moved in the way that is named."""

    name = "elsewhere"
    abilities = frozenset({"respond"})
    fingerprint = "elsewhere"
    deterministic = True
    concurrency = 4

    def __init__(self, way):
        asyncio.get_running_loop()
        self.way, self.under_way, self.most = way, 0, 0

    async def answer(self, request):
        self.under_way += 1
        await asyncio.sleep(0.01)
        together = self.under_way
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if self.way == "batch":
            return Output(text=f"{request.text} of {together}")
        if self.way == "hang" and request.text.endswith("03"):
            await asyncio.sleep(60)
        if self.way == "raise" and request.text.endswith("03"):
            raise RuntimeError("no route")
        return Output(text=request.text)

    async def close(self):
        pass


@model("elsewhere", abilities={"respond"}, waits=True)
def elsewhere(*, way: str = "not") -> Elsewhere:
    """Echo from elsewhere."""
    return Elsewhere(way)


@model("mute", abilities={"watermark"})
def mute() -> Moving:
    """Do what no task asks."""
    return Moving("not")
