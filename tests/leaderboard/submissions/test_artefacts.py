"""The store of files: each once, whole, and what comes out is what went in."""

from __future__ import annotations

import os
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from audiometry.benchmark.errors import StoreError
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.checks import Checked, FileFact, check_folder
from audiometry.leaderboard.submissions.errors import SubmissionError

MANIFEST = "name: {}\nadapter: pocketsphinx\nlicence: MIT\ntraining_data: []\ncontact: me\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ckpt"
    (made / "sub").mkdir(parents=True)
    (made / "audiometry.yaml").write_text(MANIFEST.format("a"))
    (made / "README.md").write_text("hello")
    (made / "sub" / "same.txt").write_text("hello")
    return made


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtefactStore:
    return ArtefactStore(
        str(tmp_path / "artefacts") if request.param == "local" else f"memory://{tmp_path.name}-{time.time_ns()}"
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_fetched_is_what_was_put(store: ArtefactStore, folder: Path, tmp_path: Path) -> None:
    checked = check_folder(folder)
    store.put(folder, checked)
    store.put(folder, checked)
    store.fetch(checked.files, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)
    assert check_folder(tmp_path / "out").digest == checked.digest
    assert len(store.stored()) == 2  # two files of the same content are one
    assert store.stored() == sorted({file.sha256 for file in checked.files})


def test_the_default_is_in_the_home_folder(home: Path, folder: Path) -> None:
    checked = check_folder(folder)
    ArtefactStore().put(folder, checked)
    digest = checked.files[0].sha256
    assert (home / "submissions" / digest[:2] / digest).is_file()
    assert list((home / "submissions" / "incoming").iterdir()) == []


def test_a_file_that_changed_since_it_was_checked_is_refused(store: ArtefactStore, folder: Path) -> None:
    checked = check_folder(folder)
    (folder / "README.md").write_text("hallo")
    with pytest.raises(SubmissionError, match="changed while it was submitted"):
        store.put(folder, checked)
    (folder / "README.md").write_text("hello and more")
    with pytest.raises(SubmissionError, match="changed while it was submitted"):
        store.put(folder, checked)
    assert checked.files[0].path == "README.md"
    assert store.stored() == []


def test_a_cut_off_artefact_is_written_again_and_a_damaged_one_told(tmp_path: Path, folder: Path) -> None:
    store = ArtefactStore(str(tmp_path / "artefacts"))
    checked = check_folder(folder)
    store.put(folder, checked)
    digest = checked.files[0].sha256
    blob = tmp_path / "artefacts" / digest[:2] / digest
    blob.write_bytes(b"hel")
    with pytest.raises(StoreError, match="is damaged"):
        store.fetch(checked.files, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    store.put(folder, checked)
    assert blob.read_bytes() == b"hello"
    blob.write_bytes(b"jello")
    with pytest.raises(StoreError, match="is damaged"):
        store.fetch(checked.files, tmp_path / "out")
    blob.unlink()
    with pytest.raises(StoreError, match="cannot read the artefact store"):
        store.fetch(checked.files, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artefacts", "ckpt"]


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a\nb", ".hidden"])
def test_a_name_that_leads_elsewhere_is_not_fetched(
    store: ArtefactStore, folder: Path, tmp_path: Path, name: str
) -> None:
    checked = check_folder(folder)
    store.put(folder, checked)
    with pytest.raises(SubmissionError, match="the file"):
        store.fetch([replace(checked.files[0], path=name)], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "artefacts") == ["ckpt"]


@pytest.mark.parametrize("digest", ["", "../../x", "g" * 64, "0" * 63])
def test_what_is_no_hash_is_not_fetched(store: ArtefactStore, tmp_path: Path, digest: str) -> None:
    with pytest.raises(SubmissionError, match="is no sha256"):
        store.fetch([FileFact("a", 1, digest)], tmp_path / "out")


def test_files_that_nobody_needs_are_pruned_once_they_are_old(tmp_path: Path, folder: Path) -> None:
    store = ArtefactStore(str(tmp_path / "artefacts"))
    assert store.prune([]) == 0
    checked = check_folder(folder)
    store.put(folder, checked)
    left = tmp_path / "artefacts" / "incoming" / uuid.uuid4().hex
    left.write_text("x")
    unneeded, kept = checked.files[0].sha256, checked.files[1].sha256
    assert store.prune([unneeded]) == 0
    for path in (tmp_path / "artefacts").rglob("*"):
        os.utime(path, (0, 0))
    assert store.prune([unneeded]) == 2
    assert [path.name for path in (tmp_path / "artefacts").rglob("*") if path.is_file()] == [kept]


def test_what_is_not_of_this_store_is_never_pruned(tmp_path: Path, folder: Path) -> None:
    """A folder that holds more than artefacts, some of it under names that are nearly theirs."""
    store = ArtefactStore(str(tmp_path / "shared"))
    checked = check_folder(folder)
    store.put(folder, checked)
    digest = checked.files[0].sha256
    alien = [
        "photos/cat.jpg",
        digest,
        f"zz/{digest}",
        f"{digest[:2]}/x/{digest}",
        "incoming/letter.txt",
        f"00/{digest}",
    ]
    for name in alien:
        path = tmp_path / "shared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("dear")
    for path in (tmp_path / "shared").rglob("*"):
        os.utime(path, (0, 0))
    assert store.prune([digest, "cat.jpg", "letter.txt"]) == 1
    assert not (tmp_path / "shared" / digest[:2] / digest).exists()
    assert [name for name in alien if (tmp_path / "shared" / name).exists()] == alien


def test_many_that_put_the_same_files_at_once_leave_each_once(tmp_path: Path, folder: Path) -> None:
    checked = check_folder(folder)
    failures: list[BaseException] = []

    def put() -> None:
        try:
            ArtefactStore(str(tmp_path / "artefacts")).put(folder, checked)
        except BaseException as error:  # a thread's error is told by the test
            failures.append(error)

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ArtefactStore(str(tmp_path / "artefacts")).stored()) == 2
    assert list((tmp_path / "artefacts" / "incoming").iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write to the artefact store"):
        ArtefactStore(str(tmp_path / "file" / "below")).put(folder, check_folder(folder))
    with pytest.raises(StoreError, match="cannot open the artefact store"):
        ArtefactStore("nosuchprotocol://x")


def test_a_folder_that_holds_something_is_not_written_over(store: ArtefactStore, folder: Path, tmp_path: Path) -> None:
    checked: Checked = check_folder(folder)
    store.put(folder, checked)
    with pytest.raises(SubmissionError, match="is there already"):
        store.fetch(checked.files, folder)
