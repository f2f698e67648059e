"""A plug-in file for tests of judging: spoken answers, a task that has them judged, and judges."""

import asyncio
import time

import numpy as np

from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Task, Waveform

RATE = 8000


def _samples(count):
    for i in range(count):
        yield Sample(f"s{i:03d}", Request("synthesize", text=f"{i + 1}"), None, cluster=f"c{i}")


def _score(sample, output):
    return Score(sample.id, {"loud": 0.0, "asked": 1.0}, status=output.status)


def _reduce(table, weights):
    return {"loudness": (weights @ table.cluster_sums("loud")) / (weights @ table.cluster_sums("asked"))}


@task("loudness")
def loudness(*, judges: str = "loudness-judge", count: int = 12) -> Task:
    """How loud the answers are, as judges hear them; several are joined by +."""
    named = tuple(judges.split("+"))

    def judge(sample, output, sound):
        return {name: Request("rate", {"candidate": sound}, text=sample.request.text) for name in named}

    def score_judged(sample, output, judged):
        assert output.audio is None
        heard = [judged[name].score for name in named]
        return Score(sample.id, {"loud": sum(heard) / len(heard), "asked": 1.0}, details={"heard": repr(heard)})

    return Task(
        name="loudness", version="1", ability="synthesize", samples=lambda: _samples(count), score=_score,
        reduce=_reduce, metrics=(Metric("loudness", high=1.0),), judges=named, judge=judge, score_judged=score_judged,
    )  # fmt: skip


class _Model:
    abilities = frozenset({"synthesize", "rate"})
    deterministic = True
    concurrency = 4

    def __init__(self, name, answer):
        self.name = self.fingerprint = name
        self._answer = answer

    def generate(self, requests):
        return [self._answer(request) for request in requests]

    async def answer(self, request):
        await asyncio.sleep(0.01)
        return self._answer(request)

    def close(self):
        pass


class _Waiting(_Model):
    async def close(self):
        pass


@model("tone", abilities={"synthesize"})
def tone(*, mute: str = "") -> _Model:
    """A tone that is louder the larger the number in the text; nothing for the text `mute`."""

    def answer(request):
        if request.text == mute:
            return Output()
        return Output(audio=Waveform(np.full(800, int(request.text) / 100, np.float32), RATE))

    return _Model(f"tone-{mute}", answer)


def _listen(request):
    from audiometry.benchmark.audio import read

    heard = request.waveforms.get("candidate") or read(request.audios["candidate"])
    return Output(score=float(np.abs(heard.samples).max()))


@model("loudness-judge", abilities={"rate"})
def loudness_judge(*, fail: str = "", seconds: float = 0.0) -> _Model:
    """How loud a sound is; fails at the text `fail`."""

    def answer(request):
        time.sleep(seconds)
        if request.text == fail:
            raise RuntimeError("the judge is deaf to this")
        return _listen(request)

    return _Model(f"loudness-judge-{fail}", answer)


@model("known-judge", abilities={"rate"}, fingerprint=lambda: "known-judge", deterministic=True)
def known_judge() -> _Model:
    """How loud a sound is, by a judge whose fingerprint is known before it is loaded."""
    return _Model("known-judge", _listen)


@model("remote-judge", abilities={"rate"}, waits=True)
def remote_judge() -> _Waiting:
    """How loud a sound is, told from elsewhere."""
    return _Waiting("remote-judge", _listen)
