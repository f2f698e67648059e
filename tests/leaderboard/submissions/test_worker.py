"""The worker's loop: each way an attempt ends, lost leases, what it leaves, and a database that goes away."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc

from audiometry.benchmark.errors import DataError, StoreError
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions import patience
from audiometry.leaderboard.submissions.attempt import AttemptError, Done, Tell
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.patience import patiently
from audiometry.leaderboard.submissions.queue import Queue, Submission
from audiometry.leaderboard.submissions.worker import Perform, Worker


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, home: Path) -> Iterator[Queue]:
    """An empty queue on each database."""
    url = f"sqlite:///{home / 'store.db'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    with Store.open(url) as store:
        yield Queue(store)


def queued(queue: Queue) -> str:
    one = queue.receive("mine", "ada", "prying-suite", {})
    queue.checked(one, "a" * 64, [])
    queue.queued(one)
    return one


def made_up(folder: Path, run_id: str) -> Done:
    """A run that was never run."""
    model = {"name": "mine", "spec": "mine", "fingerprint": "f", "control": False, "settings": {}}
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    run = {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 0, "limit": None, "models": [model], "tasks": [task], "timings": [],
    }  # fmt: skip
    folder.mkdir(parents=True)
    return Done(run, [Result("f", "mine", "echo", "1", "wrong", "all", 0.5, 0.0, 1.0, 2)], folder)


def well(home: Path) -> Perform:
    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        assert list(folder.iterdir()) == []
        tell(0.5, 1.0)
        run_id = f"{submission.id}-{submission.attempts}"
        return made_up(home / "runs" / run_id, run_id)

    return perform


def broken(error: BaseException) -> Perform:
    def perform(*_: object) -> Done:
        raise error

    return perform


def test_it_works_off_the_queue(queue: Queue, home: Path) -> None:
    ids = [queued(queue) for _ in range(3)]
    for left in (f"{ids[0]}-0", f".{ids[1]}-0"):  # of workers that were killed before they could tell
        (home / "runs" / left).mkdir(parents=True)
    assert Worker(queue, well(home)).work(once=True) == 3
    assert [queue.get(one).state for one in ids] == ["verified"] * 3
    assert sorted(path.name for path in (home / "runs").iterdir()) == sorted(f"{one}-1" for one in ids)


@pytest.mark.parametrize(
    ("error", "states", "reason"),
    [
        (SubmissionError("too slow"), ["rejected"], "too slow"),
        (AttemptError("the kernel refuses"), ["queued", "queued", "rejected"], "the kernel refuses"),
        (StoreError("an artefact is damaged"), ["queued", "queued", "rejected"], "an artefact is damaged"),
        (OSError(28, "No space left on device"), ["queued", "queued", "rejected"], "[Errno 28] No space left"),
        (ZeroDivisionError("by\nzero"), ["queued", "queued", "rejected"], "ZeroDivisionError: by zero"),
    ],
)
def test_how_an_attempt_fails(
    queue: Queue, error: Exception, states: list[str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    one = queued(queue)
    assert Worker(queue, broken(error)).work(once=True) == 1
    events = [event.state for event in queue.events(one)]
    assert events[3:] == [state for pair in zip(["running"] * 3, states, strict=False) for state in pair]
    assert queue.get(one).reason.startswith(reason)
    assert len(queue.store.runs()) == 0
    assert "attempt failed" in caplog.text


def test_what_this_machine_cannot_run_is_given_back(queue: Queue) -> None:
    one = queued(queue)
    with pytest.raises(DataError, match="not prepared"):
        Worker(queue, broken(DataError("corpus 'x' is not prepared"))).work(once=True)
    assert (queue.get(one).state, queue.get(one).attempts) == ("queued", 0)


def test_told_to_end_it_gives_back(queue: Queue) -> None:
    one = queued(queue)

    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        worker.stop.set()
        tell(0.5, 1.0)
        raise AssertionError(submission, folder)

    worker = Worker(queue, perform)
    assert worker.work() == 0
    assert (queue.get(one).state, queue.get(one).attempts) == ("queued", 0)


def test_heartbeats_tell_how_far_it_is_and_keep_the_lease(queue: Queue, home: Path) -> None:
    one = queued(queue)
    seen: list[tuple[float | None, float | None]] = []

    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        tell(0.25, 30.0)
        time.sleep(2.2)  # twice the lease
        now = queue.get(one)
        seen.append((now.progress, now.eta_seconds))
        assert queue.lease("another", 60.0) is None
        return well(home)(submission, folder, tell)

    assert Worker(queue, perform, lease_seconds=1.0).work(once=True) == 1
    assert seen == [(0.25, 30.0)]


def test_a_worker_that_was_away_drops_what_it_has(queue: Queue, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its heartbeats do not get through, another takes over and ends first, and then it comes back with its run."""
    one = queued(queue)

    def away(*_: object) -> bool:
        raise StoreError("the network is down")

    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        del folder
        done = made_up(home / "runs" / f"{submission.id}-late", f"{submission.id}-late")
        time.sleep(0.6)
        tell(1.0, 0.0)  # it does not know yet
        other = Worker(other_queue, well(home), lease_seconds=60.0)
        assert other.work(once=True) == 1
        (home / "runs" / f"{submission.id}-late").mkdir(exist_ok=True)
        return done

    other_queue = Queue(queue.store)
    monkeypatch.setattr(queue, "heartbeat", away)
    assert Worker(queue, perform, lease_seconds=0.5).work(once=True) == 0
    done = queue.get(one)
    assert (done.state, done.run_id, done.attempts) == ("verified", f"{one}-2", 2)
    assert list(queue.store.runs()["id"]) == [f"{one}-2"]
    assert [event.state for event in queue.events(one)].count("verified") == 1
    assert sorted(path.name for path in (home / "runs").iterdir()) == [f"{one}-2"]


