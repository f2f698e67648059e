"""The HTTP interface as an application: its routes, its limits, its OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import routes_compare, routes_results, routes_submissions, routes_tokens
from audiometry.leaderboard.api.access import Service
from audiometry.leaderboard.api.guard import Guard
from audiometry.leaderboard.api.limits import ApiLimits
from audiometry.leaderboard.api.problems import answer_problems, documented

__all__ = ["PREFIX", "create_app"]

PREFIX = "/api/v1"

ABOUT = """Submissions, results and comparisons of an Audiometry store, for programs.

Every route but `/health` and this document needs a token: `Authorization: Bearer am_…`. What is not done is answered
with a status and `{"detail": one line}`. Lists come in pages: ask again with `page` set to `next` until that is null.
"""


class Health(BaseModel):
    """That the server answers and reaches its store."""

    status: str
    version: str


def create_app(
    store_url: str | None = None,
    artefacts_url: str | None = None,
    *,
    limits: ApiLimits | None = None,
    origins: Sequence[str] = (),
) -> FastAPI:
    """The application over the store at `store_url` (default: `paths.store_url`), with the files of submissions at
    `artefacts_url`. Web pages of `origins` may call it; by default those of none may.

    Raises StoreError as `Store.open` does.
    """
    limits = limits or ApiLimits()
    store = Store.open(store_url)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(
        title="Audiometry", version=version("audiometry"), description=ABOUT, lifespan=lifespan,
        openapi_url=f"{PREFIX}/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.service = Service(store, artefacts_url, limits)
    app.add_middleware(Guard, limits=limits, upload=f"{PREFIX}/submissions")
    if origins:
        methods, headers = ["GET", "POST", "DELETE"], ["Authorization", "Content-Type"]
        app.add_middleware(CORSMiddleware, allow_origins=list(origins), allow_methods=methods, allow_headers=headers)
    answer_problems(app)

    @app.get(f"{PREFIX}/health", responses=documented(token=False), summary="Whether the server and its store answer")
    def health() -> Health:
        """Needs no token."""
        with store.reading():
            return Health(status="ok", version=version("audiometry"))

    for routes in (routes_submissions, routes_results, routes_compare, routes_tokens):
        app.include_router(routes.ROUTES, prefix=PREFIX)
    return app
