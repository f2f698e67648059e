"""The queue: every move, two that never get the same, lost leases, and verifying exactly once, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from audiometry.benchmark.errors import StoreError, UnknownNameError
from audiometry.benchmark.schema import RUNS, SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.queue import LOST_ATTEMPTS, REASON_CHARACTERS, Queue
from audiometry.leaderboard.submissions.states import MOVES, STATES, MoveError

LONG = 3600.0
GONE = -1.0
"""Seconds of a lease that has run out when it begins."""


def run_document(run_id: str) -> dict[str, Any]:
    model = {"name": "mine", "spec": "mine", "fingerprint": "f", "control": False, "settings": {}}
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    return {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 7, "limit": None, "models": [model], "tasks": [task], "timings": [],
    }  # fmt: skip


RESULTS = [Result("f", "mine", "echo", "1", "wrong", "all", 0.5, 0.0, 1.0, 2)]


@pytest.fixture(params=["sqlite", "postgresql"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Queue]:
    """An empty queue on each database."""
    sqlite = f"sqlite:///{tmp_path / 'store.db'}"
    url = sqlite if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
    with Store.open(url) as store:
        yield Queue(store)


def received(queue: Queue, name: str = "mine", submitter: str = "ada", suite: str = "core") -> str:
    return queue.receive(name, submitter, suite, {"adapter": "ctc-asr", "settings": {"beam": 4}})


def queued(queue: Queue, **given: str) -> str:
    submission_id = received(queue, **given)
    queue.checked(submission_id, "a" * 64, [{"path": "model.safetensors", "size": 3, "sha256": "b" * 64}])
    queue.queued(submission_id)
    return submission_id


def states(queue: Queue, submission_id: str) -> list[str]:
    return [event.state for event in queue.events(submission_id)]


def count(queue: Queue, table: sa.Table) -> int:
    with queue.store.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_from_received_to_verified(queue: Queue) -> None:
    before = datetime.now(UTC)
    submission_id = received(queue)
    got = queue.get(submission_id)
    assert (got.name, got.submitter, got.suite, got.state) == ("mine", "ada", "core", "received")
    assert got.manifest == {"adapter": "ctc-asr", "settings": {"beam": 4}}
    assert (got.digest, got.files, got.owner, got.run_id, got.progress) == (None, [], None, None, None)
    assert abs((got.created - before).total_seconds()) < 30
    files = [{"path": "model.safetensors", "size": 3, "sha256": "b" * 64}]
    queue.checked(submission_id, "a" * 64, files)
    assert queue.lease("one", LONG) is None  # checked is not yet queued
    queue.queued(submission_id)
    leased = queue.lease("one", LONG)
    assert leased is not None
    assert leased == queue.get(submission_id)
    assert (leased.id, leased.state, leased.owner, leased.attempts) == (submission_id, "running", "one", 1)
    assert leased.digest == "a" * 64
    assert leased.files == files
    assert queue.heartbeat(submission_id, "one", LONG, 0.25, 90.0)
    told = queue.get(submission_id)
    assert (told.progress, told.eta_seconds) == (0.25, 90.0)
    assert queue.verify(submission_id, "one", run_document("r1"), RESULTS, "/evidence")
    done = queue.get(submission_id)
    assert (done.state, done.run_id, done.owner, done.lease_until, done.progress) == ("verified", "r1", None, None, 1.0)
    assert states(queue, submission_id) == ["received", "checked", "queued", "running", "verified"]
    frame = queue.store.results()
    assert list(frame["origin"]) == ["verified"]
    assert list(frame["value"]) == [0.5]
    times = [event.at for event in queue.events(submission_id)]
    assert times == sorted(times)


def test_the_oldest_first_and_none_twice(queue: Queue) -> None:
    ids = [queued(queue) for _ in range(4)]
    leased = [queue.lease(f"worker-{number}", LONG) for number in range(5)]
    assert [None if one is None else one.id for one in leased] == [*ids, None]


def test_only_the_suites_that_a_worker_wants(queue: Queue) -> None:
    queued(queue, suite="core")
    wanted = queued(queue, suite="spoof")
    assert queue.lease("one", LONG, suites=["bias"]) is None
    leased = queue.lease("one", LONG, suites=["spoof", "bias"])
    assert leased is not None
    assert leased.id == wanted


def test_a_lost_lease_goes_to_another_and_the_first_owns_nothing_any_more(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("lost", GONE) is not None
    assert queue.lease("second", LONG) is not None
    assert queue.lease("third", LONG) is None
    assert not queue.heartbeat(submission_id, "lost", LONG)
    assert queue.fail(submission_id, "lost", "late") is None
    assert not queue.release(submission_id, "lost")
    assert not queue.verify(submission_id, "lost", run_document("late"), RESULTS, "/late")
    assert count(queue, RUNS) == 0
    assert queue.verify(submission_id, "second", run_document("r2"), RESULTS, "/second")
    assert not queue.verify(submission_id, "lost", run_document("late"), RESULTS, "/late")
    assert queue.get(submission_id).run_id == "r2"
    assert list(queue.store.runs()["id"]) == ["r2"]
    assert [event.detail for event in queue.events(submission_id)][3:5] == [
        "attempt 1 by lost", "attempt 2 by second, after lost was lost",
    ]  # fmt: skip


def test_a_late_worker_that_nobody_replaced_may_still_end_its_work(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("slow", GONE) is not None
    assert queue.heartbeat(submission_id, "slow", LONG)
    assert queue.lease("other", LONG) is None
    assert queue.verify(submission_id, "slow", run_document("r1"), RESULTS, "/evidence")


def test_verifying_twice_is_verifying_once(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("one", LONG) is not None
    for _ in range(2):
        assert queue.verify(submission_id, "one", run_document("r1"), RESULTS, "/evidence")
    assert not queue.verify(submission_id, "one", run_document("other"), RESULTS, "/evidence")
    assert states(queue, submission_id).count("verified") == 1
    assert queue.get(submission_id).run_id == "r1"
    assert list(queue.store.runs()["id"]) == ["r1"]


def test_a_run_that_is_malformed_is_not_put_in(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("one", LONG) is not None
    with pytest.raises(StoreError, match="malformed"):
        queue.verify(submission_id, "one", run_document("r1") | {"models": []}, RESULTS, "/evidence")
    assert queue.get(submission_id).state == "running"
    assert count(queue, RUNS) == 0


def test_a_failure_is_tried_again_until_the_last(queue: Queue) -> None:
    submission_id = queued(queue)
    for attempt, state in enumerate(["queued", "queued", "rejected"], 1):
        leased = queue.lease("one", LONG)
        assert leased is not None
        assert leased.attempts == attempt
        assert queue.fail(submission_id, "one", f"broke {attempt}") == state
        assert queue.get(submission_id).reason == f"broke {attempt}"
    assert queue.lease("one", LONG) is None
    assert states(queue, submission_id)[2:] == [
        "queued",
        "running",
        "queued",
        "running",
        "queued",
        "running",
        "rejected",
    ]


def test_what_is_given_back_was_not_tried(queue: Queue) -> None:
    submission_id = queued(queue)
    for _ in range(5):
        leased = queue.lease("one", LONG)
        assert leased is not None
        assert leased.attempts == 1
        assert queue.release(submission_id, "one")
    assert (queue.get(submission_id).state, queue.get(submission_id).owner) == ("queued", None)


def test_what_kills_its_workers_is_rejected_in_the_end_and_holds_up_nobody(queue: Queue) -> None:
    killer, other = queued(queue), queued(queue)
    for number in range(LOST_ATTEMPTS):
        leased = queue.lease(f"victim-{number}", GONE)
        assert leased is not None
        assert leased.id == killer
    leased = queue.lease("survivor", LONG)
    assert leased is not None
    assert leased.id == other
    assert queue.get(killer).state == "rejected"
    assert queue.get(killer).reason == "10 workers that ran it were lost, the last one victim-9"


def test_a_rejected_one_is_not_worked_on(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("one", LONG) is not None
    queue.reject(submission_id, "withdrawn\nby its author")
    queue.reject(submission_id, "twice")
    assert queue.get(submission_id).reason == "withdrawn by its author"
    assert not queue.heartbeat(submission_id, "one", LONG)
    assert not queue.verify(submission_id, "one", run_document("r1"), RESULTS, "/evidence")
    assert count(queue, RUNS) == 0


def test_a_long_reason_is_cut_and_secrets_are_struck_out(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_TOKEN", "am_secret_secret")
    submission_id = received(queue)
    queue.reject(submission_id, "it said am_secret_secret " + "x" * 10_000)
    reason = queue.get(submission_id).reason
    assert reason.startswith("it said *** xxx")
    assert len(reason) == REASON_CHARACTERS + 1


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("wanted", ["checked", "queued", "rejected"])
def test_moves_out_of_order_are_refused(queue: Queue, state: str, wanted: str) -> None:
    submission_id = received(queue)
    with queue.store.writing() as connection:
        connection.execute(sa.update(SUBMISSIONS).values(state=state))
    move: Callable[[], None] = {
        "checked": lambda: queue.checked(submission_id, "a" * 64, []),
        "queued": lambda: queue.queued(submission_id),
        "rejected": lambda: queue.reject(submission_id, "no"),
    }[wanted]
    told_before = state == wanted or (wanted != "rejected" and STATES.index(wanted) < STATES.index(state) < 5)
    if told_before:
        move()
        assert queue.get(submission_id).state == state
    elif wanted in MOVES[state]:
        move()
        assert queue.get(submission_id).state == wanted
    else:
        with pytest.raises(MoveError, match=f"is {state} and cannot become {wanted}; submit it again"):
            move()
        assert queue.get(submission_id).state == state


def test_an_id_that_does_not_exist(queue: Queue) -> None:
    doings: list[Callable[[], object]] = [
        lambda: queue.get("nobody"), lambda: queue.queued("nobody"), lambda: queue.checked("nobody", "a", []),
        lambda: queue.reject("nobody", "no"), lambda: queue.fail("nobody", "one", "no"),
        lambda: queue.release("nobody", "one"), lambda: queue.verify("nobody", "one", run_document("r"), RESULTS, "/e"),
    ]  # fmt: skip
    for doing in doings:
        with pytest.raises(UnknownNameError, match="no submission 'nobody'; list them with: audiometry submissions"):
            doing()
    assert queue.events("nobody") == []
    assert not queue.heartbeat("nobody", "one", LONG)
    assert count(queue, RUNS) == 0


def test_listing(queue: Queue) -> None:
    first, second, third = queued(queue), received(queue, submitter="bob"), queued(queue)
    queue.lease("one", LONG)
    assert [one.id for one in queue.listing()] == [third, second, first]
    assert [one.id for one in queue.listing("running")] == [first]
    assert [one.id for one in queue.listing(submitter="bob")] == [second]
    assert [one.id for one in queue.listing(limit=1, offset=1)] == [second]
    assert queue.listing("queued", "bob") == []
    with pytest.raises(UnknownNameError, match="no state 'lost'; the states are received, checked"):
        queue.listing("lost")


def test_many_that_ask_at_once_never_get_the_same(queue: Queue) -> None:
    ids = {queued(queue) for _ in range(12)}
    got: list[str] = []
    gate = threading.Barrier(6)

    def work(owner: str) -> None:
        gate.wait()
        while (one := queue.lease(owner, LONG)) is not None:
            got.append(one.id)

    threads = [threading.Thread(target=work, args=(f"worker-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(got) == sorted(ids)


def test_two_that_verify_at_once_leave_one_run(queue: Queue) -> None:
    submission_id = queued(queue)
    assert queue.lease("one", GONE) is not None
    assert queue.lease("two", LONG) is not None
    gate = threading.Barrier(2)
    said: dict[str, bool] = {}

    def end(owner: str) -> None:
        gate.wait()
        said[owner] = queue.verify(submission_id, owner, run_document(f"by-{owner}"), RESULTS, f"/{owner}")

    threads = [threading.Thread(target=end, args=(owner,)) for owner in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said == {"one": False, "two": True}
    assert list(queue.store.runs()["id"]) == ["by-two"]
