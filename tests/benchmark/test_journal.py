from __future__ import annotations

from pathlib import Path

import pytest

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.journal import Journal, Line, read_journal, repair
from audiometry.benchmark.rows import Row
from audiometry.benchmark.types import Audio, Request, Sample


def lines(count: int) -> list[Line]:
    sample = Sample("s", Request("transcribe", {"input": Audio("a.wav", 0.5, 1.5, seconds=1.0)}), "x", {"a": "b"}, "c")
    rows = [
        Row(0, i, f"s{i}", "ok", {"text": "héllo\n", "labels": {"x": 0.5}}, {"errors": i / 3}, {"d": "x"}, "unparsed")
        for i in range(count)
    ]
    return [Line.of(1, sample, row) for row in rows]


def written(path: Path, count: int) -> Path:
    journal = Journal(path / "journal.jsonl")
    journal.append(lines(count))
    journal.close()
    journal.close()
    return path / "journal.jsonl"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    read = list(read_journal(written(tmp_path, 3)))
    assert read == lines(3)
    assert read[0].verdict == "unparsed"
    assert read[0].audio == {"path": "a.wav", "start": 0.5, "end": 1.5, "seconds": 1.0}
    assert (read[0].slices, read[0].cluster) == ({"a": "b"}, "c")


def test_rows_are_durable_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("audiometry.benchmark.journal.os.fsync", synced.append)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(lines(1))
    journal.tick()
    assert not synced
    monkeypatch.setattr("audiometry.benchmark.journal.SYNC_SECONDS", 0.0)
    journal.tick()
    journal.tick()
    assert len(synced) == 1
    journal.close()


def test_a_line_cut_by_a_crash_is_dropped_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, 3)
    path.write_bytes(path.read_bytes()[:-9])
    assert len(list(read_journal(path))) == 2
    assert "dropped line 3" in caplog.text
    repair(path)
    assert "dropped its last line" in caplog.text
    assert len(list(read_journal(written(tmp_path, 1)))) == 3


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
        journal.append(lines(3))
    journal._file.close()
