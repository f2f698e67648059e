"""Tokens: what is kept, what opens, what is said to whom."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import SettingError, UnknownNameError
from audiometry.benchmark.schema import TOKENS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, tokens


def end(store: Store, token: str, **times: datetime) -> None:
    with store.writing() as connection:
        connection.execute(sa.update(TOKENS).where(TOKENS.c.id == token).values(**times))


def identity(secret: str) -> str:
    return secret.split("_")[1]


def test_a_token_opens_for_its_name_and_role(api_store: Store) -> None:
    for role in tokens.ROLES:
        text = tokens.create(api_store, f"the {role}", role)
        assert re.fullmatch(r"am_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", text)
        assert tokens.verify(api_store, text) == tokens.Actor(f"the {role}", role, identity(text))
        assert tokens.verify(api_store, f" {text}\n").role == role  # as it is pasted


def test_only_the_hash_of_the_secret_is_kept(api_store: Store) -> None:
    text = tokens.create(api_store, "ci", "viewer")
    secret = text.split("_", 2)[2]
    with api_store.reading() as connection:
        (row,) = connection.execute(sa.select(TOKENS)).all()
        entries = connection.execute(sa.text("SELECT * FROM audit_log")).all()
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(row)
    assert secret not in repr(entries)
    assert row.digest not in repr(entries)
    assert secret not in repr(tokens.listing(api_store))
    assert row.digest not in repr(tokens.listing(api_store))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: "am_",
        lambda text: "hello",
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.replace("am_", "xx_"),
        lambda text: text.replace(identity(text), "0" * 16),
        lambda text: text.replace(identity(text), "' OR 1=1 --"),
        lambda text: f"am_{identity(text)}_",
        lambda text: f"am_{'0' * 16}_",  # nobody's id with the secret that it is compared with
        lambda text: "am_" + "é" * 16 + "_\x00\ud800",
        lambda text: text * 1000,
    ],
)
def test_a_wrong_token_opens_nothing_and_is_told_nothing_more(api_store: Store, spoil) -> None:  # type: ignore[no-untyped-def]
    text = tokens.create(api_store, "ci", "viewer")
    with pytest.raises(tokens.TokenError, match="wrong") as caught:
        tokens.verify(api_store, spoil(text))
    assert caught.value.reason == "wrong"


def test_what_ended_says_so_to_the_holder_of_the_secret_alone(api_store: Store) -> None:
    past = datetime.now(UTC) - timedelta(days=2)
    for reason, times in (("expired", {"expires": past}), ("revoked", {"revoked": past, "expires": past})):
        text = tokens.create(api_store, reason, "maintainer")
        end(api_store, identity(text), **times)
        with pytest.raises(tokens.TokenError, match=f"{reason} on {past:%Y-%m-%d}") as caught:
            tokens.verify(api_store, text)
        assert caught.value.reason == reason
        with pytest.raises(tokens.TokenError, match="wrong") as caught:
            tokens.verify(api_store, f"am_{identity(text)}_guess")
        assert caught.value.reason == "wrong"


def test_a_token_works_until_its_end(api_store: Store) -> None:
    text = tokens.create(api_store, "ci", "viewer", datetime.now(UTC) + timedelta(hours=1))
    assert tokens.verify(api_store, text).name == "ci"
    end(api_store, identity(text), expires=datetime.now(UTC))
    with pytest.raises(tokens.TokenError, match="expired"):
        tokens.verify(api_store, text)


def test_revoking_twice_is_revoking_once(api_store: Store) -> None:
    text = tokens.create(api_store, "ci", "viewer")
    ann, bob = (tokens.Actor(name, "maintainer", name * 5) for name in ("ann", "bob"))
    first = tokens.revoke(api_store, identity(text), by=ann)
    assert first.revoked is not None
    assert tokens.revoke(api_store, identity(text), by=bob).revoked == first.revoked
    with pytest.raises(tokens.TokenError, match="revoked"):
        tokens.verify(api_store, text)
    assert [(one.actor, one.action, one.detail) for one in audit.entries(api_store)] == [
        ("ann", "token revoked", {"with_token": "annannannannann"}),
        ("command line", "token created", {"name": "ci", "role": "viewer", "expires": None}),
    ]


def test_a_token_that_is_not_there_cannot_be_revoked(api_store: Store) -> None:
    with pytest.raises(UnknownNameError, match="there is no token 'x'; list them"):
        tokens.revoke(api_store, "x")


@pytest.mark.parametrize("name", ["", "  ", "x" * 201, "two\nlines", "nul\x00"])
def test_a_name_is_one_line(api_store: Store, name: str) -> None:
    with pytest.raises(SettingError, match="name"):
        tokens.create(api_store, name, "viewer")


def test_a_role_is_one_of_four(api_store: Store) -> None:
    with pytest.raises(SettingError, match="no role 'root'; take one of: viewer, submitter, maintainer, auditor"):
        tokens.create(api_store, "ci", "root")
    assert tokens.listing(api_store) == []


@pytest.mark.parametrize(
    "expires",
    [datetime.now(UTC), datetime.now(UTC) + timedelta(days=4000), datetime(2999, 1, 1)],
)
def test_an_end_lies_ahead_and_has_a_zone(api_store: Store, expires: datetime) -> None:
    with pytest.raises(SettingError, match="ends between now and 3650 days"):
        tokens.create(api_store, "ci", "viewer", expires)


def test_the_last_use_is_kept_to_the_minute(api_store: Store) -> None:
    text = tokens.create(api_store, "ci", "viewer")
    assert tokens.listing(api_store)[0].last_used is None
    tokens.verify(api_store, text)
    first = tokens.listing(api_store)[0].last_used
    assert first is not None
    assert abs(datetime.now(UTC) - first) < timedelta(seconds=30)
    tokens.verify(api_store, text)
    assert tokens.listing(api_store)[0].last_used == first
    end(api_store, identity(text), last_used=first - timedelta(seconds=61))
    tokens.verify(api_store, text)
    assert tokens.listing(api_store)[0].last_used >= first  # type: ignore[operator]


def test_the_listing_is_newest_first(api_store: Store) -> None:
    texts = [tokens.create(api_store, name, "viewer") for name in "abc"]
    assert [token.id for token in tokens.listing(api_store)] == [identity(text) for text in reversed(texts)]


@pytest.mark.parametrize(
    ("role", "deeds"),
    [
        ("viewer", {"read"}),
        ("submitter", {"read", "submit"}),
        ("maintainer", {"read", "submit", "read everything", "list tokens", "manage tokens"}),
        ("auditor", {"read", "read everything", "list tokens", "read the audit log"}),
        ("nobody", set()),
    ],
)
def test_what_each_role_may(role: str, deeds: set[str]) -> None:
    actor = tokens.Actor("x", role, "0" * 16)
    assert {deed for deed in tokens.MAY if actor.may(deed)} == deeds


@given(st.integers(1, 500), st.sampled_from("hdw"))
def test_a_life_is_a_number_and_a_unit(number: int, unit: str) -> None:
    hours = {"h": 1, "d": 24, "w": 168}[unit]
    assert tokens.lifetime(f"{number}{unit}") == timedelta(hours=number * hours)


@pytest.mark.parametrize(
    "text", ["", "0d", "3651d", "99999999999d", "-3d", "3", "d", "3 d", "3m", "٣d", "1.5d", "Never"]
)
def test_anything_else_is_no_life(text: str) -> None:
    with pytest.raises(SettingError, match="is no life of a token"):
        tokens.lifetime(text)
