"""What every request passes first, before any of it is read: how often its address asks, and how much it sends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import HTTPException
from fastapi.responses import JSONResponse

from audiometry.leaderboard.api.limits import ApiLimits, Buckets, network_of
from audiometry.leaderboard.api.problems import HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Guard"]


class Guard:
    """An ASGI application around another: refuses with 429 and 413, and adds `HEADERS` to every answer.

    `upload` is the path whose body may be as large as a submission; any other body is bound by `limits.json_bytes`.
    """

    def __init__(self, app: ASGIApp, *, limits: ApiLimits, upload: str) -> None:
        self._app, self._limits, self._upload = app, limits, upload
        self._addresses = Buckets(limits.address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_SENT]
            await send(message)

        most = self._limits.submission.archive_bytes if scope["path"] == self._upload else self._limits.json_bytes
        if (refusal := self._refusal(scope, most)) is not None:
            await refusal(scope, receive, sending)
            return
        await self._app(scope, _counted(receive, most), sending)

    def _refusal(self, scope: Scope, most: int) -> JSONResponse | None:
        client = scope.get("client")
        wait = self._addresses.take(network_of(client[0]) if client else "")
        if wait:
            seconds = str(max(1, math.ceil(wait)))
            detail = f"too many requests from this address; try again in {seconds} s"
            return JSONResponse({"detail": detail}, 429, {"Retry-After": seconds})
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if any(not value.isdigit() or int(value[:20]) > most for value in lengths):
            return JSONResponse({"detail": _too_large(most)}, 413, {"Connection": "close"})
        return None


def _counted(receive: Receive, most: int) -> Receive:
    """`receive`, which ends with 413 once more than `most` bytes came: a header may promise less, or nothing."""
    taken = 0

    async def counting() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise HTTPException(413, _too_large(most), {"Connection": "close"})
        return message

    return counting


def _too_large(most: int) -> str:
    return f"the body is larger than the {most:,} bytes that are taken here"


_SENT = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
