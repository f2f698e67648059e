"""What a view gives away: its permanent link with every choice, and rows without paths of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from drawn_pages import opened

from audiometry.leaderboard import export
from audiometry.leaderboard.views import shared

AddRun = Callable[..., Path]
Texts = dict[str, Sequence[str]]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """The rows that a download of each view would hold."""
    found: list[pd.DataFrame] = []

    def noted(convert: Callable[[pd.DataFrame], bytes], frame: pd.DataFrame) -> Callable[[], bytes]:
        found.append(frame)
        return lambda: convert(frame)

    monkeypatch.setattr(shared, "partial", noted)
    return found


def link_of(test: Any) -> dict[str, list[str]]:
    """What the permanent link carries."""
    (link,) = [element.value for element in test.code]
    return parse_qs(urlsplit(link).query)


@pytest.mark.parametrize("page", ["ranking", "models", "samples", "slices", "heat", "overview", "compare"])
def test_downloads_tell_no_path_of_the_server(
    page: str, usual_run: Path, tmp_path: Path, downloads: list[pd.DataFrame]
) -> None:
    opened(page)
    assert len(downloads) == len(export.FORMATS)
    for frame in downloads:
        assert len(frame)
        assert not {"folder", "audio"} & set(frame.columns)
        assert str(tmp_path).encode() not in export.to_json(frame)
