"""What the HTTP interface answers when it does not do what was asked: a status and ``{"detail": one line}``."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from audiometry.benchmark.errors import AudiometryError, DuplicateNameError, StoreError, UnknownNameError
from audiometry.benchmark.logs import redacted
from audiometry.leaderboard.submissions.states import MoveError

__all__ = ["HEADERS", "Problem", "answer_problems", "documented", "too_many"]

LOGGER = logging.getLogger(__name__)

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Sent with every answer: nothing here is a page, and nothing of it belongs in a cache or a frame."""

SHOWN_ERRORS = 5

MEANINGS = {
    400: "The body cannot be read",
    401: "No token, or one that is wrong, expired or revoked",
    403: "The token's role may not do this",
    404: "There is no such thing",
    408: "The body took too long to arrive",
    409: "The store's contents do not allow it",
    413: "The body is too large",
    415: "The body is of a kind that is not taken",
    422: "A parameter, or what was sent, is not as it must be; the detail says why",
    429: "Too much in too short a time; try again after Retry-After seconds",
    503: "The results store cannot be reached now",
}

ALWAYS = (422, 429, 503)
WITH_TOKEN = (401, 403)


class Problem(BaseModel):
    """Why something was not done."""

    detail: str = Field(description="One line: what is wrong and, where that is known, how to mend it.")


def documented(*statuses: int, token: bool = True) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its OpenAPI document; those that any may are among them."""
    every = sorted({*statuses, *ALWAYS, *(WITH_TOKEN if token else ())})
    return {status: {"model": Problem, "description": MEANINGS[status], **_headers(status)} for status in every}


def too_many(seconds: float, what: str) -> HTTPException:
    """429: come again in so many seconds."""
    wait = max(1, math.ceil(seconds))
    return HTTPException(429, f"{what}; try again in {wait} s", {"Retry-After": str(wait)})


def answer_problems(app: FastAPI) -> None:
    """Let every error of `app` become its status and one line: no traceback, path or password leaves the server."""

    @app.exception_handler(AudiometryError)
    def ours(_: Request, error: Exception) -> JSONResponse:
        if isinstance(error, StoreError):
            LOGGER.error("%s", redacted(str(error)))
            return _answer(503, "the results store cannot be reached; try again in a moment", {"Retry-After": "5"})
        return _answer(_status_of(error), str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: Exception) -> JSONResponse:
        errors = error.errors() if isinstance(error, RequestValidationError) else []
        lines = [f"{' '.join(map(str, one['loc']))}: {one['msg']}" for one in errors[:SHOWN_ERRORS]]
        return _answer(422, "; ".join(lines))

    @app.exception_handler(Exception)
    def unforeseen(request: Request, _: Exception) -> JSONResponse:
        LOGGER.error("%s %s failed", request.method, request.scope["path"])  # its traceback is the server's to log
        return _answer(500, "this is a fault of the server; its log says more", HEADERS)


def _status_of(error: Exception) -> int:
    if isinstance(error, UnknownNameError):
        return 404
    return 409 if isinstance(error, MoveError | DuplicateNameError) else 422


def _answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    line = " ".join(redacted(detail).split()).encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"detail": line}, status, dict(headers or {}))


def _headers(status: int) -> dict[str, Any]:
    known = {
        401: ("WWW-Authenticate", "How to show who you are: Bearer."),
        429: ("Retry-After", "Seconds to wait."),
        503: ("Retry-After", "Seconds to wait."),
    }
    if status not in known:
        return {}
    name, meaning = known[status]
    return {"headers": {name: {"description": meaning, "schema": {"type": "string"}}}}
