"""A worker: takes submissions from the queue, one at a time, and ends each as verified, rejected or given back.

While it works, a thread prolongs the lease. A worker that dies simply stops doing so, and another takes over. One that
was only away, and comes back, finds that the submission is not its own any more, and drops what it has.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from audiometry.benchmark import paths
from audiometry.benchmark.errors import AudiometryError, StoreError, UnknownNameError, UserError
from audiometry.leaderboard.submissions.attempt import AttemptError, Done, Tell
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.patience import patiently
from audiometry.leaderboard.submissions.queue import Queue, Submission
from audiometry.leaderboard.submissions.states import REJECTED, VERIFIED

__all__ = ["LEASE_SECONDS", "LostError", "Perform", "StoppedError", "Worker", "new_owner"]

log = logging.getLogger("audiometry.submissions")

LEASE_SECONDS = 60.0
BEATS = 4
"""Heartbeats in the time of a lease."""

LAST_SECONDS = 5.0
"""How long a worker that ends waits for the database."""

FOLDER = re.compile(r"\.?(?P<submission>[0-9]{8}-[0-9]{6}-[0-9a-f]{8})-[0-9a-f]+")
"""The folder of a submission's run, as `published` names it; with a dot, while it is being written."""

Perform = Callable[[Submission, Path, Tell], Done]
"""Runs a submission's suite in an empty scratch folder; see `attempt.run_suite`."""


class LostError(AudiometryError):
    """The lease went to another worker, or the submission was rejected meanwhile."""


class StoppedError(AudiometryError):
    """The worker was told to end."""


def new_owner() -> str:
    """A name for this worker, that no other has or had."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass
class Worker:
    """Takes submissions of the `suites` (default: all) from the `queue` and has `perform` run them.

    `stop`, once set, ends it: what it works on is given back.
    """

    queue: Queue
    perform: Perform
    suites: Sequence[str] = ()
    lease_seconds: float = LEASE_SECONDS
    poll_seconds: float = 2.0
    stop: threading.Event = field(default_factory=threading.Event)
    owner: str = field(default_factory=new_owner)

    def work(self, *, once: bool = False) -> int:
        """Work until told to stop, or with `once` until nothing waits; returns how many submissions were ended.

        Raises StoreError where the database stays away, and a UserError where this machine cannot run a suite; the
        submission is then given back.
        """
        ended = 0
        patiently(self._sweep, stop=self.stop)
        while not self.stop.is_set():
            submission = patiently(self._lease, stop=self.stop)
            if submission is not None:
                log.info("submission leased", extra={"submission": submission.id, "attempt": submission.attempts})
                ended += self._attempt(submission)
            elif once:
                break
            else:
                self.stop.wait(self.poll_seconds)
        return ended

    def _lease(self) -> Submission | None:
        return self.queue.lease(self.owner, self.lease_seconds, suites=self.suites)

    def _attempt(self, submission: Submission) -> bool:
        """Try one submission; whether that ended it. The folder of a run that is not verified is removed."""
        made: list[Done] = []
        try:
            return self._try(submission, made)
        finally:
            for done in made:
                self._drop(submission.id, done)

    def _try(self, submission: Submission, made: list[Done]) -> bool:
        one = submission.id
        try:
            scratch = TemporaryDirectory(prefix="audiometry-submission-", ignore_cleanup_errors=True)
            with scratch as folder, _Heart(self, one) as heart:
                made.append(self.perform(submission, Path(folder), heart.tell))
                return self._verify(one, made[-1])
        except LostError:
            log.warning("submission lost to another worker", extra={"submission": one})
        except StoppedError:
            self._give_back(one)
        except SubmissionError as error:
            return self._fail(one, str(error), attempts=1)
        except (AttemptError, StoreError, OSError) as error:
            return self._fail(one, str(error))
        except UserError:
            self._give_back(one)
            raise
        except Exception as error:  # whatever it is, it is this submission's, and the next one is to be tried
            log.exception("attempt failed", extra={"submission": one})
            return self._fail(one, f"{type(error).__name__}: {error}")
        return False

    def _verify(self, submission_id: str, done: Done) -> bool:
        folder = str(done.folder)
        if not patiently(lambda: self.queue.verify(submission_id, self.owner, done.run, done.results, folder)):
            raise LostError(submission_id)
        log.info("submission verified", extra={"submission": submission_id, "run": done.run["id"]})
        _remove(submission_id, but=done.folder)
        return True

    def _drop(self, submission_id: str, done: Done) -> None:
        """Remove the folder of a run, if it is sure that the run was not verified and never will be."""
        try:
            now = self.queue.get(submission_id)
        except StoreError as error:  # `_sweep` finds it another time
            log.warning("folder left", extra={"submission": submission_id, "reason": str(error)})
        except UnknownNameError:
            shutil.rmtree(done.folder, ignore_errors=True)
        else:
            if now.run_id != done.run["id"] and now.owner != self.owner:
                shutil.rmtree(done.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove the folders of runs that workers left when they died, of submissions that ended otherwise since."""
        found = (FOLDER.fullmatch(path.name) for path in paths.runs_folder().glob("*"))
        for one in {match["submission"] for match in found if match}:
            try:
                now = self.queue.get(one)
            except UnknownNameError:  # of another store
                continue
            if now.state == VERIFIED:
                _remove(one, but=paths.runs_folder() / str(now.run_id))
            elif now.state == REJECTED:
                _remove(one)

    def _give_back(self, submission_id: str) -> None:
        """Let another worker have it at once; without a database that happens when the lease runs out."""
        try:
            patiently(lambda: self.queue.release(submission_id, self.owner), seconds=LAST_SECONDS)
        except StoreError as error:
            log.warning("not given back", extra={"submission": submission_id, "reason": str(error)})

    def _fail(self, submission_id: str, reason: str, **attempts: int) -> bool:
        state = patiently(lambda: self.queue.fail(submission_id, self.owner, reason, **attempts))
        log.warning("attempt failed", extra={"submission": submission_id, "state": state, "reason": reason})
        if state == REJECTED:
            _remove(submission_id)
        return state == REJECTED


def _remove(submission_id: str, but: Path | None = None) -> None:
    """Remove the folders of a submission's runs, those that were being written too, `but` one."""
    for folder in paths.runs_folder().glob("*"):
        match = FOLDER.fullmatch(folder.name)
        if match and match["submission"] == submission_id and folder != but:
            shutil.rmtree(folder, ignore_errors=True)


class _Heart:
    """Prolongs a lease while the attempt lasts."""

    def __init__(self, worker: Worker, submission_id: str) -> None:
        self._worker = worker
        self._id = submission_id
        self._told: tuple[float | None, float | None] = (None, None)
        self._lost = threading.Event()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def tell(self, progress: float | None, eta_seconds: float | None) -> None:
        """Take how far the attempt is.

        Raises LostError where the lease is lost, StoppedError where the worker is to end.
        """
        self._told = (progress, eta_seconds)
        if self._lost.is_set():
            raise LostError(self._id)
        if self._worker.stop.is_set():
            raise StoppedError(self._id)

    def __enter__(self) -> _Heart:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        seconds = self._worker.lease_seconds
        while not self._done.wait(seconds / BEATS):
            try:
                mine = self._worker.queue.heartbeat(self._id, self._worker.owner, seconds, *self._told)
            except StoreError as error:  # the next beat tries again; until then the lease goes on running out
                log.warning("no heartbeat", extra={"submission": self._id, "reason": str(error)})
                continue
            if not mine:
                self._lost.set()
                return
