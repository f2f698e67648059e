"""The command line's side of the HTTP interface: sending a submission to a server, and following it there."""

from __future__ import annotations

import http.client
import json
import math
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from audiometry.benchmark.errors import UserError
from audiometry.leaderboard.submissions.checks import Checked
from audiometry.leaderboard.submissions.errors import SubmissionError

__all__ = ["Server", "pack", "send"]

PREFIX = "/api/v1"
SECONDS = 600.0
"""How long an answer may take: a large submission is checked before it comes."""

PATIENCE_SECONDS = 1800.0
"""How long a server that is busy is asked again, in all."""

BUSY = (429, 503)
"""Statuses of a server that asks to come again; ``Retry-After`` says when."""

SHORTEST_WAIT, USUAL_WAIT, LONGEST_WAIT = 1.0, 5.0, 300.0
TOLD_SECONDS = 60.0
"""How often it is told that a server is waited for."""

REFUSED = (400, 413, 415, 422)
"""Statuses that are about what was sent."""

PLAIN = frozenset({".safetensors", ".bin"})
"""Weights, which hardly shrink."""


class Server:
    """A server of submissions at `url`, asked with a token. No redirect is followed: the token is for this server."""

    def __init__(self, url: str, token: str) -> None:
        """Raises UserError for a URL or token that is none."""
        try:
            parts = urlsplit(url if "//" in url else f"//{url}", scheme="https")
            port = parts.port
        except ValueError as error:
            raise UserError(f"--server {url!r}: {error}; write https://HOST[:PORT]") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UserError(f"--server {url!r} is no address of a server; write https://HOST[:PORT]")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise UserError(f"--server {url!r}: the token would go over the network unencrypted; use https")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise UserError("a server wants a token: set AUDIOMETRY_TOKEN to the one that you were given (am_…)")
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._token = parts.hostname, port, token
        self._path = parts.path.rstrip("/").removesuffix(PREFIX) + PREFIX

    def submit(self, archive: Path) -> dict[str, Any]:
        """Send an archive; returns the submission as the server shows it.

        Raises SubmissionError with the server's reason, UserError where the server cannot be asked.
        """
        with archive.open("rb") as body:
            headers = {"Content-Type": "application/zip", "Content-Length": str(archive.stat().st_size)}
            return self._ask("POST", "/submissions", body, headers)

    def submission(self, submission: str) -> dict[str, Any]:
        """One submission with its events."""
        return self._ask("GET", f"/submissions/{quote(submission, safe='')}")

    def submissions(self, *, state: str | None, limit: int) -> list[dict[str, Any]]:
        """Submissions, newest first."""
        asked = {"limit": limit} | ({"state": state} if state else {})
        rows: list[dict[str, Any]] = self._ask("GET", f"/submissions?{urlencode(asked)}")["submissions"]
        return rows

    def _ask(
        self, method: str, path: str, body: IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Ask until the server has time, for `PATIENCE_SECONDS` at most."""
        given = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", **(headers or {})}
        deadline, told = time.monotonic() + PATIENCE_SECONDS, -math.inf
        while True:
            status, content, wait = self._once(method, path, body, given)
            now = time.monotonic()
            if status not in BUSY or now + wait > deadline:
                return _document(status, content, self._host)
            if now - told >= TOLD_SECONDS:
                print(f"{self._host} is busy; asking again in {wait:.0f} s", file=sys.stderr, flush=True)
                told = now
            time.sleep(wait * random.uniform(1.0, 1.25))  # many that wait should not come back at once

    def _once(
        self, method: str, path: str, body: IO[bytes] | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, float]:
        """Ask once: the status, the answer, and the seconds after which to ask again.

        Raises UserError where there is no answer. A server that cut off what was being sent, and whose answer was lost
        with that, is taken for a busy one: it has taken nothing.
        """
        cut = False
        try:
            with closing(self._kind(self._host, self._port, timeout=SECONDS)) as connection:
                if body is not None:
                    body.seek(0)
                try:
                    connection.request(method, self._path + path, body=body, headers=dict(headers))
                except (BrokenPipeError, ConnectionResetError):  # it may refuse before it has read everything
                    cut = connection.sock is not None
                answer = connection.getresponse()
                return answer.status, answer.read(), _seconds(answer.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            if cut:
                lost = json.dumps({"detail": f"it cut off what was sent ({reason})"})
                return 503, lost.encode(), USUAL_WAIT
            raise UserError(f"cannot reach the server {self._host}: {reason}; check --server, or try again") from error


def pack(folder: Path, checked: Checked, archive: IO[bytes]) -> None:
    """Write the files of a checked folder, and no others, to a zip archive."""
    with zipfile.ZipFile(archive, "w") as packed:
        for file in checked.files:
            path = folder / file.path
            kind = zipfile.ZIP_STORED if path.suffix in PLAIN else zipfile.ZIP_DEFLATED
            packed.write(path, file.path, compress_type=kind)


def send(server: Server, folder: Path, checked: Checked) -> dict[str, Any]:
    """Pack a checked folder and send it; returns the submission as the server shows it."""
    with tempfile.NamedTemporaryFile(prefix="audiometry-", suffix=".zip") as archive:
        pack(folder, checked, archive)
        archive.flush()
        return server.submit(Path(archive.name))


def _seconds(header: str | None) -> float:
    """What ``Retry-After`` says, within reason.

    >>> _seconds("7"), _seconds(None), _seconds("0"), _seconds("Wed, 21 Oct 2026 07:28:00 GMT"), _seconds("9" * 9)
    (7.0, 5.0, 1.0, 5.0, 300.0)
    """
    if header is None or not header.isascii() or not header.isdigit():
        return USUAL_WAIT
    return min(max(float(header[:9]), SHORTEST_WAIT), LONGEST_WAIT)


def _document(status: int, content: bytes, host: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise UserError(f"{host} answered {status} and nothing that is understood; is it an Audiometry server?")
    if status < 300:
        return document
    detail = " ".join(str(document.get("detail", f"status {status}")).split())
    raise SubmissionError(detail) if status in REFUSED else UserError(f"{host}: {detail}")
