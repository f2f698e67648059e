"""Full disks, stores that are locked or gone, damaged journals: told in one line, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark import cache
from audiometry.benchmark.errors import RunInterruptedError, StoreError
from audiometry.benchmark.evaluate import evaluate, resume
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.store import Store
from audiometry.benchmark.tally import Tally

HERE = Path(__file__).parent
COUNT = 240
MODEL, TASK = "breaking:seconds=0.01", f"sayings:count={COUNT}"
SETTINGS = RunSettings(
    models=(MODEL,), tasks=(TASK,), plugins=(str(HERE / "breaking.py"),), batch_size=4, resamples=100, cache=False
)
WORDS = ("-m", MODEL, "-t", TASK, "-b", "4", "--no-cache")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here", "home")]


@pytest.fixture(scope="module")
def calm(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`results.json` of the same run, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(tmp_path_factory.mktemp("calm") / "home"))
        folder = evaluate(SETTINGS, output=tmp_path_factory.mktemp("calm") / "run", quiet=True).folder
        return (folder / "results.json").read_bytes()


@pytest.fixture(scope="module")
def stopped_once(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder and the folder of a run that was stopped when it had journaled some answers."""
    answered = Tally.answered
    place = tmp_path_factory.mktemp("stopped")

    def stop_later(self: Tally, model: int, pairs: list) -> None:  # type: ignore[type-arg]
        answered(self, model, pairs)
        if self.count >= COUNT // 3:
            raise RunInterruptedError("stopped by a test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(place / "home"))
        patch.delenv("AUDIOMETRY_STORE", raising=False)
        patch.setattr(Tally, "answered", stop_later)
        with pytest.raises(RunInterruptedError):
            evaluate(SETTINGS, output=place / "run", quiet=True)
    return place


@pytest.fixture
def stopped(home: Path, tmp_path: Path, stopped_once: Path) -> Path:
    """A copy of the stopped run, and of its home."""
    shutil.copytree(stopped_once / "home", home)
    return shutil.copytree(stopped_once / "run", tmp_path / "run")


def check(folder: Path, calm: bytes) -> None:
    """The numbers of the undisturbed run, each sample counted once, no journal left."""
    assert (folder / "results.json").read_bytes() == calm
    for name in ("outputs.parquet", "scores.parquet"):
        frame = pd.read_parquet(folder / name)
        assert sorted(frame["sample_id"]) == [f"word{i:04d}" for i in range(COUNT)]
        assert set(frame["status"]) == {"ok"}
    assert not (folder / "journal.jsonl").exists()


def test_a_disk_that_fills_up_while_answers_are_journaled(cli, calm: bytes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "run"
    ended = cli.run(cli.words(*WORDS, "-o", str(folder)), fault="small@15000")
    assert (ended.code, ended.out) == (2, "")
    assert "cannot write" in ended.err
    assert "free some space and go on with --resume" in ended.err
    assert "Traceback" not in ended.err
    kept = (folder / "journal.jsonl").read_bytes()
    assert len(kept) == 15_000
    ended = cli.run(["run", "--resume", str(folder), "--json", "--quiet"])
    assert ended.code == 0, ended
    check(folder, calm)


@pytest.mark.parametrize("name", ["outputs.parquet", "scores.parquet", "results.json", "run.json"])
def test_a_disk_that_is_full_when_the_evidence_is_written(stopped: Path, calm: bytes, name: str) -> None:
    temporary = stopped / f".{name}.tmp"
    temporary.symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"cannot write .*[Nn]o space left on device.*free some space"):
        resume(stopped, quiet=True)
    temporary.unlink(missing_ok=True)
    assert (stopped / "journal.jsonl").exists()
    resume(stopped, quiet=True)
    check(stopped, calm)


@pytest.mark.parametrize("damage", ["cut", "zeros", "garbage", "garbage and a line's end", "half a character"])
def test_a_journal_with_a_damaged_end(stopped: Path, calm: bytes, damage: str) -> None:
    journal = stopped / "journal.jsonl"
    whole = journal.read_bytes()
    tail = {
        "cut": b"", "zeros": bytes(4096), "garbage": os.urandom(300).replace(b"\n", b"x"),
        "garbage and a line's end": b"\xff\x00\n[1, 2\n", "half a character": '[0, 0, 9, "é'.encode()[:-1],
    }  # fmt: skip
    journal.write_bytes(whole[:-7] if damage == "cut" else whole + tail[damage])
    assert journal.read_bytes() != whole
    resume(stopped, quiet=True)
    check(stopped, calm)


def test_a_journal_with_a_damaged_middle_is_not_guessed_at(stopped: Path, calm: bytes) -> None:
    journal = stopped / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:5], lines[5][:-9] + b"\n", *lines[6:]]))
    with pytest.raises(StoreError, match="line 6: damaged"):
        resume(stopped, quiet=True)
    journal.write_bytes(b"".join([*lines[:5], *lines[6:]]))  # what the message could not mend, a person can
    resume(stopped, quiet=True)
    check(stopped, calm)


def test_a_run_is_gone_on_with_by_one_process_at_a_time(stopped: Path, calm: bytes) -> None:
    journal = (stopped / "journal.jsonl").open("ab")
    import fcntl

    fcntl.flock(journal, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="another process is at this run"):
        resume(stopped, quiet=True)
    journal.close()
    resume(stopped, quiet=True)
    check(stopped, calm)


