"""Putting a submission in: received, checked, its files kept, queued; or rejected with the reason."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import StoreError, UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.artefacts import DAY_SECONDS, ArtefactStore
from audiometry.leaderboard.submissions.checks import check_folder, unpack
from audiometry.leaderboard.submissions.contamination import contamination
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import DEFAULT_LIMITS, Limits
from audiometry.leaderboard.submissions.manifest import FILE, Manifest, read_manifest
from audiometry.leaderboard.submissions.names import shown
from audiometry.leaderboard.submissions.ownership import check_name_is_free
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.states import CHECKED, RECEIVED, REJECTED

__all__ = ["WARNINGS", "prune", "submit_archive", "submit_folder"]

WARNINGS = "warnings"
"""Where the queue's manifest of a submission keeps what `Checked.warnings` says."""

PAGE = 500

UNREADABLE = "(no readable manifest)"
"""The name of a submission whose manifest cannot be read."""


def submit_folder(
    folder: Path, *, store: Store, artefacts: ArtefactStore, submitter: str, limits: Limits = DEFAULT_LIMITS
) -> str:
    """Check the folder, keep its files and queue it; returns the submission's id.

    Raises SubmissionError with the reason, and its `submission`, where it is rejected; nothing of it is kept then but
    its manifest, state and reason. StoreError where the store or the artefact store fails: the submission is rejected
    then too, and may be sent again.
    """
    if not folder.is_dir():
        raise SubmissionError(f"there is no folder {shown(str(folder))}; give the one that holds {FILE}")
    try:
        manifest = read_manifest(folder)
    except UserError as error:
        raise _rejected(Queue(store), submitter, error) from error
    queue = Queue(store)
    document: dict[str, Any] = {**manifest.as_document(), WARNINGS: list(_warnings(manifest))}
    submission = queue.receive(manifest.name, submitter, manifest.suite, document)
    try:
        check_name_is_free(store, manifest.name, submitter)
        checked = check_folder(folder, limits)
        if checked.manifest != manifest:
            raise SubmissionError("the folder changed while it was submitted; submit again")
        queue.checked(submission, checked.digest, checked.file_documents())
        artefacts.put(folder, checked)
        queue.queued(submission)
    except SubmissionError as error:
        queue.reject(submission, str(error))
        error.submission = submission
        raise
    except Exception as error:
        with suppress(StoreError):  # where the store itself is away, the first error is what has to be told
            queue.reject(submission, f"it could not be taken in here ({type(error).__name__}); submit it again")
        raise
    return submission


def submit_archive(
    archive: Path, *, store: Store, artefacts: ArtefactStore, submitter: str, limits: Limits = DEFAULT_LIMITS
) -> str:
    """Unpack an upload into a folder that is gone afterwards, and submit that; returns the submission's id.

    Raises what `submit_folder` raises; an archive that is not unpacked is kept as a rejected submission too.
    """
    with tempfile.TemporaryDirectory(prefix="audiometry-submission-") as scratch:
        folder = Path(scratch) / "submission"
        try:
            unpack(archive, folder, limits)
        except SubmissionError as error:
            raise _rejected(Queue(store), submitter, error) from error
        return submit_folder(folder, store=store, artefacts=artefacts, submitter=submitter, limits=limits)


def prune(store: Store, artefacts: ArtefactStore) -> int:
    """Delete the files of rejected submissions, and of those that broke off while they came in. Returns how many.

    What another submission needs stays, and what came within a day (`ArtefactStore.prune`), and every file that no
    submission of this store names. Raises UserError where it names none of the files that are there.
    """
    queue, used, unneeded, start = Queue(store), set[str](), set[str](), 0
    broken_off = datetime.now(UTC) - timedelta(seconds=DAY_SECONDS)
    while page := queue.listing(limit=PAGE, offset=start):  # newest first: what comes in meanwhile hides none
        for one in page:
            gone = one.state == REJECTED or (one.state in (RECEIVED, CHECKED) and one.updated < broken_off)
            (unneeded if gone else used).update(file["sha256"] for file in one.files)
        start += PAGE
    there = artefacts.stored()
    if there and not (used | unneeded).intersection(there):
        raise UserError(
            f"none of the {len(there)} files in {artefacts.url} belongs to a submission of this results store, so "
            "nothing was deleted; give the store that they belong to (--store, --artefacts)"
        )
    return artefacts.prune(unneeded - used)


def _rejected(queue: Queue, submitter: str, error: UserError) -> SubmissionError:
    """Keep that something came which has no manifest to show, and why it was refused."""
    refused = SubmissionError(str(error))
    refused.submission = queue.receive(UNREADABLE, submitter, "", {})
    queue.reject(refused.submission, str(error))
    return refused


def _warnings(manifest: Manifest) -> tuple[str, ...]:
    try:
        return contamination(manifest.training_data, manifest.suite)
    except UserError:  # a suite that nobody registered, which the checks refuse
        return ()
