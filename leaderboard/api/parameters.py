"""Parameters that several routes take, each bounded, and the shape of a page."""

from __future__ import annotations

import difflib
from collections import Counter
from datetime import datetime
from typing import Annotated

from fastapi import Depends, HTTPException, Query, Request
from fastapi.dependencies.utils import get_flat_params
from pydantic import AfterValidator, AwareDatetime, StringConstraints

from audiometry.leaderboard.api.reading import Filters

__all__ = ["LARGEST_PAGE", "Filtered", "Limit", "Moment", "Name", "Page", "RunId", "check_query"]

LARGEST_PAGE = 1000
LARGEST_ID = 2**31 - 1
"""The ids of rows are whole numbers of 32 bits in PostgreSQL, which fails at a larger one."""

EARLIEST, LATEST = 1970, 9000

LONGEST_NAME = 20_000
"""Models may have names as long as 10,000 characters."""


def _no_nul(text: str) -> str:
    """PostgreSQL takes no NUL in a text."""
    if "\0" in text:
        raise ValueError("a text holds no NUL")
    return text


Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_no_nul)]
RunId = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_no_nul)]

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="How many rows a page holds at most.")]
Page = Annotated[
    int, Query(ge=0, le=LARGEST_ID, description="Where the page begins: `next` of the one before, or 0.")
]  # fmt: skip


def _storable(time: datetime) -> datetime:
    """A time near either end of the calendar cannot be turned to UTC."""
    if not EARLIEST <= time.year <= LATEST:
        raise ValueError(f"a time lies in the years {EARLIEST} to {LATEST}")
    return time


Moment = Annotated[AwareDatetime, AfterValidator(_storable)]


def _filters(
    task: Annotated[Name | None, Query(description="Name of a task.")] = None,
    protocol: Annotated[Name | None, Query(description="A protocol: results of one may be compared.")] = None,
    metric: Annotated[Name | None, Query(description="Name of a metric.")] = None,
    slice: Annotated[Name | None, Query(description="A slice such as `gender=female`; `all` is the whole.")] = None,
    model: Annotated[Name | None, Query(description="Name of a model.")] = None,
    run: Annotated[RunId | None, Query(description="Id of a run; `latest` then means nothing.")] = None,
    latest: Annotated[bool, Query(description="Only the run that the board shows for each model and protocol.")] = True,
) -> Filters:
    return Filters(task, protocol, metric, slice, model, run, latest)


Filtered = Annotated[Filters, Depends(_filters)]


def check_query(request: Request) -> None:
    """Refuse a query parameter that the route does not take, or that is given twice, with 422: a filter that is
    misspelt must not pass for one that finds everything.
    """
    parameters = get_flat_params(request.scope["route"].dependant)
    known = [one.alias for one in parameters if one.field_info.in_.value == "query"]  # type: ignore[attr-defined]
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise HTTPException(422, f"query {name[:100]!r}: no such parameter here; {hint}{takes}")
        if times > 1:
            raise HTTPException(422, f"query {name!r}: given {times} times; give it once")
