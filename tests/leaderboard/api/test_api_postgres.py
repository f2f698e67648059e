"""The interface over PostgreSQL: every kind of query that it makes, once."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit

RUN = "20261122-155501-ab12cd34"


@pytest.mark.slow
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_every_route_on_postgresql(
    client: Callable[..., TestClient], keys: dict[str, str], api_store: Store, add_run: Any, usual_texts: Any
) -> None:
    add_run(usual_texts)
    add_run({"poor": usual_texts["poor"]}, run_id="older", created="2026-01-01T00:00:00+00:00")
    viewer, submitter, maintainer, auditor = (client(role) for role in keys)
    assert viewer.get("health").json()["status"] == "ok"
    assert viewer.get("me").json()["role"] == "viewer"

    rows: list[Any] = []
    page: int | None = 0
    while page is not None:
        answer = viewer.get("results", params={"limit": 7, "page": page}).json()
        rows, page = rows + answer["results"], answer["next"]
    expected = api_store.results()
    assert len(rows) == len(expected) == 40
    assert {row["run"] for row in rows} == {RUN}
    assert len(viewer.get("results?limit=1000&latest=false").json()["results"]) == 48
    assert viewer.get("results?model=%00").status_code == 422
    assert viewer.get("results", params={"model": "\U0001f600' OR 1=1 --"}).json()["results"] == []
    assert len(viewer.get("export?format=json&metric=wer").json()) == 20
    assert [row["id"] for row in viewer.get("runs").json()["runs"]] == [RUN, "older"]
    assert viewer.get("runs?page=2147483647").json() == {"runs": [], "next": None}
    assert viewer.get("results?page=2147483647").json()["results"] == []
    assert auditor.get("audit?page=2147483647").status_code == 200
    assert viewer.get("results?page=2147483648").status_code == 422
    assert len(viewer.get(f"runs/{RUN}").json()["models"]) == 5
    assert viewer.get("compare?a=older&b=nothing").status_code == 404

    made = maintainer.post("tokens", json={"name": "é\U0001f600", "role": "viewer"})
    assert made.status_code == 201
    identity = made.json()["token"].split("_")[1]
    assert maintainer.delete(f"tokens/{identity}").status_code == 200
    assert viewer.get("me", headers={"Authorization": f"Bearer {made.json()['token']}"}).status_code == 401
    assert len(auditor.get("tokens").json()["tokens"]) == 5
    assert viewer.delete("tokens/%00").status_code == 403

    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        text = "name: Mine\nadapter: pocketsphinx\nlicence: MIT\ntraining_data: []\ncontact: me@example.org\n"
        archive.writestr("audiometry.yaml", text)
    sent = submitter.post("submissions", content=sink.getvalue(), headers={"Content-Type": "application/zip"})
    assert sent.status_code == 201
    assert submitter.post("submissions", files={"file": b"rubbish"}).status_code == 422
    assert submitter.get(f"submissions/{sent.json()['id']}").json() == sent.json()
    assert [row["state"] for row in viewer.get("submissions").json()["submissions"]] == ["rejected", "queued"]
    found = auditor.get("audit", params={"since": "2026-01-01T00:00:00+02:00"}).json()["entries"]
    assert [entry["action"] for entry in found[:3]] == ["submission refused", "submitted", "access refused"]
    assert len(found) == len(audit.entries(api_store)) == 10
