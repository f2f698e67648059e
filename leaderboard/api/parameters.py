"""Parameters that several routes take, each bounded, and the shape of a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from pydantic import StringConstraints

from audiometry.leaderboard.api.reading import Filters

__all__ = ["LARGEST_PAGE", "Filtered", "Limit", "Name", "Page", "RunId"]

LARGEST_PAGE = 1000
LONGEST_NAME = 20_000
"""Models may have names as long as 10,000 characters."""

NO_NUL = r"^[^\u0000]*$"
"""PostgreSQL takes no such character in a text."""

Name = Annotated[str, StringConstraints(max_length=LONGEST_NAME, pattern=NO_NUL)]
RunId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)]

Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="How many rows a page holds at most.")]
Page = Annotated[
    int, Query(ge=0, le=2**53, description="Where the page begins: `next` of the page before; 0 is the first page.")
]  # fmt: skip


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
