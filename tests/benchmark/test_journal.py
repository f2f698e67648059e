from __future__ import annotations

from pathlib import Path

import pytest

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.journal import Journal, read_journal
from audiometry.benchmark.worker import Row


def rows(count: int) -> list[Row]:
    return [Row(0, i, f"s{i}", "ok", {"text": "héllo\n"}, {"errors": i / 3}, {"d": "x"}, "empty") for i in range(count)]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(0, rows(2))
    journal.append(1, rows(1))
    journal.close()
    journal.close()
    assert list(read_journal(tmp_path / "journal.jsonl")) == [(0, rows(2)[0]), (0, rows(2)[1]), (1, rows(1)[0])]


def test_rows_are_durable_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiometry.benchmark.journal.SYNC_SECONDS", 0.0)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(0, rows(3))
    assert len(list(read_journal(tmp_path / "journal.jsonl"))) == 3
    journal.close()


def test_a_line_cut_by_a_crash_is_dropped_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(0, rows(3))
    journal.close()
    path.write_bytes(path.read_bytes()[:-9])
    assert len(list(read_journal(path))) == 2
    assert "dropped line 3" in caplog.text


def test_damage_elsewhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"model": 0}\n')
    with pytest.raises(StoreError, match=r"line 1: damaged"):
        list(read_journal(path))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose another --output-path"):
        Journal(tmp_path / "none" / "journal.jsonl")


def test_a_full_disk_is_reported() -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(StoreError, match="No space left on device; free some space"):
        journal.append(0, rows(3))
    journal._file.close()
