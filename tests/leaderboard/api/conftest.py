"""A store of a test's own, an application over it, and a token of each role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import tokens
from audiometry.leaderboard.api.app import create_app
from audiometry.leaderboard.api.limits import ApiLimits, Rate

PLENTY = Rate(1e9, 10**6)
"""A rate that no test comes up to."""


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store: SQLite, or PostgreSQL where a test asks for that."""
    if getattr(request, "param", "sqlite") == "postgresql":
        url = str(request.getfixturevalue("postgres_url"))
    else:
        url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("AUDIOMETRY_STORE", url)
    return url


@pytest.fixture
def api_store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as store:
        yield store


@pytest.fixture
def keys(api_store: Store) -> dict[str, str]:
    """A token of each role, by role; its holder is called after it."""
    return {role: tokens.create(api_store, f"the {role}", role) for role in tokens.ROLES}


Client = Callable[..., TestClient]


@pytest.fixture
def client(store_url: str, keys: dict[str, str], tmp_path: Path) -> Iterator[Client]:
    """Makes a client with the token of a role (or none), over an application with some limits."""
    opened: list[TestClient] = []

    def make(role: str | None = "viewer", *, origins: tuple[str, ...] = (), **limits: Any) -> TestClient:
        plenty = {"address": PLENTY, "token": PLENTY, "uploads": PLENTY}
        app = create_app(store_url, str(tmp_path / "artefacts"), limits=ApiLimits(**plenty | limits), origins=origins)
        headers = {} if role is None else {"Authorization": f"Bearer {keys[role]}"}
        made = TestClient(app, base_url="http://testserver/api/v1", headers=headers)
        made.__enter__()
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.__exit__(None, None, None)
