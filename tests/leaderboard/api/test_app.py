"""The application: who gets in, what is said to whom, what is sent with every answer."""

from __future__ import annotations


def test_it_says_that_it_is_well_to_anybody(client) -> None:  # type: ignore[no-untyped-def]
    answer = client(None).get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_me(client) -> None:  # type: ignore[no-untyped-def]
    answer = client("viewer").get("/me")
    assert answer.json()["role"] == "viewer"
    print(client("maintainer").get("openapi.json").text[:3000])
    print(client("maintainer").get("results").text, client(None).get("results").headers)
