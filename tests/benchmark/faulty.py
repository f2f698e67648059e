"""A plug-in file for the engine's tests: a tiny task without sound, and models that misbehave when told to."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from audiometry.benchmark.registry import model, task
from audiometry.benchmark.types import Metric, Output, Request, Sample, Score, Task


def _samples(count):
    for i in range(count):
        yield Sample(
            id=f"s{i:03d}",
            request=Request("respond", text=f"word{i:03d}"),
            target=f"word{i:03d}",
            slices={"parity": "even" if i % 2 == 0 else "odd", "every": "one"},
            cluster=f"c{i // 2}",
        )


def _score(sample, output):
    return Score(
        sample.id,
        {"wrong": float(output.text != sample.target), "asked": 1.0},
        status=output.status,
        details={"said": output.text or ""},
    )


def _reduce(table, weights):
    return {"error_rate": (weights @ table.cluster_sums("wrong")) / (weights @ table.cluster_sums("asked"))}


@task("echo")
def echo(*, count: int = 20) -> Task:
    """Say the text again."""
    return Task(
        name="echo", version="1", ability="respond", samples=lambda: _samples(count), score=_score, reduce=_reduce,
        metrics=(Metric("error_rate", high=1.0),),
    )  # fmt: skip


@task("echo-again")
def echo_again() -> Task:
    """Say the text again, under another name."""
    return replace(echo(), name="echo-again")


@task("alone")
def alone() -> Task:
    """Say the text again, with the machine to itself."""
    return replace(echo(), name="alone", exclusive=True)


@task("unscorable")
def unscorable() -> Task:
    """Fail while scoring."""

    def score(sample, output):
        raise ZeroDivisionError("a fault in the task")

    return Task(
        name="unscorable", version="1", ability="respond", samples=lambda: _samples(4), score=score, reduce=_reduce,
        metrics=(Metric("error_rate"),),
    )  # fmt: skip


class Faulty:
    """Echo, with a fault at the sample whose text ends in `at`."""

    name = "faulty"
    abilities = frozenset({"respond"})
    deterministic = True

    def __init__(self, fault, at, once):
        self.fault, self.at, self.once = fault, at, once
        self.fingerprint = f"faulty-{fault}-{at}-{once}"

    def generate(self, requests):
        hit = any(request.text.endswith(self.at) for request in requests)
        if hit and self.fault != "none" and not self._spent():
            return getattr(self, f"_{self.fault}")(requests)
        return [Output(text=request.text) for request in requests]

    def _spent(self):
        if not self.once:
            return False
        try:
            Path(self.once).touch(exist_ok=False)
        except FileExistsError:
            return True
        return False

    def _raise(self, requests):
        raise RuntimeError("a poisonous sample")

    def _die(self, requests):
        os.kill(os.getpid(), signal.SIGKILL)

    def _hang(self, requests):
        time.sleep(3600)

    def _few(self, requests):
        return [Output(text="x")] * (len(requests) - 1)

    def _type(self, requests):
        return ["text"] * len(requests)

    def _nan(self, requests):
        return [Output(text=r.text, score=float("nan") if r.text.endswith(self.at) else None) for r in requests]

    def _blank(self, requests):
        return [Output(text=" " if r.text.endswith(self.at) else r.text) for r in requests]

    def close(self):
        pass


@model("faulty", abilities={"respond"})
def faulty(*, fault: str = "none", at: str = "007", once: str = "", label: str = "") -> Faulty:
    """Echo, with a fault; `label` names it in results."""
    del label
    return Faulty(fault, at, once)


def _known_fingerprint(*, fault: str = "none", at: str = "007", once: str = "") -> str:
    return f"known-{fault}-{at}-{once}"


@model("known", abilities={"respond"}, fingerprint=_known_fingerprint, deterministic=True)
def known(*, fault: str = "none", at: str = "007", once: str = "") -> Faulty:
    """Echo, with a fault, and with a fingerprint that is known before it is loaded."""
    made = Faulty(fault, at, once)
    made.fingerprint = _known_fingerprint(fault=fault, at=at, once=once)
    return made


@model("stillborn", abilities={"respond"})
def stillborn() -> Faulty:
    """Fail to load."""
    raise OSError("the weights are damaged")


@model("slow", abilities={"respond"})
def slow(*, seconds: float = 0.2) -> Faulty:
    """Echo, slowly."""
    made = Faulty("none", "", "")
    plain = made.generate

    def generate(requests):
        time.sleep(seconds * len(requests))
        return plain(requests)

    made.generate = generate
    return made


@model("crowded", abilities={"respond"})
def crowded(*, most: int = 1000, fault: str = "raise") -> Faulty:
    """Echo, as quickly for many as for one; more than `most` at once are too many."""
    made = Faulty("none", "", "")
    made.fingerprint = f"crowded-{most}-{fault}"

    def generate(requests):
        if len(requests) > most:
            if fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError("too many at once")
        time.sleep(0.02)
        return [Output(text=request.text) for request in requests]

    made.generate = generate
    return made


@model("deaf", abilities={"transcribe"})
def deaf() -> Faulty:
    """Cannot respond."""
    return Faulty("none", "", "")


@model("parrot", abilities={"respond"}, control=True, given="other target")
def parrot() -> Faulty:
    """Say what was expected of another sample."""
    made = Faulty("none", "", "")
    made.generate = lambda requests, given: [Output(text=text) for text in given]
    return made


class Remote:
    """Echo after a while, as a model behind an endpoint, with a fault at the sample whose text ends in `at`."""

    name = "remote"
    abilities = frozenset({"respond"})
    deterministic = True

    def __init__(self, fault, at, seconds, concurrency):
        self.fault, self.at, self.seconds, self.concurrency = fault, at, seconds, concurrency
        self.fingerprint = f"remote-{fault}-{at}-{seconds}"
        self.under_way = 0

    async def answer(self, request):
        self.under_way += 1
        try:
            await asyncio.sleep(self.seconds)
            if self.fault != "none" and request.text.endswith(self.at):
                return await getattr(self, f"_{self.fault}")()
            return Output(text=request.text, usage={"under_way": float(self.under_way)}, facts={"version": "3"})
        finally:
            self.under_way -= 1

    async def _raise(self):
        raise RuntimeError("no such model at the endpoint")

    async def _die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    async def _hang(self):
        await asyncio.sleep(3600)

    async def _block(self):
        time.sleep(3600)

    async def _type(self):
        return "text"

    async def close(self):
        pass


def _able(*, fault: str = "none", **_: object) -> set[str]:
    return {"embed"} if fault == "unable" else {"respond"}


@model("remote", abilities={"respond", "embed"}, able=_able, waits=True)
def remote(*, fault: str = "none", at: str = "007", seconds: float = 0.05, concurrency: int = 8) -> Remote:
    """Echo from elsewhere."""
    return Remote(fault, at, seconds, concurrency)


@model("unreachable", abilities={"respond"}, waits=True)
def unreachable() -> Remote:
    """Fail to load."""
    raise OSError("no route to the endpoint")
