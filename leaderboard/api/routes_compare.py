"""Two runs side by side."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from audiometry.benchmark.compare import Side, compare
from audiometry.benchmark.errors import StoreError, UnknownNameError, UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api.access import Reader, Services
from audiometry.leaderboard.api.parameters import Name, RunId
from audiometry.leaderboard.api.problems import documented
from audiometry.leaderboard.api.reading import plain, read_run

__all__ = ["ROUTES"]

ROUTES = APIRouter()

LOGGER = logging.getLogger(__name__)

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What reading a document of another form raises."""


class SideNamed(BaseModel):
    """A model in a run."""

    run: str
    model: str


class ComparisonRow(BaseModel):
    """One metric on one slice: B's value less A's, with its interval."""

    task: str
    slice: str
    metric: str
    n: int
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None = Field(description="That there is no difference, by a paired test.")
    p_adjusted: float | None = Field(description="By Holm's method over the slices of the task; null for the whole.")
    verdict: str = Field(description="How B stands to A.")
    method: str
    clusters: int
    notes: list[str]


class ChangedSample(BaseModel):
    """A sample whose errors (or value) changed: B's less A's."""

    sample_id: str
    change: float | None


class ComparisonDocument(BaseModel):
    """Two sides compared on every task that both have."""

    a: SideNamed
    b: SideNamed
    comparisons: list[ComparisonRow]
    changed: dict[str, list[ChangedSample]] = Field(description="By task, the samples that changed most.")


@ROUTES.get("/compare", responses=documented(404, 409), summary="Compare two runs, sample by sample")
def compare_runs(
    actor: Reader,
    service: Services,
    a: Annotated[RunId, Query(description="Id of the run to compare with.")],
    b: Annotated[RunId, Query(description="Id of the run that is judged.")],
    a_model: Annotated[Name | None, Query(description="Which model of A, where it has several.")] = None,
    b_model: Annotated[Name | None, Query(description="Which model of B, where it has several.")] = None,
    margin: Annotated[float | None, Query(ge=0, le=1e6, description="Differences within it are equal.")] = None,
    seed: Annotated[int, Query(ge=0, le=2**32 - 1, description="Seed of the resampling.")] = 0,
    resamples: Annotated[int, Query(ge=100, le=5000, description="Bootstrap resamples.")] = 2000,
) -> ComparisonDocument:
    """Differences, intervals and verdicts by the headline metric of each task that both runs have.

    409 where the runs cannot be compared: other versions or samples of a task, or evidence that is not on the server.
    """
    del actor
    sides = _side(service.store, a, a_model), _side(service.store, b, b_model)
    with service.one_of_few(service.heavy, "exports and comparisons"):
        try:
            lines, changed = compare(*sides, margin=margin, seed=seed, resamples=resamples)
        except StoreError as error:
            raise HTTPException(409, f"the scores of {a} or {b} are not on this server") from error
        except UserError as error:
            raise HTTPException(409, str(error)) from error
        except MALFORMED as error:  # a run that was imported may hold anything
            LOGGER.exception("runs %s and %s cannot be compared", a, b)  # a fault of ours would look the same
            raise HTTPException(409, f"run {a} or {b} is not of the form of this version; run it again") from error
    rows: list[dict[str, Any]] = [
        {
            "task": line.task, "slice": line.slice, "metric": line.metric.name, "n": line.n, "a": line.value_a,
            "b": line.value_b, **asdict(line.found), "p_adjusted": line.p_adjusted,
        }
        for line in lines
    ]  # fmt: skip
    return ComparisonDocument(
        a=SideNamed(run=sides[0].run, model=sides[0].model),
        b=SideNamed(run=sides[1].run, model=sides[1].model),
        comparisons=[ComparisonRow(**plain(row)) for row in rows],
        changed={task: [ChangedSample(**plain(asdict(one))) for one in most] for task, most in changed.items()},
    )


def _side(store: Store, run: str, model: str | None) -> Side:
    """A side by the id of a run in the store: never by a path, and never with a plug-in file that a run names."""
    row = read_run(store, run)
    try:
        return _side_of(run, row["document"], Path(row["folder"]), model)
    except MALFORMED as error:
        LOGGER.exception("run %s cannot be read", run)
        raise HTTPException(409, f"run {run} is not of the form of this version; run it again") from error


def _side_of(run: str, document: Any, folder: Path, model: str | None) -> Side:
    settings = document.get("settings") or {}
    if settings.get("plugins"):
        raise HTTPException(409, f"run {run} needs plug-in files, which this server does not load; compare it at home")
    names = [line["name"] for line in document["models"]]
    if model is None and len(names) > 1:
        raise HTTPException(422, f"run {run} holds several models; name one by a_model or b_model: {', '.join(names)}")
    chosen = names[0] if model is None else model
    if chosen not in names:
        raise UnknownNameError(f"run {run} holds no model {chosen!r}; it holds: {', '.join(names)}")
    if not isinstance(chosen, str):
        raise TypeError(chosen)
    return Side(run=run, model=chosen, folder=folder, document={**document, "settings": settings})
