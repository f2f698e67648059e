"""Tokens, the audit log, and who one is."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from audiometry.leaderboard.api import audit, tokens
from audiometry.leaderboard.api.access import Auditor, Manager, Reader, Services, TokenReader
from audiometry.leaderboard.api.parameters import Limit, Moment, Name, Page
from audiometry.leaderboard.api.problems import documented

__all__ = ["ROUTES"]

ROUTES = APIRouter()

RoleName = Literal["viewer", "submitter", "maintainer", "auditor"]
TokenId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$"), Path(description="The middle part of a token.")]


class Me(BaseModel):
    """The holder of the token."""

    name: str
    role: RoleName
    token: str = Field(description="The token's id, which is no secret.")


class TokenFacts(BaseModel):
    """A token, without its secret."""

    id: str
    name: str
    role: RoleName
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None = Field(description="To the minute.")


class TokenList(BaseModel):
    """Every token, newest first."""

    tokens: list[TokenFacts]


class TokenWanted(BaseModel):
    """A token to make."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=200, description="Whose it is: the name that submissions carry.")
    role: RoleName
    expires: str = Field(
        "90d",
        pattern=r"^(never|[1-9][0-9]{0,5}[hdw])$",
        description="How long it lives: hours, days or weeks, as 12h, 30d or 4w.",
    )


class TokenMade(BaseModel):
    """A new token. This is the only time that it is seen."""

    token: str


class AuditEntry(BaseModel):
    """One thing that was done."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(BaseModel):
    """A page of the audit log, newest first."""

    entries: list[AuditEntry]
    next: int | None = Field(description="`page` of the next page; null at the end.")


@ROUTES.get("/me", responses=documented(), summary="Whose token this is")
def show_me(actor: Reader) -> Me:
    """Name and role of the token's holder: a way to try a token."""
    return Me(**asdict(actor))


@ROUTES.get("/tokens", responses=documented(), summary="Every token (maintainers and auditors)")
def list_tokens(actor: TokenReader, service: Services) -> TokenList:
    """Every token, ended ones too, without its secret."""
    del actor
    return TokenList(tokens=[TokenFacts(**asdict(token)) for token in tokens.listing(service.store)])


@ROUTES.post("/tokens", responses=documented(400, 413), status_code=201, summary="Make a token (maintainers)")
def make_token(actor: Manager, service: Services, wanted: TokenWanted) -> TokenMade:
    """Make a token and show it once."""
    life = tokens.lifetime(wanted.expires)
    expires = None if life is None else datetime.now(UTC) + life
    return TokenMade(token=tokens.create(service.store, wanted.name, wanted.role, expires, by=actor))


@ROUTES.delete("/tokens/{token}", responses=documented(404), summary="Revoke a token (maintainers)")
def revoke_token(actor: Manager, service: Services, token: TokenId) -> TokenFacts:
    """Take a token back, from now on. Doing so twice is doing so once."""
    return TokenFacts(**asdict(tokens.revoke(service.store, token, by=actor)))


@ROUTES.get("/audit", responses=documented(), summary="The audit log (auditors)")
def show_audit(
    actor: Auditor,
    service: Services,
    by: Annotated[Name | None, Query(description="Who did it, whole name.")] = None,
    action: Annotated[Name | None, Query(description="What was done, such as `token created`.")] = None,
    since: Annotated[Moment | None, Query(description="Not what was done before; with a time zone.")] = None,
    limit: Limit = 100,
    page: Page = 0,
) -> AuditPage:
    """Who did what to what, and when; newest first."""
    del actor
    found = audit.entries(service.store, actor=by, action=action, since=since, before=page or None, limit=limit + 1)
    shown = [AuditEntry(**asdict(entry)) for entry in found[:limit]]
    return AuditPage(entries=shown, next=shown[-1].id if len(found) > limit else None)
