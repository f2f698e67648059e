"""The application: who gets in, what is said to whom, what is sent with every answer, how much and how often."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import TOKENS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, routes_results, tokens
from audiometry.leaderboard.api.limits import Rate
from audiometry.leaderboard.api.problems import HEADERS

Client = Callable[..., TestClient]

FORBIDDEN = {
    ("viewer", "post", "submissions"), ("auditor", "post", "submissions"),
    ("viewer", "get", "tokens"), ("submitter", "get", "tokens"),
    ("viewer", "post", "tokens"), ("submitter", "post", "tokens"), ("auditor", "post", "tokens"),
    ("viewer", "delete", f"tokens/{'0' * 16}"), ("submitter", "delete", f"tokens/{'0' * 16}"),
    ("auditor", "delete", f"tokens/{'0' * 16}"),
    ("viewer", "get", "audit"), ("submitter", "get", "audit"), ("maintainer", "get", "audit"),
}  # fmt: skip
"""Everything that a role may not do."""

BODIES = {"tokens": {"name": "x", "role": "viewer"}}


def ask(client: TestClient, method: str, path: str) -> int:
    body = BODIES.get(path) if method == "post" else None
    return client.request(method, path, json=body).status_code


def test_it_says_that_it_is_well_to_anybody(client: Client) -> None:
    answer = client(None).get("health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_nothing_else_is_done_without_a_token(client: Client) -> None:
    stranger = client(None)
    document = stranger.get("openapi.json").json()
    asked = 0
    for path, methods in document["paths"].items():
        if path == "/api/v1/health":
            continue
        for method in methods:
            place = path.removeprefix("/api/v1/").replace("{token}", "0" * 16)
            answer = stranger.request(method, place, json=BODIES.get(place) if method == "post" else None)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="audiometry"'
            assert answer.json() == {"detail": "this needs a token: send the header Authorization: Bearer am_…"}
            asked += 1
    assert asked == 13


@pytest.mark.parametrize("header", ["Basic am_x", "Bearer", "Bearer nonsense", "am_0000000000000000_x", "Bearer \xe9"])
def test_what_is_no_token_is_refused(client: Client, header: str) -> None:
    answer = client(None).get("me", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_ended_token_says_how_it_ended_to_its_holder_alone(
    client: Client, api_store: Store, keys: dict[str, str]
) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    for role, column in (("viewer", "expires"), ("submitter", "revoked")):
        identity = keys[role].split("_")[1]
        with api_store.writing() as connection:
            connection.execute(sa.update(TOKENS).where(TOKENS.c.id == identity).values(**{column: past}))
        answer = client(role).get("me")
        assert answer.status_code == 401
        assert f"{column.removesuffix('s')}" in answer.json()["detail"]
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        guess = client(None).get("me", headers={"Authorization": f"Bearer am_{identity}_guess"})
        assert guess.status_code == 401
        assert "wrong" in guess.json()["detail"]


def test_each_role_may_what_it_may_and_no_more(client: Client, api_store: Store) -> None:
    paths = {(method, path) for _, method, path in FORBIDDEN} | {
        ("get", path) for path in ("me", "runs", "results", "export", "submissions")
    }
    for role in tokens.ROLES:
        holder = client(role)
        for method, path in sorted(paths):
            assert (ask(holder, method, path) == 403) == ((role, method, path) in FORBIDDEN), (role, method, path)
    refused = audit.entries(api_store, action="access refused")
    assert len(refused) == len(FORBIDDEN)
    assert {(one.actor, one.subject) for one in refused} == {
        (f"the {role}", f"{method.upper()} /api/v1/{path}") for role, method, path in FORBIDDEN
    }


@pytest.fixture
def broken(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client that sees what the server says when something unforeseen happens in it."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(routes_results, "read_runs", fail)
    inner = client("viewer")
    with TestClient(
        inner.app, base_url=inner.base_url, headers=inner.headers, raise_server_exceptions=False
    ) as careless:  # fmt: skip
        yield careless


def test_every_answer_carries_the_security_headers(client: Client, broken: TestClient) -> None:
    viewer = client("viewer", json_bytes=100, address=Rate(1, 5))
    answers = [
        viewer.get("me"), viewer.get("nothing"), viewer.put("me"), viewer.get("results?limit=0"),
        viewer.post("tokens", content=b"x" * 101), viewer.get("me"), client(None).get("me"), broken.get("runs"),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 404, 405, 422, 413, 429, 401, 500]
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert answer.status_code == 200 or list(answer.json()) == ["detail"]


def test_an_unforeseen_error_tells_nothing(broken: TestClient) -> None:
    answer = broken.get("runs")
    assert answer.status_code == 500
    assert answer.json() == {"detail": "this is a fault of the server; its log says more"}


def test_a_store_that_is_away_is_told_without_its_whereabouts(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("results store 'postgresql://me:hunter2@host/db': gone")

    monkeypatch.setattr(routes_results, "read_runs", fail)
    answer = client().get("runs")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {"detail": "the results store cannot be reached; try again in a moment"}
    assert "hunter2" not in caplog.text
    assert "gone" in caplog.text


def test_no_web_page_may_call_by_default(client: Client) -> None:
    origin = {"Origin": "https://pages.example"}
    asked = origin | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answers = [client().get("me", headers=origin), client().options("me", headers=asked)]
    assert [answer.status_code for answer in answers] == [200, 405]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


def test_web_pages_that_are_named_may_call(client: Client) -> None:
    friendly = client(origins=("https://pages.example",))
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    before = friendly.options("me", headers=asked | {"Origin": "https://pages.example"})
    assert before.status_code == 200
    assert before.headers["Access-Control-Allow-Origin"] == "https://pages.example"
    other = friendly.get("me", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert "Access-Control-Allow-Credentials" not in before.headers


def test_a_token_has_a_rate_of_its_own(client: Client, keys: dict[str, str]) -> None:
    viewer = client("viewer", token=Rate(per_minute=6, burst=3))
    answers = [viewer.get("me") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 10
    assert "too many requests with this token; try again in" in answers[3].json()["detail"]
    other = viewer.get("me", headers={"Authorization": f"Bearer {keys['auditor']}"})
    assert other.status_code == 200


def test_an_address_has_a_rate_whatever_it_sends(client: Client, keys: dict[str, str]) -> None:
    stranger = client(None, address=Rate(per_minute=6, burst=3))
    answers = [stranger.get("health"), stranger.get("me"), stranger.get("nothing"), stranger.get("health")]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 10
    holder = stranger.get("me", headers={"Authorization": f"Bearer {keys['auditor']}"})
    assert holder.status_code == 429


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "101"])
def test_a_length_that_is_too_large_or_none_is_refused_unread(client: Client, length: str) -> None:
    answer = client("maintainer", json_bytes=100).post(
        "tokens", content=b"{}", headers={"Content-Length": length, "Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert answer.json() == {"detail": "the body is larger than the 100 bytes that are taken here"}


def test_a_body_without_a_length_is_counted(client: Client, api_store: Store) -> None:
    before = len(tokens.listing(api_store))
    body = json.dumps({"name": "x", "role": "viewer", "padding": "x" * 200}).encode()
    pieces = (body[start : start + 50] for start in range(0, len(body), 50))
    answer = client("maintainer", json_bytes=100).post(
        "tokens", content=pieces, headers={"Content-Type": "application/json"}
    )
    assert "Content-Length" not in answer.request.headers
    assert answer.status_code == 413
    assert len(tokens.listing(api_store)) == before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("results?modle=x", "query 'modle': no such parameter here; did you mean 'model'? it takes"),
        ("me?x=1", "query 'x': no such parameter here; it takes none"),
        ("results?model=a&model=b", "query 'model': given 2 times; give it once"),
        ("results?limit=1001", "query limit: Input should be less than or equal to 1000"),
        ("results?limit=0", "query limit: Input should be greater than or equal to 1"),
        ("results?page=-1", "query page: Input should be greater than or equal to 0"),
        ("results?page=99999999999999999999", "query page: "),
        ("results?model=%00", "query model: Value error, a text holds no NUL"),
        ("runs/%00", "path run: Value error, a text holds no NUL"),
        ("audit?since=2026-01-01T00:00:00", "query since: Input should have timezone info"),
        ("audit?since=0001-01-01T00:00:00%2B23:59", "query since: Value error, a time lies in the years 1970 to 9000"),
        ("audit?since=9999-12-31T23:59:59-23:59", "query since: Value error, a time lies in the years 1970 to 9000"),
    ],
)
def test_parameters_are_bounded_and_known(client: Client, query: str, said: str) -> None:
    answer = client("auditor").get(query)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)
    assert "\n" not in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422), (b"\xff", 400), (b"[]", 422), (b'{"name": "x", "role": "viewer", "\\ud800": 1}', 422),
        (b'{"name": "\\ud800", "role": "viewer"}', 422), (b"[" * 10_000, 400),
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_is_told_so(client: Client, body: bytes, status: int) -> None:
    answer = client("maintainer").post("tokens", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert list(answer.json()) == ["detail"]


def test_every_operation_documents_what_may_be_answered(client: Client) -> None:
    document = client(None).get("openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            always = {"422", "429", "503"} | (set() if path.endswith("/health") else {"401", "403"})
            assert always <= operation["responses"].keys(), (method, path)
            assert operation["summary"]
            assert operation["description"]
            assert ("security" in operation) == (not path.endswith("/health"))
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path, status)
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description") or parameter["schema"].get("anyOf"), (path, parameter["name"])
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_there_are_no_pages_that_load_scripts_from_elsewhere(client: Client) -> None:
    stranger = client(None)
    for path in ("/docs", "/redoc", "/api/v1/docs"):
        assert stranger.get(f"http://testserver{path}").status_code == 404


def test_a_refused_path_may_hold_anything(client: Client, api_store: Store) -> None:
    assert client("viewer").delete("tokens/" + "%00" * 300).status_code == 403
    (entry,) = audit.entries(api_store, action="access refused")
    assert "\0" not in entry.subject
