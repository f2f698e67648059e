"""``audiometry worker`` as a command: what it refuses, and how it ends, told to or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from audiometry.benchmark.cli import main
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions import isolation, worker_command
from audiometry.leaderboard.submissions.queue import Queue

PLUGIN = str(Path(__file__).with_name("prying.py"))


def test_the_command_on_an_empty_queue(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert main(["worker", "--once", "--store", f"sqlite:///{home / 'store.db'}"]) == 0
    assert capsys.readouterr().err == "0 submissions ended\n"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_command_refuses_a_suite_that_does_not_exist(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del home
    assert main(["worker", "--once", "--suite", "cores"]) == 2
    assert "unknown suite 'cores'; did you mean 'core'?" in capsys.readouterr().err


def test_the_command_without_isolation(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del home
    monkeypatch.setattr(isolation, "refusal", lambda: "the kernel refuses the isolation: unshare: not permitted")
    assert main(["worker", "--once"]) == 2
    assert "cannot isolate a run: the kernel refuses" in capsys.readouterr().err
    assert main(["worker", "--once", "--allow-network"]) == 0
    assert "runs are not isolated: the kernel refuses" in capsys.readouterr().err
    assert worker_command._network(allow=True)
    monkeypatch.setattr(isolation, "refusal", lambda: "")
    assert not worker_command._network(allow=True)  # where it can, it isolates all the same


class Running:
    """The command in a process of its own, at work on a submission of the plug-in's model."""

    def __init__(self, home: Path, tmp_path: Path) -> None:
        import numpy as np
        import soundfile

        self.tmp = tmp_path / "tmp"
        self.tmp.mkdir(exist_ok=True)
        corpus = home / "corpora" / "prying"
        corpus.mkdir(parents=True)
        for number in range(4):
            soundfile.write(corpus / f"{number}.wav", np.zeros(16000), 16000)
        self.queue = Queue(Store.open())
        manifest = {
            "name": "mine", "adapter": "prying", "settings": {"path": "./"}, "licence": "MIT", "training_data": [],
            "contact": "ada@example.org", "suite": "prying-suite",
        }  # fmt: skip
        self.id = self.queue.receive("mine", "ada", "prying-suite", manifest)
        self.queue.checked(self.id, "a" * 64, [])
        self.queue.queued(self.id)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "audiometry.benchmark.cli", "worker", "--plugin", PLUGIN, "--lease", "3", *words],
            env={**os.environ, "TMPDIR": str(self.tmp)}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_until_it_runs(self) -> None:
        """Until the box is there and has started the suite."""
        deadline = time.monotonic() + 120
        while not self.inside():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def inside(self) -> list[psutil.Process]:
        """Processes of the run."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if "run" in words and any(str(self.tmp) in word for word in words):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self) -> list[psutil.Process]:
        """What is left of the run after a moment."""
        deadline = time.monotonic() + 15
        while self.inside() and time.monotonic() < deadline:
            time.sleep(0.1)
        return self.inside()


@pytest.fixture
def running(home: Path, tmp_path: Path) -> Iterator[Running]:
    made = Running(home, tmp_path)
    yield made
    made.queue.store.close()


@pytest.mark.slow
def test_sigterm_ends_the_run_and_gives_the_submission_back(running: Running) -> None:
    worker = running.start()
    running.wait_until_it_runs()
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert said.endswith("0 submissions ended\n")
    one = running.queue.get(running.id)
    assert (one.state, one.owner, one.attempts) == ("queued", None, 0)
    assert running.end() == []
    assert list(running.tmp.iterdir()) == []


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_its_run_along_and_another_gets_the_submission(running: Running) -> None:
    worker = running.start()
    running.wait_until_it_runs()
    worker.kill()
    worker.communicate()
    assert running.end() == []
    one = running.queue.get(running.id)
    assert one.state == "running"
    deadline = time.monotonic() + 10  # the lease was for three seconds
    while (taken := running.queue.lease("another", 60.0)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (taken.id, taken.attempts) == (running.id, 2)
    assert running.queue.events(running.id)[-1].detail == f"attempt 2 by another, after {one.owner} was lost"
