"""Submitting: what becomes of good and of bad ones, in the queue and in the artefact store."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from audiometry.benchmark.errors import StoreError, UserError
from audiometry.benchmark.schema import SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.checks import FileFact, digest_of
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.limits import Limits
from audiometry.leaderboard.submissions.manifest import from_document, spec_of
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.submit import prune, submit_archive, submit_folder
from audiometry.models.baselines.saved import weights_file

MANIFEST = """
name: {name}
adapter: lfcc-gmm
settings: {{path: ./weights.safetensors}}
licence: Apache-2.0
training_data: [asterisk-en]
contact: me@example.org
suite: smoke
"""


class World:
    """A store, an artefact store and a folder to submit."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store, self.queue = store, Queue(store)
        self.artefacts = ArtefactStore(str(folder / "artefacts"))
        self.kept = folder / "artefacts"
        self.folder = folder / "ckpt"
        self.folder.mkdir()
        self.write("Small but mine")
        shutil.copy(weights_file("lfcc-gmm"), self.folder / "weights.safetensors")

    def write(self, name: str) -> None:
        (self.folder / "audiometry.yaml").write_text(MANIFEST.format(name=name), encoding="utf-8")

    def submit(self, limits: Limits | None = None) -> str:
        return submit_folder(
            self.folder, store=self.store, artefacts=self.artefacts, submitter="ada", limits=limits or Limits()
        )

    def submit_archive(self, content: bytes, limits: Limits | None = None) -> str:
        archive = self.folder.parent / "upload"
        archive.write_bytes(content)
        return submit_archive(
            archive, store=self.store, artefacts=self.artefacts, submitter="ada", limits=limits or Limits()
        )

    def states(self) -> list[list[str]]:
        return [[event.state for event in self.queue.events(one.id)] for one in self.queue.listing()]

    def files(self) -> list[str]:
        return [path.name for path in self.kept.rglob("*") if path.is_file()]


@pytest.fixture
def world(tmp_path: Path, scratch: Path) -> Iterator[World]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        yield World(tmp_path, store)
    assert list(scratch.iterdir()) == []


