"""Submissions: sent, listed, followed."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from audiometry.leaderboard.api.access import Reader, Service, Services, Submitter
from audiometry.leaderboard.api.parameters import Limit, Name, Page, RunId
from audiometry.leaderboard.api.problems import documented, too_many
from audiometry.leaderboard.api.tokens import Actor
from audiometry.leaderboard.api.upload import BODY, received, working_folder
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.queue import Queue, Submission
from audiometry.leaderboard.submissions.submit import submit_archive

__all__ = ["ROUTES"]

LOGGER = logging.getLogger(__name__)

ROUTES = APIRouter()

StateName = Literal["received", "checked", "queued", "running", "verified", "rejected"]


class SubmissionRow(BaseModel):
    """A submission, and how far it is."""

    id: str
    name: str
    submitter: str
    suite: str
    state: StateName
    reason: str = Field(description="Why it was rejected, or failed when it was last tried; else empty.")
    created: datetime
    updated: datetime
    digest: str | None = Field(description="Names the content of its files; null until they were checked.")
    attempts: int
    progress: float | None = Field(description="Share of the samples that were answered, 0 to 1.")
    eta_seconds: float | None
    run_id: str | None = Field(description="The run with its results, once it is verified.")


class SubmissionPage(BaseModel):
    """A page of submissions, newest first."""

    submissions: list[SubmissionRow]
    next: int | None = Field(description="`page` of the next page; null at the end.")


class SubmissionEvent(BaseModel):
    """That it came into a state."""

    at: datetime
    state: StateName
    detail: str | None


class SubmittedFile(BaseModel):
    """A file of a submission."""

    path: str
    size: int
    sha256: str


class SubmissionWhole(SubmissionRow):
    """A submission with its history.

    Manifest, files and the details of events are for its submitter, maintainers and auditors; null for others.
    """

    events: list[SubmissionEvent]
    manifest: dict[str, Any] | None
    files: list[SubmittedFile] | None


@ROUTES.post(
    "/submissions",
    status_code=201,
    responses=documented(400, 408, 413, 415)
    | {201: {"headers": {"Location": {"description": "Where to follow it.", "schema": {"type": "string"}}}}},
    openapi_extra=BODY,
    summary="Submit a model (submitters and maintainers)",
)
async def submit(request: Request, response: Response, actor: Submitter, service: Services) -> SubmissionWhole:
    """Send the archive of a folder with `audiometry.yaml` and weights; it is checked at once, then queued.

    422 where it is refused, with the reason; nothing of it is kept then.
    """
    with service.arrival(actor):
        if wait := service.upload_rate.take(actor.token):
            raise too_many(wait, "too many submissions with this token")
        async with working_folder() as folder:
            archive = await received(request, folder, service.limits.upload_seconds)
            async with service.turn():
                submission = await run_in_threadpool(_accept, service, actor, archive)
    response.headers["Location"] = f"{request.scope['path']}/{submission.id}"
    return submission


@ROUTES.get("/submissions", responses=documented(), summary="Submissions, newest first")
def list_submissions(
    actor: Reader,
    service: Services,
    state: Annotated[StateName | None, Query()] = None,
    submitter: Annotated[Name | None, Query(description="Name of who sent it.")] = None,
    limit: Limit = 100,
    page: Page = 0,
) -> SubmissionPage:
    """All submissions, or those in one state or of one submitter."""
    del actor
    found = Queue(service.store).listing(state=state, submitter=submitter, limit=limit + 1, offset=page)
    rows = [SubmissionRow.model_validate(one, from_attributes=True) for one in found[:limit]]
    return SubmissionPage(submissions=rows, next=page + limit if len(found) > limit else None)


@ROUTES.get("/submissions/{submission}", responses=documented(404), summary="One submission")
def show_submission(
    actor: Reader, service: Services, submission: Annotated[RunId, InPath(description="Id of a submission.")]
) -> SubmissionWhole:
    """How far it is, and every state that it came through."""
    return _whole(service, actor, Queue(service.store).get(submission))


def _accept(service: Service, actor: Actor, archive: Path) -> SubmissionWhole:
    """Unpack, check and queue an archive, which the caller removes."""
    most = service.limits.submission
    try:
        artefacts = ArtefactStore(service.artefacts_url)
        queued = submit_archive(archive, store=service.store, artefacts=artefacts, submitter=actor.name, limits=most)
    except SubmissionError as error:
        service.note(actor, "submission refused", error.submission or "", {"reason": str(error)})
        raise
    except OSError as error:
        LOGGER.exception("a submission cannot be kept")
        raise HTTPException(503, "the server cannot keep a submission now; try again later") from error
    service.note(actor, "submitted", queued)
    return _whole(service, actor, Queue(service.store).get(queued))


def _whole(service: Service, actor: Actor, submission: Submission) -> SubmissionWhole:
    inside = actor.may("read everything") or actor.name == submission.submitter
    events = [
        SubmissionEvent(at=event.at, state=event.state, detail=event.detail if inside else None)  # type: ignore[arg-type]
        for event in Queue(service.store).events(submission.id)
    ]
    row = SubmissionRow.model_validate(submission, from_attributes=True)
    files = [SubmittedFile(**file) for file in submission.files]
    return SubmissionWhole(
        **row.model_dump(),
        events=events,
        manifest=dict(submission.manifest) if inside else None,
        files=files if inside else None,
    )
