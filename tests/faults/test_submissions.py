"""Fifty submitters at once, workers killed at random, and a database that is restarted: each is verified once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from postgres_server import PostgresServer, running

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.registry import load_plugins
from audiometry.benchmark.schema import RUNS, SUBMISSION_EVENTS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.submit import submit_folder

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SUBMITTERS = 50
WORKERS = 4
KILLS = 2
RESTARTS = 2
SECONDS = 150.0

MANIFEST = """name: model {number}
adapter: pocketsphinx
licence: MIT
training_data: []
contact: ada@example.org
"""


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test's own, as it is restarted."""
    with running() as mine:
        yield mine


class Workers:
    """Worker processes; whichever is killed is replaced."""

    def __init__(self, url: str, folder: Path) -> None:
        self._words = [sys.executable, str(HERE / "submission_worker.py"), url, str(folder / "stop")]
        self._folder = folder
        self.running = [self._start() for _ in range(WORKERS)]
        self.killed = 0
        for worker in self.running:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"

    def _start(self) -> subprocess.Popen[str]:
        with (self._folder / "workers.log").open("a") as log:
            return subprocess.Popen(self._words, env=dict(os.environ), stdout=subprocess.PIPE, stderr=log, text=True)

    def kill_one_at_work(self, queue: Queue, chance: random.Random) -> None:
        """Kill one that holds a submission, without a warning, and start another; none where nobody holds one."""
        held = {one.owner.split(":")[1]: one for one in queue.listing("running") if one.owner is not None}
        busy = [place for place, worker in enumerate(self.running) if str(worker.pid) in held]
        if not busy:
            return
        place = chance.choice(busy)
        victim = self.running[place]
        victim.send_signal(signal.SIGSTOP)  # it does not end what it holds while we look
        if queue.get(held[str(victim.pid)].id).owner == held[str(victim.pid)].owner:
            victim.kill()
            victim.communicate()
            self.killed += 1
            self.running[place] = self._start()
        else:
            victim.send_signal(signal.SIGCONT)

    def end(self) -> int:
        """Let them end; returns how many submissions they say they ended."""
        (self._folder / "stop").touch()
        return sum(int(worker.communicate(timeout=60)[0].split()[-1]) for worker in self.running)


def submit(number: int, url: str, folder: Path, gate: threading.Barrier, accepted: list[str]) -> None:
    """Submit as a person does: where it does not succeed, submit again."""
    mine = folder / f"submission{number}"
    mine.mkdir()
    (mine / "audiometry.yaml").write_text(MANIFEST.format(number=number))
    gate.wait()
    while True:
        try:
            with Store.open(url) as store:
                accepted.append(
                    submit_folder(mine, store=store, artefacts=ArtefactStore(str(folder / "files")), submitter="ada")
                )
                return
        except StoreError:
            time.sleep(0.2)


def count_verified(url: str) -> int:
    try:
        with Store.open(url) as store:
            return len(Queue(store).listing("verified", limit=10_000))
    except StoreError:
        return 0


def disturb(server: Any, workers: Workers, url: str, accepted: list[str], chance: random.Random) -> None:
    """Kill and restart at random moments, until every accepted submission has ended."""
    todo = ["kill"] * KILLS + ["restart"] * RESTARTS
    chance.shuffle(todo)
    moments = sorted(chance.sample(range(SUBMITTERS - 10), len(todo)))  # how many are verified by then
    deadline = time.monotonic() + SECONDS
    while (verified := count_verified(url)) < SUBMITTERS or todo or len(accepted) < SUBMITTERS:
        assert time.monotonic() < deadline, f"{len(accepted)} accepted, {verified} verified, {todo} to do"
        time.sleep(chance.uniform(0.0, 0.2))
        if not todo or verified < moments[-len(todo)]:
            continue
        if todo[0] == "restart":
            server.stop()
            time.sleep(chance.uniform(0.0, 1.0))
            server.start()
            todo.pop(0)
        else:
            killed = workers.killed
            with Store.open(url) as store:
                workers.kill_one_at_work(Queue(store), chance)
            if workers.killed > killed:
                todo.pop(0)


@pytest.mark.parametrize("seed", range(2))
def test_every_accepted_submission_ends_verified_exactly_once(
    home: Path, tmp_path: Path, server: Any, seed: int
) -> None:
    url = server.create("submissions")
    Store.open(url).close()
    load_plugins()  # as a server does before it serves
    workers = Workers(url, tmp_path)
    accepted: list[str] = []
    gate = threading.Barrier(SUBMITTERS)
    submitters = [
        threading.Thread(target=submit, args=(number, url, tmp_path, gate, accepted)) for number in range(SUBMITTERS)
    ]
    for submitter in submitters:
        submitter.start()
    try:
        disturb(server, workers, url, accepted, random.Random(seed))
    finally:
        for submitter in submitters:
            submitter.join(60)
        ended = workers.end()
    assert workers.killed == KILLS
    assert len(set(accepted)) == SUBMITTERS
    with Store.open(url) as store:
        queue = Queue(store)
        ends = [queue.get(one) for one in accepted]
        with store.reading() as connection:
            runs = connection.execute(sa.select(RUNS.c.id, RUNS.c.origin, RUNS.c.folder)).all()
            details = connection.execute(sa.select(SUBMISSION_EVENTS.c.detail)).scalars().all()
            verified = connection.execute(
                sa.select(SUBMISSION_EVENTS.c.submission_id).where(SUBMISSION_EVENTS.c.state == "verified")
            ).scalars().all()  # fmt: skip
        every = queue.listing(limit=10_000)
    assert [one.state for one in ends] == ["verified"] * SUBMITTERS
    assert {one.name for one in ends} == {f"model {number}" for number in range(SUBMITTERS)}
    assert set(Counter(verified).values()) == {1}  # once each, those too whose submitter was told nothing
    assert set(accepted) <= set(verified)
    assert sorted(run.id for run in runs) == sorted(one.run_id for one in every if one.run_id is not None)
    assert len(runs) == len(verified) >= ended
    assert {run.origin for run in runs} == {"verified"}
    assert {Path(run.folder).is_dir() for run in runs} == {True}
    assert sum("was lost" in detail for detail in details) >= 1
    assert {one.state for one in every} <= {"verified", "rejected", "received", "checked"}
