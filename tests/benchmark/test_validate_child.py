"""The process that asks, here in a thread: what goes in and out of its pipe."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import pytest

from audiometry.benchmark.plan import Batch, Item
from audiometry.benchmark.registry import parse_spec
from audiometry.benchmark.types import Request, Sample
from audiometry.benchmark.validate_child import Answered, Opening, _serve, resident_bytes
from audiometry.benchmark.worker import ModelFacts

PLUGIN = str(Path(__file__).with_name("moving.py"))


@pytest.fixture
def start() -> Iterator[Callable[..., Connection]]:
    """Serve a model; the end of the pipe to talk to it by."""
    threads: list[tuple[threading.Thread, Connection]] = []

    def begin(model: str, *, waits: bool = False) -> Connection:
        ours, theirs = Pipe()
        loop = asyncio.new_event_loop()

        def run() -> None:
            _serve(theirs, loop)
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        threads.append((thread, ours))
        ours.send(Opening(parse_spec(model), None, (PLUGIN,), 1, True, waits, 0.2))
        return ours

    yield begin
    for thread, ours in threads:
        ours.close()
        thread.join(10)
        assert not thread.is_alive()


def asked(pipe: Connection, *numbers: int) -> Answered:
    def item(number: int) -> Item:
        return Item(number, Sample(f"w{number:02d}", Request("respond", text=f"word {number:02d}"), None))

    pipe.send(Batch(0, tuple(map(item, numbers))))
    answered: Answered = pipe.recv()
    return answered


def statuses(answered: Answered) -> dict[int, Any]:
    return {position: output.status for position, output in answered.outputs.items()}


def test_answers_by_position(start: Callable[..., Connection]) -> None:
    pipe = start("moving:way=batch")
    facts: ModelFacts = pipe.recv()
    assert (facts.fingerprint, facts.deterministic, facts.error) == ("moving", True, None)
    answered = asked(pipe, 5, 2)
    assert {at: output.text for at, output in answered.outputs.items()} == {5: "word 05 of 2", 2: "word 02 of 2"}
    assert answered.seconds > 0
    assert answered.memory > 2**20
    assert statuses(asked(pipe, 1)) == {1: "ok"}


def test_a_model_that_waits_is_asked_for_a_whole_batch_at_once(start: Callable[..., Connection]) -> None:
    pipe = start("elsewhere:way=batch", waits=True)
    assert pipe.recv().error is None
    assert [output.text for output in asked(pipe, 0, 1, 2).outputs.values()] == [f"word 0{i} of 3" for i in range(3)]


@pytest.mark.parametrize(("way", "status"), [("raise", "error"), ("hang", "timeout")])
def test_a_model_that_waits_and_fails(start: Callable[..., Connection], way: str, status: str) -> None:
    pipe = start(f"elsewhere:way={way}", waits=True)
    assert pipe.recv().error is None
    assert statuses(asked(pipe, 2, 3)) == {2: "ok", 3: status}


def test_a_model_that_does_not_load(start: Callable[..., Connection]) -> None:
    assert "the weights are damaged" in start("absent").recv().error


def test_answers_that_cannot_travel(start: Callable[..., Connection]) -> None:
    pipe = start("unsendable")
    pipe.recv()
    answered = asked(pipe, 0)
    assert answered.outputs == {}
    assert "cannot be sent" in str(answered.fault)


def test_memory_counts_the_processes_below() -> None:
    import subprocess
    import sys

    alone = resident_bytes()
    code = "import sys; held = b'1' * (64 * 2**20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert resident_bytes() > alone + 64 * 2**20 * 0.9
