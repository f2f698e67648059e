"""The queue of submissions, in the tables `submissions` and `submission_events` of the results store.

A worker *leases* a submission: it is the worker's until a time that heartbeats push ahead. When they stop, the lease
runs out and another worker takes over. Whoever comes back late owns nothing any more, and each of its moves is
refused: the last one, which puts the results in, is a single transaction, so nothing is verified twice.

The database's clock decides what has run out, so workers whose clocks differ agree.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from audiometry.benchmark.errors import UnknownNameError
from audiometry.benchmark.logs import redacted
from audiometry.benchmark.schema import SUBMISSION_EVENTS, SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.states import (
    CHECKED,
    MOVES,
    QUEUED,
    RECEIVED,
    REJECTED,
    RUNNING,
    STATES,
    VERIFIED,
    MoveError,
)

__all__ = ["ATTEMPTS", "LOST_ATTEMPTS", "Event", "Queue", "Submission"]

ATTEMPTS = 3
"""How often a submission may be tried before a failure rejects it."""

LOST_ATTEMPTS = 10
"""How often a submission may be leased before a lost worker rejects it: it may be what kills them."""

REASON_CHARACTERS = 2000
"""What is kept of a reason."""

FREE: Mapping[str, Any] = {"owner": None, "lease_until": None, "progress": None, "eta_seconds": None}
"""The columns of a submission that no worker holds."""


@dataclass(frozen=True)
class Submission:
    """One row of `submissions`: what was submitted, and how far it is.

    `digest` names the content of its `files` (``{path, size, sha256}`` each) and is None until it was checked.
    `progress` is the share of samples that were answered, 0 to 1, and `eta_seconds` the time left; both None while
    unknown.
    """

    id: str
    name: str
    submitter: str
    suite: str
    digest: str | None
    manifest: Mapping[str, Any]
    files: Sequence[Mapping[str, Any]]
    state: str
    reason: str
    created: datetime
    updated: datetime
    attempts: int
    owner: str | None
    lease_until: datetime | None
    progress: float | None
    eta_seconds: float | None
    run_id: str | None


@dataclass(frozen=True)
class Event:
    """That a submission came into a state."""

    at: datetime
    state: str
    detail: str


class Queue:
    """The submissions of an open store. Threads and processes may share it."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def receive(self, name: str, submitter: str, suite: str, manifest: Mapping[str, Any]) -> str:
        """Put a submission in; returns its id."""
        with self.store.writing() as connection:
            now = _now(connection)
            submission_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
            row = {
                "id": submission_id, "name": name, "submitter": submitter, "suite": suite, "manifest": dict(manifest),
                "files": [], "state": RECEIVED, "reason": "", "created": now, "updated": now, "attempts": 0,
            }  # fmt: skip
            connection.execute(sa.insert(SUBMISSIONS), row)
            _tell(connection, submission_id, now, RECEIVED, f"from {submitter}")
        return submission_id

    def checked(self, submission_id: str, digest: str, files: Sequence[Mapping[str, Any]]) -> None:
        """Say that its files are what they should be. Saying it twice is saying it once.

        Raises MoveError where it was rejected, UnknownNameError where it does not exist; so do the next two.
        """
        values = {"digest": digest, "files": [dict(file) for file in files]}
        self._move(submission_id, CHECKED, values, digest, past=(QUEUED, RUNNING, VERIFIED))

    def queued(self, submission_id: str) -> None:
        """Let workers have it. Saying it twice is saying it once."""
        self._move(submission_id, QUEUED, {}, "", past=(RUNNING, VERIFIED), start=(CHECKED,))

    def reject(self, submission_id: str, reason: str) -> None:
        """End it, with a reason for the submitter; a worker that has it loses it."""
        reason = _kept(reason)
        self._move(submission_id, REJECTED, {"reason": reason, **FREE}, reason)

    def lease(
        self, owner: str, seconds: float, *, suites: Sequence[str] = (), lost_attempts: int = LOST_ATTEMPTS
    ) -> Submission | None:
        """Take the oldest submission that waits, or that a lost worker held; None where there is none.

        It is the `owner`'s for `seconds` and as long as `heartbeat` prolongs that. Two that ask at once never get the
        same. `suites` are those to look for (default: all). `owner` must name one process alone. One that was leased
        `lost_attempts` times and lost again is rejected instead.
        """
        with self.store.writing() as connection:
            now = _now(connection)
            free = sa.or_(
                SUBMISSIONS.c.state == QUEUED,
                sa.and_(SUBMISSIONS.c.state == RUNNING, SUBMISSIONS.c.lease_until < now),
            )
            query = sa.select(SUBMISSIONS).where(free).order_by(SUBMISSIONS.c.created, SUBMISSIONS.c.id).limit(1)
            query = query.with_for_update(skip_locked=True)
            query = query.where(SUBMISSIONS.c.suite.in_(suites)) if suites else query
            while (row := connection.execute(query).one_or_none()) is not None:
                if row.state == RUNNING and row.attempts >= lost_attempts:
                    reason = f"{row.attempts} workers that ran it were lost, the last one {row.owner}"
                    _set(connection, row.id, now, REJECTED, {"reason": reason, **FREE}, reason)
                    continue
                lost = f", after {row.owner} was lost" if row.state == RUNNING else ""
                attempts = row.attempts + 1
                taken = {
                    **FREE, "owner": owner, "lease_until": now + timedelta(seconds=seconds), "attempts": attempts,
                    "reason": "",
                }  # fmt: skip
                _set(connection, row.id, now, RUNNING, taken, f"attempt {attempts} by {owner}{lost}")
                return Submission(**{**row._mapping, **taken, "state": RUNNING, "updated": now})
        return None

    def heartbeat(
        self,
        submission_id: str,
        owner: str,
        seconds: float,
        progress: float | None = None,
        eta_seconds: float | None = None,
    ) -> bool:
        """Prolong a lease to `seconds` from now and tell how far it is; False: it is not the owner's any more."""
        with self.store.writing() as connection:
            now = _now(connection)
            values = {
                "lease_until": now + timedelta(seconds=seconds), "updated": now, "progress": progress,
                "eta_seconds": eta_seconds,
            }  # fmt: skip
            return bool(connection.execute(_held(submission_id, owner).values(**values)).rowcount)

    def verify(
        self, submission_id: str, owner: str, run: Mapping[str, Any], results: Sequence[Result], folder: str
    ) -> bool:
        """Put its run into the store and end it as verified, in one transaction; False: it is not the owner's any more.

        `run` is the run's run.json with an id of this attempt alone, `folder` where its evidence is. Verifying twice
        with the same id is verifying once: after a lost connection, whoever does not know asks again.

        Raises StoreError as `Store.add_run` does.
        """
        run_id = run["id"]

        def beside(connection: sa.Connection) -> bool:
            now = _now(connection)
            values = {**FREE, "state": VERIFIED, "updated": now, "run_id": run_id, "progress": 1.0, "eta_seconds": 0.0}
            if not connection.execute(_held(submission_id, owner).values(**values)).rowcount:
                return False
            _tell(connection, submission_id, now, VERIFIED, f"run {run_id} by {owner}")
            return True

        if self.store.add_run(run, results, folder, origin="verified", beside=beside):
            return True
        now_is = self.get(submission_id)
        return now_is.state == VERIFIED and now_is.run_id == run_id

    def fail(self, submission_id: str, owner: str, reason: str, attempts: int = ATTEMPTS) -> str | None:
        """Give it back with a reason: to be tried again, or rejected after so many `attempts`.

        Returns its new state, or None where it is not the owner's any more.
        """
        reason = _kept(reason)
        with self.store.writing() as connection:
            row = _locked(connection, submission_id)
            if row.state != RUNNING or row.owner != owner:
                return None
            state = REJECTED if row.attempts >= attempts else QUEUED
            _set(connection, submission_id, _now(connection), state, {**FREE, "reason": reason}, reason)
            return state

    def release(self, submission_id: str, owner: str) -> bool:
        """Give it back untried, as a worker does that is told to end; False: it is not the owner's any more."""
        with self.store.writing() as connection:
            row = _locked(connection, submission_id)
            if row.state != RUNNING or row.owner != owner:
                return False
            values = {**FREE, "attempts": row.attempts - 1}
            _set(connection, submission_id, _now(connection), QUEUED, values, f"given back by {owner}")
            return True

    def get(self, submission_id: str) -> Submission:
        """The submission with this id.

        Raises UnknownNameError where there is none.
        """
        with self.store.reading() as connection:
            row = connection.execute(sa.select(SUBMISSIONS).where(SUBMISSIONS.c.id == submission_id)).one_or_none()
        if row is None:
            raise _unknown(submission_id)
        return Submission(**row._mapping)

    def listing(
        self, state: str | None = None, submitter: str | None = None, limit: int = 100, offset: int = 0
    ) -> list[Submission]:
        """Submissions, newest first: all of them, or those in a `state` or from a `submitter`.

        Raises UnknownNameError for a state that does not exist.
        """
        if state is not None and state not in STATES:
            raise UnknownNameError(f"no state {state!r}; the states are {', '.join(STATES)}")
        query = sa.select(SUBMISSIONS).order_by(SUBMISSIONS.c.created.desc(), SUBMISSIONS.c.id.desc())
        query = query.where(SUBMISSIONS.c.state == state) if state is not None else query
        query = query.where(SUBMISSIONS.c.submitter == submitter) if submitter is not None else query
        with self.store.reading() as connection:
            rows = connection.execute(query.limit(limit).offset(offset)).all()
        return [Submission(**row._mapping) for row in rows]

    def events(self, submission_id: str) -> list[Event]:
        """Every move of a submission, oldest first; none for an id that does not exist."""
        table = SUBMISSION_EVENTS.c
        query = sa.select(table.at, table.state, table.detail).where(table.submission_id == submission_id)
        with self.store.reading() as connection:
            return [Event(*row) for row in connection.execute(query.order_by(table.id))]

    def _move(
        self,
        submission_id: str,
        state: str,
        values: Mapping[str, Any],
        detail: str,
        *,
        past: Sequence[str] = (),
        start: Sequence[str] | None = None,
    ) -> None:
        """Move to `state`; nothing happens where it is there already or in one of the states `past` it.

        `start` are the states to move from (default: all that `MOVES` allows).
        """
        before = [name for name in STATES if state in MOVES[name]] if start is None else start
        with self.store.writing() as connection:
            row = _locked(connection, submission_id)
            if row.state == state or row.state in past:
                return
            if row.state not in before:
                raise MoveError(f"submission {submission_id} is {row.state} and cannot become {state}; submit it again")
            _set(connection, submission_id, _now(connection), state, values, detail)


