"""Two processes that compile at once never get each other's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import pytest
from numba.core.caching import IndexDataCacheFile

from audiometry.tasks.metrics.compiled_code import keep_entries_apart


def place(folder: Path) -> Any:
    """A function's cache, as one process has it."""
    keep_entries_apart()
    return IndexDataCacheFile(str(folder), "module.function-1", "stamp")


@pytest.mark.parametrize("both_listed", [False, True])
def test_what_two_processes_save_at_once_is_not_mixed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both_listed: bool
) -> None:
    first, second, later = (place(tmp_path) for _ in range(3))
    save_index, save_data = first._save_index, first._save_data

    def index(entries: dict[str, str]) -> None:
        save_index(entries)
        if both_listed:
            second.save("two", "code of two")

    def data(name: str, content: str) -> None:
        if not both_listed:
            second.flush()
            second.save("two", "code of two")
        save_data(name, content)

    monkeypatch.setattr(first, "_save_index", index)
    monkeypatch.setattr(first, "_save_data", data)
    first.save("one", "code of one")
    assert later.load("two") == "code of two"
    assert later.load("one") == ("code of one" if both_listed else None)  # lost from the index: compiled again


def test_what_is_saved_is_found_and_saved_over(tmp_path: Path) -> None:
    for content in ("old", "new"):
        place(tmp_path).save("one", content)
        assert place(tmp_path).load("one") == content
    place(tmp_path).save("two", "other")
    assert [place(tmp_path).load(key) for key in ("one", "two", "three")] == ["new", "other", None]
    assert len(list(tmp_path.glob("*.nbc"))) == 2


def test_numbas_own_functions_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_entries_apart()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @numba.njit(cache=True)
    def double(value: float) -> float:
        return 2 * value

    assert [double(2), double(0.5)] == [4, 1.0]
    files = list(tmp_path.rglob("*.nbc"))
    assert len(files) == 2
    assert all(len(file.name.split(".")[-2].split("-")[0]) == 12 for file in files)