def test_a_store_that_is_locked_at_the_start_is_told_before_anything_runs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open().close()
    monkeypatch.setattr(Store, "open", partial(Store.open, busy_seconds=0.2))
    with locked(home / "store.db"), pytest.raises(StoreError, match="another process is writing to it: wait"):
        evaluate(SETTINGS, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_store_that_is_locked_at_the_end_is_waited_for(home: Path, stopped: Path, calm: bytes) -> None:
    def release() -> None:
        while json.loads((stopped / "run.json").read_text())["status"] != "complete":
            time.sleep(0.01)
        time.sleep(0.5)  # the run is now at the store's door
        lock.rollback()

    lock = sqlite3.connect(home / "store.db", isolation_level=None, check_same_thread=False)
    waiting = threading.Thread(target=release, daemon=True)

    def lock_then_finish(self: Tally, *given: Any) -> list:  # type: ignore[type-arg]
        lock.execute("BEGIN EXCLUSIVE")
        waiting.start()
        return results(self, *given)

    results = Tally.results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tally, "results", lock_then_finish)
        resume(stopped, quiet=True)
    lock.close()
    check(stopped, calm)
    assert list(Store.open().runs()["status"]) == ["complete"]


def test_a_store_that_stays_locked_is_told_and_the_run_kept(
    home: Path, stopped: Path, calm: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = sqlite3.connect(home / "store.db", isolation_level=None)
    results = Tally.results

    def lock_then_finish(self: Tally, *given: Any) -> list:  # type: ignore[type-arg]
        lock.execute("BEGIN EXCLUSIVE")
        return results(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Tally, "results", lock_then_finish)
        patch.setattr(Store, "open", partial(Store.open, busy_seconds=0.2))
        with pytest.raises(StoreError, match="locked; another process is writing to it"):
            resume(stopped, quiet=True)
    lock.close()
    assert (stopped / "journal.jsonl").exists()
    resume(stopped, quiet=True)
    check(stopped, calm)
    assert list(Store.open().runs()["status"]) == ["complete"]


def test_a_store_that_is_gone_in_the_middle_is_made_anew(home: Path, stopped: Path, calm: bytes) -> None:
    def lose_then_finish(self: Tally, *given: Any) -> list:  # type: ignore[type-arg]
        for file in home.glob("store.db*"):
            file.unlink()
        return results(self, *given)

    results = Tally.results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tally, "results", lose_then_finish)
        resume(stopped, quiet=True)
    check(stopped, calm)
    assert len(Store.open().results()) == len(json.loads(calm)["results"])


def test_a_store_that_cannot_come_back_is_told_and_another_can_be_named(
    home: Path, stopped: Path, calm: bytes, tmp_path: Path
) -> None:
    def break_then_finish(self: Tally, *given: Any) -> list:  # type: ignore[type-arg]
        for file in home.glob("store.db*"):
            file.unlink()
        (home / "store.db").write_text("this is some other file, " * 100)
        return results(self, *given)

    results = Tally.results
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tally, "results", break_then_finish)
        with pytest.raises(StoreError, match="it is some other file: set AUDIOMETRY_STORE to another place"):
            resume(stopped, quiet=True)
    assert (stopped / "journal.jsonl").exists()
    other = f"sqlite:///{tmp_path / 'other.db'}"
    resume(stopped, store=other, quiet=True)
    check(stopped, calm)
    assert list(Store.open(other).runs()["status"]) == ["complete"]


def test_a_cache_that_stays_locked_is_told_and_the_run_kept(
    home: Path, stopped: Path, calm: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads((stopped / "run.json").read_text())
    document["settings"]["cache"] = True
    (stopped / "run.json").write_text(json.dumps(document))
    monkeypatch.setattr(cache, "BUSY_SECONDS", 0.2)
    cache.default_cache().close()
    with locked(home / "cache" / "answers.db"), pytest.raises(StoreError, match=r"cache .* locked"):
        resume(stopped, quiet=True)
    resume(stopped, quiet=True)
    check(stopped, calm)


def test_a_run_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_then_finish(self: Tally, *given: Any) -> list:  # type: ignore[type-arg]
        for file in (tmp_path / "run").iterdir():
            file.unlink()
        (tmp_path / "run").rmdir()
        return results(self, *given)

    results = Tally.results
    monkeypatch.setattr(Tally, "results", lose_then_finish)
    with pytest.raises(StoreError, match="cannot"):
        evaluate(SETTINGS, output=tmp_path / "run", quiet=True)


def test_a_run_folder_that_cannot_be_written(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "locked").mkdir(mode=0o500)
    ended = cli.run(cli.words(*WORDS, "-o", str(tmp_path / "locked" / "run")), before=cli.obey_permissions)
    assert ended.code == 2
    assert "Permission denied; choose another with --output-path" in ended.err
    assert ended.err.count("\n") == 1


def test_a_stopped_run_in_a_folder_that_cannot_be_written(cli, stopped: Path) -> None:  # type: ignore[no-untyped-def]
    for file in stopped.iterdir():
        file.chmod(0o400)
    stopped.chmod(0o500)
    ended = cli.run(["run", "--resume", str(stopped), "--json", "--quiet"], before=cli.obey_permissions)
    stopped.chmod(0o700)
    assert ended.code == 2
    told = ended.err.splitlines()
    assert "Permission denied" in told[-1]
    assert all("cannot write" in line for line in told[:-1])  # the run's log cannot be written either


class locked:  # noqa: N801  # reads as a verb
    """Hold a SQLite file's only lock for writing."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN EXCLUSIVE")

    def __exit__(self, *_: object) -> None:
        self._connection.rollback()
        self._connection.close()