def _now(connection: sa.Connection) -> datetime:
    """The database's time; a SQLite file is on this machine, and has ours."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)
    return datetime.now(UTC)


def _held(submission_id: str, owner: str) -> sa.Update:
    """An update of a submission where the owner has it."""
    held = (SUBMISSIONS.c.id == submission_id, SUBMISSIONS.c.owner == owner, SUBMISSIONS.c.state == RUNNING)
    return sa.update(SUBMISSIONS).where(*held)


def _locked(connection: sa.Connection, submission_id: str) -> sa.Row[Any]:
    """A submission's row, which nobody else changes until the transaction ends."""
    query = sa.select(SUBMISSIONS).where(SUBMISSIONS.c.id == submission_id).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise _unknown(submission_id)
    return row


def _set(
    connection: sa.Connection, submission_id: str, now: datetime, state: str, values: Mapping[str, Any], detail: str
) -> None:
    changed = {**values, "state": state, "updated": now}
    connection.execute(sa.update(SUBMISSIONS).where(SUBMISSIONS.c.id == submission_id).values(**changed))
    _tell(connection, submission_id, now, state, detail)


def _tell(connection: sa.Connection, submission_id: str, now: datetime, state: str, detail: str) -> None:
    event = {"submission_id": submission_id, "at": now, "state": state, "detail": detail}
    connection.execute(sa.insert(SUBMISSION_EVENTS), event)


def _kept(reason: str) -> str:
    """A reason in one line of bounded length, without secrets."""
    line = " ".join(redacted(reason).split())
    return line if len(line) <= REASON_CHARACTERS else line[:REASON_CHARACTERS] + "…"


def _unknown(submission_id: str) -> UnknownNameError:
    return UnknownNameError(f"no submission {submission_id!r}; list them with: audiometry submissions")
