"""Who asks, and what they may: the token of a request, its role and its rate."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import anyio
from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, tokens
from audiometry.leaderboard.api.limits import ApiLimits, Buckets, Places
from audiometry.leaderboard.api.parameters import check_query
from audiometry.leaderboard.api.problems import too_many
from audiometry.leaderboard.api.tokens import Actor, Deed, TokenError

__all__ = ["Auditor", "Manager", "Reader", "Service", "Services", "Submitter", "TokenReader"]

BEARER = HTTPBearer(
    scheme_name="token", bearerFormat="am_<id>_<secret>", auto_error=False,
    description="A token, made with `audiometry token create`.",
)  # fmt: skip

SHOWN_PATH = 200

NO_TOKEN = "this needs a token: send the header Authorization: Bearer am_…"  # noqa: S105  # tells what is missing


@dataclass
class Service:
    """What the routes share: the store, where files of submissions go, and what is counted."""

    store: Store
    artefacts_url: str | None
    limits: ApiLimits
    token_rate: Buckets = field(init=False)
    upload_rate: Buckets = field(init=False)
    arriving: Places = field(init=False)
    checking: anyio.CapacityLimiter = field(init=False)
    heavy: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        """Set the counters to nothing."""
        self.token_rate, self.upload_rate = Buckets(self.limits.token), Buckets(self.limits.uploads)
        self.arriving = Places(self.limits.arriving, self.limits.arriving_each)
        self.checking = anyio.CapacityLimiter(self.limits.at_once)
        self.heavy = threading.BoundedSemaphore(self.limits.at_once)

    @contextmanager
    def one_of_few(self, places: threading.BoundedSemaphore, what: str) -> Iterator[None]:
        """Work that takes long, beside few others; 429 where there are more."""
        if not places.acquire(blocking=False):
            raise too_many(5, f"the server works on as many {what} as it takes at once")
        try:
            yield
        finally:
            places.release()

    @contextmanager
    def arrival(self, actor: Actor) -> Iterator[None]:
        """An upload on its way, beside a bounded number of others; 429 where there are more."""
        if not self.arriving.take(actor.token):
            raise too_many(5, "as many uploads as may be on their way at once, with this token or in all, are arriving")
        try:
            yield
        finally:
            self.arriving.leave(actor.token)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """The checking of an upload, in its turn; 429 where that does not come soon."""
        try:
            with anyio.fail_after(self.limits.turn_seconds):
                await self.checking.acquire()
        except TimeoutError as error:
            raise too_many(30, "more submissions wait to be checked than this server gets done") from error
        try:
            yield
        finally:
            self.checking.release()

    def note(self, actor: Actor, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """Put what an actor did into the audit log, with the id of the token it was done with."""
        audit.record(self.store, actor.name, action, subject, {**(detail or {}), "with_token": actor.token})


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Services = Annotated[Service, Depends(_service)]


def _needs(deed: Deed) -> Callable[..., Actor]:
    """A dependency that gives the actor, if it may do the deed and asks with parameters that there are."""

    def actor_of(
        request: Request,
        service: Services,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Actor:
        if credentials is None:
            raise HTTPException(401, NO_TOKEN, {"WWW-Authenticate": 'Bearer realm="audiometry"'})
        try:
            actor = tokens.verify(service.store, credentials.credentials)
        except TokenError as error:
            challenge = f'Bearer realm="audiometry", error="invalid_token", error_description="{error}"'
            raise HTTPException(401, str(error), {"WWW-Authenticate": challenge}) from error
        if wait := service.token_rate.take(actor.token):
            raise too_many(wait, "too many requests with this token")
        if not actor.may(deed):
            where = request.scope["path"][:SHOWN_PATH].replace("\0", "")
            service.note(actor, "access refused", f"{request.method} {where}")
            raise HTTPException(403, f"the role of this token, {actor.role}, may not {deed}; ask a maintainer")
        check_query(request)
        return actor

    return actor_of


Reader = Annotated[Actor, Depends(_needs("read"))]
Submitter = Annotated[Actor, Depends(_needs("submit"))]
TokenReader = Annotated[Actor, Depends(_needs("list tokens"))]
Manager = Annotated[Actor, Depends(_needs("manage tokens"))]
Auditor = Annotated[Actor, Depends(_needs("read the audit log"))]
