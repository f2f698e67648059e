"""Tokens: the keys of people and programs, with a role, an end and a way to take them back.

A token is ``am_<id>_<secret>``. It is shown once, when it is made; the store keeps the SHA-256 of its secret, which is
32 random bytes, so that guessing is hopeless and a slow hash adds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from audiometry.benchmark.errors import SettingError, UnknownNameError, UserError
from audiometry.benchmark.schema import TOKENS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit

__all__ = [
    "MAY", "ROLES", "Actor", "Deed", "Token", "TokenError", "create", "lifetime", "listing", "revoke", "verify",
]  # fmt: skip

ROLES = ("viewer", "submitter", "maintainer", "auditor")
"""A viewer reads, a submitter also submits, a maintainer also makes and revokes tokens and sees everybody's
submissions whole; an auditor reads everything, the audit log too, and changes nothing."""

Deed = Literal["read", "submit", "read everything", "list tokens", "manage tokens", "read the audit log"]

MAY: Mapping[Deed, tuple[str, ...]] = {
    "read": ROLES,
    "submit": ("submitter", "maintainer"),
    "read everything": ("maintainer", "auditor"),
    "list tokens": ("maintainer", "auditor"),
    "manage tokens": ("maintainer",),
    "read the audit log": ("auditor",),
}
"""What each role may do: deed → roles."""

COMMAND_LINE = "command line"
PREFIX = "am"
SECRET_BYTES = 32
LONGEST_NAME = 200
LONGEST_TOKEN = 200
LONGEST_LIFE = timedelta(days=3650)
TOUCH = timedelta(minutes=1)
"""The time of the last use is kept to the minute: a write for every request would make readers wait for writers."""

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

Reason = Literal["wrong", "expired", "revoked"]


class TokenError(UserError):
    """A token that opens nothing. `reason` is ``wrong``, ``expired`` or ``revoked``.

    ``wrong`` is all that is said to one who does not hold the secret.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


@dataclass(frozen=True, slots=True)
class Actor:
    """Who holds a token that was found good: its name and role, and the public id of the token."""

    name: str
    role: str
    token: str

    def may(self, deed: Deed) -> bool:
        """Whether the role allows a deed.

        >>> Actor("ci", "submitter", "0" * 16).may("submit"), Actor("ci", "viewer", "0" * 16).may("submit")
        (True, False)
        """
        return self.role in MAY[deed]


@dataclass(frozen=True, slots=True)
class Token:
    """What may be shown of a token: everything but its secret."""

    id: str
    name: str
    role: str
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


def create(store: Store, name: str, role: str, expires: datetime | None = None, *, by: Actor | None = None) -> str:
    """Make a token and return it: the only time that its secret is seen. `by` is who makes it, for the audit log
    (default: who has the command line).

    Raises SettingError for a name that is empty, too long or of more than one line, a role that is none, and an end
    that is past or has no zone.
    """
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingError(f"a token's name is one line of 1 to {LONGEST_NAME} printable characters; give another")
    if role not in ROLES:
        raise SettingError(f"there is no role {role!r}; take one of: {', '.join(ROLES)}")
    now = datetime.now(UTC)
    if expires is not None and (expires.tzinfo is None or not now < expires <= now + LONGEST_LIFE):
        raise SettingError(
            f"a token ends between now and {LONGEST_LIFE.days} days from now, and its end has a time zone; "
            f"{expires.isoformat()} does not do"
        )
    token, secret = secrets.token_hex(8), secrets.token_urlsafe(SECRET_BYTES)
    row = {"id": token, "name": name, "role": role, "digest": _digest(secret), "created": now, "expires": expires}
    ends = None if expires is None else expires.isoformat()
    with store.writing() as connection:
        connection.execute(sa.insert(TOKENS), row)
        _note(connection, by, "token created", token, {"name": name, "role": role, "expires": ends})
    return f"{PREFIX}_{token}_{secret}"


def verify(store: Store, text: str) -> Actor:
    """Who holds the token `text`.

    The secret is compared in constant time, and for an id that nobody has as for one that somebody has.

    Raises TokenError; that a token is expired or revoked is said only to one who holds its secret.
    """
    parts = text.strip().split("_", 2) if len(text) <= LONGEST_TOKEN and text.isascii() else []
    prefix, token, secret = parts if len(parts) == 3 else ("", "", "")
    row = None
    if prefix == PREFIX and re.fullmatch("[0-9a-f]{16}", token):
        with store.reading() as connection:
            row = connection.execute(sa.select(TOKENS).where(TOKENS.c.id == token)).one_or_none()
    right = hmac.compare_digest(_digest(secret), _digest("") if row is None else row.digest)
    if row is None or not right:
        raise TokenError("wrong", "this token is wrong; copy it whole, or ask a maintainer for one")
    now = datetime.now(UTC)
    if row.revoked is not None:
        raise TokenError("revoked", f"this token was revoked on {row.revoked:%Y-%m-%d}; ask a maintainer for another")
    if row.expires is not None and row.expires <= now:
        raise TokenError("expired", f"this token expired on {row.expires:%Y-%m-%d}; ask a maintainer for another")
    if row.last_used is None or now - row.last_used >= TOUCH:
        with store.writing() as connection:
            connection.execute(sa.update(TOKENS).where(TOKENS.c.id == token).values(last_used=now))
    return Actor(row.name, row.role, token)


def revoke(store: Store, token: str, *, by: Actor | None = None) -> Token:
    """Take back the token with the id `token`, from now on; one that was revoked already stays as it was.

    Raises UnknownNameError if there is none.
    """
    changed = sa.update(TOKENS).where(TOKENS.c.id == token, TOKENS.c.revoked.is_(None))
    with store.writing() as connection:
        if connection.execute(changed.values(revoked=datetime.now(UTC))).rowcount:
            _note(connection, by, "token revoked", token, {})
        row = connection.execute(_shown().where(TOKENS.c.id == token)).mappings().one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no token {token!r}; list them with: audiometry token list")
    return Token(**row)


def listing(store: Store) -> list[Token]:
    """Every token, newest first."""
    query = _shown().order_by(TOKENS.c.created.desc(), TOKENS.c.id)
    with store.reading() as connection:
        return [Token(**row) for row in connection.execute(query).mappings()]


def lifetime(text: str) -> timedelta | None:
    """A life such as ``12h``, ``30d`` or ``4w``; None for ``never``.

    Raises SettingError for anything else, and for one of nothing or of more than ten years.

    >>> lifetime("30d"), lifetime("never")
    (datetime.timedelta(days=30), None)
    """
    if text == "never":
        return None
    found = re.fullmatch(r"([0-9]{1,6})([hdw])", text, re.ASCII)
    life = int(found[1]) * UNITS[found[2]] if found else timedelta(0)
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise SettingError(
            f"{text!r} is no life of a token; give hours, days or weeks up to ten years, as 12h, 30d or 4w, or never"
        )
    return life


def _shown() -> sa.Select[tuple[object, ...]]:
    return sa.select(*(column for column in TOKENS.c if column.name != "digest"))


def _note(connection: sa.Connection, by: Actor | None, action: str, token: str, detail: Mapping[str, object]) -> None:
    if by is None:
        audit.record(connection, COMMAND_LINE, action, token, detail)
    else:
        audit.record(connection, by.name, action, token, {**detail, "with_token": by.token})


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
