"""Whose uploads the board's server takes, and how much of them it holds in its memory.

Streamlit takes an upload from every open page, signed in or not, and holds it until that page is left. Here a request
is refused before its body is read: where the session is not signed in, and where too much is held or on its way.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audiometry.leaderboard.sign_in import UPLOAD_MEBIBYTES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

__all__ = ["DESK", "Desk", "RefusedError", "admit", "guard_uploads", "leave"]

KNOWN = 10_000
"""Signed-in sessions that are remembered; of more, those that signed in first must do so again."""


class RefusedError(Exception):
    """An upload that is not taken: the status of the answer, and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass
class Desk:
    """What all sessions of a server share: who is signed in, and the bytes that are on their way."""

    session_bytes: int = 2 * UPLOAD_MEBIBYTES * 2**20
    """An archive, and the one that takes its place."""
    total_bytes: int = 5 * UPLOAD_MEBIBYTES * 2**20
    sessions: dict[str, None] = field(default_factory=dict)
    coming: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, session: str) -> None:
        """Take uploads of a session from now on."""
        with self.lock:
            self.sessions[session] = None
            if len(self.sessions) > KNOWN:
                del self.sessions[next(iter(self.sessions))]

    def dismiss(self, session: str) -> None:
        """Take none of them any more."""
        with self.lock:
            self.sessions.pop(session, None)

    @contextmanager
    def taking(self, session: str, announced: str | None, held: Mapping[str, int]) -> Iterator[None]:
        """While an upload is read: its bytes, as its header announced them, count as held.

        `held` is what each session holds already. Raises RefusedError.
        """
        with self.lock:
            if session not in self.sessions:
                raise RefusedError(403, "sign in to upload")
            if announced is None or not (announced.isascii() and announced.isdigit()):
                raise RefusedError(411, "an upload must announce its length")
            size = int(announced)
            if held.get(session, 0) + self.coming[session] + size > self.session_bytes:
                raise RefusedError(413, "this session's uploads are too large together")
            if sum(held.values()) + self.coming.total() + size > self.total_bytes:
                raise RefusedError(429, "the server holds as many uploads as it can; try again in a minute")
            self.coming[session] += size
        try:
            yield
        finally:
            with self.lock:
                self.coming[session] -= size
                if not self.coming[session]:
                    del self.coming[session]


DESK = Desk()
"""That of this process."""


def admit() -> None:
    """Take uploads of the session whose page is being drawn."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is not None:
        DESK.admit(context.session_id)


def leave(*, signed_in: bool = False) -> None:
    """Forget what the session whose page is being drawn has uploaded; unless it is `signed_in`, take no more of it."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    if context is None:
        return
    if not signed_in:
        DESK.dismiss(context.session_id)
    context.uploaded_file_mgr.remove_session_files(context.session_id)


def guard_uploads() -> None:
    """Have the server that Streamlit makes later ask `DESK` before it reads an upload."""
    from starlette.routing import BaseRoute, Route
    from streamlit.runtime import Runtime
    from streamlit.web.server.starlette import starlette_app as server

    made = server.create_upload_routes  # type: ignore[attr-defined]  # where it is used, not where it is defined

    def guarded(runtime: Runtime, upload_mgr: MemoryUploadedFileManager, base_url: str | None) -> list[BaseRoute]:
        return [
            Route(route.path, _asking(route.endpoint, upload_mgr), methods=["PUT"])
            if isinstance(route, Route) and "PUT" in (route.methods or ())
            else route
            for route in made(runtime, upload_mgr, base_url)
        ]

    server.create_upload_routes = guarded  # type: ignore[attr-defined]


def _asking(
    put: Callable[[Request], Awaitable[Response]], manager: MemoryUploadedFileManager
) -> Callable[[Request], Awaitable[Response]]:
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect
    from starlette.responses import Response

    async def asking(request: Request) -> Response:
        try:
            with DESK.taking(request.path_params["session_id"], request.headers.get("content-length"), _held(manager)):
                return await put(request)
        except RefusedError as refused:
            raise HTTPException(refused.status, str(refused)) from refused
        except ClientDisconnect:  # nobody is there to answer to
            return Response(status_code=400)

    return asking


def _held(manager: MemoryUploadedFileManager) -> dict[str, int]:
    """The bytes that each session holds."""
    with manager._lock:
        return {
            session: sum(len(file.data) for file in files.values()) for session, files in manager.file_storage.items()
        }