def test_a_worker_that_learns_that_it_lost_stops_at_once(queue: Queue) -> None:
    one = queued(queue)

    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        del folder
        queue.reject(submission.id, "withdrawn")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            tell(0.5, 1.0)
            time.sleep(0.02)
        raise AssertionError("it was not told")

    assert Worker(queue, perform, lease_seconds=0.4).work(once=True) == 0
    assert queue.get(one).reason == "withdrawn"


def away(message: str = "connection refused") -> StoreError:
    error = StoreError(message)
    error.__cause__ = exc.OperationalError("", {}, OSError(message))
    return error


def failing(times: int, error: StoreError, then: Callable[[], Any]) -> Callable[[], Any]:
    left = [error] * times

    def call() -> Any:
        if left:
            raise left.pop()
        return then()

    return call


def test_a_database_that_is_away_for_a_while_is_waited_for(
    queue: Queue, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = queued(queue)
    lease, verify = queue.lease, queue.verify
    calls = {"lease": failing(2, away(), lambda: True), "verify": failing(2, away(), lambda: True)}
    monkeypatch.setattr(queue, "lease", lambda *a, **k: calls["lease"]() and lease(*a, **k))
    monkeypatch.setattr(queue, "verify", lambda *a: calls["verify"]() and verify(*a))
    assert Worker(queue, well(home)).work(once=True) == 1
    assert queue.get(one).state == "verified"


def test_the_answer_to_the_last_move_is_lost(queue: Queue, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = queued(queue)
    verify, lost = queue.verify, [away("the connection was lost")]

    def verify_and_lose(*given: Any) -> bool:
        said = verify(*given)
        if lost:
            raise lost.pop()
        return said

    monkeypatch.setattr(queue, "verify", verify_and_lose)
    assert Worker(queue, well(home)).work(once=True) == 1
    assert queue.get(one).state == "verified"
    assert [event.state for event in queue.events(one)].count("verified") == 1
    assert len(queue.store.runs()) == 1
    assert (home / "runs" / f"{one}-1").is_dir()


def kept_runs(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runs").iterdir())


@pytest.mark.parametrize("error", [StoreError("disk is full"), ValueError("a bug"), DataError("not here")], ids=repr)
def test_a_run_that_could_not_be_put_in_leaves_no_folder(
    queue: Queue, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    one = queued(queue)

    def verify(*_: object) -> bool:
        assert kept_runs(home) == [f"{one}-{queue.get(one).attempts}"]
        raise error

    monkeypatch.setattr(queue, "verify", verify)
    worker = Worker(queue, well(home))
    if isinstance(error, DataError):
        with pytest.raises(DataError):
            worker.work(once=True)
    else:
        assert worker.work(once=True) == 1
    assert queue.get(one).state == ("queued" if isinstance(error, DataError) else "rejected")
    assert kept_runs(home) == []


def test_a_folder_stays_while_it_is_not_known_whether_its_run_is_in(
    queue: Queue, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is lost, and then the database is away for longer than anybody waits."""
    one = queued(queue)
    verify = queue.verify

    def lose(*given: Any) -> bool:
        assert verify(*given)
        raise StoreError("the answer was lost")

    def gone(*_: object) -> None:
        raise StoreError("the database is gone")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "verify", lose)
        patched.setattr(queue, "fail", gone)
        patched.setattr(queue, "get", gone)
        with pytest.raises(StoreError, match="gone"):
            Worker(queue, well(home)).work(once=True)
    assert kept_runs(home) == [f"{one}-1"]
    assert Worker(queue, well(home)).work(once=True) == 0
    assert (queue.get(one).state, kept_runs(home)) == ("verified", [f"{one}-1"])


def test_folders_that_killed_workers_left_go_when_the_submission_is_rejected(queue: Queue, home: Path) -> None:
    ids = [queued(queue) for _ in range(3)]
    others = ["20260101-120000-abcdef", "20260101-120000-0a1b2c3d-9"]  # of `audiometry run`, and of another store
    for left in (f"{ids[0]}-a", f".{ids[0]}-b", f"{ids[1]}-a", f"{ids[2]}-a", *others):
        (home / "runs" / left).mkdir(parents=True)
    queue.reject(ids[1], "lost too often")  # as `lease` does it, which knows of no folders

    def perform(submission: Submission, folder: Path, tell: Tell) -> Done:
        if submission.id == ids[0]:
            raise SubmissionError("too slow")
        return well(home)(submission, folder, tell)

    assert Worker(queue, perform).work(once=True) == 2
    assert kept_runs(home) == sorted([f"{ids[2]}-1", *others])


def test_told_to_end_without_a_database_it_does_not_wait(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    one = queued(queue)

    def perform(*given: Any) -> Done:
        worker.stop.set()
        given[2](None, None)
        raise AssertionError

    def gone(*_: object) -> bool:
        raise away()

    worker = Worker(queue, perform)
    monkeypatch.setattr(queue, "release", gone)
    monkeypatch.setattr("audiometry.leaderboard.submissions.worker.LAST_SECONDS", 0.2)
    assert worker.work() == 0
    assert queue.get(one).state == "running"  # until the lease runs out


def test_patience_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def call() -> None:
        calls.append(time.monotonic())
        raise away()

    with pytest.raises(StoreError, match="connection refused"):
        patiently(call, seconds=1.0)
    waits = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert 3 <= len(calls) <= 8
    assert waits[-1] > waits[0]
    with pytest.raises(StoreError, match="malformed"):
        patiently(failing(1, StoreError("malformed"), lambda: None))
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoreError, match="refused"):
        patiently(failing(1, away(), lambda: None), stop=stop)
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.01)
    assert patiently(failing(3, away(), lambda: "there")) == "there"


def test_what_passes() -> None:
    broken_pipe = StoreError("")
    broken_pipe.__cause__ = exc.DBAPIError("", {}, OSError(), connection_invalidated=True)
    assert patience.passes(broken_pipe)
    assert patience.passes(away())
    wrong = StoreError("")
    wrong.__cause__ = exc.ProgrammingError("", {}, OSError())
    assert not patience.passes(wrong)
    assert not patience.passes(StoreError("no cause"))
