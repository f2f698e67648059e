"""Tokens and the audit log over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, tokens

Client = Callable[..., TestClient]


def test_me(client: Client, keys: dict[str, str]) -> None:
    for role, key in keys.items():
        assert client(role).get("me").json() == {"name": f"the {role}", "role": role, "token": key.split("_")[1]}


def test_a_maintainer_makes_a_token_that_works(client: Client, api_store: Store) -> None:
    maintainer = client("maintainer")
    answer = maintainer.post("tokens", json={"name": "ci", "role": "submitter", "expires": "30d"})
    assert answer.status_code == 201
    text = answer.json()["token"]
    assert tokens.verify(api_store, text).role == "submitter"
    (made,) = [token for token in tokens.listing(api_store) if token.name == "ci"]
    assert made.expires is not None
    assert abs(made.expires - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=1)
    entry = audit.entries(api_store, action="token created")[0]
    assert (entry.actor, entry.subject, entry.detail["role"]) == ("the maintainer", made.id, "submitter")
    assert entry.detail["with_token"] == maintainer.get("me").json()["token"]


def test_a_token_lives_ninety_days_unless_told(client: Client, api_store: Store) -> None:
    client("maintainer").post("tokens", json={"name": "usual", "role": "viewer"})
    client("maintainer").post("tokens", json={"name": "forever", "role": "viewer", "expires": "never"})
    ends = {token.name: token.expires for token in tokens.listing(api_store)}
    assert ends["usual"] is not None
    assert abs(ends["usual"] - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)
    assert ends["forever"] is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"role": "viewer"}, "body name: Field required"),
        ({"name": "x", "role": "root"}, "body role: Input should be 'viewer', 'submitter', 'maintainer' or 'auditor'"),
        ({"name": "x", "role": "viewer", "expires": "soon"}, "body expires: String should match pattern"),
        ({"name": "x", "role": "viewer", "expires": "999999w"}, "'999999w' is no life of a token"),
        ({"name": "x\ny", "role": "viewer"}, "a token's name is one line"),
        ({"name": "x", "role": "viewer", "digest": "0"}, "body digest: Extra inputs are not permitted"),
    ],
)
def test_a_token_that_cannot_be(client: Client, api_store: Store, body: dict[str, str], said: str) -> None:
    answer = client("maintainer").post("tokens", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)
    assert len(tokens.listing(api_store)) == 4


def test_revoking_over_http(client: Client, keys: dict[str, str]) -> None:
    viewer, maintainer = client("viewer"), client("maintainer")
    identity = keys["viewer"].split("_")[1]
    assert viewer.get("me").status_code == 200
    first = maintainer.delete(f"tokens/{identity}")
    assert (first.status_code, first.json()["id"]) == (200, identity)
    assert maintainer.delete(f"tokens/{identity}").json()["revoked"] == first.json()["revoked"]
    ended = viewer.get("me")
    assert ended.status_code == 401
    assert "revoked" in ended.json()["detail"]
    assert maintainer.delete(f"tokens/{'0' * 16}").status_code == 404
    assert maintainer.delete("tokens/x").status_code == 422


def test_the_list_shows_no_secret(client: Client, keys: dict[str, str]) -> None:
    for role in ("maintainer", "auditor"):
        answer = client(role).get("tokens")
        assert [one["role"] for one in answer.json()["tokens"]] == list(reversed(tokens.ROLES))
        assert "digest" not in answer.text
        for key in keys.values():
            assert key.split("_", 2)[2] not in answer.text


def test_the_audit_log_is_read_page_by_page(client: Client) -> None:
    maintainer, auditor = client("maintainer"), client("auditor")
    for number in range(3):
        maintainer.post("tokens", json={"name": f"t{number}", "role": "viewer"})
    found: list[int] = []
    page: int | None = 0
    while page is not None:
        answer = auditor.get("audit", params={"limit": 2, "page": page}).json()
        found += [entry["id"] for entry in answer["entries"]]
        page = answer["next"]
    assert found == [7, 6, 5, 4, 3, 2, 1]
    mine = auditor.get("audit", params={"by": "the maintainer", "action": "token created"}).json()["entries"]
    assert [entry["detail"]["name"] for entry in mine] == ["t2", "t1", "t0"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert auditor.get("audit", params={"since": later}).json() == {"entries": [], "next": None}