def zipped(folder: Path, *, also: dict[str, bytes] | None = None, link: str | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        for name, content in (also or {}).items():
            archive.writestr(name, content)
        if link is not None:
            info = zipfile.ZipInfo("link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, link)
    return made.getvalue()


def test_a_good_folder_is_queued_and_can_be_had_back(world: World, tmp_path: Path) -> None:
    made = world.queue.get(world.submit())
    assert (made.state, made.name, made.submitter, made.suite) == ("queued", "Small but mine", "ada", "smoke")
    assert world.states() == [["received", "checked", "queued"]]
    (warning,) = made.manifest["warnings"]
    assert "asterisk-en" in warning
    files = [FileFact(**file) for file in made.files]
    assert made.digest == digest_of(files)
    world.artefacts.fetch(files, tmp_path / "out")
    manifest = from_document(made.manifest)
    assert spec_of(manifest, tmp_path / "out") == f"lfcc-gmm:path={tmp_path / 'out' / 'weights.safetensors'}"
    assert (tmp_path / "out" / "weights.safetensors").read_bytes() == weights_file("lfcc-gmm").read_bytes()


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a" * 10_000])
def test_a_name_stays_text(world: World, name: str) -> None:
    world.write(f"'{name}'")
    assert world.queue.get(world.submit()).name == name


def test_the_same_folder_twice_is_two_submissions_and_one_set_of_files(world: World) -> None:
    first, second = world.submit(), world.submit()
    assert first != second
    assert world.queue.get(first).digest == world.queue.get(second).digest
    assert len(world.files()) == 2


def test_a_bad_folder_is_rejected_with_the_reason_and_nothing_is_kept(world: World) -> None:
    (world.folder / "extra.pt").write_bytes(b"\x80\x04.")
    with pytest.raises(SubmissionError, match="a Python pickle") as error:
        world.submit()
    assert error.value.submission is not None
    made = world.queue.get(error.value.submission)
    assert (made.state, made.reason) == ("rejected", str(error.value))
    assert made.name == "Small but mine"
    assert world.states() == [["received", "rejected"]]
    assert world.files() == []


def test_a_folder_without_a_readable_manifest_is_rejected_too(world: World) -> None:
    (world.folder / "audiometry.yaml").write_text("name: [")
    with pytest.raises(SubmissionError, match="is not plain YAML") as error:
        world.submit()
    assert error.value.submission is not None
    assert world.queue.get(error.value.submission).name == "(no readable manifest)"
    assert world.states() == [["received", "rejected"]]


def test_a_suite_that_nobody_registered_is_rejected(world: World) -> None:
    (world.folder / "audiometry.yaml").write_text(MANIFEST.format(name="a").replace("smoke", "smokes"))
    with pytest.raises(SubmissionError, match="unknown suite 'smokes'"):
        world.submit()
    assert world.states() == [["received", "rejected"]]


def test_no_folder_is_no_submission(world: World) -> None:
    shutil.rmtree(world.folder)
    with pytest.raises(SubmissionError, match="there is no folder"):
        world.submit()
    assert world.queue.listing() == []


def test_an_archive_is_submitted_as_its_folder_is(world: World) -> None:
    made = world.queue.get(world.submit_archive(zipped(world.folder)))
    assert made.state == "queued"
    assert made.digest == world.queue.get(world.submit()).digest


PICKLE = b"cos\nsystem\n(S'touch executed'\ntR."


@pytest.mark.parametrize(
    ("also", "link", "reason"),
    [
        ({"extra.pt": PICKLE}, None, "pickle"),
        ({"vocab.txt": PICKLE}, None, "pickle"),
        ({"../../../evil": b"x"}, None, "leads out of the folder"),
        ({"/etc/evil": b"x"}, None, "absolute"),
        ({"bomb.txt": bytes(20_000_000)}, None, "unpacks to more than"),
        ({}, "../../etc/passwd", "is a link or a device"),
        ({"a.py": b"print()"}, None, "is code"),
        ({"inner.zip": b"PK\x03\x04"}, None, "zip archive"),
        ({"Weights.safetensors": b"x"}, None, "collides"),
        ({"x" * 10_000: b"x"}, None, "has 10000 characters"),
    ],
)
def test_a_bad_archive_is_rejected_and_leaves_nothing_behind(
    world: World, also: dict[str, bytes], link: str | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    content = zipped(world.folder, also=also, link=link)
    (tmp_path / "upload").write_bytes(content)
    # beside the databases' own files, which come and go
    before = sorted(str(path) for path in tmp_path.rglob("*") if "store.db" not in path.name)
    with pytest.raises(SubmissionError) as error:
        world.submit_archive(content)
    assert reason in str(error.value)
    assert "audiometry-submission-" not in str(error.value)
    assert before == sorted(str(path) for path in tmp_path.rglob("*") if "store.db" not in path.name)
    assert error.value.submission is not None
    assert world.queue.get(error.value.submission).reason == str(error.value)
    assert world.states() == [["received", "rejected"]]


def test_an_over_size_archive_is_rejected(world: World) -> None:
    content = zipped(world.folder)
    with pytest.raises(SubmissionError, match=f"the archive has {len(content)} bytes; 1000 is the most"):
        world.submit_archive(content, Limits(archive_bytes=1000))
    with pytest.raises(SubmissionError, match="has more than 10000 bytes"):
        world.submit_archive(content, Limits(file_bytes=10_000))
    assert world.states() == [["received", "rejected"]] * 2


def test_files_of_rejected_submissions_alone_are_pruned_once_they_are_old(world: World) -> None:
    kept = world.submit()
    world.write("another")
    rejected = world.submit()
    world.queue.reject(rejected, "no")
    assert len(world.files()) == 3
    assert prune(world.store, world.artefacts) == 0
    for path in world.kept.rglob("*"):
        os.utime(path, (0, 0))
    assert prune(world.store, world.artefacts) == 1
    assert sorted(world.files()) == sorted(file["sha256"] for file in world.queue.get(kept).files)


def test_nothing_is_pruned_by_a_results_store_that_knows_none_of_the_files(world: World, tmp_path: Path) -> None:
    world.submit()
    for path in world.kept.rglob("*"):
        os.utime(path, (0, 0))
    with Store.open(f"sqlite:///{tmp_path / 'wrong-store.db'}") as wrong:
        with pytest.raises(UserError, match=r"none of the 2 files in .* belongs to a submission of this results store"):
            prune(wrong, world.artefacts)
        Queue(wrong).reject(Queue(wrong).receive("theirs", "ben", "smoke", {}), "no")
        with pytest.raises(UserError, match="nothing was deleted"):
            prune(wrong, world.artefacts)
    assert len(world.files()) == 2
    assert prune(world.store, ArtefactStore(str(tmp_path / "new"))) == 0


def test_files_of_another_board_in_the_same_place_are_not_pruned(world: World, tmp_path: Path) -> None:
    world.queue.reject(world.submit(), "no")
    with Store.open(f"sqlite:///{tmp_path / 'other-store.db'}") as other:
        world.write("of the other board")
        there = submit_folder(world.folder, store=other, artefacts=world.artefacts, submitter="ben")
        manifest = next(one for one in Queue(other).get(there).files if one["path"] == "audiometry.yaml")
    for path in world.kept.rglob("*"):
        os.utime(path, (0, 0))
    prune(world.store, world.artefacts)
    assert manifest["sha256"] in world.files()


def test_what_a_server_that_died_took_in_is_pruned_a_day_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Queue, "queued", die)
    with pytest.raises(KeyboardInterrupt):
        world.submit()
    (made,) = world.queue.listing()
    assert made.state == "checked"
    for path in world.kept.rglob("*"):
        os.utime(path, (0, 0))
    assert prune(world.store, world.artefacts) == 0
    with world.store.writing() as connection:
        connection.execute(sa.update(SUBMISSIONS).values(updated=datetime.now(UTC) - timedelta(days=2)))
    assert prune(world.store, world.artefacts) == 2


def test_a_file_that_is_old_enough_to_be_pruned_is_young_again_once_it_is_submitted_again(world: World) -> None:
    world.queue.reject(world.submit(), "no")
    for path in world.kept.rglob("*"):
        os.utime(path, (0, 0))
    made = world.submit()
    world.queue.reject(made, "no")
    assert prune(world.store, world.artefacts) == 0
    assert len(world.files()) == 2


def test_a_store_of_files_that_fails_rejects_and_raises(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    world.artefacts = ArtefactStore(str(tmp_path / "file" / "below"))
    with pytest.raises(StoreError, match="cannot write to the artefact store"):
        world.submit()
    (made,) = world.queue.listing()
    assert (made.state, made.reason) == (
        "rejected", "it could not be taken in here (StoreError); submit it again",
    )  # fmt: skip


def test_a_folder_that_changes_meanwhile_is_rejected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    received = Queue.receive

    def change(queue: Queue, *given: object) -> str:
        world.write("another")
        return received(queue, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Queue, "receive", change)
    with pytest.raises(SubmissionError, match="changed while it was submitted"):
        world.submit()
    assert world.files() == []
