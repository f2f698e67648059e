"""Results and runs: to read, and to export."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from audiometry.leaderboard.api.access import Reader, Services
from audiometry.leaderboard.api.parameters import Filtered, Limit, Page, RunId
from audiometry.leaderboard.api.problems import documented
from audiometry.leaderboard.api.reading import (
    count_results,
    frame_of,
    plain,
    read_measured,
    read_results,
    read_run,
    read_runs,
)
from audiometry.leaderboard.export import FORMATS, file_name

__all__ = ["ROUTES"]

ROUTES = APIRouter()

KINDS = {name.lower(): convert for name, convert in FORMATS.items()}


_ROWS = {"type": "array", "items": {"type": "object"}}
_SCHEMAS = {"csv": {"type": "string"}, "json": _ROWS, "parquet": {"type": "string", "format": "binary"}}

FILES = {kind: {"schema": _SCHEMAS[name]} for name, (_, _, kind) in KINDS.items()}
"""What an export may be, for the OpenAPI document."""


class ResultRow(BaseModel):
    """One number with its interval, and what it was measured on."""

    run: str
    created: datetime
    run_status: str
    limit: int | None
    seed: int
    origin: str = Field(description="`local`, `verified` (a submission, run here) or `self-reported`.")
    model: str
    model_fingerprint: str
    control: bool
    task: str
    task_version: str
    task_settings: dict[str, Any]
    task_samples: int
    protocol: str
    seconds: float | None
    audio_seconds: float | None
    rtfx: float | None
    metric: str
    slice: str
    value: float | None = Field(description="Null where the metric is undefined.")
    low: float | None = Field(description="Lower bound of the 95 % interval.")
    high: float | None = Field(description="Upper bound of the 95 % interval.")
    n: int
    failed: int
    empty: int
    refused: int
    unparsed: int
    unit: str
    direction: str
    judges: list[str]
    notes: list[str]


class ResultPage(BaseModel):
    """A page of results."""

    results: list[ResultRow]
    next: int | None = Field(description="`page` of the next page; null at the end.")


class RunRow(BaseModel):
    """A run, without what it measured."""

    id: str
    fingerprint: str
    created: datetime
    finished: datetime | None
    status: str
    seed: int
    limit: int | None
    origin: str


class RunPage(BaseModel):
    """A page of runs, newest first."""

    runs: list[RunRow]
    next: int | None = Field(description="`page` of the next page; null at the end.")


class ModelFacts(BaseModel):
    """A model of a run."""

    name: str
    fingerprint: str
    control: bool
    settings: dict[str, Any]


class TaskFacts(BaseModel):
    """A task of a run."""

    name: str
    version: str
    settings: dict[str, Any]
    samples: int
    protocol: str = Field(description="Digest of name, version, settings and data.")


class RunWhole(RunRow):
    """A run with the models and tasks that it has results of."""

    models: list[ModelFacts]
    tasks: list[TaskFacts]
    document: dict[str, Any] | None = Field(
        description="The run's run.json with versions, hardware and paths; for maintainers and auditors, else null."
    )


@ROUTES.get("/results", responses=documented(), summary="Results, filtered, a page at a time")
def list_results(actor: Reader, service: Services, filters: Filtered, limit: Limit = 100, page: Page = 0) -> ResultPage:
    """Results in the order they were put into the store. Numbers of one `protocol` may be compared."""
    del actor
    rows, following = read_results(service.store, filters, after=page, limit=limit)
    return ResultPage(results=[ResultRow(**row) for row in rows], next=following)


@ROUTES.get(
    "/export",
    responses=documented(413) | {200: {"content": FILES}},
    response_class=Response,
    summary="Results as a file: CSV, JSON or Parquet",
)
def export_results(
    actor: Reader,
    service: Services,
    filters: Filtered,
    format: Annotated[Literal["csv", "json", "parquet"], Query(description="Kind of the file.")] = "csv",
) -> Response:
    """All results that the filters leave, in one file; 413 where there are more than a file may hold."""
    convert, suffix, kind = KINDS[format]
    with service.one_of_few(service.heavy, "exports and comparisons"):
        found = count_results(service.store, filters)
        if found > service.limits.export_rows:
            most = service.limits.export_rows
            raise HTTPException(413, f"{found:,} results are more than the {most:,} of one file; give more filters")
        content = convert(frame_of(service.store, filters))
    service.note(actor, "exported", format, {"results": found})
    name = file_name("results", filters.task or "all", filters.metric or "", suffix=suffix)
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@ROUTES.get("/runs", responses=documented(), summary="Runs, newest first")
def list_runs(
    actor: Reader,
    service: Services,
    status: Annotated[Literal["complete", "partial", "too many failures"] | None, Query()] = None,
    origin: Annotated[Literal["local", "verified", "self-reported"] | None, Query()] = None,
    limit: Limit = 100,
    page: Page = 0,
) -> RunPage:
    """Every run of the store, or those of one status or origin."""
    del actor
    rows, following = read_runs(service.store, status=status, origin=origin, offset=page, limit=limit)
    return RunPage(runs=[RunRow(**row) for row in rows], next=following)


@ROUTES.get("/runs/{run}", responses=documented(404), summary="One run")
def show_run(actor: Reader, service: Services, run: Annotated[RunId, Path(description="Id of a run.")]) -> RunWhole:
    """A run with its models and tasks."""
    row = read_run(service.store, run)
    document = row.pop("document")
    del row["folder"]
    models, tasks = read_measured(service.store, run)
    whole = plain(document) if actor.may("read everything") else None
    return RunWhole(**row, models=models, tasks=tasks, document=whole)  # type: ignore[arg-type]  # they are validated
