"""What is uploaded, on its way to a file: in pieces, counted, and gone again if anything goes wrong."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect

__all__ = ["BODY", "RAW_KINDS", "received", "working_folder"]

FIELD = "file"
MULTIPART = "multipart/form-data"
RAW_KINDS = ("application/zip", "application/x-tar", "application/gzip", "application/octet-stream")
"""Kinds of a body that is the archive itself; what it holds is told by its content, not by its kind."""

PIECE = 2**20

_BINARY = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {FIELD: _BINARY}, "required": [FIELD], "additionalProperties": False}

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The archive of a submission's folder: zip, tar or tar.gz, as a form's file or as it is.",
        "content": {MULTIPART: {"schema": _FORM}, **{kind: {"schema": _BINARY} for kind in RAW_KINDS}},
    }
}
"""The body of an upload, for the OpenAPI document."""


@asynccontextmanager
async def working_folder() -> AsyncIterator[Path]:
    """A new folder in the system's place for temporary files (``TMPDIR``), which is removed at the end."""
    folder = await run_in_threadpool(tempfile.mkdtemp, prefix="audiometry-upload-")
    try:
        yield Path(folder)
    finally:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)


async def received(request: Request, folder: Path, seconds: float) -> Path:
    """Write the archive that a request carries to a file in `folder`; whoever counts its bytes does so in `receive`.

    Raises HTTPException: 400 for a form that is none, or a sender who went away; 408 after so many `seconds`; 415 for
    a body of another kind; 422 for a form without the file.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (MULTIPART, *RAW_KINDS):
        kinds = ", ".join((MULTIPART, *RAW_KINDS))
        raise HTTPException(
            415, f"send the archive as one of {kinds}; not as {repr(kind) if kind else 'a body of no kind'}"
        )
    archive = folder / "archive"
    try:
        with anyio.fail_after(seconds):
            await (_write_form if kind == MULTIPART else _write_body)(request, archive)
    except TimeoutError as error:
        raise HTTPException(408, f"the upload took more than {seconds:g} s; send it again") from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload broke off") from error
    return archive


async def _write_body(request: Request, archive: Path) -> None:
    async with await anyio.open_file(archive, "wb") as file:
        async for piece in request.stream():
            await file.write(piece)


async def _write_form(request: Request, archive: Path) -> None:
    async with request.form(max_files=1, max_fields=0) as form:
        upload = form.get(FIELD)
        if not isinstance(upload, UploadFile):
            raise HTTPException(
                422, f"the form holds no file {FIELD!r}; send one, as in: curl --form {FIELD}=@model.zip"
            )
        async with await anyio.open_file(archive, "wb") as file:
            while piece := await upload.read(PIECE):
                await file.write(piece)
