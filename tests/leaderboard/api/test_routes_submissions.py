"""Submissions over HTTP: taken in whole or not at all, and followed by whom they concern."""

from __future__ import annotations

import asyncio
import io
import json
import random
import re
import stat
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.schema import SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, routes_submissions, tokens
from audiometry.leaderboard.api.limits import Rate
from audiometry.leaderboard.submissions.limits import Limits
from audiometry.leaderboard.submissions.queue import Queue

Client = Callable[..., TestClient]

MANIFEST = "name: Mine\nadapter: pocketsphinx\nlicence: MIT\ntraining_data: []\ncontact: me@example.org\n"
ZIP = {"Content-Type": "application/zip"}


def zipped(**files: bytes | str) -> bytes:
    """A zip of a manifest and more files: ``a__b=…`` is the file ``a.b``."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({"audiometry__yaml": MANIFEST} | files).items():
            archive.writestr(name.replace("__", "."), content)
    return sink.getvalue()


def tarred(*, gz: bool = False, link: bool = False) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz" if gz else "w") as archive:
        member = tarfile.TarInfo("audiometry.yaml")
        member.size = len(MANIFEST)
        archive.addfile(member, io.BytesIO(MANIFEST.encode()))
        if link:
            member = tarfile.TarInfo("weights.json")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return sink.getvalue()


def odd_zip(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    sink = io.BytesIO(zipped())
    with zipfile.ZipFile(sink, "a") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, content)
    return sink.getvalue()


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where uploads are worked on; whatever a test sends, nothing is left there."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "artefacts").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (zipped(), "application/zip"), (tarred(), "application/x-tar"), (tarred(gz=True), "application/gzip"),
        (zipped(), "application/octet-stream"), (tarred(), "Application/Zip; x=y"),
    ],
)  # fmt: skip
def test_an_archive_is_taken_as_it_is(
    client: Client, api_store: Store, tmp_path: Path, content: bytes, kind: str
) -> None:
    submitter = client("submitter")
    answer = submitter.post("submissions", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 201, answer.text
    sent = answer.json()
    assert (sent["name"], sent["submitter"], sent["state"], sent["suite"]) == (
        "Mine",
        "the submitter",
        "queued",
        "core",
    )
    assert answer.headers["Location"] == f"/api/v1/submissions/{sent['id']}"
    assert submitter.get(f"http://testserver{answer.headers['Location']}").json() == sent
    assert [event["state"] for event in sent["events"]] == ["received", "checked", "queued"]
    assert [path.name for path in kept(tmp_path)] == [file["sha256"] for file in sent["files"]]
    assert Queue(api_store).lease("worker", 60) is not None
    (entry,) = audit.entries(api_store, action="submitted")
    assert (entry.actor, entry.subject) == ("the submitter", sent["id"])


def test_an_archive_is_taken_from_a_form(client: Client) -> None:
    large = zipped(weights__bin=random.Random(0).randbytes(3_000_000))
    answer = client("maintainer").post("submissions", files={"file": ("mine.zip", large)})
    assert answer.status_code == 422  # it came through whole, to be judged by what is in it
    assert "weights.bin" in answer.json()["detail"]
    answer = client("maintainer").post("submissions", files={"file": ("../../mine.zip", zipped())})
    assert answer.status_code == 201
    assert answer.json()["submitter"] == "the maintainer"


REFUSED = {
    "no archive": (b"rubbish", "no zip, tar or tar.gz"),
    "nothing": (b"", "no zip, tar or tar.gz"),
    "cut off": (zipped()[:-30], "damaged|no zip"),
    "no manifest": (zipped(audiometry__yaml="").replace(b"audiometry.yaml", b"audiometry.json"), "audiometry.yaml"),
    "path traversal": (odd_zip("../../evil.json"), "evil"),
    "absolute path": (odd_zip("/etc/evil.json"), "evil"),
    "symlink in a zip": (odd_zip("link.json", b"/etc/passwd", stat.S_IFLNK | 0o777), "link"),
    "symlink in a tar": (tarred(link=True), "link"),
    "pickle": (zipped(model__pt=b"\x80\x04cos\nsystem\n."), "model.pt"),
    "zip bomb": (zipped(bomb__json=b"0" * 50_000_000), "bomb.json|unpack|ratio|times"),
    "names that differ in case": (odd_zip("AUDIOMETRY.yaml", MANIFEST.encode()), "collides with"),
    "unknown adapter": (zipped(audiometry__yaml=MANIFEST.replace("pocketsphinx", "nope")), "nope"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
def test_what_is_refused_says_why_and_leaves_nothing(
    client: Client, api_store: Store, tmp_path: Path, name: str, form: bool
) -> None:
    content, said = REFUSED[name]
    sending: dict[str, Any] = {"files": {"file": ("x.zip", content)}} if form else {"content": content, "headers": ZIP}
    answer = client("submitter").post("submissions", **sending)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert str(tmp_path) not in detail
    assert re.search(said, detail), detail
    assert kept(tmp_path) == []
    assert Queue(api_store).lease("worker", 60) is None
    (refused,) = Queue(api_store).listing()
    assert (refused.state, refused.submitter, refused.reason) == ("rejected", "the submitter", detail)
    (entry,) = audit.entries(api_store, action="submission refused")
    assert (entry.actor, entry.subject, entry.detail["reason"]) == ("the submitter", refused.id, detail)


@pytest.mark.parametrize(
    ("sending", "status", "said"),
    [
        ({"content": b"x"}, 415, "not as a body of no kind"),
        ({"content": b"x", "headers": {"Content-Type": "text/html"}}, 415, "send the archive as one of multipart"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "Missing boundary"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}}, 400, "Invalid|no file|Did"),
        ({"files": {"other": ("x.zip", zipped())}}, 422, "the form holds no file 'file'; send one"),
        ({"files": {"file": ("x.zip", zipped())}, "data": {"more": "x"}}, 400, "Too many fields"),
        ({"files": [("file", ("x.zip", zipped())), ("file", ("y.zip", zipped()))]}, 400, "Too many files"),
    ],
)
def test_a_body_that_is_no_upload(
    client: Client, api_store: Store, sending: dict[str, Any], status: int, said: str
) -> None:
    answer = client("submitter").post("submissions", **sending)
    assert answer.status_code == status
    assert re.search(said, answer.json()["detail"]), answer.text
    assert Queue(api_store).listing() == []


@pytest.mark.parametrize("form", [False, True], ids=["raw", "form"])
@pytest.mark.parametrize("promised", [False, True], ids=["no length", "length"])
def test_an_upload_that_is_too_large_is_refused(
    client: Client, api_store: Store, tmp_path: Path, form: bool, promised: bool
) -> None:
    submitter = client("submitter", submission=Limits(archive_bytes=1000))
    body, kind = b"x" * 1001, "application/zip"
    if form:
        body = b'--y\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + body + b"\r\n--y--\r\n"
        kind = "multipart/form-data; boundary=y"
    pieces = (body[start : start + 100] for start in range(0, len(body), 100))
    answer = submitter.post("submissions", content=body if promised else pieces, headers={"Content-Type": kind})
    assert ("Content-Length" in answer.request.headers) == promised
    assert answer.status_code == 413
    assert answer.json() == {"detail": "the body is larger than the 1,000 bytes that are taken here"}
    assert Queue(api_store).listing() == []
    assert kept(tmp_path) == []


def test_submissions_have_a_rate_of_their_own(client: Client, keys: dict[str, str]) -> None:
    submitter = client("submitter", uploads=Rate(1, 2))
    sent = [submitter.post("submissions", content=b"x", headers=ZIP) for _ in range(3)]
    assert [answer.status_code for answer in sent] == [422, 422, 429]
    assert 1 <= int(sent[2].headers["Retry-After"]) <= 60
    assert submitter.get("me").status_code == 200
    other = {"Authorization": f"Bearer {keys['maintainer']}"}
    assert submitter.post("submissions", content=b"x", headers=ZIP | other).status_code == 422


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StoreError("bucket of secrets: gone")])
def test_a_server_that_cannot_keep_it_says_so(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(routes_submissions, "submit_archive", fail)
    answer = client("submitter").post("submissions", content=zipped(), headers=ZIP)
    assert answer.status_code == 503
    assert "try again" in answer.json()["detail"]
    assert "secrets" not in answer.text
    assert str(error) in caplog.text


def test_submissions_are_listed_and_filtered(client: Client, api_store: Store) -> None:
    queue = Queue(api_store)
    ids = [queue.receive(f"model {n}", "ann" if n % 2 else "bob", "core", {}) for n in range(5)]
    queue.reject(ids[0], "it is too loud")
    viewer = client()
    found: list[str] = []
    page: int | None = 0
    while page is not None:
        answer = viewer.get("submissions", params={"limit": 2, "page": page}).json()
        found += [row["id"] for row in answer["submissions"]]
        page = answer["next"]
    assert found == [one.id for one in queue.listing()]
    assert set(found) == set(ids)
    (rejected,) = viewer.get("submissions", params={"state": "rejected"}).json()["submissions"]
    assert (rejected["id"], rejected["reason"]) == (ids[0], "it is too loud")
    anns = viewer.get("submissions", params={"submitter": "ann"}).json()["submissions"]
    assert {row["id"] for row in anns} == {ids[1], ids[3]}
    assert viewer.get("submissions", params={"state": "lost"}).status_code == 422


def test_the_inside_of_a_submission_is_for_whom_it_concerns(
    client: Client, api_store: Store, keys: dict[str, str]
) -> None:
    sent = client("submitter").post("submissions", content=zipped(), headers=ZIP).json()
    where = f"submissions/{sent['id']}"
    for role in ("submitter", "maintainer", "auditor"):
        assert client(role).get(where).json() == sent
    assert sent["manifest"]["contact"] == "me@example.org"
    other = tokens.create(api_store, "another submitter", "submitter")
    for headers in ({"Authorization": f"Bearer {other}"}, {"Authorization": f"Bearer {keys['viewer']}"}):
        shown = client("viewer").get(where, headers=headers).json()
        assert (shown["manifest"], shown["files"]) == (None, None)
        assert [event["detail"] for event in shown["events"]] == [None, None, None]
        assert (shown["state"], shown["digest"]) == ("queued", sent["digest"])
    assert "me@example.org" not in client("viewer").get("submissions").text


def test_a_submission_that_is_not_there(client: Client) -> None:
    answer = client().get("submissions/nothing")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("no submission 'nothing'")


def test_progress_and_end_are_seen(client: Client, api_store: Store) -> None:
    sent = client("submitter").post("submissions", content=zipped(), headers=ZIP).json()
    queue = Queue(api_store)
    assert queue.lease("worker", 60) is not None
    assert queue.heartbeat(sent["id"], "worker", 60, progress=0.25, eta_seconds=90.0)
    shown = client().get(f"submissions/{sent['id']}").json()
    assert (shown["state"], shown["progress"], shown["eta_seconds"]) == ("running", 0.25, 90.0)
    with api_store.reading() as connection:
        assert connection.execute(sa.select(SUBMISSIONS.c.owner)).scalar_one() == "worker"
    assert "owner" not in shown


@pytest.mark.parametrize("kind", ["application/zip", "multipart/form-data; boundary=y"], ids=["raw", "form"])
def test_an_upload_that_takes_too_long_is_given_up(client: Client, keys: dict[str, str], kind: str) -> None:
    app: Any = client(None, upload_seconds=0.2).app
    sent: list[dict[str, Any]] = []
    pieces = iter([b'--y\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nxxxx'])

    async def receive() -> dict[str, Any]:
        for piece in pieces:
            return {"type": "http.request", "body": piece, "more_body": True}
        await asyncio.sleep(60)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = {"authorization": f"Bearer {keys['submitter']}", "content-type": kind}
    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": "/api/v1/submissions", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "client": ("192.0.2.1", 1),
        "asgi": {"version": "3.0"}, "scheme": "http", "server": ("x", 80), "root_path": "",
    }  # fmt: skip
    started = time.monotonic()
    asyncio.run(app(scope, receive, send))
    assert time.monotonic() - started < 30
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"]) == {"detail": "the upload took more than 0.2 s; send it again"}
