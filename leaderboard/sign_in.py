"""Signing in on a page with a token, and sending a submission from it. No page.

A token lives in the memory of the reader's session alone: never in an address, a cookie or a log. It is looked up again
each time that something is done with it, so that revoking it ends the sign-in at once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, tokens
from audiometry.leaderboard.api.limits import ApiLimits, Buckets, Rate, network_of
from audiometry.leaderboard.api.tokens import Actor
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import DEFAULT_LIMITS, Limits
from audiometry.leaderboard.submissions.submit import submit_archive

__all__ = ["PAGE_LIMITS", "UPLOAD_MEBIBYTES", "Door", "Sent", "SignInError", "is_private", "send"]

UPLOAD_MEBIBYTES = 200
"""The largest archive that the page takes, as its server holds it in memory. Larger ones go by the command line."""

PAGE_LIMITS = replace(DEFAULT_LIMITS, archive_bytes=UPLOAD_MEBIBYTES * 2**20)

TRIES = Rate(per_minute=10, burst=10)
"""How often an address may offer a token. Guessing 32 random bytes is hopeless; this spares the store."""

PIECE = 2**20


class SignInError(UserError):
    """A sign-in or an upload that is refused; the message is the reason."""


@dataclass
class Door:
    """What all sessions of a server share: how often addresses may try, and tokens may submit."""

    tries: Buckets = field(default_factory=lambda: Buckets(TRIES))
    uploads: Buckets = field(default_factory=lambda: Buckets(ApiLimits().uploads))

    def enter(self, store: Store, token: str, address: str) -> Actor:
        """Who holds the token.

        Raises TokenError for one that is wrong, expired or revoked, SignInError for an address that tries too often.
        """
        wait = self.tries.take(network_of(address))
        if wait:
            raise SignInError(f"too many tries from this address; try again in {wait:.0f} s")
        return tokens.verify(store, token)

    def take_upload(self, actor: Actor) -> None:
        """Count an upload.

        Raises SignInError where a token submits too often.
        """
        wait = self.uploads.take(actor.token)
        if wait:
            raise SignInError(f"too many submissions with this token; try again in {wait:.0f} s")


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of an upload: the id of the submission (empty where none was kept), and why it was refused."""

    submission: str
    refused: str = ""


def send(
    upload: IO[bytes],
    *,
    store: Store,
    artefacts: ArtefactStore,
    actor: Actor,
    door: Door,
    limits: Limits = PAGE_LIMITS,
) -> Sent:
    """Submit an uploaded archive for `actor`, and put that into the audit log.

    The archive is written to a folder of its own, which is gone at the end whatever happens; a refused one leaves its
    name, state and reason, as `submit_archive` says.

    Raises StoreError where the store or the artefact store fails.
    """
    try:
        if not actor.may("submit"):
            raise SignInError(f"the role of this token, {actor.role}, may not submit; ask a maintainer")
        door.take_upload(actor)
        folder = Path(tempfile.mkdtemp(prefix="audiometry-page-"))
        try:
            archive = folder / "archive"
            _write(upload, archive, limits.archive_bytes)
            found = submit_archive(archive, store=store, artefacts=artefacts, submitter=actor.name, limits=limits)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except (SubmissionError, SignInError) as error:
        kept = getattr(error, "submission", None) or ""
        _note(store, actor, "submission refused", kept, {"reason": str(error)})
        return Sent(kept, str(error))
    _note(store, actor, "submitted", found, {})
    return Sent(found)


def is_private(address: str) -> bool:
    """Whether what is typed on a page at this address stays between reader and server: HTTPS, or the same machine.

    >>> is_private("https://board.example.org/x"), is_private("http://127.0.0.1:8501/"), is_private("http://board/")
    (True, True, False)
    """
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.hostname or "") in ("localhost", "127.0.0.1", "::1")


def _write(upload: IO[bytes], archive: Path, most: int) -> None:
    """Write the upload to a file, piece by piece, counted."""
    taken = 0
    with archive.open("xb") as file:
        while piece := upload.read(PIECE):
            taken += len(piece)
            if taken > most:
                raise SubmissionError(f"the archive has more than {most:,} bytes, the most that this page takes")
            file.write(piece)


def _note(store: Store, actor: Actor, action: str, subject: str, detail: Mapping[str, str]) -> None:
    audit.record(store, actor.name, action, subject, {**detail, "with_token": actor.token, "by": "page"})
