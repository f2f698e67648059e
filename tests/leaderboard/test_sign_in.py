"""What an upload from a page may do, and what it leaves behind."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.store import Store
from audiometry.leaderboard import sign_in
from audiometry.leaderboard.api import audit, tokens
from audiometry.leaderboard.api.limits import Buckets, Rate
from audiometry.leaderboard.api.tokens import Actor, TokenError
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.limits import Limits
from audiometry.leaderboard.submissions.queue import Queue

ADA = Actor("Ada", "submitter", "0" * 16)
MANIFEST = b"""name: mine
adapter: pocketsphinx
licence: MIT
training_data: []
contact: ada@example.org
suite: smoke
"""


@pytest.fixture
def artefacts(tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(str(tmp_path / "kept"))


def packed(**files: bytes) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    content.seek(0)
    return content


def test_an_upload_is_queued_and_noted(store_url: str, artefacts: ArtefactStore, scratch: Path) -> None:
    with Store.open(store_url) as store:
        upload = packed(audiometry__yaml=MANIFEST)
        sent = sign_in.send(upload, store=store, artefacts=artefacts, actor=ADA, door=sign_in.Door())
        assert not sent.refused
        assert Queue(store).get(sent.submission).state == "queued"
        assert Queue(store).get(sent.submission).submitter == "Ada"
        (entry,) = audit.entries(store)
    assert (entry.actor, entry.action, entry.subject) == ("Ada", "submitted", sent.submission)
    assert entry.detail == {"with_token": "0" * 16, "by": "page"}
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("upload", "limits", "reason"),
    [
        (io.BytesIO(b"no archive"), sign_in.PAGE_LIMITS, "the upload is no zip"),
        (packed(audiometry__yaml=MANIFEST, model__bin=b"x"), sign_in.PAGE_LIMITS, "model.bin"),
        (packed(audiometry__yaml=MANIFEST), replace(Limits(), archive_bytes=10), "more than 10 bytes"),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing(
    store_url: str,
    artefacts: ArtefactStore,
    scratch: Path,
    tmp_path: Path,
    upload: io.BytesIO,
    limits: Limits,
    reason: str,
) -> None:
    upload.seek(0)
    with Store.open(store_url) as store:
        sent = sign_in.send(upload, store=store, artefacts=artefacts, actor=ADA, door=sign_in.Door(), limits=limits)
        assert reason in sent.refused
        (entry,) = audit.entries(store)
        states = [one.state for one in Queue(store).listing()]
    assert (entry.action, entry.subject) == ("submission refused", sent.submission)
    assert reason in entry.detail["reason"]
    assert states == (["rejected"] if sent.submission else [])
    assert not list(scratch.iterdir())
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_who_may_not_submit_is_refused_before_anything_is_read(
    store_url: str, artefacts: ArtefactStore, role: str
) -> None:
    upload = packed(audiometry__yaml=MANIFEST)
    with Store.open(store_url) as store:
        actor = Actor("Bea", role, "1" * 16)
        sent = sign_in.send(upload, store=store, artefacts=artefacts, actor=actor, door=sign_in.Door())
        assert sent == sign_in.Sent("", f"the role of this token, {role}, may not submit; ask a maintainer")
        assert Queue(store).listing() == []
    assert upload.tell() == 0


def test_one_token_may_not_submit_without_end(store_url: str, artefacts: ArtefactStore) -> None:
    door = sign_in.Door(uploads=Buckets(Rate(per_minute=1, burst=1), clock=lambda: 0.0))
    with Store.open(store_url) as store:
        sent = [
            sign_in.send(packed(a=b""), store=store, artefacts=artefacts, actor=ADA, door=door).refused
            for _ in range(2)
        ]
    assert "lacks" in sent[0] or "audiometry.yaml" in sent[0]
    assert sent[1] == "too many submissions with this token; try again in 60 s"


def test_a_store_that_fails_is_an_error_and_leaves_no_upload(store_url: str, tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    artefacts = ArtefactStore(str(tmp_path / "file"))
    upload = packed(audiometry__yaml=MANIFEST)
    with Store.open(store_url) as store, pytest.raises(StoreError, match="cannot write to the artefact store"):
        sign_in.send(upload, store=store, artefacts=artefacts, actor=ADA, door=sign_in.Door())
    assert not list(scratch.iterdir())


def test_the_door_opens_to_a_good_token_and_counts_tries(store_url: str) -> None:
    door = sign_in.Door(tries=Buckets(Rate(per_minute=1, burst=2), clock=lambda: 0.0))
    with Store.open(store_url) as store:
        secret = tokens.create(store, "Ada", "submitter")
        assert door.enter(store, f" {secret}\n", "192.0.2.1").name == "Ada"
        with pytest.raises(TokenError, match="this token is wrong"):
            door.enter(store, "am_x_y", "192.0.2.1")
        with pytest.raises(sign_in.SignInError, match="too many tries from this address; try again in 60 s"):
            door.enter(store, secret, "192.0.2.1")
        assert door.enter(store, secret, "192.0.2.2").role == "submitter"  # another address
